//! A thread that is stuck in user code: others see to its ring meanwhile (S5).
//!
//! By order of events, not by time: the stuck thread goes on only when what was to be rescued has been
//! delivered.

#[path = "support/stuck.rs"]
mod stuck;
mod support;

use filch_uring::{Config, Driver, Features, Op, Position, Remote, SharedFd, op};
use std::future::Future;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};
use stuck::{ALL, Release, Stuck, WAYS, poll_with, recv, stuck, wait_until};
use support::{CountWaker, pair};

/// The kinds of things that wait for a stuck thread.
#[derive(Debug, Clone, Copy)]
enum What {
    /// It was submitted, and completes in the kernel.
    Deferred,
    StagedNop,
    StagedRead,
    StagedRecv,
    /// A read that nothing ends but a cancel, by another thread.
    Cancel,
    /// Many more completions than there is room for.
    Overflow,
}

const WHATS: [What; 6] = [
    What::Deferred,
    What::StagedNop,
    What::StagedRead,
    What::StagedRecv,
    What::Cancel,
    What::Overflow,
];

fn rescued(what: What, way: Stuck, features: Features) {
    let many = 100;
    let release = Release::after(if matches!(what, What::Overflow) { many } else { 1 });
    let config = Config { entries: 8, completions: 16, features, ..Config::default() };
    let (fd, mut peer) = pair();
    let (read, mut write) = std::io::pipe().expect("a pipe");
    let read = SharedFd::new(read.into());
    let begin = |op: &mut dyn FnMut() -> bool, driver: &mut Driver, submit: bool| {
        assert!(!op());
        if submit {
            driver.turn().expect("the ring works");
        }
    };
    let counts = match what {
        What::StagedNop => stuck(
            config,
            way,
            &release,
            |driver| {
                let mut nop = Op::new(op::Nop::new());
                begin(&mut || poll_with(&mut nop, &release).is_ready(), driver, false);
                nop
            },
            |remote, mut nop| {
                wait_until("nop", || remote.rescue().is_ok() && nop.is_done());
                assert!(matches!(support::poll(&mut nop), Poll::Ready(Ok(_))));
            },
            |_| (),
        ),
        What::StagedRead => stuck(
            config,
            way,
            &release,
            |driver| {
                write.write_all(b"from a pipe").expect("it has room");
                let buffer = Vec::with_capacity(16);
                let mut op = Op::new(op::Read::new(read.clone(), buffer, Position::Current));
                begin(&mut || poll_with(&mut op, &release).is_ready(), driver, false);
                op
            },
            |remote, mut op| {
                wait_until("read", || remote.rescue().is_ok() && op.is_done());
                let Poll::Ready((result, bytes)) = support::poll(&mut op) else { panic!("done") };
                assert_eq!((result.expect("it reads"), &bytes[..]), (11, &b"from a pipe"[..]));
            },
            |_| (),
        ),
        What::Deferred | What::StagedRecv => stuck(
            config,
            way,
            &release,
            |driver| {
                let mut op = recv(&fd);
                let deferred = matches!(what, What::Deferred);
                begin(&mut || poll_with(&mut op, &release).is_ready(), driver, deferred);
                op
            },
            |remote, mut op| {
                peer.write_all(b"bytes").expect("it has room");
                wait_until("recv", || remote.rescue().is_ok() && op.is_done());
                let Poll::Ready((result, bytes)) = support::poll(&mut op) else { panic!("done") };
                assert_eq!((result.expect("it arrived"), &bytes[..]), (5, &b"bytes"[..]));
            },
            |_| (),
        ),
        What::Cancel => stuck(
            config,
            way,
            &release,
            |driver| {
                let mut op = recv(&fd);
                begin(&mut || poll_with(&mut op, &release).is_ready(), driver, true);
                op
            },
            |remote, mut op| {
                op.cancel();
                wait_until("cancel", || remote.rescue().is_ok() && op.is_done());
                let Poll::Ready((result, _)) = support::poll(&mut op) else { panic!("done") };
                let error = result.expect_err("nothing was sent");
                assert_eq!(error.raw_os_error(), Some(libc::ECANCELED));
            },
            |_| (),
        ),
        What::Overflow => stuck(
            config,
            way,
            &release,
            |driver| {
                let mut polls: Vec<_> =
                    (0..many).map(|_| Op::new(op::PollFd::new(fd.clone(), libc::POLLIN))).collect();
                for op in &mut polls {
                    begin(&mut || poll_with(op, &release).is_ready(), driver, true);
                }
                polls
            },
            |remote, mut polls| {
                peer.write_all(b"x").expect("it has room");
                wait_until("polls", || remote.rescue().is_ok() && polls.iter().all(Op::is_done));
                assert!(polls.iter_mut().all(|op| support::poll(op).is_ready()));
            },
            |_| (),
        ),
    };
    let operations = if matches!(what, What::Overflow) { many as u64 } else { 1 };
    let told = format!("{what:?} {way:?} {features:?} {counts:?}");
    assert_eq!((counts.rescued, counts.completed), (operations, operations), "{told}");
    assert!(counts.rescues > 0, "{told}");
    if !matches!(what, What::Deferred | What::Overflow) || features >= Features::Deferred {
        assert!(counts.signals_handled > 0 && counts.signals_handled <= counts.signals_sent);
    }
}

