//! SIGINT: what a program does that is interrupted from the keyboard.

use filch_sched::Interrupter;
use std::io::Write;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, mpsc};
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

/// Whom the handler tells.
static TARGET: AtomicPtr<Interrupter> = AtomicPtr::new(ptr::null_mut());
/// How many handlers are at it.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// Held by whoever looks at what is installed, and changes it.
static CHANGES: Mutex<()> = Mutex::new(());

/// So long may it take to write what is left for standard output.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// While it exists, the first SIGINT asks a main future to end.
pub(crate) struct Installed(());

impl Installed {
    /// Installs the handler; `None` if the program has one, or ignores the signal. One main future at a time
    /// is told: the first.
    pub(crate) fn new(interrupter: Interrupter) -> Option<Self> {
        let _changes = changes();
        if present()? != libc::SIG_DFL {
            return None;
        }
        // Another main future has been told, so that the default is in place again, and is still at its end.
        // Relaxed: changed under the lock only.
        if !TARGET.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // SeqCst: pairs with the load in `on_interrupt`.
        TARGET.store(Box::into_raw(Box::new(interrupter)), Ordering::SeqCst);
        if exchange(handler()).is_some() {
            return Some(Self(()));
        }
        drop(take_target());
        None
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let _changes = changes();
        // If ours has run it is the default already. Another one since, a listener's say, stays; also one that comes
        // between the look and the change: that is put back.
        if present() == Some(handler())
            && let Some(former) = exchange(libc::SIG_DFL)
            && former.sa_sigaction != handler()
        {
            // SAFETY: it was installed just now.
            unsafe { libc::sigaction(libc::SIGINT, &raw const former, ptr::null_mut()) };
        }
        drop(take_target());
    }
}

/// Takes the target out of the handler's reach.
fn take_target() -> Box<Interrupter> {
    // SeqCst, both: a handler counts itself and then loads the target; here it is the other way round. So
    // one that has found the target is found in the count.
    let target = TARGET.swap(ptr::null_mut(), Ordering::SeqCst);
    while INSIDE.load(Ordering::SeqCst) != 0 {
        thread::yield_now();
    }
    // SAFETY: from `Box::into_raw` (`new`), taken out once, and no handler has it any more.
    unsafe { Box::from_raw(target) }
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
    exchange(libc::SIG_DFL);
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
/// Reads and writes atomics and makes one system call; no lock, no memory, no panic.
extern "C" fn on_interrupt(_: libc::c_int) {
    // SAFETY: each thread has one, always.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    ask();
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Asks the main future to end, if there is one to be asked. In a handler.
pub(crate) fn ask() -> bool {
    // SeqCst, all three: see `take_target`.
    INSIDE.fetch_add(1, Ordering::SeqCst);
    // SAFETY: while this handler is counted, what it found is not freed (`take_target`).
    let target = unsafe { TARGET.load(Ordering::SeqCst).as_ref() };
    if let Some(interrupter) = target {
        interrupter.interrupt();
    }
    let asked = target.is_some();
    INSIDE.fetch_sub(1, Ordering::SeqCst);
    asked
}

/// Whether that is the handler of this module.
pub(crate) fn is_handler(action: &libc::sigaction) -> bool {
    action.sa_sigaction == handler()
}

/// Keeps others from looking at what is installed, and from changing it.
pub(crate) fn changes() -> MutexGuard<'static, ()> {
    CHANGES.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Installs it again where somebody had put another in its place; or the default, if its main future is over by now.
pub(crate) fn reinstate(_changes: &MutexGuard<'static, ()>) {
    // Relaxed: changed under the lock only.
    let is_over = TARGET.load(Ordering::Relaxed).is_null();
    exchange(if is_over { libc::SIG_DFL } else { handler() });
}

pub(crate) fn handler() -> libc::sighandler_t {
    on_interrupt as extern "C" fn(libc::c_int) as libc::sighandler_t
}

/// What is installed for SIGINT.
fn present() -> Option<libc::sighandler_t> {
    let mut present = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed, and the place is there.
    let told = unsafe { libc::sigaction(libc::SIGINT, ptr::null(), present.as_mut_ptr()) };
    // SAFETY: it was filled.
    (told == 0).then(|| unsafe { present.assume_init() }.sa_sigaction)
}

/// Installs that for SIGINT. What was there before.
fn exchange(handler: libc::sighandler_t) -> Option<libc::sigaction> {
    // SAFETY: numbers and pointers, for which zero is fine.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_RESETHAND | libc::SA_RESTART | libc::SA_ONSTACK;
    let mut former = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the handler keeps to what one may do, and the place is there.
    let told =
        unsafe { libc::sigaction(libc::SIGINT, &raw const action, former.as_mut_ptr()) == 0 };
    // SAFETY: it was filled.
    told.then(|| unsafe { former.assume_init() })
}
