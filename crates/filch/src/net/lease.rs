//! Buffers on loan: bytes as they came, in memory that goes back where it came from.

mod pool;

pub(crate) use pool::Pool;

use crate::home::Home;
use filch_uring::IoBuf;
use std::ops::{Deref, DerefMut, Range};
use std::{fmt, mem};

/// Bytes that were received, in the buffer that the kernel put them into: what
/// [`TcpStream::recv`](super::TcpStream::recv) gives. Empty at the end of a stream.
///
/// It may go to any task and any thread, be kept, and be written as it is
/// ([`write_all_owned`](super::TcpStream::write_all_owned)). When it is dropped, wherever that is, its buffer
/// is used for another receive. With the feature `bytes` it becomes a `bytes::Bytes`, without a copy.
///
/// # How many there are
///
/// A runtime lends at most so many of its buffers as [`Builder::leases`](crate::Builder::leases) says. *Nobody
/// waits when all are out*: bytes that come then are copied to memory of just their size, which the lease
/// owns, and the buffer stays. So leases that are kept for long, for ever, or leaked, cost a copy for each later
/// one, and hold up no connection. A buffer is 16 KiB, however few bytes are in it: who keeps many leases of a
/// few bytes each keeps less memory by copying them.
///
/// ```
/// # filch::run(async {
/// use filch::net::UnixStream;
///
/// let (one, other) = UnixStream::pair()?;
/// let (written, _) = one.write_all_owned("ping").await;
/// written?;
/// let lease = other.recv().await?;
/// let upper = filch::spawn(async move { lease.to_ascii_uppercase() });
/// assert_eq!(upper.await.unwrap(), b"PING");
/// # Ok::<(), std::io::Error>(())
/// # }).unwrap();
/// ```
#[doc(alias = "Bytes")]
pub struct Lease {
    buffer: Vec<u8>,
    bytes: Range<usize>,
    /// Where the buffer goes back to. None if it is not on loan.
    from: Option<Home>,
}

impl Lease {
    /// What has come, in a buffer of which it is a part. If no more may be lent, a copy, and the buffer.
    pub(super) fn new(
        home: &Home,
        buffer: Vec<u8>,
        bytes: Range<usize>,
    ) -> (Self, Option<Vec<u8>>) {
        if bytes.is_empty() {
            return (Self::empty(), Some(buffer));
        }
        if home.pool().lend() {
            return (Self { buffer, bytes, from: Some(home.clone()) }, None);
        }
        (Self::copied(&buffer[bytes]), Some(buffer))
    }

    /// A copy, which nobody has lent.
    pub(super) fn copied(bytes: &[u8]) -> Self {
        Self { buffer: bytes.to_vec(), bytes: 0..bytes.len(), from: None }
    }

    fn empty() -> Self {
        Self { buffer: Vec::new(), bytes: 0..0, from: None }
    }

    /// Drops the first `count` bytes, or all, if there are fewer.
    pub fn advance(&mut self, count: usize) {
        self.bytes.start += count.min(self.len());
    }

    /// Keeps the first `len` bytes, or all, if there are fewer.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.end = self.bytes.start + len.min(self.len());
    }
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.bytes.clone()]
    }
}

impl DerefMut for Lease {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.buffer[self.bytes.clone()]
    }
}

impl AsRef<[u8]> for Lease {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_lent = self.from.is_some();
        f.debug_struct("Lease").field("len", &self.len()).field("is_lent", &is_lent).finish()
    }
}

// SAFETY: a vector's memory is on the heap, and so it stays where it is.
unsafe impl IoBuf for Lease {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(self)
    }

    fn len(&self) -> usize {
        self.bytes.len()
    }

    fn stand_in() -> Self {
        Self::empty()
    }

    fn own(&mut self) -> Option<*mut u8> {
        Some(<[u8]>::as_mut_ptr(self))
    }
}

/// The lease goes with the last of the `Bytes`.
#[cfg(feature = "bytes")]
impl From<Lease> for bytes::Bytes {
    fn from(lease: Lease) -> Self {
        Self::from_owner(lease)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(home) = self.from.take() {
            home.pool().take_back(mem::take(&mut self.buffer));
        }
    }
}
