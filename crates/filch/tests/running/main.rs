//! How programs begin and end, each rule by its number in `docs/semantics.md`.

mod blocking;
mod carried;
mod children;
mod end;
mod interrupt;
mod kit;
mod sets;
mod submit;
#[path = "../support/mod.rs"]
mod support;
