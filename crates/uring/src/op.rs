//! Operations: what one is, and the future of one.

/// The end of an [`Operation`] that gives nothing but whether it was done.
macro_rules! gives_nothing {
    () => {
        fn complete(self, result: io::Result<i32>) -> Self::Output {
            result.map(drop)
        }

        fn dispose(self, _: io::Result<i32>) {}

        fn lost(error: io::Error) -> Self::Output {
            Err(error)
        }
    };
}

/// What becomes of the one buffer of an [`Operation`] that nobody has to undo. `$lent`: what the kernel does with it.
macro_rules! owns_a_buffer {
    ($lent:ident) => {
        fn dispose(self, _: io::Result<i32>) {}

        fn lent(&mut self, put: &mut dyn FnMut($crate::quarantine::Lent)) {
            put($crate::quarantine::Lent::$lent(&mut self.buffer));
        }

        fn dispose_but_buffer(self, _: io::Result<i32>) -> Option<$crate::quarantine::Memory> {
            Some(Box::new(self.buffer))
        }

        fn lost(error: io::Error) -> Self::Output {
            (Err(error), B::stand_in())
        }
    };
}

mod accept;
mod cancel;
mod close;
mod connect;
mod fsync;
mod future;
mod hard_link;
mod make_dir;
mod message;
mod nop;
mod open;
mod poll;
mod read;
mod recv;
mod recv_vectored;
mod recvmsg;
mod rename;
mod send;
mod send_vectored;
mod sendmsg;
mod shutdown;
mod statx;
mod symlink;
mod truncate;
mod unlink;
mod write;

pub use accept::Accept;
pub use cancel::CancelFd;
pub use close::Close;
pub use connect::Connect;
pub use fsync::{Fsync, SyncFailure};
pub use future::Op;
pub use hard_link::HardLink;
pub use make_dir::MakeDir;
pub use nop::Nop;
pub use open::{NulInPath, Open, c_path};
pub use poll::PollFd;
pub use read::Read;
pub use recv::Recv;
pub use recv_vectored::RecvVectored;
pub use recvmsg::{Received, RecvMsg};
pub use rename::Rename;
pub use send::Send;
pub use send_vectored::SendVectored;
pub use sendmsg::SendMsg;
pub use shutdown::Shutdown;
pub use statx::Statx;
pub use symlink::Symlink;
pub use truncate::Truncate;
pub use unlink::Unlink;
pub use write::Write;

use crate::quarantine::{Lent, Memory};
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::squeue;
use std::os::fd::RawFd;
use std::{io, marker};

/// One operation, described once: what to tell a ring, which plain system call does the same, how to
/// wait for it where there is no ring, and what becomes of its result.
///
/// # Safety
///
/// * Whatever [`entry`](Self::entry) gives the kernel the address of is owned by `self` (in it, or on
///   its heap), and neither freed nor moved nor touched before `complete` or `dispose` is called. `self`
///   itself is not moved between `entry` and the end of the operation.
/// * `entry` describes an operation that completes exactly once.
/// * [`lent`](Self::lent) describes memory that `self` owns, and what
///   [`dispose_but_buffer`](Self::dispose_but_buffer) returns owns it on, where it was.
pub unsafe trait Operation: marker::Send + 'static {
    /// What the future resolves to: the result, and what was lent to the kernel for it.
    type Output;

    /// Its name, for reports.
    const NAME: &'static str;

    /// Whether dropping the future in flight, or shutting the driver down, asks the kernel to stop. Writes
    /// to files and the like rather run to their end; a shutdown waits for them until its deadline.
    const CANCEL_ON_DROP: bool = true;

    /// What a task that waits for it is said to wait for.
    const WAIT: WaitKind;

    /// Refuses arguments that the plain call would refuse and a ring take for something else. Asked
    /// before anything else; what it says goes to [`complete`](Self::complete).
    ///
    /// # Errors
    ///
    /// The plain call's.
    fn check(&self) -> io::Result<()> {
        Ok(())
    }

    /// The submission queue entry. Its `user_data` is set by the driver.
    ///
    /// Must not panic: it may be asked for on behalf of another thread, in the midst of other messages,
    /// which would be lost. Whoever waits for those would wait for ever.
    fn entry(&mut self) -> squeue::Entry;

    /// The plain system call, for arguments that [`check`](Self::check) let pass. It may block, except as
    /// [`wait_without`](Self::wait_without) says.
    ///
    /// # Errors
    ///
    /// The call's own; the same that a ring reports.
    fn call(&mut self) -> io::Result<i32>;

    /// How to wait without a ring until [`call`](Self::call) does not block.
    fn wait_without(&self) -> WaitWithout;

    /// Turns the kernel's result into what the user gets.
    fn complete(self, result: io::Result<i32>) -> Self::Output;

    /// The result is not wanted any more: whatever it brought into the world is taken out of it again
    /// (D2).
    fn dispose(self, result: io::Result<i32>);

    /// Gives `put` the buffers that the kernel is told of, in the order in which it uses them, to be watched over
    /// ([`quarantine`](crate::quarantine)): the same each time. None if there is none, or they are not watched.
    fn lent(&mut self, _put: &mut dyn FnMut(Lent)) {}

    /// As [`dispose`](Self::dispose), and gives what owns the buffers, as far as some are [`lent`](Self::lent).
    fn dispose_but_buffer(self, result: io::Result<i32>) -> Option<Memory>
    where
        Self: Sized,
    {
        self.dispose(result);
        None
    }

    /// The output when `self` is lost to the kernel (D7).
    fn lost(error: io::Error) -> Self::Output;

    /// The descriptor it is about, for reports; -1 for none.
    fn descriptor(&self) -> RawFd {
        -1
    }
}

