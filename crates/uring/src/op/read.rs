//! `read(2)` and `pread(2)`.

use super::{Operation, Position, WaitWithout, transfer, tried_first};
use crate::buf::IoBufMut;
use crate::fd::SharedFd;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Reads into a buffer, from its beginning, at most its capacity. Gives the number of bytes (0 at the
/// end) and the buffer; what was initialised in it before and is not overwritten stays.
#[derive(Debug)]
pub struct Read<B> {
    fd: SharedFd,
    buffer: B,
    position: Position,
    in_kernel_thread: bool,
}

impl<B: IoBufMut> Read<B> {
    /// Reads from `fd` at `position`.
    pub fn new(fd: SharedFd, buffer: B, position: Position) -> Self {
        Self { fd, buffer, position, in_kernel_thread: false }
    }

    /// Reads in a thread of the kernel's, without trying first whether it can be done at once. For large
    /// reads: what is in the page cache already would be copied by the ring's thread, all at once.
    pub fn in_kernel_thread(self) -> Self {
        Self { in_kernel_thread: true, ..self }
    }
}

// SAFETY: the kernel is told the address of the buffer, which is owned and stable; one completion.
unsafe impl<B: IoBufMut> Operation for Read<B> {
    type Output = (io::Result<usize>, B);
    const NAME: &'static str = "read";
    const WAIT: WaitKind = WaitKind::Read;

    fn check(&self) -> io::Result<()> {
        self.position.check(self.buffer.capacity())
    }

    fn entry(&mut self) -> squeue::Entry {
        let (pointer, len) = (self.buffer.as_mut_ptr(), transfer(self.buffer.capacity()));
        let entry = opcode::Read::new(types::Fd(self.fd.as_raw_fd()), pointer, len)
            .offset(self.position.offset())
            .build();
        tried_first(entry, !self.in_kernel_thread)
    }

    fn call(&mut self) -> io::Result<i32> {
        match self.call_once() {
            // A ring finds nothing wrong with reading nothing from a directory.
            Err(error)
                if error.raw_os_error() == Some(libc::EISDIR) && self.buffer.capacity() == 0 =>
            {
                Ok(0)
            }
            result => result,
        }
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    fn complete(mut self, result: io::Result<i32>) -> Self::Output {
        let result = result.map(|read| {
            // SAFETY: the kernel wrote so many bytes, of those it was given room for.
            unsafe { self.buffer.set_init(read as usize) };
            read as usize
        });
        (result, self.buffer)
    }

    owns_a_buffer!(to_fill);

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl<B: IoBufMut> Read<B> {
    fn call_once(&mut self) -> io::Result<i32> {
        let (fd, len) = (self.fd.as_raw_fd(), self.buffer.capacity());
        let pointer = self.buffer.as_mut_ptr().cast();
        // SAFETY: the buffer has room for `len` bytes.
        let at = |offset| unsafe { libc::pread(fd, pointer, len, offset) };
        // SAFETY: as above.
        self.position.call(fd, at, || unsafe { libc::read(fd, pointer, len) })
    }
}
