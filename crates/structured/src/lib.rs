//! Structured concurrency for filch: what is begun inside a piece of code is over when that code is.
//!
//! * Tasks: [`group()`] with one fate for all, [`gather()`], [`race()`] and [`TaskSet`] for their results.
//! * Borrowing: [`local_scope`] within one task, [`scope_with`] from a value that is handed over, [`cpu`] from a
//!   frame that waits.
//!
//! All of it stands on the cancel scopes of `filch-sched`: it is cancelled from the inside out, and nothing of it
//! runs on when it has returned.
//!
//! This crate promises nothing to outsiders: `filch` is the one to depend on.

pub mod cpu;
mod group;

#[cfg(filch_loom)]
pub use group::model;
pub use group::{
    BoxError, ChildHandle, Failure, Group, GroupError, Named, NotReady, OrNone, OutcomeOf,
    Panicked, Ready, Start, TaskGroup, group,
};

// The rest spawns, and in a model there are no workers to spawn on.
#[cfg(not(filch_loom))]
mod asking;
#[cfg(not(filch_loom))]
mod gather;
#[cfg(not(filch_loom))]
mod lend;
#[cfg(not(filch_loom))]
mod local;
#[cfg(not(filch_loom))]
mod members;
#[cfg(not(filch_loom))]
mod place;
#[cfg(not(filch_loom))]
mod race;
#[cfg(not(filch_loom))]
mod set;

#[cfg(not(filch_loom))]
pub use {
    gather::{
        Children, Gather, GatherResults, TryChildren, TryGather, gather, gather_all, try_gather,
        try_gather_all,
    },
    lend::{EnvHandle, EnvScope, EnvTask, scope_with},
    local::{LocalHandle, LocalScope, local_scope, local_set, spawn_local},
    race::{Arms, Race, race, race_all},
    set::{
        All, AsCompleted, AsCompletedWithin, Condition, First, FirstError, TaskSet, Until, Wait,
        Waited, as_completed,
    },
};
