//! A limit in real time for a test.

use crate::Handle;
use std::future::poll_fn;
use std::io::{self, Write};
use std::mem;
use std::pin::pin;
use std::sync::{Condvar, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// So long one that does not come back to its runtime is given beyond the limit.
const GRACE: Duration = Duration::from_secs(2);

/// Whoever looks at the clock.
#[derive(Debug)]
pub(super) struct Dog {
    name: &'static str,
    limit: Duration,
    /// How to have the same once more, if that takes a seed.
    replay: Option<String>,
    state: Mutex<State>,
    /// It is over. Nothing else is worth a wake of whoever waits.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The test is over, or is panicking.
    is_over: bool,
    is_late: bool,
    waker: Option<Waker>,
}

/// Runs `body`, which has something [watched](Dog::watch).
pub(super) fn run<R>(
    name: &'static str,
    limit: Duration,
    replay: Option<String>,
    body: impl FnOnce(&Dog) -> R,
) -> R {
    let dog = Dog { name, limit, replay, state: Mutex::default(), changed: Condvar::new() };
    thread::scope(|scope| {
        thread::Builder::new()
            .name("filch-test-limit".into())
            .spawn_scoped(scope, || dog.keep_watch())
            .expect("there is a thread to be had");
        let _over = Over(&dog);
        body(&dog)
    })
}

/// Lets the watchdog go.
struct Over<'a>(&'a Dog);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        let waker = self.0.change(|state| {
            state.is_over = true;
            state.waker.take()
        });
        self.0.changed.notify_all();
        drop(waker);
    }
}

impl Dog {
    /// As `test`, which is over in time or panics.
    pub(super) async fn watch<F: Future>(&self, test: F) -> F::Output {
        let mut test = pin!(test);
        let _over = Over(self);
        poll_fn(|cx| {
            if let Poll::Ready(output) = test.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
            // Cloning and dropping wakers is foreign code: under no lock (D8).
            let mut waker = Some(cx.waker().clone());
            let is_late = self.change(|state| {
                mem::swap(&mut state.waker, &mut waker);
                state.is_late
            });
            drop(waker);
            if is_late {
                let left = Handle::current().inner().left();
                panic!("{} did not end within {:?}; there are still:{left}", self.name, self.limit);
            }
            Poll::Pending
        })
        .await
    }

    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state)
    }

    fn keep_watch(&self) {
        let begun = Instant::now();
        if self.is_over_by(begun + self.limit) {
            return;
        }
        let waker = self.change(|state| {
            state.is_late = true;
            state.waker.take()
        });
        if let Some(waker) = waker {
            waker.wake();
        }
        if !self.is_over_by(begun + self.limit + GRACE) {
            // It blocks its thread, so nobody can make it panic.
            // Past the harness, which keeps what is printed to itself, and ends with the process.
            let mut stderr = io::stderr();
            let _ = writeln!(
                stderr,
                "{} did not end within {:?}, and does not wait",
                self.name, self.limit
            );
            if let Some(replay) = &self.replay {
                let _ = writeln!(stderr, "{replay}");
            }
            std::process::abort();
        }
    }

    fn is_over_by(&self, limit: Instant) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while !state.is_over {
            let left = limit.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }
}
