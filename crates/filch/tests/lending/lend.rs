//! Tasks that are lent something.

use crate::kit::{HOUR, Log, run};
use crate::support::runtime;
use filch::task::{EnvScope, yield_now};
use filch::time::{Duration, sleep};
use filch::{Cancelled, cancellable, is_cancelled, scope_with};
use filch_testkit::Probe;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::task::Poll;

/// LEND-1: it ends when the body and all children have ended, and gives back what was lent.
#[test]
fn lend_1_it_gives_back_what_was_lent() {
    let (output, (text, count)) = run(async {
        // In a task, so that the compiler has its say on what may go elsewhere with it.
        let task = filch::spawn(async {
            let env = (String::from("lent"), AtomicUsize::new(0));
            scope_with(env, async |s, (_, body_count)| {
                for number in 1..=100 {
                    s.spawn(async move |(text, count)| {
                        yield_now().await;
                        count.fetch_add(number * text.len(), Ordering::Relaxed);
                    });
                }
                body_count.fetch_add(1, Ordering::Relaxed);
                "the body's"
            })
            .await
        });
        task.await.unwrap()
    });
    assert_eq!((output, text.as_str(), count.into_inner()), ("the body's", "lent", 4 * 5050 + 1));
}

/// LEND-2: children are tasks: they run in parallel.
#[test]
fn lend_2_children_run_in_parallel() {
    run(async {
        // Each of two workers has to be in it for either to go on.
        scope_with(Barrier::new(2), async |s, _| {
            for _ in 0..2 {
                s.spawn(async |barrier| barrier.wait());
            }
        })
        .await;
    });
}

async fn double(number: &usize) -> usize {
    yield_now().await;
    2 * number
}

/// LEND-3: the handle yields the output. To cancel one child is no failure.
#[test]
fn lend_3_a_handle_yields_the_output() {
    run(async {
        let (one_more, _) = scope_with(21, async |s, _| {
            assert_eq!(s.spawn(double).await, Ok(42));
            let endless = s.spawn(async |_| pending::<()>().await);
            assert!(!endless.is_finished());
            endless.cancel();
            assert_eq!(endless.await, Err(Cancelled::new()));
            Some(s.spawn(async |number| *number))
        })
        .await;
        let handle = one_more.unwrap();
        assert!(handle.is_finished());
        assert_eq!(handle.await, Ok(21), "it stays until it is taken");
    });
}

/// LEND-4: children may begin others, also when the body is over; when the scope is over nobody may.
#[test]
fn lend_4_children_begin_children() {
    fn grow(s: EnvScope<AtomicUsize>, depth: usize) {
        let again = s.clone();
        s.spawn(async move |count| {
            yield_now().await;
            count.fetch_add(1, Ordering::Relaxed);
            if depth > 0 {
                grow(again.clone(), depth - 1);
                grow(again, depth - 1);
            }
        });
    }
    run(async {
        let (s, count) = scope_with(AtomicUsize::new(0), async |s, _| {
            grow(s.clone(), 6);
            s
        })
        .await;
        assert_eq!(count.into_inner(), 127);
        let refused = s.spawn(async |_| unreachable!("the scope is over"));
        let mut refused = Probe::new(refused);
        assert_eq!(refused.poll(), Poll::Ready(Err::<(), _>(Cancelled::new())));
        let again = catch_unwind(AssertUnwindSafe(|| refused.poll()));
        assert!(again.is_err(), "as any handle that was ready");
    });
}

/// LEND-5: a child that panics: the others and the body are cancelled and waited for, then it goes on here.
#[test]
fn lend_5_the_panic_of_a_child_goes_on_when_all_have_ended() {
    let log = Log::default();
    run(async {
        let task = filch::spawn({
            let log = log.clone();
            async move {
                scope_with(log, async |s, log| {
                    let cleans_up = s.spawn(async |log: &Log| {
                        let clean_up = async || {
                            sleep(Duration::from_millis(2)).await;
                            log.add("cleaned up");
                        };
                        log.add("begun");
                        cancellable(sleep(HOUR)).on_cancel(clean_up).await
                    });
                    s.spawn(async |log: &Log| {
                        log.until("begun").await;
                        std::panic::panic_any("the child's");
                    });
                    let _gone = log.on_drop("body cut", "body dropped in no cancelled scope");
                    let _ = cleans_up.await;
                    pending::<()>().await;
                })
                .await;
            }
        });
        let payload = task.await.unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"the child's"));
    });
    let mut all = log.all();
    all.retain(|what| *what != "begun");
    all.sort_unstable();
    assert_eq!(all, ["body cut", "cleaned up"]);
}

/// LEND-5: a body that panics: the children are cancelled and waited for.
#[test]
fn lend_5_the_panic_of_the_body_goes_on_when_all_have_ended() {
    let ended = Arc::new(AtomicBool::new(false));
    run(async {
        let theirs = ended.clone();
        let task = filch::spawn(scope_with(theirs, async |s, ended: &Arc<AtomicBool>| {
            let begun = Arc::new(filch::sync::Event::new());
            let here = begun.clone();
            s.spawn(async move |ended: &Arc<AtomicBool>| {
                here.set();
                let late = async || {
                    sleep(Duration::from_millis(2)).await;
                    ended.store(true, Ordering::Relaxed);
                };
                cancellable(pending::<()>()).on_cancel(late).await
            });
            begun.wait().await;
            assert!(ended.load(Ordering::Relaxed), "the body's");
        }));
        let payload = task.await.unwrap_err().into_panic();
        assert_eq!(payload.downcast_ref::<&str>(), Some(&"the body's"));
        assert!(ended.load(Ordering::Relaxed), "it was waited for");
    });
}

