//! `linkat(2)`.

use super::{NulInPath, Operation, WaitWithout, c_path};
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::ffi::CString;
use std::io;
use std::path::Path;

/// Gives a file one more name. Of a symbolic link, to the link itself.
#[derive(Debug)]
pub struct HardLink {
    file: CString,
    name: CString,
}

impl HardLink {
    /// Of the file at `file`, at `name`.
    ///
    /// # Errors
    ///
    /// If a path has a NUL in it.
    pub fn new(file: &Path, name: &Path) -> Result<Self, NulInPath> {
        Ok(Self { file: c_path(file)?, name: c_path(name)? })
    }
}

// SAFETY: the kernel is told the addresses of the paths, which are owned and on the heap; one completion.
unsafe impl Operation for HardLink {
    type Output = io::Result<()>;
    const NAME: &'static str = "link";
    const WAIT: WaitKind = WaitKind::File;

    fn entry(&mut self) -> squeue::Entry {
        let here = types::Fd(libc::AT_FDCWD);
        opcode::LinkAt::new(here, self.file.as_ptr(), here, self.name.as_ptr()).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let (file, name, here) = (self.file.as_ptr(), self.name.as_ptr(), libc::AT_FDCWD);
        // SAFETY: the paths end with a NUL.
        sys::retry(|| sys::check(unsafe { libc::linkat(here, file, here, name, 0) }))
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    gives_nothing!();
}
