//! Code that is not async calls code that is: `asyncio.run`, and `run_coroutine_threadsafe`.

use filch::Runtime;
use filch::time::{Duration, sleep};

fn main() {
    example(|line| println!("{line}"));
}

pub(crate) fn example(out: fn(&str)) {
    out("In sync code, calling async...");
    // One call, with a runtime of its own.
    let result = filch::run(utility());
    out(&format!("Got result: {result}"));

    // Where there is a runtime already: from any thread, also one that has nothing to do with it.
    let runtime = Runtime::new().expect("a runtime");
    let submitted = runtime.handle().submit(utility());
    let result = submitted.wait().expect("it does not panic");
    out(&format!("Got another result: {result}"));
}

async fn utility() -> &'static str {
    sleep(Duration::from_secs(1)).await;
    "Async result"
}
