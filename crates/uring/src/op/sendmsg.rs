//! `sendmsg(2)`.

use super::message::Header;
use super::{Operation, WaitWithout, transfer};
use crate::addr::SockAddr;
use crate::buf::IoBuf;
use crate::fd::SharedFd;
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// Sends a message: a buffer, to an address or to the socket's peer, and descriptors beside it. Never raises
/// SIGPIPE. Gives the number of bytes taken, the buffer, and the descriptors.
///
/// The descriptors are owned: they are looked up when the kernel sends them, which may be after a future
/// was dropped that had only borrowed them.
///
/// Dropped in flight, the message may or may not have been sent.
#[derive(Debug)]
pub struct SendMsg<B> {
    fd: SharedFd,
    buffer: B,
    descriptors: Vec<OwnedFd>,
    header: Box<Header>,
}

impl<B: IoBuf> SendMsg<B> {
    /// Sends through `fd`.
    pub fn new(fd: SharedFd, buffer: B) -> Self {
        Self { fd, buffer, descriptors: Vec::new(), header: Header::new(SockAddr::empty()) }
    }

    /// To this address.
    pub fn to(mut self, address: impl Into<SockAddr>) -> Self {
        self.header.address = address.into();
        self
    }

    /// With these descriptors: at most 253, and at least one byte, without which a stream sends none of
    /// them and says nothing. Needs Linux 5.12.
    pub fn descriptors(mut self, descriptors: Vec<OwnedFd>) -> Self {
        self.header.put(&descriptors);
        Self { descriptors, ..self }
    }

    fn point(&mut self) -> *mut libc::msghdr {
        let (pointer, len) = (self.buffer.as_ptr().cast_mut(), transfer(self.buffer.len()));
        self.header.point(pointer, len as usize, 0)
    }
}

// SAFETY: the kernel is told the addresses of the header, which is on the heap, of what that owns, and of the
// buffer, which is owned and stable and only read; one completion.
unsafe impl<B: IoBuf> Operation for SendMsg<B> {
    type Output = (io::Result<usize>, B, Vec<OwnedFd>);
    const NAME: &'static str = "sendmsg";
    const WAIT: WaitKind = WaitKind::Write;

    fn entry(&mut self) -> squeue::Entry {
        let fd = types::Fd(self.fd.as_raw_fd());
        opcode::SendMsg::new(fd, self.point()).flags(libc::MSG_NOSIGNAL as u32).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let fd = self.fd.as_raw_fd();
        sys::retry(|| {
            let message = self.point();
            // SAFETY: the header, and what it points to, is there.
            sys::check_size(unsafe { libc::sendmsg(fd, message, libc::MSG_NOSIGNAL) })
        })
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Ready(self.fd.as_raw_fd(), libc::POLLOUT)
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        (result.map(|sent| sent as usize), self.buffer, self.descriptors)
    }

    fn dispose(self, _: io::Result<i32>) {}

    fn lost(error: io::Error) -> Self::Output {
        (Err(error), B::stand_in(), Vec::new())
    }

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
