//! Children that are parts of the task.

use crate::kit::{HOUR, Log, run};
use filch::task::yield_now;
use filch::time::{Duration, sleep};
use filch::{Cancelled, cancellable, is_cancelled, local_scope, local_set};
use filch_testkit::{Probe, exec};
use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// A gate that many wait at, each woken by itself.
#[derive(Default)]
struct Gates(Mutex<Vec<(bool, Option<Waker>, usize)>>);

impl Gates {
    fn new(many: usize) -> Self {
        Self(Mutex::new((0..many).map(|_| (false, None, 0)).collect()))
    }

    async fn pass(&self, which: usize) {
        poll_fn(|cx| {
            let mut gates = self.0.lock().unwrap();
            let (open, waker, polls) = &mut gates[which];
            *polls += 1;
            *waker = Some(cx.waker().clone());
            if *open { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn open(&self, which: usize) {
        let waker = {
            let mut gates = self.0.lock().unwrap();
            gates[which].0 = true;
            gates[which].1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn polls(&self) -> Vec<usize> {
        self.0.lock().unwrap().iter().map(|gate| gate.2).collect()
    }
}

/// LOCAL-1: it ends when the body and all children have ended, whichever is last.
#[test]
fn local_1_it_ends_with_the_last_and_yields_what_the_body_does() {
    let gates = Gates::new(3);
    let mut scope = Probe::pending(local_scope(async |s| {
        s.spawn(gates.pass(0));
        s.spawn(gates.pass(1));
        gates.pass(2).await;
        "the body's"
    }));
    gates.open(1);
    assert!(scope.poll().is_pending());
    gates.open(2);
    assert!(scope.poll().is_pending(), "the body is over, a child is not");
    gates.open(0);
    assert_eq!(scope.poll(), Poll::Ready("the body's"));

    // Without children it is its body.
    assert_eq!(Probe::new(local_scope(async |_| 5)).ready(), 5);
    // Nobody awaits this one.
    let mut ran = false;
    Probe::new(local_scope(async |s| drop(s.spawn(async { ran = true })))).ready();
    assert!(ran);
}

/// LOCAL-2: children borrow, also mutably, and run concurrently, one at a time.
#[test]
fn local_2_children_borrow_and_run_by_turns() {
    // In a task, so that the compiler has its say on what may go elsewhere with it.
    let sum = run(async {
        let task = filch::spawn(async {
            let mut numbers = vec![0_usize; 100];
            let inside = AtomicUsize::new(0);
            local_scope(async |s| {
                for (place, number) in numbers.iter_mut().enumerate() {
                    let inside = &inside;
                    s.spawn(async move {
                        for _ in 0..3 {
                            assert_eq!(inside.fetch_add(1, Ordering::Relaxed), 0, "two at a time");
                            *number += place;
                            inside.fetch_sub(1, Ordering::Relaxed);
                            yield_now().await;
                        }
                    });
                }
            })
            .await;
            numbers.iter().sum::<usize>()
        });
        task.await.unwrap()
    });
    assert_eq!(sum, 3 * 99 * 50);
}

/// LOCAL-2: two that wait for each other both come to their ends.
#[test]
fn local_2_children_and_body_are_concurrent() {
    let gates = Gates::new(3);
    let scope = local_scope(async |s| {
        let first = s.spawn(async {
            gates.open(0);
            gates.pass(1).await;
            gates.open(2);
            1
        });
        let second = s.spawn(async {
            gates.pass(0).await;
            gates.open(1);
            2
        });
        gates.pass(2).await;
        (first.await.unwrap(), second.await.unwrap())
    });
    assert_eq!(Probe::new(scope).ready(), (1, 2));
}

/// LOCAL-3: who was not woken is not polled.
#[test]
fn local_3_a_child_is_polled_when_it_was_woken() {
    let gates = Gates::new(1001);
    let mut scope = Probe::pending(local_scope(async |s| {
        for which in 0..1000 {
            s.spawn(gates.pass(which));
        }
        gates.pass(1000).await;
    }));
    while gates.polls()[999] == 0 {
        assert!(scope.poll().is_pending());
    }
    assert_eq!(gates.polls(), [1; 1001]);
    // A poll that nobody asked for.
    assert!(scope.poll().is_pending());
    assert_eq!(gates.polls(), [1; 1001]);
    let wakes = scope.wakes();
    gates.open(500);
    gates.open(700);
    assert_eq!(scope.wakes(), wakes + 1, "the task is woken once for both");
    assert!(scope.poll().is_pending());
    let mut expected = [1; 1001];
    (expected[500], expected[700]) = (2, 2);
    assert_eq!(gates.polls(), expected);
    (0..1001).for_each(|which| gates.open(which));
    while scope.poll().is_pending() {}
    // Over, they are polled no more.
    expected = [2; 1001];
    assert_eq!(gates.polls(), expected);
}

/// LOCAL-3: a wake by another thread is not lost.
#[test]
fn local_3_wakes_from_other_threads_come_through() {
    for _ in 0..200 {
        let gates = Gates::new(8);
        std::thread::scope(|threads| {
            for half in 0..2 {
                let gates = &gates;
                threads.spawn(move || (0..4).for_each(|which| gates.open(4 * half + which)));
            }
            exec::block_on(local_scope(async |s| {
                (0..8).for_each(|which| drop(s.spawn(gates.pass(which))));
            }));
        });
    }
}

/// LOCAL-3: wakers may outlive their member, and the scope.
#[test]
fn local_3_wakers_of_what_is_over_wake_nobody() {
    let (wakers, gates) = (Mutex::new(Vec::new()), Gates::new(1));
    let mut scope = Probe::pending(local_scope(async |s| {
        s.spawn(poll_fn(|cx| {
            wakers.lock().unwrap().push(cx.waker().clone());
            Poll::Ready(())
        }));
        s.spawn(poll_fn(|cx| -> Poll<()> {
            wakers.lock().unwrap().push(cx.waker().clone());
            Poll::Pending
        }));
        // In the place of the first.
        gates.pass(0).await;
        s.spawn(pending::<()>());
        pending::<()>().await;
    }));
    gates.open(0);
    assert!(scope.poll().is_pending());
    let [over, waits] = &wakers.lock().unwrap().clone()[..] else { panic!("two were polled") };
    let wakes = scope.wakes();
    over.wake_by_ref();
    assert_eq!(scope.wakes(), wakes);
    waits.wake_by_ref();
    waits.wake_by_ref();
    assert_eq!(scope.wakes(), wakes + 1);
    assert!(scope.poll().is_pending());
    drop(scope);
    waits.wake_by_ref();
    over.wake_by_ref();
    assert_eq!(wakers.lock().unwrap().len(), 3);
}

/// LOCAL-4: the handle yields the output, whenever it is asked; dropping it ends nothing.
#[test]
fn local_4_a_handle_yields_the_output() {
    run(async {
        let outside = local_scope(async |s| {
            let early = s.spawn(async { "early" });
            let late = s.spawn(async {
                sleep(Duration::from_millis(1)).await;
                "late"
            });
            while !early.is_finished() {
                yield_now().await;
            }
            assert!(!late.is_finished());
            assert_eq!((early.await, late.await), (Ok("early"), Ok("late")));
            Some(s.spawn(async { "after the body" }))
        })
        .await;
        assert_eq!(outside.unwrap().await, Ok("after the body"), "it stays until it is taken");
    });
}

/// LOCAL-5: children may begin others, also when the body is over; when the scope is over nobody may.
#[test]
fn local_5_children_begin_children() {
    run(async {
        let count = AtomicUsize::new(0);
        let escaped = local_scope(async |s| {
            let (again, count) = (s.clone(), &count);
            s.spawn(async move {
                yield_now().await;
                let last = again.clone();
                again.spawn(async move {
                    yield_now().await;
                    last.spawn(async move { count.fetch_add(1, Ordering::Relaxed) });
                    count.fetch_add(10, Ordering::Relaxed);
                });
                count.fetch_add(100, Ordering::Relaxed);
            });
            s
        })
        .await;
        assert_eq!(count.load(Ordering::Relaxed), 111);
        let refused = escaped.spawn(async { unreachable!("the scope is over") });
        assert_eq!(refused.await, Err::<(), _>(Cancelled::new()));
    });
}

/// LOCAL-6: `cancel` asks the children, those to come among them; clean-up runs; the body goes on.
#[test]
fn local_6_cancel_asks_the_children_and_not_the_body() {
    let log = Log::default();
    run(async {
        local_scope(async |s| {
            let cut = s.spawn(async {
                let _gone = log.on_drop("dropped", "dropped, and not in a cancelled scope");
                sleep(HOUR).await;
            });
            let cleans_up = s.spawn(async {
                let clean_up = async || {
                    yield_now().await;
                    log.add("cleaned up");
                };
                cancellable(sleep(HOUR)).on_cancel(clean_up).await.unwrap_err();
                "has its say"
            });
            yield_now().await;
            assert!(!s.is_cancelled());
            s.cancel();
            s.cancel();
            assert!(s.is_cancelled() && !is_cancelled(), "the body is not");
            let late = s.spawn(async {
                log.add(if is_cancelled() { "late one knows" } else { "late one does not know" });
                pending::<()>().await;
            });
            let ready = s.spawn(async { 5 });
            assert!(cut.await.is_err() && late.await.is_err());
            assert_eq!(ready.await, Ok(5), "completion wins");
            assert_eq!(cleans_up.await, Ok("has its say"));
            sleep(Duration::from_millis(1)).await;
            log.add("the body goes on");
        })
        .await;
    });
    assert_eq!(log.all(), ["dropped", "late one knows", "cleaned up", "the body goes on"]);
}

/// LOCAL-7: a cancel from outside reaches each child by its own waker, innermost first, and then the body.
#[test]
fn local_7_a_cancelled_task_cancels_what_is_in_the_scope() {
    let (log, many) = (Log::default(), Arc::new(AtomicUsize::new(0)));
    run(async {
        let task = filch::spawn({
            let (log, many) = (log.clone(), many.clone());
            async move {
                let (log, many) = (&log, &many);
                local_scope(async |s| {
                    // More than a task may do in one poll.
                    for _ in 0..1000 {
                        s.spawn(async {
                            cancellable(pending::<()>()).await.unwrap_err();
                            many.fetch_add(1, Ordering::Relaxed);
                        });
                    }
                    let waits = s.spawn(async {
                        log.add("begun");
                        pending::<()>().await;
                    });
                    assert_eq!(waits.await, Err(Cancelled::new()));
                    log.add(if is_cancelled() { "body, cancelled" } else { "body" });
                    let _gone = log.on_drop("body dropped", "body dropped in no cancelled scope");
                    sleep(HOUR).await;
                    log.add("never");
                })
                .await;
                log.add("never");
            }
        });
        log.until("begun").await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    assert_eq!(log.all(), ["begun", "body, cancelled", "body dropped"]);
    assert_eq!(many.load(Ordering::Relaxed), 1000);
}

/// LOCAL-7: wherever in it the task's turn ends, the body hears of its child's end.
#[test]
fn local_7_the_end_of_a_turn_is_no_wait_of_the_body() {
    for number in 0..140 {
        let log = Log::default();
        let ran = filch::Runtime::builder().workers(1).run(async {
            let inside = log.clone();
            let task = filch::spawn(local_scope(async move |s| {
                for _ in 0..number {
                    s.spawn(cancellable(pending::<()>()));
                }
                let waits = s.spawn(pending::<()>());
                inside.add("begun");
                waits.await.unwrap_err();
                inside.add("body, cancelled");
            }));
            // All of them wait.
            while !log.has("begun") {
                yield_now().await;
            }
            sleep(Duration::from_millis(1)).await;
            task.cancel();
            let _cut_or_over = task.await;
        });
        ran.unwrap();
        assert_eq!(log.all(), ["begun", "body, cancelled"], "with {number} more");
    }
}

/// LOCAL-7: what is around waits for the clean-up of a child.
#[test]
fn local_7_clean_up_of_a_child_holds_up_what_is_around() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                let cut = cancellable(local_scope(async |s| {
                    s.spawn(async {
                        let work = async {
                            log.add("begun");
                            pending::<()>().await;
                        };
                        let clean_up = async || {
                            sleep(Duration::from_millis(2)).await;
                            log.add("cleaned up");
                        };
                        cancellable(work).on_cancel(clean_up).await.unwrap_err();
                        log.add("child behind it");
                    });
                    pending::<()>().await;
                }))
                .await;
                assert!(cut.is_err());
                log.add("around");
            }
        });
        log.until("begun").await;
        task.cancel();
        task.await.unwrap();
    });
    assert_eq!(log.all(), ["begun", "cleaned up", "child behind it", "around"]);
}

/// LOCAL-8: dropped, it drops the youngest child first, and the body last; what is begun meanwhile too.
#[test]
fn local_8_it_drops_in_reverse() {
    struct Tells<'a>(&'a Mutex<Vec<usize>>, usize);
    impl Drop for Tells<'_> {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(self.1);
        }
    }
    let order = Mutex::new(Vec::new());
    let gates = Gates::new(2);
    let child = |number| {
        let tells = Tells(&order, number);
        async move {
            let _tells = tells;
            pending::<()>().await;
        }
    };
    let mut scope = Probe::pending(local_scope(async |s| {
        let _tells = Tells(&order, 0);
        s.spawn(child(1));
        // Its place is taken again by a younger one.
        s.spawn(gates.pass(0));
        s.spawn(child(2));
        gates.pass(1).await;
        yield_now().await;
        s.spawn(child(3));
        yield_now().await;
        // Never polled.
        s.spawn(child(4));
        pending::<()>().await;
    }));
    gates.open(0);
    assert!(scope.poll().is_pending());
    gates.open(1);
    for _ in 0..5 {
        assert!(scope.poll().is_pending());
    }
    assert_eq!(*order.lock().unwrap(), []);
    drop(scope);
    assert_eq!(*order.lock().unwrap(), [4, 3, 2, 1, 0]);
}

