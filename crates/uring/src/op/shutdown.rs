//! `shutdown(2)`.

use super::{Operation, WaitWithout};
use crate::fd::SharedFd;
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::net;
use std::os::fd::{AsRawFd, RawFd};

/// Ends one or both directions of a connection.
#[derive(Debug)]
pub struct Shutdown {
    fd: SharedFd,
    how: i32,
}

impl Shutdown {
    /// Ends `how` of `fd`.
    pub fn new(fd: SharedFd, how: net::Shutdown) -> Self {
        let how = match how {
            net::Shutdown::Read => libc::SHUT_RD,
            net::Shutdown::Write => libc::SHUT_WR,
            net::Shutdown::Both => libc::SHUT_RDWR,
        };
        Self { fd, how }
    }
}

// SAFETY: no memory is involved; one completion.
unsafe impl Operation for Shutdown {
    type Output = io::Result<()>;
    const NAME: &'static str = "shutdown";
    const WAIT: WaitKind = WaitKind::Other;
    const CANCEL_ON_DROP: bool = false;

    fn entry(&mut self) -> squeue::Entry {
        opcode::Shutdown::new(types::Fd(self.fd.as_raw_fd()), self.how).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        // SAFETY: no pointers.
        sys::check(unsafe { libc::shutdown(self.fd.as_raw_fd(), self.how) })
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Immediate
    }

    gives_nothing!();

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
