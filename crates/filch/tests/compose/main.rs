//! Composition: timeouts as scopes, `gather`, `race`, sets of tasks, each by the number of its rule in
//! `docs/semantics.md`.

mod anywhere;
mod asking;
mod gather;
#[path = "../cancel_scopes/kit.rs"]
mod kit;
mod lent;
mod nested;
mod race;
mod set;
#[path = "../support/mod.rs"]
mod support;
mod timeout;
