//! Locks on whole files, between those that have them open.

use super::File;
use crate::handle::Handle;
use crate::time::{Duration, Instant, sleep};
use filch_sync::Lock;
use filch_uring::SharedFd;
use std::fs::TryLockError;
use std::io;
use std::os::fd::AsRawFd;
use std::panic::Location;

/// Who finds the file locked asks again after so long, then after twice as long, and so on.
const SHORTEST: Duration = Duration::from_millis(1);

/// It does not wait for longer than that.
const LONGEST: Duration = Duration::from_millis(64);

/// The locking of an open file, and of those that were cloned from it: for the system they are one, so one future
/// at a time asks.
///
/// It asks again and again, and waits by a timer. A call that waits for a lock could not be taken back: it would have
/// a thread, keep the file open, and get the lock in the end, wanted or not.
#[derive(Default)]
pub(super) struct Locking(Lock<()>);

impl File {
    /// Waits until nobody else has a lock on the file, and locks it (`flock(2)`). The lock is advisory, and
    /// belongs to the open file, with what it was [cloned](Self::try_clone) to; it goes when all of these are
    /// closed, or by [`unlock`](Self::unlock). A lock of the other kind is given up first.
    ///
    /// While it waits it asks again after 1 ms, 2 ms and so on up to 64 ms, by the runtime's clock. So others may come
    /// first that came later, but for those who wait on this file.
    ///
    /// # Errors
    ///
    /// The system's. Without a runtime on this thread, if it has to wait.
    ///
    /// # Panics
    ///
    /// As a [`sleep`], if it is polled when the runtime that it waits on was shut down.
    ///
    /// # Cancel safety
    ///
    /// Dropped while others have the lock, the file is not locked, nor by a lock that it had before. Dropped before it
    /// has asked (before its first poll, or while another future waits for a lock of this file), it has changed
    /// nothing.
    ///
    /// # Deadlocks
    ///
    /// Two tasks that wait for two files in different orders wait for ever. Who polls it once and keeps it, without
    /// polling it, keeps the others out that wait on this file.
    #[track_caller]
    #[doc(alias = "flock")]
    pub fn lock(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.lock_as(libc::LOCK_EX)
    }

    /// As [`lock`](Self::lock), but others may have shared locks, too.
    ///
    /// # Errors
    ///
    /// As [`lock`](Self::lock).
    ///
    /// # Cancel safety
    ///
    /// As [`lock`](Self::lock).
    #[track_caller]
    pub fn lock_shared(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.lock_as(libc::LOCK_SH)
    }

    /// Locks the file, if nobody else has a lock on it: [`lock`](Self::lock). A lock of the other kind is given up
    /// in any case. Does not wait, though a file system on a network asks its server.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](TryLockError::WouldBlock) if somebody else has one, or if on this file a lock is waited for;
    /// the system's.
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        self.try_lock_as(libc::LOCK_EX)
    }

    /// As [`try_lock`](Self::try_lock), but others may have shared locks, too.
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock).
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        self.try_lock_as(libc::LOCK_SH)
    }

    /// Gives up the lock, if there is one. Does not wait, as [`try_lock`](Self::try_lock).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn unlock(&self) -> io::Result<()> {
        flock(&self.fd, libc::LOCK_UN)
    }

    #[track_caller]
    fn lock_as(&self, kind: i32) -> impl Future<Output = io::Result<()>> + Send {
        let at = Location::caller();
        // Made here: so the wait is on record where it was asked for.
        let mut sleep = sleep(SHORTEST);
        async move {
            let _turn = self.common().locking.0.lock_at(at).await;
            let mut wait = SHORTEST;
            loop {
                match flock(&self.fd, kind | libc::LOCK_NB) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    ended => return ended,
                }
                // It would panic without one.
                Handle::try_current()?;
                sleep.reset(Instant::now() + wait);
                (&mut sleep).await;
                wait = LONGEST.min(wait * 2);
            }
        }
    }

    fn try_lock_as(&self, kind: i32) -> Result<(), TryLockError> {
        let _turn = self.common().locking.0.try_lock().ok_or(TryLockError::WouldBlock)?;
        flock(&self.fd, kind | libc::LOCK_NB).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => TryLockError::WouldBlock,
            _ => TryLockError::Error(error),
        })
    }
}

/// Calls again for as long as a signal gets in between.
fn flock(fd: &SharedFd, operation: i32) -> io::Result<()> {
    loop {
        // SAFETY: no pointers.
        if unsafe { libc::flock(fd.as_raw_fd(), operation) } == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