#[test]
fn a_stuck_thread_holds_up_nobody() {
    for features in ALL {
        for what in WHATS {
            for way in WAYS {
                rescued(what, way, features);
            }
        }
    }
}

/// More cancels than fit one signal, among them one of an operation dropped.
#[test]
fn many_cancels_at_once() {
    let release = Release::after(99);
    let (fd, _peer) = pair();
    let counts = stuck(
        Config::default(),
        Stuck::Spinning,
        &release,
        |driver| {
            let mut ops: Vec<_> = (0..100).map(|_| recv(&fd)).collect();
            assert!(!ops.iter_mut().any(|op| poll_with(op, &release).is_ready()));
            driver.turn().expect("the ring works");
            ops
        },
        |remote, mut ops| {
            ops.pop();
            ops.iter_mut().for_each(Op::cancel);
            wait_until("cancels", || remote.rescue().is_ok() && ops.iter().all(Op::is_done));
        },
        |_| (),
    );
    assert!(counts.signals_handled >= 100 / 16);
    assert_eq!((counts.rescued, counts.messages, fd.holders()), (100, 0, 1));
}

/// Dropped by others while their thread is stuck: freed once, and unwanted descriptors are closed (D2).
#[test]
fn what_is_dropped_is_disposed_of() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let listener = SharedFd::from(OwnedFd::from(listener));
    let release = Release::after(1);
    let (fd, _peer) = pair();
    let counts = stuck(
        Config::default(),
        Stuck::Spinning,
        &release,
        |driver| {
            let mut accept = Op::new(op::Accept::new(listener.clone()));
            let (mut receive, mut nop) = (recv(&fd), Op::new(op::Nop::new()));
            assert!(support::poll(&mut accept).is_pending());
            assert!(support::poll(&mut receive).is_pending());
            driver.turn().expect("the ring works");
            assert!(poll_with(&mut nop, &release).is_pending());
            (accept, receive, nop)
        },
        |remote, (accept, receive, _nop)| {
            let mut client = std::net::TcpStream::connect(address).expect("it listens");
            drop((accept, receive));
            wait_until("drops", || {
                remote.rescue().expect("it can be signalled");
                fd.holders() == 1 && listener.holders() == 1
            });
            // Whether it was accepted before it was cancelled or is refused now: nobody keeps it.
            client.set_nonblocking(true).expect("a socket");
            if remote.counts().rescued == 0 {
                panic!("they were rescued");
            }
            let mut byte = [0];
            match client.read(&mut byte) {
                Ok(read) => assert_eq!(read, 0, "closed"),
                // It was never accepted: it is in the listener's queue.
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        },
        |_| (),
    );
    assert_eq!(counts.completed, 3);
}

