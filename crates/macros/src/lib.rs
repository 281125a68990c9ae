//! The attribute macros of filch: #[filch::main] and #[filch::test]
