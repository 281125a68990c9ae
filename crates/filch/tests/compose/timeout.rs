//! Timeouts.

use crate::kit::{HOUR, Log, run};
use filch::task::yield_now;
use filch::time::{
    Deadline, Duration, Elapsed, Instant, sleep, timeout, timeout_at, timeout_scope,
    timeout_scope_at,
};
use filch::{Cancelled, cancellable, is_cancelled, shielded};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::future::{Future, pending, poll_fn, ready};
use std::sync::{Arc, Mutex};
use std::task::Poll;

const MS: Duration = Duration::from_millis(1);

/// TIMEOUT-1.
#[test]
fn timeout_1_completion_wins_and_all_are_asked_once() {
    run(async {
        assert_eq!(timeout(Duration::ZERO, ready(7)).await, Ok(7));
        let past = Instant::now() - MS;
        assert_eq!(timeout_at(past, ready(7)).await, Ok(7));
        assert_eq!(timeout_scope_at(past, |_| ready(7)).await, Ok(7));
        let mut polls = 0;
        let never = poll_fn(|_| {
            polls += 1;
            Poll::<()>::Pending
        });
        assert!(timeout(Duration::ZERO, never).await.is_err());
        assert_eq!(polls, 1);
        // Over and ready at the same time: ready.
        let (tell, told) = filch::sync::promise();
        let mut late = Box::pin(timeout(MS, told));
        assert!(poll_once(&mut late).await.is_pending());
        sleep(5 * MS).await;
        tell.set("there").unwrap();
        assert_eq!(late.await, Ok(Ok("there")));
    });
}

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut *future).poll(cx))).await
}

/// TIMEOUT-2.
#[test]
fn timeout_2_what_is_inside_ends_innermost_first_and_then_it_is_elapsed() {
    let log = Log::default();
    run(async {
        let inner = async {
            let work = async {
                let _gone = log.on_drop("work dropped", "?");
                pending::<()>().await;
            };
            let clean_up = async || {
                assert!(!is_cancelled(), "shielded");
                sleep(2 * MS).await;
                log.add("cleaned up");
            };
            cancellable(work).on_cancel(clean_up).await.unwrap_err();
            assert!(is_cancelled(), "it is in force");
            log.add("behind the inner one");
            pending::<()>().await;
        };
        let outer = async {
            let _gone = log.on_drop("outer dropped", "?");
            cancellable(inner).await.unwrap_err();
            log.add("behind the outer one");
            shielded(async {
                assert!(!is_cancelled());
                sleep(2 * MS).await;
                log.add("shielded");
            })
            .await;
            pending::<()>().await;
        };
        timeout(MS, outer).await.unwrap_err();
        log.add("elapsed");
        assert!(!is_cancelled(), "that was in there");
    });
    let all = [
        "work dropped",
        "cleaned up",
        "behind the inner one",
        "behind the outer one",
        "shielded",
        "outer dropped",
        "elapsed",
    ];
    assert_eq!(log.all(), all);
}

/// TIMEOUT-2: the same of a task, on several workers, and with a combinator that polls only what was woken.
#[test]
fn timeout_2_reaches_those_whom_only_their_own_waker_wakes() {
    let cut = Arc::new(Mutex::new(0));
    run(async {
        for _ in 0..50 {
            let cut = cut.clone();
            let task = filch::spawn(async move {
                let mut all = FuturesUnordered::new();
                for _ in 0..40 {
                    all.push(async {
                        cancellable(pending::<()>()).on_cancel(yield_now).await.unwrap_err();
                        *cut.lock().unwrap() += 1;
                        // Nobody comes to an end by that.
                        pending::<()>().await;
                    });
                }
                timeout(MS, all.next()).await
            });
            assert!(task.await.unwrap().is_err());
        }
    });
    assert_eq!(*cut.lock().unwrap(), 50 * 40);
}

/// TIMEOUT-2: with neither boundary nor shield inside, what waits is dropped at once, and sees that it is over.
#[test]
fn timeout_2_nobody_waits_for_what_has_nothing_to_say() {
    let log = Log::default();
    run(async {
        let work = async {
            let _gone = log.on_drop("dropped", "dropped, not cancelled");
            sleep(HOUR).await;
        };
        let mut bounded = Box::pin(timeout(MS, work));
        assert_eq!(bounded.as_mut().await, Err::<(), Elapsed>(elapsed().await));
        log.add("elapsed");
        assert!(bounded.get_ref().is_none());
    });
    assert_eq!(log.all(), ["dropped", "elapsed"]);
}

async fn elapsed() -> Elapsed {
    timeout(Duration::ZERO, pending::<()>()).await.unwrap_err()
}

