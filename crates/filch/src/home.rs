//! The runtime that an object with I/O belongs to.

#[cfg(not(filch_loom))]
use crate::error::NoRuntime;
use crate::net::Pool;
#[cfg(not(filch_loom))]
use crate::task::Limiter;
#[cfg(not(filch_loom))]
use filch_sched::with_handle;
use filch_uring::{Op, Operation, Remote};
use std::panic::Location;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::{fmt, io};

/// The rings of a runtime, as anybody may hold them.
#[derive(Debug)]
pub(crate) struct Rings {
    /// The buffers that are received into and lent.
    pool: Pool,
    remotes: Box<[OnceLock<Remote>]>,
    next: AtomicUsize,
    /// Lets so many processes be started at a time.
    #[cfg(not(filch_loom))]
    starting: OnceLock<Limiter>,
}

impl Rings {
    pub(crate) fn new(workers: usize, leases: usize) -> Self {
        let remotes = (0..workers).map(|_| OnceLock::new()).collect();
        Self {
            pool: Pool::new(leases),
            remotes,
            next: AtomicUsize::new(0),
            #[cfg(not(filch_loom))]
            starting: OnceLock::new(),
        }
    }

    pub(crate) fn set(&self, worker: usize, remote: Remote) {
        if self.remotes[worker].set(remote).is_err() {
            unreachable!("a worker has one ring");
        }
    }

    /// What each ring has done so far.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Option<&Remote>> {
        self.remotes.iter().map(OnceLock::get)
    }

    /// A ring for an operation from elsewhere: one whose worker sleeps, for that takes it at once, while a
    /// worker that runs might be in a long poll; else each in turn.
    fn any(&self) -> Option<Remote> {
        // Relaxed: any ring will do.
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.remotes.len();
        let (before, from) = self.remotes.split_at(first);
        let mut in_turn = from.iter().chain(before).filter_map(OnceLock::get);
        in_turn.clone().find(|remote| remote.is_parked()).or_else(|| in_turn.next()).cloned()
    }
}

/// Which runtime an object belongs to: where its operations go when they are polled on a thread that is
/// no worker. On a worker they use that worker's own ring.
#[derive(Clone)]
pub(crate) struct Home(Arc<Rings>);

impl Home {
    /// One whose only ring is that of `remote`.
    #[cfg(filch_loom)]
    pub(crate) fn for_model(remote: Remote) -> Self {
        let rings = Rings::new(1, 0);
        rings.set(0, remote);
        Self(Arc::new(rings))
    }

    /// The runtime of this thread.
    ///
    /// # Errors
    ///
    /// If there is none.
    #[cfg(not(filch_loom))]
    pub(crate) fn current() -> Result<Self, NoRuntime> {
        with_handle(|handle| {
            let rings = handle?.extension().clone().downcast().ok()?;
            Some(Self(rings))
        })
        .ok_or(NoRuntime(()))
    }

    /// The buffers that are received into and lent.
    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    /// Lets so many processes be started at a time: made when the first one is.
    #[cfg(not(filch_loom))]
    pub(crate) fn starting(&self, at_a_time: usize) -> &Limiter {
        self.0.starting.get_or_init(|| Limiter::new(at_a_time))
    }

    /// Polls an operation of an object that belongs here, and is waited for at `at`.
    pub(crate) fn poll<T: Operation>(
        &self,
        op: &mut Op<T>,
        at: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) -> Poll<T::Output> {
        op.waited_for_at(at);
        op.poll_or(cx, || self.0.any())
    }

    /// Runs an operation, which is waited for at `at`, to its end.
    pub(crate) fn run<T: Operation>(
        &self,
        operation: T,
        at: &'static Location<'static>,
    ) -> impl Future<Output = T::Output> + use<'_, T> {
        let mut op = Op::new(operation);
        std::future::poll_fn(move |cx| self.poll(&mut op, at, cx))
    }
}

/// Whether an operation ended because the runtime whose ring it was in did. Nobody else cancels one that
/// an object keeps.
///
/// That may have been another runtime than the object's own, whose worker happened to begin the operation.
/// Then nothing has happened to the object (C2), and the operation is begun anew. If its own is gone, that
/// gives the error that says so.
pub(crate) fn lost_its_ring(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ECANCELED)
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("rings", &self.0.remotes.len()).finish()
    }
}
