#![doc = include_str!("README.md")]

#[cfg(not(filch_loom))]
mod current;
#[cfg_attr(not(filch_loom), doc(hidden))]
pub mod jobs;
mod queue;
#[cfg(not(filch_loom))]
mod scope;

#[cfg(not(filch_loom))]
use current::within;
#[cfg(not(filch_loom))]
pub use scope::{Scope, for_each_chunk, join, scope};

/// A model says by itself what is in what.
#[cfg(filch_loom)]
fn within<R>(_: &std::sync::Arc<jobs::Work>, f: impl FnOnce() -> R) -> R {
    f()
}