/// A connection that was accepted for nobody is closed by whoever rescues (D2).
#[test]
fn an_accepted_descriptor_is_closed() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound");
    let listener = SharedFd::from(OwnedFd::from(listener));
    let mut client = std::net::TcpStream::connect(address).expect("it listens");
    let release = Release::after(1);
    let counts = stuck(
        Config::default(),
        Stuck::Spinning,
        &release,
        |_| {
            let mut accept = Op::new(op::Accept::new(listener.clone()));
            assert!(support::poll(&mut accept).is_pending());
            accept
        },
        |remote, accept| {
            // Not submitted yet. It will be, with somebody to accept, so the cancel comes too late.
            drop(accept);
            wait_until("accept", || remote.rescue().is_ok() && listener.holders() == 1);
            client.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
            assert_eq!(client.read(&mut [0]).expect("closed in order"), 0);
            release.clone().wake();
        },
        |_| (),
    );
    assert_eq!((counts.rescued, counts.submitted), (1, 1));
}

/// A waker that panics takes nobody else's completion with it.
#[test]
fn a_waker_that_panics_loses_nothing() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }
    let release = Release::after(3);
    let counts = stuck(
        Config::default(),
        Stuck::Spinning,
        &release,
        |_| {
            let mut nops: Vec<_> = (0..5).map(|_| Op::new(op::Nop::new())).collect();
            for (index, nop) in nops.iter_mut().enumerate() {
                let waker = if index % 2 == 1 {
                    Waker::from(Arc::new(Panics))
                } else {
                    Waker::from(release.clone())
                };
                assert!(Pin::new(nop).poll(&mut Context::from_waker(&waker)).is_pending());
            }
            nops
        },
        |remote, mut nops| {
            let mut panics = 0;
            wait_until("nops", || {
                panics += usize::from(catch_unwind(AssertUnwindSafe(|| remote.rescue())).is_err());
                nops.iter().all(Op::is_done)
            });
            assert!((1..=2).contains(&panics), "the first of each batch goes on: {panics}");
            assert!(nops.iter_mut().all(|nop| support::poll(nop).is_ready()));
        },
        |_| (),
    );
    assert_eq!((counts.rescued, counts.completed), (5, 5));
}

/// What a rescuer has in hand is not over yet: it is counted when its waker has run.
#[test]
fn what_is_in_hand_is_not_counted_as_completed() {
    struct Look(Arc<Release>, Remote, std::sync::Mutex<Vec<u64>>);
    impl Wake for Look {
        fn wake(self: Arc<Self>) {
            self.2.lock().expect("no panic").push(self.1.counts().completed);
            self.0.clone().wake();
        }
    }
    let release = Release::after(3);
    let counts = stuck(
        Config::default(),
        Stuck::Spinning,
        &release,
        |driver| {
            let look = Look(release.clone(), driver.remote(), std::sync::Mutex::default());
            let look = Arc::new(look);
            let mut nops = [(); 3].map(|()| Op::new(op::Nop::new()));
            for nop in &mut nops {
                let waker = Waker::from(look.clone());
                assert!(Pin::new(nop).poll(&mut Context::from_waker(&waker)).is_pending());
            }
            (nops, look)
        },
        |remote, (nops, look)| {
            wait_until("nops", || remote.rescue().is_ok() && release.reached());
            assert!(nops.iter().all(Op::is_done));
            assert_eq!(*look.2.lock().expect("no panic"), [0, 1, 2]);
        },
        |_| (),
    );
    assert_eq!((counts.completed, counts.rescued), (3, 3));
}

/// A wake-up read that a rescuer met is the owner's: the owner hears of it, and is woken the next time.
#[test]
fn the_drivers_own_entries_are_left_to_it() {
    let release = Release::after(1);
    let woken = AtomicBool::new(false);
    let (fd, mut peer) = pair();
    let counts = stuck(
        Config::default(),
        Stuck::Spinning,
        &release,
        |driver| {
            let mut op = recv(&fd);
            assert!(poll_with(&mut op, &release).is_pending());
            // Arms the reads.
            driver.park(Some(Instant::now())).expect("the ring works");
            op
        },
        |remote, op| {
            remote.alarm(Some(Duration::ZERO));
            // The alarm's completion is seen, and is no operation.
            wait_until("alarm", || {
                assert_eq!(remote.rescue().expect("it can be signalled"), 0);
                remote.counts().signals_handled > 0
            });
            peer.write_all(b"x").expect("it has room");
            wait_until("recv", || remote.rescue().is_ok() && op.is_done());
        },
        |driver| {
            let remote = driver.remote();
            // Rescues leave a token behind; after it the alarm, which was set aside, may end one more.
            let (parked, waker) = (driver.counts().parks, remote.clone());
            thread::scope(|scope| {
                scope.spawn(|| {
                    // Deaf, it would not get up.
                    wait_until("park", || waker.counts().parks > parked);
                    waker.alarm(Some(Duration::from_millis(1)));
                    wait_until("wake-up by the alarm", || woken.load(Ordering::SeqCst));
                });
                while remote.counts().parks == parked {
                    driver.park(None).expect("the ring works");
                }
                woken.store(true, Ordering::SeqCst);
            });
        },
    );
    assert_eq!((counts.rescued, counts.completed, counts.alarms), (1, 1, 2));
}

