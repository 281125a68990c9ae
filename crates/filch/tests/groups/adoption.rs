//! Groups that are dropped: who waits for their children then.

use crate::kit::{Log, run};
use crate::seen::{Alive, Told};
use crate::support::PATIENCE;
use filch::task::yield_now;
use filch::time::{Duration, sleep, timeout};
use filch::{TaskGroup, cancellable, group};
use filch_testkit::limits::watchdog;
use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// A child that says that it is there, and takes its time to end.
fn slow_child(g: &TaskGroup, alive: &Alive, log: &Log) {
    let (guard, log) = (alive.guard(), log.clone());
    g.spawn_ok(async move {
        let _guard = guard;
        log.add("begun");
        let clean_up = async || sleep(Duration::from_millis(3)).await;
        cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
        log.add("cleaned up");
        pending::<()>().await;
    });
}

/// GROUP-11. The group around waits for the children of one that was dropped in its body.
#[test]
fn group_11_the_group_around_waits_for_them() {
    let (log, alive) = (Log::default(), Alive::default());
    run(async {
        let (logged, children) = (log.clone(), alive.clone());
        let outer = group(async move |_| {
            let log = logged.clone();
            let inner = group(async move |g| {
                slow_child(&g, &children, &log);
                pending::<()>().await;
                Ok(())
            });
            filch::select! {
                _ = inner => unreachable!(),
                () = logged.until("begun") => {}
            }
            logged.add("dropped");
            Ok(())
        });
        outer.await.unwrap();
        assert_eq!(alive.count(), 0);
    });
    assert_eq!(log.all(), ["begun", "dropped", "cleaned up"]);
}

/// GROUP-11. So it does for one that was dropped in a child, with the child's task.
#[test]
fn group_11_a_child_that_is_aborted_leaves_its_own_to_the_group() {
    let (log, alive) = (Log::default(), Alive::default());
    run(async {
        let (logged, children) = (log.clone(), alive.clone());
        let outer = group(async move |g| {
            let log = logged.clone();
            let child = g.spawn(group(async move |g| {
                slow_child(&g, &children, &log);
                pending::<()>().await;
                Ok(())
            }));
            logged.until("begun").await;
            child.abort();
            assert_eq!(child.outcome().await, None);
            Ok(())
        });
        outer.await.unwrap();
        assert_eq!(alive.count(), 0);
    });
}

/// GROUP-11, two levels: both inner groups are dropped at once, and the outermost waits for all.
#[test]
fn group_11_over_two_levels() {
    let (log, alive) = (Log::default(), Alive::default());
    run(async {
        for through_a_task in [false, true] {
            let (logged, children, before) = (log.clone(), alive.clone(), log.all().len());
            let outer = group(async move |_| {
                let log = logged.clone();
                let middle = group(async move |g| {
                    slow_child(&g, &children, &log);
                    let inner = group(async move |g| {
                        slow_child(&g, &children, &log);
                        pending::<()>().await;
                        Ok(())
                    });
                    if through_a_task {
                        g.spawn(inner);
                        pending::<()>().await;
                    } else {
                        inner.await?;
                    }
                    Ok(())
                });
                let both = async {
                    while logged.all().len() < before + 2 {
                        sleep(Duration::from_millis(1)).await;
                    }
                };
                filch::select! {
                    _ = middle => unreachable!(),
                    () = both => {}
                }
                Ok(())
            });
            outer.await.unwrap();
            assert_eq!(alive.count(), 0);
            assert_eq!(log.all().len(), before + 4);
        }
    });
}

/// GROUP-11. Without a group around they end on their own; what goes wrong is told to the hook.
#[test]
fn group_11_without_a_group_around_they_end_on_their_own() {
    let _watchdog = watchdog(PATIENCE);
    let (told, log, alive) = (Told::default(), Log::default(), Alive::default());
    let main = async {
        let (logged, children) = (log.clone(), alive.clone());
        let dropped = group(async move |g| {
            slow_child(&g, &children, &logged);
            let log = logged.clone();
            g.named("late").spawn(async move {
                log.add("begun");
                cancellable(pending::<()>()).await.map_err(|_| "a late error")
            });
            g.spawn_ok(async move {
                logged.add("begun");
                cancellable(pending::<()>()).await.expect("a late panic");
            });
            pending::<()>().await;
            Ok(())
        });
        let all = async {
            while log.all().len() < 3 {
                yield_now().await;
            }
        };
        filch::select! {
            _ = dropped => unreachable!(),
            () = all => {}
        }
        while alive.count() > 0 || told.lines().len() < 2 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    told.builder().workers(2).run(main).unwrap();
    assert!(log.has("cleaned up"));
    let lines = told.lines();
    assert!(lines.iter().any(|line| line.contains("late\"") && line.contains("a late error")));
    assert!(lines.iter().any(|line| line.contains("a late panic")), "{lines:?}");
}

/// GROUP-11. Errors that a dropped group had already are told, too.
#[test]
fn group_11_errors_of_a_group_that_is_dropped_are_told() {
    let _watchdog = watchdog(PATIENCE);
    let (told, log) = (Told::default(), Log::default());
    let main = async {
        let logged = log.clone();
        let dropped = group(async move |g| {
            let log = logged.clone();
            g.spawn_ok(async move {
                let clean_up = async || {
                    log.add("cleans up");
                    log.until("dropped").await;
                };
                cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
            });
            yield_now().await;
            Err::<(), _>("nobody hears of it".into())
        });
        filch::select! {
            _ = dropped => unreachable!("its child does not end"),
            () = log.until("cleans up") => {}
        }
        log.add("dropped");
    };
    told.builder().workers(2).run(main).unwrap();
    let lines = told.lines();
    assert!(lines.len() == 1 && lines[0].contains("nobody hears of it"), "{lines:?}");
}

/// GROUP-10. A timeout is no drop: it waits for them.
#[test]
fn group_10_a_timeout_in_a_group() {
    let (log, alive) = (Log::default(), Alive::default());
    run(async {
        let (logged, children, there) = (log.clone(), alive.clone(), alive.clone());
        let outer = group(async move |_| {
            let inner = group(async move |g| {
                for _ in 0..10 {
                    slow_child(&g, &children, &logged);
                }
                pending::<()>().await;
                Ok(())
            });
            assert!(timeout(Duration::from_millis(2), inner).await.is_err());
            assert_eq!(there.count(), 0);
            Ok(())
        });
        outer.await.unwrap();
    });
}

/// GROUP-11. A group that was begun in another one that is over by now: the next one around waits.
#[test]
fn group_11_a_group_that_was_carried_away() {
    let (log, alive) = (Log::default(), Alive::default());
    run(async {
        let (logged, children) = (log.clone(), alive.clone());
        let outer = group(async move |_| {
            let log = logged.clone();
            let carried = group(async move |_| {
                let mut inner: Pin<Box<dyn Future<Output = _> + Send>> =
                    Box::pin(group(async move |g| {
                        slow_child(&g, &children, &log);
                        pending::<()>().await;
                        Ok(())
                    }));
                let begun = logged.clone();
                poll_fn(|cx| {
                    assert!(inner.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
                begun.until("begun").await;
                Ok((inner, begun))
            });
            let (inner, log) = carried.await?;
            log.add("carried");
            drop::<Pin<Box<dyn Future<Output = Result<(), filch::GroupError>> + Send>>>(inner);
            Ok(())
        });
        outer.await.unwrap();
        assert_eq!(alive.count(), 0);
    });
    assert_eq!(log.all(), ["begun", "carried", "cleaned up"]);
}
