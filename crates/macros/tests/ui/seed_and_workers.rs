//! A seed, and more than one worker.

#[filch_macros::test(seed = 7, workers = 2)]
async fn several() {}

#[filch_macros::test(workers = many(), seed = 7)]
async fn computed() {}

fn main() {}
