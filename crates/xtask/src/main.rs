//! Chores of the filch repository.
fn main() {}
