//! Signals: what `docs/semantics.md` promises of them.

mod support;

use filch::signal::{Signal, SignalKind, ctrl_c, signal};
use filch::{Interrupt, RunError};
use filch_testkit::{Cut, child};
use futures_util::{FutureExt, StreamExt};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::{PATIENCE, breathe, everywhere, runtime, watched};

/// Sends this thread a signal, which has been handled when this returns.
fn raise(number: i32) {
    // SAFETY: plain numbers.
    assert_eq!(unsafe { libc::raise(number) }, 0);
}

/// What is installed for a signal.
fn installed(number: i32) -> usize {
    // SAFETY: all zeroes is a value of it.
    let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
    // SAFETY: nothing is changed, and the place is there.
    assert_eq!(unsafe { libc::sigaction(number, std::ptr::null(), &raw mut action) }, 0);
    action.sa_sigaction
}

fn has_come(signal: &mut Signal) -> bool {
    signal.recv().now_or_never().is_some_and(|came| came.map(|()| true).unwrap())
}

/// SIGNAL-1, SIGNAL-2, SIGNAL-4: each listener hears of it, several count as one, and at the end all is as it was.
#[test]
fn every_listener_hears_of_it() {
    child::run("every_listener_hears_of_it", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        let runtime = runtime(2);
        runtime.block_on(async {
            let kind = SignalKind::user_defined1();
            let (mut one, mut other) = (signal(kind).unwrap(), signal(kind).unwrap());
            assert!(!has_come(&mut one));
            for _ in 0..3 {
                raise(libc::SIGUSR1);
            }
            one.recv().await.unwrap();
            assert!(!has_come(&mut one), "they count as one");
            let mut third = signal(kind).unwrap();
            assert!(!has_come(&mut third), "that was before");
            other.next().await.unwrap().unwrap();
            drop(other);
            raise(libc::SIGUSR1);
            one.recv().await.unwrap();
            third.recv().await.unwrap();
            assert_eq!(format!("{one:?}"), "Signal { kind: SIGUSR1, .. }");
            drop((one, third));
            assert_eq!(installed(libc::SIGUSR1), libc::SIG_DFL);
            // One of those that have no names.
            let real = SignalKind::from_raw(libc::SIGRTMIN() + 3);
            let mut real = signal(real).unwrap();
            raise(libc::SIGRTMIN() + 3);
            real.recv().await.unwrap();
        });
    });
}

/// SIGNAL-5: what cannot be handled, or must not be.
#[test]
fn what_is_not_to_be_handled_is_refused() {
    let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
    let runtime = watched(2).rescue_signal(libc::SIGWINCH).build().unwrap();
    runtime.block_on(async {
        let refused = [libc::SIGKILL, libc::SIGSTOP, libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE];
        let none = [0, -1, 32, 65, 1000];
        for number in refused.into_iter().chain(none).chain([libc::SIGILL, libc::SIGWINCH]) {
            let error = signal(SignalKind::from_raw(number)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{number}: {error}");
        }
    });
    assert!(signal(SignalKind::hangup()).is_err(), "there is no runtime here");
}

static FOREIGN: AtomicU32 = AtomicU32::new(0);

extern "C" fn foreign(_: libc::c_int) {
    FOREIGN.fetch_add(1, Ordering::SeqCst);
}

/// SIGNAL-3, SIGNAL-4: who was there before is called as well, and is there again.
#[test]
fn an_earlier_handler_is_called_and_stays() {
    child::run("an_earlier_handler_is_called_and_stays", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        let handler = foreign as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // SAFETY: it adds a number.
        assert_eq!(unsafe { libc::signal(libc::SIGUSR2, handler) }, libc::SIG_DFL);
        runtime(1).block_on(async {
            let mut ours = signal(SignalKind::user_defined2()).unwrap();
            raise(libc::SIGUSR2);
            ours.recv().await.unwrap();
            drop(ours);
            assert_eq!(FOREIGN.load(Ordering::SeqCst), 1);
            assert_eq!(installed(libc::SIGUSR2), handler);
            raise(libc::SIGUSR2);
            assert_eq!(FOREIGN.load(Ordering::SeqCst), 2);
            // One that comes later and passes nothing on is left in its place.
            let ours = signal(SignalKind::user_defined2()).unwrap();
            // SAFETY: as above.
            unsafe { libc::signal(libc::SIGUSR2, handler) };
            drop(ours);
            assert_eq!(installed(libc::SIGUSR2), handler);
        });
    });
}

