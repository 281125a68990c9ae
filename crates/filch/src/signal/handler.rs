//! The handler, and the system as [`Slot`] wants it: the C library's calls.

use crate::handlers::{Changes, Slot, System, Who, changes};
use crate::interrupt;
use std::ffi::{c_int, c_void};
use std::mem::{self, MaybeUninit};
use std::os::fd::RawFd;
use std::{io, process, ptr};

/// Linux's `SA_RESTORER`.
const RESTORER: c_int = 0x0400_0000;

/// Linux has 64 signals, from 1.
const SIGNALS: usize = 65;

/// Who listens for each signal.
static SLOTS: [Slot<Action>; SIGNALS] = [const { Slot::new() }; SIGNALS];

/// Has the handler write to an eventfd at each signal of this number.
pub(super) fn add(signal: c_int, fd: RawFd) -> io::Result<()> {
    SLOTS[signal as usize].add(&Number(signal), fd, &changes())
}

/// Has the handler write there no more. When this returns it does not, and will not.
pub(super) fn remove(signal: c_int, fd: RawFd) {
    SLOTS[signal as usize].remove(&Number(signal), fd, &changes());
}

/// Reads and writes atomics, and makes system calls; no lock, no memory, no panic.
extern "C" fn on_signal(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: each thread has one, always.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    let slot = SLOTS.get(signal as usize);
    if let Some(earlier) = slot.and_then(|slot| slot.handle(&Number(signal))) {
        earlier.call(signal, info, context);
    }
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// What is installed for a signal, or may be.
#[derive(Clone, Copy)]
pub(crate) struct Action(libc::sigaction);

impl Action {
    /// It blocks what handlers of ours do, if it is one.
    pub(crate) fn new(handler: libc::sighandler_t, flags: c_int) -> Self {
        // SAFETY: numbers and pointers, for which zero is fine.
        let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        action.sa_mask = filch_uring::mask_of_handlers(&action);
        Self(action)
    }

    fn is_handler(&self) -> bool {
        ![libc::SIG_DFL, libc::SIG_IGN].contains(&self.0.sa_sigaction)
    }

    /// The flags that make one of two with the same handler. The C library adds one of its own, and without a handler there
    /// may be those of the one that was there before.
    fn flags(&self) -> c_int {
        self.0.sa_flags & if self.is_handler() { !RESTORER } else { libc::SA_NOCLDWAIT }
    }

    /// Calls it. It is a handler.
    fn call(&self, signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
        if self.0.sa_flags & libc::SA_SIGINFO != 0 {
            type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);
            // SAFETY: what was given to `sigaction` with SA_SIGINFO.
            let handler = unsafe { mem::transmute::<usize, Handler>(self.0.sa_sigaction) };
            handler(signal, info, context);
        } else {
            type Handler = extern "C" fn(c_int);
            // SAFETY: what was given to `sigaction` without SA_SIGINFO.
            let handler = unsafe { mem::transmute::<usize, Handler>(self.0.sa_sigaction) };
            handler(signal);
        }
    }
}

impl PartialEq for Action {
    fn eq(&self, other: &Self) -> bool {
        (self.0.sa_sigaction, self.flags()) == (other.0.sa_sigaction, other.flags())
    }
}

fn ours_handler() -> libc::sighandler_t {
    on_signal as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as libc::sighandler_t
}

/// A signal in this process, by its number.
pub(crate) struct Number(pub(crate) c_int);

impl System for Number {
    type Action = Action;

    fn installed(&self) -> io::Result<Action> {
        let mut present = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: nothing is changed, and the place is there.
        match unsafe { libc::sigaction(self.0, ptr::null(), present.as_mut_ptr()) } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: it was filled.
            _ => Ok(Action(unsafe { present.assume_init() })),
        }
    }

    fn exchange(&self, action: &mut Action) -> io::Result<()> {
        let new = action.0;
        // SAFETY: the handler is ours, which keeps to what one may do, or was installed before; and the place is there.
        match unsafe { libc::sigaction(self.0, &raw const new, &raw mut action.0) } {
            -1 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }

    fn who(&self, action: &Action) -> Who {
        match action.0.sa_sigaction {
            libc::SIG_DFL => Who::Default,
            libc::SIG_IGN => Who::Ignored,
            handler if handler == ours_handler() => Who::Ours,
            handler if handler == interrupt::handler() => Who::Run,
            _ => Who::Other { once: action.0.sa_flags & libc::SA_RESETHAND != 0 },
        }
    }

    fn ours(&self, instead: &Action) -> Action {
        let mut ours = *instead;
        ours.0.sa_mask = filch_uring::mask_of_handlers(&instead.0);
        ours.0.sa_sigaction = ours_handler();
        // A handler that has not asked for the stack for signals may need more than there is; and one may be there to end
        // the system call that it interrupts.
        let asked = if instead.is_handler() { instead.0.sa_flags } else { !0 };
        ours.0.sa_flags = libc::SA_SIGINFO | (asked & (libc::SA_RESTART | libc::SA_ONSTACK));
        // Who wants the ends of children forgotten has that still.
        let forgets =
            instead.0.sa_flags & libc::SA_NOCLDWAIT != 0 || instead.0.sa_sigaction == libc::SIG_IGN;
        if self.0 == libc::SIGCHLD && forgets {
            ours.0.sa_flags |= libc::SA_NOCLDWAIT;
        }
        ours
    }

    fn default(&self) -> Action {
        Action::new(libc::SIG_DFL, 0)
    }

    fn of_run(&self, changes: &Changes<'_>) -> Action {
        interrupt::due(changes)
    }

    fn ask_main(&self) -> bool {
        interrupt::ask()
    }

    fn tell(&self, listener: RawFd) {
        let one = 1u64;
        // SAFETY: a descriptor in the list is open (`remove`), and the number is there. It does not wait: one that has no
        // room for more has been told.
        unsafe { libc::write(listener, (&raw const one).cast(), size_of::<u64>()) };
    }

    fn raise(&self) {
        // SAFETY: a plain number.
        unsafe { libc::raise(self.0) };
    }

    fn process(&self) -> u32 {
        process::id()
    }
}
