//! `recvmsg(2)`.

use super::message::Header;
use super::{Operation, WaitWithout, transfer};
use crate::addr::SockAddr;
use crate::buf::IoBufMut;
use crate::fd::SharedFd;
use crate::quarantine::{Lent, Memory};
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

/// The flags with which the result is the number of bytes written to the buffer.
const FLAGS: i32 = libc::MSG_PEEK | libc::MSG_DONTWAIT | libc::MSG_OOB | libc::MSG_NOSIGNAL;

/// Receives a message: bytes into a buffer, from its beginning, at most its capacity; who sent them; and
/// descriptors, if there is [room for some](Self::descriptors). Gives what was [`Received`] and the buffer.
///
/// What the kernel has taken from the socket is lost if the future is dropped (descriptors are closed): who
/// must not lose any keeps the [`Op`](super::Op) (C1).
#[derive(Debug)]
pub struct RecvMsg<B> {
    fd: SharedFd,
    buffer: B,
    most: usize,
    flags: i32,
    header: Box<Header>,
}

/// What came with a message.
#[derive(Debug)]
pub struct Received {
    /// How many bytes were written to the buffer.
    pub len: usize,
    /// The descriptors that came beside the bytes, all close-on-exec.
    pub descriptors: Vec<OwnedFd>,
    flags: i32,
    header: Box<Header>,
}

impl Received {
    /// Of a message whose header the kernel has filled in, and whose descriptors were taken from it.
    pub(super) fn new(len: usize, descriptors: Vec<OwnedFd>, mut header: Box<Header>) -> Self {
        Self { len, descriptors, flags: header.came(), header }
    }

    /// Who sent it. A connected stream does not say, nor does a Unix socket without a name: then its
    /// length is 0.
    pub fn address(&self) -> &SockAddr {
        &self.header.address
    }

    /// Whether the datagram was longer than the buffer. The rest is gone.
    pub fn is_truncated(&self) -> bool {
        self.flags & libc::MSG_TRUNC != 0
    }

    /// Whether there were more descriptors than room for them, or than the process may have. The rest is
    /// closed.
    pub fn lacks_descriptors(&self) -> bool {
        self.flags & libc::MSG_CTRUNC != 0
    }
}

impl<B: IoBufMut> RecvMsg<B> {
    /// Receives from `fd`.
    pub fn new(fd: SharedFd, buffer: B) -> Self {
        Self { fd, buffer, most: usize::MAX, flags: 0, header: Header::new(SockAddr::empty()) }
    }

    /// At most so many bytes, though the buffer may have room for more.
    pub fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// With flags: any of `MSG_PEEK`, `MSG_DONTWAIT`, `MSG_OOB` and `MSG_NOSIGNAL`. Others are refused with
    /// [`InvalidInput`](io::ErrorKind::InvalidInput), `MSG_TRUNC` among them: with that the kernel counts
    /// bytes that it did not write.
    pub fn flags(self, flags: i32) -> Self {
        Self { flags, ..self }
    }

    /// Takes up to so many descriptors, too; the kernel passes 253 at a time at most. Without room for
    /// them, those that come are closed by the kernel. Needs Linux 5.12.
    pub fn descriptors(mut self, most: usize) -> Self {
        self.header.reserve(most);
        self
    }

    fn point(&mut self) -> *mut libc::msghdr {
        let len = transfer(self.buffer.capacity().min(self.most));
        self.header.point(self.buffer.as_mut_ptr(), len as usize, SockAddr::ROOM)
    }
}

// SAFETY: the kernel is told the addresses of the header, which is on the heap, of what that owns, and of the
// buffer, which is owned and stable; one completion.
unsafe impl<B: IoBufMut> Operation for RecvMsg<B> {
    type Output = (io::Result<Received>, B);
    const NAME: &'static str = "recvmsg";
    const WAIT: WaitKind = WaitKind::Read;

    fn check(&self) -> io::Result<()> {
        if self.flags & !FLAGS == 0 {
            return Ok(());
        }
        let flags = self.flags;
        let message =
            format!("flags {flags:#x} to receive a message with: only {FLAGS:#x} are known");
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    fn entry(&mut self) -> squeue::Entry {
        let flags = (self.flags | libc::MSG_CMSG_CLOEXEC) as u32;
        opcode::RecvMsg::new(types::Fd(self.fd.as_raw_fd()), self.point()).flags(flags).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let (fd, flags) = (self.fd.as_raw_fd(), self.flags | libc::MSG_CMSG_CLOEXEC);
        sys::retry(|| {
            let message = self.point();
            // SAFETY: the header, and what it points to, is there.
            sys::check_size(unsafe { libc::recvmsg(fd, message, flags) })
        })
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Ready(self.fd.as_raw_fd(), libc::POLLIN)
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        let Self { mut buffer, mut header, .. } = self;
        let result = result.map(|received| {
            let len = received as usize;
            // SAFETY: the kernel wrote so many bytes, of those it was given room for: with the flags that
            // `check` lets pass it counts no others.
            unsafe { buffer.set_init(len) };
            // SAFETY: the kernel filled in the header, and nobody else takes the result.
            let descriptors = unsafe { header.take() };
            Received::new(len, descriptors, header)
        });
        (result, buffer)
    }

    fn dispose(self, result: io::Result<i32>) {
        // Closes the descriptors.
        drop(self.complete(result));
    }

    fn lent(&mut self, put: &mut dyn FnMut(Lent)) {
        put(Lent::to_fill(&mut self.buffer));
    }

    fn dispose_but_buffer(self, result: io::Result<i32>) -> Option<Memory> {
        // Closes the descriptors.
        let (_, buffer) = self.complete(result);
        Some(Box::new(buffer))
    }

    fn lost(error: io::Error) -> Self::Output {
        (Err(error), B::stand_in())
    }

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
