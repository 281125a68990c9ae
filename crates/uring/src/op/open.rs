//! `openat(2)`.

use super::{Operation, WaitWithout, tried_first};
use crate::fd::{SharedFd, opened};
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{error, fmt, io};

/// Opens a file, close-on-exec, without O_NONBLOCK unless asked. Gives the path back too; an empty one if it is lost
/// to the kernel.
///
/// A FIFO that has no reader yet is a special case: opened for writing only, it is to wait for one, as
/// with `open(2)`. A ring however tries without waiting first, and a FIFO that is tried so is refused,
/// with `ENXIO`. Who sees that error without having asked for O_NONBLOCK opens it
/// [in a kernel thread](Self::in_kernel_thread).
#[derive(Debug)]
pub struct Open {
    directory: Option<SharedFd>,
    path: CString,
    flags: i32,
    mode: libc::mode_t,
    in_kernel_thread: bool,
}

impl Open {
    /// Opens `path` with `open(2)`'s flags, and, should it be created, `mode`.
    ///
    /// # Errors
    ///
    /// If the path has a NUL in it.
    pub fn new(path: &Path, flags: i32, mode: u32) -> Result<Self, NulInPath> {
        Ok(Self::with_c_path(c_path(path)?, flags, mode))
    }

    /// As [`new`](Self::new), of a path as the kernel wants it: [`c_path`].
    pub fn with_c_path(path: CString, flags: i32, mode: u32) -> Self {
        let flags = flags | libc::O_CLOEXEC;
        Self { directory: None, path, flags, mode, in_kernel_thread: false }
    }

    /// Opens it in a thread of the kernel's, without trying first whether it can be done at once. Costs a
    /// hand-over (opening and closing a file whose path is cached then takes 2.5 times as long), and is
    /// needed for nothing but a FIFO without readers.
    pub fn in_kernel_thread(self) -> Self {
        Self { in_kernel_thread: true, ..self }
    }

    /// A relative path is taken from this directory instead of the working directory.
    pub fn at(self, directory: SharedFd) -> Self {
        Self { directory: Some(directory), ..self }
    }

    fn directory(&self) -> i32 {
        self.directory.as_ref().map_or(libc::AT_FDCWD, AsRawFd::as_raw_fd)
    }
}

// SAFETY: the kernel is told the address of the path, which is owned and on the heap; one completion.
unsafe impl Operation for Open {
    type Output = (io::Result<OwnedFd>, CString);
    const NAME: &'static str = "open";
    const WAIT: WaitKind = WaitKind::File;

    fn entry(&mut self) -> squeue::Entry {
        let entry = opcode::OpenAt::new(types::Fd(self.directory()), self.path.as_ptr())
            .flags(self.flags)
            .mode(self.mode)
            .build();
        tried_first(entry, !self.in_kernel_thread)
    }

    fn call(&mut self) -> io::Result<i32> {
        let (directory, path) = (self.directory(), self.path.as_ptr());
        sys::retry(|| {
            // SAFETY: the path ends with a NUL.
            sys::check(unsafe { libc::openat(directory, path, self.flags, self.mode) })
        })
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        // SAFETY: `openat` opened it, and nobody else takes the result.
        (result.map(|fd| unsafe { opened(fd) }), self.path)
    }

    fn dispose(self, result: io::Result<i32>) {
        drop(self.complete(result));
    }

    fn lost(error: io::Error) -> Self::Output {
        (Err(error), CString::default())
    }
}

/// A path as the kernel wants it.
///
/// # Errors
///
/// If it has a NUL in it.
pub fn c_path(path: &Path) -> Result<CString, NulInPath> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| NulInPath(path.to_owned()))
}

/// A path that no file can have: there is a NUL in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NulInPath(PathBuf);

impl NulInPath {
    /// The path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for NulInPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the path {:?} has a NUL in it, which no file's path can", self.0)
    }
}

impl error::Error for NulInPath {}

impl From<NulInPath> for io::Error {
    fn from(error: NulInPath) -> Self {
        Self::new(io::ErrorKind::InvalidInput, error)
    }
}