/// LOCAL-8: destructors may wake, begin others, and panic.
#[test]
fn local_8_destructors_may_do_what_they_like() {
    struct OnDrop<F: FnMut()>(F);
    impl<F: FnMut()> Drop for OnDrop<F> {
        fn drop(&mut self) {
            (self.0)();
        }
    }
    let dropped = AtomicUsize::new(0);
    let scope = Probe::pending(local_scope(async |s| {
        for number in 0..5 {
            let (again, dropped) = (s.clone(), &dropped);
            s.spawn(async move {
                let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
                let _on_drop = OnDrop(|| {
                    waker.wake_by_ref();
                    drop(again.spawn(async {}));
                    dropped.fetch_add(1, Ordering::Relaxed);
                    assert_ne!(number, 3, "as told");
                });
                pending::<()>().await;
            });
        }
        pending::<()>().await;
    }));
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(scope)));
    assert!(panicked.is_err());
    assert_eq!(dropped.load(Ordering::Relaxed), 5, "one panic costs nobody else anything");
}

/// LOCAL-9: a panic unwinds through the scope, and drops what is in it.
#[test]
fn local_9_a_panic_unwinds_and_drops_the_others() {
    for in_the_body in [false, true] {
        let alive = Arc::new(());
        let held = alive.clone();
        let mut scope = Probe::new(local_scope(async move |s| {
            for _ in 0..3 {
                let held = held.clone();
                s.spawn(async move {
                    pending::<()>().await;
                    drop(held);
                });
            }
            s.spawn(async move { assert!(in_the_body, "the child's") });
            yield_now().await;
            assert!(!in_the_body, "the body's");
            pending::<()>().await;
        }));
        let panicked = catch_unwind(AssertUnwindSafe(|| while scope.poll().is_pending() {}));
        let payload = panicked.expect_err("it panics");
        let text = payload.downcast_ref::<&str>();
        assert_eq!(text, Some(if in_the_body { &"the body's" } else { &"the child's" }));
        assert_eq!(Arc::strong_count(&alive), 1, "all is dropped");
    }
}

