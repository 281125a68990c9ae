//! The harness finds what loses something when it is asked to end, and lets pass what does not.

use filch_testkit::{Cut, DropAtEveryPoll, Job, Point, Summary, Work, exec};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// A boundary as filch has them: what is asked to end is polled once more, and cut if it waits.
fn asked(work: Work, point: Point) -> Work {
    let scope = Arc::new(Mutex::new((false, Waker::noop().clone())));
    let asks = scope.clone();
    let mut work = Some(work);
    let boundary = poll_fn(move |cx| {
        let is_asked = {
            let mut scope = scope.lock().unwrap();
            scope.1 = cx.waker().clone();
            scope.0
        };
        let polled = work.as_mut().expect("it is there").as_mut().poll(cx);
        if polled.is_ready() || is_asked {
            work = None;
            return Poll::Ready(());
        }
        Poll::Pending
    });
    let ask = move || {
        let mut scope = asks.lock().unwrap();
        scope.0 = true;
        scope.1.wake_by_ref();
    };
    Box::pin(point.around(boundary, ask))
}

fn on_a_thread(job: Job) {
    std::thread::spawn(job).join().unwrap();
}

/// Items that are taken out, one after the other, and handed over. Who is careless waits with one in hand.
async fn takes(cut: Cut, is_careless: bool) {
    let (from, to) = (Arc::new(Mutex::new(vec![1, 2, 3])), Arc::new(Mutex::new(Vec::new())));
    let take = {
        let (from, to) = (from.clone(), to.clone());
        async move {
            for _ in 0..3 {
                exec::yield_now().await;
                let item = from.lock().unwrap().remove(0);
                if is_careless {
                    exec::yield_now().await;
                }
                to.lock().unwrap().push(item);
            }
        }
    };
    let is_done = cut.run(take).await.is_some();
    let (from, to) = (from.lock().unwrap(), to.lock().unwrap());
    assert_eq!([&to[..], &from[..]].concat(), [1, 2, 3], "an item is lost");
    assert_eq!(is_done, from.is_empty());
}

fn run(is_careless: bool, is_moved: bool) -> std::thread::Result<Summary> {
    let harness =
        if is_moved { DropAtEveryPoll::polled_by(on_a_thread) } else { DropAtEveryPoll::new() };
    let scenario = |cut| takes(cut, is_careless);
    catch_unwind(AssertUnwindSafe(|| exec::block_on(harness.asking(asked).run(scenario))))
}

#[test]
fn what_loses_nothing_passes() {
    for is_moved in [false, true] {
        let summary = run(false, is_moved).expect("nothing is lost");
        // Before and after each of its four polls, save that the last does not return `Pending`.
        assert_eq!((summary.dropped, summary.begun, summary.completed), (7, 6, 3));
    }
}

#[test]
fn what_waits_with_something_in_hand_is_found() {
    for is_moved in [false, true] {
        let panic = run(true, is_moved).expect_err("an item is lost");
        let text = panic.downcast::<String>().expect("a text");
        assert!(text.contains("an item is lost"), "{text}");
    }
}

/// Asked before the last poll, or woken for it when it is asked: the output that this has is not thrown away.
#[test]
fn completion_wins() {
    let outputs = Arc::new(Mutex::new(Vec::new()));
    let seen = &outputs;
    exec::block_on(DropAtEveryPoll::new().asking(asked).run(|cut| async move {
        let output = cut.run(async {
            exec::yield_now().await;
            "an output"
        });
        let output = output.await;
        seen.lock().unwrap().push(output.is_some());
    }));
    assert_eq!(*outputs.lock().unwrap(), [false, true, true, true, true, true]);
}

#[test]
#[should_panic(expected = "only dropped")]
fn who_stays_on_the_thread_is_not_asked() {
    exec::block_on(DropAtEveryPoll::new().asking(asked).run(|cut| async move {
        cut.run_here(async {}).await;
    }));
}
