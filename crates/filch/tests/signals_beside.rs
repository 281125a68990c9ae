//! Handlers of the program's own beside those of filch, which call them: the stack they have, and what may fail in them.

mod support;

use filch::Interrupt;
use filch::signal::{SignalKind, signal};
use filch_testkit::child;
use filch_testkit::limits::watchdog;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use support::signals::{Displaced, FOREIGN, action, blocks, has_come, install, installed, raise};
use support::{PATIENCE, runtime, watched};

/// Whether [`looks`] ran on the stack for signals.
static WAS_ON_ITS_STACK: AtomicBool = AtomicBool::new(false);

extern "C" fn looks(_: i32) {
    // SAFETY: all zeroes is a value of it.
    let mut stack = unsafe { std::mem::zeroed::<libc::stack_t>() };
    // SAFETY: there is room for it, and nothing is changed.
    assert_eq!(unsafe { libc::sigaltstack(ptr::null(), &raw mut stack) }, 0);
    WAS_ON_ITS_STACK.store(stack.ss_flags & libc::SS_ONSTACK != 0, Ordering::SeqCst);
}

/// SIGNAL-8: an earlier handler has the stack that it asked for, and ends system calls or not, as it does without listeners.
#[test]
fn an_earlier_handler_has_what_it_asked_for() {
    child::run("an_earlier_handler_has_what_it_asked_for", || {
        let _watchdog = watchdog(PATIENCE);
        let looks = looks as extern "C" fn(i32) as libc::sighandler_t;
        let asked_for = libc::SA_RESTART | libc::SA_ONSTACK;
        runtime(1).block_on(async {
            for flags in [0, libc::SA_RESTART, libc::SA_ONSTACK, asked_for] {
                Displaced::with_flags(looks, libc::SIGUSR1, flags);
                raise(libc::SIGUSR1);
                let alone = WAS_ON_ITS_STACK.load(Ordering::SeqCst);
                let _listener = signal(SignalKind::user_defined1()).unwrap();
                assert_ne!(installed(libc::SIGUSR1), looks);
                WAS_ON_ITS_STACK.store(!alone, Ordering::SeqCst);
                raise(libc::SIGUSR1);
                assert_eq!(WAS_ON_ITS_STACK.load(Ordering::SeqCst), alone);
                assert_eq!(action(libc::SIGUSR1).sa_flags & asked_for, flags);
            }
        });
    });
}

/// What [`reads`] reads: not to be read until [`repairs`] has been called.
static PAGE: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());
const PAGE_SIZE: usize = 1 << 16;

extern "C" fn repairs(_: i32) {
    let page = PAGE.load(Ordering::SeqCst).cast();
    // SAFETY: the test's own.
    assert_eq!(unsafe { libc::mprotect(page, PAGE_SIZE, libc::PROT_READ) }, 0);
}

extern "C" fn reads(_: i32) {
    // SAFETY: it is there, and can be read when the reading is tried again.
    let zero = unsafe { PAGE.load(Ordering::SeqCst).read_volatile() };
    FOREIGN.fetch_add(1 + u32::from(zero), Ordering::SeqCst);
}

/// SIGNAL-8: where an instruction of an earlier handler fails, or a system call of ours, who handles that is called. All
/// other signals wait.
#[test]
fn what_fails_in_a_handler_is_handled() {
    child::run("what_fails_in_a_handler_is_handled", || {
        let _watchdog = watchdog(PATIENCE);
        let (private, anywhere) = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, ptr::null_mut());
        // SAFETY: new memory.
        let page = unsafe { libc::mmap(anywhere, PAGE_SIZE, libc::PROT_NONE, private, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        PAGE.store(page.cast(), Ordering::SeqCst);
        Displaced::by(repairs as extern "C" fn(i32) as _, libc::SIGSEGV);
        Displaced::by(reads as extern "C" fn(i32) as _, libc::SIGUSR1);
        // Without a handler there is nobody whose mask it is.
        for number in [libc::SIGUSR2, libc::SIGURG] {
            let mut ignored = action(number);
            ignored.sa_sigaction = libc::SIG_IGN;
            // SAFETY: the set is there.
            assert_eq!(unsafe { libc::sigfillset(&raw mut ignored.sa_mask) }, 0);
            install(number, &ignored);
        }
        let out = watched(2).interrupt(Interrupt::CancelMain).run(async {
            let mut ours = signal(SignalKind::user_defined1()).unwrap();
            raise(libc::SIGUSR1);
            assert!(has_come(&mut ours));
            assert_eq!(FOREIGN.load(Ordering::SeqCst), 1);
            let _listener = signal(SignalKind::user_defined2()).unwrap();
            // Two listeners', that of `run`, and that which helps who is stuck.
            for handled in [libc::SIGUSR1, libc::SIGUSR2, libc::SIGINT, libc::SIGURG].map(action) {
                assert!(
                    [libc::SIGTERM, libc::SIGURG, libc::SIGCHLD]
                        .iter()
                        .all(|&n| blocks(&handled, n))
                );
                let faults = [libc::SIGSEGV, libc::SIGBUS, libc::SIGSYS, libc::SIGTRAP];
                assert!(!faults.iter().any(|&n| blocks(&handled, n)));
            }
        });
        out.unwrap();
    });
}
