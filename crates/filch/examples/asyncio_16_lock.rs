//! One at a time: `asyncio.Lock`. The lock holds what it guards.

use filch::gather_all;
use filch::sync::Lock;
use filch::time::{Duration, sleep};
use std::sync::Arc;

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    let counter = Arc::new(Lock::new(0));
    let tasks = (0..100).map(|_| {
        let counter = counter.clone();
        async move {
            let mut counter = counter.lock().await;
            let value = *counter;
            // Whoever else wants it waits, in the order in which they came: 100 times 10 ms are a second.
            sleep(Duration::from_millis(10)).await;
            *counter = value + 1;
        }
    });
    gather_all(tasks).await;
    out(&format!("Final counter: {}", counter.lock().await));
}
