//! Descriptors of processes: a number may be given to another process, such a descriptor stays with its own.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::{io, ptr};

/// Has `pidfd_send_signal` send to the group that the process leads (Linux 6.9).
const TO_ITS_GROUP: u32 = 1 << 2;

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
    send_as(process, signal, 0)
}

/// Sends a signal to the group that the process leads, and to none that has its number now.
pub(super) fn send_to_group(leader: BorrowedFd<'_>, id: u32, signal: i32) -> io::Result<()> {
    match send_as(leader, signal, TO_ITS_GROUP) {
        // An older kernel, or no such signal. By number then, which is the leader's own if it is still there; in
        // between it could only be lost to somebody who waits for children of others.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            send(leader, 0)?;
            kill(-(id as libc::pid_t), signal)
        }
        sent => sent,
    }
}

fn send_as(process: BorrowedFd<'_>, signal: i32, flags: u32) -> io::Result<()> {
    let no_info = ptr::null::<libc::siginfo_t>();
    let number = libc::SYS_pidfd_send_signal;
    // SAFETY: a null pointer is as if `kill` had sent it.
    match unsafe { libc::syscall(number, process.as_raw_fd(), signal, no_info, flags) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// How the process ended, if it has: asked of this one, whoever has its number now. `ECHILD` if somebody else has
/// asked.
pub(super) fn try_wait(process: BorrowedFd<'_>) -> io::Result<Option<ExitStatus>> {
    // SAFETY: numbers and pointers, for which zero is fine.
    let mut info = unsafe { MaybeUninit::<libc::siginfo_t>::zeroed().assume_init() };
    let (id, look) = (process.as_raw_fd() as libc::id_t, libc::WEXITED | libc::WNOHANG);
    // SAFETY: there is room for it.
    if unsafe { libc::waitid(libc::P_PIDFD, id, &raw mut info, look) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it tells of a child, or is all zeroes.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    // As `wait` has it.
    Ok(Some(ExitStatus::from_raw(match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _killed => status,
    })))
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
