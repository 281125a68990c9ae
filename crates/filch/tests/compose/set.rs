//! `TaskSet` and `as_completed`.

use crate::kit::{HOUR, Log, run};
use crate::support::PATIENCE;
use filch::task::{Report, yield_now};
use filch::time::{Duration, sleep, timeout};
use filch::{Runtime, TaskSet, Until, as_completed, cancellable};
use filch_testkit::limits::watchdog;
use futures_util::stream::StreamExt;
use std::future::pending;
use std::sync::{Arc, Mutex};

const MS: Duration = Duration::from_millis(1);

async fn after(turns: u32) -> u32 {
    for _ in 0..turns {
        yield_now().await;
    }
    turns
}

/// SET-1.
#[test]
fn set_1_tasks_come_out_as_they_end() {
    run(async {
        let log = Log::default();
        let mut set = TaskSet::new();
        assert!(set.join_next().await.is_none());
        for (name, before) in [("third", "second"), ("second", "first"), ("first", "go")] {
            let log = log.clone();
            set.spawn(async move {
                log.until(before).await;
                log.add(name);
                name
            });
        }
        assert_eq!(set.len(), 3);
        assert!(set.try_join_next().is_none());
        log.add("go");
        let mut order = Vec::new();
        while let Some(name) = set.join_next().await {
            order.push(name.unwrap());
        }
        assert_eq!(order, ["first", "second", "third"]);
        assert!(set.is_empty());
        // What was spawned before, and with its number.
        let task = filch::spawn(async { "before" });
        let id = task.id();
        assert_eq!(set.add(task).id(), id);
        assert_eq!(set.ids().collect::<Vec<_>>(), [id]);
        let (joined, output) = set.join_next_with_id().await.unwrap();
        assert_eq!((joined, output.unwrap()), (id, "before"));
        // One that is over when it comes.
        let task = filch::spawn(async { "over" });
        while !task.is_finished() {
            yield_now().await;
        }
        set.add(task);
        assert_eq!(set.try_join_next().unwrap().unwrap(), "over");
    });
}

/// SET-1: many, and one that panics or is aborted among them.
#[test]
fn set_1_of_many_each_comes_out_once() {
    run(async {
        let mut set: TaskSet<u32> = (0..2_000).map(|n| filch::spawn(after(n % 7))).collect();
        set.spawn(async { panic!("oh") });
        set.spawn(pending()).abort();
        let (mut fine, mut panicked, mut aborted) = (0, 0, 0);
        while let Some(result) = set.join_next().await {
            match result {
                Ok(_) => fine += 1,
                Err(error) if error.is_panic() => panicked += 1,
                Err(error) => aborted += u32::from(error.is_cancelled()),
            }
        }
        assert_eq!((fine, panicked, aborted), (2_000, 1, 1));
    });
}

/// SET-2.
#[test]
fn set_2_wait_until() {
    run(async {
        let mut set = TaskSet::new();
        let none = set.wait(Until::First).await;
        assert_eq!((none.done.len(), none.pending), (0, 0));
        let slow = set.spawn(async {
            sleep(HOUR).await;
            Ok(())
        });
        let quick = set.spawn(async { Ok(()) }).id();
        let first = set.wait(Until::First).await;
        assert_eq!((first.done.len(), first.pending, set.len()), (1, 1, 1));
        assert_eq!(first.done[0].0, quick);
        // Those that are fine, or were cancelled, do not end it; one that fails does.
        set.spawn(async { Ok(()) });
        set.spawn(pending()).abort();
        set.spawn(async {
            sleep(2 * MS).await;
            Err("failed")
        });
        let error = set.wait(Until::FirstError).await;
        assert_eq!((error.done.len(), error.pending), (3, 1));
        assert!(error.done.iter().any(|(_, result)| matches!(result, Ok(Err("failed")))));
        set.spawn(async { panic!("oh") });
        let panicked = set.wait(Until::FirstError).await;
        assert!(panicked.done[0].1.as_ref().unwrap_err().is_panic());
        // With nobody left that could fail, that is all.
        slow.cancel();
        set.spawn(async { Ok(()) });
        let all = set.wait(Until::FirstError).await;
        assert_eq!((all.done.len(), all.pending), (2, 0));
        set.extend((0..10).map(|_| filch::spawn(async { Ok(()) })));
        assert_eq!(set.wait(Until::All).await.done.len(), 10);
    });
}