/// SIGNAL-6: while somebody listens for Ctrl-C `run` does nothing about it; after that it does.
#[test]
fn who_listens_for_ctrl_c_handles_it() {
    child::run("who_listens_for_ctrl_c_handles_it", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        let out = watched(1).interrupt(Interrupt::CancelMain).run(async {
            for _ in 0..2 {
                let mut listening = Box::pin(ctrl_c());
                assert!((&mut listening).now_or_never().is_none());
                raise(libc::SIGINT);
                listening.await.unwrap();
                assert!(!filch::is_cancelled());
            }
            raise(libc::SIGINT);
            filch::cancellable(std::future::pending::<()>()).await.unwrap_err();
            assert!(filch::is_cancelled());
            // It waits, and so has no output.
            std::future::pending::<()>().await
        });
        assert!(matches!(out, Err(RunError::Interrupted)), "{out:?}");
        assert_eq!(installed(libc::SIGINT), libc::SIG_DFL);

        // A listener that outlives the main future leaves the default.
        let kept = watched(1).run(async { signal(SignalKind::interrupt()).unwrap() }).unwrap();
        drop(kept);
        assert_eq!(installed(libc::SIGINT), libc::SIG_DFL);
    });
}

/// SIGNAL-1: the process goes on though the default would end it, until nobody listens any more.
#[test]
fn the_default_is_back_when_nobody_listens() {
    use std::os::unix::process::ExitStatusExt;
    let output = child::try_run("the_default_is_back_when_nobody_listens", || {
        runtime(1).block_on(async {
            let mut ours = signal(SignalKind::terminate()).unwrap();
            raise(libc::SIGTERM);
            ours.recv().await.unwrap();
            println!("goes on");
            drop(ours);
            raise(libc::SIGTERM);
            panic!("it was to end");
        });
    });
    assert!(child::text(&output).contains("goes on"));
    assert_eq!(output.status.signal(), Some(libc::SIGTERM));
}

/// What a library does that handles a signal for a while: it remembers what was there, and puts it back.
struct Displaced(libc::c_int, libc::sigaction);

impl Displaced {
    fn by(handler: libc::sighandler_t, number: libc::c_int) -> Self {
        // SAFETY: all zeroes is a value of it.
        let mut action = unsafe { std::mem::zeroed::<libc::sigaction>() };
        action.sa_sigaction = handler;
        // SAFETY: as above.
        let mut former = unsafe { std::mem::zeroed::<libc::sigaction>() };
        // SAFETY: the handler does what a handler may, and the places are there.
        assert_eq!(unsafe { libc::sigaction(number, &raw const action, &raw mut former) }, 0);
        Self(number, former)
    }

    fn put_back(self) {
        // SAFETY: it was installed before.
        assert_eq!(unsafe { libc::sigaction(self.0, &raw const self.1, std::ptr::null_mut()) }, 0);
    }
}

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// A handler that calls the one before it.
extern "C" fn passes_on(signal: i32, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    type Handler = extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::c_void);
    // SAFETY: what the test found installed, a handler with SA_SIGINFO.
    let next = unsafe { std::mem::transmute::<usize, Handler>(NEXT.load(Ordering::SeqCst)) };
    next(signal, info, context);
}

/// SIGNAL-4: also if somebody has displaced the handler meanwhile, and puts it back when nobody listens any more.
#[test]
fn a_handler_that_is_put_back_too_late_lets_the_default_be() {
    use std::os::unix::process::ExitStatusExt;
    let output = child::try_run("a_handler_that_is_put_back_too_late_lets_the_default_be", || {
        runtime(1).block_on(async {
            let ours = signal(SignalKind::terminate()).unwrap();
            let handler = foreign as extern "C" fn(libc::c_int) as libc::sighandler_t;
            let displaced = Displaced::by(handler, libc::SIGTERM);
            drop(ours);
            displaced.put_back();
            raise(libc::SIGTERM);
            panic!("it was to end");
        });
    });
    assert_eq!(output.status.signal(), Some(libc::SIGTERM), "{}", child::text(&output));
}

