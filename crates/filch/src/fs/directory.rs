//! Directories that come and go.

use super::on_pool::on_pool;
use super::{metadata, on_ring};
use crate::io::failed;
use filch_uring::op;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// Makes a directory, for everybody to use, less the process's umask.
///
/// # Errors
///
/// The system's, naming the path. Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it may or may not happen, also a little later.
#[track_caller]
#[doc(alias = "mkdir")]
pub fn create_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> + Send {
    make(path.as_ref().to_owned(), Location::caller())
}

/// Makes a directory, and those on the way to it that are missing. One that is there is no error.
///
/// # Errors
///
/// The system's, naming the directory that could not be made. Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, those on the way may be there.
#[track_caller]
#[doc(alias = "makedirs")]
pub fn create_dir_all(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> + Send {
    let (path, at) = (path.as_ref().to_owned(), Location::caller());
    async move {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        // Upwards, to the first that is there or can be made; then downwards.
        let mut missing = Vec::new();
        let mut here = path.as_path();
        loop {
            match make(here.to_owned(), at).await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => match here.parent() {
                    Some(above) if !above.as_os_str().is_empty() => {
                        missing.push(here);
                        here = above;
                    }
                    _ => return Err(error),
                },
                made => break or_is_there(made, here).await?,
            }
        }
        while let Some(below) = missing.pop() {
            or_is_there(make(below.to_owned(), at).await, below).await?;
        }
        Ok(())
    }
}

/// Removes an empty directory.
///
/// # Errors
///
/// The system's, naming the path: [`DirectoryNotEmpty`](io::ErrorKind::DirectoryNotEmpty). Without a runtime on
/// this thread.
///
/// # Cancel safety
///
/// Dropped, it may or may not happen, also a little later.
#[track_caller]
#[doc(alias = "rmdir")]
pub fn remove_dir(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> + Send {
    let (path, at) = (path.as_ref().to_owned(), Location::caller());
    async move {
        on_ring(op::Unlink::directory(&path), at)
            .await
            .map_err(|error| failed("remove", path.display(), error))
    }
}

/// Removes a directory with all that is in it; of symbolic links the links. On a thread for what blocks, by the
/// standard library, which cannot be lured elsewhere by links that appear meanwhile.
///
/// # Errors
///
/// The system's, naming the path that it was given. Then a part may be gone. Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped before it has begun, nothing happens; begun it runs to its end.
#[track_caller]
#[doc(alias = "rmtree")]
pub fn remove_dir_all(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> + Send {
    let (path, at) = (path.as_ref().to_owned(), Location::caller());
    on_pool(at, move || {
        std::fs::remove_dir_all(&path).map_err(|error| failed("remove", path.display(), error))
    })
}

async fn make(path: PathBuf, at: &'static Location<'static>) -> io::Result<()> {
    on_ring(op::MakeDir::new(&path, 0o777), at)
        .await
        .map_err(|error| failed("make the directory", path.display(), error))
}

/// Whatever the system finds wrong with making a directory: if there is one it is fine.
async fn or_is_there(made: io::Result<()>, path: &Path) -> io::Result<()> {
    match made {
        Err(error) if !metadata(path).await.is_ok_and(|found| found.is_dir()) => Err(error),
        _ => Ok(()),
    }
}
