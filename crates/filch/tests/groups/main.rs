//! The rules of groups, each by its number in `docs/semantics.md`.

mod adoption;
mod cancelling;
mod drops;
mod errors;
mod failing;
mod first_poll;
mod joining;
mod kinds;
#[path = "../cancel_scopes/kit.rs"]
mod kit;
mod left;
mod random;
mod seen;
mod starting;
#[path = "../support/mod.rs"]
mod support;
