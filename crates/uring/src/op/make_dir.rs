//! `mkdirat(2)`.

use super::{NulInPath, Operation, WaitWithout, c_path};
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::ffi::CString;
use std::io;
use std::path::Path;

/// Makes a directory.
#[derive(Debug)]
pub struct MakeDir {
    path: CString,
    mode: libc::mode_t,
}

impl MakeDir {
    /// At `path`, with the permissions `mode`, less the process's umask.
    ///
    /// # Errors
    ///
    /// If the path has a NUL in it.
    pub fn new(path: &Path, mode: u32) -> Result<Self, NulInPath> {
        Ok(Self { path: c_path(path)?, mode })
    }
}

// SAFETY: the kernel is told the address of the path, which is owned and on the heap; one completion.
unsafe impl Operation for MakeDir {
    type Output = io::Result<()>;
    const NAME: &'static str = "mkdir";
    const WAIT: WaitKind = WaitKind::File;

    fn entry(&mut self) -> squeue::Entry {
        let here = types::Fd(libc::AT_FDCWD);
        opcode::MkDirAt::new(here, self.path.as_ptr()).mode(self.mode).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let path = self.path.as_ptr();
        // SAFETY: the path ends with a NUL.
        sys::retry(|| sys::check(unsafe { libc::mkdirat(libc::AT_FDCWD, path, self.mode) }))
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    gives_nothing!();
}
