//! A coroutine that waits: `asyncio.run`, `await asyncio.sleep(1)`.

use filch::time::{Duration, sleep};

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    out("Hello");
    sleep(Duration::from_secs(1)).await;
    out("World");
}