/// TIMEOUT-3.
#[test]
fn timeout_3_an_end_in_spite_of_it_is_an_end_unless_something_was_cut() {
    run(async {
        // Held up by a shield, and then at its end.
        let late = async {
            shielded(sleep(5 * MS)).await;
            "its output"
        };
        assert_eq!(timeout(MS, late).await, Ok("its output"));
        // What a boundary cut for the time gives is not what was asked for.
        let error = timeout(MS, cancellable(pending::<()>())).await;
        assert_eq!(error, Err(elapsed().await));
        let swallowed = async {
            cancellable(pending::<()>()).await.unwrap_err();
            "something else"
        };
        timeout(MS, swallowed).await.unwrap_err();
        // In time, it was not for the time.
        let own = timeout(HOUR, async { Err::<(), Cancelled>(cancelled().await) });
        assert!(own.await.unwrap().is_err());
        // Completion in the boundary, though the time is over.
        let (tell, told) = filch::sync::promise();
        let mut tell = Some(tell);
        let work = async {
            let both = async {
                shielded(sleep(5 * MS)).await;
                tell.take().unwrap().set("told").unwrap();
                told.await.unwrap()
            };
            cancellable(both).await
        };
        assert_eq!(timeout(MS, work).await, Ok(Ok("told")));
    });
}

async fn cancelled() -> Cancelled {
    let task = filch::spawn(cancellable(pending::<()>()));
    task.cancel();
    task.await.unwrap().unwrap_err()
}

/// TIMEOUT-4.
#[test]
fn timeout_4_a_cancel_from_outside_passes_through() {
    let log = Log::default();
    run(async {
        for over in [false, true] {
            let kept = Arc::new(Mutex::new(None));
            let task = filch::spawn({
                let (log, kept) = (log.clone(), kept.clone());
                async move {
                    let inner = async |deadline| {
                        *kept.lock().unwrap() = Some(deadline);
                        log.add("begun");
                        let clean_up = async || {
                            sleep(6 * MS).await;
                            log.add("cleaned up");
                        };
                        cancellable(pending::<()>()).on_cancel(clean_up).await.unwrap_err();
                        // The second time, its own time is over too by now: it is cancelled from outside all the same.
                        pending::<()>().await;
                    };
                    let cut = cancellable(timeout_scope(HOUR, inner)).await;
                    assert!(cut.is_err(), "no `Elapsed`, the boundary is cut");
                    log.add("behind");
                }
            });
            while kept.lock().unwrap().is_none() {
                sleep(MS).await;
            }
            task.cancel();
            let deadline: Deadline = kept.lock().unwrap().take().unwrap();
            if over {
                deadline.reschedule(Instant::now());
            }
            task.await.unwrap();
        }
        // Where there is nothing around but the task.
        let kept = Arc::new(Mutex::new(None));
        let task = filch::spawn({
            let (log, kept) = (log.clone(), kept.clone());
            async move {
                let bounded = timeout_scope(HOUR, async |deadline| {
                    *kept.lock().unwrap() = Some(deadline);
                    log.add("held");
                    shielded(log.until("go")).await;
                    pending::<()>().await;
                });
                let _elapsed = bounded.await;
                log.add("never");
            }
        });
        log.until("held").await;
        task.cancel();
        let deadline: Deadline = kept.lock().unwrap().take().unwrap();
        assert!(deadline.reschedule(Instant::now()));
        sleep(3 * MS).await;
        log.add("go");
        assert!(task.await.unwrap_err().is_cancelled());
    });
    let once = ["begun", "cleaned up", "behind"];
    assert_eq!(log.all(), [&once[..], &once[..], &["held", "go"]].concat());
}

/// TIMEOUT-5.
#[test]
fn timeout_5_of_two_that_end_at_once_the_outermost_says_so() {
    run(async {
        let when = Instant::now() + 2 * MS;
        let mut seen = None;
        let outer = timeout_scope_at(when, |outer| {
            let seen = &mut seen;
            async move {
                let inner = timeout_scope_at(when, |inner| {
                    *seen = Some((outer, inner));
                    pending::<()>()
                });
                inner.await
            }
        });
        outer.await.unwrap_err();
        let (outer, inner) = seen.unwrap();
        assert!(outer.expired() && inner.expired());
        assert_eq!((outer.when(), inner.when()), (Some(when), Some(when)));
    });
}