/// SET-3.
#[test]
fn set_3_a_wait_that_gives_up_cancels_nobody() {
    run(async {
        let log = Log::default();
        let mut set = TaskSet::new();
        set.spawn({
            let log = log.clone();
            async move { log.until("go").await }
        });
        set.spawn(async {});
        let waited = set.wait(Until::All).timeout(3 * MS).await;
        assert_eq!((waited.done.len(), waited.pending), (1, 1));
        let waited = set.wait(Until::First).timeout(Duration::ZERO).await;
        assert_eq!((waited.done.len(), waited.pending), (0, 1));
        log.add("go");
        assert_eq!(set.wait(Until::All).timeout(HOUR).await.done.len(), 1);
    });
}

/// SET-4.
#[test]
fn set_4_who_is_over_when_it_returns_is_done() {
    run(async {
        for round in 0..200 {
            let mut set = TaskSet::new();
            let handles: Vec<_> = (0..20).map(|n| set.spawn(after((n + round) % 5))).collect();
            // Told by somebody else that one is over.
            while !handles.iter().any(|handle| handle.is_finished()) {
                yield_now().await;
            }
            let over: Vec<_> = handles
                .iter()
                .filter(|handle| handle.is_finished())
                .map(|handle| handle.id())
                .collect();
            let waited = set.wait(Until::First).await;
            for id in over {
                assert!(waited.done.iter().any(|(done, _)| *done == id), "{id} was over before");
            }
            assert_eq!(waited.done.len() + waited.pending, 20);
        }
    });
}

/// SET-5.
#[test]
fn set_5_a_wait_that_is_dropped_has_taken_nothing() {
    run(async {
        let log = Log::default();
        let mut set = TaskSet::new();
        for n in 0..10 {
            set.spawn(after(n));
        }
        set.spawn({
            let log = log.clone();
            async move {
                log.until("go").await;
                99
            }
        });
        timeout(3 * MS, set.wait(Until::All)).await.unwrap_err();
        timeout(MS, async { pending::<()>().await }).await.unwrap_err();
        assert_eq!(set.len(), 11);
        log.add("go");
        let mut sum = 0;
        while let Some(n) = set.join_next().await {
            sum += n.unwrap();
        }
        assert_eq!(sum, 45 + 99);
    });
}

/// A task that says when it is asked to end.
async fn cleans_up(log: Log) {
    let clean_up = async || {
        yield_now().await;
        log.add("cleaned up");
    };
    log.add("begun");
    let _ = cancellable(pending::<()>()).on_cancel(clean_up).await;
}

/// SET-6.
#[test]
fn set_6_ending_all_of_them() {
    run(async {
        let log = Log::default();
        let mut set = TaskSet::new();
        set.spawn(cleans_up(log.clone()));
        log.until("begun").await;
        set.cancel_all();
        assert!(set.join_next().await.unwrap().is_ok(), "it came to its end");
        set.spawn(cleans_up(log.clone()));
        set.abort_all();
        assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
        // One that waits for all.
        let log = Log::default();
        set.spawn(cleans_up(log.clone()));
        log.until("begun").await;
        set.shutdown().await;
        assert!(set.is_empty());
        assert_eq!(log.all(), ["begun", "cleaned up"]);
        // Dropped: asked, not waited for.
        let log = Log::default();
        set.spawn(cleans_up(log.clone()));
        log.until("begun").await;
        drop(set);
        log.until("cleaned up").await;
        // Let go: not asked.
        let log = Log::default();
        let mut set = TaskSet::new();
        let handle = set.spawn({
            let log = log.clone();
            async move {
                log.until("go").await;
                assert!(!filch::is_cancelled());
                log.add("ran on");
            }
        });
        set.detach_all();
        assert!(set.is_empty());
        drop(set);
        assert!(!handle.is_finished());
        log.add("go");
        log.until("ran on").await;
    });
}

