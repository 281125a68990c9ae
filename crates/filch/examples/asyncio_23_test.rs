//! A test that awaits: `pytest-asyncio`.
//!
//! ```text
//! cargo test --example asyncio_23_test
//! ```

use filch::time::{Duration, sleep};

#[filch::main]
async fn main() {
    example(|line| println!("{line}")).await;
}

pub(crate) async fn example(out: fn(&str)) {
    out(&format!("2 + 3 = {}", add(2, 3).await));
}

async fn add(one: u32, other: u32) -> u32 {
    sleep(Duration::from_millis(10)).await;
    one + other
}

#[cfg(test)]
#[filch::test]
async fn two_and_three_are_five() {
    assert_eq!(add(2, 3).await, 5);
}
