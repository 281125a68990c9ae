//! The standard streams, each rule by its number in `docs/semantics.md`. They are the process's, so each test is in a
//! process of its own.

mod cut;
mod dropped;
mod ends;
mod input;
mod kit;
mod output;
#[cfg(feature = "tokio-io")]
mod polled;
#[cfg(feature = "tokio-io")]
mod polled_cancelled;
mod replaced;
mod stuck;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
