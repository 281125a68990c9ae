//! Cancel scopes: cancel x poll x end x join, who acts first, and who is held up
//! (`crates/atomic/src/scope/README.md`).
//!
//! Assertions inside a poll would be caught as the task's panic, so each model takes the result and
//! passes that on.
#![cfg(filch_loom)]

use filch_atomic::scope::{Inside, Kind, Leaf, Scope, enter, here_is_cancelled};
use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::thread;
use filch_loom_tests::{Bench, check, result};
use filch_sched::scope::{Cancelled, Part, cancellable, shielded};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool as Flag, AtomicUsize as Count};
use std::task::{Context, Poll, Wake, Waker};

/// What the model itself counts with: `std`'s, which loom neither sees nor orders by.
type Counter = std::sync::Arc<Count>;

/// Polls what it holds only if that was woken by its own waker, as `FuturesUnordered` does.
struct Only<F> {
    future: Pin<Box<F>>,
    own: std::sync::Arc<Own>,
}

struct Own {
    woken: Flag,
    outer: std::sync::Mutex<Option<Waker>>,
}

impl<F> Only<F> {
    fn new(future: F) -> Self {
        let own = Own { woken: Flag::new(true), outer: std::sync::Mutex::new(None) };
        Self { future: Box::pin(future), own: std::sync::Arc::new(own) }
    }
}

impl Wake for Own {
    fn wake(self: std::sync::Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        let outer = self.outer.lock().unwrap().clone();
        if let Some(outer) = outer {
            outer.wake();
        }
    }
}

impl<F: Future> Future for Only<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        *self.own.outer.lock().unwrap() = Some(cx.waker().clone());
        if !self.own.woken.swap(false, Ordering::SeqCst) {
            return Poll::Pending;
        }
        let own = Waker::from(self.own.clone());
        let polled = self.future.as_mut().poll(&mut Context::from_waker(&own));
        if polled.is_ready() {
            // It keeps the task, which keeps it.
            *self.own.outer.lock().unwrap() = None;
        }
        polled
    }
}

impl<F> Drop for Only<F> {
    fn drop(&mut self) {
        *self.own.outer.lock().unwrap() = None;
    }
}

/// The inner boundary acts in any case, the outer one, which is cut, after it.
#[test]
fn the_innermost_is_first() {
    check(2, || {
        let queue = Bench::new();
        let inner = Counter::default();
        let handle = queue.spawn({
            let inner = inner.clone();
            async move {
                let work = async {
                    cancellable(pending::<()>()).await.unwrap_err();
                    inner.store(1, Ordering::SeqCst);
                    pending::<()>().await;
                };
                let cut = cancellable(Only::new(work)).await;
                (cut, inner.load(Ordering::SeqCst))
            }
        });
        let worker = queue.worker();
        handle.cancel();
        worker.join().unwrap();
        queue.run();
        let (cut, acted) = result(handle).unwrap();
        assert_eq!((cut.is_err(), acted), (true, 1));
    });
}

/// Two who cancel at the same time: the task itself is no faster than the boundary in it.
#[test]
fn of_two_cancels_neither_is_too_fast() {
    // One is enough: the first canceller is held up in the midst.
    check(1, || {
        let queue = Bench::new();
        let inner = Counter::default();
        let handle = queue.spawn({
            let inner = inner.clone();
            Only::new(async move {
                cancellable(pending::<()>()).await.unwrap_err();
                inner.store(1, Ordering::SeqCst);
                pending::<()>().await;
            })
        });
        queue.run();
        let other = handle.abort_handle();
        let canceller = thread::spawn(move || other.cancel());
        handle.cancel();
        queue.run();
        canceller.join().unwrap();
        queue.run();
        assert!(result(handle).unwrap_err().is_cancelled());
        assert_eq!(inner.load(Ordering::SeqCst), 1);
    });
}

