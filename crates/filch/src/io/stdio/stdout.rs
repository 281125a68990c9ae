//! Standard output and error.

use super::common::Common;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
use super::polled::Polls;
use super::sink::{self, Sink};
use crate::io::Write;
use std::fmt;
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::sync::LazyLock;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
use std::{
    io::IoSlice,
    task::{Context, Poll},
};

static OUTPUT: LazyLock<Common<Sink>> = LazyLock::new(|| Sink::new(libc::STDOUT_FILENO));
static ERRORS: LazyLock<Common<Sink>> = LazyLock::new(|| Sink::new(libc::STDERR_FILENO));

/// Standard output.
///
/// ```
/// # filch::run(async {
/// filch::io::stdout().write_all(b"hello\n").await?;
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[doc(alias = "connect_write_pipe")]
pub fn stdout() -> Stdout {
    Stdout::new()
}

/// Standard error.
pub fn stderr() -> Stderr {
    Stderr::new()
}

/// A name for one of the two.
macro_rules! sink {
    ($(#[$docs:meta])* $name:ident, $sink:ident, $number:expr) => {
        $(#[$docs])*
        pub struct $name {
            #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
            polls: Polls,
        }

        impl $name {
            fn new() -> Self {
                Self {
                    #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
                    polls: Polls::default(),
                }
            }

            /// Writes some of `buf`, at most 128 KiB, and returns how much.
            ///
            /// # Errors
            ///
            /// The system's: [`BrokenPipe`](std::io::ErrorKind::BrokenPipe) if nobody can read any more, `EBADF` if
            /// the program has closed the descriptor. Without a runtime on this thread. If an earlier write was
            /// dropped and failed later, that one's error, once, and nothing is written.
            ///
            /// # Cancel safety
            ///
            /// Dropped before its turn has come, it writes nothing; nor does one that is cancelled before the ring, or
            /// a thread, has begun it. Dropped later, a prefix of `buf` may or may not be written: never twice, and
            /// never mixed with the next write, which waits for this one to end.
            #[track_caller]
            pub fn write<'b>(
                &self,
                buf: &'b [u8],
            ) -> impl Future<Output = Result<usize>> + Send + use<'b> {
                sink::write(&$sink, Location::caller(), buf)
            }

            /// Writes all of `buf`, before any other write of this process that comes by such a handle.
            ///
            /// # Errors
            ///
            /// As [`write`](Self::write). A part of `buf` may be written then.
            ///
            /// # Cancel safety
            ///
            /// Dropped before its turn has come, it writes nothing; nor does one that is cancelled before the ring, or
            /// a thread, has begun it. Dropped or cancelled later, up to 128 KiB that were begun are written to their
            /// end, and nothing behind them: by a thread, or, to a pipe that is full, when the stream is next
            /// written to, flushed or settled. So a line is written whole, if at all. [`settle`](Self::settle) tells how much
            /// of `buf` it was.
            #[track_caller]
            pub fn write_all<'b>(
                &self,
                buf: &'b [u8],
            ) -> impl Future<Output = Result<()>> + Send + use<'b> {
                sink::write_all(&$sink, Location::caller(), buf)
            }

            /// Waits for the end of a write that was dropped. Nothing else is ever kept back.
            ///
            /// # Errors
            ///
            /// That write's, once. Without a runtime on this thread.
            ///
            /// # Cancel safety
            ///
            /// Dropped, nothing is lost: flush again.
            #[track_caller]
            pub fn flush(&self) -> impl Future<Output = Result<()>> + Send + use<> {
                sink::flush(&$sink, Location::caller())
            }

            /// As [`flush`](Self::flush), and returns how many bytes that write has written: 0 if there is none, or
            /// that was told before. See [`Write::settle`].
            ///
            /// # Errors
            ///
            /// As [`flush`](Self::flush).
            ///
            /// # Cancel safety
            ///
            /// Dropped, nothing is lost: ask again.
            #[track_caller]
            pub fn settle(&self) -> impl Future<Output = Result<usize>> + Send + use<> {
                sink::settle(&$sink, Location::caller())
            }
        }

        impl Write for $name {
            async fn write(&mut self, buf: &[u8]) -> Result<usize> {
                $name::write(self, buf).await
            }

            async fn write_all(&mut self, buf: &[u8]) -> Result<()> {
                $name::write_all(self, buf).await
            }

            async fn flush(&mut self) -> Result<()> {
                $name::flush(self).await
            }

            async fn settle(&mut self) -> Result<usize> {
                $name::settle(self).await
            }
        }

        #[cfg(any(feature = "futures-io", feature = "tokio-io"))]
        impl $name {
            pub(crate) fn poll_write(
                &mut self,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<Result<usize>> {
                self.polls.poll_write(&$sink, Location::caller(), bufs, cx)
            }

            pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
                self.polls.poll_flush(&$sink, Location::caller(), cx)
            }
        }

        /// Another one, that has not been polled.
        impl Clone for $name {
            fn clone(&self) -> Self {
                Self::new()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(stringify!($name))
            }
        }

        impl AsFd for $name {
            fn as_fd(&self) -> BorrowedFd<'_> {
                // SAFETY: nobody owns it: it is there as long as the process, as with the standard library's.
                unsafe { BorrowedFd::borrow_raw($number) }
            }
        }

        impl AsRawFd for $name {
            fn as_raw_fd(&self) -> RawFd {
                $number
            }
        }
    };
}

