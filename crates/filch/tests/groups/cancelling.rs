//! A group that is cancelled, by itself or from outside.

use crate::kit::{HOUR, Log, run};
use crate::seen::Alive;
use filch::task::yield_now;
use filch::time::{Duration, sleep};
use filch::{TaskGroup, cancellable, group, is_cancelled, shielded};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::future::pending;

/// GROUP-9. What the body has is given.
#[test]
fn group_9_cancel_is_no_failure() {
    let alive = Alive::default();
    run(async {
        let children = alive.clone();
        let first = group(async move |g| {
            let (found, find) = (filch::sync::Event::new(), 7);
            for _ in 0..10 {
                let guard = children.guard();
                g.spawn_ok(async move {
                    let _guard = guard;
                    pending::<()>().await;
                });
            }
            found.set();
            found.wait().await;
            g.cancel();
            g.cancel();
            Ok(find)
        });
        assert_eq!(first.await.unwrap(), 7);
        assert_eq!(alive.count(), 0);
    });
}

/// GROUP-9. Before there is a child; and the body that is cut has nothing to give.
#[test]
fn group_9_a_body_that_is_cut_gives_none() {
    let log = Log::default();
    run(async {
        let body = log.clone();
        let cut = group(async move |g| {
            g.cancel();
            assert!(is_cancelled());
            let clean_up = async || body.add("cleaned up");
            cancellable(sleep(HOUR)).on_cancel(clean_up).await.unwrap_err();
            sleep(HOUR).await;
            Ok(1)
        });
        assert_eq!(cut.or_none().await.unwrap(), None);
        let child = group(async |g| {
            let all = g.clone();
            // Before it has waited for anything.
            g.spawn_ok(async move {
                all.cancel();
                sleep(HOUR).await;
            });
            sleep(HOUR).await;
            Ok(1)
        });
        assert!(child.await.unwrap_err().is_cancelled());
        assert_eq!(group(async |_| Ok(1)).or_none().await.unwrap(), Some(1));
    });
    assert_eq!(log.all(), ["cleaned up"]);
}

/// GROUP-10. From the inside out, and then what is around the group.
#[test]
fn group_10_a_cancel_from_outside_is_waited_for_and_goes_on() {
    let (log, alive) = (Log::default(), Alive::default());
    run(async {
        let (logged, children) = (log.clone(), alive.clone());
        let task = filch::spawn(async move {
            let body = logged.clone();
            let inner = group(async move |g| {
                for _ in 0..3 {
                    let (log, guard) = (body.clone(), children.guard());
                    g.spawn_ok(async move {
                        let _guard = guard;
                        let clean_up = async || {
                            sleep(Duration::from_millis(2)).await;
                            log.add("child");
                        };
                        cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
                        pending::<()>().await;
                    });
                }
                body.add("begun");
                let clean_up = async || body.add("body");
                cancellable(pending::<()>()).on_cancel(clean_up).await?;
                Ok(())
            });
            let clean_up = async || logged.add("around");
            let cut = cancellable(async {
                inner.await.expect("it is cut, and gives no error");
                logged.add("never");
            });
            cut.on_cancel(clean_up).await.unwrap_err();
            pending::<()>().await;
        });
        log.until("begun").await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(alive.count(), 0);
    });
    let mut all = log.all();
    assert_eq!(all.pop(), Some("around"));
    all.sort_unstable();
    assert_eq!(all, ["begun", "body", "child", "child", "child"]);
}

