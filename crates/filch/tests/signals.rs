//! Signals: what `docs/semantics.md` promises of them.

mod support;

use filch::signal::{SignalKind, ctrl_c, signal};
use filch::{Interrupt, RunError};
use filch_testkit::{Cut, child};
use futures_util::{FutureExt, StreamExt};
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use support::signals::{
    Displaced, FOREIGN, NEXT, call_late, foreign, forked, has_come, installed, passes_on, raise,
};
use support::{PATIENCE, breathe, everywhere, runtime, watched};

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

/// SIGNAL-3, SIGNAL-4: who was there before is called as well, and is there again.
#[test]
fn an_earlier_handler_is_called_and_stays() {
    child::run("an_earlier_handler_is_called_and_stays", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        let handler = foreign();
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

/// SIGNAL-4: also if somebody has displaced the handler meanwhile, and puts it back when nobody listens any more.
#[test]
fn a_handler_that_is_put_back_too_late_lets_the_default_be() {
    let output = child::try_run("a_handler_that_is_put_back_too_late_lets_the_default_be", || {
        runtime(1).block_on(async {
            let ours = signal(SignalKind::terminate()).unwrap();
            let displaced = Displaced::by(foreign(), libc::SIGTERM);
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
                let displaced = Displaced::with_flags(passes_on(), libc::SIGINT, libc::SA_SIGINFO);
                drop(ours);
                if is_put_back {
                    displaced.put_back();
                }
                raise(libc::SIGINT);
                assert!(filch::is_cancelled());
                let left = if is_put_back { libc::SIG_DFL } else { passes_on() };
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

/// SIGNAL-3: one that comes later and calls the one before it is heard by all, stays, and may go again.
#[test]
fn a_later_handler_that_passes_on_comes_and_goes() {
    child::run("a_later_handler_that_passes_on_comes_and_goes", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        runtime(1).block_on(async {
            let kind = SignalKind::user_defined1();
            let mut ours = signal(kind).unwrap();
            NEXT.store(installed(libc::SIGUSR1), Ordering::SeqCst);
            let displaced = Displaced::with_flags(passes_on(), libc::SIGUSR1, libc::SA_SIGINFO);
            // Also one that listens only now.
            let mut late = signal(kind).unwrap();
            assert_eq!(installed(libc::SIGUSR1), passes_on());
            raise(libc::SIGUSR1);
            assert!(has_come(&mut ours) && has_come(&mut late));
            // Nobody listens, and it goes on passing on: it has handled the signal.
            drop((ours, late));
            raise(libc::SIGUSR1);
            assert_eq!(FOREIGN.load(Ordering::SeqCst), 2);
            assert_eq!(installed(libc::SIGUSR1), passes_on());
            let mut again = signal(kind).unwrap();
            raise(libc::SIGUSR1);
            assert!(has_come(&mut again));
            displaced.put_back();
            raise(libc::SIGUSR1);
            assert!(has_come(&mut again));
            assert_eq!(FOREIGN.load(Ordering::SeqCst), 3);
            drop(again);
            assert_eq!(installed(libc::SIGUSR1), libc::SIG_DFL);
        });
    });
}

/// SIGNAL-3: an earlier handler that was to be called once is called once, and then was the default.
#[test]
fn an_earlier_handler_for_once_is_called_once() {
    child::run("an_earlier_handler_for_once_is_called_once", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        runtime(1).block_on(async {
            for times in [0, 1, 2] {
                FOREIGN.store(0, Ordering::SeqCst);
                Displaced::with_flags(foreign(), libc::SIGUSR1, libc::SA_RESETHAND);
                let mut ours = signal(SignalKind::user_defined1()).unwrap();
                for _ in 0..times {
                    raise(libc::SIGUSR1);
                    assert!(has_come(&mut ours));
                }
                drop(ours);
                let left = if times == 0 { foreign() } else { libc::SIG_DFL };
                assert_eq!(installed(libc::SIGUSR1), left);
                assert_eq!(FOREIGN.load(Ordering::SeqCst), times.min(1));
            }
        });
    });
}

/// PROC-13: who ignores `SIGCHLD` has told the system to forget how children ended, also while somebody listens for it.
#[test]
fn ignored_children_are_forgotten_though_somebody_listens() {
    child::run("ignored_children_are_forgotten_though_somebody_listens", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        Displaced::by(libc::SIG_IGN, libc::SIGCHLD);
        runtime(1).block_on(async {
            let mut ours = signal(SignalKind::child()).unwrap();
            // SAFETY: the child ends at once.
            let id = unsafe { libc::fork() };
            if id == 0 {
                // SAFETY: a plain number.
                unsafe { libc::_exit(1) };
            }
            ours.recv().await.unwrap();
            // SAFETY: no memory is involved. It waits for the end.
            assert_eq!(unsafe { libc::waitpid(id, std::ptr::null_mut(), 0) }, -1);
            assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::ECHILD));
            drop(ours);
            assert_eq!(installed(libc::SIGCHLD), libc::SIG_IGN);
        });
    });
}

/// SIGNAL-6: a listener that is older than a `run`, and two `run`s, of which the second begins while somebody listens.
#[test]
fn a_run_that_begins_while_somebody_listens() {
    child::run("a_run_that_begins_while_somebody_listens", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        let interruptible = || watched(1).interrupt(Interrupt::CancelMain);
        let other = runtime(1);
        let listen = || {
            let main = || other.block_on(async { signal(SignalKind::interrupt()).unwrap() });
            std::thread::scope(|scope| scope.spawn(main).join().unwrap())
        };
        let hears = |listener: &mut _| {
            raise(libc::SIGINT);
            assert!(has_come(listener) && !filch::is_cancelled());
        };
        // Older than the `run`, which leaves the signal alone, and so after that too.
        let mut older = listen();
        interruptible().run(async { hears(&mut older) }).unwrap();
        let out = interruptible().run(async {
            drop(older);
            assert_eq!(installed(libc::SIGINT), libc::SIG_DFL);
        });
        out.unwrap();

        // The first `run` has the signal, somebody listens, and a second begins: when nobody listens it is the first
        // one's again.
        let (ready, is_ready) = std::sync::mpsc::channel();
        let out = interruptible().run(async {
            let run = installed(libc::SIGINT);
            let mut listener = listen();
            std::thread::scope(|scope| {
                let (go, wait) = std::sync::mpsc::channel();
                let second = scope.spawn(move || {
                    interruptible().run(async {
                        ready.send(()).unwrap();
                        wait.recv().unwrap();
                        assert!(!filch::is_cancelled());
                    })
                });
                is_ready.recv().unwrap();
                hears(&mut listener);
                drop(listener);
                assert_eq!(installed(libc::SIGINT), run);
                raise(libc::SIGINT);
                assert!(filch::is_cancelled());
                assert_eq!(installed(libc::SIGINT), libc::SIG_DFL);
                go.send(()).unwrap();
                second.join().unwrap().unwrap();
            });
        });
        assert!(matches!(out, Err(RunError::Interrupted) | Ok(())), "{out:?}");

        // The first ends while somebody listens: then there is nobody to be asked.
        let listener = interruptible().run(async { listen() }).unwrap();
        let out = interruptible().run(async {
            drop(listener);
            assert_eq!(installed(libc::SIGINT), libc::SIG_DFL);
        });
        out.unwrap();
    });
}

/// SIGNAL-3: a handler that the system has called before the last listener went, and that looks only then, passes on all
/// the same.
#[test]
fn a_handler_that_is_late_passes_on() {
    child::run("a_handler_that_is_late_passes_on", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        Displaced::by(foreign(), libc::SIGUSR1);
        runtime(1).block_on(async {
            for calls in 1..3 {
                let listener = signal(SignalKind::user_defined1()).unwrap();
                let ours = installed(libc::SIGUSR1);
                drop(listener);
                call_late(ours, libc::SIGUSR1);
                assert_eq!(FOREIGN.load(Ordering::SeqCst), calls);
            }
        });
    });
}

