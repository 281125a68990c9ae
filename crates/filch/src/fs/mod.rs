//! Files, through the ring: no thread waits for a disk.
//!
//! ```
//! # let path = std::env::temp_dir().join(format!("filch-fs-doc-{}", std::process::id()));
//! # filch::run(async {
//! filch::fs::write(&path, "hello").await?;
//! assert_eq!(filch::fs::read(&path).await?, b"hello");
//! filch::fs::remove_file(&path).await
//! # }).unwrap();
//! ```
//!
//! What the kernel has no ring operation for (reading directories, permissions, `canonicalize`, copying, locks)
//! runs on the runtime's threads for what blocks.
//!
//! Errors name what was tried, and the path: see [`Failed`](crate::io::Failed), where the system's error number
//! is. Those of an open file, which has no path, are the system's.
//!
//! What becomes of written data, and when, is in `docs/files.md`, with numbered rules.

mod at_once;
mod copy;
mod cursor;
mod directory;
mod end;
mod file;
mod lock;
mod metadata;
mod names;
mod on_pool;
mod open;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
mod polled;
mod read_dir;
mod sync;
mod temp;
mod whole;

pub use copy::copy;
pub use directory::{create_dir, create_dir_all, remove_dir, remove_dir_all};
pub use end::IntoStdError;
pub use filch_uring::AlignedBuf;
pub use file::File;
pub(crate) use file::known;
pub use metadata::{FileType, Metadata, metadata, set_permissions, symlink_metadata, try_exists};
pub use names::{canonicalize, hard_link, read_link, remove_file, rename, symlink};
pub use open::OpenOptions;
pub use read_dir::{DirEntry, ReadDir, read_dir};
#[doc(no_inline)]
pub use std::fs::{Permissions, TryLockError};
pub use temp::{TempFile, tempfile, tempfile_in};
pub use whole::{read, read_to_string, write};

use crate::home::Home;
use filch_uring::Operation;
use filch_uring::op::NulInPath;
use std::io;
use std::panic::Location;

/// Runs an operation on paths, on behalf of the code at `at`.
async fn on_ring<T, R>(
    operation: Result<T, NulInPath>,
    at: &'static Location<'static>,
) -> io::Result<R>
where
    T: Operation<Output = io::Result<R>>,
{
    let home = Home::current()?;
    home.run(operation?, at).await
}
