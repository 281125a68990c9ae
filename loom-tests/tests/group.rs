//! Groups: close x spawn x a child's end x failure x cancel x drop (`crates/structured/src/group/README.md`).
//!
//! Assertions inside a poll would be caught as the group's panic, so each model takes the result and passes
//! that on.
#![cfg(filch_loom)]

use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::thread;
use filch_loom_tests::{Handed, check, result, take, until_woken};
use filch_sched::task::Meta;
use filch_structured::model::Spawner;
use filch_structured::{GroupError, TaskGroup, group};
use std::future::{Future, pending, poll_fn};
use std::task::{Poll, Waker};

/// A thread that runs what is ready.
fn worker(queue: &Spawner) -> thread::JoinHandle<()> {
    let queue = queue.clone();
    thread::spawn(move || queue.run())
}

/// Two children end on two threads: the group hears of the last one, and sees what both did.
#[test]
fn the_last_child_is_heard_of() {
    check(2, || {
        let queue = Spawner::new();
        let done = Arc::new(AtomicUsize::new(0));
        let handle = queue.spawn_task(
            {
                let done = done.clone();
                async move {
                    let children = done.clone();
                    let all = group(async move |g| {
                        for _ in 0..2 {
                            let done = children.clone();
                            // Relaxed: the end alone has to make it visible.
                            g.spawn_ok(async move { _ = done.fetch_add(1, Ordering::Relaxed) });
                        }
                        Ok(())
                    });
                    all.await.unwrap();
                    done.load(Ordering::Relaxed)
                }
            },
            Meta::here(),
        );
        let worker = worker(&queue);
        queue.run();
        worker.join().unwrap();
        queue.run();
        assert_eq!(result(handle).unwrap(), 2);
    });
}

/// Somebody spawns while the group closes: what is not refused is waited for.
#[test]
fn who_is_not_refused_is_waited_for() {
    check(2, || {
        let queue = Spawner::new();
        let ran = Arc::new(AtomicUsize::new(0));
        let (kept, waker) = (Handed::<TaskGroup>::default(), Handed::<Waker>::default());
        let handle = queue.spawn_task(
            {
                let (ran, kept, waker) = (ran.clone(), kept.clone(), waker.clone());
                async move {
                    let all = group(async move |g| {
                        *kept.lock().unwrap() = Some(g.clone());
                        until_woken(waker).await;
                        Ok(())
                    });
                    all.await.unwrap();
                    ran.load(Ordering::Relaxed)
                }
            },
            Meta::here(),
        );
        queue.run();
        let g = take(&kept).unwrap();
        let spawner = thread::spawn({
            let (queue, ran) = (queue.clone(), ran.clone());
            move || {
                let child = g.spawn_ok(async move { ran.store(1, Ordering::Relaxed) });
                queue.run();
                child.is_refused()
            }
        });
        take(&waker).unwrap().wake();
        queue.run();
        let is_refused = spawner.join().unwrap();
        queue.run();
        assert_eq!(result(handle).unwrap(), usize::from(!is_refused));
    });
}

/// A child begins while another one fails: it is told, one way or the other, or the group would hang.
#[test]
fn who_begins_while_the_group_fails_is_told() {
    check(2, || {
        let queue = Spawner::new();
        let handle = queue.spawn_task(
            group(async move |g| {
                g.spawn_ok(pending::<()>());
                g.spawn(async { Err::<(), _>("fails") });
                Ok(())
            }),
            Meta::here(),
        );
        let worker = worker(&queue);
        queue.run();
        worker.join().unwrap();
        queue.run();
        let failed: Result<(), GroupError> = result(handle).unwrap();
        assert_eq!(failed.unwrap_err().len(), 1);
    });
}

