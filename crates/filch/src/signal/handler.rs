//! The handler, and who hears of what it is called for.
//!
//! There is one list for each signal. It does not change: who changes it makes another, puts that in its place, and
//! waits until no handler has the one before. A handler reads, writes to eventfds, and calls who was there before.

use crate::interrupt;
use std::ffi::{c_int, c_void};
use std::mem::{self, MaybeUninit};
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{io, process, ptr, thread};

/// Linux has 64 signals, from 1.
const SIGNALS: usize = 65;

/// Who listens for each signal. Null while our handler is not installed for it.
static LISTENERS: [AtomicPtr<Listeners>; SIGNALS] =
    [const { AtomicPtr::new(ptr::null_mut()) }; SIGNALS];
/// How many handlers look at a list.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// Held by whoever changes a list, or what is installed.
static CHANGES: Mutex<()> = Mutex::new(());

struct Listeners {
    fds: Vec<RawFd>,
    /// What was installed before.
    earlier: libc::sigaction,
    /// A child, between its fork and its program, has the same descriptors, and is not the one to be told.
    process: u32,
}

/// Has the handler write to an eventfd at each signal of this number.
pub(super) fn add(signal: c_int, fd: RawFd) -> io::Result<()> {
    let _changes = lock();
    let _installed = interrupt::changes();
    // Relaxed: changed under the lock only.
    // SAFETY: it is freed under the lock only.
    let now = unsafe { LISTENERS[signal as usize].load(Ordering::Relaxed).as_ref() };
    let (mut fds, earlier) = match now {
        Some(now) => (now.fds.clone(), now.earlier),
        None => (Vec::new(), installed(signal)?),
    };
    let listed = now.is_some();
    fds.push(fd);
    // Before the handler can run and look; and before the look at what is installed: a handler that finds nobody to
    // tell may change that (`nobody_is_told`), and after this there is none any more.
    replace(signal, Some(Listeners { fds: fds.clone(), earlier, process: process::id() }));
    // One that is somebody else's may call ours, which is not to be on top of it then.
    if listed && installed(signal).is_ok_and(|present| !passes_nothing_on(&present)) {
        return Ok(());
    }
    let mut action = earlier;
    action.sa_sigaction = ours();
    // What the earlier one wanted blocked stays blocked while it runs.
    action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK | libc::SA_SIGINFO;
    match install(signal, &action) {
        Ok(mut former) => {
            if former.sa_sigaction == ours() {
                // Put back by somebody after its time.
                former.sa_sigaction = libc::SIG_DFL;
            }
            // Another than was there at the look: the interrupted `run`'s has become the default, say.
            if former.sa_sigaction != earlier.sa_sigaction || former.sa_flags != earlier.sa_flags {
                let process = process::id();
                replace(signal, Some(Listeners { fds, earlier: former, process }));
            }
            Ok(())
        }
        Err(error) => {
            fds.pop();
            let as_before = Listeners { fds, earlier, process: process::id() };
            replace(signal, listed.then_some(as_before));
            Err(error)
        }
    }
}

/// Has the handler write there no more. When this returns it does not, and will not.
pub(super) fn remove(signal: c_int, fd: RawFd) {
    let _changes = lock();
    // That of `run` may be about to put back what it finds.
    let installed_now = interrupt::changes();
    // Relaxed: as above.
    // SAFETY: as above.
    let Some(now) = (unsafe { LISTENERS[signal as usize].load(Ordering::Relaxed).as_ref() }) else {
        return;
    };
    let fds: Vec<_> = now.fds.iter().copied().filter(|&other| other != fd).collect();
    // Somebody else's handler in its place may call ours: then that stays as it is, and passes on.
    let is_ours = || installed(signal).is_ok_and(|action| action.sa_sigaction == ours());
    if !fds.is_empty() || !is_ours() {
        return replace(signal, Some(Listeners { fds, ..*now }));
    }
    if interrupt::is_handler(&now.earlier) {
        interrupt::reinstate(&installed_now);
    } else {
        // It was there before.
        let _ = install(signal, &now.earlier);
    }
    replace(signal, None);
}

/// Whether that is no handler which may call the one before it.
fn passes_nothing_on(action: &libc::sigaction) -> bool {
    [libc::SIG_DFL, libc::SIG_IGN, interrupt::handler()].contains(&action.sa_sigaction)
}

fn lock() -> MutexGuard<'static, ()> {
    CHANGES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts a list in the place of another, which is freed when no handler has it any more. Under the lock.
