//! What several tests need. Each test binary uses its own part of it.
#![allow(dead_code, unreachable_pub)]

use filch_uring::{Config, Driver, Op, Operation, SharedFd};
use std::future::Future;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

/// A small driver.
pub fn driver() -> Driver {
    Driver::new(&Config::default()).expect("a ring")
}

/// Counts how often it is woken.
#[derive(Default)]
pub struct CountWaker(AtomicUsize);

impl CountWaker {
    pub fn new() -> (Arc<Self>, Waker) {
        let this = Arc::new(Self::default());
        (this.clone(), this.into())
    }

    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for CountWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Polls once with a waker that does nothing.
pub fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Drives a future on this thread's driver.
pub fn block_on<F: Future + Unpin>(driver: &mut Driver, mut future: F) -> F::Output {
    loop {
        if let Poll::Ready(output) = poll(&mut future) {
            return output;
        }
        driver.park(None).expect("the ring works");
    }
}

/// Runs one operation.
pub fn run<T: Operation>(driver: &mut Driver, operation: T) -> T::Output {
    block_on(driver, Op::new(operation))
}

/// Two connected sockets.
pub fn pair() -> (SharedFd, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    (OwnedFd::from(ours).into(), theirs)
}

/// How many descriptors the process has.
pub fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("proc").count()
}

/// A reproducible source of arguments (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.roll() % limit as u64) as usize
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}
