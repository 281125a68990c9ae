//! `poll(2)` for one descriptor.

use super::{Operation, WaitWithout};
use crate::fd::SharedFd;
use crate::sys;
use filch_atomic::current::WaitKind;
use io_uring::{opcode, squeue, types};
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Waits until a descriptor is ready. Gives the events that are there, errors and hang-ups included,
/// which need not be asked for.
#[derive(Debug)]
pub struct PollFd {
    fd: SharedFd,
    events: i16,
}

impl PollFd {
    /// Waits for any of `events` (`POLLIN`, `POLLOUT` and the like).
    pub fn new(fd: SharedFd, events: i16) -> Self {
        Self { fd, events }
    }
}

// SAFETY: no memory is involved; one completion, because it is not a multishot poll.
unsafe impl Operation for PollFd {
    type Output = io::Result<i16>;
    const NAME: &'static str = "poll";
    const WAIT: WaitKind = WaitKind::Other;

    fn entry(&mut self) -> squeue::Entry {
        // As bits: the events are a set, not a number with a sign.
        let events = u32::from(self.events as u16);
        opcode::PollAdd::new(types::Fd(self.fd.as_raw_fd()), events).build()
    }

    fn call(&mut self) -> io::Result<i32> {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: self.events, revents: 0 };
        // SAFETY: one `pollfd`.
        sys::retry(|| sys::check(unsafe { libc::poll(&raw mut poll, 1, -1) }))?;
        match poll.revents {
            // What a ring says of a descriptor that is not open.
            libc::POLLNVAL => Err(io::Error::from_raw_os_error(libc::EBADF)),
            events => Ok(i32::from(events as u16)),
        }
    }

    fn wait_without(&self) -> WaitWithout {
        WaitWithout::Ready(self.fd.as_raw_fd(), self.events)
    }

    fn complete(self, result: io::Result<i32>) -> Self::Output {
        result.map(|events| events as u16 as i16)
    }

    fn dispose(self, _: io::Result<i32>) {}

    fn lost(error: io::Error) -> Self::Output {
        Err(error)
    }

    fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