/// SIGNAL-4: and where there is nobody to pass on to, the default comes to pass.
#[test]
fn a_handler_that_is_late_lets_the_default_be() {
    let output = child::try_run("a_handler_that_is_late_lets_the_default_be", || {
        runtime(1).block_on(async {
            let listener = signal(SignalKind::terminate()).unwrap();
            let ours = installed(libc::SIGTERM);
            drop(listener);
            call_late(ours, libc::SIGTERM);
            panic!("it was to end");
        });
    });
    assert_eq!(output.status.signal(), Some(libc::SIGTERM), "{}", child::text(&output));
}

/// SIGNAL-6, RUN-10: or `run` has it, once.
#[test]
fn a_handler_that_is_late_lets_run_have_it() {
    let output = child::try_run("a_handler_that_is_late_lets_run_have_it", || {
        let _ = watched(1).interrupt(Interrupt::CancelMain).run(async {
            let listener = signal(SignalKind::interrupt()).unwrap();
            let ours = installed(libc::SIGINT);
            drop(listener);
            call_late(ours, libc::SIGINT);
            assert!(filch::is_cancelled());
            println!("asked");
            call_late(ours, libc::SIGINT);
            panic!("it was to end");
        });
    });
    let text = child::text(&output);
    assert!(output.status.signal() == Some(libc::SIGINT) && text.contains("asked"), "{text}");
}

