//! The rules of cancelling with clean-up, each by its number in `docs/semantics.md`.

mod boundaries;
mod kit;
mod shields;
#[path = "../support/mod.rs"]
mod support;
mod turns;
