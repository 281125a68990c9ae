//! The signal that reaches a stuck thread: with other handlers, masks, numbers and drivers about.

#[path = "support/stuck.rs"]
mod stuck;
mod support;

use filch_uring::{Config, Counts, Driver, Op, Rescue, op};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::thread;
use stuck::{Release, Stuck, poll_with, recv, set_errno, stuck, wait_until};
use support::pair;

/// A signal of a test's own: each has its handler for the whole process.
fn own_signal(nth: i32) -> i32 {
    libc::SIGRTMIN() + nth
}

static CALLED: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];
static FOUND: [AtomicUsize; 8] = [const { AtomicUsize::new(0) }; 8];

extern "C" fn foreign(signal: i32) {
    CALLED[(signal - libc::SIGRTMIN()) as usize].fetch_add(1, Ordering::SeqCst);
    set_errno(1);
}

extern "C" fn deaf(signal: i32) {
    CALLED[(signal - libc::SIGRTMIN()) as usize].fetch_add(1, Ordering::SeqCst);
}

extern "C" fn foreign_with_info(signal: i32, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel's.
    assert_eq!(unsafe { (*info).si_signo }, signal);
    foreign(signal);
}

extern "C" fn chaining(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);
    let nth = (signal - libc::SIGRTMIN()) as usize;
    CALLED[nth].fetch_add(1, Ordering::SeqCst);
    let found = FOUND[nth].load(Ordering::SeqCst);
    // SAFETY: what `install` found, installed with SA_SIGINFO.
    unsafe { std::mem::transmute::<usize, Handler>(found)(signal, info, context) };
}

fn install(signal: i32, handler: usize, flags: i32) {
    // SAFETY: a valid action; the handlers above keep to atomics.
    unsafe {
        let mut action = std::mem::zeroed::<libc::sigaction>();
        let mut before = std::mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = handler;
        action.sa_flags = flags;
        assert_eq!(libc::sigaction(signal, &raw const action, &raw mut before), 0);
        let nth = (signal - libc::SIGRTMIN()) as usize;
        FOUND[nth].store(before.sa_sigaction, Ordering::SeqCst);
    }
}

/// A staged operation is rescued by this signal; `begun` runs when the driver is there.
fn rescued_by(signal: i32, begun: impl FnOnce() + Send) -> Counts {
    let release = Release::after(1);
    stuck(
        Config { rescue: Rescue::Signal(signal), ..Config::default() },
        Stuck::Spinning,
        &release,
        |_| {
            let mut nop = Op::new(op::Nop::new());
            assert!(poll_with(&mut nop, &release).is_pending());
            begun();
            nop
        },
        |remote, nop| wait_until("nop", || remote.rescue().is_ok() && nop.is_done()),
        |_| (),
    )
}

#[test]
fn a_foreign_handler_that_was_there_is_called() {
    for (nth, handler, flags) in [
        (0, foreign as *const () as usize, 0),
        (1, foreign_with_info as *const () as usize, libc::SA_SIGINFO),
    ] {
        install(own_signal(nth), handler, flags);
        for _ in 0..2 {
            let counts = rescued_by(own_signal(nth), || ());
            assert!(counts.signals_handled > 0);
        }
        assert!(CALLED[nth as usize].load(Ordering::SeqCst) >= 2);
    }
}

#[test]
fn a_signal_that_was_ignored_works() {
    install(own_signal(2), libc::SIG_IGN, 0);
    assert!(rescued_by(own_signal(2), || ()).signals_handled > 0);
}

#[test]
fn a_foreign_handler_that_comes_later_and_chains_is_fine() {
    let chain = || install(own_signal(3), chaining as *const () as usize, libc::SA_SIGINFO);
    let counts = rescued_by(own_signal(3), chain);
    assert!(counts.signals_handled > 0);
    assert!(CALLED[3].load(Ordering::SeqCst) > 0);
}

/// Then rescues gain nothing, send few signals, and lose nothing: the owner does it all when it can,
/// also what a rescuer had taken from its inbox.
#[test]
fn a_foreign_handler_that_does_not_chain_breaks_nothing() {
    let release = Release::after(1);
    let (fd, _peer) = pair();
    let usurp = || install(own_signal(4), deaf as *const () as usize, 0);
    let counts = stuck(
        Config { rescue: Rescue::Signal(own_signal(4)), ..Config::default() },
        Stuck::Spinning,
        &release,
        |driver| {
            usurp();
            let (mut op, mut nop) = (recv(&fd), Op::new(op::Nop::new()));
            assert!(support::poll(&mut op).is_pending());
            driver.turn().expect("the ring works");
            assert!(support::poll(&mut nop).is_pending());
            (op, nop)
        },
        |remote, (mut op, nop)| {
            op.cancel();
            for _ in 0..1_000 {
                assert_eq!(remote.rescue().expect("it can be signalled"), 0);
            }
            assert!(!nop.is_done() && !op.is_done());
            release.clone().wake();
            // Nobody asks again: the cancel is where the owner finds it, parked or not.
            wait_until("the owner", || op.is_done());
        },
        |driver| {
            while driver.counts().completed < 2 {
                driver.park(None).expect("the ring works");
            }
        },
    );
    assert_eq!((counts.signals_handled, counts.rescued, counts.completed), (0, 0, 2));
    assert!(counts.signals_sent <= 7 + 1_000 / 64, "{}", counts.signals_sent);
    assert!(CALLED[4].load(Ordering::SeqCst) > 0);
}

