//! Standard output and error.

use super::sink::{self, Sink};
use crate::io::Write;
use filch_sync::Lock;
use std::io::Result;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::panic::Location;
use std::sync::LazyLock;

static OUTPUT: LazyLock<Lock<Sink>> = LazyLock::new(|| Sink::new(libc::STDOUT_FILENO));
static ERRORS: LazyLock<Lock<Sink>> = LazyLock::new(|| Sink::new(libc::STDERR_FILENO));

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
    Stdout(())
}

/// Standard error.
pub fn stderr() -> Stderr {
    Stderr(())
}

/// A name for one of the two.
macro_rules! sink {
    ($(#[$docs:meta])* $name:ident, $sink:ident, $number:expr) => {
        $(#[$docs])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name(());

        impl $name {
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
            /// Dropped before it has begun, it writes nothing. Dropped later, a prefix of `buf` may or may not be
            /// written: never twice, and never mixed with the next write, which waits for this one to end.
            #[track_caller]
            pub fn write(self, buf: &[u8]) -> impl Future<Output = Result<usize>> + Send {
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
            /// Dropped before it has begun, it writes nothing. Dropped later, up to 128 KiB that were begun are
            /// written to their end, and nothing behind them: by a thread, or, to a pipe that is full, when the
            /// stream is next written to or flushed. So a line is written whole, if at all.
            #[track_caller]
            pub fn write_all(self, buf: &[u8]) -> impl Future<Output = Result<()>> + Send {
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
            pub fn flush(self) -> impl Future<Output = Result<()>> + Send {
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
            pub fn settle(self) -> impl Future<Output = Result<usize>> + Send {
                sink::settle(&$sink, Location::caller())
            }
        }

        impl Write for $name {
            async fn write(&mut self, buf: &[u8]) -> Result<usize> {
                $name::write(*self, buf).await
            }

            async fn write_all(&mut self, buf: &[u8]) -> Result<()> {
                $name::write_all(*self, buf).await
            }

            async fn flush(&mut self) -> Result<()> {
                $name::flush(*self).await
            }

            async fn settle(&mut self) -> Result<usize> {
                $name::settle(*self).await
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
