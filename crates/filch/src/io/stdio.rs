//! The standard streams of the process.
//!
//! There is one of each, for the whole process and all its runtimes; what is here are names for them. What is in
//! flight, and what was read ahead, belongs to the process, and not to a handle, a future or a runtime (C1). Each
//! operation is by the descriptor's own number: it is never duplicated, never closed and never made non-blocking,
//! which would do the same to it in every process that has it, the shell included.

mod call;
mod common;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
mod crowd;
#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
mod polled;
mod sink;
mod source;
mod stdin;
mod stdout;

pub use stdin::{Stdin, StdinLines, StdinLock, stdin};
pub use stdout::{Stderr, Stdout, stderr, stdout};

use crate::fs::known;
use crate::handle::Handle;
use crate::home::Home;
use filch_uring::SharedFd;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::panic::Location;

/// Who reads or writes, and in which runtime.
struct Here {
    home: Home,
    handle: Handle,
    at: &'static Location<'static>,
}

impl Here {
    /// The runtime of this thread, for the code at `at`.
    fn at(at: &'static Location<'static>) -> io::Result<Self> {
        Ok(Self { home: Home::current()?, handle: Handle::try_current()?, at })
    }
}

/// How a descriptor is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A pipe or a socket: by the ring, which waits by itself.
    Stream,
    /// A regular file, or a disk: by a call, on a thread for what blocks. The ring would do it at the description's
    /// position, too, but without taking the lock of that: what a child writes there at the same time, and this,
    /// would overwrite each other.
    File,
    /// A terminal, or whatever else: by a call as well. The kernel's own threads take no signals, so a job in the
    /// background would get an error where it is to be stopped. Before it is read it is waited for in the ring, so that
    /// no thread waits for somebody who types.
    Device,
}

/// What is in a descriptor's place. The program may put something else there at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct What {
    kind: Kind,
    /// Its numbers.
    which: (u32, u32, u64),
}

impl What {
    /// What is there now, which is not waited for (S5).
    fn now(fd: &SharedFd) -> io::Result<Self> {
        let known = known(fd)?;
        let kind = match known.kind {
            libc::S_IFIFO | libc::S_IFSOCK => Kind::Stream,
            libc::S_IFREG | libc::S_IFBLK | libc::S_IFDIR => Kind::File,
            _ => Kind::Device,
        };
        Ok(Self { kind, which: known.which })
    }

    /// Whether it is there still.
    fn is_there(self, fd: &SharedFd) -> bool {
        Self::now(fd).is_ok_and(|now| now == self)
    }
}

/// A standard descriptor, for a static, which never lets go of it: so it is never closed here, whatever operations
/// come and go.
fn standard(number: RawFd) -> SharedFd {
    // SAFETY: who keeps it keeps it for ever, so nothing is closed that others rely on. It may be closed, or replaced,
    // by the program: each operation finds that out, from the system.
    SharedFd::new(unsafe { OwnedFd::from_raw_fd(number) })
}
