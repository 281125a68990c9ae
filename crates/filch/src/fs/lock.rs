//! Locks on whole files, between those that have them open.

use super::File;
use super::on_pool::Job;
use filch_sync::Lock;
use filch_uring::SharedFd;
use std::fs::TryLockError;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::panic::Location;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// The locking of an open file, and of those that were cloned from it: for the system they are one.
///
/// A call that waits for a lock cannot be taken back, and gets it in the end. So the call belongs to the file and
/// not to the future: who comes again for the same finds it waiting, and if nobody does, what it gets is given
/// up at once.
#[derive(Clone, Default)]
pub(super) struct Locking(Arc<State>);

#[derive(Default)]
struct State {
    /// One future at a time.
    turn: Lock<()>,
    call: Mutex<Option<Call>>,
}

/// A call that waits, on a thread for what blocks.
struct Call {
    kind: i32,
    /// Somebody waits for the lock.
    is_wanted: bool,
    waker: Option<Waker>,
    /// If it is wanted.
    ended: Option<io::Result<()>>,
}

impl File {
    /// Waits until nobody else has a lock on the file, and locks it (`flock(2)`). The lock is advisory, and
    /// belongs to the open file, with what it was [cloned](Self::try_clone) to; it goes when all of these are
    /// closed, or by [`unlock`](Self::unlock). A lock of the other kind is given up first.
    ///
    /// While it waits it has one of the threads for what blocks, also when the future is dropped.
    ///
    /// # Errors
    ///
    /// The system's. Without a runtime on this thread.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the file is not locked, nor by a lock that it had before: what the system still gives is given up
    /// at once, or goes to the next that waits for the same on this file. Until then the file stays open.
    ///
    /// # Deadlocks
    ///
    /// Two tasks that wait for two files in different orders wait for ever.
    #[track_caller]
    #[doc(alias = "flock")]
    pub fn lock(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.locking.lock(&self.fd, libc::LOCK_EX, Location::caller())
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
        self.locking.lock(&self.fd, libc::LOCK_SH, Location::caller())
    }

    /// Locks the file, if nobody else has a lock on it: [`lock`](Self::lock). A lock of the other kind is given up
    /// in any case. Does not wait, though a file system on a network asks its server.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](TryLockError::WouldBlock) if somebody else has one, or if on this file a lock is waited for,
    /// be it by a future that was dropped; the system's.
    pub fn try_lock(&self) -> Result<(), TryLockError> {
        self.locking.try_lock(&self.fd, libc::LOCK_EX)
    }

    /// As [`try_lock`](Self::try_lock), but others may have shared locks, too.
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Self::try_lock).
    pub fn try_lock_shared(&self) -> Result<(), TryLockError> {
        self.locking.try_lock(&self.fd, libc::LOCK_SH)
    }

    /// Gives up the lock, if there is one. Does not wait, as [`try_lock`](Self::try_lock).
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn unlock(&self) -> io::Result<()> {
        flock(&self.fd, libc::LOCK_UN)
    }
}

impl Locking {
    async fn lock(
        &self,
        fd: &SharedFd,
        kind: i32,
        at: &'static Location<'static>,
    ) -> io::Result<()> {
        let _turn = self.0.turn.lock_at(at).await;
        // One of the other kind, that nobody wants any more, has to end first: it would take ours away.
        poll_fn(|cx| self.0.poll_other(kind, cx)).await;
        let wanted = Wanted(&self.0);
        let is_begun = {
            let mut call = self.0.call();
            match &mut *call {
                Some(call) => {
                    call.is_wanted = true;
                    true
                }
                none => match flock(fd, kind | libc::LOCK_NB) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        *none = Some(Call { kind, is_wanted: true, waker: None, ended: None });
                        false
                    }
                    locked => return locked,
                },
            }
        };
        if !is_begun {
            let waiting = Waiting { state: Some(self.0.clone()), fd: Some(fd.clone()) };
            Job::begin(at, move || waiting.run(kind)).map(Job::detach)?;
        }
        let locked = poll_fn(|cx| self.0.poll_ended(cx)).await;
        drop(wanted);
        locked
    }

    fn try_lock(&self, fd: &SharedFd, kind: i32) -> Result<(), TryLockError> {
        let call = self.0.call();
        if call.is_some() {
            return Err(TryLockError::WouldBlock);
        }
        flock(fd, kind | libc::LOCK_NB).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => TryLockError::WouldBlock,
            _ => TryLockError::Error(error),
        })
    }
}

impl State {
    fn call(&self) -> MutexGuard<'_, Option<Call>> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no call is left behind but one for a lock of this kind.
    fn poll_other(&self, kind: i32, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.call() {
            Some(call) if call.kind != kind => {
                call.waker = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }

    /// Waits until the call that is wanted has ended.
    fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut place = self.call();
        let call = place.as_mut().expect("it stays while it is wanted");
        if let Some(ended) = call.ended.take() {
            *place = None;
            return Poll::Ready(ended);
        }
        call.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// A future that waits for a call. Dropped before it has heard of its end, it does not want the lock.
struct Wanted<'a>(&'a State);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        let mut place = self.0.call();
        let Some(call) = &mut *place else { return };
        call.is_wanted = false;
        if call.ended.is_some() {
            *place = None;
        }
    }
}

/// The call, on its thread.
struct Waiting {
    /// None when it has told how it ended.
    state: Option<Arc<State>>,
    /// None as soon as the future may hear of it: who closes the file then has no other holder.
    fd: Option<SharedFd>,
}

impl Waiting {
    fn run(mut self, kind: i32) {
        let locked = loop {
            let fd = self.fd.as_ref().expect("until it has ended");
            match flock(fd, kind) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                locked => break locked,
            }
        };
        self.end(locked);
    }

    fn end(&mut self, ended: io::Result<()>) {
        let (Some(state), Some(fd)) = (self.state.take(), self.fd.take()) else { return };
        let waker = {
            let mut place = state.call();
            let call = place.as_mut().expect("it stays until it has ended");
            let waker = call.waker.take();
            if call.is_wanted {
                // Not the last: the future has the file.
                drop(fd);
                call.ended = Some(ended);
            } else {
                // Under the mutex, so that nobody has locked the file in between.
                if ended.is_ok() {
                    let _ = flock(&fd, libc::LOCK_UN);
                }
                *place = None;
            }
            waker
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// It never began: the runtime has ended, or there was no thread.
impl Drop for Waiting {
    fn drop(&mut self) {
        self.end(Err(io::Error::other(
            "the runtime has ended, or has no thread to wait for a lock",
        )));
    }
}

fn flock(fd: &SharedFd, operation: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    match unsafe { libc::flock(fd.as_raw_fd(), operation) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
