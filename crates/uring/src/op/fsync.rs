//! `fsync(2)` and `fdatasync(2)`.

use super::{Operation, WaitWithout};
use crate::fd::SharedFd;
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Brings what was written to a file to its device.
#[derive(Debug)]
pub struct Fsync {
    fd: SharedFd,
    data_only: bool,
}

impl Fsync {
    /// Data and everything about the file.
    pub fn new(fd: SharedFd) -> Self {
        Self { fd, data_only: false }
    }

    /// Data, and what is needed to read it back (`fdatasync(2)`).
    pub fn data_only(fd: SharedFd) -> Self {
        Self { fd, data_only: true }
    }
}

// SAFETY: no memory is involved; one completion.
unsafe impl Operation for Fsync {
    type Output = io::Result<()>;
    const NAME: &'static str = "fsync";
    const WAIT: WaitKind = WaitKind::File;
    const CANCEL_ON_DROP: bool = false;

    fn entry(&mut self) -> squeue::Entry {
        let flags = match self.data_only {
            true => types::FsyncFlags::DATASYNC,
            false => types::FsyncFlags::empty(),
        };
        opcode::Fsync::new(types::Fd(self.fd.as_raw_fd())).flags(flags).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let fd = self.fd.as_raw_fd();
        sys::retry(|| {
            sys::check(match self.data_only {
                // SAFETY: no pointers.
                true => unsafe { libc::fdatasync(fd) },
                // SAFETY: no pointers.
                false => unsafe { libc::fsync(fd) },
            })
        })
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        result.map(drop)
    }

    fn dispose(self, _: io::Result<i32>) {}

    fn lost(error: io::Error) -> Self::Output {
        Err(error)
    }

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