/// SET-6: no panic goes unheard.
#[test]
fn set_6_panics_that_nobody_takes_are_reported() {
    let _watchdog = watchdog(PATIENCE);
    let reports = Arc::new(Mutex::new(0));
    let kept = reports.clone();
    let hook = move |report: &Report| {
        assert!(matches!(report, Report::TaskPanicked { .. }), "{report}");
        *kept.lock().unwrap() += 1;
    };
    let runtime = Runtime::builder().workers(2).on_error(hook).build().unwrap();
    runtime.block_on(async {
        let mut set = TaskSet::new();
        set.spawn(async { panic!("one") });
        set.shutdown().await;
        // Taken by a wait that was dropped.
        set.spawn(async { panic!("two") });
        set.spawn(pending::<()>());
        timeout(3 * MS, set.wait(Until::All)).await.unwrap_err();
        drop(set);
    });
    drop(runtime);
    assert_eq!(*reports.lock().unwrap(), 2);
}

/// SET-7.
#[test]
fn set_7_as_completed_gives_them_in_the_order_of_their_ends() {
    run(async {
        let log = Log::default();
        let waits = |(name, before): (&'static str, &'static str)| {
            let log = log.clone();
            async move {
                log.until(before).await;
                log.add(name);
                name
            }
        };
        let names = [("second", "first"), ("first", "go"), ("third", "second")];
        let mut all = as_completed(names.map(waits));
        // Resumed, and asked in both ways.
        timeout(2 * MS, all.next()).await.unwrap_err();
        log.add("go");
        assert_eq!(all.next().await.unwrap().unwrap(), "first");
        let rest: Vec<_> = all.map(Result::unwrap).collect().await;
        assert_eq!(rest, ["second", "third"]);
        let nobody: [std::future::Ready<()>; 0] = [];
        assert!(as_completed(nobody).next().await.is_none());
    });
}

/// SET-8.
#[test]
fn set_8_as_completed_ends_after_a_while() {
    run(async {
        let log = Log::default();
        let waits = |n: u32| {
            let log = log.clone();
            async move {
                if n >= 2 {
                    log.until("go").await;
                }
                n
            }
        };
        let mut some = as_completed((0..4).map(waits)).timeout(3 * MS);
        let mut fine = Vec::new();
        while let Some(Ok(n)) = some.next().await {
            fine.push(n.unwrap());
        }
        fine.sort_unstable();
        assert_eq!(fine, [0, 1], "then it said that the time was over");
        assert!(some.next().await.is_none());
        // They were not cancelled.
        let mut rest = some.into_set();
        assert_eq!(rest.len(), 2);
        log.add("go");
        while let Some(n) = rest.join_next().await {
            assert!(n.unwrap() >= 2);
        }
        // Nothing is missing: nothing is said.
        let mut all = as_completed([after(1)]).timeout(HOUR);
        assert_eq!(all.next().await.unwrap().unwrap().unwrap(), 1);
        assert!(all.next().await.is_none());
        // Who is over is given though the time is, too.
        let mut late = as_completed([after(0), after(1)]).timeout(Duration::ZERO);
        sleep(5 * MS).await;
        assert!(late.next().await.unwrap().is_ok());
        assert!(late.next().await.unwrap().is_ok());
        assert!(late.next().await.is_none());
    });
}

/// SET-6. A set is used again when its tasks were let go, some of them over.
#[test]
fn set_6_it_is_used_again_when_all_are_detached() {
    let one = Runtime::builder().workers(1);
    one.run(async {
        let mut set = TaskSet::new();
        for _ in 0..2 {
            let handle = set.spawn(async { 1 });
            while !handle.is_finished() {
                yield_now().await;
            }
        }
        set.detach_all();
        assert!(set.try_join_next().is_none());
        set.spawn(async { 2 });
        assert_eq!(set.join_next().await.unwrap().unwrap(), 2);
        assert!(set.join_next().await.is_none());
    })
    .unwrap();
}

/// SET-1, SET-4. Those that come as they are and those that the set has spawned, asked for again and again.
#[test]
fn set_4_asked_again_and_again_it_gives_each_once() {
    run(async {
        for round in 0..20 {
            let mut set = TaskSet::new();
            let mut given = 0;
            for n in 0..40 {
                if (n + round) % 3 == 0 {
                    set.add(filch::spawn(after(n % 5)));
                } else {
                    set.spawn(after(n % 5));
                }
                given += usize::from(set.try_join_next().is_some());
            }
            while !set.is_empty() {
                match given % 3 {
                    0 => given += set.wait(Until::First).await.done.len(),
                    1 => given += usize::from(set.join_next().await.is_some()),
                    _ => {
                        given += usize::from(set.try_join_next().is_some());
                        yield_now().await;
                    }
                }
            }
            assert_eq!(given, 40);
        }
    });
}
