//! `main` with an argument.

#[filch_macros::main]
async fn main(port: u16) {
    let _ = port;
}
