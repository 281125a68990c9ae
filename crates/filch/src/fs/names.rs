//! The names of files.

use super::on_pool::on_pool;
use super::on_ring;
use crate::io::failed;
use filch_uring::op;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// What is said of all that is done to the names of a file: of one, or of two.
macro_rules! once_begun {
    ($named:literal) => {
        concat!(
            "# Errors\n\nThe system's, naming ",
            $named,
            ". Without a runtime on this thread.\n\n",
            "# Cancel safety\n\nDropped, it may or may not happen, also a little later."
        )
    };
}

/// Gives a file or directory another name, in the same file system; what had that name is replaced.
///
/// ```
/// # let path = std::env::temp_dir().join(format!("filch-rename-doc-{}", std::process::id()));
/// # filch::run(async {
/// // Who reads it finds what was there before, or all of what is there now.
/// let new = path.with_extension("new");
/// filch::fs::write(&new, "all of it").await?;
/// filch::fs::rename(&new, &path).await?;
/// # assert_eq!(filch::fs::read(&path).await?, b"all of it");
/// # std::fs::remove_file(&path)
/// # }).unwrap();
/// ```
///
/// # Errors
///
/// The system's, naming both paths: [`CrossesDevices`](io::ErrorKind::CrossesDevices) into another file system.
/// Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it may or may not happen, also a little later.
#[track_caller]
#[doc(alias = "replace")]
pub fn rename(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
) -> impl Future<Output = io::Result<()>> + Send {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    let at = Location::caller();
    async move {
        on_ring(op::Rename::new(&from, &to), at).await.map_err(|error| {
            failed("rename", format_args!("{} to {}", from.display(), to.display()), error)
        })
    }
}

/// Takes a name away: that of a file, or of a symbolic link. The file itself goes with its last name, when
/// nobody has it open any more.
///
#[doc = once_begun!("the path")]
#[track_caller]
#[doc(alias = "unlink")]
pub fn remove_file(path: impl AsRef<Path>) -> impl Future<Output = io::Result<()>> + Send {
    let (path, at) = (path.as_ref().to_owned(), Location::caller());
    async move {
        on_ring(op::Unlink::file(&path), at)
            .await
            .map_err(|error| failed("remove", path.display(), error))
    }
}

/// Gives the file `original` one more name, `link`, in the same file system.
///
#[doc = once_begun!("both paths")]
#[track_caller]
#[doc(alias = "link")]
pub fn hard_link(
    original: impl AsRef<Path>,
    link: impl AsRef<Path>,
) -> impl Future<Output = io::Result<()>> + Send {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    let at = Location::caller();
    async move {
        on_ring(op::HardLink::new(&original, &link), at).await.map_err(|error| {
            failed("link", format_args!("{} to {}", link.display(), original.display()), error)
        })
    }
}

/// Makes a symbolic link, at `link`, to `original`, which need not be there.
///
#[doc = once_begun!("both paths")]
#[track_caller]
pub fn symlink(
    original: impl AsRef<Path>,
    link: impl AsRef<Path>,
) -> impl Future<Output = io::Result<()>> + Send {
    let (original, link) = (original.as_ref().to_owned(), link.as_ref().to_owned());
    let at = Location::caller();
    async move {
        on_ring(op::Symlink::new(&original, &link), at).await.map_err(|error| {
            failed("link", format_args!("{} to {}", link.display(), original.display()), error)
        })
    }
}

/// What a symbolic link points to. On a thread for what blocks.
///
/// # Errors
///
/// The system's, naming the path: [`InvalidInput`](io::ErrorKind::InvalidInput) if it is none. Without a runtime
/// on this thread.
///
/// # Cancel safety
///
/// Dropped, nothing is left behind.
#[track_caller]
pub fn read_link(path: impl AsRef<Path>) -> impl Future<Output = io::Result<PathBuf>> + Send {
    let (path, at) = (path.as_ref().to_owned(), Location::caller());
    on_pool(at, move || {
        std::fs::read_link(&path).map_err(|error| failed("read the link", path.display(), error))
    })
}

/// The path from the root, without symbolic links, `.` and `..`. On a thread for what blocks.
///
/// # Errors
///
/// The system's, naming the path. Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, nothing is left behind.
#[track_caller]
#[doc(alias = "realpath")]
pub fn canonicalize(path: impl AsRef<Path>) -> impl Future<Output = io::Result<PathBuf>> + Send {
    let (path, at) = (path.as_ref().to_owned(), Location::caller());
    on_pool(at, move || {
        std::fs::canonicalize(&path).map_err(|error| failed("resolve", path.display(), error))
    })
}