/// Says that it is over, at the latest when it goes.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Others look after a thread that is not stuck at all: every operation completes once, wakes once.
#[test]
fn rescues_race_with_the_owners_turns() {
    const ROUNDS: usize = 100;
    const BATCH: usize = 20;
    for features in ALL {
        let config = Config { entries: 8, completions: 16, features, ..Config::default() };
        let mut driver = Driver::new(&config).expect("a ring");
        let over = AtomicBool::new(false);
        let (fd, mut peer) = pair();
        let mut completed = 0;
        thread::scope(|scope| {
            // Also when something fails here.
            let _over = Over(&over);
            for _ in 0..3 {
                let remote = driver.remote();
                let over = &over;
                scope.spawn(move || {
                    while !over.load(Ordering::SeqCst) {
                        remote.rescue().expect("it can be signalled");
                        remote.alarm(Some(Duration::from_micros(50)));
                    }
                });
            }
            for round in 0..ROUNDS {
                let (count, waker) = CountWaker::new();
                let mut cx = Context::from_waker(&waker);
                let mut nops: Vec<_> = (0..BATCH).map(|_| Op::new(op::Nop::new())).collect();
                for nop in &mut nops {
                    assert!(Pin::new(nop).poll(&mut cx).is_pending());
                }
                let mut receive = recv(&fd);
                assert!(Pin::new(&mut receive).poll(&mut cx).is_pending());
                let mut cancelled = Op::new(op::PollFd::new(fd.clone(), libc::POLLPRI));
                assert!(Pin::new(&mut cancelled).poll(&mut cx).is_pending());
                if round % 3 == 0 {
                    driver.turn().expect("the ring works");
                }
                peer.write_all(&[round as u8]).expect("it has room");
                // Elsewhere, so that it is a message.
                scope.spawn(move || drop(cancelled)).join().expect("no panic");
                completed += BATCH as u64 + 2;
                while driver.counts().completed < completed {
                    driver.park(None).expect("the ring works");
                }
                for nop in &mut nops {
                    assert!(matches!(support::poll(nop), Poll::Ready(Ok(_))));
                }
                let Poll::Ready((result, bytes)) = support::poll(&mut receive) else {
                    panic!("it is done")
                };
                assert_eq!((result.expect("it arrived"), bytes[0]), (1, round as u8));
                wait_until("wakes", || count.count() > BATCH);
                assert_eq!(count.count(), BATCH + 1, "each once, and not what was dropped");
            }
        });
        assert_eq!(driver.counts().completed, completed);
        driver.shutdown(None).expect("nothing is stuck");
        assert_eq!(fd.holders(), 1);
    }
}

