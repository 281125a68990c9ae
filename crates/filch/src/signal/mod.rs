//! Signals of the system, as something to wait for.
//!
//! ```no_run
//! # filch::run(async {
//! use filch::signal::{SignalKind, signal};
//!
//! let mut hangups = signal(SignalKind::hangup())?;
//! loop {
//!     hangups.recv().await?;
//!     println!("reading the configuration again");
//! }
//! # #[expect(unreachable_code)]
//! # Ok::<(), std::io::Error>(())
//! # });
//! ```
//!
//! While somebody listens for a signal, that is all it does: it neither ends the process nor does whatever else it
//! does by default. When the last listener is dropped, what was there before is there again. To handle a signal for as
//! long as the program runs, keep the listener for as long.
//!
//! # Beside others
//!
//! A handler that the program, or a library, has installed before is called as well. One that is installed while
//! somebody listens has to call the one before it, as it should, or nothing is heard here; it is left in its place. Of the
//! flags of the earlier one `SA_RESETHAND`, `SA_ONSTACK`, `SA_RESTART` and `SA_NOCLDWAIT` are kept to; so where `SIGCHLD` is
//! ignored children are forgotten also while somebody listens for it. `SA_NOCLDSTOP` is not: listeners, and it, hear of
//! children that stop. Nor is `SA_NODEFER`: while a handler of filch runs, and with it the earlier one, its thread has all
//! signals blocked but those of an instruction that fails (`SIGSEGV` and the like). One that does not return but jumps has to
//! put the mask back, by `siglongjmp`.
//!
//! [`run`](crate::run) has a handler of its own for Ctrl-C, which cancels the main future. While somebody listens for
//! `SIGINT` that is not called: whoever listens handles it. After that it is back.
//!
//! The rules are `SIGNAL-1` to `SIGNAL-8` in `docs/semantics.md`.

mod handler;
mod kind;

pub(crate) use handler::{Action, Number};
pub use kind::SignalKind;

use crate::home::{Home, lost_its_ring};
use filch_atomic::current;
use filch_uring::{Op, SharedFd, op};
use futures_core::Stream;
use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Waits for the next Ctrl-C (`SIGINT`), from the first poll on.
///
/// Between two of these nobody listens: Ctrl-C ends the process, or in a [`run`](crate::run) asks its main future to end. A
/// program that wants to handle each one keeps a listener: `signal(SignalKind::interrupt())`.
///
/// # Errors
///
/// As [`signal`] and [`Signal::recv`].
///
/// # Cancel safety
///
/// Dropped, nobody listens any more. One that came in that moment is gone.
#[doc(alias = "KeyboardInterrupt")]
#[track_caller]
pub fn ctrl_c() -> impl Future<Output = io::Result<()>> + Send {
    let at = Location::caller();
    async move {
        let mut interrupts = signal(SignalKind::interrupt())?;
        poll_fn(|cx| interrupts.poll_at(at, cx)).await
    }
}

/// Listens for a signal, from now on. Any number may listen for the same.
///
/// # Errors
///
/// [`InvalidInput`](ErrorKind::InvalidInput) for a signal that cannot be handled (`SIGKILL`, `SIGSTOP`), that must not be
/// (`SIGILL`, `SIGTRAP`, `SIGBUS`, `SIGFPE`, `SIGSEGV`, `SIGSYS`: an instruction has failed, and would do so again), or
/// that the runtime uses itself ([`rescue_signal`](crate::Builder::rescue_signal)). If the process has no descriptor
/// left. Without a runtime on this thread.
#[doc(alias = "add_signal_handler")]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let home = Home::current()?;
    kind.check()?;
    // SAFETY: no pointers.
    let fd = match unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) } {
        -1 => return Err(io::Error::last_os_error()),
        // SAFETY: new and ours.
        fd => SharedFd::new(unsafe { OwnedFd::from_raw_fd(fd) }),
    };
    handler::add(kind.as_raw(), fd.as_raw_fd())?;
    Ok(Signal { kind, fd, home, wait: None })
}

/// Hears of each signal of a kind, until it is dropped. A [`Stream`] as well, which never ends.
///
/// Signals of which none was taken yet count as one, as they do with the system itself: it tells *that* one has come
/// since it was asked last.
pub struct Signal {
    kind: SignalKind,
    /// An eventfd, to which the handler writes.
    fd: SharedFd,
    home: Home,
    wait: Option<Op<op::PollFd>>,
}

impl Signal {
    /// Waits until a signal has come since the last call, or since this listener was made.
    ///
    /// # Errors
    ///
    /// If the runtime is gone.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost: a signal that came is there for the next call.
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        let at = Location::caller();
        poll_fn(move |cx| self.poll_at(at, cx))
    }

    /// As [`recv`](Self::recv), for poll-based code.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    #[track_caller]
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_at(Location::caller(), cx)
    }

    /// Which it listens for.
    pub fn kind(&self) -> SignalKind {
        self.kind
    }

    fn poll_at(
        &mut self,
        at: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(wait) = &mut self.wait {
                let ready = ready!(self.home.poll(wait, at, cx));
                self.wait = None;
                if let Err(error) = ready
                    && !lost_its_ring(&error)
                {
                    return Poll::Ready(Err(error));
                }
            }
            ready!(current::poll_proceed(cx));
            match take(&self.fd) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let readable = op::PollFd::new(self.fd.clone(), libc::POLLIN);
                    self.wait = Some(Op::new(readable));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                taken => return Poll::Ready(taken),
            }
        }
    }
}

/// Takes what has come: all at once.
fn take(fd: &SharedFd) -> io::Result<()> {
    let mut count = 0u64;
    // SAFETY: there is room for a number.
    match unsafe { libc::read(fd.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

impl Stream for Signal {
    type Item = io::Result<()>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_at(Location::caller(), cx).map(Some)
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        // After this no handler writes to the descriptor, and it may close.
        handler::remove(self.kind.as_raw(), self.fd.as_raw_fd());
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("kind", &self.kind).finish_non_exhaustive()
    }
}
