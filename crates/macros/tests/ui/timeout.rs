//! A time without a unit, and no time.

#[filch_macros::test(timeout = "5")]
async fn no_unit() {}

#[filch_macros::test(timeout = "0s")]
async fn none() {}

fn main() {}
