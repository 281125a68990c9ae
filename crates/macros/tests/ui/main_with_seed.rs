//! What only tests have.

#[filch_macros::main(seed = 7)]
async fn main() {}
