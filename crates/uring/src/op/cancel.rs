//! Cancelling everything on a descriptor.

use super::{Operation, WaitWithout};
use crate::fd::SharedFd;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Cancels the operations on a descriptor that are in flight *in the ring that this one goes to*. Gives
/// how many there were. Each completes by itself, with `ECANCELED` or, if it was faster, its result.
///
/// Needs Linux 5.19; `EINVAL` before.
#[derive(Debug)]
pub struct CancelFd(SharedFd);

impl CancelFd {
    /// Cancels what is in flight on `fd`.
    pub fn new(fd: SharedFd) -> Self {
        Self(fd)
    }
}

// SAFETY: no memory is involved; one completion.
unsafe impl Operation for CancelFd {
    type Output = io::Result<usize>;
    const NAME: &'static str = "cancel";
    const WAIT: WaitKind = WaitKind::Other;
    const CANCEL_ON_DROP: bool = false;

    fn entry(&mut self) -> squeue::Entry {
        let fd = types::Fd(self.0.as_raw_fd());
        opcode::AsyncCancel2::new(types::CancelBuilder::fd(fd).all()).build()
    }

    /// Without a ring nothing is in flight in one; there is only the descriptor to check.
    fn call(&mut self) -> io::Result<i32> {
        // SAFETY: no pointers.
        crate::sys::check(unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_GETFD) }).map(|_| 0)
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Immediate
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        match result {
            Ok(cancelled) => Ok(cancelled as usize),
            // How some kernels say none.
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn dispose(self, _: io::Result<i32>) {}

    fn lost(error: io::Error) -> Self::Output {
        Err(error)
    }

    fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
