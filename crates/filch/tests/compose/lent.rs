//! What is lent (`&mut`) to a timeout or a race that ends it, and is asked again.

use crate::kit::{Log, run};
use filch::task::JoinError;
use filch::time::{Duration, sleep, timeout};
use filch::{Cancelled, cancellable, gather, group, race, shielded, try_gather};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::any::Any;
use std::future::{Future, pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::task::Poll;

const MS: Duration = Duration::from_millis(1);
/// Longer than anything here takes; who waits for so long hangs.
const LONG: Duration = Duration::from_secs(20);

/// What it comes to, or its panic, when it is asked again.
async fn again<F: Future>(future: Pin<&mut F>) -> Result<F::Output, Box<dyn Any + Send>> {
    let waited = AssertUnwindSafe(timeout(LONG, future)).catch_unwind().await;
    waited.map(|output| output.expect("it hangs"))
}

async fn ended<F: Future>(mut future: Pin<&mut F>, by_race: bool) {
    if by_race {
        let late = async {
            sleep(MS).await;
            false
        };
        let lent = async {
            future.as_mut().await;
            true
        };
        assert!(!race((lent, late)).await);
    } else {
        assert!(timeout(MS, future.as_mut()).await.is_err());
    }
}

fn text(payload: &(dyn Any + Send)) -> &str {
    payload.downcast_ref::<&str>().unwrap()
}

/// GATHER-9. There are no outputs to give, and nothing that would come of waiting.
#[test]
fn gather_9_polled_when_it_was_ended_it_panics() {
    run(async {
        for by_race in [false, true] {
            let mut both = pin!(gather((pending::<()>(), pending::<()>())));
            ended(both.as_mut(), by_race).await;
            let payload = again(both.as_mut()).await.unwrap_err();
            assert!(text(&*payload).contains("was lent"), "{}", text(&*payload));
            let mut both = pin!(try_gather([pending::<Result<(), ()>>(), pending()]));
            ended(both.as_mut(), by_race).await;
            let payload = again(both.as_mut()).await.unwrap_err();
            assert!(text(&*payload).contains("was lent"), "{}", text(&*payload));
        }
    });
}

/// GATHER-9. Results are there.
#[test]
fn gather_9_its_results_are_given_all_the_same() {
    run(async {
        for by_race in [false, true] {
            let ends = async {
                shielded(sleep(3 * MS)).await;
                1
            };
            let mut both = pin!(gather((ends, pending::<()>())).results());
            ended(both.as_mut(), by_race).await;
            let (one, none) = again(both.as_mut()).await.unwrap();
            assert_eq!(one.unwrap(), 1);
            assert!(none.unwrap_err().is_cancelled());
        }
    });
}

/// GROUP-17. As one that has cancelled itself before it had an output.
#[test]
fn group_17_polled_when_it_was_ended_it_has_no_output() {
    run(async {
        for by_race in [false, true] {
            let forever = group(async |g| {
                g.spawn_ok(pending::<()>());
                pending::<()>().await;
                Ok(())
            });
            let mut forever = pin!(forever);
            ended(forever.as_mut(), by_race).await;
            assert!(again(forever.as_mut()).await.unwrap().unwrap_err().is_cancelled());
            // Now it was ready.
            let payload = again(forever.as_mut()).await.unwrap_err();
            assert!(text(&*payload).contains("after it had been ready"));
            let forever = group(async |_| {
                pending::<()>().await;
                Ok(())
            });
            let mut forever = pin!(forever.or_none());
            ended(forever.as_mut(), by_race).await;
            assert_eq!(again(forever.as_mut()).await.unwrap().unwrap(), None);
        }
    });
}

/// GROUP-17. One that was ready is not silent either.
#[test]
fn group_17_polled_after_it_was_ready_it_panics() {
    run(async {
        let mut done = pin!(group(async |_| Ok(1)));
        assert_eq!(done.as_mut().await.unwrap(), 1);
        assert!(again(done.as_mut()).await.is_err());
    });
}

/// It is lent to a timeout that is dropped while it is held up by what is ending in it.
async fn ended_by_one_that_is_dropped<F: Future>(mut future: Pin<&mut F>, ends: &Log) {
    {
        let mut timeout = pin!(timeout(MS, future.as_mut()));
        assert!(poll_fn(|cx| Poll::Ready(timeout.as_mut().poll(cx).is_pending())).await);
        // It is over without having been polled.
        sleep(2 * MS).await;
        assert!(poll_fn(|cx| Poll::Ready(timeout.as_mut().poll(cx).is_pending())).await);
    }
    ends.add("dropped");
}

/// Is cancelled, and ends when what was around it is gone.
async fn ends_late<T>(log: Log) -> T {
    let clean_up = async || log.until("dropped").await;
    let _cut = cancellable(pending::<()>()).on_cancel(clean_up).await;
    pending().await
}

fn asked_again<F: Future>(make: impl Fn(Log) -> F, check: impl Fn(Result<F::Output, String>)) {
    run(async {
        let log = Log::default();
        let mut lent = pin!(make(log.clone()));
        ended_by_one_that_is_dropped(lent.as_mut(), &log).await;
        check(again(lent.as_mut()).await.map_err(|payload| text(&*payload).to_owned()));
    });
}

/// GATHER-9. Also if that is gone before the children are: nobody else is left to look again.
#[test]
fn gather_9_left_while_it_ends() {
    fn panics<T>(polled: Result<T, String>) {
        assert!(polled.err().unwrap().contains("was lent"));
    }
    type One = BoxFuture<'static, Result<(), ()>>;
    let one = |log| -> One { ends_late(log).boxed() };
    let other = || -> One { pending().boxed() };
    asked_again(|log| gather((one(log), other())), panics);
    asked_again(|log| gather([one(log), other()]), panics);
    asked_again(|log| gather(vec![one(log), other()]), panics);
    asked_again(|log| try_gather((one(log), other())), panics);
    asked_again(|log| try_gather([one(log), other()]), panics);
    asked_again(|log| try_gather(vec![one(log), other()]), panics);
    fn is_cancelled<T>(result: Result<T, JoinError>) {
        assert!(result.err().unwrap().is_cancelled());
    }
    asked_again(
        |log| gather((one(log), other())).results(),
        |both| {
            let (one, other) = both.unwrap();
            is_cancelled(one);
            is_cancelled(other);
        },
    );
    asked_again(
        |log| gather([one(log), other()]).results(),
        |all| {
            all.unwrap().into_iter().for_each(is_cancelled);
        },
    );
    asked_again(
        |log| gather(vec![one(log), other()]).results(),
        |all| {
            all.unwrap().into_iter().for_each(is_cancelled);
        },
    );
}

/// GROUP-17, in the same way.
#[test]
fn group_17_left_while_it_ends() {
    let make = |log| {
        group(async |g| {
            g.spawn_ok(ends_late::<()>(log));
            pending::<()>().await;
            Ok(())
        })
    };
    asked_again(make, |polled| assert!(polled.unwrap().unwrap_err().is_cancelled()));
    asked_again(|log| make(log).or_none(), |polled| assert_eq!(polled.unwrap().unwrap(), None));
}

/// CANCEL-1. A boundary says what it has said.
#[test]
fn cancel_1_a_boundary_gives_its_error_again() {
    run(async {
        for by_race in [false, true] {
            let mut cut = pin!(cancellable(pending::<()>()).on_cancel(async || sleep(MS).await));
            ended(cut.as_mut(), by_race).await;
            for _ in 0..3 {
                assert_eq!(
                    again(cut.as_mut()).await.unwrap().map_err(|e: Cancelled| e.to_string()),
                    Err("cancelled".into())
                );
            }
        }
    });
}
