//! `close(2)`.

use super::{Operation, WaitWithout};
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

/// Closes a descriptor and gives the error that `close(2)` alone would tell, late write errors of a
/// network file system for instance. The descriptor is closed whatever the result.
#[derive(Debug)]
pub struct Close(OwnedFd);

impl Close {
    /// Closes `fd`.
    pub fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

// SAFETY: no memory is involved; one completion.
unsafe impl Operation for Close {
    type Output = io::Result<()>;
    const NAME: &'static str = "close";
    const WAIT: WaitKind = WaitKind::File;
    const CANCEL_ON_DROP: bool = false;

    fn entry(&mut self) -> squeue::Entry {
        opcode::Close::new(types::Fd(self.0.as_raw_fd())).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        // SAFETY: ours; `complete` sees to it that it is not closed twice.
        sys::check(unsafe { libc::close(self.0.as_raw_fd()) })
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        match result {
            // Never begun (cancelled, or no driver took it): dropping the descriptor closes it.
            Err(error) if never_begun(&error) => {
                drop(self.0);
                Err(error)
            }
            // Closed, whatever else the kernel says.
            result => {
                let _ = self.0.into_raw_fd();
                result.map(drop)
            }
        }
    }

    fn dispose(self, result: io::Result<i32>) {
        let _ = self.complete(result);
    }

    fn lost(error: io::Error) -> Self::Output {
        Err(error)
    }

    fn descriptor(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Whether the error is the ring's or the driver's, not the file's.
fn never_begun(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), None | Some(libc::ECANCELED))
}
