//! A thread that is stuck in user code until something has happened.
#![allow(dead_code, unreachable_pub)]

use filch_uring::SharedFd;
use filch_uring::{Config, Counts, Driver, Features, Op, Remote, op};
use std::future::Future;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Duration, Instant};

pub const ALL: [Features; 4] =
    [Features::Plain, Features::Cooperative, Features::Deferred, Features::Best];

/// Waits for an event. Only a hang reaches the limit.
pub fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(60);
    while !happened() {
        assert!(Instant::now() < limit, "it hangs: {what}");
        thread::yield_now();
    }
}

/// Lets a stuck thread go when it has been woken so often.
pub struct Release {
    left: AtomicUsize,
    reached: AtomicBool,
}

impl Release {
    pub fn after(wakes: usize) -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(wakes), reached: AtomicBool::new(false) })
    }

    pub fn reached(&self) -> bool {
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

pub fn poll_with<F: Future + Unpin>(future: &mut F, release: &Arc<Release>) -> Poll<F::Output> {
    let waker = Waker::from(release.clone());
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// How a thread is stuck until it is released.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stuck {
    Spinning,
    Sleeping,
    Nanosleep,
    Reading,
    Futex,
    Allocating,
}

pub const WAYS: [Stuck; 6] = [
    Stuck::Spinning,
    Stuck::Sleeping,
    Stuck::Nanosleep,
    Stuck::Reading,
    Stuck::Futex,
    Stuck::Allocating,
];

/// What lets a thread go that waits for another's act.
pub struct Unblock {
    written: OwnedFd,
    sent: mpsc::Sender<()>,
}

pub struct Blocked {
    read: OwnedFd,
    received: mpsc::Receiver<()>,
}

pub fn blocker() -> (Unblock, Blocked) {
    let (read, written) = std::io::pipe().expect("a pipe");
    let (sent, received) = mpsc::channel();
    (Unblock { written: written.into(), sent }, Blocked { read: read.into(), received })
}

/// Lets the stuck thread go, also when this one fails: a failure must not be a hang.
pub struct Unstuck<'a>(&'a Release, Option<Unblock>);

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
    pub fn hold(self, release: &Release, blocked: &Blocked) {
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

pub fn errno() -> i32 {
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() }
}

pub fn set_errno(errno: i32) {
    // SAFETY: the thread's own.
    unsafe { *libc::__errno_location() = errno };
}

/// Runs `begin` on a thread with a driver, which is then stuck. Here, `meanwhile` is given what `begin`
/// gave, and others rescue it until `release` is reached. Then the thread goes on, `finish`es, and shuts
/// its driver down. Gives what was counted.
pub fn stuck<T: Send>(
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

/// Receives a few bytes.
pub fn recv(fd: &SharedFd) -> Op<op::Recv<Vec<u8>>> {
    Op::new(op::Recv::new(fd.clone(), Vec::with_capacity(16)))
}
