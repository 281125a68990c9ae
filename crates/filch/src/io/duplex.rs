//! A pair of pipes in memory.

mod pipe;

use super::{Read, Write, fill};
use crate::half::Turn;
use pipe::Pipe;
use std::fmt;
use std::future::poll_fn;
use std::io::{IoSlice, Result};
use std::panic::Location;
use std::sync::Arc;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
use {
    super::{PollRead, PollWrite},
    crate::half::Role,
    std::task::{Context, Poll},
};

/// Two ends of a connection in memory: what is written to one is read from the other. In each direction
/// `capacity` bytes fit; who writes more waits until some are read. Needs no runtime.
///
/// ```
/// # filch::run(async {
/// use filch::io::{Read, Write, duplex};
///
/// let (mut near, mut far) = duplex(64);
/// near.write_all(b"ping").await?;
/// let mut word = [0; 4];
/// far.read_exact(&mut word).await?;
/// assert_eq!(&word, b"ping");
///
/// // Who reads finds the end when the other side is gone; who writes, an error.
/// drop(near);
/// assert_eq!(far.read(&mut word).await?, 0);
/// let error = far.write(b"pong").await.unwrap_err();
/// assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
///
/// # Panics
///
/// If `capacity` is 0.
#[doc(alias = "simplex")]
pub fn duplex(capacity: usize) -> (Duplex, Duplex) {
    assert!(capacity > 0, "a pipe in which nothing fits carries nothing");
    let (there, back) = (Pipe::new(capacity), Pipe::new(capacity));
    let near = Duplex::new(back.clone(), there.clone());
    let far = Duplex::new(there, back);
    (near, far)
}

/// One end of a connection in memory: what [`duplex`] gives.
///
/// Reading and writing take `&self`, as with a socket: put it into an `Arc`, or borrow it twice in one
/// task, to do both at once. Further readers, or writers, wait for their turn in the order in which they
/// came.
///
/// Dropping it ends both directions.
///
/// # Deadlocks
///
/// Who reads, or writes, has that direction's turn until it is done or dropped. A task that polls a read
/// once, keeps it without polling it, and begins another one waits for itself.
pub struct Duplex {
    source: Arc<Pipe>,
    target: Arc<Pipe>,
    reading: Turn<()>,
    writing: Turn<()>,
}

impl Duplex {
    fn new(source: Arc<Pipe>, target: Arc<Pipe>) -> Self {
        Self { source, target, reading: Turn::new(()), writing: Turn::new(()) }
    }

    /// Reads some bytes into `buf` and returns how many; 0 at the end, or if `buf` is empty.
    ///
    /// # Errors
    ///
    /// None.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has read nothing.
    #[track_caller]
    pub fn read(&self, buf: &mut [u8]) -> impl Future<Output = Result<usize>> + Send {
        let at = Location::caller();
        async move {
            if buf.is_empty() {
                return Ok(0);
            }
            let _turn = self.reading.lock_at(at).await;
            poll_fn(|cx| self.source.poll_read(cx, at, &mut fill(buf))).await
        }
    }

    /// Writes some of `buf` and returns how much.
    ///
    /// # Errors
    ///
    /// [`BrokenPipe`](std::io::ErrorKind::BrokenPipe) if the other end is gone, or this direction has ended.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has written nothing.
    #[track_caller]
    pub fn write(&self, buf: &[u8]) -> impl Future<Output = Result<usize>> + Send {
        let at = Location::caller();
        async move {
            if buf.is_empty() {
                return Ok(0);
            }
            let _turn = self.writing.lock_at(at).await;
            poll_fn(|cx| self.target.poll_write(cx, at, &[IoSlice::new(buf)])).await
        }
    }

    /// Ends the writing direction, after what was written so far: the other end will find that, and then
    /// the end. Writes that wait now fail.
    ///
    /// # Errors
    ///
    /// None.
    ///
    /// # Cancel safety
    ///
    /// It waits for nothing.
    #[doc(alias = "shutdown")]
    pub async fn finish(&self) -> Result<()> {
        self.target.end();
        Ok(())
    }
}

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
impl PollRead for Duplex {
    fn poll_read(
        &self,
        cx: &mut Context<'_>,
        room: usize,
        put: &mut dyn FnMut(&[u8]) -> usize,
    ) -> Poll<Result<usize>> {
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let at = Location::caller();
        self.reading.poll(Role::Reads, cx, |(), cx| self.source.poll_read(cx, at, put).into())
    }
}

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
impl PollWrite for Duplex {
    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<Result<usize>> {
        if bufs.iter().all(|buf| buf.is_empty()) {
            return Poll::Ready(Ok(0));
        }
        let at = Location::caller();
        self.writing.poll(Role::Writes, cx, |(), cx| self.target.poll_write(cx, at, bufs).into())
    }

    fn poll_flush(&self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&self, _: &mut Context<'_>) -> Poll<Result<()>> {
        self.target.end();
        Poll::Ready(Ok(()))
    }
}

/// A duplex is read and written through `&self`.
macro_rules! by_methods {
    ($($type:ty)*) => {
        $(
            impl Read for $type {
                async fn read(&mut self, buf: &mut [u8]) -> Result<usize> {
                    Duplex::read(self, buf).await
                }
            }

            impl Write for $type {
                async fn write(&mut self, buf: &[u8]) -> Result<usize> {
                    Duplex::write(self, buf).await
                }

                async fn finish(&mut self) -> Result<()> {
                    Duplex::finish(self).await
                }
            }
        )*
    };
}

by_methods!(Duplex & Duplex);

impl Drop for Duplex {
    fn drop(&mut self) {
        self.target.end();
        self.source.give_up();
    }
}

impl fmt::Debug for Duplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duplex")
            .field("source", &self.source)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
