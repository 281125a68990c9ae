//! Files, through the ring: no thread waits for a disk.
//!
//! ```
//! # let path = std::env::temp_dir().join(format!("filch-fs-doc-{}", std::process::id()));
//! # filch::run(async {
//! filch::fs::write(&path, "hello").await?;
//! assert_eq!(filch::fs::read(&path).await?, b"hello");
//! # std::fs::remove_file(&path)
//! # }).unwrap();
//! ```

mod cursor;
mod file;
mod metadata;
mod open;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
mod polled;

pub use file::File;
pub use metadata::Metadata;
pub use open::OpenOptions;

use crate::home::Home;
use crate::io::{Write, failed};
use filch_uring::op;
use std::io;
use std::panic::Location;
use std::path::Path;

/// Reads a whole file.
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
        let file = File::open(&path).await?;
        file.read_whole().await.map_err(|error| failed("read", path.display(), error))
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

/// What the system knows of the file at `path`; links are followed.
///
/// # Errors
///
/// If there is no such file, or a directory on the way may not be searched: the error names the path.
/// Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, nothing is left behind.
#[track_caller]
pub fn metadata(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Metadata>> + Send {
    let (path, at) = (path.as_ref().to_owned(), Location::caller());
    async move {
        let home = Home::current()?;
        let statx = op::Statx::path(&path)?;
        let found = home.run(statx, at).await;
        found.map(Metadata::new).map_err(|error| failed("look at", path.display(), error))
    }
}