/// GROUP-10. A task without any boundary of its own waits for its group as well.
#[test]
fn group_10_a_task_is_held_up_by_its_group() {
    let (log, alive) = (Log::default(), Alive::default());
    run(async {
        for in_body in [true, false] {
            let (logged, children) = (log.clone(), alive.clone());
            let task = filch::spawn(async move {
                let inner = group(async move |g| {
                    let guard = children.guard();
                    g.spawn_ok(async move {
                        let _guard = guard;
                        logged.add("begun");
                        let clean_up = async || {
                            sleep(Duration::from_millis(2)).await;
                            logged.add("cleaned up");
                        };
                        cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
                    });
                    if in_body {
                        pending::<()>().await;
                    }
                    Ok(())
                });
                // A child that was asked to end came to its end. Nothing was cut, if the body was not.
                inner.await.map(|()| "all was done")
            });
            while log.all().len() % 2 == 0 {
                sleep(Duration::from_millis(1)).await;
            }
            task.cancel();
            let ended = task.await;
            assert_eq!(alive.count(), 0);
            if in_body {
                assert!(ended.unwrap_err().is_cancelled());
            } else {
                assert_eq!(ended.unwrap().unwrap(), "all was done");
            }
        }
    });
    assert_eq!(log.all(), ["begun", "cleaned up", "begun", "cleaned up"]);
}

