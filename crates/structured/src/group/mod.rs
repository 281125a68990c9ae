#![doc = include_str!("README.md")]

mod apart;
mod child;
mod child_handle;
mod context;
mod core;
#[cfg(all(test, not(filch_loom)))]
mod deep;
mod error;
mod future;
mod handle;
mod list;
#[cfg(filch_loom)]
pub mod model;
mod room;
mod spawner;
mod start;
mod tree;

pub use child_handle::{ChildHandle, OutcomeOf};
pub use error::{Failure, GroupError, Panicked};
pub use future::{Group, OrNone, group};
pub use handle::{Named, TaskGroup};
pub use start::{NotReady, Ready, Start};

/// An error of any type.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
