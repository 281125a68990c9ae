//! Failures, in children and in the body.

use crate::kit::{HOUR, Log, run};
use crate::seen::{Alive, Told};
use crate::support::PATIENCE;
use filch::task::yield_now;
use filch::time::{Duration, sleep};
use filch::{Cancelled, GroupError, cancellable, check_cancelled, group, is_cancelled, shielded};
use filch_testkit::limits::watchdog;
use std::future::{pending, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

/// GROUP-2, GROUP-1. Siblings and body are cancelled, clean up, and are waited for.
#[test]
fn group_2_the_first_failure_cancels_all_others() {
    let (log, alive) = (Log::default(), Alive::default());
    run(async {
        let (outer, children) = (log.clone(), alive.clone());
        let failed = group(async move |g| {
            let log = outer.clone();
            for _ in 0..5 {
                let (log, guard) = (log.clone(), children.guard());
                g.spawn_ok(async move {
                    let _guard = guard;
                    let clean_up = async || {
                        sleep(Duration::from_millis(1)).await;
                        log.add("child cleaned up");
                    };
                    cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
                    sleep(HOUR).await;
                    log.add("never");
                });
            }
            g.spawn(async {
                sleep(Duration::from_millis(2)).await;
                Err::<(), _>("broken")
            });
            let clean_up = async || outer.add("body cleaned up");
            cancellable(sleep(HOUR)).on_cancel(clean_up).await?;
            Ok(())
        });
        let error = failed.await.unwrap_err();
        assert_eq!(alive.count(), 0);
        assert_eq!(error.len(), 1);
        assert_eq!(error.iter().next().unwrap().error().to_string(), "broken");
        assert!(!is_cancelled(), "the group's cancel is the group's");
    });
    let mut all = log.all();
    all.sort_unstable();
    assert_eq!(all, [&["body cleaned up"][..], &["child cleaned up"; 5]].concat());
}

/// GROUP-2. A handle whose child fails cuts whoever awaits it, without an error to look at.
#[test]
fn group_2_who_awaits_a_child_that_fails_is_cut() {
    let log = Log::default();
    run(async {
        let body = log.clone();
        let failed = group(async move |g| {
            let child = g.spawn(async {
                yield_now().await;
                Err::<u8, _>(io::Error::from(io::ErrorKind::NotFound))
            });
            let _gone = body.on_drop("cut", "not cut");
            child.await;
            body.add("never");
            Ok(())
        });
        let (errors, rest) = failed.await.unwrap_err().downcast::<io::Error>();
        assert!(errors.len() == 1 && rest.is_none());
        assert_eq!(errors[0].kind(), io::ErrorKind::NotFound);
    });
    assert_eq!(log.all(), ["cut"]);
}

/// GROUP-2. The body's error is one like others.
#[test]
fn group_2_the_body_may_fail() {
    let alive = Alive::default();
    run(async {
        let children = alive.clone();
        let failed = group(async move |g| {
            let guard = children.guard();
            g.spawn_ok(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            yield_now().await;
            Err::<(), _>("the body's".into())
        });
        let error = failed.await.unwrap_err();
        assert_eq!(alive.count(), 0);
        let failure = error.iter().next().unwrap();
        assert!(failure.id().is_none() && failure.spawn_location().is_none());
        assert_eq!(failure.to_string(), "the body: the body's");
    });
}

/// GROUP-3. Those that fail while they are being cancelled, as well, in order.
#[test]
fn group_3_all_errors_come_back() {
    run(async {
        let failed = group(async |g| {
            for number in 0..4 {
                g.spawn(async move {
                    let cut = cancellable(pending::<()>()).await;
                    shielded(sleep(Duration::from_millis(number))).await;
                    cut.map_err(|_| format!("child {number} failed to clean up"))
                });
            }
            g.spawn(async {
                yield_now().await;
                Err::<(), _>("first")
            });
            pending::<()>().await;
            Ok(())
        });
        let error = failed.await.unwrap_err();
        let mut texts: Vec<_> = error.into_iter().map(|one| one.error().to_string()).collect();
        assert_eq!(texts.remove(0), "first");
        texts.sort();
        let expected = (0..4).map(|number| format!("child {number} failed to clean up"));
        assert_eq!(texts, expected.collect::<Vec<_>>());
    });
}

/// GROUP-4. A child that is cancelled on its own is none that failed, however it says so.
#[test]
fn group_4_a_cancelled_child_is_no_failure() {
    type Boxed = Box<dyn std::error::Error + Send + Sync>;
    let log = Log::default();
    run(async {
        let body = log.clone();
        let done = group(async move |g| {
            let cut = g.spawn(async {
                cancellable(pending::<()>()).await?;
                Ok::<_, Cancelled>(())
            });
            let boxed = g.spawn(async {
                cancellable(pending::<()>()).await?;
                Ok::<_, Boxed>(())
            });
            let in_io = g.spawn(async {
                cancellable(pending::<()>()).await?;
                Ok::<_, io::Error>(())
            });
            let nested = g.spawn(group(async |g| {
                g.cancel();
                pending::<()>().await;
                Ok(())
            }));
            let dropped = g.spawn_ok(pending::<()>());
            let aborted = g.spawn_ok(pending::<()>());
            for child in [&cut, &boxed, &in_io, &dropped] {
                child.cancel();
            }
            aborted.abort();
            for child in [cut, boxed, in_io, nested, dropped, aborted] {
                assert_eq!(child.outcome().await, None);
            }
            body.add("the group goes on");
            assert!(!g.is_ending());
            Ok(g.spawn_ok(async { 3 }).await)
        });
        assert_eq!(done.await.unwrap(), 3);
    });
    assert_eq!(log.all(), ["the group goes on"]);
}

/// GROUP-4. Nor is a body that says that it was cancelled; it has no output.
#[test]
fn group_4_a_body_that_was_cancelled_is_no_failure() {
    run(async {
        let none = group(async |g| {
            g.cancel();
            yield_now().await;
            check_cancelled()?;
            Ok(())
        });
        let error = none.await.unwrap_err();
        assert!(error.is_cancelled() && error.is_empty());
        assert!(error.to_string().contains("was cancelled"), "{error}");
    });
}

/// GROUP-5, GROUP-1.
#[test]
fn group_5_a_panic_goes_on_when_all_are_over() {
    let _watchdog = watchdog(PATIENCE);
    let (told, alive, log) = (Told::default(), Alive::default(), Log::default());
    let main = async {
        let (children, logged) = (alive.clone(), log.clone());
        let panics = group(async move |g| {
            for number in 0..3 {
                let (guard, log) = (children.guard(), logged.clone());
                g.spawn(async move {
                    let _guard = guard;
                    let clean_up = async || sleep(Duration::from_millis(1)).await;
                    cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
                    log.add("cleaned up");
                    match number {
                        0 => panic!("a second one"),
                        1 => Err("an error beside it"),
                        _ => Ok(()),
                    }
                });
            }
            g.named("first").spawn_ok(async {
                yield_now().await;
                panic!("the first");
            });
            pending::<()>().await;
            Ok(())
        });
        let mut panics = Box::pin(panics);
        std::future::poll_fn(|cx| {
            catch_unwind(AssertUnwindSafe(|| panics.as_mut().poll(cx)))
                .map_or_else(Poll::Ready, |polled| polled.map(|_| unreachable!()))
        })
        .await
    };
    let payload = told.builder().workers(2).run(main).unwrap();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"the first"));
    assert_eq!((alive.count(), log.all().len()), (0, 3));
    let lines = told.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("a second one")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("an error beside it")), "{lines:?}");
}

