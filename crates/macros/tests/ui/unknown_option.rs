//! An option that does not exist.

#[filch_macros::main(threads = 4)]
async fn main() {}
