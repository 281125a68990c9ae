//! `send(2)`.

use super::{Operation, WaitWithout, transfer};
use crate::buf::IoBuf;
use crate::fd::SharedFd;
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Sends a buffer through a connected socket, never raising SIGPIPE. Gives the number of bytes taken,
/// which may be fewer than it has, and the buffer.
///
/// Dropped in flight, its bytes may or may not have been sent.
#[derive(Debug)]
pub struct Send<B> {
    fd: SharedFd,
    buffer: B,
    flags: i32,
}

impl<B: IoBuf> Send<B> {
    /// Sends to `fd`'s peer.
    pub fn new(fd: SharedFd, buffer: B) -> Self {
        Self { fd, buffer, flags: libc::MSG_NOSIGNAL }
    }

    /// With further flags, such as `MSG_MORE`. `MSG_ZEROCOPY` is refused with
    /// [`InvalidInput`](io::ErrorKind::InvalidInput): with that the kernel reads the buffer after the
    /// operation is over, when it is somebody else's (D1).
    pub fn flags(self, flags: i32) -> Self {
        Self { flags: flags | libc::MSG_NOSIGNAL, ..self }
    }
}

// SAFETY: the kernel is told the address of the buffer, which is owned and stable; one completion.
unsafe impl<B: IoBuf> Operation for Send<B> {
    type Output = (io::Result<usize>, B);
    const NAME: &'static str = "send";
    const WAIT: WaitKind = WaitKind::Write;

    fn check(&self) -> io::Result<()> {
        refuse_zero_copy(self.flags)
    }

    fn entry(&mut self) -> squeue::Entry {
        let (pointer, len) = (self.buffer.as_ptr(), transfer(self.buffer.len()));
        opcode::Send::new(types::Fd(self.fd.as_raw_fd()), pointer, len).flags(self.flags).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let (fd, len) = (self.fd.as_raw_fd(), transfer(self.buffer.len()) as usize);
        let pointer = self.buffer.as_ptr().cast();
        // SAFETY: the buffer has `len` bytes.
        sys::retry(|| sys::check_size(unsafe { libc::send(fd, pointer, len, self.flags) }))
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Ready(self.fd.as_raw_fd(), libc::POLLOUT)
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        (result.map(|sent| sent as usize), self.buffer)
    }

    owns_a_buffer!(to_read);

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// What the kernel would read after the operation is over may be somebody else's by then (D1).
pub(super) fn refuse_zero_copy(flags: i32) -> io::Result<()> {
    if flags & libc::MSG_ZEROCOPY == 0 {
        return Ok(());
    }
    let message = "MSG_ZEROCOPY: the buffer would be read after the operation";
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}
