//! Structured concurrency for filch: what is begun inside a piece of code is over when that code is.
//!
//! This crate promises nothing to outsiders: `filch` is the one to depend on.

mod group;

#[cfg(filch_loom)]
pub use group::model;
pub use group::{
    BoxError, ChildHandle, Failure, Group, GroupError, Named, NotReady, OrNone, OutcomeOf,
    Panicked, Ready, Start, TaskGroup, group,
};

// In a model there are no workers to spawn on.
#[cfg(not(filch_loom))]
mod gather;
#[cfg(not(filch_loom))]
mod members;
#[cfg(not(filch_loom))]
mod place;
#[cfg(not(filch_loom))]
mod race;
#[cfg(not(filch_loom))]
mod set;

#[cfg(not(filch_loom))]
pub use gather::{
    Children, Gather, GatherResults, TryChildren, TryGather, gather, gather_all, try_gather,
    try_gather_all,
};
#[cfg(not(filch_loom))]
pub use race::{Arms, Race, race, race_all};
#[cfg(not(filch_loom))]
pub use set::{
    All, AsCompleted, AsCompletedWithin, Condition, First, FirstError, TaskSet, Until, Wait,
    Waited, as_completed,
};

pub mod cpu;
// In a model there are no workers.
#[cfg(not(filch_loom))]
mod lend;
#[cfg(not(filch_loom))]
mod local;

#[cfg(not(filch_loom))]
pub use lend::{EnvHandle, EnvScope, EnvTask, scope_with};
#[cfg(not(filch_loom))]
pub use local::{LocalHandle, LocalScope, local_scope};
