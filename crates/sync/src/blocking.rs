//! Waiting on a thread, for threads outside any executor.

use filch_atomic::current;
use filch_atomic::sync::{Condvar, Mutex};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

/// A waker that a thread sleeps by.
struct Bell {
    rung: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.rung.lock() = true;
        self.changed.notify_one();
    }
}

/// What a blocking wait begins with, also one that turns out to need no waiting: a program that blocks in a task
/// is to learn of it when it is written, not when somebody else first has the lock.
///
/// # Panics
///
/// Within a task of filch.
#[inline]
#[track_caller]
pub(crate) fn check() {
    assert!(
        current::task().is_null(),
        "a blocking wait within a task: it would hold up the worker; await instead"
    );
}

/// Runs a future of this crate on this thread, which sleeps meanwhile.
///
/// # Panics
///
/// Within a task of filch: it would hold up its worker, and perhaps the very task that it waits for.
/// Other executors cannot be recognised.
#[track_caller]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    check();
    let mut future = pin!(future);
    let bell = Arc::new(Bell { rung: Mutex::new(false), changed: Condvar::new() });
    let waker = Waker::from(bell.clone());
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        let mut rung = bell.rung.lock();
        while !*rung {
            bell.changed.wait(&mut rung);
        }
        *rung = false;
    }
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::block_on;
    use filch_atomic::current::{self, WaitRecord};
    use std::future::poll_fn;
    use std::task::Poll;

    #[test]
    fn it_sleeps_until_it_is_woken() {
        let mut polls = 0;
        let output = block_on(poll_fn(|cx| {
            polls += 1;
            if polls == 3 {
                return Poll::Ready("done");
            }
            let waker = cx.waker().clone();
            std::thread::spawn(move || waker.wake());
            Poll::Pending
        }));
        assert_eq!((output, polls), ("done", 3));
    }

    #[test]
    #[should_panic(expected = "await instead")]
    fn a_task_must_not_block_its_worker() {
        let record = WaitRecord::new();
        let task = std::ptr::from_ref(&record).cast();
        // SAFETY: nobody asks for the task here but `block_on`, which only looks whether there is one.
        unsafe { current::enter(task, &record, || block_on(async {})) };
    }
}
