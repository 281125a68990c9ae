//! The system calls that the driver makes itself.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// What `read`, `write` and their kin transfer at most in one call (Linux's `MAX_RW_COUNT`).
pub(crate) const MAX_TRANSFER: usize = 0x7fff_f000;

/// A CQE's result as the call's.
pub(crate) fn result(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
}

/// A plain call's result: -1 means `errno`.
pub(crate) fn check(result: i32) -> io::Result<i32> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// As [`check`], for calls that count bytes (at most [`MAX_TRANSFER`] of them).
pub(crate) fn check_size(result: isize) -> io::Result<i32> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

/// Calls again for as long as a signal gets in between.
pub(crate) fn retry(mut call: impl FnMut() -> io::Result<i32>) -> io::Result<i32> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether a descriptor is a socket.
pub(crate) fn is_socket(fd: RawFd) -> bool {
    // SAFETY: all zeroes is a value of it.
    let mut stat = unsafe { std::mem::zeroed::<libc::stat>() };
    // SAFETY: a whole `stat` to write to.
    let result = unsafe { libc::fstat(fd, &raw mut stat) };
    result == 0 && stat.st_mode & libc::S_IFMT == libc::S_IFSOCK
}

/// A new eventfd. Blocking: a read in a ring waits only on a descriptor that would.
pub(crate) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) })?;
    // SAFETY: just opened, and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Adds one to an eventfd.
pub(crate) fn signal(event: &OwnedFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: the buffer has 8 bytes. It cannot fail: the descriptor is an eventfd, whose count would
    // have to reach 2^64 for it to block.
    let written = unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    debug_assert_eq!(written, 8, "eventfd: {}", io::Error::last_os_error());
}

/// How long to wait inside `enter`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    /// Not at all.
    No,
    /// Until something completes.
    Forever,
    /// That, or so long.
    For(std::time::Duration),
}

/// `io_uring_enter`: submits up to `to_submit` entries, lets deferred work run, and returns when there are
/// `at_least` completions, or the wait is over. Not to wait takes a number that is there. Always with
/// GETEVENTS, without which deferred completions do not appear.
///
/// Returns how many entries the kernel took. A time-out is not an error.
pub(crate) fn enter(
    fd: RawFd,
    to_submit: u32,
    at_least: u32,
    wait: Wait,
    no_iowait: bool,
) -> io::Result<u32> {
    const GETEVENTS: u32 = 1 << 0;
    const EXT_ARG: u32 = 1 << 3;
    const NO_IOWAIT: u32 = 1 << 7;

    /// The kernel's `io_uring_getevents_arg`.
    #[repr(C)]
    struct Argument {
        sigmask: u64,
        sigmask_size: u32,
        min_wait_us: u32,
        timeout: u64,
    }

    let mut flags = GETEVENTS;
    if no_iowait {
        flags |= NO_IOWAIT;
    }
    let time;
    let argument;
    let (pointer, size) = match wait {
        Wait::For(duration) => {
            flags |= EXT_ARG;
            // The kernel's `__kernel_timespec`. Longer than it can say is for ever.
            time = [
                i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
                i64::from(duration.subsec_nanos()),
            ];
            argument = Argument {
                sigmask: 0,
                sigmask_size: 0,
                min_wait_us: 0,
                timeout: time.as_ptr() as u64,
            };
            ((&raw const argument).cast::<libc::c_void>(), size_of::<Argument>())
        }
        Wait::No | Wait::Forever => (std::ptr::null(), 0),
    };
    // SAFETY: the ring's descriptor; the argument, if any, outlives the call, and so does the time it
    // points to. What the submitted entries point to lives until their CQEs (D1).
    let taken = unsafe {
        libc::syscall(libc::SYS_io_uring_enter, fd, to_submit, at_least, flags, pointer, size)
    };
    if taken >= 0 {
        return Ok(taken as u32);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ETIME) => Ok(0),
        _ => Err(error),
    }
}
