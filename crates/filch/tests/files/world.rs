//! Directories and file systems for a test alone.

use crate::support::temp;
use std::ffi::{CStr, CString};
use std::io;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr;

/// A directory that goes with all that is in it.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new(name: &str) -> Self {
        Self::at(temp(name))
    }

    pub(crate) fn at(path: PathBuf) -> Self {
        std::fs::create_dir(&path).expect("directories can be made there");
        Self(path)
    }
}

impl Deref for TempDir {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The system's number of an error.
pub(crate) fn number(error: &io::Error) -> Option<i32> {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<filch::io::Failed>());
    inner.map_or(error.raw_os_error(), |failed| failed.system().raw_os_error())
}

/// Mounts a small file system in memory on a directory, which only this thread, and those that it starts, see. For
/// a process of its own. Says why if it is not allowed.
pub(crate) fn mount_small(at: &Path, bytes: usize) -> Result<(), String> {
    mount_memory(at, &format!("size={bytes}"))
}

/// As [`mount_small`], with a quota for each user. (The superuser has none.)
pub(crate) fn mount_quota(at: &Path, bytes: usize, quota: usize) -> Result<(), String> {
    mount_memory(at, &format!("size={bytes},usrquota,usrquota_block_hardlimit={quota}"))
}

fn mount_memory(at: &Path, options: &str) -> Result<(), String> {
    // SAFETY: no pointers.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(format!("unshare: {}", io::Error::last_os_error()));
    }
    mount(c"none", Path::new("/"), c"", libc::MS_REC | libc::MS_PRIVATE, c"")?;
    let options = CString::new(options).expect("no NUL");
    mount(c"tmpfs", at, c"tmpfs", 0, &options)
}

/// Has it read only.
pub(crate) fn make_read_only(at: &Path) -> Result<(), String> {
    mount(c"none", at, c"", libc::MS_REMOUNT | libc::MS_RDONLY, c"")
}

fn mount(what: &CStr, at: &Path, kind: &CStr, flags: u64, options: &CStr) -> Result<(), String> {
    let path = CString::new(at.as_os_str().as_bytes()).expect("no NUL");
    let options = if options.is_empty() { ptr::null() } else { options.as_ptr().cast() };
    // SAFETY: each text ends with a NUL.
    match unsafe { libc::mount(what.as_ptr(), path.as_ptr(), kind.as_ptr(), flags, options) } {
        0 => Ok(()),
        _ => Err(format!("mount on {}: {}", at.display(), io::Error::last_os_error())),
    }
}