/// A shield that is dropped on another thread while the task is cancelled: whoever comes second sees to it
/// that the task ends.
#[test]
fn a_shield_that_goes_elsewhere_lets_go() {
    check(2, || {
        let queue = Bench::new();
        let place = std::sync::Arc::new(std::sync::Mutex::new(None));
        let handle = queue.spawn({
            let place = place.clone();
            async move {
                let mut shield = Box::pin(shielded(pending::<()>()));
                poll_fn(|cx| {
                    assert!(shield.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
                *place.lock().unwrap() = Some(shield);
                cancellable(Only::new(pending::<()>())).await
            }
        });
        queue.run();
        let shield = place.lock().unwrap().take().unwrap();
        let dropper = thread::spawn(move || drop(shield));
        handle.cancel();
        queue.run();
        dropper.join().unwrap();
        queue.run();
        // The boundary is cut; then the task comes to its end.
        assert!(result(handle).unwrap().is_err());
    });
}

/// The same, where the task itself is what is held up.
#[test]
fn a_shield_that_goes_elsewhere_lets_the_task_go() {
    check(2, || {
        let queue = Bench::new();
        let place = std::sync::Arc::new(std::sync::Mutex::new(None));
        let handle = queue.spawn({
            let place = place.clone();
            async move {
                let mut shield = Box::pin(shielded(pending::<()>()));
                poll_fn(|cx| {
                    assert!(shield.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
                *place.lock().unwrap() = Some(shield);
                pending::<()>().await
            }
        });
        queue.run();
        let shield = place.lock().unwrap().take().unwrap();
        let dropper = thread::spawn(move || drop(shield));
        handle.cancel();
        queue.run();
        dropper.join().unwrap();
        queue.run();
        assert!(result(handle).unwrap_err().is_cancelled());
    });
}

/// Cancel x completion x join: an output that is there wins, and in any case the joiner hears of the end.
#[test]
fn cancel_complete_join() {
    check(2, || {
        let queue = Bench::new();
        let value = Arc::new(AtomicUsize::new(0));
        let place = std::sync::Arc::new(std::sync::Mutex::new(None::<Waker>));
        let given = Counter::default();
        let mut handle = queue.spawn({
            let (value, place, given) = (value.clone(), place.clone(), given.clone());
            cancellable(poll_fn(move |cx| {
                *place.lock().unwrap() = Some(cx.waker().clone());
                // Relaxed: the wake alone has to make it visible.
                match value.load(Ordering::Relaxed) {
                    0 => Poll::Pending,
                    value => {
                        given.store(value, Ordering::SeqCst);
                        Poll::Ready(value)
                    }
                }
            }))
        });
        queue.run();
        let waker = place.lock().unwrap().take().unwrap();
        let bell = std::sync::Arc::new(Bell::default());
        let waiting = Waker::from(bell.clone());
        assert!(Pin::new(&mut handle).poll(&mut Context::from_waker(&waiting)).is_pending());
        let canceller = handle.abort_handle();
        let worker = thread::spawn({
            let queue = queue.clone();
            move || {
                canceller.cancel();
                queue.run();
            }
        });
        value.store(7, Ordering::Relaxed);
        waker.wake();
        queue.run();
        worker.join().unwrap();
        queue.run();
        place.lock().unwrap().take();
        assert_eq!(bell.0.load(Ordering::SeqCst), 1);
        let ended: Result<usize, Cancelled> = result(handle).expect("the boundary is around all");
        match given.load(Ordering::SeqCst) {
            0 => assert!(ended.is_err(), "it was cut before its output was there"),
            value => assert_eq!(ended, Ok(value), "completion wins"),
        }
    });
}

/// Counts how often it was woken.
#[derive(Default)]
struct Bell(Count);

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A boundary that begins while its task is cancelled is told of it, one way or the other.
#[test]
fn who_begins_meanwhile_is_told() {
    check(2, || {
        let queue = Bench::new();
        let told = Counter::default();
        let handle = queue.spawn({
            let told = told.clone();
            async move {
                // It makes the task's scope, or finds the canceller's.
                cancellable(Only::new(pending::<()>())).await.unwrap_err();
                told.fetch_add(1, Ordering::SeqCst);
                cancellable(Only::new(pending::<()>())).await.unwrap_err();
                told.fetch_add(1, Ordering::SeqCst);
            }
        });
        let worker = queue.worker();
        handle.cancel();
        worker.join().unwrap();
        queue.run();
        result(handle).unwrap();
        assert_eq!(told.load(Ordering::SeqCst), 2);
    });
}

/// Who was told, and goes on behind its boundary, does so in a scope that is cancelled: nothing begins there.
#[test]
fn who_is_behind_a_boundary_knows() {
    check(2, || {
        let queue = Bench::new();
        let handle = queue.spawn(async {
            cancellable(pending::<()>()).await.unwrap_err();
            here_is_cancelled()
        });
        let worker = queue.worker();
        handle.cancel();
        worker.join().unwrap();
        queue.run();
        assert!(result(handle).unwrap());
    });
}

/// A cancel from further out, that finds another one at work on a scope within, does not run ahead of it.
#[test]
fn of_two_scopes_the_inner_is_first() {
    check(2, || {
        let outer = Scope::of_task();
        let inner = Inside::new(Kind::Boundary, Some(outer.clone()), None);
        let leaf = enter(inner.scope(), Leaf::here).unwrap();
        let bell = std::sync::Arc::new(Bell::default());
        leaf.register(&Waker::from(bell.clone()));
        let canceller = thread::spawn({
            let inner = inner.scope().clone();
            move || inner.cancel()
        });
        outer.cancel();
        assert!(outer.is_due() && inner.scope().is_due() && leaf.is_cancelled());
        canceller.join().unwrap();
        assert_eq!(bell.0.load(Ordering::SeqCst), 1);
    });
}

/// Holds a part of what its task does, and ends it when it is told.
struct Ends<F> {
    part: Pin<Box<Part<F>>>,
    over: std::sync::Arc<Flag>,
}

impl<F: Future> Future for Ends<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.over.load(Ordering::SeqCst) {
            return self.part.as_mut().poll_end(cx);
        }
        self.part.as_mut().poll(&(), cx).map(Some)
    }
}

/// A part of a task that is ended while the task is cancelled: the boundary in it is told by one of them, and acts; and
/// somebody sees to it that the rest is over.
#[test]
fn a_part_that_ends_while_its_task_is_cancelled() {
    check(2, || {
        let queue = Bench::new();
        let (inner, over) = (Counter::default(), std::sync::Arc::new(Flag::new(false)));
        let handle = queue.spawn({
            let (inner, over) = (inner.clone(), over.clone());
            async move {
                let work = async {
                    cancellable(Only::new(pending::<()>())).await.unwrap_err();
                    inner.fetch_add(1, Ordering::SeqCst);
                    pending::<()>().await;
                };
                cancellable(Ends { part: Box::pin(Part::new(work)), over }).await
            }
        });
        queue.run();
        over.store(true, Ordering::SeqCst);
        let worker = queue.worker();
        handle.cancel();
        worker.join().unwrap();
        queue.run();
        // Ended by itself, or by the cut around it.
        assert!(matches!(result(handle), Ok(Ok(None) | Err(_))));
        assert_eq!(inner.load(Ordering::SeqCst), 1);
    });
}

/// A part that is ended with nobody cancelling: by itself alone it tells the boundary, and is held up by what that
/// holds up elsewhere.
#[test]
fn a_part_that_ends_waits_for_a_shield_elsewhere() {
    check(2, || {
        let queue = Bench::new();
        let over = std::sync::Arc::new(Flag::new(false));
        let place = std::sync::Arc::new(std::sync::Mutex::new(None));
        let wake = std::sync::Arc::new(std::sync::Mutex::new(None::<Waker>));
        let handle = queue.spawn({
            let (over, place, wake) = (over.clone(), place.clone(), wake.clone());
            async move {
                let work = async {
                    let mut shield = Box::pin(shielded(pending::<()>()));
                    poll_fn(|cx| {
                        assert!(shield.as_mut().poll(cx).is_pending());
                        *wake.lock().unwrap() = Some(cx.waker().clone());
                        Poll::Ready(())
                    })
                    .await;
                    *place.lock().unwrap() = Some(shield);
                    pending::<()>().await;
                };
                Ends { part: Box::pin(Part::new(work)), over }.await
            }
        });
        queue.run();
        let shield = place.lock().unwrap().take().unwrap();
        over.store(true, Ordering::SeqCst);
        wake.lock().unwrap().take().unwrap().wake();
        let dropper = thread::spawn(move || drop(shield));
        queue.run();
        dropper.join().unwrap();
        queue.run();
        assert!(matches!(result(handle), Ok(None)));
    });
}
