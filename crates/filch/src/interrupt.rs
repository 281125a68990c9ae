//! SIGINT: what a program does that is interrupted from the keyboard.

use crate::handlers::{Changes, Posted, System, Who, changes};
use crate::signal::{Action, Number};
use filch_sched::Interrupter;
use std::io::Write;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::mpsc;
use std::time::Duration;
use std::{io, process, thread};

/// What a runtime does about SIGINT, the signal of Ctrl-C, while its main future runs: see
/// [`Builder::interrupt`](crate::Builder::interrupt).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Interrupt {
    /// The first one asks the main future to end, the second one ends the process.
    #[default]
    CancelMain,
    /// Nothing: the signal is left as it is.
    Leave,
}

const SIGNAL: Number = Number(libc::SIGINT);

/// Whom the handler asks.
static TARGET: Posted<Target> = Posted::nothing();

struct Target {
    interrupter: Interrupter,
    /// A child, between its fork and its program, has the same handler, and is not the one that is meant.
    process: u32,
}

/// So long may it take to write what is left for standard output.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// While it exists, the first SIGINT asks a main future to end.
pub(crate) struct Installed(());

impl Installed {
    /// Installs the handler; `None` if the program has one, or ignores the signal. One main future at a time
    /// is told: the first.
    pub(crate) fn new(interrupter: Interrupter) -> Option<Self> {
        let _changes = changes();
        if present()? != Who::Default {
            return None;
        }
        // Another main future has been told, so that the default is in place again, and is still at its end.
        if has_target() {
            return None;
        }
        drop(TARGET.replace(Some(Box::new(Target { interrupter, process: process::id() }))));
        // Unless the program's own has come between the look and the change.
        if SIGNAL.displace(&action(), Who::Default) == Some(true) {
            return Some(Self(()));
        }
        drop(TARGET.replace(None));
        None
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _changes = changes();
        // If ours has run it is the default already. Another one since, a listener's say, stays; also one that comes
        // between the look and the change: that is put back.
        if present() == Some(Who::Run) {
            let _ = SIGNAL.displace(&SIGNAL.default(), Who::Run);
        }
        drop(TARGET.replace(None));
    }
}

fn has_target() -> bool {
    TARGET.read(|target| target.is_some())
}

/// Ends the process as SIGINT does where nobody handles it, so that whoever started it can tell. What is still on
/// the stack is not dropped.
pub(crate) fn die() -> ! {
    // By another thread: one that was left behind may be in the midst of writing, for ever.
    let (done, is_done) = mpsc::channel();
    let flush = move || {
        let _ = io::stdout().flush();
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(flush).is_ok() {
        let _ = is_done.recv_timeout(LAST_WORDS);
    }
    let _ = SIGNAL.exchange(&mut SIGNAL.default());
    // SAFETY: plain calls; the set is filled before it is used.
    unsafe {
        let mut set = MaybeUninit::uninit();
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGINT);
        libc::pthread_sigmask(libc::SIG_UNBLOCK, set.as_ptr(), ptr::null_mut());
        libc::raise(libc::SIGINT);
    }
    // A process that may not be killed by signals: the first of a container, say.
    process::exit(128 + libc::SIGINT)
}

/// The first SIGINT. Installed with SA_RESETHAND: the second one finds the default in its place.
///
/// Reads and writes atomics and makes a few system calls; no lock, no memory, no panic.
extern "C" fn on_interrupt(_: libc::c_int) {
    // SAFETY: each thread has one, always.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    // Nobody is asked where the main future has ended while this was on its way, and in a child that is about to be
    // another program: as if it had come after that. Not if somebody else calls this, and so has handled it.
    if !ask() && present() == Some(Who::Default) {
        // SAFETY: a plain number.
        unsafe { libc::raise(libc::SIGINT) };
    }
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Asks the main future to end, if there is one to be asked. In a handler.
pub(crate) fn ask() -> bool {
    TARGET.read(|target| {
        let target = target.filter(|target| target.process == process::id());
        if let Some(target) = target {
            target.interrupter.interrupt();
        }
        target.is_some()
    })
}

/// What is to be installed where somebody had put another in its place: its handler, or the default if its main future is
/// over by now.
pub(crate) fn due(_changes: &Changes<'_>) -> Action {
    if has_target() { action() } else { SIGNAL.default() }
}

pub(crate) fn handler() -> libc::sighandler_t {
    on_interrupt as extern "C" fn(libc::c_int) as libc::sighandler_t
}

fn action() -> Action {
    Action::new(handler(), libc::SA_RESETHAND | libc::SA_RESTART | libc::SA_ONSTACK)
}

/// What is installed for SIGINT.
fn present() -> Option<Who> {
    // By reference: the stack for signals is small, and an action is not.
    SIGNAL.installed().as_ref().ok().map(|present| SIGNAL.who(present))
}
