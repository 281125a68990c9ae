//! Descriptors that operations in flight keep open.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;

/// A descriptor with any number of holders, closed when the last of them goes: every operation in
/// flight is one, so a descriptor is never closed, and its number never reused, under an operation
/// (D6).
#[derive(Debug, Clone)]
pub struct SharedFd(Arc<OwnedFd>);

impl SharedFd {
    /// Shares a descriptor.
    pub fn new(fd: OwnedFd) -> Self {
        Self(Arc::new(fd))
    }

    /// The descriptor back, if nobody else holds it.
    ///
    /// # Errors
    ///
    /// Gives `self` back if there are other holders.
    pub fn try_unwrap(self) -> Result<OwnedFd, Self> {
        Arc::try_unwrap(self.0).map_err(Self)
    }

    /// How many hold it, operations in flight included. Out of date at once if others are at work.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl From<OwnedFd> for SharedFd {
    fn from(fd: OwnedFd) -> Self {
        Self::new(fd)
    }
}

impl AsRawFd for SharedFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl AsFd for SharedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The descriptor that a successful call returned.
///
/// # Safety
///
/// `result` came from a call that opens a descriptor, and nobody took it yet.
pub(crate) unsafe fn opened(result: i32) -> OwnedFd {
    // SAFETY: the caller's promise.
    unsafe { OwnedFd::from_raw_fd(result) }
}
