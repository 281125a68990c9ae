//! What the system knows of a file.

use super::on_pool::on_pool;
use super::on_ring;
use crate::io::failed;
use filch_uring::op;
use std::fs::Permissions;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::panic::Location;
use std::path::Path;
use std::time::{Duration, SystemTime};
use std::{fmt, io};

/// What is asked for.
const FIELDS: u32 = libc::STATX_BASIC_STATS | libc::STATX_BTIME | libc::STATX_DIOALIGN;

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
#[doc(alias = "stat")]
pub fn metadata(path: impl AsRef<Path>) -> impl Future<Output = io::Result<Metadata>> + Send {
    let path = path.as_ref();
    look_at(op::Statx::path(path), path.to_owned(), Location::caller())
}

/// As [`metadata`], of a symbolic link about the link itself.
///
/// # Errors
///
/// As [`metadata`].
///
/// # Cancel safety
///
/// As [`metadata`].
#[track_caller]
#[doc(alias = "lstat")]
pub fn symlink_metadata(
    path: impl AsRef<Path>,
) -> impl Future<Output = io::Result<Metadata>> + Send {
    let path = path.as_ref();
    let statx = op::Statx::path(path).map(|statx| statx.flags(libc::AT_SYMLINK_NOFOLLOW));
    look_at(statx, path.to_owned(), Location::caller())
}

/// Whether there is a file at `path`; links are followed.
///
/// # Errors
///
/// If that cannot be told: a directory on the way may not be searched, say. The error names the path. Without a
/// runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, nothing is left behind.
#[track_caller]
#[doc(alias = "exists")]
pub fn try_exists(path: impl AsRef<Path>) -> impl Future<Output = io::Result<bool>> + Send {
    let found = metadata(path);
    async {
        match found.await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Sets the permissions of the file at `path`; links are followed. On a thread for what blocks.
///
/// # Errors
///
/// The system's, naming the path. Without a runtime on this thread.
///
/// # Cancel safety
///
/// Dropped, it may or may not happen, also a little later.
#[track_caller]
#[doc(alias = "chmod")]
pub fn set_permissions(
    path: impl AsRef<Path>,
    permissions: Permissions,
) -> impl Future<Output = io::Result<()>> + Send {
    let (path, at) = (path.as_ref().to_owned(), Location::caller());
    on_pool(at, move || {
        std::fs::set_permissions(&path, permissions)
            .map_err(|error| failed("set the permissions of", path.display(), error))
    })
}

async fn look_at(
    statx: Result<op::Statx, op::NulInPath>,
    path: std::path::PathBuf,
    at: &'static Location<'static>,
) -> io::Result<Metadata> {
    let found = on_ring(statx.map(|statx| statx.mask(FIELDS)), at).await;
    found.map(Metadata).map_err(|error| failed("look at", path.display(), error))
}

/// What the system knows of a file.
#[derive(Clone)]
pub struct Metadata(Box<libc::statx>);

impl Metadata {
    /// The operation that asks for it.
    pub(super) fn query(statx: op::Statx) -> op::Statx {
        statx.mask(FIELDS)
    }

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

    /// Its permissions.
    pub fn permissions(&self) -> Permissions {
        Permissions::from_mode(self.mode())
    }

    /// Its kind.
    pub fn file_type(&self) -> FileType {
        FileType(self.mode() & libc::S_IFMT)
    }

    /// Whether it is a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type().is_file()
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.file_type().is_dir()
    }

    /// Whether it is a symbolic link (never where links are followed).
    pub fn is_symlink(&self) -> bool {
        self.file_type().is_symlink()
    }

    /// When its contents were last changed.
    pub fn modified(&self) -> SystemTime {
        time(&self.0.stx_mtime)
    }

    /// When it was last read, as far as the file system keeps a record.
    pub fn accessed(&self) -> SystemTime {
        time(&self.0.stx_atime)
    }

    /// When its contents, or anything else that is known of it, was last changed.
    pub fn changed(&self) -> SystemTime {
        time(&self.0.stx_ctime)
    }

    /// When it was made, if the file system keeps a record.
    pub fn created(&self) -> Option<SystemTime> {
        (self.0.stx_mask & libc::STATX_BTIME != 0).then(|| time(&self.0.stx_btime))
    }

    /// Its number in its file system.
    pub fn ino(&self) -> u64 {
        self.0.stx_ino
    }

    /// Its file system, as `stat(2)` numbers them.
    pub fn dev(&self) -> u64 {
        libc::makedev(self.0.stx_dev_major, self.0.stx_dev_minor)
    }

    /// How many names it has.
    pub fn nlink(&self) -> u64 {
        self.0.stx_nlink.into()
    }

    /// The user that owns it.
    pub fn uid(&self) -> u32 {
        self.0.stx_uid
    }

    /// The group that owns it.
    pub fn gid(&self) -> u32 {
        self.0.stx_gid
    }

    /// How much it takes up, in units of 512 bytes.
    pub fn blocks(&self) -> u64 {
        self.0.stx_blocks
    }

    /// To what buffers, and places and lengths in the file, have to be aligned, in bytes, to be read and written
    /// around the page cache ([`OpenOptions::direct`](super::OpenOptions::direct)). None if the file system does
    /// not say; zeroes if it cannot be done.
    pub fn direct_alignment(&self) -> Option<(u32, u32)> {
        let says = self.0.stx_mask & libc::STATX_DIOALIGN != 0;
        says.then_some((self.0.stx_dio_mem_align, self.0.stx_dio_offset_align))
    }
}

fn time(stamp: &libc::statx_timestamp) -> SystemTime {
    let fraction = Duration::from_nanos(stamp.tv_nsec.into());
    let seconds = Duration::from_secs(stamp.tv_sec.unsigned_abs());
    // Before 1970 the seconds are negative, the fraction is not.
    if stamp.tv_sec < 0 {
        SystemTime::UNIX_EPOCH - seconds + fraction
    } else {
        SystemTime::UNIX_EPOCH + seconds + fraction
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

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileType(u32);

impl FileType {
    pub(super) fn of(kind: std::fs::FileType) -> Self {
        let kinds = [
            (kind.is_dir(), libc::S_IFDIR),
            (kind.is_symlink(), libc::S_IFLNK),
            (kind.is_fifo(), libc::S_IFIFO),
            (kind.is_socket(), libc::S_IFSOCK),
            (kind.is_block_device(), libc::S_IFBLK),
            (kind.is_char_device(), libc::S_IFCHR),
        ];
        let kind = kinds.into_iter().find(|kind| kind.0);
        Self(kind.map_or(libc::S_IFREG, |kind| kind.1))
    }

    /// A regular file.
    pub fn is_file(self) -> bool {
        self.0 == libc::S_IFREG
    }

    /// A directory.
    pub fn is_dir(self) -> bool {
        self.0 == libc::S_IFDIR
    }

    /// A symbolic link.
    pub fn is_symlink(self) -> bool {
        self.0 == libc::S_IFLNK
    }

    /// A pipe with a name.
    pub fn is_fifo(self) -> bool {
        self.0 == libc::S_IFIFO
    }

    /// A socket.
    pub fn is_socket(self) -> bool {
        self.0 == libc::S_IFSOCK
    }

    /// A device that is read and written in blocks.
    pub fn is_block_device(self) -> bool {
        self.0 == libc::S_IFBLK
    }

    /// Any other device.
    pub fn is_char_device(self) -> bool {
        self.0 == libc::S_IFCHR
    }
}
