//! Who is at the other end of a Unix stream.

use filch_uring::SharedFd;
use std::io;
use std::mem;
use std::os::fd::AsRawFd;

/// The process at the other end of a Unix stream, as it was when the connection was made. The kernel
/// vouches for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UCred {
    pid: libc::pid_t,
    uid: libc::uid_t,
    gid: libc::gid_t,
}

impl UCred {
    pub(super) fn of(fd: &SharedFd) -> io::Result<Self> {
        let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
        let mut len = mem::size_of_val(&found) as libc::socklen_t;
        let (level, name) = (libc::SOL_SOCKET, libc::SO_PEERCRED);
        let place = (&raw mut found).cast();
        // SAFETY: there is room for `len` bytes.
        match unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, place, &raw mut len) } {
            0 => Ok(Self { pid: found.pid, uid: found.uid, gid: found.gid }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Its user.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// Its group.
    pub fn gid(&self) -> u32 {
        self.gid
    }

    /// Its number; none if it lives in a namespace that cannot be seen from here. It may have ended, and
    /// another process have the number by now.
    pub fn pid(&self) -> Option<i32> {
        (self.pid > 0).then_some(self.pid)
    }
}
