//! How one sees that a file has changed, without reading it.

use filch::fs::File;
use filch::time::sleep;
use std::io;
use std::time::{Duration, SystemTime};

/// The clock that the kernel stamps files with moves in steps of up to 10 ms. A file that was changed
/// just now could change again within the same step.
const GRAIN: Duration = Duration::from_millis(20);

/// What differs when a file has been written to, cut, or replaced by another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) len: u64,
    modified: SystemTime,
    inode: u64,
}

impl Stamp {
    pub(crate) async fn of(file: &File) -> io::Result<Self> {
        let what = file.metadata().await?;
        Ok(Self { len: what.len(), modified: what.modified(), inode: what.ino() })
    }

    /// A stamp that any later change is sure to differ from. For a file that was changed just now, that
    /// takes a moment.
    pub(crate) async fn settled(file: &File) -> io::Result<Self> {
        loop {
            let stamp = Self::of(file).await?;
            match stamp.modified.elapsed() {
                Ok(age) if age < GRAIN => sleep(GRAIN - age).await,
                // Older; or from the future, where no change of today can take it.
                _ => return Ok(stamp),
            }
        }
    }
}
