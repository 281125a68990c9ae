//! A group that goes well: its children are over when it is.

use crate::kit::{HOUR, Log, run};
use crate::seen::Alive;
use crate::support::PATIENCE;
use filch::task::yield_now;
use filch::time::{Duration, sleep};
use filch::{Runtime, TaskGroup, group};
use filch_testkit::limits::watchdog;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};

/// GROUP-1. Nobody waits for the children but the group.
#[test]
fn group_1_the_block_ends_with_its_last_child() {
    let alive = Alive::default();
    run(async {
        let children = alive.clone();
        let value = group(async move |g| {
            for turns in 0..20 {
                let guard = children.guard();
                g.spawn_ok(async move {
                    let _guard = guard;
                    for _ in 0..turns {
                        yield_now().await;
                    }
                    sleep(Duration::from_millis(turns % 3)).await;
                });
            }
            Ok("the body's value")
        });
        assert_eq!(value.await.unwrap(), "the body's value");
        assert_eq!(alive.count(), 0);
    });
}

/// GROUP-1: the values of children that nobody awaits are gone, too.
#[test]
fn group_1_a_value_that_nobody_wants_is_dropped_before_the_end() {
    let alive = Alive::default();
    run(async {
        for _ in 0..200 {
            let children = alive.clone();
            let done = group(async move |g| {
                for _ in 0..4 {
                    let guard = children.guard();
                    drop(g.spawn_ok(async move {
                        yield_now().await;
                        guard
                    }));
                }
                Ok(())
            });
            done.await.unwrap();
            assert_eq!(alive.count(), 0);
        }
    });
}

/// GROUP-8.
#[test]
fn group_8_a_handle_yields_the_value() {
    run(async {
        let sum = group(async |g| {
            let one = g.spawn(async { Ok::<_, Infallible>(1) });
            let two = g.spawn_ok(async { 2 });
            let both = filch::join!(one, two);
            Ok(both.0 + both.1)
        });
        assert_eq!(sum.await.unwrap(), 3);
    });
}

/// GROUP-8: the outcome of one that has none; awaiting that is a panic, and no wait for ever.
#[test]
fn group_8_a_child_without_a_value_is_told_of() {
    run(async {
        let asked = group(async |g| {
            let child = g.spawn_ok(pending::<()>());
            child.cancel();
            assert_eq!(child.outcome().await, None);
            Ok(g.spawn_ok(async { 5 }).outcome().await)
        });
        assert_eq!(asked.await.unwrap(), Some(5));

        let awaited = filch::spawn(group(async |g| {
            let child = g.spawn_ok(pending::<()>());
            child.abort();
            child.await;
            Ok(())
        }));
        let panicked = awaited.await.unwrap_err();
        assert!(panicked.is_panic() && panicked.to_string().contains("has no value"), "{panicked}");
    });
}

/// GROUP-7. Each child spawns the next; the body is long over.
#[test]
fn group_7_children_spawn_while_the_group_waits() {
    fn next(g: TaskGroup, log: Arc<Mutex<Vec<u32>>>, left: u32) {
        let again = g.clone();
        g.spawn_ok(async move {
            yield_now().await;
            log.lock().unwrap().push(left);
            if left > 0 {
                next(again, log, left - 1);
            }
        });
    }
    let log = Arc::new(Mutex::new(Vec::new()));
    run(async {
        let children = log.clone();
        group(async move |g| {
            next(g, children, 10);
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(*log.lock().unwrap(), (0..=10).rev().collect::<Vec<_>>());
    });
}

/// GROUP-6. A group that is over takes nobody.
#[test]
fn group_6_a_group_that_is_over_refuses() {
    let alive = Alive::default();
    run(async {
        let kept = group(async |g| Ok(g)).await.unwrap();
        let guard = alive.guard();
        let mut refused = kept.spawn_ok(async move { drop(guard) });
        assert_eq!(alive.count(), 0, "it is dropped there and then");
        assert!(refused.is_refused() && refused.is_finished() && refused.id().is_none());
        refused.cancel();
        assert!(filch::time::timeout(Duration::from_millis(2), &mut refused).await.is_err());
        assert_eq!(refused.outcome().await, None);
        // Nor does a cancel do anything.
        kept.cancel();
        assert!(kept.is_empty());
    });
}

/// GROUP-6. In a group that is cancelled nothing begins.
#[test]
fn group_6_a_group_that_is_cancelled_refuses() {
    let log = Log::default();
    run(async {
        let body = log.clone();
        let done = group(async move |g| {
            g.cancel();
            assert!(g.is_ending());
            assert!(g.spawn_ok(async move { body.add("ran") }).is_refused());
            let started = g.start(|ready| async move {
                ready.set(());
                Ok::<_, Infallible>(())
            });
            drop(started);
            Ok("not cut: it did not wait")
        });
        assert_eq!(done.await.unwrap(), "not cut: it did not wait");
    });
    assert!(log.all().is_empty());
}

/// The body borrows, and is not `Send`; the children are elsewhere.
#[test]
fn the_body_may_borrow() {
    run(async {
        let mut here = std::rc::Rc::new(1);
        let borrowed = &mut here;
        let done = group(async |g| {
            let added = g.spawn_ok(async { 41 }).await;
            **std::rc::Rc::get_mut(borrowed).as_mut().unwrap() += added;
            Ok(())
        });
        done.await.unwrap();
        assert_eq!(*here, 42);
    });
}

/// A group may be in the main future, in a task, in a child, and in a body.
#[test]
fn groups_nest() {
    let alive = Alive::default();
    run(async {
        let outer = alive.clone();
        let sum = group(async move |g| {
            let (one, two) = (outer.guard(), outer.guard());
            let child = g.spawn(group(async move |g| {
                let _one = one;
                Ok(g.spawn_ok(async { 20 }).await)
            }));
            let inner = group(async move |g| {
                let held = g.spawn_ok(async move {
                    let _two = two;
                    yield_now().await;
                    22
                });
                Ok(held.await)
            });
            Ok(inner.await? + child.await)
        });
        assert_eq!(filch::spawn(sum).await.unwrap().unwrap(), 42);
        assert_eq!(alive.count(), 0);
    });
}

/// The runtime ends in the midst: everything is dropped, nothing hangs.
#[test]
fn a_runtime_ends_with_a_group_in_it() {
    let alive = Alive::default();
    let log = Log::default();
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let (there, told) = (alive.clone(), log.clone());
        Runtime::builder()
            .workers(workers)
            .run(async {
                filch::spawn(group(async move |g| {
                    for _ in 0..10 {
                        let guard = there.guard();
                        g.spawn_ok(async move {
                            let _guard = guard;
                            sleep(HOUR).await;
                        });
                    }
                    told.add("there");
                    sleep(HOUR).await;
                    Ok(())
                }));
                log.until("there").await;
            })
            .unwrap();
        assert_eq!(alive.count(), 0);
    }
}
