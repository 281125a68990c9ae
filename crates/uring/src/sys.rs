//! The system calls that the driver makes itself.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// The kernel's `IORING_ENTER_GETEVENTS`.
const GETEVENTS: u32 = 1 << 0;

/// What `read`, `write` and their kin transfer at most in one call (Linux's `MAX_RW_COUNT`).
pub(crate) const MAX_TRANSFER: usize = 0x7fff_f000;

/// The result of an operation that the kernel never heard of, because the thread that was to stage it is
/// stuck: its future begins it again elsewhere. No errno is as large.
pub(crate) const NOT_BEGUN: i32 = i32::MIN;

/// A CQE's result as the call's.
pub(crate) fn result(result: i32) -> io::Result<i32> {
    // For who does not begin it again: as if it had been cancelled in time.
    let result = if result == NOT_BEGUN { -libc::ECANCELED } else { result };
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(result) }
}

/// Whether an operation that was asked to stop did, in the ring or in one of the kernel's threads, or was
/// never begun.
pub(crate) fn was_given_up(result: i32) -> bool {
    result == -libc::ECANCELED || result == -libc::EINTR || result == NOT_BEGUN
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

/// A new timer. Blocking, for the same reason.
pub(crate) fn timer() -> io::Result<OwnedFd> {
    // SAFETY: no pointers.
    let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, libc::TFD_CLOEXEC) })?;
    // SAFETY: just opened, and ours.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a timer to go off once, so long from now; None stops it.
pub(crate) fn set_timer(timer: &OwnedFd, after: Option<std::time::Duration>) {
    // SAFETY: all zeroes is a value of it.
    let mut setting = unsafe { std::mem::zeroed::<libc::itimerspec>() };
    if let Some(after) = after {
        setting.it_value.tv_sec = after.as_secs().try_into().unwrap_or(libc::time_t::MAX);
        // A time of no length would stop it.
        let nanos = after.subsec_nanos().max(u32::from(after.is_zero()));
        setting.it_value.tv_nsec = nanos.into();
    }
    let none = std::ptr::null_mut();
    // SAFETY: a whole setting to read. It cannot fail: the descriptor is a timer, the setting is valid.
    let set = unsafe { libc::timerfd_settime(timer.as_raw_fd(), 0, &raw const setting, none) };
    debug_assert_eq!(set, 0, "timerfd: {}", io::Error::last_os_error());
}

/// Adds one to an eventfd.
pub(crate) fn signal(event: &OwnedFd) {
    let one = 1u64.to_ne_bytes();
    // SAFETY: the buffer has 8 bytes. It cannot fail: the descriptor is an eventfd, whose count would
    // have to reach 2^64 for it to block.
    let written = unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    debug_assert_eq!(written, 8, "eventfd: {}", io::Error::last_os_error());
}

/// This process.
pub(crate) fn pid() -> libc::pid_t {
    // SAFETY: it only answers.
    unsafe { libc::getpid() }
}

/// This thread.
pub(crate) fn tid() -> libc::pid_t {
    // SAFETY: it only answers.
    unsafe { libc::syscall(libc::SYS_gettid) as libc::pid_t }
}

/// Sends a signal to a thread of this process.
pub(crate) fn signal_thread(tid: libc::pid_t, signal: c_int) -> io::Result<()> {
    // SAFETY: no pointers.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, pid(), tid, signal) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Blocks a signal on this thread, or lets it through. True if it was blocked before.
pub(crate) fn block(signal: c_int, block: bool) -> io::Result<bool> {
    let how = if block { libc::SIG_BLOCK } else { libc::SIG_UNBLOCK };
    // SAFETY: all zeroes is a value of it.
    let mut before = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    // SAFETY: whole sets to read and write.
    let error = unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        if libc::sigaddset(&raw mut set, signal) == 0 {
            libc::pthread_sigmask(how, &raw const set, &raw mut before)
        } else {
            libc::EINVAL
        }
    };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    // SAFETY: a set that was filled.
    Ok(unsafe { libc::sigismember(&raw const before, signal) } == 1)
}

/// The thread's error number, which a signal's handler has to leave as it found it.
pub(crate) fn errno() -> c_int {
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() }
}

pub(crate) fn set_errno(errno: c_int) {
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() = errno };
}

/// `io_uring_enter` for a signal's handler: never waits, says only how many entries were taken, or that it
/// failed.
pub(crate) fn enter_raw(fd: RawFd, to_submit: u32, get_events: bool) -> Option<u32> {
    let flags = if get_events { GETEVENTS } else { 0 };
    let null = std::ptr::null::<c_void>();
    // SAFETY: the ring's descriptor; no pointers. What the entries point to lives until their CQEs (D1).
    let taken =
        unsafe { libc::syscall(libc::SYS_io_uring_enter, fd, to_submit, 0, flags, null, 0usize) };
    u32::try_from(taken).ok()
}

/// Asks the kernel to stop an operation, for a signal's handler. True if there is nothing left to ask: it
/// stops, or runs where it cannot be stopped. False if the kernel does not know it (yet), or does not
/// know how (before Linux 6.0).
pub(crate) fn sync_cancel(fd: RawFd, user_data: u64) -> bool {
    const SYNC_CANCEL: libc::c_uint = 24;

    /// The kernel's `io_uring_sync_cancel_reg`.
    #[repr(C)]
    struct Request {
        user_data: u64,
        fd: i32,
        flags: u32,
        /// How long to wait for one that is running: not at all.
        timeout: [i64; 2],
        opcode: u8,
        reserved: [u8; 7],
        reserved_too: [u64; 3],
    }

    let request = Request {
        user_data,
        fd: -1,
        flags: 0,
        timeout: [0; 2],
        opcode: 0,
        reserved: [0; 7],
        reserved_too: [0; 3],
    };
    // SAFETY: the ring's descriptor, and one request to read.
    let result = unsafe {
        libc::syscall(libc::SYS_io_uring_register, fd, SYNC_CANCEL, &raw const request, 1)
    };
    result >= 0 || matches!(errno(), libc::EALREADY | libc::ETIME)
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
