//! Panics in what is lent to: which one goes on, who hears of the others, and who goes on all the same.

use crate::kit::{HOUR, Log};
use crate::support::PATIENCE;
use filch::task::Report;
use filch::time::{Duration, sleep};
use filch::{Cancelled, Runtime, cancellable, scope_with};
use filch_testkit::limits::watchdog;
use filch_testkit::{Hooks, Probe};
use std::future::{pending, poll_fn};
use std::panic::{panic_any, resume_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Context;

/// What the error hook was told of: the panics' texts.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn runtime(&self) -> Runtime {
        let told = self.clone();
        let hook = move |report: &Report| match report {
            Report::TaskPanicked { message, .. } | Report::WakerPanicked { message, .. } => {
                told.0.lock().unwrap().push(message.clone());
            }
            other => panic!("{other}"),
        };
        Runtime::builder().workers(2).on_error(hook).build().expect("a runtime")
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Runs `main` in a task. What it panicked with, if that is text, and what was reported.
fn run(main: impl Future<Output = ()> + Send + 'static) -> (Option<&'static str>, Vec<String>) {
    let _watchdog = watchdog(PATIENCE);
    let told = Told::default();
    let runtime = told.runtime();
    let ended = runtime.block_on(runtime.handle().spawn(main));
    drop(runtime);
    let text = |payload: Box<dyn std::any::Any + Send>| *payload.downcast().expect("a text");
    (ended.err().map(|error| text(error.into_panic())), told.all())
}

struct PanicsOnDrop(&'static str);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic_any(self.0);
    }
}

/// LEND-5: the panic of a destructor in a child that is cut, whoever had it cut.
#[test]
fn lend_5_the_panic_of_what_is_cut_goes_on() {
    for by_handle in [true, false] {
        let came = run(async move {
            scope_with((), async |s, ()| {
                let child = s.spawn(async |()| {
                    let _held = PanicsOnDrop("in the cut");
                    pending::<()>().await;
                });
                if by_handle {
                    child.cancel()
                } else {
                    s.cancel()
                }
                assert_eq!(child.await, Err(Cancelled::new()));
            })
            .await;
        });
        assert_eq!(came, (Some("in the cut"), vec![]));
    }
}

/// LEND-5: one panic goes on, the others are reported.
#[test]
fn lend_5_the_others_are_reported() {
    let came = run(async {
        scope_with(Log::default(), async |s, _| {
            let other = s.spawn(async |log: &Log| {
                let _held = PanicsOnDrop("second");
                log.add("begun");
                pending::<()>().await;
            });
            s.spawn(async |log: &Log| {
                log.until("begun").await;
                panic_any("first");
            });
            let _ = other.await;
        })
        .await;
    });
    assert_eq!(came, (Some("first"), vec!["second".to_owned()]));
}

/// LEND-5: what others panicked with may be nasty; the scope waits for all the same.
#[test]
fn lend_5_payloads_may_be_nasty() {
    struct Nasty;
    impl Drop for Nasty {
        fn drop(&mut self) {
            resume_unwind(Box::new("nasty"));
        }
    }
    struct Throws;
    impl Drop for Throws {
        fn drop(&mut self) {
            panic_any(Nasty);
        }
    }
    let ended = Arc::new(AtomicBool::new(false));
    let theirs = ended.clone();
    let came = run(async move {
        scope_with(Log::default(), async |s, log| {
            let begins = s.spawn(async move |log: &Log| {
                let late = async || {
                    // Not before the body is cut.
                    log.until("cut").await;
                    theirs.store(true, Ordering::Relaxed);
                };
                log.add("begun");
                cancellable(pending::<()>()).on_cancel(late).await
            });
            s.spawn(async |log: &Log| {
                log.until("begun").await;
                panic_any("first");
            });
            let _throws = Throws;
            let _cut = log.on_drop("cut", "dropped in no cancelled scope");
            let _ = begins.await;
            pending::<()>().await;
        })
        .await;
    });
    assert_eq!((came.0, came.1.len()), (Some("first"), 1));
    assert!(ended.load(Ordering::Relaxed), "it was waited for");
}

/// LEND-8: nobody waits for them any more: the panics of children are reported, those that nobody has taken among
/// them.
#[test]
fn lend_8_panics_behind_its_back_are_reported() {
    let _watchdog = watchdog(PATIENCE);
    for is_late in [true, false] {
        let told = Told::default();
        let runtime = told.runtime();
        runtime.block_on(async {
            let (tell, child) = mpsc::channel();
            let scope = Probe::pending(scope_with((), async move |s, ()| {
                let child = s.spawn(async move |()| {
                    if is_late {
                        let _held = PanicsOnDrop("as told");
                        pending::<()>().await;
                    }
                    panic_any("as told");
                });
                tell.send(child).unwrap();
                pending::<()>().await;
            }));
            let child = child.recv().unwrap();
            while !is_late && !child.is_finished() {
                sleep(Duration::from_millis(1)).await;
            }
            drop(scope);
            let _: Result<(), _> = child.await;
        });
        drop(runtime);
        assert_eq!(told.all(), ["as told"]);
    }
}

/// LEND-7: a waker that panics, of somebody in a child or of whoever awaits the scope, keeps nobody from anything.
#[test]
fn lend_7_a_waker_that_panics_holds_nothing_up() {
    let log = Log::default();
    let _watchdog = watchdog(PATIENCE);
    let told = Told::default();
    let runtime = told.runtime();
    let task = runtime.handle().spawn({
        let log = log.clone();
        async move {
            let scope = scope_with(log.clone(), async |s, _| {
                s.spawn(async |log: &Log| {
                    let mut waits = pin!(cancellable(pending::<()>()));
                    let waker = Hooks::new().on_wake(|| panic_any("a waker's")).waker();
                    poll_fn(|_| {
                        let polled = waits.as_mut().poll(&mut Context::from_waker(&waker));
                        log.add("waits");
                        polled
                    })
                    .await
                });
                s.spawn(async |log: &Log| {
                    let clean_up = async || {
                        sleep(Duration::from_millis(2)).await;
                        log.add("cleaned up");
                    };
                    log.until("waits").await;
                    log.add("begun");
                    let _ = cancellable(sleep(HOUR)).on_cancel(clean_up).await;
                });
            });
            assert!(cancellable(scope).await.is_ok(), "the body had its output");
            log.add("around");
        }
    });
    runtime.block_on(async {
        log.until("begun").await;
        task.cancel();
        task.await.expect("it is told of no panic");
    });
    assert_eq!(log.all().last(), Some(&"around"));
    assert!(log.has("cleaned up"));
    drop(runtime);
    assert_eq!(told.all(), ["a waker's"]);
}

/// LEND-3: the output stays, though the waker of whoever awaits the scope panics.
#[test]
fn lend_3_a_waker_that_panics_costs_nobody_the_output() {
    let _watchdog = watchdog(PATIENCE);
    let told = Told::default();
    let runtime = told.runtime();
    runtime.block_on(async {
        let log = Log::default();
        let (tell, child) = mpsc::channel();
        let mut scope = Box::pin(scope_with(log.clone(), async move |s, _| {
            let child = s.spawn(async |log: &Log| {
                log.until("polled").await;
                5
            });
            tell.send(child).unwrap();
        }));
        let waker = Hooks::new().on_wake(|| panic_any("a waker's")).waker();
        assert!(scope.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        log.add("polled");
        assert_eq!(child.recv().unwrap().await, Ok(5));
        scope.await;
    });
    drop(runtime);
    assert_eq!(told.all(), ["a waker's"]);
}
