//! `write(2)` and `pwrite(2)`.

use super::{Operation, Position, WaitWithout, transfer, tried_first};
use crate::buf::IoBuf;
use crate::fd::SharedFd;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Writes a buffer. Gives the number of bytes written, which may be fewer than it has, and the buffer.
///
/// On a pipe without readers the process gets SIGPIPE, as from `write(2)`; Rust programs ignore that
/// signal unless told otherwise.
#[derive(Debug)]
pub struct Write<B> {
    fd: SharedFd,
    buffer: B,
    position: Position,
    in_kernel_thread: bool,
}

impl<B: IoBuf> Write<B> {
    /// Writes to `fd` at `position`.
    pub fn new(fd: SharedFd, buffer: B, position: Position) -> Self {
        Self { fd, buffer, position, in_kernel_thread: false }
    }

    /// Writes in a thread of the kernel's, without trying first whether it can be done at once. Needed for
    /// a terminal, whose driver takes no hint: it would hold up the ring's thread until there is room; and for
    /// large writes, which that thread would else copy to the page cache all at once.
    pub fn in_kernel_thread(self) -> Self {
        Self { in_kernel_thread: true, ..self }
    }
}

// SAFETY: the kernel is told the address of the buffer, which is owned and stable; one completion.
unsafe impl<B: IoBuf> Operation for Write<B> {
    type Output = (io::Result<usize>, B);
    const NAME: &'static str = "write";
    const WAIT: WaitKind = WaitKind::Write;
    // What is begun is written: half a file is worth less than a whole one. A pipe or a socket whose
    // object goes is cancelled by that object.
    const CANCEL_ON_DROP: bool = false;

    fn check(&self) -> io::Result<()> {
        self.position.check(self.buffer.len())
    }

    fn entry(&mut self) -> squeue::Entry {
        let (pointer, len) = (self.buffer.as_ptr(), transfer(self.buffer.len()));
        let entry = opcode::Write::new(types::Fd(self.fd.as_raw_fd()), pointer, len)
            .offset(self.position.offset())
            .build();
        tried_first(entry, !self.in_kernel_thread)
    }

    fn call(&mut self) -> io::Result<i32> {
        let (fd, len) = (self.fd.as_raw_fd(), self.buffer.len());
        let pointer = self.buffer.as_ptr().cast();
        // SAFETY: the buffer has `len` bytes.
        let at = |offset| unsafe { libc::pwrite(fd, pointer, len, offset) };
        // SAFETY: as above.
        self.position.call(fd, at, || unsafe { libc::write(fd, pointer, len) })
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Blocking
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        (result.map(|written| written as usize), self.buffer)
    }

    owns_a_buffer!(to_read);

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
