//! Supervisors, limits, and children that tell when they are ready.

use crate::kit::{HOUR, Log, run};
use crate::seen::Told;
use crate::support::PATIENCE;
use filch::task::{NotReady, Panicked, yield_now};
use filch::time::{Duration, sleep, timeout};
use filch::{Cancelled, TaskGroup, cancellable, group};
use filch_testkit::limits::watchdog;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// GROUP-13.
#[test]
fn group_13_a_supervised_group_goes_on() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    run(async move {
        let done = group(async |g| {
            let failed = g.named("a").spawn(async { Err::<(), _>(io::Error::other("one")) });
            assert_eq!(failed.outcome().await, None);
            let panicked = g.named("b").spawn_ok(async { panic!("two") });
            assert_eq!(panicked.outcome().await, None::<()>);
            g.spawn(async { Err::<(), _>(Cancelled::new()) });
            assert!(!g.is_ending());
            Ok(g.spawn_ok(async { "on it goes" }).await)
        });
        let done = done.supervisor(move |failure| heard.lock().unwrap().push(failure));
        assert_eq!(done.await.unwrap(), "on it goes");
    });
    let mut told = std::mem::take(&mut *told.lock().unwrap());
    assert_eq!(told.iter().map(|one| one.name().unwrap()).collect::<Vec<_>>(), ["a", "b"]);
    assert!(told[0].is::<io::Error>());
    let panicked = told.pop().unwrap().downcast::<Panicked>().unwrap();
    assert_eq!(panicked.to_string(), "panicked: two");
    assert_eq!(panicked.into_payload().downcast_ref::<&str>(), Some(&"two"));
}

/// GROUP-13. The body's failure is the group's, and a supervisor's panic nobody's.
#[test]
fn group_13_its_body_may_fail_and_its_supervisor_panic() {
    let _watchdog = watchdog(PATIENCE);
    let told = Told::default();
    let main = async {
        let failed = group(async |g| {
            g.spawn(async { Err::<(), _>("a child") }).outcome().await;
            g.spawn_ok(pending::<()>());
            Err::<(), _>("the body".into())
        });
        let error = failed.supervisor(|failure| panic!("told of {failure}")).await.unwrap_err();
        assert_eq!(error.iter().next().unwrap().error().to_string(), "the body");
        assert_eq!(error.len(), 1);
    };
    told.builder().workers(2).run(main).unwrap();
    assert!(told.lines().len() == 1 && told.lines()[0].contains("a child"), "{:?}", told.lines());
}

/// GROUP-14. Never more than so many, in the order of the spawns, and all of them.
#[test]
fn group_14_no_more_than_the_limit_run() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let begun = Arc::new(Mutex::new(Vec::new()));
    for limit in [1, 3] {
        let (now, most, begun) = (now.clone(), most.clone(), begun.clone());
        most.store(0, Ordering::SeqCst);
        begun.lock().unwrap().clear();
        run(async {
            let order = begun.clone();
            let (now, most) = (now.clone(), most.clone());
            group(async move |g| {
                g.limit(limit);
                for number in 0..50 {
                    let (now, most, order) = (now.clone(), most.clone(), order.clone());
                    g.spawn_ok(async move {
                        order.lock().unwrap().push(number);
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        for _ in 0..number % 4 {
                            yield_now().await;
                        }
                        now.fetch_sub(1, Ordering::SeqCst);
                    });
                }
                Ok(())
            })
            .await
            .unwrap();
        });
        assert!(most.load(Ordering::SeqCst) <= limit);
        let order = begun.lock().unwrap().clone();
        assert_eq!(order.len(), 50);
        if limit == 1 {
            assert_eq!(order, (0..50).collect::<Vec<_>>());
        }
    }
}

/// GROUP-14. Raised, it lets more in; those that wait when the group is cancelled never begin.
#[test]
fn group_14_it_may_be_raised_and_cancelled() {
    let log = Log::default();
    run(async {
        let body = log.clone();
        group(async move |g: TaskGroup| {
            g.limit(1);
            let child = |what: &'static str| {
                let log = body.clone();
                g.spawn_ok(async move {
                    log.add(what);
                    let _ = cancellable(pending::<()>()).await;
                })
            };
            let _first = child("first");
            body.until("first").await;
            let second = child("second");
            let third = child("third");
            let (fourth, _fifth) = (child("fourth"), child("fifth"));
            for _ in 0..20 {
                yield_now().await;
            }
            assert_eq!(body.all(), ["first"]);
            g.limit(2);
            body.until("second").await;
            assert_eq!(body.all(), ["first", "second"]);
            // One that waits may be cancelled on its own, and one that runs makes room.
            third.cancel();
            assert_eq!(third.outcome().await, None);
            second.cancel();
            body.until("fourth").await;
            drop(fourth);
            g.cancel();
            Ok(())
        })
        .await
        .unwrap();
    });
    assert_eq!(log.all(), ["first", "second", "fourth"]);
}

