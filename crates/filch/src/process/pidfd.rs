//! Descriptors of processes: a number may be given to another process, such a descriptor stays with its own.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// A descriptor of the process with that number. It is readable when that has ended.
pub(super) fn open(id: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, id as libc::pid_t, 0) };
    match fd {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: new and ours. It is close-on-exec.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
    }
}

/// Sends a signal to the process, and to none that has its number now.
pub(super) fn send(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_info = ptr::null::<libc::siginfo_t>();
    let number = libc::SYS_pidfd_send_signal;
    // SAFETY: a null pointer is as if `kill` had sent it.
    match unsafe { libc::syscall(number, process.as_raw_fd(), signal, no_info, 0) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sends a signal by number: to a process, or to a group, whose number is negative here. The caller knows that the
/// number is still theirs.
pub(super) fn kill(id: libc::pid_t, signal: i32) -> io::Result<()> {
    // SAFETY: plain numbers.
    match unsafe { libc::kill(id, signal) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