fn replace(signal: c_int, listeners: Option<Listeners>) {
    let new = listeners.map_or(ptr::null_mut(), |listeners| Box::into_raw(Box::new(listeners)));
    // SeqCst, both: a handler counts itself and then loads the list; here it is the other way round. So one that has
    // found the old list is found in the count.
    let old = LISTENERS[signal as usize].swap(new, Ordering::SeqCst);
    while INSIDE.load(Ordering::SeqCst) != 0 {
        thread::yield_now();
    }
    if !old.is_null() {
        // SAFETY: from `Box::into_raw` above, taken out once, and no handler has it any more.
        drop(unsafe { Box::from_raw(old) });
    }
}

/// Reads and writes atomics, and makes system calls; no lock, no memory, no panic.
extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: each thread has one, always.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    // SeqCst, all three: see `replace`.
    INSIDE.fetch_add(1, Ordering::SeqCst);
    let list = LISTENERS.get(signal as usize).map(|list| list.load(Ordering::SeqCst));
    // SAFETY: while this handler is counted, what it found is not freed (`replace`).
    let listeners = list.and_then(|list| unsafe { list.as_ref() });
    let earlier = listeners.map(|all| (all.earlier.sa_sigaction, all.earlier.sa_flags));
    let process = listeners.map(|all| all.process);
    // SAFETY: it only tells.
    if process.is_none_or(|process| unsafe { libc::getpid() } as u32 == process) {
        let fds = listeners.map_or(&[][..], |listeners| &listeners.fds);
        for &fd in fds {
            let one = 1u64;
            // SAFETY: a descriptor in the list is open (`remove`), and the number is there. It does not wait: one
            // that has no room for more has been told.
            unsafe { libc::write(fd, (&raw const one).cast(), size_of::<u64>()) };
        }
        if fds.is_empty() {
            // Counted: who adds a listener waits for what it does.
            nobody_is_told(signal, earlier.map_or(libc::SIG_DFL, |(handler, _)| handler));
        }
    }
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    // Not counted: it is somebody else's, and may never return.
    if let Some((handler, flags)) = earlier {
        chain(handler, flags, signal, info, context);
    }
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// There is no listener, and yet the handler was called: somebody has put it back who had displaced it while there
/// was one, or passes on to it. Then the signal does what it does without us. In the handler.
fn nobody_is_told(signal: c_int, earlier: usize) {
    if earlier == interrupt::handler() {
        if interrupt::ask() {
            // As after its own handler: the next one ends the process.
            give_up(signal, false);
            return;
        }
    } else if earlier != libc::SIG_DFL {
        // It is called, or the signal was ignored.
        return;
    }
    give_up(signal, true);
}

/// Puts the default in the place of our handler, if that is what is installed; and sends the signal again if that is
/// wanted, which comes as soon as the handler returns. What is somebody else's stays: it has handled the signal.
fn give_up(signal: c_int, again: bool) {
    if !installed(signal).is_ok_and(|present| present.sa_sigaction == ours()) {
        return;
    }
    // SAFETY: numbers and pointers, for which zero is fine.
    let mut default = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    default.sa_sigaction = libc::SIG_DFL;
    if install(signal, &default).is_ok() && again {
        // SAFETY: a plain number.
        unsafe { libc::raise(signal) };
    }
}

/// Calls who was installed before us; not the one of `run`, in whose place we are.
fn chain(
    handler: usize,
    flags: c_int,
    signal: c_int,
    info: *mut libc::siginfo_t,
    context: *mut c_void,
) {
    if [libc::SIG_DFL, libc::SIG_IGN, interrupt::handler()].contains(&handler) {
        return;
    }
    if flags & libc::SA_SIGINFO != 0 {
        type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
        // SAFETY: what was given to `sigaction` with SA_SIGINFO.
        let handler = unsafe { mem::transmute::<usize, Handler>(handler) };
        handler(signal, info, context);
    } else {
        type Handler = extern "C" fn(c_int);
        // SAFETY: what was given to `sigaction` without SA_SIGINFO.
        let handler = unsafe { mem::transmute::<usize, Handler>(handler) };
        handler(signal);
    }
}

fn ours() -> libc::sighandler_t {
    on_signal as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as libc::sighandler_t
}

/// What is installed for a signal.
fn installed(signal: c_int) -> io::Result<libc::sigaction> {
    let mut present = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed, and the place is there.
    match unsafe { libc::sigaction(signal, ptr::null(), present.as_mut_ptr()) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: it was filled.
        _ => Ok(unsafe { present.assume_init() }),
    }
}

/// Installs that. What it displaces.
fn install(signal: c_int, action: &libc::sigaction) -> io::Result<libc::sigaction> {
    let mut former = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the handler is ours, which keeps to what one may do, or was installed before; and the place is there.
    match unsafe { libc::sigaction(signal, action, former.as_mut_ptr()) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: it was filled.
        _ => Ok(unsafe { former.assume_init() }),
    }
}
