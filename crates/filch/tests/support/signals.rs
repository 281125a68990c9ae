//! Sending signals, and looking at what is installed for them.

use filch::signal::Signal;
use futures_util::FutureExt;
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// Sends this thread a signal, which has been handled when this returns.
pub fn raise(number: i32) {
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::raise(number) }, 0);
}

/// What is installed for a signal.
pub fn action(number: i32) -> libc::sigaction {
    // SAFETY: all zeroes is a value of it.
    let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
    // SAFETY: nothing is changed, and the place is there.
    assert_eq!(unsafe { libc::sigaction(number, ptr::null(), &raw mut action) }, 0);
    action
}

/// Its handler.
pub fn installed(number: i32) -> usize {
    action(number).sa_sigaction
}

/// Whether a listener has been told since it was asked last.
pub fn has_come(signal: &mut Signal) -> bool {
    matches!(signal.recv().now_or_never(), Some(Ok(())))
}

/// How often [`foreign`] was called.
pub static FOREIGN: AtomicU32 = AtomicU32::new(0);

extern "C" fn count(_: libc::c_int) {
    FOREIGN.fetch_add(1, Ordering::SeqCst);
}

/// A handler of the program's own, which counts.
pub fn foreign() -> libc::sighandler_t {
    count as extern "C" fn(libc::c_int) as libc::sighandler_t
}

/// What a library does that handles a signal for a while: it remembers what was there, and puts it back.
pub struct Displaced(libc::c_int, libc::sigaction);

impl Displaced {
    pub fn by(handler: libc::sighandler_t, number: libc::c_int) -> Self {
        Self::with_flags(handler, number, 0)
    }

    pub fn with_flags(handler: libc::sighandler_t, number: libc::c_int, flags: i32) -> Self {
        // SAFETY: all zeroes is a value of it.
        let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        // SAFETY: as above.
        let mut former = unsafe { std::mem::zeroed::<libc::sigaction>() };
        // SAFETY: the handler does what a handler may, and the places are there.
        assert_eq!(unsafe { libc::sigaction(number, &raw const action, &raw mut former) }, 0);
        Self(number, former)
    }

    pub fn put_back(self) {
        install(self.0, &self.1);
    }
}

/// Installs what was installed before.
pub fn install(number: i32, action: &libc::sigaction) {
    // SAFETY: it was installed before.
    assert_eq!(unsafe { libc::sigaction(number, action, ptr::null_mut()) }, 0);
}

/// Whether a signal is blocked while a handler runs.
pub fn blocks(action: &libc::sigaction, number: i32) -> bool {
    // SAFETY: the set is there.
    unsafe { libc::sigismember(&raw const action.sa_mask, number) == 1 }
}

type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);

/// Calls a handler that was installed once, with `SA_SIGINFO` or without: as a thread does that the system has sent there
/// then, and that has been slow.
pub fn call_late(handler: libc::sighandler_t, number: i32) {
    // SAFETY: what a test found installed. One that takes less does not look at the rest.
    let handler = unsafe { std::mem::transmute::<usize, Handler>(handler) };
    handler(number, ptr::null_mut(), ptr::null_mut());
}

/// Whom [`passes_on`] calls.
pub static NEXT: AtomicUsize = AtomicUsize::new(0);

extern "C" fn pass_on(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: what the test found installed, a handler with SA_SIGINFO.
    let next = unsafe { std::mem::transmute::<usize, Handler>(NEXT.load(Ordering::SeqCst)) };
    FOREIGN.fetch_add(1, Ordering::SeqCst);
    next(signal, info, context);
}

/// A handler that counts, and calls the one before it.
pub fn passes_on() -> libc::sighandler_t {
    pass_on as extern "C" fn(_, _, _) as libc::sighandler_t
}

/// What becomes of a child that is forked off here and does only that, and ends with status 0. It may do what a handler may.
pub fn forked(does: impl FnOnce()) -> std::process::ExitStatus {
    // SAFETY: the child does nothing but what a handler may.
    match unsafe { libc::fork() } {
        -1 => panic!("{}", std::io::Error::last_os_error()),
        0 => {
            does();
            // SAFETY: a plain number.
            unsafe { libc::_exit(0) }
        }
        child => {
            let mut status = 0;
            // SAFETY: there is room for a number.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            std::os::unix::process::ExitStatusExt::from_raw(status)
        }
    }
}
