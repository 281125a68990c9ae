//! `sendmsg(2)`.

use super::message::Header;
use super::send::refuse_zero_copy;
use super::{Operation, WaitWithout, transfer};
use crate::addr::SockAddr;
use crate::buf::IoBuf;
use crate::fd::SharedFd;
use crate::quarantine::{Lent, Memory};
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
///
/// A datagram is best sent with `MSG_DONTWAIT`, and sent anew when there is room. Recent kernels (6.18, say)
/// send an empty one, and say 0, in place of one that had to wait in the ring for the queue of a Unix socket.
#[derive(Debug)]
pub struct SendMsg<B> {
    fd: SharedFd,
    buffer: B,
    descriptors: Vec<OwnedFd>,
    flags: i32,
    header: Box<Header>,
}

impl<B: IoBuf> SendMsg<B> {
    /// Sends through `fd`.
    pub fn new(fd: SharedFd, buffer: B) -> Self {
        let header = Header::new(SockAddr::empty());
        Self { fd, buffer, descriptors: Vec::new(), flags: libc::MSG_NOSIGNAL, header }
    }

    /// With further flags, such as `MSG_DONTWAIT`. `MSG_ZEROCOPY` is refused with
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): with that the kernel reads the buffer after the
    /// operation is over, when it is somebody else's (D1).
    pub fn flags(self, flags: i32) -> Self {
        Self { flags: flags | libc::MSG_NOSIGNAL, ..self }
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
        (result.map(|sent| sent as usize), self.buffer, self.descriptors)
    }

    fn dispose(self, _: io::Result<i32>) {}

    fn lent(&mut self, put: &mut dyn FnMut(Lent)) {
        put(Lent::to_read(&mut self.buffer));
    }

    fn dispose_but_buffer(self, _: io::Result<i32>) -> Option<Memory> {
        Some(Box::new(self.buffer))
    }

    fn lost(error: io::Error) -> Self::Output {
        (Err(error), B::stand_in(), Vec::new())
    }

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