extern "C" fn on_its_own_stack(signal: i32) {
    // SAFETY: all zeroes is a value of it; there is room for it, and nothing is changed.
    let flags = unsafe {
        let mut stack = std::mem::zeroed::<libc::stack_t>();
        assert_eq!(libc::sigaltstack(std::ptr::null(), &raw mut stack), 0);
        stack.ss_flags
    };
    let nth = (signal - libc::SIGRTMIN()) as usize;
    CALLED[nth].fetch_add(usize::from(flags & libc::SS_ONSTACK == 0), Ordering::SeqCst);
}

/// One that has not asked for the stack for signals may need more than there is.
#[test]
fn a_foreign_handler_keeps_the_stack_of_the_thread() {
    let signal = own_signal(7);
    install(signal, on_its_own_stack as *const () as usize, 0);
    let config = Config { rescue: Rescue::Signal(signal), ..Config::default() };
    let _driver = Driver::new(&config).expect("a ring");
    // SAFETY: a plain number.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
    assert_eq!(CALLED[7].load(Ordering::SeqCst), 1);
}

fn is_blocked(signal: i32) -> bool {
    // SAFETY: asks for the thread's mask.
    unsafe {
        let mut mask = std::mem::zeroed::<libc::sigset_t>();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut mask);
        libc::sigismember(&raw const mask, signal) == 1
    }
}

#[test]
fn a_blocked_signal_is_let_through_while_the_driver_lives() {
    let signal = own_signal(5);
    let blocked = move || {
        // SAFETY: changes the thread's mask.
        unsafe {
            let mut mask = std::mem::zeroed::<libc::sigset_t>();
            libc::sigaddset(&raw mut mask, signal);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const mask, std::ptr::null_mut());
        }
        assert!(is_blocked(signal));
        let config = Config { rescue: Rescue::Signal(signal), ..Config::default() };
        let release = Release::after(1);
        let mut driver = Driver::new(&config).expect("a ring");
        assert!(!is_blocked(signal));
        let mut nop = Op::new(op::Nop::new());
        assert!(poll_with(&mut nop, &release).is_pending());
        let remote = driver.remote();
        thread::scope(|scope| {
            let release = &release;
            scope.spawn(move || {
                wait_until("nop", || remote.rescue().is_ok() && release.reached());
            });
            while !release.reached() {
                std::hint::spin_loop();
            }
        });
        driver.shutdown(None).expect("nothing is stuck");
        assert!(is_blocked(signal), "as it was before");
        driver.counts()
    };
    assert!(thread::spawn(blocked).join().expect("no panic").signals_handled > 0);
}

/// Two drivers of one thread, by different signals: each is rescued.
#[test]
fn several_drivers_and_signals_on_one_thread() {
    thread::spawn(|| {
        let drivers = [own_signal(6), libc::SIGURG].map(|signal| {
            let config = Config { rescue: Rescue::Signal(signal), ..Config::default() };
            Driver::new(&config).expect("a ring")
        });
        let release = Release::after(2);
        // The second is never current: it is reached by its remote, and takes up its mail by itself.
        let [mut first, mut second] = drivers;
        let mut nop = Op::new(op::Nop::new());
        assert!(poll_with(&mut nop, &release).is_pending());
        let (fd, mut peer) = pair();
        let mut receive =
            Op::with_remote(op::Recv::new(fd, Vec::with_capacity(8)), second.remote());
        let there = release.clone();
        let receive = thread::spawn(move || {
            assert!(poll_with(&mut receive, &there).is_pending());
            receive
        });
        let receive = receive.join().expect("no panic");
        second.turn().expect("the ring works");
        peer.write_all(b"x").expect("it has room");
        let remotes = [first.remote(), second.remote()];
        thread::scope(|scope| {
            let release = &release;
            scope.spawn(move || {
                wait_until("both", || {
                    remotes.iter().all(|remote| remote.rescue().is_ok()) && release.reached()
                });
            });
            while !release.reached() {
                std::hint::spin_loop();
            }
        });
        assert!(nop.is_done() && receive.is_done());
        first.shutdown(None).expect("nothing is stuck");
        second.shutdown(None).expect("nothing is stuck");
        assert!(first.counts().rescued == 1 && second.counts().rescued == 1);
    })
    .join()
    .expect("no panic");
}

/// A signal that cannot be handled is refused when the driver is made.
#[test]
fn an_impossible_signal_is_refused() {
    for signal in [libc::SIGKILL, 0, -1, 65, 1_000] {
        let config = Config { rescue: Rescue::Signal(signal), ..Config::default() };
        let error = Driver::new(&config).expect_err("refused");
        assert_eq!((error.call(), error.cause()), ("sigaction", filch_uring::Cause::Signal));
    }
}

/// What is not wanted is not done: no handler, no look.
#[test]
fn rescue_can_be_turned_off() {
    let release = Release::after(1);
    let counts = stuck(
        Config { rescue: Rescue::Off, ..Config::default() },
        Stuck::Spinning,
        &release,
        |_| {
            let mut nop = Op::new(op::Nop::new());
            assert!(support::poll(&mut nop).is_pending());
            nop
        },
        |remote, nop| {
            for _ in 0..100 {
                assert_eq!(remote.rescue().expect("it does nothing"), 0);
            }
            assert!(!nop.is_done());
            release.clone().wake();
        },
        |driver| {
            assert_eq!(driver.counts().submitted, 0);
            driver.turn().expect("the ring works");
        },
    );
    assert_eq!((counts.signals_sent, counts.rescued, counts.completed), (0, 0, 1));
}
