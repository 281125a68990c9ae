//! A generic `main`.

#[filch_macros::main]
async fn main<T>() {}
