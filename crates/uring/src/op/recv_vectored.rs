//! `recvmsg(2)`, into several buffers.

use super::message::Header;
use super::recvmsg::Received;
use super::{Operation, WaitWithout};
use crate::addr::SockAddr;
use crate::buf::{IoBufsMut, many};
use crate::fd::SharedFd;
use crate::quarantine::{Lent, Memory};
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Receives from a connected socket into several buffers, one after the other, each from its beginning to its
/// capacity; and descriptors, if there is [room for some](Self::descriptors). Gives what was [`Received`] and the
/// buffers. Of more than 1024 those behind are left out.
///
/// What the kernel has taken from the socket is lost if the future is dropped (descriptors are closed): who
/// must not lose any keeps the [`Op`](super::Op) (C1).
#[derive(Debug)]
pub struct RecvVectored<B> {
    fd: SharedFd,
    buffers: B,
    most: usize,
    header: Box<Header>,
}

impl<B: IoBufsMut> RecvVectored<B> {
    /// Receives from `fd`.
    pub fn new(fd: SharedFd, buffers: B) -> Self {
        Self { fd, buffers, most: usize::MAX, header: Header::new(SockAddr::empty()) }
    }

    /// At most so many bytes, though the buffers may have room for more.
    pub fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    /// Takes up to so many descriptors, too, as [`RecvMsg::descriptors`](super::RecvMsg::descriptors).
    pub fn descriptors(mut self, most: usize) -> Self {
        self.header.reserve(most);
        self
    }

    fn point(&mut self) -> *mut libc::msghdr {
        self.header.point_to_all(many::to_fill(&mut self.buffers, self.most))
    }
}

// SAFETY: the kernel is told the addresses of the header, which is on the heap, of what that owns, and of the
// buffers, which are owned and stable; one completion.
unsafe impl<B: IoBufsMut> Operation for RecvVectored<B> {
    type Output = (io::Result<Received>, B);
    const NAME: &'static str = "receive of several";
    const WAIT: WaitKind = WaitKind::Read;

    fn entry(&mut self) -> squeue::Entry {
        let flags = libc::MSG_CMSG_CLOEXEC as u32;
        opcode::RecvMsg::new(types::Fd(self.fd.as_raw_fd()), self.point()).flags(flags).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let (fd, flags) = (self.fd.as_raw_fd(), libc::MSG_CMSG_CLOEXEC);
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
        let Self { mut buffers, mut header, .. } = self;
        let result = result.map(|received| {
            let len = received as usize;
            // SAFETY: the kernel wrote so many bytes, of those it was given room for, in this order.
            unsafe { buffers.set_filled(len) };
            // SAFETY: the kernel filled in the header, and nobody else takes the result.
            let descriptors = unsafe { header.take() };
            Received::new(len, descriptors, header)
        });
        (result, buffers)
    }

    fn dispose(self, result: io::Result<i32>) {
        // Closes the descriptors.
        drop(self.complete(result));
    }

    fn lent(&mut self, put: &mut dyn FnMut(Lent)) {
        Lent::all_to_fill(&mut self.buffers, put);
    }

    fn dispose_but_buffer(self, result: io::Result<i32>) -> Option<Memory> {
        // Closes the descriptors.
        let (_, buffers) = self.complete(result);
        Some(Box::new(buffers))
    }

    fn lost(error: io::Error) -> Self::Output {
        (Err(error), B::stand_in())
    }

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