/// TIMEOUT-5: through a boundary in between, which is cut; and where both count the same time from their begin.
#[test]
fn timeout_5_the_order_is_that_of_the_deadlines() {
    run(async {
        let when = Instant::now() + 2 * MS;
        let mut between = None;
        let work = async {
            between = Some(cancellable(timeout_at(when, pending::<()>())).await);
            pending::<()>().await;
        };
        timeout_at(when, work).await.unwrap_err();
        assert!(between.unwrap().is_err(), "the inner one says nothing");
        // The same time for both.
        for wait in [Duration::ZERO, 2 * MS] {
            let both = timeout(wait, async { timeout(wait, pending::<()>()).await });
            both.await.unwrap_err();
        }
        // The inner one is earlier, or the only one; the outer one goes on.
        let inner = async {
            let inner = timeout(MS, pending::<()>()).await;
            sleep(MS).await;
            inner
        };
        assert!(timeout(HOUR, inner).await.unwrap().is_err());
        // Behind a shield time is over for whom it is over.
        let inner = async {
            shielded(async {
                sleep(5 * MS).await;
                timeout(MS, pending::<()>()).await.unwrap_err();
            })
            .await;
            "shielded"
        };
        assert_eq!(timeout(MS, inner).await, Ok("shielded"));
    });
}

/// TIMEOUT-6.
#[test]
fn timeout_6_operations_are_dropped_and_lose_nothing() {
    use std::io::Write;
    run(async {
        let (ours, mut theirs) = crate::support::pair();
        let from = &ours;
        let mut byte = [0; 1];
        timeout(MS, from.read(&mut byte)).await.unwrap_err();
        theirs.write_all(b"x").unwrap();
        assert_eq!(from.read(&mut byte).await.unwrap(), 1, "it was kept (C1)");
        assert_eq!(&byte, b"x");
        // In a boundary they are waited for: what they did is its output.
        let read = timeout(MS, cancellable(from.read(&mut byte))).await;
        assert!(read.is_err(), "nothing has come");
        // A boundary around it: looked through.
        let task = filch::spawn(async move {
            let from = &ours;
            let mut byte = [0; 1];
            cancellable(timeout(HOUR, from.read(&mut byte))).await.is_err()
        });
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap());
    });
}

/// TIMEOUT-7.
#[test]
fn timeout_7_the_deadline_can_be_moved_while_it_runs() {
    run(async {
        // Later, again and again, and away.
        let moved = timeout_scope(3600 * 1000 * MS, async |deadline| {
            assert!(deadline.when().is_some());
            assert!(deadline.reschedule(Instant::now() + HOUR));
            yield_now().await;
            assert!(deadline.reschedule(None));
            assert_eq!(deadline.when(), None);
            sleep(3 * MS).await;
            assert!(!deadline.expired());
            deadline
        });
        let deadline = moved.await.unwrap();
        assert!(!deadline.reschedule(None), "it is over");
        assert!(!deadline.expired());
        // Into the past: the code goes on to its next wait.
        let mut went_on = false;
        let past = timeout_scope_at(None, async |deadline| {
            assert!(deadline.reschedule(Instant::now() - MS));
            went_on = true;
            assert!(!deadline.expired(), "nobody has looked");
            pending::<()>().await;
        });
        past.await.unwrap_err();
        assert!(went_on);
        // By another task, while nothing happens inside.
        let (give, given) = filch::sync::promise();
        let other = filch::spawn(async move {
            let deadline: filch::time::Deadline = given.await.unwrap();
            deadline.reschedule(Instant::now());
            deadline
        });
        let mut give = Some(give);
        let waits = timeout_scope(HOUR, async |deadline| {
            assert!(give.take().unwrap().set(deadline).is_ok());
            pending::<()>().await;
        });
        waits.await.unwrap_err();
        let deadline = other.await.unwrap();
        assert!(deadline.expired());
        assert!(!deadline.reschedule(None), "too late");
    });
}

/// TIMEOUT-7: what is rescheduled while it cleans up is over.
#[test]
fn timeout_7_once_over_it_is_over() {
    run(async {
        let (mut expired, mut moved) = (None, None);
        let scope = timeout_scope(MS, async |deadline| {
            let clean_up = async || {
                expired = Some(deadline.expired());
                moved = Some(deadline.reschedule(Instant::now() + HOUR));
                yield_now().await;
            };
            cancellable(pending::<()>()).on_cancel(clean_up).await
        });
        assert_eq!(scope.await, Err(elapsed().await));
        assert_eq!((expired, moved), (Some(true), Some(false)));
    });
}

/// TIMEOUT-8.
#[test]
fn timeout_8_dropping_it_is_a_drop() {
    let log = Log::default();
    run(async {
        let work = async {
            let _gone = log.on_drop("cancelled", "dropped");
            let clean_up = || async { unreachable!("nobody cancels") };
            cancellable(pending::<()>()).on_cancel(clean_up).await
        };
        let mut bounded = Box::pin(timeout(HOUR, work));
        assert!(poll_once(&mut bounded).await.is_pending());
        drop(bounded);
    });
    assert_eq!(log.all(), ["dropped"]);
}
