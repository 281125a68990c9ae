//! Signals, and handlers of the program's own, that come between two steps of filch's own: each step at which it looks at
//! what is installed for a signal, or changes it, is a call of `sigaction`, and those go by this file.

mod support;

use filch::Interrupt;
use filch::signal::{SignalKind, signal};
use filch_testkit::child;
use filch_testkit::limits::watchdog;
use std::ffi::c_int;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use support::signals::{Displaced, FOREIGN, action, foreign, has_come, install, installed, raise};
use support::{PATIENCE, runtime, watched};

type Sigaction = unsafe extern "C" fn(c_int, *const libc::sigaction, *mut libc::sigaction) -> c_int;

/// The C library's, in whose place this is: the program's own symbols come first.
#[unsafe(no_mangle)]
unsafe extern "C" fn sigaction(
    signal: c_int,
    new: *const libc::sigaction,
    former: *mut libc::sigaction,
) -> c_int {
    static THEIRS: AtomicUsize = AtomicUsize::new(0);
    let mut theirs = THEIRS.load(Ordering::Relaxed);
    if theirs == 0 {
        // SAFETY: the name ends with a NUL.
        theirs = unsafe { libc::dlsym(libc::RTLD_NEXT, c"sigaction".as_ptr()) } as usize;
        THEIRS.store(theirs, Ordering::Relaxed);
    }
    // SAFETY: it is what it is called.
    let theirs = unsafe { mem::transmute::<usize, Sigaction>(theirs) };
    step(signal);
    // SAFETY: the caller's promise.
    let result = unsafe { theirs(signal, new, former) };
    step(signal);
    result
}

/// The signal that is to come; 0 for none.
static ARMED: AtomicI32 = AtomicI32::new(0);
/// At which step.
static LEFT: AtomicUsize = AtomicUsize::new(0);
static HAS_COME: AtomicBool = AtomicBool::new(false);
/// What is to come is no signal: the program installs a handler for it.
static INSTALLS: AtomicBool = AtomicBool::new(false);

fn step(signal: c_int) {
    if ARMED.load(Ordering::SeqCst) == signal && LEFT.fetch_sub(1, Ordering::SeqCst) == 1 {
        HAS_COME.store(true, Ordering::SeqCst);
        if INSTALLS.load(Ordering::SeqCst) {
            // SAFETY: all zeroes is a value of it.
            let mut action = unsafe { mem::zeroed::<libc::sigaction>() };
            action.sa_sigaction = foreign();
            install(signal, &action);
        } else {
            raise(signal);
        }
    }
}

fn arm(signal: c_int) {
    ARMED.store(signal, Ordering::SeqCst);
}

/// Whether it has come.
fn disarm() -> bool {
    ARMED.store(0, Ordering::SeqCst);
    HAS_COME.load(Ordering::SeqCst)
}

/// Runs it again and again, with a signal at another step each time, of those while it is armed. It has at least so many.
fn at_every_step(least: usize, mut scenario: impl FnMut()) {
    for step in 1.. {
        HAS_COME.store(false, Ordering::SeqCst);
        LEFT.store(step, Ordering::SeqCst);
        scenario();
        if !disarm() {
            assert!(step > least, "{step} steps");
            return;
        }
    }
}

/// SIGNAL-3: who was there before hears of it, once, at whichever step it comes.
#[test]
fn an_earlier_handler_hears_of_it_at_every_step() {
    child::run("an_earlier_handler_hears_of_it_at_every_step", || {
        let _watchdog = watchdog(PATIENCE);
        Displaced::by(foreign(), libc::SIGUSR1);
        let runtime = runtime(1);
        at_every_step(8, || {
            let before = FOREIGN.load(Ordering::SeqCst);
            runtime.block_on(async {
                arm(libc::SIGUSR1);
                let listen = || signal(SignalKind::user_defined1()).unwrap();
                let (one, other) = (listen(), listen());
                drop(one);
                drop(other);
                disarm();
            });
            let calls = FOREIGN.load(Ordering::SeqCst) - before;
            assert_eq!(calls, u32::from(HAS_COME.load(Ordering::SeqCst)));
            assert_eq!(installed(libc::SIGUSR1), foreign());
        });
    });
}

/// SIGNAL-4: our handler was put back after its time, which is no reason to call it from itself; and a new listener hears,
/// at whichever step a signal finds nobody to tell.
#[test]
fn a_handler_that_was_put_back_does_not_call_itself() {
    child::run("a_handler_that_was_put_back_does_not_call_itself", || {
        let _watchdog = watchdog(PATIENCE);
        let runtime = runtime(1);
        let listen = || runtime.block_on(async { signal(SignalKind::window_change()).unwrap() });
        // Before any later list: as the first listener leaves it.
        let first = listen();
        let ours = action(libc::SIGWINCH);
        drop(first);
        at_every_step(2, || {
            install(libc::SIGWINCH, &ours);
            arm(libc::SIGWINCH);
            let mut listener = listen();
            disarm();
            // What has come by now counts as one, and is not what is waited for below.
            has_come(&mut listener);
            raise(libc::SIGWINCH);
            runtime.block_on(async { listener.recv().await.unwrap() });
            drop(listener);
            assert_eq!(installed(libc::SIGWINCH), libc::SIG_DFL);
        });
    });
}

