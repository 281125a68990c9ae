//! `statx(2)`.

use super::{NulInPath, Operation, WaitWithout, c_path};
use crate::fd::SharedFd;
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::ffi::CString;
use std::os::fd::{AsRawFd, RawFd};
use std::path::Path;
use std::{fmt, io, mem};

/// What is known about a file.
pub struct Statx {
    directory: Option<SharedFd>,
    path: CString,
    flags: i32,
    mask: u32,
    data: Box<libc::statx>,
}

impl Statx {
    /// About the file at `path`; of a symbolic link, about what it points to.
    ///
    /// # Errors
    ///
    /// If the path has a NUL in it.
    pub fn path(path: &Path) -> Result<Self, NulInPath> {
        Ok(Self::with(None, c_path(path)?, 0))
    }

    /// About an open file.
    pub fn fd(fd: SharedFd) -> Self {
        Self::with(Some(fd), CString::default(), libc::AT_EMPTY_PATH)
    }

    fn with(directory: Option<SharedFd>, path: CString, flags: i32) -> Self {
        let mask = libc::STATX_BASIC_STATS | libc::STATX_BTIME;
        // SAFETY: all zeroes is a value of it.
        let data = Box::new(unsafe { mem::zeroed() });
        Self { directory, path, flags, mask, data }
    }

    /// A relative path is taken from this directory instead of the working directory.
    pub fn at(self, directory: SharedFd) -> Self {
        Self { directory: Some(directory), ..self }
    }

    /// With further flags, such as `AT_SYMLINK_NOFOLLOW`.
    pub fn flags(self, flags: i32) -> Self {
        Self { flags: self.flags | flags, ..self }
    }

    /// Asks for these fields (`STATX_SIZE` and the like) instead of all.
    pub fn mask(self, mask: u32) -> Self {
        Self { mask, ..self }
    }
}

// SAFETY: the kernel is told the addresses of path and data, which are owned and on the heap; one
// completion.
unsafe impl Operation for Statx {
    type Output = io::Result<Box<libc::statx>>;
    const NAME: &'static str = "statx";
    const WAIT: WaitKind = WaitKind::File;

    fn entry(&mut self) -> squeue::Entry {
        let data = (&raw mut *self.data).cast();
        opcode::Statx::new(types::Fd(self.descriptor_at()), self.path.as_ptr(), data)
            .flags(self.flags)
            .mask(self.mask)
            .build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let (at, path, data) = (self.descriptor_at(), self.path.as_ptr(), &raw mut *self.data);
        // SAFETY: the path ends with a NUL, and the data is a whole `statx`.
        sys::retry(|| sys::check(unsafe { libc::statx(at, path, self.flags, self.mask, data) }))
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        result.map(|_| self.data)
    }

    fn dispose(self, _: io::Result<i32>) {}

    fn lost(error: io::Error) -> Self::Output {
        Err(error)
    }

    fn descriptor(&self) -> RawFd {
        self.directory.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }
}

impl Statx {
    fn descriptor_at(&self) -> RawFd {
        self.directory.as_ref().map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd)
    }
}

impl fmt::Debug for Statx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statx")
            .field("directory", &self.directory)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
