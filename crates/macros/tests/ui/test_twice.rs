//! A test that is one already.

#[filch_macros::test]
#[test]
async fn it_works() {}

fn main() {}
