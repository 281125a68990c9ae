//! The state word of a task: wake x poll x abort x join, and who drops what
//! (`crates/sched/src/task/README.md`).
//!
//! Assertions inside a poll would be caught as the task's panic, so each model takes the result and
//! passes that on.
#![cfg(filch_loom)]

use filch_atomic::cell::UnsafeCell;
use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::thread;
use filch_loom_tests::{Bench, result};
use filch_sched::task::{JoinError, JoinHandle};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::AtomicUsize as Count;
use std::task::{Context, Poll, Wake, Waker};

/// What the model itself counts with: `std`'s, which loom neither sees nor orders by.
type Counter = std::sync::Arc<Count>;

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

/// Counts how often it is dropped.
struct Counted(Counter);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(Count);

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Bell {
    fn rung(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn poll<T>(handle: &mut JoinHandle<T>, waker: &Waker) -> Poll<Result<T, JoinError>> {
    Pin::new(handle).poll(&mut Context::from_waker(waker))
}

/// Where a task leaves its waker at its first poll.
type Place = std::sync::Arc<std::sync::Mutex<Option<Waker>>>;

/// Leaves its waker once, then is ready when `is_ready` says so.
fn waiting<R: FnMut() -> bool>(
    place: &Place,
    mut is_ready: R,
) -> impl Future<Output = ()> + use<R> {
    let place = place.clone();
    let mut left = false;
    poll_fn(move |cx| {
        if !std::mem::replace(&mut left, true) {
            *place.lock().unwrap() = Some(cx.waker().clone());
        }
        if is_ready() { Poll::Ready(()) } else { Poll::Pending }
    })
}

/// What a waker wrote before it woke is there for the poll that follows, also if the task was
/// notified already.
#[test]
fn wake_publishes() {
    check(|| {
        let queue = Bench::new();
        let words = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let place = Place::default();
        let handle = queue.spawn(waiting(&place, {
            let words = words.clone();
            // Relaxed: the wake alone has to make them visible.
            move || words.iter().all(|word| word.load(Ordering::Relaxed) == 1)
        }));
        queue.run();
        let waker = place.lock().unwrap().take().unwrap();
        let worker = queue.worker();
        let other = thread::spawn({
            let (words, waker) = (words.clone(), waker.clone());
            move || {
                words[0].store(1, Ordering::Relaxed);
                waker.wake();
            }
        });
        words[1].store(1, Ordering::Relaxed);
        waker.wake_by_ref();
        drop(waker);
        worker.join().unwrap();
        other.join().unwrap();
        // If the last of the wakes found the queue already empty for good. Otherwise the worker's
        // poll was the last, and only the word ordered it with the wakes.
        queue.run();
        result(handle).unwrap();
    });
}

/// One worker at a time polls (S3), and sees what the worker before it left in the future.
#[test]
fn polls_follow_one_another() {
    check(|| {
        let queue = Bench::new();
        let place = Place::default();
        // loom fails the model if two accesses are not ordered.
        let polls = UnsafeCell::new(0);
        let woken = Arc::new(AtomicUsize::new(0));
        let handle = queue.spawn(waiting(&place, {
            let woken = woken.clone();
            move || {
                // SAFETY: for loom to find out.
                polls.with_mut(|polls| unsafe { *polls += 1 });
                woken.load(Ordering::Relaxed) == 2
            }
        }));
        queue.run();
        let waker = place.lock().unwrap().take().unwrap();
        let other = thread::spawn({
            let (woken, waker, queue) = (woken.clone(), waker.clone(), queue.clone());
            move || {
                woken.fetch_add(1, Ordering::Relaxed);
                waker.wake();
                queue.run();
            }
        });
        woken.fetch_add(1, Ordering::Relaxed);
        waker.wake();
        queue.run();
        other.join().unwrap();
        queue.run();
        result(handle).unwrap();
    });
}

/// Wake, poll, abort and join at once: the future is dropped once, before anybody hears of the end,
/// and whoever awaits is woken.
#[test]
fn wake_poll_abort_join() {
    check(|| {
        let queue = Bench::new();
        let (drops, bell) = (Counter::default(), std::sync::Arc::new(Bell::default()));
        let place = Place::default();
        let woken = Arc::new(AtomicUsize::new(0));
        let counted = Counted(drops.clone());
        let mut handle = queue.spawn(waiting(&place, {
            let woken = woken.clone();
            move || {
                let _ = &counted;
                woken.load(Ordering::Relaxed) == 1
            }
        }));
        queue.run();
        let waker = place.lock().unwrap().take().unwrap();
        let other = thread::spawn({
            let queue = queue.clone();
            move || {
                woken.store(1, Ordering::Relaxed);
                waker.wake();
                queue.run();
            }
        });
        let abort = handle.abort_handle();
        let aborter = thread::spawn({
            let queue = queue.clone();
            move || {
                abort.abort();
                queue.run();
            }
        });
        let first = poll(&mut handle, &Waker::from(bell.clone()));
        if first.is_ready() {
            assert_eq!(drops.load(Ordering::SeqCst), 1, "told before the future was gone");
        }
        other.join().unwrap();
        aborter.join().unwrap();
        queue.run();
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert_eq!(bell.rung(), usize::from(first.is_pending()));
        let result = match first {
            Poll::Ready(result) => result,
            Poll::Pending => result(handle),
        };
        assert!(result.map_or_else(|error| error.is_cancelled(), |()| true));
        assert!(queue.tasks.is_empty());
    });
}

/// A handle that changes its waker while the task ends: the last waker it left is woken.
#[test]
fn join_waker_replaced() {
    check(|| {
        let queue = Bench::new();
        let bells = [(); 2].map(|()| std::sync::Arc::new(Bell::default()));
        let mut handle = queue.spawn(async { Box::new(7) });
        let worker = queue.worker();
        let mut taken = None;
        for (left, bell) in bells.iter().enumerate() {
            match poll(&mut handle, &Waker::from(bell.clone())) {
                Poll::Ready(output) => {
                    taken = Some(output.map_err(JoinError::into_panic).unwrap());
                    break;
                }
                Poll::Pending => assert!(left == 0 || bells[0].rung() <= 1),
            }
        }
        worker.join().unwrap();
        if taken.is_none() {
            assert_eq!((bells[0].rung(), bells[1].rung()), (0, 1));
            taken = Some(result(handle).unwrap());
        }
        assert_eq!(taken, Some(Box::new(7)));
        for bell in bells {
            assert_eq!(std::sync::Arc::strong_count(&bell), 1, "a waker was not dropped");
        }
    });
}

/// The handle goes while the task ends: the output is dropped once, its failure reported once, the
/// cell freed (loom finds the scheduler's count too high otherwise).
#[test]
fn handle_dropped() {
    check(|| {
        let queue = Bench::new();
        let (drops, bell) = (Counter::default(), std::sync::Arc::new(Bell::default()));
        struct Failure(#[expect(dead_code, reason = "only dropped")] Counted);
        let counted = Failure(Counted(drops.clone()));
        // A panic with something to drop in it: an output that is reported.
        let mut handle = queue.spawn(async move { std::panic::resume_unwind(Box::new(counted)) });
        let worker = queue.worker();
        let first: Poll<Result<(), _>> = poll(&mut handle, &Waker::from(bell.clone()));
        drop(handle);
        worker.join().unwrap();
        let taken = first.is_ready();
        drop(first);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert_eq!(queue.reports.load(Ordering::SeqCst), usize::from(!taken));
        assert_eq!(std::sync::Arc::strong_count(&bell), 1, "a waker was not dropped");
    });
}

/// Wakers by value and by reference, the handle and the end of the task: whoever is last frees the
/// cell, once.
#[test]
fn last_reference() {
    check(|| {
        let queue = Bench::new();
        let drops = Counter::default();
        let place = Place::default();
        let counted = Counted(drops.clone());
        let mut polls = 0;
        let handle = queue.spawn(waiting(&place, move || {
            let _ = &counted;
            polls += 1;
            polls == 2
        }));
        queue.run();
        let waker = place.lock().unwrap().take().unwrap();
        let other = thread::spawn({
            let (waker, queue) = (waker.clone(), queue.clone());
            move || {
                waker.wake();
                queue.run();
            }
        });
        let third = thread::spawn(move || {
            waker.wake_by_ref();
            drop(waker);
        });
        drop(handle);
        other.join().unwrap();
        third.join().unwrap();
        queue.run();
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    });
}

/// Shutdown while the task is woken, runs and ends: it is dropped or it ends, once, and shutdown
/// never uses it after it was freed.
#[test]
fn owned_shutdown() {
    check(|| {
        let queue = Bench::new();
        let drops = Counter::default();
        let place = Place::default();
        let counted = Counted(drops.clone());
        let mut polls = 0;
        let handle = queue.spawn(waiting(&place, move || {
            let _ = &counted;
            polls += 1;
            polls == 2
        }));
        queue.run();
        let waker = place.lock().unwrap().take().unwrap();
        let other = thread::spawn({
            let queue = queue.clone();
            move || {
                waker.wake();
                queue.run();
            }
        });
        queue.tasks.shutdown_all();
        other.join().unwrap();
        queue.run();
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert!(queue.tasks.is_empty());
        assert!(result(handle).map_or_else(|error| error.is_shutdown(), |()| true));
    });
}

/// A spawn while the list is closed and emptied: the task is in it and cancelled, or refused; never
/// forgotten.
#[test]
fn spawn_and_close() {
    check(|| {
        let queue = Bench::new();
        let drops = Counter::default();
        let spawner = thread::spawn({
            let (queue, counted) = (queue.clone(), Counted(drops.clone()));
            move || {
                let future = async move {
                    let _counted = counted;
                    pending::<()>().await;
                };
                let handle = queue.spawn(future);
                queue.run();
                handle
            }
        });
        queue.tasks.shutdown_all();
        let handle = spawner.join().unwrap();
        queue.run();
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert!(result(handle).unwrap_err().is_shutdown());
        assert!(queue.tasks.is_empty());
    });
}
