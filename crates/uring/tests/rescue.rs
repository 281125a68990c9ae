//! A thread that is stuck in user code: others see to its ring meanwhile (S5).
//!
//! By order of events, not by time: the stuck thread goes on only when what was to be rescued has been
//! delivered.

mod support;

use filch_uring::{Config, Counts, Driver, Features, Op, Position, Remote, Rescue, SharedFd, op};
use std::future::Future;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};
use support::{CountWaker, pair};

const ALL: [Features; 4] =
    [Features::Plain, Features::Cooperative, Features::Deferred, Features::Best];

/// Waits for an event. Only a hang reaches the limit.
fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < limit, "it hangs: {what}");
        thread::yield_now();
    }
}

/// Lets a stuck thread go when it has been woken so often.
struct Release {
    left: AtomicUsize,
    reached: AtomicBool,
}

impl Release {
    fn after(wakes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(wakes), reached: AtomicBool::new(false) })
    }

    fn reached(&self) -> bool {
        self.reached.load(Ordering::SeqCst)
    }
}

impl Wake for Release {
    fn wake(self: Arc<Self>) {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        assert!(left > 0, "woken once too often");
        if left == 1 {
            self.reached.store(true, Ordering::SeqCst);
        }
    }
}

fn poll_with<F: Future + Unpin>(future: &mut F, release: &Arc<Release>) -> Poll<F::Output> {
    let waker = Waker::from(release.clone());
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// How a thread is stuck until it is released.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stuck {
    Spinning,
    Sleeping,
    Nanosleep,
    Reading,
    Futex,
    Allocating,
}

const WAYS: [Stuck; 6] = [
    Stuck::Spinning,
    Stuck::Sleeping,
    Stuck::Nanosleep,
    Stuck::Reading,
    Stuck::Futex,
    Stuck::Allocating,
];

/// What lets a thread go that waits for another's act.
struct Unblock {
    written: OwnedFd,
    sent: mpsc::Sender<()>,
}

struct Blocked {
    read: OwnedFd,
    received: mpsc::Receiver<()>,
}

fn blocker() -> (Unblock, Blocked) {
    let (read, written) = std::io::pipe().expect("a pipe");
    let (sent, received) = mpsc::channel();
    (Unblock { written: written.into(), sent }, Blocked { read: read.into(), received })
}

/// Lets the stuck thread go, also when this one fails: a failure must not be a hang.
struct Unstuck<'a>(&'a Release, Option<Unblock>);

impl Drop for Unstuck<'_> {
    fn drop(&mut self) {
        self.0.reached.store(true, Ordering::SeqCst);
        if let Some(Unblock { written, sent }) = self.1.take() {
            // It may be gone already.
            let _ = std::fs::File::from(written).write_all(b"x");
            let _ = sent.send(());
        }
    }
}

impl Stuck {
    fn hold(self, release: &Release, blocked: &Blocked) {
        match self {
            Self::Spinning => {
                while !release.reached() {
                    // What a signal's handler may not touch.
                    set_errno(77);
                    for _ in 0..100 {
                        std::hint::spin_loop();
                    }
                    assert_eq!(errno(), 77);
                }
            }
            Self::Sleeping => {
                while !release.reached() {
                    thread::sleep(Duration::from_millis(3));
                }
            }
            Self::Nanosleep => {
                let time = libc::timespec { tv_sec: 0, tv_nsec: 3_000_000 };
                while !release.reached() {
                    // SAFETY: a time to read.
                    unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
                }
            }
            Self::Reading => {
                let mut byte = 0u8;
                // SAFETY: room for a byte. One call: signals must not end it.
                let read =
                    unsafe { libc::read(blocked.read.as_raw_fd(), (&raw mut byte).cast(), 1) };
                assert_eq!(read, 1, "{}", std::io::Error::last_os_error());
            }
            Self::Futex => blocked.received.recv().expect("it is sent"),
            Self::Allocating => {
                let mut size = 1;
                while !release.reached() {
                    size = size * 7 % 100_003;
                    drop(std::hint::black_box(Vec::<u8>::with_capacity(size + 2_000)));
                }
            }
        }
        assert!(release.reached());
    }
}

fn errno() -> i32 {
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() }
}

fn set_errno(errno: i32) {
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() = errno };
}

/// Runs `begin` on a thread with a driver, which is then stuck. Here, `meanwhile` is given what `begin`
/// gave, and others rescue it until `release` is reached. Then the thread goes on, `finish`es, and shuts
/// its driver down. Gives what was counted.
fn stuck<T: Send>(
    config: Config,
    way: Stuck,
    release: &Arc<Release>,
    begin: impl FnOnce(&mut Driver) -> T + Send,
    meanwhile: impl FnOnce(&Remote, T),
    finish: impl FnOnce(&mut Driver) + Send,
) -> Counts {
    let (unblock, blocked) = blocker();
    let (began, begun) = mpsc::channel();
    thread::scope(|scope| {
        let owner = scope.spawn(move || {
            let mut driver = Driver::new(&config).expect("a ring");
            let given = begin(&mut driver);
            began.send((driver.remote(), given)).expect("somebody waits");
            way.hold(release, &blocked);
            finish(&mut driver);
            driver.shutdown(None).expect("nothing is stuck");
            driver.counts()
        });
        let unstuck = Unstuck(release, Some(unblock));
        let (remote, given) = begun.recv().expect("it begins");
        meanwhile(&remote, given);
        wait_until("rescue", || {
            remote.rescue().expect("it can be signalled");
            release.reached()
        });
        drop(unstuck);
        owner.join().expect("no panic")
    })
}

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

fn recv(fd: &SharedFd) -> Op<op::Recv<Vec<u8>>> {
    Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(16)))
}

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
                wait_until("wakes", || count.count() >= BATCH + 1);
                assert_eq!(count.count(), BATCH + 1, "each once, and not what was dropped");
            }
            over.store(true, Ordering::SeqCst);
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

/// Nothing to gain: no system call, however often one looks.
#[test]
fn nothing_to_gain_is_no_signal() {
    let release = Release::after(1);
    let (fd, _peer) = pair();
    let counts = stuck(
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
            assert_eq!(remote.counts().signals_sent, 0);
            release.clone().wake();
        },
        |_| (),
    );
    assert_eq!(counts.rescues, 0);
}

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

/// A signal that cannot be handled is refused when the driver is made.
#[test]
fn an_impossible_signal_is_refused() {
    for signal in [libc::SIGKILL, 0, -1, 65, 1_000] {
        let config = Config { rescue: Rescue::Signal(signal), ..Config::default() };
        let error = Driver::new(&config).expect_err("refused");
        assert_eq!((error.call(), error.cause()), ("sigaction", filch_uring::Cause::Signal));
    }
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