/// Two fail at the same time: neither error is lost, and both come before the end.
#[test]
fn of_two_failures_none_is_lost() {
    check(1, || {
        let queue = Spawner::new();
        let handle = queue.spawn_task(
            group(async move |g| {
                for _ in 0..2 {
                    g.spawn(async { Err::<(), _>("fails") });
                }
                Ok(())
            }),
            Meta::here(),
        );
        // It opens, and is joining.
        queue.step();
        let worker = worker(&queue);
        queue.run();
        worker.join().unwrap();
        queue.run();
        let failed: Result<(), GroupError> = result(handle).unwrap();
        assert_eq!(failed.unwrap_err().len(), 2);
    });
}

/// The task of a group is cancelled while its child ends.
#[test]
fn a_cancel_and_a_childs_end() {
    check(2, || {
        let queue = Spawner::new();
        let waker = Handed::<Waker>::default();
        let handle = queue.spawn_task(
            {
                let waker = waker.clone();
                group(async move |g| {
                    g.spawn_ok(until_woken(waker));
                    Ok(())
                })
            },
            Meta::here(),
        );
        queue.run();
        let ender = thread::spawn({
            let queue = queue.clone();
            let waker = take(&waker).unwrap();
            move || {
                waker.wake();
                queue.run();
            }
        });
        handle.cancel();
        queue.run();
        ender.join().unwrap();
        queue.run();
        take(&waker);
        // Its child came to its end, or it was cut and so was what is around.
        match result(handle) {
            Ok(ended) => ended.unwrap(),
            Err(error) => assert!(error.is_cancelled()),
        }
    });
}

/// A group is dropped while its last child ends: the group around waits for that, and is told.
#[test]
fn a_drop_and_the_last_childs_end() {
    check(2, || {
        let queue = Spawner::new();
        let done = Arc::new(AtomicUsize::new(0));
        let (inner, waker) = (Handed::<Waker>::default(), Handed::<Waker>::default());
        let handle = queue.spawn_task(
            {
                let (done, inner, waker) = (done.clone(), inner.clone(), waker.clone());
                async move {
                    let children = done.clone();
                    let around = group(async move |_| {
                        let mut dropped = Box::pin(group(async move |g| {
                            g.spawn_ok(async move {
                                let _done = Sets(children);
                                until_woken(inner).await;
                            });
                            pending::<()>().await;
                            Ok(())
                        }));
                        poll_fn(|cx| {
                            assert!(dropped.as_mut().poll(cx).is_pending());
                            Poll::Ready(())
                        })
                        .await;
                        until_woken(waker).await;
                        drop(dropped);
                        Ok(())
                    });
                    around.await.unwrap();
                    done.load(Ordering::Relaxed)
                }
            },
            Meta::here(),
        );
        queue.run();
        let ender = thread::spawn({
            let queue = queue.clone();
            let waker = take(&inner).unwrap();
            move || {
                waker.wake();
                queue.run();
            }
        });
        take(&waker).unwrap().wake();
        queue.run();
        ender.join().unwrap();
        queue.run();
        take(&inner);
        assert_eq!(result(handle).unwrap(), 1);
    });
}

/// Says that it is gone.
struct Sets(Arc<AtomicUsize>);

impl Drop for Sets {
    fn drop(&mut self) {
        // Relaxed: the child's end has to make it visible.
        self.0.store(1, Ordering::Relaxed);
    }
}

/// In a group with a limit, one ends while the next is spawned: it begins.
#[test]
fn who_waits_for_room_is_let_in() {
    check(2, || {
        let queue = Spawner::new();
        let ran = Arc::new(AtomicUsize::new(0));
        let handle = queue.spawn_task(
            {
                let ran = ran.clone();
                async move {
                    let children = ran.clone();
                    let all = group(async move |g| {
                        g.limit(1);
                        for _ in 0..2 {
                            let ran = children.clone();
                            g.spawn_ok(async move { _ = ran.fetch_add(1, Ordering::Relaxed) });
                        }
                        Ok(())
                    });
                    all.await.unwrap();
                    ran.load(Ordering::Relaxed)
                }
            },
            Meta::here(),
        );
        let worker = worker(&queue);
        queue.run();
        worker.join().unwrap();
        queue.run();
        assert_eq!(result(handle).unwrap(), 2);
    });
}
