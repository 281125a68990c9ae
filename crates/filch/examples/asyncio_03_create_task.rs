//! A task runs while its maker does something else: `asyncio.create_task`.

use filch::spawn;
use filch::time::{Duration, sleep};

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    let first = spawn(event(1, 2, out));
    let second = spawn(event(2, 1, out));
    // In asyncio this line always comes first. Here another worker may have begun a task already.
    out("Tasks have been created and are running");
    // An error would be a panic of the task, or that it was cancelled.
    first.await.expect("it does not panic");
    second.await.expect("it does not panic");
}

async fn event(number: u32, seconds: u64, out: fn(&str)) {
    out(&format!("Event {number} started"));
    sleep(Duration::from_secs(seconds)).await;
    out(&format!("Event {number} completed"));
}
