//! What the compiler says to someone who uses the attributes wrongly: the exact words, and the
//! place that they point at. The expected output lies beside each case in `ui`.
//!
//! `TRYBUILD=overwrite cargo test -p filch-macros` writes it anew; look at what changed.

#[test]
fn mistakes_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
