//! What the system knows of a file.

use std::fmt;
use std::time::{Duration, SystemTime};

/// What the system knows of a file.
#[derive(Clone)]
pub struct Metadata(Box<libc::statx>);

impl Metadata {
    pub(super) fn new(statx: Box<libc::statx>) -> Self {
        Self(statx)
    }

    /// Its size, in bytes.
    #[allow(clippy::len_without_is_empty, reason = "as in the standard library")]
    pub fn len(&self) -> u64 {
        self.0.stx_size
    }

    /// Its kind and permissions, as `stat(2)` encodes them.
    pub fn mode(&self) -> u32 {
        self.0.stx_mode.into()
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == libc::S_IFREG
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }

    /// Whether it is a symbolic link (never where links are followed).
    pub fn is_symlink(&self) -> bool {
        self.kind() == libc::S_IFLNK
    }

    /// When its contents were last changed.
    pub fn modified(&self) -> SystemTime {
        let stamp = self.0.stx_mtime;
        let fraction = Duration::from_nanos(stamp.tv_nsec.into());
        let seconds = Duration::from_secs(stamp.tv_sec.unsigned_abs());
        // Before 1970 the seconds are negative, the fraction is not.
        if stamp.tv_sec < 0 {
            SystemTime::UNIX_EPOCH - seconds + fraction
        } else {
            SystemTime::UNIX_EPOCH + seconds + fraction
        }
    }

    /// Its number in its file system.
    pub fn ino(&self) -> u64 {
        self.0.stx_ino
    }

    fn kind(&self) -> u32 {
        self.mode() & libc::S_IFMT
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metadata")
            .field("len", &self.len())
            .field("mode", &format_args!("{:o}", self.mode()))
            .field("modified", &self.modified())
            .finish_non_exhaustive()
    }
}
