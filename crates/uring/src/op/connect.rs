//! `connect(2)`.

use super::{Operation, WaitWithout};
use crate::addr::SockAddr;
use crate::fd::SharedFd;
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Connects a socket.
///
/// Dropped in flight, the connection may or may not come to be: the socket is of no further use.
#[derive(Debug)]
pub struct Connect {
    fd: SharedFd,
    address: SockAddr,
}

impl Connect {
    /// Connects `fd` to `address`.
    pub fn new(fd: SharedFd, address: impl Into<SockAddr>) -> Self {
        Self { fd, address: address.into() }
    }
}

// SAFETY: the kernel is told the address of a field, which stays put while `self` does; one completion.
unsafe impl Operation for Connect {
    type Output = io::Result<()>;
    const NAME: &'static str = "connect";
    const WAIT: WaitKind = WaitKind::Connect;

    fn entry(&mut self) -> squeue::Entry {
        let (address, len) = (self.address.as_ptr(), self.address.len());
        opcode::Connect::new(types::Fd(self.fd.as_raw_fd()), address, len).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        // SAFETY: the address has `len` bytes. Not called again after a signal: the connection goes on
        // in the background then, and a second call would say so.
        sys::check(unsafe {
            libc::connect(self.fd.as_raw_fd(), self.address.as_ptr(), self.address.len())
        })
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    gives_nothing!();

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
