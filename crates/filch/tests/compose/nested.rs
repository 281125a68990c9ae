//! Timeouts and races in one another and in what else ends, and what outlives them.

use crate::kit::{HOUR, Log, run};
use filch::task::yield_now;
use filch::time::{Deadline, Duration, Instant, sleep, timeout, timeout_at, timeout_scope};
use filch::{cancellable, is_cancelled, local_scope, race, shielded};
use filch_sched::scope::Witness;
use futures_util::future::join;
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::future::{Future, pending, poll_fn, ready};
use std::io::Write;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::task::Poll;

const MS: Duration = Duration::from_millis(1);
/// For what is to be woken soon, and else would wait for ever.
const LONG: Duration = Duration::from_secs(10);

async fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *future).poll(cx))).await
}

/// The time of what this is shielded in is over, and that was found in an earlier poll.
async fn until_over(deadline: &Deadline) {
    while !deadline.expired() {
        sleep(MS).await;
    }
    yield_now().await;
}

/// Ready when the code here is asked to end; looks only when it is polled for another reason.
async fn until_cancelled() {
    poll_fn(|_| if is_cancelled() { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// TIMEOUT-3: what was cut, and dealt with, before the time was over is nobody's affair.
#[test]
fn timeout_3_a_cut_of_former_times_loses_nothing() {
    run(async {
        let work = async {
            timeout(MS, cancellable(pending::<()>())).await.unwrap_err();
            let task = filch::spawn(cancellable(pending::<()>()));
            task.cancel();
            task.await.unwrap().unwrap_err();
            let loser = async { cancellable(pending::<&str>()).await.unwrap_or("loser") };
            race((loser, async {
                yield_now().await;
                "winner"
            }))
            .await;
            shielded(sleep(80 * MS)).await;
            "its output"
        };
        assert_eq!(timeout(40 * MS, work).await, Ok("its output"));
    });
}

/// TIMEOUT-3, GROUP-3: with a sibling that was cut before a group gives its errors, those are heard.
#[test]
fn timeout_3_errors_are_heard_whoever_was_cut_before() {
    run(async {
        let failing = filch::group(async |g| {
            g.spawn(async {
                cancellable(pending::<()>()).await.unwrap_err();
                Err::<(), _>("failed")
            });
            pending().await
        });
        let both = timeout(MS, join(cancellable(pending::<()>()), failing));
        let (cut, failed): (_, Result<(), filch::GroupError>) = both.await.unwrap();
        cut.unwrap_err();
        assert_eq!(failed.unwrap_err().to_string().matches("failed").count(), 1);
    });
}

/// RACE-4: nor does the end of a timeout around it, though the loser is cut only then.
#[test]
fn race_4_the_output_is_not_lost_to_a_timeout() {
    run(async {
        for held in [false, true] {
            let bounded = timeout_scope(HOUR, async |deadline| {
                let until_over = async || until_over(&deadline).await;
                let loser = async {
                    // Cut at once and cleaning up for long, or shielded for long and then cut.
                    let work = async {
                        if held {
                            shielded(until_over()).await;
                        }
                        pending::<&str>().await
                    };
                    cancellable(work).on_cancel(&until_over).await.unwrap_err();
                    "loser"
                };
                let winner = async {
                    assert!(deadline.reschedule(Instant::now()));
                    "winner"
                };
                race((loser, winner)).await
            });
            assert_eq!(bounded.await, Ok("winner"), "{held}");
        }
    });
}

/// TIMEOUT-5: one that has begun to end goes on with it, whatever ends around it meanwhile.
#[test]
fn timeout_5_what_has_begun_to_end_comes_to_its_end() {
    let log = Log::default();
    run(async {
        let around = timeout_scope(HOUR, async |outer| {
            let clean_up = async || {
                assert!(outer.reschedule(Instant::now()));
                until_over(&outer).await;
            };
            let inner = timeout(MS, cancellable(pending::<()>()).on_cancel(clean_up)).await;
            log.add(if inner.is_err() { "elapsed" } else { "an output" });
            assert!(is_cancelled());
            pending::<()>().await;
        });
        around.await.unwrap_err();
        let task = filch::spawn({
            let log = log.clone();
            async move {
                let clean_up = async || {
                    log.add("cleans up");
                    log.until("cancelled").await;
                    yield_now().await;
                };
                let inner = timeout(MS, cancellable(pending::<()>()).on_cancel(clean_up)).await;
                log.add(if inner.is_err() { "elapsed" } else { "an output" });
                pending::<()>().await;
            }
        });
        log.until("cleans up").await;
        task.cancel();
        log.add("cancelled");
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(log.all(), ["elapsed", "cleans up", "cancelled", "elapsed"]);
}

/// TIMEOUT-5: a boundary that was begun elsewhere is not reached by the end of a timeout that it is polled in; so what
/// ends in it ends by itself.
#[test]
fn timeout_5_what_was_begun_elsewhere_ends_by_itself() {
    run(async {
        let when = Instant::now() + 5 * MS;
        let mut inner = FuturesUnordered::new();
        inner.push(timeout_at(when, pending::<()>()));
        let mut lent = pin!(cancellable(inner.next()));
        assert!(poll_once(&mut lent).await.is_pending());
        let ended = match timeout_at(when, &mut lent).await {
            Ok(ended) => ended,
            Err(_) => timeout(LONG, &mut lent).await.expect("it was woken"),
        };
        ended.unwrap().unwrap().unwrap_err();
    });
}

/// TIMEOUT-5: also a timeout that is kept outside, and was only polled in one that ends at the same time; with
/// something that holds that up, and without.
#[test]
fn timeout_5_what_is_kept_outside_ends_when_it_is_polled_there() {
    run(async {
        for held in [false, true] {
            let when = Instant::now() + 5 * MS;
            let mut all = FuturesUnordered::new();
            all.push(timeout_at(when, pending::<()>()));
            let holds = async {
                if held {
                    let clean_up = || async { sleep(2 * MS).await };
                    let _ = cancellable(pending::<()>()).on_cancel(clean_up).await;
                }
                pending::<()>().await;
            };
            timeout_at(when, join(holds, all.next())).await.unwrap_err();
            // Unless the time was over for the inner one a poll earlier.
            if let Some(ended) = timeout(LONG, all.next()).await.expect("it was woken") {
                ended.unwrap_err();
            }
        }
    });
}

/// TIMEOUT-7.
#[test]
fn timeout_7_what_has_come_to_its_end_is_over_though_it_is_kept() {
    run(async {
        let mut kept = pin!(timeout_scope(HOUR, ready));
        let deadline = kept.as_mut().await.unwrap();
        assert!(!deadline.reschedule(None));
        assert!(!deadline.expired());
        let mut kept = pin!(timeout_scope(HOUR, async |deadline| {
            yield_now().await;
            deadline
        }));
        let deadline = kept.as_mut().await.unwrap();
        assert!(!deadline.reschedule(None));
    });
}

/// CANCEL-10: an operation that did not begin because a timeout was over is woken when that is gone, with a boundary
/// around it or without.
#[test]
fn cancel_10_what_was_refused_in_a_timeout_is_told() {
    run(async {
        for bounded in [false, true] {
            let work = async {
                let (ours, mut theirs) = crate::support::pair();
                let mut byte = [0; 1];
                let mut reads = FuturesUnordered::new();
                let mut read = Some(async { ours.read(&mut byte).await.unwrap() });
                let late = timeout_scope(MS, async |deadline| {
                    shielded(until_over(&deadline)).await;
                    assert!(is_cancelled());
                    reads.push(read.take().unwrap());
                    reads.next().await
                });
                late.await.unwrap_err();
                theirs.write_all(b"x").unwrap();
                timeout(LONG, reads.next()).await.expect("it was woken")
            };
            let read = if bounded { cancellable(work).await.unwrap() } else { work.await };
            assert_eq!(read, Some(1), "{bounded}");
        }
    });
}

/// CANCEL-10: also if something inside has found that the timeout is over, which nobody has ended yet.
#[test]
fn cancel_10_what_was_refused_in_the_midst_of_a_poll_is_told() {
    run(async {
        for bounded in [false, true] {
            let work = async {
                let (ours, mut theirs) = crate::support::pair();
                let mut byte = [0; 1];
                let mut reads = FuturesUnordered::new();
                let mut read = Some(async { ours.read(&mut byte).await.unwrap() });
                // Once, but for the poll in which the time is over for the outer one and not yet for the inner.
                while reads.is_empty() {
                    let when = Instant::now() + 2 * MS;
                    let finds = timeout_at(when, pending::<()>());
                    let late = async {
                        until_cancelled().await;
                        reads.push(read.take().unwrap());
                        reads.next().await
                    };
                    timeout_at(when, join(finds, late)).await.unwrap_err();
                }
                theirs.write_all(b"x").unwrap();
                timeout(LONG, reads.next()).await.expect("it was woken")
            };
            let read = if bounded { cancellable(work).await.unwrap() } else { work.await };
            assert_eq!(read, Some(1), "{bounded}");
        }
    });
}

/// CANCEL-15: what began in a timeout, or an arm of a race, and outlives that is in the scope around it.
#[test]
fn cancel_15_a_cancel_reaches_what_outlives_its_timeout() {
    let log = Log::default();
    run(async {
        for way in 0..4 {
            let task = filch::spawn({
                let log = log.clone();
                async move {
                    let cleaned = log.clone();
                    let clean_up = move || async move {
                        yield_now().await;
                        cleaned.add("cleaned up");
                    };
                    let mut work = Box::pin(cancellable(pending::<()>()).on_cancel(clean_up));
                    match way {
                        0 => {
                            let mut bounded = timeout(HOUR, work);
                            assert!(poll_once(&mut bounded).await.is_pending());
                            work = bounded.into_inner().unwrap();
                        }
                        1 => assert!(poll_once(&mut timeout(HOUR, &mut work)).await.is_pending()),
                        2 => {
                            let mut arms = race((&mut work, pending()));
                            assert!(poll_once(&mut arms).await.is_pending());
                        }
                        _ => {
                            // The outer one goes first, and then the inner one.
                            let mut inner = pin!(timeout(HOUR, &mut work));
                            assert!(poll_once(&mut timeout(HOUR, &mut inner)).await.is_pending());
                        }
                    }
                    log.add("kept");
                    work.await.unwrap_err();
                    log.add("behind");
                }
            });
            log.until("kept").await;
            task.cancel();
            task.await.unwrap();
        }
    });
    let once = ["kept", "cleaned up", "behind"];
    assert_eq!(log.all(), [once; 4].concat());
}

/// CANCEL-2: however many there are, all that were told act, though a combinator takes turns.
#[test]
fn cancel_2_thousands_that_take_turns_are_heard() {
    const MANY: usize = 4_000;
    let waiting = Log::default();
    let acted = run(async {
        let task = filch::spawn({
            let waiting = waiting.clone();
            async move {
                let acted = AtomicUsize::new(0);
                let count = &acted;
                let one = || async move {
                    cancellable(pending::<()>()).await.unwrap_err();
                    count.fetch_add(1, Relaxed);
                    yield_now().await;
                    pending::<()>().await;
                };
                let mut all: FuturesUnordered<_> = (0..MANY).map(|_| one()).collect();
                let all = async {
                    assert!(poll_once(&mut all.next()).await.is_pending());
                    waiting.add("all");
                    all.next().await
                };
                cancellable(all).await.unwrap_err();
                acted.load(Relaxed)
            }
        });
        waiting.until("all").await;
        task.cancel();
        task.await.unwrap()
    });
    assert_eq!(acted, MANY);
}

/// CANCEL-3: a `local_scope` that is told has nothing to say of its own.
#[test]
fn cancel_3_nobody_waits_for_a_local_scope_without_children() {
    let polls = run(async {
        let begun = Log::default();
        let task = filch::spawn({
            let begun = begun.clone();
            async move {
                let mut polls = 0;
                let body = local_scope(async |_| {
                    begun.add("begun");
                    loop {
                        polls += usize::from(is_cancelled());
                        yield_now().await;
                    }
                });
                let cut: Result<(), _> = cancellable(body).await;
                cut.unwrap_err();
                polls
            }
        });
        begun.until("begun").await;
        task.cancel();
        task.await.unwrap()
    });
    assert!(polls <= 2, "cut at its first wait, and not after {polls} of them");
}

/// CPU-5: who asks for the code in a timeout that is over says what that would, on whichever thread.
#[test]
fn cpu_5_a_witness_of_a_timeout_that_is_over_says_so() {
    run(async {
        let mut asked = [false; 3];
        let ask = |witness: Witness| {
            let ask = move || witness.enter(is_cancelled);
            std::thread::spawn(ask).join().unwrap()
        };
        let late = timeout_scope(MS, async |deadline| {
            asked[0] = ask(Witness::here());
            shielded(async {
                until_over(&deadline).await;
                asked[1] = ask(Witness::here());
            })
            .await;
            asked[2] = ask(Witness::here());
            pending::<()>().await;
        });
        late.await.unwrap_err();
        assert_eq!(asked, [false, false, true]);
    });
}
