//! `accept4(2)`.

use super::{Operation, WaitWithout};
use crate::fd::{SharedFd, opened};
use crate::{addr, sys};
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::{fmt, io, mem};

/// Accepts a connection. Gives the new descriptor (close-on-exec, blocking) and the peer's address
/// where it is an Internet address.
pub struct Accept {
    fd: SharedFd,
    // Large enough for Internet addresses; others are cut off by the kernel and not looked at.
    address: libc::sockaddr_in6,
    len: libc::socklen_t,
}

impl Accept {
    /// Accepts on the listening socket `fd`.
    pub fn new(fd: SharedFd) -> Self {
        // SAFETY: all zeroes is a value of it.
        let address = unsafe { mem::zeroed::<libc::sockaddr_in6>() };
        Self { fd, address, len: mem::size_of_val(&address) as libc::socklen_t }
    }
}

// SAFETY: the kernel is told the addresses of two fields, which stay put while `self` does; one
// completion.
unsafe impl Operation for Accept {
    type Output = io::Result<(OwnedFd, Option<SocketAddr>)>;
    const NAME: &'static str = "accept";
    const WAIT: WaitKind = WaitKind::Accept;

    fn entry(&mut self) -> squeue::Entry {
        let address = (&raw mut self.address).cast();
        opcode::Accept::new(types::Fd(self.fd.as_raw_fd()), address, &raw mut self.len)
            // Never SOCK_NONBLOCK: with it a ring's operations do not wait on older kernels, and do on
            // recent ones (6.18, say). What is blocking waits on all of them.
            .flags(libc::SOCK_CLOEXEC)
            .build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let address = (&raw mut self.address).cast();
        let len = &raw mut self.len;
        let fd = self.fd.as_raw_fd();
        // SAFETY: the address has room for `len` bytes.
        sys::retry(|| sys::check(unsafe { libc::accept4(fd, address, len, libc::SOCK_CLOEXEC) }))
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Ready(self.fd.as_raw_fd(), libc::POLLIN)
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        // SAFETY: `accept4` opened it, and nobody else takes the result.
        let fd = unsafe { opened(result?) };
        // SAFETY: all of it is initialised, however much the kernel wrote.
        let peer = unsafe { addr::inet((&raw const self.address).cast(), self.len) };
        Ok((fd, peer))
    }

    fn dispose(self, result: io::Result<i32>) {
        // Closes the connection.
        drop(self.complete(result));
    }

    fn lost(error: io::Error) -> Self::Output {
        Err(error)
    }

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl fmt::Debug for Accept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accept").field("fd", &self.fd).finish_non_exhaustive()
    }
}