/// LOCAL-9, LOCALSET-4: of two destructors that panic, the body's and its output's, one is heard.
#[test]
fn local_9_one_panic_at_a_time() {
    struct Panics(&'static str);
    impl Drop for Panics {
        fn drop(&mut self) {
            std::panic::panic_any(self.0);
        }
    }
    let body = || {
        let held = Panics("the body's");
        poll_fn(move |_| {
            let _held = &held;
            Poll::Ready(Panics("the output's"))
        })
    };
    let scope = catch_unwind(AssertUnwindSafe(|| drop(Probe::new(local_scope(|_| body())).poll())));
    let set = catch_unwind(AssertUnwindSafe(|| drop(Probe::new(local_set(body())).poll())));
    for panicked in [scope, set] {
        assert_eq!(panicked.expect_err("it panics").downcast_ref(), Some(&"the body's"));
    }
}

/// It is a future like any other: on an executor that is none of ours, in another scope, in a combinator.
#[test]
fn it_nests_and_needs_no_runtime() {
    let words = ["a", "few", "words"];
    let total = exec::block_on(local_scope(async |outer| {
        let words = &words;
        let inner = outer.spawn(async move {
            local_scope(async |s| {
                let handles = words.map(|word| {
                    s.spawn(async move {
                        exec::yield_now().await;
                        word.len()
                    })
                });
                let mut total = 0;
                for handle in handles {
                    total += handle.await.unwrap();
                }
                total
            })
            .await
        });
        inner.await.unwrap()
    }));
    assert_eq!(total, 9);
    // A future that moves between its polls would be seen by Miri only; that it may be boxed, by the compiler.
    let boxed: Pin<Box<dyn Future<Output = usize> + Send>> =
        Box::pin(local_scope(async |s| s.spawn(async { 3 }).await.unwrap()));
    assert_eq!(exec::block_on(boxed), 3);
}