/// How to wait for an operation where there is no ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitWithout {
    /// No need: the call does not block.
    Immediate,
    /// Until the descriptor is ready in one of these ways (`POLLIN` and the like).
    Ready(RawFd, i16),
    /// It cannot be waited for: call it where blocking is allowed.
    Blocking,
}

/// Where in a file an operation works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At the descriptor's own position, which moves on. Also for what has no positions.
    Current,
    /// So many bytes from the beginning; the descriptor's own position stays. A pipe, which has no
    /// positions, does not mind; a socket refuses any but 0 with `ESPIPE`.
    At(u64),
}

impl Position {
    /// No file reaches beyond `i64::MAX`, and a transfer that would is refused here, always with `EINVAL`:
    /// an SQE takes a position beyond (the last of them means "current"), where the plain calls do not;
    /// and of one before it, from which the length leads beyond, each says something else.
    fn check(self, len: usize) -> io::Result<()> {
        match self {
            Self::At(at) if at.saturating_add(transfer(len).into()) > i64::MAX as u64 => {
                Err(io::Error::from_raw_os_error(libc::EINVAL))
            }
            _ => Ok(()),
        }
    }

    /// Makes the plain call of two: that which is told a position, or that which is not.
    fn call(
        self,
        fd: RawFd,
        at: impl Fn(i64) -> isize,
        current: impl Fn() -> isize,
    ) -> io::Result<i32> {
        if let Self::At(_) = self {
            match sys::retry(|| sys::check_size(at(self.offset() as i64))) {
                Err(error) => self.without(fd, error)?,
                result => return result,
            }
        }
        sys::retry(|| sys::check_size(current()))
    }

    /// What to do when a plain call refuses the position with `error`: a ring would not mind on what has
    /// no positions, so the call is made again without one. Gives the error back where a ring reports
    /// one too.
    fn without(self, fd: RawFd, error: io::Error) -> io::Result<()> {
        let no_positions = error.raw_os_error() == Some(libc::ESPIPE);
        if no_positions && (self == Self::At(0) || !sys::is_socket(fd)) {
            return Ok(());
        }
        Err(error)
    }

    /// As an SQE says it: the descriptor's own position is -1.
    fn offset(self) -> u64 {
        match self {
            Self::Current => u64::MAX,
            Self::At(at) => at,
        }
    }
}

/// The entry of an operation that the kernel tries first, to see whether it can be done at once; or else does in a
/// thread of its own from the start.
fn tried_first(entry: squeue::Entry, is_tried: bool) -> squeue::Entry {
    if is_tried { entry } else { entry.flags(squeue::Flags::ASYNC) }
}

/// A length as an SQE says it, cut off where the plain calls cut off too.
fn transfer(len: usize) -> u32 {
    len.min(sys::MAX_TRANSFER) as u32
}
