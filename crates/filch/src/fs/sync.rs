//! Having what was written put on the disk.

use super::File;
use super::cursor::poll_left;
use super::file::{Access, settled};
use crate::half::Site;
use filch_sync::Lock;
use filch_uring::Op;
use filch_uring::op::{Fsync, SyncFailure};
use std::future::poll_fn;
use std::io;
use std::panic::Location;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

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
    ///
    /// # Deadlocks
    ///
    /// One at a time syncs a file, or a clone of it. A task that polls a sync once, keeps it without polling it, and
    /// begins another one waits for itself.
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
    ///
    /// # Deadlocks
    ///
    /// As [`sync_all`](Self::sync_all).
    #[track_caller]
    pub fn sync_data(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.sync(true, Location::caller())
    }

    async fn sync(&self, data_only: bool, at: &'static Location<'static>) -> io::Result<()> {
        let site = self.site(at);
        if let Access::Cursor(cursor) = self.access() {
            settled(cursor, site).await.take_failure()?;
        }
        self.common().syncs.run(site, data_only).await
    }
}

/// The syncs of a file, and of those that were cloned from it.
///
/// A failure stays: the kernel tells it once, to one of those that sync at the time, and forgets about the data. So that
/// nobody else hears that all is well, there is one sync at a time, and what a dropped future has left is waited for by
/// the next. Who had to wait for his turn need not sync if somebody did who began after he came.
#[derive(Default)]
pub(super) struct Syncs {
    failure: SyncFailure,
    turn: Lock<Done>,
    begun: Mutex<Begun>,
}

/// The numbers of the youngest that went well.
#[derive(Default)]
struct Done {
    all: u64,
    /// Of the data, or of all.
    data: u64,
}

#[derive(Default)]
struct Begun {
    so_many: u64,
    /// In flight, left by a future that was dropped while it had its turn.
    left: Option<Op<Fsync>>,
}

impl Syncs {
    /// Syncs the file, or its data alone.
    pub(super) async fn run(&self, site: Site<'_>, data_only: bool) -> io::Result<()> {
        let before = self.begun().so_many;
        let mut done = self.turn.lock_at(site.at).await;
        let left = self.begun().left.take();
        if let Some(op) = left {
            // How it ends it notes by itself.
            let _ended = Running { op: Some(op), syncs: self }.end(site, poll_left).await;
        }
        self.failure.check()?;
        if before < if data_only { done.data } else { done.all } {
            return Ok(());
        }
        let number = self.next();
        let fsync = match data_only {
            true => Fsync::data_only(site.fd.clone()),
            false => Fsync::new(site.fd.clone()),
        };
        let op = Op::new(fsync.noting(self.failure.clone()));
        let poll = |op: &mut Op<Fsync>, site: Site<'_>, cx: &mut Context<'_>| site.poll(op, cx);
        Running { op: Some(op), syncs: self }.end(site, poll).await?;
        done.data = number;
        if !data_only {
            done.all = number;
        }
        Ok(())
    }

    /// Hears of one that was left and is over: it has the file.
    pub(super) async fn hear_ended(&self, site: Site<'_>) {
        let ended = self.begun().left.take_if(|op| op.is_done());
        if let Some(mut op) = ended {
            let _noted = poll_fn(|cx| poll_left(&mut op, site, cx)).await;
        }
    }

    fn begun(&self) -> MutexGuard<'_, Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of one that begins now.
    fn next(&self) -> u64 {
        let mut begun = self.begun();
        begun.so_many += 1;
        begun.so_many
    }
}

/// A sync that somebody waits for, who has the turn.
struct Running<'a> {
    op: Option<Op<Fsync>>,
    syncs: &'a Syncs,
}

impl Running<'_> {
    async fn end(
        mut self,
        site: Site<'_>,
        poll: impl Fn(&mut Op<Fsync>, Site<'_>, &mut Context<'_>) -> Poll<io::Result<()>>,
    ) -> io::Result<()> {
        let op = self.op.as_mut().expect("until it is dropped");
        poll_fn(|cx| poll(op, site, cx)).await
    }
}

/// Before the turn is over.
impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(op) = self.op.take_if(|op| op.is_in_flight()) {
            self.syncs.begun().left = Some(op);
        }
    }
}
