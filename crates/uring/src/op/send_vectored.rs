//! `sendmsg(2)`, of several buffers.

use super::message::Header;
use super::send::refuse_zero_copy;
use super::{Operation, WaitWithout};
use crate::addr::SockAddr;
use crate::buf::{IoBufs, many};
use crate::fd::SharedFd;
use crate::quarantine::{Lent, Memory};
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Sends several buffers, one after the other, through a connected socket, never raising SIGPIPE. Gives the
/// number of bytes taken, which may be fewer than there are, and the buffers. Of more than 1024 those behind are
/// left out.
///
/// Dropped in flight, its bytes may or may not have been sent.
#[derive(Debug)]
pub struct SendVectored<B> {
    fd: SharedFd,
    buffers: B,
    flags: i32,
    header: Box<Header>,
}

impl<B: IoBufs> SendVectored<B> {
    /// Sends to `fd`'s peer.
    pub fn new(fd: SharedFd, buffers: B) -> Self {
        Self { fd, buffers, flags: libc::MSG_NOSIGNAL, header: Header::new(SockAddr::empty()) }
    }

    /// With further flags, as [`Send::flags`](super::Send::flags).
    pub fn flags(self, flags: i32) -> Self {
        Self { flags: flags | libc::MSG_NOSIGNAL, ..self }
    }

    fn point(&mut self) -> *mut libc::msghdr {
        self.header.point_to_all(many::to_read(&self.buffers))
    }
}

// SAFETY: the kernel is told the addresses of the header, which is on the heap, of what that owns, and of the
// buffers, which are owned and stable and only read; one completion.
unsafe impl<B: IoBufs> Operation for SendVectored<B> {
    type Output = (io::Result<usize>, B);
    const NAME: &'static str = "send of several";
    const WAIT: WaitKind = WaitKind::Write;

    fn check(&self) -> io::Result<()> {
        refuse_zero_copy(self.flags)
    }

    fn entry(&mut self) -> squeue::Entry {
        let (fd, flags) = (types::Fd(self.fd.as_raw_fd()), self.flags as u32);
        opcode::SendMsg::new(fd, self.point()).flags(flags).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let (fd, flags) = (self.fd.as_raw_fd(), self.flags);
        sys::retry(|| {
            let message = self.point();
            // SAFETY: the header, and what it points to, is there.
            sys::check_size(unsafe { libc::sendmsg(fd, message, flags) })
        })
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Ready(self.fd.as_raw_fd(), libc::POLLOUT)
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        (result.map(|sent| sent as usize), self.buffers)
    }

    fn dispose(self, _: io::Result<i32>) {}

    fn lent(&mut self, put: &mut dyn FnMut(Lent)) {
        Lent::all_to_read(&mut self.buffers, put);
    }

    fn dispose_but_buffer(self, _: io::Result<i32>) -> Option<Memory> {
        Some(Box::new(self.buffers))
    }

    fn lost(error: io::Error) -> Self::Output {
        (Err(error), B::stand_in())
    }

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
