//! `unlinkat(2)`.

use super::{NulInPath, Operation, WaitWithout, c_path};
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::ffi::CString;
use std::io;
use std::path::Path;

/// Takes a name away, and what it named with it, if that was its last name and nobody has it open.
#[derive(Debug)]
pub struct Unlink {
    path: CString,
    flags: i32,
}

impl Unlink {
    /// Of what is no directory.
    ///
    /// # Errors
    ///
    /// If the path has a NUL in it.
    pub fn file(path: &Path) -> Result<Self, NulInPath> {
        Ok(Self { path: c_path(path)?, flags: 0 })
    }

    /// Of a directory, which has to be empty.
    ///
    /// # Errors
    ///
    /// If the path has a NUL in it.
    pub fn directory(path: &Path) -> Result<Self, NulInPath> {
        Ok(Self { path: c_path(path)?, flags: libc::AT_REMOVEDIR })
    }
}

// SAFETY: the kernel is told the address of the path, which is owned and on the heap; one completion.
unsafe impl Operation for Unlink {
    type Output = io::Result<()>;
    const NAME: &'static str = "unlink";
    const WAIT: WaitKind = WaitKind::File;

    fn entry(&mut self) -> squeue::Entry {
        let here = types::Fd(libc::AT_FDCWD);
        opcode::UnlinkAt::new(here, self.path.as_ptr()).flags(self.flags).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let path = self.path.as_ptr();
        // SAFETY: the path ends with a NUL.
        sys::retry(|| sys::check(unsafe { libc::unlinkat(libc::AT_FDCWD, path, self.flags) }))
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    gives_nothing!();
}
