//! The rules of the scopes that lend, each by its number in `docs/semantics.md`.

mod cpu;
mod dropped;
#[path = "../cancel_scopes/kit.rs"]
mod kit;
mod lend;
mod local;
mod panics;
#[path = "../support/mod.rs"]
mod support;
mod turns;
mod within;
