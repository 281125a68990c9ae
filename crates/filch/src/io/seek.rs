//! Going elsewhere in what has places.

use crate::fs::File;
use std::future::Future;
use std::io::{Result, SeekFrom};

/// Something with places, which is read or written at a cursor.
#[doc(alias = "AsyncSeek")]
pub trait Seek: Send {
    /// Moves the cursor, and returns where it is, in bytes from the beginning.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a place before the beginning; its own.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the cursor is where it was.
    fn seek(&mut self, to: SeekFrom) -> impl Future<Output = Result<u64>> + Send;
}

impl Seek for File {
    async fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        File::seek(self, to).await
    }
}

impl Seek for &File {
    async fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        File::seek(self, to).await
    }
}

impl<S: Seek + ?Sized> Seek for &mut S {
    async fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        (**self).seek(to).await
    }
}

impl<S: Seek + ?Sized> Seek for Box<S> {
    async fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        (**self).seek(to).await
    }
}

impl<T: AsRef<[u8]> + Send> Seek for std::io::Cursor<T> {
    async fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        std::io::Seek::seek(self, to)
    }
}
