//! Dropping what is done with files, at every poll: nothing is lost, nothing is half done, nothing stays behind.

mod handles;
mod paths;
#[path = "../support/mod.rs"]
mod support;
