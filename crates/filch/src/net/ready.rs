//! Streams for those who wait first and then read or write without waiting.

use super::connection::Connection;
use super::hand_over;
use crate::half::{self, Inward, Outward};
use crate::io::{Interest, ready};
use std::future::poll_fn;
use std::io;
use std::panic::Location;

impl<R: Inward, W: Outward> Connection<R, W> {
    /// Waits until a read would not wait.
    pub(super) async fn readable(&self, at: &'static Location<'static>) -> io::Result<()> {
        half::readable(&self.reading, self.site(at)).await
    }

    /// Waits until a write would not wait, and for a write that was dropped.
    pub(super) async fn writable(&self, at: &'static Location<'static>) -> io::Result<()> {
        let site = self.site(at);
        {
            let mut writing = self.writing.lock_at(at).await;
            poll_fn(|cx| writing.poll_settled(site, cx)).await?;
        }
        ready(&self.fd, &self.home, Interest::WRITABLE, at).await.map(drop)
    }

    /// Reads what is there.
    #[track_caller]
    pub(super) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let site = self.site(Location::caller());
        half::try_read(&self.reading, site, buf, |buf| half::recv_now(&self.fd, buf))
    }

    /// Writes what there is room for.
    #[track_caller]
    pub(super) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let site = self.site(Location::caller());
        half::try_write(&self.writing, site, || half::send_now(&self.fd, buf))
    }

    /// Has somebody else do it, in turn with other reads and writes.
    #[track_caller]
    pub(super) fn try_io<T>(
        &self,
        interest: Interest,
        call: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        let site = self.site(Location::caller());
        let reads = interest.is_readable().then_some(&self.reading);
        let writes = interest.is_writable().then_some(&self.writing);
        let unread = || hand_over::unread("bytes were received that come first");
        half::try_io(reads, writes, site, call, unread)
    }
}

/// Implements for a stream what needs no waiting, and the waits before it.
macro_rules! ready_stream {
    ($type:ident) => {
        impl $type {
            /// Waits until there is something to read, the end of the stream, or an error. Takes nothing: see
            /// [`try_read`](Self::try_read).
            ///
            /// # Errors
            ///
            /// The system's.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost.
            #[track_caller]
            pub fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
                self.0.readable(Location::caller())
            }

            /// Waits until there is room to write, or nobody to read it. A write that was dropped is waited for
            /// first. See [`try_write`](Self::try_write).
            ///
            /// # Errors
            ///
            /// The system's. If an earlier write was dropped and failed later, that one's error, once.
            ///
            /// # Cancel safety
            ///
            /// Nothing is written.
            #[track_caller]
            pub fn writable(&self) -> impl Future<Output = io::Result<()>> + Send {
                self.0.writable(Location::caller())
            }

            /// Reads what is there into `buf`, without waiting, and returns how much; 0 at the end of the stream,
            /// or if `buf` is empty.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there, or somebody else reads; the
            /// system's.
            #[track_caller]
            pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
                self.0.try_read(buf)
            }

            /// Writes as much of `buf` as there is room for, without waiting and without a copy, and returns how
            /// much.
            ///
            /// # Errors
            ///
            /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room, somebody else writes, or a write
            /// that was dropped is under way; the system's. If an earlier write was dropped and failed later,
            /// that one's error, once.
            #[track_caller]
            pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
                self.0.try_write(buf)
            }

            /// Calls `call`, for what only the system's own calls can do, in turn with other reads and writes:
            /// of those, according to `interest`, none is under way meanwhile.
            ///
            /// It must not wait: *the socket blocks*, so calls are made with `MSG_DONTWAIT`.
            ///
            /// ```
            /// # filch::run(async {
            /// use filch::io::Interest;
            /// use std::os::fd::AsRawFd;
            ///
            /// # let (one, other) = filch::net::UnixStream::pair()?;
            /// one.write_all_owned("ping").await.0?;
            /// other.readable().await?;
            /// let mut buf = [0u8; 2];
            /// let peeked = other.try_io(Interest::READABLE, || {
            ///     let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
            ///     let (at, len) = (buf.as_mut_ptr().cast(), buf.len());
            ///     // SAFETY: there is room for as many bytes.
            ///     match unsafe { libc::recv(other.as_raw_fd(), at, len, flags) } {
            ///         -1 => Err(std::io::Error::last_os_error()),
            ///         seen => Ok(seen as usize),
            ///     }
            /// });
            /// assert_eq!((peeked?, &buf), (2, b"pi"));
            /// # Ok::<(), std::io::Error>(())
            /// # }).unwrap();
            /// ```
            ///
            /// # Errors
            ///
            /// The call's. Without a call: [`WouldBlock`](io::ErrorKind::WouldBlock) if somebody else reads, or
            /// writes, or an operation that was dropped is under way; to read,
            /// [`ResourceBusy`](io::ErrorKind::ResourceBusy) if such a one has brought bytes that come first:
            /// read them.
            #[track_caller]
            pub fn try_io<T>(
                &self,
                interest: crate::io::Interest,
                call: impl FnOnce() -> io::Result<T>,
            ) -> io::Result<T> {
                self.0.try_io(interest, call)
            }
        }
    };
}
pub(super) use ready_stream;
