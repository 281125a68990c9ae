//! A word for a number.

#[filch_macros::main(workers = "two")]
async fn main() {}
