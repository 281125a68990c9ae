//! Having what was written put on the disk.

use super::File;
use super::file::{Access, settled};
use crate::half::Site;
use filch_uring::Op;
use filch_uring::op::{Fsync, SyncFailure};
use std::future::poll_fn;
use std::io;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

impl File {
    /// Has everything written so far put on the disk, with what the system knows of the file.
    ///
    /// # Errors
    ///
    /// The system's. After a failure it is not known which of the data is on the disk, and the system has
    /// forgotten about the rest: so every later sync of this file, and of what it was
    /// [cloned](Self::try_clone) to, gives the same error. Write the data again, to another file. If an earlier
    /// write was dropped and failed later, that one's error, once.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it may not have begun; begun, it runs to its end, for which the next one waits. If it fails,
    /// that one says so.
    #[track_caller]
    pub fn sync_all(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.sync(false, Location::caller())
    }

    /// As [`sync_all`](Self::sync_all), but of what the system knows of the file only what it takes to
    /// read the data again.
    ///
    /// # Errors
    ///
    /// As [`sync_all`](Self::sync_all).
    ///
    /// # Cancel safety
    ///
    /// As [`sync_all`](Self::sync_all).
    #[track_caller]
    pub fn sync_data(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.sync(true, Location::caller())
    }

    async fn sync(&self, data_only: bool, at: &'static Location<'static>) -> io::Result<()> {
        let site = self.site(at);
        if let Access::Cursor(cursor) = &self.access {
            settled(cursor, site).await.take_failure()?;
        }
        self.syncs.run(site, data_only).await
    }
}

/// The syncs of a file, and of those that were cloned from it.
///
/// A failure stays: the kernel tells it once, and forgets about the data. So that nobody else is told in its
/// place, a sync whose future is dropped is waited for by the next one.
#[derive(Clone, Default)]
pub(super) struct Syncs(Arc<State>);

#[derive(Default)]
struct State {
    failure: SyncFailure,
    /// Left by futures that were dropped.
    left: Mutex<Vec<Op<Fsync>>>,
}

impl Syncs {
    /// Syncs the file, or its data alone.
    pub(super) async fn run(&self, site: Site<'_>, data_only: bool) -> io::Result<()> {
        let state = &*self.0;
        while let Some(op) = state.take_left() {
            // How it ends it notes by itself. Of one that was to stop, nothing is begun anew.
            let _ended = Running { op: Some(op), state }.end(site, Op::is_stopping).await;
        }
        state.failure.check()?;
        let fsync = match data_only {
            true => Fsync::data_only(site.fd.clone()),
            false => Fsync::new(site.fd.clone()),
        };
        let op = Op::new(fsync.noting(state.failure.clone()));
        Running { op: Some(op), state }.end(site, |_| false).await
    }
}

impl State {
    /// One that is in flight.
    fn take_left(&self) -> Option<Op<Fsync>> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.retain(Op::is_in_flight);
        left.pop()
    }
}

/// A sync that somebody waits for.
struct Running<'a> {
    op: Option<Op<Fsync>>,
    state: &'a State,
}

impl Running<'_> {
    async fn end(mut self, site: Site<'_>, cancel: fn(&Op<Fsync>) -> bool) -> io::Result<()> {
        let op = self.op.as_mut().expect("until it is dropped");
        if cancel(op) {
            op.cancel();
        }
        poll_fn(|cx| site.poll(op, cx)).await
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(op) = self.op.take_if(|op| op.is_in_flight()) {
            self.state.left.lock().unwrap_or_else(PoisonError::into_inner).push(op);
        }
    }
}