/// Rings that close while others rescue them.
#[test]
fn rescues_race_with_the_end() {
    for round in 0..200 {
        let features = ALL[round % ALL.len()];
        let config = Config { entries: 8, completions: 16, features, ..Config::default() };
        let mut driver = Driver::new(&config).expect("a ring");
        let (fd, _peer) = pair();
        let remote = driver.remote();
        let rescuers = [(); 2].map(|()| {
            let remote = remote.clone();
            thread::spawn(move || {
                while !remote.is_closed() {
                    remote.rescue().expect("it can be signalled");
                }
                // It may not be gone yet: it takes no more operations, and ends those it has.
                for _ in 0..20 {
                    remote.rescue().expect("it can be signalled");
                }
            })
        });
        let (count, waker) = CountWaker::new();
        let mut cx = Context::from_waker(&waker);
        let mut ops: Vec<_> = (0..30).map(|_| recv(&fd)).collect();
        let mut nops: Vec<_> = (0..30).map(|_| Op::new(op::Nop::new())).collect();
        for op in &mut ops {
            assert!(Pin::new(op).poll(&mut cx).is_pending());
        }
        if round % 2 == 0 {
            driver.turn().expect("the ring works");
        }
        for nop in &mut nops {
            assert!(Pin::new(nop).poll(&mut cx).is_pending());
        }
        driver.shutdown(None).expect("nothing is stuck");
        drop(driver);
        assert!(ops.iter_mut().all(|op| support::poll(op).is_ready()));
        assert!(nops.iter_mut().all(|nop| support::poll(nop).is_ready()));
        for rescuer in rescuers {
            rescuer.join().expect("no panic");
        }
        assert_eq!((count.count(), remote.counts().completed, fd.holders()), (60, 60, 1));
    }
}

/// A driver that is dropped without a shutdown, or shut down, has nothing to rescue.
#[test]
fn a_closed_driver_is_left_alone() {
    let mut driver = support::driver();
    let remote = driver.remote();
    driver.shutdown(None).expect("nothing is in flight");
    let mut nop = Op::with_remote(op::Nop::new(), remote.clone());
    assert!(support::poll(&mut nop).is_ready(), "refused");
    assert_eq!(remote.rescue().expect("nothing to do"), 0);
    remote.alarm(Some(Duration::ZERO));
    drop(driver);
    assert_eq!(remote.rescue().expect("nothing to do"), 0);
    assert_eq!((remote.counts().signals_sent, remote.counts().rescues), (0, 0));
}

/// Nothing to gain: no system call, however often one looks.
#[test]
fn nothing_to_gain_is_no_signal() {
    let release = Release::after(1);
    let (fd, _peer) = pair();
    stuck(
        Config::default(),
        Stuck::Spinning,
        &release,
        |driver| {
            let mut op = recv(&fd);
            assert!(support::poll(&mut op).is_pending());
            driver.turn().expect("the ring works");
            op
        },
        |remote, _op| {
            for _ in 0..1_000 {
                assert_eq!(remote.rescue().expect("nothing to do"), 0);
            }
            // What comes with the end, the operation's cancel among it, may be a rescuer's to deliver.
            assert_eq!((remote.counts().signals_sent, remote.counts().rescues), (0, 0));
            release.clone().wake();
        },
        |_| (),
    );
}

/// The stuck code is a waker that the driver runs: what completes meanwhile is delivered by others.
#[test]
fn a_waker_may_be_what_is_stuck() {
    struct Hold(Arc<Release>);
    impl Wake for Hold {
        fn wake(self: Arc<Self>) {
            while !self.0.reached() {
                std::hint::spin_loop();
            }
        }
    }
    let release = Release::after(1);
    let (fd, mut peer) = pair();
    let mut driver = support::driver();
    let mut op = recv(&fd);
    assert!(poll_with(&mut op, &release).is_pending());
    driver.turn().expect("the ring works");
    let mut nop = Op::new(op::Nop::new());
    let holding = Waker::from(Arc::new(Hold(release.clone())));
    assert!(Pin::new(&mut nop).poll(&mut Context::from_waker(&holding)).is_pending());
    let remote = driver.remote();
    thread::scope(|scope| {
        scope.spawn(|| {
            // The nop is done just before its waker runs.
            wait_until("the waker", || nop.is_done());
            peer.write_all(b"x").expect("it has room");
            wait_until("recv", || remote.rescue().is_ok() && release.reached());
        });
        driver.turn().expect("the ring works");
    });
    assert!(op.is_done());
    assert_eq!(driver.counts().completed, 2);
}

#[test]
fn an_alarm_ends_a_park() {
    let mut driver = support::driver();
    let remote = driver.remote();
    for _ in 0..3 {
        remote.alarm(Some(Duration::from_secs(3_600)));
        remote.alarm(Some(Duration::from_millis(1)));
        driver.park(None).expect("the ring works");
    }
    let counts = driver.counts();
    assert_eq!((counts.alarms, counts.completed, counts.unparks), (6, 0, 0));
}