/// GROUP-10. The body had its value, but a child was cut: that is not what the group was to do.
#[test]
fn group_10_a_value_is_not_given_if_a_child_was_cut() {
    let log = Log::default();
    run(async {
        let logged = log.clone();
        let task = filch::spawn(async move {
            let all = group(async move |g| {
                g.spawn_ok(async move {
                    logged.add("begun");
                    pending::<()>().await;
                });
                Ok(())
            });
            all.await.unwrap();
            unreachable!("its child did nothing");
        });
        log.until("begun").await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

/// GROUP-10. Errors win, and the cancel stays in force.
#[test]
fn group_10_errors_win_over_a_cancel_from_outside() {
    let log = Log::default();
    run(async {
        let logged = log.clone();
        let task = filch::spawn(async move {
            let body = logged.clone();
            let failed = group(async move |g| {
                let log = body.clone();
                g.spawn(async move {
                    log.add("begun");
                    cancellable(pending::<()>()).await.map_err(|_| "cannot clean up")
                });
                pending::<()>().await;
                Ok(())
            });
            let error = failed.await.unwrap_err();
            assert_eq!(error.iter().next().unwrap().error().to_string(), "cannot clean up");
            assert!(is_cancelled());
            logged.add("behind");
            sleep(HOUR).await;
            logged.add("never");
        });
        log.until("begun").await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(log.all(), ["begun", "behind"]);
}

/// GROUP-10. One that comes while the group fails already is not lost.
#[test]
fn group_10_a_cancel_while_it_ends_is_not_lost() {
    let log = Log::default();
    run(async {
        for fails in [true, false] {
            let log = Log::default();
            let logged = log.clone();
            let task = filch::spawn(async move {
                let body = logged.clone();
                let ends = group(async move |g| {
                    let log = body.clone();
                    g.spawn_ok(async move {
                        let clean_up = async || {
                            log.add("cleans up");
                            log.until("cancelled").await;
                        };
                        cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
                    });
                    yield_now().await;
                    if fails {
                        return Err("fails".into());
                    }
                    g.cancel();
                    pending::<()>().await;
                    Ok(())
                });
                let ended = ends.await;
                assert!(fails, "it had an error to give");
                assert_eq!(ended.unwrap_err().len(), 1);
                logged.add("behind");
                pending::<()>().await;
            });
            log.until("cleans up").await;
            task.cancel();
            log.add("cancelled");
            assert!(task.await.unwrap_err().is_cancelled());
            assert_eq!(log.has("behind"), fails);
        }
    });
    drop(log);
}

/// GROUP-10, in a combinator that polls only what was woken.
#[test]
fn group_10_it_reaches_groups_in_combinators() {
    let (log, alive) = (Log::default(), Alive::default());
    run(async {
        let (logged, children) = (log.clone(), alive.clone());
        let task = filch::spawn(async move {
            let mut all = FuturesUnordered::new();
            for _ in 0..50 {
                let (log, guard) = (logged.clone(), children.guard());
                all.push(group(async move |g| {
                    g.spawn_ok(async move {
                        let _guard = guard;
                        log.add("begun");
                        let clean_up = async || log.add("cleaned up");
                        cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
                        pending::<()>().await;
                    });
                    pending::<()>().await;
                    Ok(())
                }));
            }
            while all.next().await.is_some() {}
        });
        while log.all().len() < 50 {
            sleep(Duration::from_millis(1)).await;
        }
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(alive.count(), 0);
    });
    assert_eq!(log.all().iter().filter(|what| **what == "cleaned up").count(), 50);
}

/// GROUP-12. A shield around the group keeps the cancel off its children.
#[test]
fn group_12_a_shielded_group_comes_to_its_end() {
    let log = Log::default();
    run(async {
        let logged = log.clone();
        let task = filch::spawn(async move {
            let body = logged.clone();
            let shielded_group = shielded(group(async move |g| {
                let log = body.clone();
                g.spawn_ok(async move {
                    log.add("begun");
                    log.until("cancelled").await;
                    assert!(!is_cancelled());
                    log.add("done");
                });
                Ok(())
            }));
            shielded_group.await.unwrap();
            logged.add("behind");
            pending::<()>().await;
        });
        log.until("begun").await;
        task.cancel();
        log.add("cancelled");
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(log.all(), ["begun", "cancelled", "done", "behind"]);
}

/// GROUP-12. A child belongs to its group, whoever spawns it: the spawner's cancel is not the child's.
#[test]
fn group_12_a_child_is_in_its_groups_scope() {
    let log = Log::default();
    run(async {
        let body = log.clone();
        let done = group(async move |g: TaskGroup| {
            let (inner, log) = (g.clone(), body.clone());
            let spawner = g.spawn_ok(async move {
                inner.spawn_ok({
                    let log = log.clone();
                    async move {
                        log.until("spawner cancelled").await;
                        assert!(!is_cancelled());
                        log.add("done");
                    }
                });
                log.add("spawned");
                pending::<()>().await;
            });
            body.until("spawned").await;
            spawner.cancel();
            assert_eq!(spawner.outcome().await, None);
            body.add("spawner cancelled");
            Ok(())
        });
        done.await.unwrap();
    });
    assert_eq!(log.all(), ["spawned", "spawner cancelled", "done"]);
}

/// GROUP-12. A child that computes is told, and one that has not begun is polled once.
#[test]
fn group_12_children_that_compute_are_told() {
    let log = Log::default();
    crate::support::runtime(2).block_on(async {
        let body = log.clone();
        let done = filch::spawn(group(async move |g| {
            let log = body.clone();
            g.spawn(async move {
                log.add("computes");
                while !is_cancelled() {
                    std::thread::yield_now();
                }
                log.add("told");
                Ok::<_, String>(())
            });
            body.until("computes").await;
            g.cancel();
            Ok(())
        }));
        done.await.unwrap().unwrap();
    });
    assert_eq!(log.all(), ["computes", "told"]);

    let log = Log::default();
    filch::Runtime::builder()
        .workers(1)
        .run(async {
            let body = log.clone();
            let done = group(async move |g| {
                g.spawn_ok(async move {
                    assert!(is_cancelled());
                    let clean_up = async || body.add("cleaned up");
                    cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
                    pending::<()>().await;
                });
                g.cancel();
                Ok(())
            });
            done.await.unwrap();
        })
        .unwrap();
    assert_eq!(log.all(), ["cleaned up"]);
}

/// GROUP-10. A group that was cancelled before it began, and so refuses what it was to do, has not done it.
#[test]
fn group_10_what_is_refused_is_not_done() {
    let one = filch::Runtime::builder().workers(1);
    one.run(async {
        let task = filch::spawn(group(async |g| {
            drop(g.spawn_ok(async {}));
            Ok(())
        }));
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    })
    .unwrap();
}

/// GROUP-10, TIMEOUT-3. The same, of one whose time is over while its body waits shielded.
#[test]
fn group_10_what_is_refused_when_the_time_is_over_is_not_done() {
    run(async {
        let late = group(async |g| {
            let told = async {
                while !g.is_ending() {
                    yield_now().await;
                }
            };
            shielded(told).await;
            drop(g.spawn_ok(async {}));
            Ok(())
        });
        assert!(filch::time::timeout(Duration::from_millis(1), late).await.is_err());
    });
}
