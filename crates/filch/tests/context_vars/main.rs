//! Context variables and task locals, each rule by its number in `docs/semantics.md`.

mod locals;
#[path = "../support/mod.rs"]
mod support;
mod vars;
