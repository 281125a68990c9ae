//! `main` that is not async.

#[filch_macros::main]
fn main() {}
