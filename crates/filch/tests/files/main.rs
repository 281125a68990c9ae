//! The rules of files, each by its number in `docs/files.md`.

mod cached;
mod confined;
mod directories;
mod errors;
mod handles;
mod interrupted;
mod large;
mod limits;
mod locks;
mod random;
#[path = "../support/mod.rs"]
mod support;
mod synced;
mod world;
mod written;
