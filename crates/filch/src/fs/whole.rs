//! Whole files.

use super::File;
use super::at_once::Cached;
use super::file::known;
use crate::home::Home;
use crate::io::{Write, failed};
use filch_uring::IoBuf;
use std::path::Path;
use std::{io, mem};

/// Reads a whole file.
///
/// What is cached and not large is read at once, without an operation. A FIFO is read from its first writer to its last.
///
/// # Errors
///
/// If it cannot be opened or read: the error names the path. Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, nothing is left behind.
#[track_caller]
pub fn read(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Vec<u8>>> + Send {
    let path = path.as_ref().to_owned();
    async move {
        let home = Home::current()?;
        let file = match Cached::open(&path).await {
            Some(cached) => match cached.read_whole().await {
                Some(whole) => return Ok(whole),
                None => cached.into_file(home),
            },
            None => Ok(File::open(&path).await?),
        };
        let whole = async { file?.read_whole().await };
        whole.await.map_err(|error| failed("read", path.display(), error))
    }
}

/// Reads a whole file that is UTF-8 text.
///
/// # Errors
///
/// As [`read`]; [`InvalidData`](io::ErrorKind::InvalidData) if it is not UTF-8.
///
/// # Cancel safety
///
/// Dropped, nothing is left behind.
#[track_caller]
pub fn read_to_string(path: impl AsRef<Path>) -> impl Future<Output = io::Result<String>> + Send {
    let path = path.as_ref().to_owned();
    let whole = read(path.clone());
    async move {
        String::from_utf8(whole.await?).map_err(|error| {
            let error = io::Error::new(io::ErrorKind::InvalidData, error.utf8_error());
            failed("read", path.display(), error)
        })
    }
}

/// Writes a file: makes it if it is not there, replaces what is in it.
///
/// # Errors
///
/// If it cannot be opened or written: the error names the path. Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, the file may hold any prefix of `contents`, and a write in progress may still end later.
#[track_caller]
pub fn write(
    path: impl AsRef<Path>,
    contents: impl AsRef<[u8]> + Send,
) -> impl Future<Output = io::Result<()>> + Send {
    let path = path.as_ref().to_owned();
    async move {
        let mut file = File::create(&path).await?;
        file.write_all(contents.as_ref())
            .await
            .map_err(|error| failed("write", path.display(), error))
    }
}

impl File {
    /// Everything from the beginning, in one buffer of the right size, without a copy.
    async fn read_whole(&self) -> io::Result<Vec<u8>> {
        let known = known(&self.fd).unwrap_or_default();
        let (is_file, len) = (known.kind == libc::S_IFREG, known.len);
        // One byte more than there should be: the read that finds the end needs room. Files of the
        // kernel's own making say 0.
        let expected = usize::try_from(len.saturating_add(1)).unwrap_or(usize::MAX);
        let mut whole = Vec::new();
        // A file may well be larger than the memory there is: that is an error, not the end.
        whole.try_reserve_exact(if expected == 1 { 4096 } else { expected })?;
        loop {
            if whole.len() == whole.capacity() {
                whole.try_reserve(whole.capacity())?;
            }
            let offset = whole.len();
            let (read, part) =
                self.read_at(mem::take(&mut whole).slice(offset..), offset as u64).await;
            whole = part.into_inner();
            let read = read?;
            // A regular file that gives all that it had, and less than there was room for, is at its end. Less than
            // it had is not: so much is moved at a time, or an error follows, or it was made shorter.
            let is_all = len > 0 && whole.len() as u64 >= len;
            let at_end = is_file && is_all && whole.len() < whole.capacity();
            if read == 0 || at_end {
                return Ok(whole);
            }
        }
    }
}
