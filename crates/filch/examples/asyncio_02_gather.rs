//! Two at the same time, and both results: `asyncio.gather`.

use filch::gather;
use filch::time::{Duration, sleep};

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    // Each becomes a task, and may run on a worker of its own. Two seconds in all, not three.
    let (first, second) = gather((event(1, 2, out), event(2, 1, out))).await;
    assert_eq!((first, second), (1, 2));
}

async fn event(number: u32, seconds: u64, out: fn(&str)) -> u32 {
    out(&format!("Event {number} started"));
    sleep(Duration::from_secs(seconds)).await;
    out(&format!("Event {number} completed"));
    number
}