/// SIGNAL-4, SIGNAL-6: and Ctrl-C asks the main future again, once, whether the handler is put back or called by who
/// displaced it.
#[test]
fn a_handler_that_is_put_back_too_late_lets_run_have_it() {
    child::run("a_handler_that_is_put_back_too_late_lets_run_have_it", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        for is_put_back in [true, false] {
            let out = watched(1).interrupt(Interrupt::CancelMain).run(async {
                let ours = signal(SignalKind::interrupt()).unwrap();
                NEXT.store(installed(libc::SIGINT), Ordering::SeqCst);
                let handler = passes_on as extern "C" fn(_, _, _) as libc::sighandler_t;
                let displaced = Displaced::by(handler, libc::SIGINT);
                drop(ours);
                if is_put_back {
                    displaced.put_back();
                }
                raise(libc::SIGINT);
                assert!(filch::is_cancelled());
                let left = if is_put_back { libc::SIG_DFL } else { handler };
                assert_eq!(installed(libc::SIGINT), left);
            });
            assert!(matches!(out, Err(RunError::Interrupted) | Ok(())), "{out:?}");
            Displaced::by(libc::SIG_DFL, libc::SIGINT);
        }
    });
}

/// SIGNAL-1: a listener hears, though somebody has put the default, or nothing, in the place of the handler since.
#[test]
fn a_new_listener_hears_whatever_became_of_the_handler() {
    child::run("a_new_listener_hears_whatever_became_of_the_handler", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        runtime(1).block_on(async {
            for instead in [libc::SIG_DFL, libc::SIG_IGN] {
                let old = signal(SignalKind::user_defined1()).unwrap();
                Displaced::by(instead, libc::SIGUSR1);
                drop(old);
                assert_eq!(installed(libc::SIGUSR1), instead);
                let mut new = signal(SignalKind::user_defined1()).unwrap();
                raise(libc::SIGUSR1);
                assert!(has_come(&mut new));
                let kept = signal(SignalKind::user_defined1()).unwrap();
                Displaced::by(instead, libc::SIGUSR1);
                let another = signal(SignalKind::user_defined1()).unwrap();
                raise(libc::SIGUSR1);
                assert!(has_come(&mut new));
                drop((new, kept, another));
                assert_eq!(installed(libc::SIGUSR1), instead);
            }
        });
    });
}

async fn receives(cut: Cut) {
    let ours = Arc::new(Mutex::new(signal(SignalKind::user_defined1()).unwrap()));
    let before = Arc::new(AtomicU32::new(0));
    let receiver = {
        let (ours, before) = (ours.clone(), before.clone());
        async move {
            std::future::poll_fn(|cx| ours.lock().unwrap().poll_recv(cx)).await.unwrap();
            before.fetch_add(1, Ordering::Relaxed);
        }
    };
    let sender = async {
        breathe().await;
        raise(libc::SIGUSR1);
    };
    filch::join!(cut.run(receiver), sender);
    let mut ours = Arc::into_inner(ours).unwrap().into_inner().unwrap();
    if before.load(Ordering::Relaxed) == 0 {
        ours.recv().await.unwrap();
    }
    assert!(!has_come(&mut ours), "it came once");
}

/// SIGNAL-7: wherever a wait is dropped, what came is there for the next one, and nothing is left open.
#[test]
fn no_signal_is_lost_at_any_poll() {
    everywhere(2, receives);
}

async fn waits_for_ctrl_c(cut: Cut) {
    let mut listener = signal(SignalKind::interrupt()).unwrap();
    let sender = async {
        breathe().await;
        raise(libc::SIGINT);
    };
    filch::join!(cut.run(async { ctrl_c().await.unwrap() }), sender);
    listener.recv().await.unwrap();
}

/// SIGNAL-7: of one that is dropped nothing is left.
#[test]
fn a_ctrl_c_that_nobody_waits_for_any_more() {
    child::run("a_ctrl_c_that_nobody_waits_for_any_more", || everywhere(1, waits_for_ctrl_c));
}
