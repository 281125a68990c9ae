//! `symlinkat(2)`.

use super::{NulInPath, Operation, WaitWithout, c_path};
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::ffi::CString;
use std::io;
use std::path::Path;

/// Makes a symbolic link.
#[derive(Debug)]
pub struct Symlink {
    target: CString,
    link: CString,
}

impl Symlink {
    /// At `link`, to `target`, which need not be there.
    ///
    /// # Errors
    ///
    /// If a path has a NUL in it.
    pub fn new(target: &Path, link: &Path) -> Result<Self, NulInPath> {
        Ok(Self { target: c_path(target)?, link: c_path(link)? })
    }
}

// SAFETY: the kernel is told the addresses of the paths, which are owned and on the heap; one completion.
unsafe impl Operation for Symlink {
    type Output = io::Result<()>;
    const NAME: &'static str = "symlink";
    const WAIT: WaitKind = WaitKind::File;

    fn entry(&mut self) -> squeue::Entry {
        let here = types::Fd(libc::AT_FDCWD);
        opcode::SymlinkAt::new(here, self.target.as_ptr(), self.link.as_ptr()).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let (target, link) = (self.target.as_ptr(), self.link.as_ptr());
        // SAFETY: the paths end with a NUL.
        sys::retry(|| sys::check(unsafe { libc::symlinkat(target, libc::AT_FDCWD, link) }))
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    gives_nothing!();
}
