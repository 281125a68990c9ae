//! A group may be dropped at every poll: its children end, before the group around it does.

use crate::seen::Alive;
use crate::support::everywhere;
use filch::task::{BoxError, yield_now};
use filch::{GroupError, TaskGroup, cancellable, group, shielded};
use filch_testkit::Cut;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

type Body = Pin<Box<dyn Future<Output = Result<u32, BoxError>> + Send>>;

/// Runs a group that `body` makes inside one that is not dropped, and sees that nobody is left.
async fn within(cut: Cut, body: fn(TaskGroup, Alive) -> Body) {
    let alive = Alive::default();
    let (there, group_there) = (alive.clone(), Arc::new(AtomicBool::new(false)));
    let is_there = group_there.clone();
    let around = group(async move |_| {
        let here = std::thread::current().id();
        let inner: Pin<Box<dyn Future<Output = Result<u32, GroupError>> + Send>> =
            Box::pin(group(move |g| {
                is_there.store(std::thread::current().id() == here, Ordering::SeqCst);
                body(g, there)
            }));
        let done = cut.run(inner).await;
        if let Some(done) = done {
            assert!(done.is_err() || done.unwrap() == 6);
        }
        Ok(())
    });
    around.await.expect("what is dropped in it is none of its failures");
    // Where some other thread made the first poll, on behalf of nobody, no group is around it.
    while !group_there.load(Ordering::SeqCst) && alive.count() > 0 {
        yield_now().await;
    }
    assert_eq!(alive.count(), 0, "the group around waits for what was dropped");
}

async fn turns(number: u32) {
    for _ in 0..number {
        yield_now().await;
    }
}

/// Children that are awaited, and one that is not.
async fn waits_for_children(cut: Cut) {
    let body = |g: TaskGroup, alive: Alive| -> Body {
        Box::pin(async move {
            let children = [1, 2, 3].map(|number| {
                let guard = alive.guard();
                g.spawn_ok(async move {
                    let _guard = guard;
                    turns(number).await;
                    number
                })
            });
            let guard = alive.guard();
            g.spawn_ok(async move {
                let _guard = guard;
                shielded(turns(6)).await;
            });
            // However fast they are, it is polled more than once.
            turns(3).await;
            let mut sum = 0;
            for child in children {
                sum += child.await;
            }
            Ok(sum)
        })
    };
    within(cut, body).await;
}

/// A group in the body and in a child, children that clean up, and a failure.
async fn fails_and_nests(cut: Cut) {
    let body = |g: TaskGroup, alive: Alive| -> Body {
        Box::pin(async move {
            let inner = {
                let alive = alive.clone();
                group(async move |g| {
                    let guard = alive.guard();
                    g.spawn_ok(async move {
                        let _guard = guard;
                        let work = turns(9);
                        let _ = cancellable(work).on_cancel(|| turns(3)).await;
                    });
                    turns(2).await;
                    Ok(())
                })
            };
            g.spawn(inner);
            // However fast they are, it is polled more than once.
            turns(3).await;
            g.spawn(async {
                turns(4).await;
                Err::<(), _>("fails")
            });
            group(async |g| {
                let guard = alive.guard();
                g.spawn_ok(async move {
                    let _guard = guard;
                    turns(3).await;
                });
                Ok(())
            })
            .await?;
            cancellable(turns(20)).on_cancel(|| turns(2)).await?;
            Ok(6)
        })
    };
    within(cut, body).await;
}

/// A limit, a child that tells when it is ready, and a cancel.
async fn limited_and_cancelled(cut: Cut) {
    let body = |g: TaskGroup, alive: Alive| -> Body {
        Box::pin(async move {
            g.limit(2);
            for _ in 0..6 {
                let guard = alive.guard();
                g.spawn_ok(async move {
                    let _guard = guard;
                    turns(2).await;
                });
            }
            // However fast they are, it is polled more than once.
            turns(3).await;
            let guard = alive.guard();
            let six = g.start(|ready| async move {
                let _guard = guard;
                turns(1).await;
                ready.set(6);
                turns(2).await;
                Ok::<_, String>(())
            });
            let six = six.await?;
            g.cancel();
            Ok(six)
        })
    };
    within(cut, body).await;
}

#[test]
fn group_11_dropped_at_every_poll() {
    everywhere(2, waits_for_children);
}

#[test]
fn group_11_dropped_at_every_poll_with_failures() {
    everywhere(2, fails_and_nests);
}

#[test]
fn group_11_dropped_at_every_poll_with_a_limit() {
    everywhere(2, limited_and_cancelled);
}
