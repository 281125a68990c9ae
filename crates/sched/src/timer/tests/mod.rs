//! Timers under a clock moved by hand.

use super::Timers;
use crate::clock::ManualClock;
use crate::context::set_current_timers;
use filch_atomic::sync::Arc;
use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

mod interval;
mod sleep;
mod timeout;
mod wheel;

const MS: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(86_400);

/// A worker in the hands of its test: it owns timers, on this thread, until it is dropped.
struct Desk {
    hand: std::sync::Arc<ManualClock>,
    timers: Arc<Timers>,
    unparked: std::sync::Arc<AtomicUsize>,
    scratch: Vec<Waker>,
}

impl Desk {
    fn new() -> Self {
        let hand = ManualClock::new();
        let unparked = std::sync::Arc::new(AtomicUsize::new(0));
        let count = unparked.clone();
        let timers = Timers::new(hand.clock(), move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        set_current_timers(Some((timers.clone(), true)));
        Self { hand, timers, unparked, scratch: Vec::new() }
    }

    fn now(&self) -> Instant {
        self.timers.clock().now()
    }

    fn unparked(&self) -> usize {
        self.unparked.load(Ordering::Relaxed)
    }

    /// Moves the clock and lets the worker look at it. Returns how many were woken.
    fn advance(&mut self, step: Duration) -> usize {
        self.hand.advance(step);
        let mut woken = 0;
        loop {
            let expired = self.timers.expire(self.timers.clock().now(), &mut self.scratch);
            assert!(self.scratch.is_empty());
            woken += expired.woken;
            if !expired.more {
                return woken;
            }
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        set_current_timers(None);
    }
}

/// A waker that counts.
#[derive(Default)]
struct Count(AtomicUsize);

impl Count {
    fn new() -> std::sync::Arc<Self> {
        std::sync::Arc::default()
    }

    fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A waker that writes down its number.
struct Note(usize, std::sync::Arc<Mutex<Vec<usize>>>);

impl Wake for Note {
    fn wake(self: std::sync::Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

fn poll<F: Future + Unpin>(future: &mut F, waker: &std::sync::Arc<Count>) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(&Waker::from(waker.clone())))
}
