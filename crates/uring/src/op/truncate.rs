//! `ftruncate(2)`.

use super::{Operation, WaitWithout};
use crate::fd::SharedFd;
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{Probe, Submitter, opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::OnceLock;

/// Whether rings know it, which the first one of the process was asked.
static IS_KNOWN: OnceLock<bool> = OnceLock::new();

/// Makes a file so long: what is behind goes, what is missing reads as zeroes. In a ring since kernel 6.9;
/// before, that is refused with `EINVAL`.
#[derive(Debug)]
pub struct Truncate {
    fd: SharedFd,
    len: u64,
}

impl Truncate {
    /// Makes the file `len` bytes long.
    pub fn new(fd: SharedFd, len: u64) -> Self {
        Self { fd, len }
    }

    /// Whether the kernel's rings know it. If not, `EINVAL` says that nothing was tried; otherwise that the system has
    /// refused it. False where no ring could tell, or there has been none yet.
    pub fn is_known() -> bool {
        IS_KNOWN.get().copied().unwrap_or(false)
    }

    /// Asks a ring whether it knows it, if none was asked before: one system call.
    pub(crate) fn learn(ring: &Submitter<'_>) {
        IS_KNOWN.get_or_init(|| {
            let mut probe = Probe::new();
            ring.register_probe(&mut probe).is_ok() && probe.is_supported(opcode::Ftruncate::CODE)
        });
    }
}

// SAFETY: no memory is involved; one completion.
unsafe impl Operation for Truncate {
    type Output = io::Result<()>;
    const NAME: &'static str = "truncate";
    const WAIT: WaitKind = WaitKind::File;
    const CANCEL_ON_DROP: bool = false;

    /// No file is as long.
    fn check(&self) -> io::Result<()> {
        match i64::try_from(self.len) {
            Ok(_) => Ok(()),
            Err(_) => Err(io::Error::from_raw_os_error(libc::EINVAL)),
        }
    }

    fn entry(&mut self) -> squeue::Entry {
        opcode::Ftruncate::new(types::Fd(self.fd.as_raw_fd()), self.len).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let (fd, len) = (self.fd.as_raw_fd(), self.len as i64);
        // SAFETY: no pointers.
        sys::retry(|| sys::check(unsafe { libc::ftruncate(fd, len) }))
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    gives_nothing!();

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