sink! {
    /// Standard output: a name for what the process has one of, from [`stdout`].
    ///
    /// It has no buffer. A write that is done is the system's: nothing of it is lost, however the process ends. For
    /// many small writes put a [`BufWriter`](crate::io::BufWriter) around it, and flush that.
    ///
    /// One writes at a time, in the order in which they came. A pipe or a socket is written through the ring; a file
    /// or a terminal by a thread for what blocks, as `std` does it: a file at the position that it shares with
    /// children and with `println!`, and a terminal so that it may stop a job in the background. The
    /// descriptor is not made non-blocking.
    ///
    /// # Beside `println!`
    ///
    /// What that has printed up to the end of a line comes before what is written here afterwards, and the
    /// other way round. A line that `print!` has begun is in the standard library's buffer until it is flushed.
    ///
    /// # Deadlocks
    ///
    /// A write that was polled and is then kept unpolled has its turn: `flush`, `settle` and every other write of the
    /// process, in all runtimes, wait for it, those of the same task included. Drop it, or see to it that somebody
    /// polls it.
    ///
    /// To a file or a terminal it is a thread for what blocks that writes. Where each of these has a closure that waits for
    /// such a write, by `block_on`, nobody is left to do it.
    ///
    /// # The traits of other runtimes
    ///
    /// With the features `futures-io` and `tokio-io` it is an `AsyncWrite`, as exact as its own methods: see
    /// [the module](crate::io#the-traits-of-other-runtimes). A poll writes by a copy of up to 128 KiB, in one turn, as
    /// [`write_all`](Self::write_all) does, and is ready when the system has all of it: nothing is reported that was
    /// only copied. One that is `Pending` has its bytes on their way, also if nobody comes back. Offer *this handle* the
    /// same bytes again, and it tells of them; other bytes come after them. Each handle knows of its own alone: so each
    /// task that writes needs its own, which costs nothing, and none hears of, or waits for, more of another's than
    /// the write that is under way. There is no turn that a poll could keep. To close it flushes it; the stream stays
    /// open.
    ///
    /// # At the end
    ///
    /// A write that was dropped, or cut with its task, was not acknowledged, and may be given up when the
    /// runtime ends: one to a pipe that is full. [`flush`](Self::flush) waits for it.
    Stdout, OUTPUT, libc::STDOUT_FILENO
}

sink! {
    /// Standard error: a name for what the process has one of, from [`stderr`]. It is as [`Stdout`] is. Where both go to
    /// the same place, each write is by itself, in any order with those of the other.
    Stderr, ERRORS, libc::STDERR_FILENO
}
