//! Something that is no function.

#[filch_macros::main]
struct Main;

fn main() {}
