//! The same option twice.

#[filch_macros::main(workers = 2, workers = 3)]
async fn main() {}
