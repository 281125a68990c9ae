//! What becomes of a set of tasks when its runtime ends.

use crate::kit::{HOUR, Log, builder};
use crate::support::PATIENCE;
use filch::time::{Duration, sleep};
use filch::{TaskSet, Until, as_completed, cancellable, shielded};
use filch_testkit::exec;
use filch_testkit::limits::watchdog;
use std::future::{Future, pending};
use std::sync::mpsc;
use std::thread;

/// Comes to its end when it is asked to.
async fn says_good_bye() -> u32 {
    cancellable(pending::<()>()).await.unwrap_err();
    1
}

/// One worker, so that tasks are asked, and run then, in the order of their spawns: two are, and then one that waits for
/// them. That one is to end, too.
fn waits<F>(waiter: impl FnOnce(TaskSet<u32>, Log) -> F) -> (Log, Log)
where
    F: Future<Output = ()> + Send + 'static,
{
    let _watchdog = watchdog(PATIENCE);
    let (log, reports) = (Log::default(), Log::default());
    let main = async {
        let set = [filch::spawn(says_good_bye()), filch::spawn(pending())];
        let waiter = waiter(set.into_iter().collect(), log.clone());
        let says = log.clone();
        drop(filch::spawn(async move {
            says.add("begun");
            waiter.await;
            says.add("goes on");
            pending::<()>().await;
        }));
        log.until("begun").await;
    };
    builder(1, &reports).run(main).unwrap();
    (log, reports)
}

/// RUN-2, SET-4: who waits for a set is not given what was ended with the runtime, though it is given something else.
#[test]
fn run_2_a_wait_does_not_give_what_ended_with_the_runtime() {
    let (log, reports) = waits(async |mut set, log| {
        let waited = set.wait(Until::First).await;
        for (_, result) in waited.done {
            log.add(result.expect("nobody is told").to_string());
        }
        assert_eq!(waited.pending, 1);
    });
    assert_eq!(log.take(), ["begun", "1", "goes on"]);
    assert_eq!(reports.take(), [""; 0]);
}

/// RUN-2, SET-8: nor is who waits for a while.
#[test]
fn run_2_a_stream_does_not_give_what_ended_with_the_runtime() {
    let (log, reports) = waits(async |set, log| {
        cancellable(pending::<()>()).await.unwrap_err();
        // It has no time left when it is first asked.
        let mut over = set.into_stream().timeout(Duration::ZERO);
        while let Some(Ok(result)) = over.next().await {
            log.add(result.expect("nobody is told").to_string());
        }
    });
    assert_eq!(log.take(), ["begun", "1", "goes on"]);
    assert_eq!(reports.take(), [""; 0]);
}

/// RUN-2: who asks and does not wait is told; so is who is shielded.
#[test]
fn run_2_who_asks_is_told() {
    let (log, reports) = waits(async |mut set, log| {
        cancellable(pending::<()>()).await.unwrap_err();
        assert_eq!(set.try_join_next().unwrap().unwrap(), 1);
        assert!(set.try_join_next().unwrap().unwrap_err().is_shutdown());
        set.spawn(pending());
        set.spawn(says_good_bye());
        let waited = shielded(set.wait(Until::All)).await;
        let ended = waited.done.iter().filter(|(_, result)| result.is_err()).count();
        log.add(format!("{ended} of {}", waited.done.len()));
    });
    assert_eq!(log.take(), ["begun", "1 of 2", "goes on"]);
    assert_eq!(reports.take(), [""; 0]);
}

/// RUN-12: a set may outlive its runtime, and has what its tasks came to.
#[test]
fn run_12_a_set_outlives_its_runtime() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            let mut set = TaskSet::new();
            for what in ["over", "asked", "silent"] {
                let log = log.clone();
                set.spawn(async move {
                    log.add(what);
                    match what {
                        "over" => 2,
                        "asked" => says_good_bye().await,
                        _ => pending().await,
                    }
                });
            }
            for what in ["over", "asked", "silent"] {
                log.until(what).await;
            }
            set
        };
        let mut set = builder(workers, &reports).run(main).unwrap();
        assert_eq!(set.len(), 3);
        let mut came_to = Vec::new();
        while let Some(result) = exec::block_on(set.join_next()) {
            came_to.push(result.map_err(|error| error.is_shutdown()));
        }
        came_to.sort_unstable();
        assert_eq!(came_to, [Ok(1), Ok(2), Err(true)]);
        drop(set);
        assert_eq!(reports.take(), [""; 0]);
    }
}

/// RUN-12: a thread that waits for the tasks of a set hears of their ends, with a grace and without.
#[test]
fn run_12_a_thread_that_waits_for_a_set_is_told() {
    let _watchdog = watchdog(PATIENCE);
    for grace in [Duration::ZERO, HOUR] {
        let reports = Log::default();
        let runtime = builder(2, &reports).build().unwrap();
        let (begun, has_begun) = mpsc::channel();
        let mut all = runtime.block_on(async {
            as_completed((0..4).map(|_| {
                let begun = begun.clone();
                async move {
                    begun.send(()).unwrap();
                    sleep(HOUR).await;
                }
            }))
        });
        has_begun.iter().take(4).for_each(drop);
        let waits = thread::spawn(move || {
            let mut ended = 0;
            while let Some(result) = exec::block_on(all.next()) {
                assert!(result.unwrap_err().is_shutdown());
                ended += 1;
            }
            ended
        });
        runtime.shutdown_timeout(grace);
        assert_eq!(waits.join().unwrap(), 4);
    }
}

/// RUN-12, SET-6: a set in a task that is dropped at the end asks its tasks; each cleans up, and is waited for.
#[test]
fn run_12_a_set_that_is_dropped_with_its_task() {
    let _watchdog = watchdog(PATIENCE);
    for workers in [1, 2] {
        let (log, reports) = (Log::default(), Log::default());
        let main = async {
            let says = log.clone();
            drop(filch::spawn(async move {
                let mut set = TaskSet::new();
                for _ in 0..4 {
                    let log = says.clone();
                    set.spawn(async move {
                        let work = async {
                            log.add("begun");
                            pending::<()>().await;
                        };
                        let clean_up = async || sleep(Duration::from_millis(1)).await;
                        cancellable(work).on_cancel(clean_up).await.unwrap_err();
                        log.add("cleaned up");
                    });
                }
                set.join_next().await.unwrap().expect("nobody is told");
            }));
            while log.count("begun") < 4 {
                sleep(Duration::from_millis(1)).await;
            }
        };
        builder(workers, &reports).run(main).unwrap();
        assert_eq!(log.count("cleaned up"), 4);
        assert_eq!(reports.take(), [""; 0]);
    }
}
