//! Where a group's children run, and whom it tells what nobody awaits.

use filch_sched::task::{JoinHandle, Meta, Report};
use std::future::Future;

/// The runtime in which the group was opened.
#[cfg(not(filch_loom))]
#[derive(Clone)]
pub(super) struct Spawner(filch_sched::Handle);

#[cfg(not(filch_loom))]
impl Spawner {
    /// This thread's.
    ///
    /// # Panics
    ///
    /// If it has none.
    pub(super) fn here() -> Self {
        match filch_sched::Handle::try_current() {
            Some(handle) => Self(handle),
            None => panic!("{}", filch_sched::NO_RUNTIME),
        }
    }

    pub(super) fn spawn<F>(&self, future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.0.spawn(future, meta)
    }

    pub(super) fn report(&self, report: &Report) {
        self.0.report(report);
    }

    /// Whether the runtime ends.
    pub(super) fn is_ending(&self) -> bool {
        self.0.is_shut_down()
    }
}

#[cfg(filch_loom)]
pub(super) use super::model::Spawner;

#[cfg(filch_loom)]
impl Spawner {
    pub(super) fn report(&self, _: &Report) {}

    pub(super) fn is_ending(&self) -> bool {
        false
    }

    pub(super) fn spawn<F>(&self, future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.spawn_task(future, meta)
    }
}