/// SIGNAL-6, RUN-10: Ctrl-C at whichever step of a listener's coming and going in a `run` is told to it, or asks the main
/// future; and once that was asked, the next one finds the default.
#[test]
fn an_interrupt_is_the_listeners_or_asks_at_every_step() {
    child::run("an_interrupt_is_the_listeners_or_asks_at_every_step", || {
        let _watchdog = watchdog(PATIENCE);
        at_every_step(6, || {
            let _ = watched(1).interrupt(Interrupt::CancelMain).run(async {
                let run = installed(libc::SIGINT);
                arm(libc::SIGINT);
                let mut listener = signal(SignalKind::interrupt()).unwrap();
                let has_come_early = HAS_COME.load(Ordering::SeqCst);
                let (told, asked) = (has_come(&mut listener), filch::is_cancelled());
                assert_eq!(has_come_early, told || asked);
                assert!(!(told && asked));
                drop(listener);
                disarm();
                let left = if filch::is_cancelled() { libc::SIG_DFL } else { run };
                assert_eq!(installed(libc::SIGINT), left);
            });
        });
    });
}

/// SIGNAL-1, RUN-11: the end of a `run` leaves a listener, or a handler of the program's own, alone at every step.
#[test]
fn the_end_of_run_opens_no_gap() {
    child::run("the_end_of_run_opens_no_gap", || {
        let _watchdog = watchdog(PATIENCE);
        at_every_step(2, || {
            let mut listener = None;
            let main = async {
                listener = Some(signal(SignalKind::interrupt()).unwrap());
                arm(libc::SIGINT);
            };
            watched(1).interrupt(Interrupt::CancelMain).run(main).unwrap();
            let mut listener = listener.unwrap();
            if disarm() {
                assert!(has_come(&mut listener));
            }
            drop(listener);
            assert_eq!(installed(libc::SIGINT), libc::SIG_DFL);
        });
        at_every_step(2, || {
            let before = FOREIGN.load(Ordering::SeqCst);
            let main = async {
                Displaced::by(foreign(), libc::SIGINT);
                arm(libc::SIGINT);
            };
            watched(1).interrupt(Interrupt::CancelMain).run(main).unwrap();
            assert_eq!(FOREIGN.load(Ordering::SeqCst) - before, u32::from(disarm()));
            assert_eq!(installed(libc::SIGINT), foreign());
            Displaced::by(libc::SIG_DFL, libc::SIGINT);
        });
    });
}

/// SIGNAL-3, SIGNAL-4: a handler that somebody installs at whichever step of a listener's coming and going is there in the
/// end; also where ours, which was put back after its time, gives up.
#[test]
fn a_handler_that_comes_in_between_stays() {
    child::run("a_handler_that_comes_in_between_stays", || {
        let _watchdog = watchdog(PATIENCE);
        INSTALLS.store(true, Ordering::SeqCst);
        let runtime = runtime(1);
        let listen = || runtime.block_on(async { signal(SignalKind::window_change()).unwrap() });
        let is_there = || {
            let left = if disarm() { foreign() } else { libc::SIG_DFL };
            assert_eq!(installed(libc::SIGWINCH), left);
            Displaced::by(libc::SIG_DFL, libc::SIGWINCH);
        };
        at_every_step(8, || {
            arm(libc::SIGWINCH);
            let listener = listen();
            let has_come = HAS_COME.load(Ordering::SeqCst);
            let present = action(libc::SIGWINCH);
            // Ours, in the place of one that has not asked for the stack for signals (SIGNAL-8).
            if has_come && present.sa_sigaction != foreign() {
                assert_eq!(present.sa_flags & libc::SA_ONSTACK, 0);
            }
            drop(listener);
            is_there();
        });
        let listener = listen();
        let ours = action(libc::SIGWINCH);
        drop(listener);
        at_every_step(4, || {
            install(libc::SIGWINCH, &ours);
            arm(libc::SIGWINCH);
            raise(libc::SIGWINCH);
            is_there();
        });
    });
}

/// RUN-11: a handler of the program's own that comes at whichever step of the beginning or the end of a `run` stays.
#[test]
fn run_displaces_no_handler_that_comes_in_between() {
    child::run("run_displaces_no_handler_that_comes_in_between", || {
        let _watchdog = watchdog(PATIENCE);
        INSTALLS.store(true, Ordering::SeqCst);
        at_every_step(8, || {
            Displaced::by(libc::SIG_DFL, libc::SIGINT);
            arm(libc::SIGINT);
            watched(1).interrupt(Interrupt::CancelMain).run(async {}).unwrap();
            let left = if disarm() { foreign() } else { libc::SIG_DFL };
            assert_eq!(installed(libc::SIGINT), left);
        });
    });
}
