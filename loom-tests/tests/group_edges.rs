//! Groups, where more than two things meet: limits x adoption, refusals x cancels, a child's first poll, an error that
//! nobody was given (`crates/structured/src/group/README.md`).
//!
//! Assertions inside a poll would be caught as the group's panic, so each model takes the result and passes
//! that on.
#![cfg(filch_loom)]

use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::thread;
use filch_loom_tests::{Handed, check, result, take, until_woken};
use filch_sched::scope::{is_cancelled, shielded};
use filch_sched::task::Meta;
use filch_structured::model::Spawner;
use filch_structured::{GroupError, TaskGroup, group};
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::task::{Poll, Waker};

type Inner = Pin<Box<dyn Future<Output = Result<(), GroupError>> + Send>>;

/// A thread that wakes somebody, and runs what is ready.
fn wakes(queue: &Spawner, place: &Handed<Waker>) -> thread::JoinHandle<()> {
    let (queue, waker) = (queue.clone(), take(place).expect("somebody waits"));
    thread::spawn(move || {
        waker.wake();
        queue.run();
    })
}

async fn once<F: Future + Unpin>(future: &mut F) {
    poll_fn(|cx| {
        assert!(Pin::new(&mut *future).poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// A group is adopted while the only child that may run ends: the next one is let in. The orphan waits for that one.
#[test]
fn an_adopted_group_takes_no_place() {
    check(2, || {
        let queue = Spawner::new();
        let [first, body, orphan] = [(); 3].map(|()| Handed::<Waker>::default());
        let handle = queue.spawn_task(
            {
                let (first, body, orphan) = (first.clone(), body.clone(), orphan.clone());
                group(async move |g: TaskGroup| {
                    g.limit(1);
                    let ran = Arc::new(AtomicUsize::new(0));
                    g.spawn_ok(until_woken(first));
                    let (waits, waiter) = (ran.clone(), orphan.clone());
                    let mut inner = Box::pin(group(async move |g| {
                        g.spawn_ok(shielded(poll_fn(move |cx| {
                            *waiter.lock().unwrap() = Some(cx.waker().clone());
                            // Relaxed: nothing else is to be seen.
                            if waits.load(Ordering::Relaxed) == 0 {
                                return Poll::Pending;
                            }
                            Poll::Ready(())
                        })));
                        pending::<()>().await;
                        Ok(())
                    }));
                    once(&mut inner).await;
                    g.spawn_ok(async move {
                        ran.store(1, Ordering::Relaxed);
                        let waker = take(&orphan);
                        waker.into_iter().for_each(Waker::wake);
                    });
                    until_woken(body).await;
                    drop(inner);
                    Ok(())
                })
            },
            Meta::here(),
        );
        queue.run();
        take(&body).unwrap().wake();
        take(&first).unwrap().wake();
        // One drops, and the other one ends; the rest comes after.
        let other = thread::spawn({
            let queue = queue.clone();
            move || _ = queue.step()
        });
        queue.step();
        other.join().unwrap();
        queue.run();
        take(&orphan);
        result(handle).unwrap().unwrap();
    });
}

/// Two are spawned at once where one may run: each may find the other counted, and one of them is let in all the same.
#[test]
fn of_two_that_come_at_once_one_is_let_in() {
    check(2, || {
        let queue = Spawner::new();
        let ran = Arc::new(AtomicUsize::new(0));
        let (kept, waker) = (Handed::<TaskGroup>::default(), Handed::<Waker>::default());
        let handle = queue.spawn_task(
            {
                let (kept, waker) = (kept.clone(), waker.clone());
                group(async move |g| {
                    g.limit(1);
                    *kept.lock().unwrap() = Some(g.clone());
                    until_woken(waker).await;
                    Ok(())
                })
            },
            Meta::here(),
        );
        queue.run();
        let g = take(&kept).unwrap();
        let spawn = |g: TaskGroup| {
            let (queue, ran) = (queue.clone(), ran.clone());
            move || {
                // Relaxed: counted, no more.
                g.spawn_ok(async move { _ = ran.fetch_add(1, Ordering::Relaxed) });
                drop(g);
                queue.run();
            }
        };
        let other = thread::spawn(spawn(g.clone()));
        spawn(g)();
        other.join().unwrap();
        take(&waker).unwrap().wake();
        queue.run();
        result(handle).unwrap().unwrap();
        assert_eq!(ran.load(Ordering::Relaxed), 2);
    });
}

/// A group that was begun in one that is over, or dropped, by now: the next one around adopts it.
fn who_adopts_is_there(carried: bool) {
    check(2, move || {
        let queue = Spawner::new();
        let done = Arc::new(AtomicUsize::new(0));
        let (child, body) = (Handed::<Waker>::default(), Handed::<Waker>::default());
        let handle = queue.spawn_task(
            {
                let (done, child, body) = (done.clone(), child.clone(), body.clone());
                async move {
                    let children = done.clone();
                    let around = group(async move |_| {
                        let kept = Handed::<Inner>::default();
                        let place = kept.clone();
                        let mut middle = Box::pin(group(async move |_| {
                            let mut inner: Inner = Box::pin(group(async move |g| {
                                g.spawn_ok(async move {
                                    let _done = Sets(children);
                                    until_woken(child).await;
                                });
                                pending::<()>().await;
                                Ok(())
                            }));
                            once(&mut inner).await;
                            *place.lock().unwrap() = Some(inner);
                            if !carried {
                                pending::<()>().await;
                            }
                            Ok(())
                        }));
                        if carried {
                            middle.as_mut().await?;
                        } else {
                            once(&mut middle).await;
                        }
                        drop(middle);
                        until_woken(body).await;
                        drop(take(&kept));
                        Ok(())
                    });
                    around.await.unwrap();
                    // Relaxed: the end alone has to make it visible.
                    done.load(Ordering::Relaxed)
                }
            },
            Meta::here(),
        );
        queue.run();
        let ender = wakes(&queue, &child);
        take(&body).unwrap().wake();
        queue.run();
        ender.join().unwrap();
        queue.run();
        take(&child);
        assert_eq!(result(handle).unwrap(), 1);
    });
}

/// It is over.
#[test]
fn who_adopts_is_not_over() {
    who_adopts_is_there(true);
}

/// It was dropped, and has nobody that waits for its children.
#[test]
fn who_adopts_was_not_dropped() {
    who_adopts_is_there(false);
}

/// Says that it is gone.
struct Sets(Arc<AtomicUsize>);

impl Drop for Sets {
    fn drop(&mut self) {
        // Relaxed: the child's end has to make it visible.
        self.0.store(1, Ordering::Relaxed);
    }
}

/// A child that computes in its first poll, and asks: it is told.
#[test]
fn who_asks_in_its_first_poll_is_told() {
    check(2, || {
        let queue = Spawner::new();
        let kept = Handed::<TaskGroup>::default();
        let handle = queue.spawn_task(
            {
                let kept = kept.clone();
                group(async move |g| {
                    *kept.lock().unwrap() = Some(g.clone());
                    g.spawn_ok(async {
                        while !is_cancelled() {
                            thread::yield_now();
                        }
                    });
                    Ok(())
                })
            },
            Meta::here(),
        );
        queue.step();
        let g = take(&kept).unwrap();
        let canceller = thread::spawn(move || g.cancel());
        queue.run();
        canceller.join().unwrap();
        queue.run();
        result(handle).unwrap().unwrap();
    });
}

/// The task of a group is cancelled while its body spawns: a value means that what was spawned was done.
#[test]
fn what_is_refused_is_not_done() {
    check(2, || {
        let queue = Spawner::new();
        let ran = Arc::new(AtomicUsize::new(0));
        let handle = queue.spawn_task(
            {
                let ran = ran.clone();
                group(async move |g| {
                    g.spawn_ok(async move { ran.store(1, Ordering::Relaxed) });
                    Ok(())
                })
            },
            Meta::here(),
        );
        let runner = thread::spawn({
            let queue = queue.clone();
            move || queue.run()
        });
        handle.cancel();
        queue.run();
        runner.join().unwrap();
        queue.run();
        match result(handle) {
            Ok(ended) => {
                ended.unwrap();
                assert_eq!(ran.load(Ordering::Relaxed), 1);
            }
            Err(error) => assert!(error.is_cancelled()),
        }
    });
}

/// A child fails before it is ready, while whoever waits for that goes: the error is the group's.
#[test]
fn an_error_that_nobody_was_given_is_the_groups() {
    check(2, || {
        let queue = Spawner::new();
        let failed = Arc::new(AtomicUsize::new(0));
        let (child, body) = (Handed::<Waker>::default(), Handed::<Waker>::default());
        let handle = queue.spawn_task(
            {
                let (failed, child, body) = (failed.clone(), child.clone(), body.clone());
                group(async move |g: TaskGroup| {
                    let mut start = g.start::<(), (), _, _, _>(|_ready| async move {
                        until_woken(child).await;
                        failed.store(1, Ordering::Relaxed);
                        Err("fails")
                    });
                    once(&mut start).await;
                    until_woken(body).await;
                    drop(start);
                    Ok(())
                })
            },
            Meta::here(),
        );
        queue.run();
        let ender = wakes(&queue, &child);
        take(&body).unwrap().wake();
        queue.run();
        ender.join().unwrap();
        queue.run();
        take(&child);
        let errors = result(handle).unwrap().map_or_else(|error| error.len(), |()| 0);
        assert_eq!(errors, failed.load(Ordering::Relaxed));
    });
}
