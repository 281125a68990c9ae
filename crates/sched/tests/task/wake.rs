//! S3 and the waker's contract.

use super::support::*;
use filch_sched::task::{Meta, yield_now};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// A task that counts its polls and pends.
async fn counting(polls: Arc<AtomicUsize>, place: WakerPlace) {
    poll_fn(|cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        *place.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    })
    .await
}

#[test]
fn a_wake_of_an_idle_task_queues_it_once() {
    let bench = Bench::new();
    let (polls, place) = (Arc::default(), WakerPlace::default());
    let _handle = bench.spawn(counting(Arc::clone(&polls), place.clone()));
    assert_eq!(bench.run(), 1);
    let waker = place.lock().unwrap().take().unwrap();
    for _ in 0..3 {
        waker.wake_by_ref();
        waker.clone().wake();
    }
    assert_eq!(bench.queued(), 1);
    assert_eq!(bench.scheduled(), 1);
    assert_eq!(bench.run(), 1);
    assert_eq!(polls.load(Ordering::Relaxed), 2);
}

#[test]
fn a_wake_by_value_of_an_idle_task_queues_it_and_gives_up_its_reference() {
    let bench = Bench::new();
    let place = WakerPlace::default();
    let handle = bench.spawn(pend(place.clone()));
    bench.run();
    place.lock().unwrap().take().unwrap().wake();
    assert_eq!(bench.queued(), 1);
    bench.run();
    handle.abort();
    bench.run();
    drop(handle);
    assert_eq!(bench.holders(), 2, "the waker in `place` still holds the cell");
    drop(place.lock().unwrap().take());
    assert_eq!(bench.holders(), 1);
}

#[test]
fn wakes_during_a_poll_cause_exactly_one_more_poll() {
    let bench = Bench::new();
    let mut polls = 0;
    let handle = bench.spawn(poll_fn(move |cx| {
        polls += 1;
        if polls == 1 {
            cx.waker().wake_by_ref();
            cx.waker().clone().wake();
            cx.waker().wake_by_ref();
            Poll::Pending
        } else {
            Poll::Ready(polls)
        }
    }));
    let again = bench.pop().unwrap().run().expect("it was woken while it ran");
    assert_eq!(bench.scheduled(), 0, "the worker has it, not the scheduler");
    assert!(again.run().is_none());
    assert_eq!(result(handle).unwrap(), 2);
}

#[test]
fn yield_now_suspends_once() {
    let bench = Bench::new();
    let handle = bench.spawn(async {
        yield_now().await;
        yield_now().await;
        1
    });
    assert_eq!(bench.run(), 3);
    assert_eq!(result(handle).unwrap(), 1);
}

#[test]
fn a_yielding_task_goes_behind_the_others() {
    let bench = Bench::new();
    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    for name in ["a", "b"] {
        let order = order.clone();
        drop(bench.spawn(async move {
            order.lock().unwrap().push(name);
            yield_now().await;
            order.lock().unwrap().push(name);
        }));
    }
    bench.run();
    assert_eq!(*order.lock().unwrap(), ["a", "b", "a", "b"]);
}

#[test]
fn wakers_of_one_task_are_equal_and_of_two_are_not() {
    let bench = Bench::new();
    let (one, other) = (WakerPlace::default(), WakerPlace::default());
    let _handles = (bench.spawn(pend(one.clone())), bench.spawn(pend(other.clone())));
    bench.run();
    let first = one.lock().unwrap().take().unwrap();
    let other = other.lock().unwrap().take().unwrap();
    assert!(first.will_wake(&first.clone()));
    assert!(!first.will_wake(&other));
    first.wake_by_ref();
    bench.run();
    assert!(first.will_wake(one.lock().unwrap().as_ref().unwrap()), "from one poll to the next");
    one.lock().unwrap().take();
}

#[test]
fn a_waker_may_outlive_its_task_and_do_nothing() {
    let bench = Bench::new();
    let drops = Drops::new();
    let place = WakerPlace::default();
    let handle = bench.spawn({
        let (place, counted) = (place.clone(), drops.counted());
        poll_fn(move |cx| {
            let _ = &counted;
            *place.lock().unwrap() = Some(cx.waker().clone());
            Poll::Ready(())
        })
    });
    bench.run();
    assert_eq!(drops.count(), 1, "the future is gone though its waker lives");
    result(handle).unwrap();
    let waker = place.lock().unwrap().take().unwrap();
    waker.wake_by_ref();
    waker.clone().wake();
    assert_eq!(bench.queued(), 0);
    assert_eq!(bench.holders(), 2);
    waker.wake();
    assert_eq!(bench.holders(), 1, "the last waker, woken by value, frees the cell");
}

#[test]
fn the_last_waker_dropped_frees_the_cell() {
    let bench = Bench::new();
    let place = WakerPlace::default();
    drop(bench.spawn({
        let place = place.clone();
        poll_fn(move |cx| {
            *place.lock().unwrap() = Some(cx.waker().clone());
            Poll::Ready(())
        })
    }));
    bench.run();
    assert_eq!(bench.holders(), 2);
    drop(place.lock().unwrap().take());
    assert_eq!(bench.holders(), 1);
}

#[test]
fn a_task_passes_through_a_raw_pointer() {
    let bench = Bench::new();
    let (task, handle) = bench.unqueued(async { 5 }, Meta::here());
    let raw = task.unwrap().into_raw();
    // SAFETY: from `into_raw`, used once.
    let task = unsafe { filch_sched::task::Task::from_raw(raw) };
    assert_eq!(task.id(), handle.id());
    assert!(task.run().is_none());
    assert_eq!(result(handle).unwrap(), 5);
    assert_eq!(size_of::<Option<filch_sched::task::Task>>(), size_of::<usize>());
}
