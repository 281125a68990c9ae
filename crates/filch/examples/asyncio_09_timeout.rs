//! Giving up after a while: `asyncio.wait_for`, `asyncio.timeout`.

use filch::time::{Duration, sleep, timeout};

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    match timeout(Duration::from_secs(3), slow_operation(out)).await {
        Ok(answer) => out(answer),
        Err(_elapsed) => out("The operation timed out!"),
    }
}

async fn slow_operation(out: fn(&str)) -> &'static str {
    out("Starting slow operation...");
    sleep(Duration::from_secs(5)).await;
    "The operation is complete"
}
