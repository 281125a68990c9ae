//! Structured concurrency for filch: what is begun inside a piece of code is over when that code is.
//!
//! This crate promises nothing to outsiders: `filch` is the one to depend on.
