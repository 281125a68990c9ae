//! `renameat2(2)`.

use super::{NulInPath, Operation, WaitWithout, c_path};
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::ffi::CString;
use std::io;
use std::path::Path;

/// Gives a file another name, or another place in its file system. What had that name before is replaced.
#[derive(Debug)]
pub struct Rename {
    from: CString,
    to: CString,
    flags: u32,
}

impl Rename {
    /// Renames `from` to `to`.
    ///
    /// # Errors
    ///
    /// If a path has a NUL in it.
    pub fn new(from: &Path, to: &Path) -> Result<Self, NulInPath> {
        Ok(Self { from: c_path(from)?, to: c_path(to)?, flags: 0 })
    }

    /// With flags, such as `RENAME_NOREPLACE`.
    pub fn flags(self, flags: u32) -> Self {
        Self { flags, ..self }
    }
}

// SAFETY: the kernel is told the addresses of the paths, which are owned and on the heap; one completion.
unsafe impl Operation for Rename {
    type Output = io::Result<()>;
    const NAME: &'static str = "rename";
    const WAIT: WaitKind = WaitKind::File;

    fn entry(&mut self) -> squeue::Entry {
        let here = types::Fd(libc::AT_FDCWD);
        opcode::RenameAt::new(here, self.from.as_ptr(), here, self.to.as_ptr())
            .flags(self.flags)
            .build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let (from, to, here) = (self.from.as_ptr(), self.to.as_ptr(), libc::AT_FDCWD);
        // SAFETY: the paths end with a NUL.
        sys::retry(|| sys::check(unsafe { libc::renameat2(here, from, here, to, self.flags) }))
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    gives_nothing!();
}
