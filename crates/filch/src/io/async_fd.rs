//! Waiting for any descriptor.

use super::ready::{Interest, Ready, ready};
use crate::home::{Home, lost_its_ring};
use filch_atomic::sync::Mutex;
use filch_uring::{Op, SharedFd, op};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::task::{Context, Poll};
use std::{error, fmt, io};

/// A descriptor of any kind that can be waited for: what no type of filch stands for, an eventfd, an inotify, a
/// timerfd, a device, the socket inside a library that is not async. (For sockets, pipes and files there are types
/// that do without: see [`net`](crate::net) and [`File::from_std`](crate::fs::File::from_std).)
///
/// It tells when the descriptor is ready; reading and writing is done by whoever knows how, with calls *that do
/// not wait*: readiness is a hint, and somebody else may have been faster.
///
/// ```
/// # filch::run(async {
/// use filch::io::AsyncFd;
/// use std::io::{Read, Write};
///
/// let (from, mut to) = std::io::pipe()?;
/// # let _ = unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&from), libc::F_SETFL, libc::O_NONBLOCK) };
/// let from = AsyncFd::new(from)?; // It does not block.
/// to.write_all(b"ping")?;
/// let mut buf = [0; 8];
/// let read = loop {
///     let ready = from.readable().await?;
///     if let Ok(read) = ready.try_io(|mut pipe| pipe.read(&mut buf)) {
///         break read?;
///     }
/// };
/// assert_eq!(&buf[..read], b"ping");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// # From tokio
///
/// Each wait asks the kernel anew: nothing is remembered that would have to be cleared, and a wait that comes
/// back though nothing was done about the last one is right to do so. Whether the descriptor blocks is left as it
/// is.
///
/// # Closing
///
/// The descriptor is duplicated: so it may be waited for as long as the kernel pleases, and yet be closed by its
/// owner (D6). Of a pipe or a socket the other side learns of the end when this is dropped, too, or turned
/// [back](Self::into_inner) into what it was, and a wait that was under way has been given up, a moment later.
#[doc(alias = "add_reader")]
#[doc(alias = "add_writer")]
pub struct AsyncFd<T: AsFd> {
    inner: T,
    fd: SharedFd,
    home: Home,
    /// What those wait for who poll.
    reads: Mutex<Option<Op<op::PollFd>>>,
    writes: Mutex<Option<Op<op::PollFd>>>,
}

impl<T: AsFd> AsyncFd<T> {
    /// Takes what has a descriptor.
    ///
    /// # Errors
    ///
    /// Without a runtime on this thread; if the process has no descriptor left. What was given is dropped then.
    pub fn new(inner: T) -> io::Result<Self> {
        let home = Home::current()?;
        let fd = SharedFd::new(inner.as_fd().try_clone_to_owned()?);
        Ok(Self { inner, fd, home, reads: Mutex::new(None), writes: Mutex::new(None) })
    }

    /// What it was made of.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// What it was made of. It keeps its descriptor: one that is put in its place is not waited for.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// What it was made of.
    pub fn into_inner(self) -> T {
        self.inner
    }

