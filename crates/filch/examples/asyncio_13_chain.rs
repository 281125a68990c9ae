//! A coroutine that awaits another one.

use filch::time::{Duration, sleep};

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    out(&outer().await);
}

async fn outer() -> String {
    // Not a task: a call, of a function that may wait.
    let result = inner().await;
    format!("Result from {result}")
}

async fn inner() -> &'static str {
    sleep(Duration::from_secs(1)).await;
    "the inner one"
}
