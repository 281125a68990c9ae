//! Where a group's children run, and whom it tells what nobody awaits.

#[cfg(not(filch_loom))]
use filch_sched::Keeper;
use filch_sched::task::{JoinHandle, Meta, Report};
use std::future::Future;

/// The runtime in which the group was opened, and the code that opened it.
#[cfg(not(filch_loom))]
#[derive(Clone)]
pub(super) struct Spawner(filch_sched::Handle, Keeper);

#[cfg(not(filch_loom))]
impl Spawner {
    /// This thread's.
    ///
    /// # Panics
    ///
    /// If it has none.
    pub(super) fn here() -> Self {
        match filch_sched::Handle::try_current() {
            Some(handle) => Self(handle, Keeper::here()),
            None => panic!("{}", filch_sched::NO_RUNTIME),
        }
    }

    pub(super) fn spawn<F>(&self, future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.0.spawn_child(future, meta, self.1)
    }

    pub(super) fn report(&self, report: &Report) {
        self.0.report(report);
    }
}

#[cfg(filch_loom)]
pub(super) use super::model::Spawner;

#[cfg(filch_loom)]
impl Spawner {
    pub(super) fn report(&self, _: &Report) {}

    pub(super) fn spawn<F>(&self, future: F, meta: Meta) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        self.spawn_task(future, meta)
    }
}
