//! `race`.

use crate::kit::{HOUR, Log, run};
use filch::task::yield_now;
use filch::time::{Duration, sleep, timeout};
use filch::{cancellable, is_cancelled, race, race_all, shielded};
use futures_util::FutureExt;
use std::future::{pending, ready};

const MS: Duration = Duration::from_millis(1);

/// RACE-1.
#[test]
fn race_1_the_first_that_is_ready_wins() {
    run(async {
        let after = |wait: u32| async move {
            sleep(wait * 3600 * MS).await;
            wait
        };
        assert_eq!(race((after(1_000), after(0), after(1_000))).await, 0);
        assert_eq!(race([after(1_000), after(0)]).await, 0);
        assert_eq!(race_all((0..100).map(after)).await, 0);
        // In the same poll, the first in order; and the later ones are not asked any more.
        let never = std::future::poll_fn(|_| -> std::task::Poll<i32> { unreachable!("not asked") });
        assert_eq!(race((ready(1), never)).await, 1);
        assert_eq!(race((ready(1),)).await, 1);
        let borrowed = String::from("mine");
        assert_eq!(race((async { &*borrowed }, pending())).await, "mine");
    });
}

/// RACE-1.
#[test]
#[should_panic(expected = "a race of nobody")]
fn race_1_somebody_has_to_run() {
    let nobody: Vec<std::future::Ready<()>> = Vec::new();
    drop(race(nobody));
}

/// RACE-2.
#[test]
fn race_2_losers_are_cancelled_and_waited_for() {
    let log = Log::default();
    run(async {
        let loser = async {
            let work = async {
                let _gone = log.on_drop("work dropped", "?");
                pending::<()>().await;
            };
            let clean_up = async || {
                sleep(2 * MS).await;
                log.add("cleaned up");
            };
            cancellable(work).on_cancel(clean_up).await.unwrap_err();
            assert!(is_cancelled());
            log.add("behind");
            pending().await
        };
        let plain = async {
            let _gone = log.on_drop("plain dropped", "?");
            sleep(HOUR).await;
            "never"
        };
        let shield = async {
            shielded(async {
                sleep(5 * MS).await;
                log.add("shielded");
            })
            .await;
            "too late"
        };
        let winner = async {
            yield_now().await;
            assert!(!is_cancelled());
            "winner"
        };
        assert_eq!(race((loser, plain, shield, winner)).await, "winner");
        log.add("given");
        assert!(!is_cancelled());
    });
    let all = ["work dropped", "plain dropped", "cleaned up", "behind", "shielded", "given"];
    assert_eq!(log.all(), all);
}

/// RACE-3.
#[test]
fn race_3_a_cancel_passes_through_to_all_arms() {
    let log = Log::default();
    run(async {
        for row in [false, true] {
            let task = filch::spawn({
                let log = log.clone();
                async move {
                    let arm = async |name: &'static str| {
                        log.add("begun");
                        let clean_up = async || {
                            yield_now().await;
                            log.add(name);
                        };
                        cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
                        // It ends nobody's race.
                        pending::<()>().await;
                    };
                    let cut = if row {
                        cancellable(race([arm("one").boxed(), arm("two").boxed()])).await
                    } else {
                        cancellable(race((arm("one"), arm("two")))).await
                    };
                    assert!(cut.is_err());
                    log.add("behind");
                }
            });
            log.until("begun").await;
            yield_now().await;
            task.cancel();
            task.await.unwrap();
        }
    });
    let once = ["begun", "begun", "one", "two", "behind"];
    assert_eq!(log.all(), [once, once].concat());
}

/// RACE-4: nothing cuts it off while it waits for losers with the output in hand.
#[test]
fn race_4_the_output_is_not_lost() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                let loser = async {
                    let clean_up = async || {
                        log.add("cleans up");
                        log.until("cancelled").await;
                    };
                    cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
                    "loser"
                };
                assert_eq!(cancellable(race((loser, ready("winner")))).await, Ok("winner"));
            }
        });
        log.until("cleans up").await;
        task.cancel();
        log.add("cancelled");
        task.await.unwrap();
        // As a timeout by hand: the same as a timeout.
        let over = async {
            sleep(MS).await;
            None
        };
        assert_eq!(race((async { pending::<Option<()>>().await }, over)).await, None);
        // In a timeout, and a timeout in it.
        let arm = async { timeout(MS, pending::<()>()).await.is_err() };
        assert_eq!(timeout(HOUR, race((arm, pending()))).await, Ok(true));
        timeout(MS, race((pending::<()>(), pending()))).await.unwrap_err();
    });
}