/// GROUP-5: in the body, in its making, in a destructor.
#[test]
fn group_5_a_panic_anywhere_is_joined() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("a destructor");
        }
    }
    let alive = Alive::default();
    run(async {
        for place in 0..6 {
            let children = alive.clone();
            let there = async move |g: filch::TaskGroup| {
                let guard = children.guard();
                g.spawn_ok(async move {
                    let _guard = guard;
                    pending::<()>().await;
                });
                match place {
                    0 => panic!("the body"),
                    1 => {
                        g.spawn_ok(async {
                            let _panics = Panics;
                            yield_now().await;
                        });
                    }
                    2 => {
                        let _panics = Panics;
                        yield_now().await;
                        return Ok(());
                    }
                    3 => {
                        let child = g.spawn_ok(async {
                            let _panics = Panics;
                            pending::<()>().await;
                        });
                        yield_now().await;
                        child.cancel();
                    }
                    4 => {
                        // And its output's destructor, too.
                        let panics = Panics;
                        g.spawn(poll_fn(move |_| {
                            let _panics = &panics;
                            Poll::Ready(Ok::<_, std::io::Error>(Panics))
                        }));
                    }
                    _ => {
                        // It takes itself out of what it destroys.
                        let panics = Panics;
                        g.spawn_ok(async move {
                            let _panics = panics;
                            pending::<()>().await;
                        });
                        g.cancel();
                    }
                }
                pending::<()>().await;
                Ok(())
            };
            let ended = filch::spawn(group(there)).await.unwrap_err();
            assert!(ended.is_panic(), "{place}: {ended}");
            assert_eq!(alive.count(), 0, "{place}");
        }
        let made = |_: filch::TaskGroup| -> std::future::Ready<Result<(), filch::task::BoxError>> {
            panic!("the making")
        };
        assert!(filch::spawn(async move { group(made).await }).await.unwrap_err().is_panic());
    });
}

/// GROUP-3. A group in a group is one error there.
#[test]
fn group_3_a_group_in_a_group_nests_its_errors() {
    run(async {
        let failed = group(async |g| {
            g.named("inner").spawn(group(async |g| {
                g.named("innermost").spawn(async { Err::<(), _>("deep down") });
                Ok(())
            }));
            // In the body, it is the body's error.
            group(async |g| {
                g.spawn(async { Err::<(), _>("in the body") });
                Ok(())
            })
            .await?;
            Ok(())
        });
        let error = failed.await.unwrap_err();
        assert!(error.iter().all(|failure| failure.is::<GroupError>()), "{error}");
        let texts: Vec<_> =
            error.flatten().into_iter().map(|one| one.error().to_string()).collect();
        assert!(
            !texts.is_empty()
                && texts.iter().all(|text| text.starts_with("deep") || text.starts_with("in the"))
        );
    });
}