/// RUN-9: the handler of `run` itself, late: its main future is over, and so the signal has its default; unless somebody
/// else has handled it and passes it on.
#[test]
fn an_interrupt_that_is_late_finds_the_default() {
    let output = child::try_run("an_interrupt_that_is_late_finds_the_default", || {
        let main = async { installed(libc::SIGINT) };
        let handler = watched(1).interrupt(Interrupt::CancelMain).run(main).unwrap();
        let displaced = Displaced::by(foreign(), libc::SIGINT);
        call_late(handler, libc::SIGINT);
        println!("goes on");
        displaced.put_back();
        call_late(handler, libc::SIGINT);
        panic!("it was to end");
    });
    let text = child::text(&output);
    assert!(output.status.signal() == Some(libc::SIGINT) && text.contains("goes on"), "{text}");
}

/// SIGNAL-1, RUN-8: a child that has not run its program yet is not the one who listens, or is asked; a signal that it gets
/// does what it does without us.
#[test]
fn a_child_of_a_fork_is_not_meant() {
    child::run("a_child_of_a_fork_is_not_meant", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        let killed = |number| forked(|| raise(number)).signal() == Some(number);
        let out = watched(1).interrupt(Interrupt::CancelMain).run(async {
            assert!(killed(libc::SIGINT));
            let mut interrupts = signal(SignalKind::interrupt()).unwrap();
            assert!(killed(libc::SIGINT));
            let mut ours = signal(SignalKind::terminate()).unwrap();
            assert!(killed(libc::SIGTERM));
            assert!(!has_come(&mut interrupts) && !has_come(&mut ours));
            assert!(!filch::is_cancelled());
            // A handler of the program's own is the child's as well.
            Displaced::by(foreign(), libc::SIGUSR1);
            let mut ours = signal(SignalKind::user_defined1()).unwrap();
            let counts = || {
                raise(libc::SIGUSR1);
                // SAFETY: a plain number.
                unsafe { libc::_exit(FOREIGN.load(Ordering::SeqCst) as i32) }
            };
            assert_eq!(forked(counts).code(), Some(1));
            assert!(!has_come(&mut ours));
        });
        out.unwrap();
    });
}

/// SIGNAL-3, SIGNAL-7: signals come on one thread, and on another listeners come and go. The handler that was there before
/// hears of each, once; who listens all the time hears; and nobody writes to a descriptor that is another's by then.
#[test]
fn signals_come_while_listeners_come_and_go() {
    const ROUNDS: usize = 300;
    child::run("signals_come_while_listeners_come_and_go", || {
        let _watchdog = filch_testkit::limits::watchdog(PATIENCE);
        Displaced::by(foreign(), libc::SIGUSR1);
        let is_over = AtomicBool::new(false);
        let sent = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        raise(libc::SIGUSR1);
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            runtime(1).block_on(async {
                let listen = || signal(SignalKind::user_defined1()).unwrap();
                for round in 0..ROUNDS {
                    let one = listen();
                    let other = (round % 3 == 0).then(listen);
                    if round % 2 == 0 {
                        raise(libc::SIGUSR1);
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(one);
                    // SAFETY: plain numbers. As a rule it has the number of the one that was just closed.
                    let next = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
                    std::thread::yield_now();
                    let mut count = 0u64;
                    // SAFETY: there is room for a number.
                    let read = unsafe { libc::read(next, (&raw mut count).cast(), 8) };
                    assert_eq!((read, count), (-1, 0), "round {round}: somebody has written there");
                    // SAFETY: it is the test's own.
                    assert_eq!(unsafe { libc::close(next) }, 0);
                    drop(other);
                }
                let mut last = listen();
                raise(libc::SIGUSR1);
                sent.fetch_add(1, Ordering::Relaxed);
                assert!(has_come(&mut last));
            });
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(FOREIGN.load(Ordering::SeqCst), sent.load(Ordering::Relaxed));
        assert_eq!(installed(libc::SIGUSR1), foreign());
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