    /// Waits until there is something to read, the end, or an error.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// Nothing is taken from the descriptor, and so nothing is lost.
    #[track_caller]
    pub fn readable(&self) -> impl Future<Output = io::Result<ReadyGuard<'_, T>>> {
        self.ready_at(Interest::READABLE, Location::caller())
    }

    /// Waits until there is room to write, or an error.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// As [`readable`](Self::readable).
    #[track_caller]
    pub fn writable(&self) -> impl Future<Output = io::Result<ReadyGuard<'_, T>>> {
        self.ready_at(Interest::WRITABLE, Location::caller())
    }

    /// Waits until it is ready in one of these ways. What has no such thing as waiting, a regular file for
    /// instance, is always ready.
    ///
    /// # Errors
    ///
    /// The system's.
    ///
    /// # Cancel safety
    ///
    /// As [`readable`](Self::readable).
    #[track_caller]
    pub fn ready(&self, interest: Interest) -> impl Future<Output = io::Result<ReadyGuard<'_, T>>> {
        self.ready_at(interest, Location::caller())
    }

    async fn ready_at(
        &self,
        interest: Interest,
        at: &'static Location<'static>,
    ) -> io::Result<ReadyGuard<'_, T>> {
        let ready = ready(&self.fd, &self.home, interest, at).await?;
        Ok(ReadyGuard { of: self, ready })
    }

    /// Waits, and calls `call`, until that gives anything but [`WouldBlock`](io::ErrorKind::WouldBlock).
    ///
    /// # Errors
    ///
    /// The call's; the system's, about waiting.
    ///
    /// # Cancel safety
    ///
    /// `call` is not called, or its result is given out.
    #[track_caller]
    pub fn async_io<R>(
        &self,
        interest: Interest,
        mut call: impl FnMut(&T) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        let at = Location::caller();
        async move {
            loop {
                let ready = self.ready_at(interest, at).await?;
                if let Ok(done) = ready.try_io(&mut call) {
                    return done;
                }
            }
        }
    }

    /// As [`readable`](Self::readable), for poll-based code. Of several tasks that poll, the last is woken.
    ///
    /// # Errors
    ///
    /// The system's.
    #[track_caller]
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<ReadyGuard<'_, T>>> {
        self.poll_ready(&self.reads, Interest::READABLE, Location::caller(), cx)
    }

    /// As [`writable`](Self::writable), for poll-based code. Of several tasks that poll, the last is woken.
    ///
    /// # Errors
    ///
    /// The system's.
    #[track_caller]
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<ReadyGuard<'_, T>>> {
        self.poll_ready(&self.writes, Interest::WRITABLE, Location::caller(), cx)
    }

    fn poll_ready(
        &self,
        kept: &Mutex<Option<Op<op::PollFd>>>,
        interest: Interest,
        at: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<ReadyGuard<'_, T>>> {
        loop {
            // Not polled under the lock: wakers are anybody's code (D8). Who comes meanwhile begins another.
            let before = kept.lock().take();
            let begin = || Op::new(op::PollFd::new(self.fd.clone(), interest.events()));
            let mut op = before.unwrap_or_else(begin);
            let Poll::Ready(events) = self.home.poll(&mut op, at, cx) else {
                let displaced = kept.lock().replace(op);
                drop(displaced);
                return Poll::Pending;
            };
            match events {
                Err(error) if lost_its_ring(&error) => {}
                events => {
                    let guard = |events| ReadyGuard { of: self, ready: Ready::of(events) };
                    return Poll::Ready(events.map(guard));
                }
            }
        }
    }
}

impl<T: AsFd> AsFd for AsyncFd<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl<T: AsFd> AsRawFd for AsyncFd<T> {
    fn as_raw_fd(&self) -> RawFd {
        self.inner.as_fd().as_raw_fd()
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for AsyncFd<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncFd").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// A descriptor that was ready a moment ago.
#[doc(alias = "AsyncFdReadyGuard")]
#[must_use = "it says what the descriptor is ready for"]
pub struct ReadyGuard<'a, T: AsFd> {
    of: &'a AsyncFd<T>,
    ready: Ready,
}

impl<'a, T: AsFd> ReadyGuard<'a, T> {
    /// What it is ready for.
    pub fn ready(&self) -> Ready {
        self.ready
    }

    /// Whose readiness this is.
    pub fn get_ref(&self) -> &'a AsyncFd<T> {
        self.of
    }

    /// Calls `call`, which must not wait.
    ///
    /// # Errors
    ///
    /// [`NotReady`] if that gives [`WouldBlock`](io::ErrorKind::WouldBlock): wait again.
    pub fn try_io<R>(
        &self,
        call: impl FnOnce(&'a T) -> io::Result<R>,
    ) -> Result<io::Result<R>, NotReady> {
        match call(&self.of.inner) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(NotReady(())),
            done => Ok(done),
        }
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for ReadyGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyGuard").field("of", self.of).field("ready", &self.ready).finish()
    }
}

/// The descriptor was not ready any more.
#[doc(alias = "TryIoError")]
#[derive(Debug)]
pub struct NotReady(());

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the descriptor is not ready any more")
    }
}

impl error::Error for NotReady {}
