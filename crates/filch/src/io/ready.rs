//! When a descriptor is ready, and for what.

use crate::home::{Home, lost_its_ring};
use filch_uring::{SharedFd, op};
use std::ops::BitOr;
use std::panic::Location;
use std::{fmt, io};

/// What to wait for, or to do: [`READABLE`](Self::READABLE), [`WRITABLE`](Self::WRITABLE) and the like, put together
/// with `|`. One that waits for several waits for any of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(i16);

impl Interest {
    /// There is something to read, or the end of it.
    pub const READABLE: Self = Self(libc::POLLIN | libc::POLLRDHUP);
    /// There is room to write, or nobody to read it.
    pub const WRITABLE: Self = Self(libc::POLLOUT);
    /// There is something out of the ordinary: urgent data on a TCP connection, a change in a file of the kernel's.
    pub const PRIORITY: Self = Self(libc::POLLPRI);

    /// Whether reading is among it.
    pub const fn is_readable(self) -> bool {
        self.0 & libc::POLLIN != 0
    }

    /// Whether writing is among it.
    pub const fn is_writable(self) -> bool {
        self.0 & libc::POLLOUT != 0
    }

    /// Whether what is out of the ordinary is among it.
    pub const fn is_priority(self) -> bool {
        self.0 & libc::POLLPRI != 0
    }

    pub(crate) fn events(self) -> i16 {
        self.0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interest")
            .field("readable", &self.is_readable())
            .field("writable", &self.is_writable())
            .field("priority", &self.is_priority())
            .finish()
    }
}

/// What a descriptor is ready for. Errors and hang-ups are told without being asked for, and make it ready for
/// whatever would tell them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ready(i16);

impl Ready {
    /// A read would not wait: it would find something, the end, or an error.
    pub const fn is_readable(self) -> bool {
        self.has(libc::POLLIN | libc::POLLERR) || self.is_read_closed()
    }

    /// A write would not wait: it would find room, or an error.
    pub const fn is_writable(self) -> bool {
        self.has(libc::POLLOUT) || self.is_write_closed()
    }

    /// The other side will send nothing more. There may be something left to read.
    pub const fn is_read_closed(self) -> bool {
        self.has(libc::POLLRDHUP | libc::POLLHUP)
    }

    /// The other side will take nothing more.
    pub const fn is_write_closed(self) -> bool {
        self.has(libc::POLLERR | libc::POLLHUP)
    }

    /// There is something out of the ordinary.
    pub const fn is_priority(self) -> bool {
        self.has(libc::POLLPRI)
    }

    /// There is an error to be told.
    pub const fn is_error(self) -> bool {
        self.has(libc::POLLERR)
    }

    const fn has(self, any: i16) -> bool {
        self.0 & any != 0
    }

    pub(super) fn of(events: i16) -> Self {
        Self(events)
    }
}

impl fmt::Debug for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready")
            .field("readable", &self.is_readable())
            .field("writable", &self.is_writable())
            .field("read_closed", &self.is_read_closed())
            .field("write_closed", &self.is_write_closed())
            .field("priority", &self.is_priority())
            .field("error", &self.is_error())
            .finish()
    }
}

/// Waits until a descriptor is ready.
pub(crate) async fn ready(
    fd: &SharedFd,
    home: &Home,
    interest: Interest,
    at: &'static Location<'static>,
) -> io::Result<Ready> {
    loop {
        match home.run(op::PollFd::new(fd.clone(), interest.events()), at).await {
            Err(error) if lost_its_ring(&error) => {}
            events => return events.map(Ready),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Interest, Ready};

    #[test]
    fn what_would_not_wait_is_ready() {
        let both = Interest::READABLE | Interest::WRITABLE;
        assert!(both.is_readable() && both.is_writable() && !both.is_priority());
        let shown = format!("{both:?}");
        assert_eq!(shown, "Interest { readable: true, writable: true, priority: false }");
        // Of each: readable, writable, the ends of both, out of the ordinary, error.
        let of = |events| {
            let ready = Ready::of(events);
            [
                ready.is_readable(),
                ready.is_writable(),
                ready.is_read_closed(),
                ready.is_write_closed(),
                ready.is_priority(),
                ready.is_error(),
            ]
        };
        assert_eq!(of(0), [false; 6]);
        assert_eq!(of(libc::POLLIN), [true, false, false, false, false, false]);
        assert_eq!(of(libc::POLLOUT), [false, true, false, false, false, false]);
        assert_eq!(of(libc::POLLRDHUP), [true, false, true, false, false, false]);
        assert_eq!(of(libc::POLLHUP), [true, true, true, true, false, false]);
        assert_eq!(of(libc::POLLERR), [true, true, false, true, false, true]);
        assert_eq!(of(libc::POLLPRI), [false, false, false, false, true, false]);
    }
}