/// GROUP-14. A group that was adopted does not take anybody's place.
#[test]
fn group_14_who_was_adopted_takes_no_place() {
    let log = Log::default();
    run(async {
        let body = log.clone();
        group(async move |g| {
            g.limit(1);
            let log = body.clone();
            let dropped = group(async move |g| {
                g.spawn_ok(async move {
                    log.add("begun");
                    let clean_up = async || log.until("another ran").await;
                    cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
                });
                pending::<()>().await;
                Ok(())
            });
            filch::select! {
                _ = dropped => unreachable!(),
                () = body.until("begun") => {}
            }
            g.spawn_ok(async move { body.add("another ran") });
            Ok(())
        })
        .await
        .unwrap();
    });
}

/// GROUP-15.
#[test]
fn group_15_a_child_tells_when_it_is_ready() {
    let log = Log::default();
    run(async {
        let body = log.clone();
        let failed = group(async move |g| {
            let log = body.clone();
            let start = g.named("server").start(|ready| async move {
                yield_now().await;
                assert!(ready.set(80).is_none());
                log.until("it went on").await;
                Err::<(), _>("after it was ready")
            });
            assert_eq!(start.await?, 80);
            body.add("it went on");
            pending::<()>().await;
            Ok(())
        });
        let error = failed.await.unwrap_err();
        let failure = error.iter().next().unwrap();
        assert_eq!(failure.error().to_string(), "after it was ready");
        assert_eq!(failure.name(), Some("server"));
    });
}

/// GROUP-15. What ends before is told to whoever waits, and the group goes on.
#[test]
fn group_15_a_child_that_ends_before_is_no_failure_of_the_group() {
    run(async {
        let done = group(async |g| {
            let start = g.start::<u8, _, _, _, _>(|ready| async move {
                let _ready = ready;
                yield_now().await;
                Err::<(), _>(io::Error::other("no port"))
            });
            let error = start.await.unwrap_err();
            assert_eq!(error.downcast::<io::Error>().unwrap().to_string(), "no port");

            let start = g.start::<u8, _, _, _, _>(|_ready| async { Ok::<_, String>(()) });
            assert!(start.await.unwrap_err().is::<NotReady>());
            assert!(!g.is_ending());
            Ok(4)
        });
        assert_eq!(done.await.unwrap(), 4);
    });
}

/// GROUP-15. Whoever gives up waiting cancels the child.
#[test]
fn group_15_a_start_that_is_dropped_cancels_the_child() {
    let log = Log::default();
    run(async {
        let body = log.clone();
        let done = group(async move |g| {
            let log = body.clone();
            let start = g.start(|ready| async move {
                let clean_up = async || log.add("cancelled");
                cancellable(sleep(HOUR)).on_cancel(clean_up).await?;
                ready.set(());
                Ok::<_, Cancelled>(())
            });
            assert!(timeout(Duration::from_millis(2), start).await.is_err());
            Ok(())
        });
        done.await.unwrap();
    });
    assert_eq!(log.all(), ["cancelled"]);
}

/// GROUP-15. A panic is the group's, as any.
#[test]
fn group_15_a_panic_before_is_the_groups() {
    run(async {
        let panics = filch::spawn(group(async |g| {
            let start = g.start::<(), _, _, _, _>(|_ready| async {
                yield_now().await;
                if true {
                    panic!("before it was ready");
                }
                Ok::<_, String>(())
            });
            start.await?;
            Ok(())
        }));
        let panicked = panics.await.unwrap_err();
        assert!(panicked.to_string().contains("before it was ready"), "{panicked}");
    });
}

/// GROUP-15, GROUP-13. Under a supervisor the group goes on, and so does whoever waits for a child that panics.
#[test]
fn group_15_a_panic_before_is_heard_under_a_supervisor() {
    let _watchdog = watchdog(PATIENCE);
    run(async {
        let supervised = group(async |g| {
            let start = g.start::<(), _, _, _, _>(|_ready| async {
                yield_now().await;
                if true {
                    panic!("before it was ready");
                }
                Ok::<_, String>(())
            });
            assert!(start.await.is_err());
            Ok(7)
        });
        assert_eq!(supervised.supervisor(|_| ()).await.unwrap(), 7);
    });
}