/// LEND-6: `cancel` asks the children, those to come among them, and the body goes on.
#[test]
fn lend_6_cancel_asks_the_children_and_not_the_body() {
    run(async {
        let (output, ()) = scope_with((), async |s, ()| {
            let before = s.spawn(async |()| pending::<()>().await);
            s.cancel();
            let after = s.spawn(async |()| {
                let cut = cancellable(pending::<()>()).await;
                (cut.is_err(), is_cancelled())
            });
            assert_eq!(before.await, Err(Cancelled::new()));
            assert_eq!(after.await, Ok((true, true)));
            assert!(!is_cancelled());
            sleep(Duration::from_millis(1)).await;
            "goes on"
        })
        .await;
        assert_eq!(output, "goes on");
    });
}

/// LEND-7: cancelled, it is cut when all in it have ended, and what is around waits for that.
#[test]
fn lend_7_what_is_around_waits_for_the_children() {
    for body_is_over in [false, true] {
        let log = Log::default();
        run(async {
            let task = filch::spawn({
                let log = log.clone();
                async move {
                    let scope = scope_with(log.clone(), async |s, log| {
                        s.spawn(async |log: &Log| {
                            let clean_up = async || {
                                sleep(Duration::from_millis(2)).await;
                                log.add("cleaned up");
                            };
                            log.add("begun");
                            let _ = cancellable(sleep(HOUR)).on_cancel(clean_up).await;
                        });
                        if !body_is_over {
                            let _gone = log.on_drop("body cut", "body in no cancelled scope");
                            pending::<()>().await;
                        }
                    });
                    let cut = cancellable(scope).await;
                    // One that came to its end in spite of the cancel has an output.
                    assert_eq!(cut.is_ok(), body_is_over);
                    log.add("around");
                }
            });
            log.until("begun").await;
            task.cancel();
            task.await.unwrap();
        });
        let all = log.all();
        assert_eq!(all.last(), Some(&"around"));
        assert!(all.contains(&"cleaned up"), "{all:?}");
        assert_eq!(all.contains(&"body cut"), !body_is_over);
    }
}

/// LEND-8: dropped, it asks the children to end and waits for none; what was lent goes with the last of them.
#[test]
fn lend_8_dropped_it_asks_and_does_not_wait() {
    struct Lent(Arc<AtomicBool>, Log);
    impl Drop for Lent {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let runtime = runtime(2);
    let (gone, log) = (Arc::new(AtomicBool::new(false)), Log::default());
    runtime.block_on(async {
        let lent = Lent(gone.clone(), log.clone());
        let scope = Probe::pending(scope_with(lent, async |s, _| {
            s.spawn(async |lent: &Lent| {
                let log = &lent.1;
                log.add("begun");
                let clean_up = async || log.until("dropped").await;
                let _ = cancellable(pending::<()>()).on_cancel(clean_up).await;
                assert!(!lent.0.load(Ordering::Relaxed), "it is lent");
                log.add("ended");
            });
            pending::<()>().await;
        }));
        log.until("begun").await;
        drop(scope);
        assert!(!gone.load(Ordering::Relaxed), "a child still has it");
        log.add("dropped");
        log.until("ended").await;
        while !gone.load(Ordering::Relaxed) {
            sleep(Duration::from_millis(1)).await;
        }
    });
}

/// LEND-8: a runtime that ends drops the children: nobody who waits elsewhere waits for ever.
#[test]
fn lend_8_a_runtime_that_ends_ends_the_children() {
    let runtime = runtime(1);
    let scope = {
        let _enter = runtime.enter();
        Probe::pending(scope_with(5, async |s, _| {
            let child = s.spawn(async |_| pending::<()>().await);
            assert_eq!(child.await, Err(Cancelled::new()));
            // Refused by the runtime.
            assert_eq!(s.spawn(async |env| *env).await, Err(Cancelled::new()));
        }))
    };
    let _enter = runtime.handle().clone().enter();
    drop(runtime);
    assert_eq!(scope.ready(), ((), 5));
}

/// Without a runtime it says so, and nothing is left of the child.
#[test]
fn without_a_runtime_there_are_no_children() {
    let env = Arc::new(());
    let scope = scope_with(env.clone(), async |s, _| drop(s.spawn(async |_| ())));
    let panicked = catch_unwind(AssertUnwindSafe(|| Probe::new(scope).ready()));
    let payload = panicked.expect_err("there is none");
    assert!(payload.downcast_ref::<String>().unwrap().contains("no filch runtime"));
    assert_eq!(Arc::strong_count(&env), 1);
    assert_eq!(Probe::new(scope_with(5, async |_, env| env + 1)).ready(), (6, 5));
}
