//! `recv(2)`.

use super::{Operation, WaitWithout, transfer};
use crate::buf::IoBufMut;
use crate::fd::SharedFd;
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// The flags with which the result is the number of bytes written to the buffer.
const FLAGS: i32 = libc::MSG_PEEK
    | libc::MSG_WAITALL
    | libc::MSG_DONTWAIT
    | libc::MSG_OOB
    | libc::MSG_ERRQUEUE
    | libc::MSG_NOSIGNAL;

/// Receives from a socket into a buffer, from its beginning, at most its capacity. Gives the number of
/// bytes (0 at the end) and the buffer.
///
/// Bytes that the kernel has taken from the socket are lost if the future is dropped: who must not lose
/// any keeps the [`Op`](super::Op) (C1).
#[derive(Debug)]
pub struct Recv<B> {
    fd: SharedFd,
    buffer: B,
    flags: i32,
}

impl<B: IoBufMut> Recv<B> {
    /// Receives from `fd`.
    pub fn new(fd: SharedFd, buffer: B) -> Self {
        Self { fd, buffer, flags: 0 }
    }

    /// With flags: any of `MSG_PEEK`, `MSG_WAITALL`, `MSG_DONTWAIT`, `MSG_OOB`, `MSG_ERRQUEUE` and
    /// `MSG_NOSIGNAL`. Others are refused with [`InvalidInput`](io::ErrorKind::InvalidInput), `MSG_TRUNC`
    /// among them: with that the kernel counts bytes that it did not write.
    pub fn flags(self, flags: i32) -> Self {
        Self { flags, ..self }
    }
}

// SAFETY: the kernel is told the address of the buffer, which is owned and stable; one completion.
unsafe impl<B: IoBufMut> Operation for Recv<B> {
    type Output = (io::Result<usize>, B);
    const NAME: &'static str = "recv";
    const WAIT: WaitKind = WaitKind::Read;

    fn check(&self) -> io::Result<()> {
        if self.flags & !FLAGS == 0 {
            return Ok(());
        }
        let message = format!("flags {:#x} to receive with: only {FLAGS:#x} are known", self.flags);
        Err(io::Error::new(io::ErrorKind::InvalidInput, message))
    }

    fn entry(&mut self) -> squeue::Entry {
        let (pointer, len) = (self.buffer.as_mut_ptr(), transfer(self.buffer.capacity()));
        opcode::Recv::new(types::Fd(self.fd.as_raw_fd()), pointer, len).flags(self.flags).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let (fd, len) = (self.fd.as_raw_fd(), transfer(self.buffer.capacity()) as usize);
        let pointer = self.buffer.as_mut_ptr().cast();
        // SAFETY: the buffer has room for `len` bytes.
        sys::retry(|| sys::check_size(unsafe { libc::recv(fd, pointer, len, self.flags) }))
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Ready(self.fd.as_raw_fd(), libc::POLLIN)
    }

    fn complete(mut self, result: io::Result<i32>) -> Self::Output {
        let result = result.map(|received| {
            // SAFETY: the kernel wrote so many bytes, of those it was given room for: with the flags that
            // `check` lets pass it counts no others.
            unsafe { self.buffer.set_init(received as usize) };
            received as usize
        });
        (result, self.buffer)
    }

    owns_a_buffer!(to_fill);

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
