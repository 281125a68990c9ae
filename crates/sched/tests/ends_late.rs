//! The end of a scheduler where something does not come to its end, and a main future that is asked to.

mod support;

use filch_sched::scope::{Witness, cancellable, is_cancelled, shielded};
use filch_sched::task::{Builder, ErrorHook, Meta, Report, yield_now};
use filch_sched::{
    Config, Interrupter, Order, Scheduler, Submitted, ThreadPark, run, run_interruptible,
};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;
use support::{config, spawn, within_reason};

const HOUR: Duration = Duration::from_secs(3600);

fn park(_: usize) -> Result<ThreadPark, filch_sched::ParkError> {
    Ok(ThreadPark::new())
}

/// RUN-3: the grace is kept though worker 0 is in a poll that does not end before that.
#[test]
fn run_3_any_worker_keeps_the_grace() {
    within_reason(|| {
        let (told, tells) = mpsc::channel();
        let hook = ErrorHook::new(move |report: &Report| {
            if matches!(report, Report::TaskNotStopped { .. }) {
                let _ = told.send(());
            }
        });
        let grace = Duration::from_millis(40);
        let config = Config { grace, hook, stuck_report: None, ..config(2) };
        let tells = Arc::new(Mutex::new(tells));
        let is_stuck = Arc::new(AtomicBool::new(false));
        let main = async {
            // Is never over, and is named for it.
            drop(spawn(shielded(pending::<()>())));
            // Whichever comes to worker 0 when the end has begun stays there until that is said.
            for _ in 0..4 {
                let (tells, is_stuck) = (tells.clone(), is_stuck.clone());
                drop(spawn(shielded(async move {
                    while !is_stuck.load(SeqCst) {
                        let is_ending =
                            filch_sched::with_handle(|handle| handle.unwrap().is_shut_down());
                        if filch_sched::worker_index() == Some(0) && is_ending {
                            is_stuck.store(true, SeqCst);
                            tells.lock().unwrap().recv().unwrap();
                        }
                        yield_now().await;
                    }
                })));
            }
            yield_now().await;
        };
        run(config, park, main).unwrap();
        assert!(is_stuck.load(SeqCst));
    });
}

/// RUN-3, SUBMIT-5: what does not return on the thread of `run` is named when the grace is over, though nobody else is there;
/// and other tasks of that worker are ended for those who wait for them.
#[test]
fn run_3_a_poll_on_the_thread_of_run_is_named() {
    within_reason(|| {
        for workers in [1, 2] {
            let (told, tells) = mpsc::channel();
            let hook = ErrorHook::new(move |report: &Report| {
                if let Report::ShutdownStuck { what, .. } = report {
                    told.send(what.clone()).unwrap();
                }
            });
            let grace = Duration::from_millis(500);
            let config = Config { grace, hook, stuck_report: None, ..config(workers) };
            let (ended, has_ended) = mpsc::channel();
            let heard = Arc::new(Mutex::new((tells, has_ended)));
            let said = Arc::new(Mutex::new(None));
            let main = async {
                let waits = Submitted::new(spawn(shielded(pending::<()>())));
                thread::spawn(move || ended.send(waits.wait().unwrap_err().is_shutdown()));
                // Whichever comes to this thread when the end has begun stays there until it is named.
                for _ in 0..4 {
                    let (heard, said) = (heard.clone(), said.clone());
                    let endless = async move {
                        while said.lock().unwrap().is_none() {
                            let is_ending =
                                filch_sched::with_handle(|handle| handle.unwrap().is_shut_down());
                            if filch_sched::worker_index() == Some(0) && is_ending {
                                let (tells, has_ended) = &*heard.lock().unwrap();
                                let what = tells.recv().unwrap();
                                assert!(has_ended.recv().unwrap());
                                *said.lock().unwrap() = Some(what);
                            }
                            yield_now().await;
                        }
                    };
                    let meta = Builder::new().name("endless").meta();
                    drop(filch_sched::spawn(shielded(endless), meta));
                }
                yield_now().await;
            };
            run(config, park, main).unwrap();
            let said = said.lock().unwrap().take().expect("it was stuck");
            let start = "worker 0, in a poll that does not return (task ";
            assert!(said.starts_with(start), "{said}");
            assert!(
                said.contains("`endless`, spawned at ") && said.contains("ends_late.rs"),
                "{said}"
            );
        }
    });
}

/// SUBMIT-5: nobody waits for ever for a task of a worker that was left behind.
#[test]
fn submit_5_tasks_of_a_stuck_worker_are_ended() {
    within_reason(|| {
        let config = Config { hook: ErrorHook::new(|_| ()), stuck_report: None, ..config(2) };
        let scheduler = Scheduler::start(config, park).unwrap();
        let handle = scheduler.handle().clone();
        let waiting: Vec<_> =
            (0..4).map(|_| Submitted::new(handle.spawn(pending::<()>(), Meta::here()))).collect();
        let (let_go, held) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let stuck = async move {
            // Those are only queued there.
            let queued: Vec<_> = (0..4).map(|_| spawn(pending::<()>())).collect();
            begun.send(queued).unwrap();
            let _ = held.recv();
        };
        drop(handle.spawn(stuck, Meta::here()));
        let queued = has_begun.recv().unwrap();
        scheduler.shutdown(Duration::ZERO);
        for task in waiting.into_iter().chain(queued.into_iter().map(Submitted::new)) {
            assert!(task.wait().unwrap_err().is_shutdown());
        }
        drop(let_go);
    });
}

/// SUBMIT-5: also of those that such a worker has seen, where their order is drawn.
#[test]
fn submit_5_tasks_that_a_stuck_worker_draws_from_are_ended() {
    within_reason(|| {
        // With one seed or another the worker is stuck before the others have run.
        for seed in 0..8 {
            let config = Config {
                hook: ErrorHook::new(|_| ()),
                stuck_report: None,
                order: Order::Drawn,
                seed,
                ..config(1)
            };
            let scheduler = Scheduler::start(config, park).unwrap();
            let handle = scheduler.handle();
            let (all_are_there, gate) = mpsc::channel::<()>();
            drop(handle.spawn(async move { _ = gate.recv() }, Meta::here()));
            let waiting: Vec<_> = (0..8)
                .map(|_| Submitted::new(handle.spawn(pending::<()>(), Meta::here())))
                .collect();
            let (let_go, held) = mpsc::channel::<()>();
            let (begun, has_begun) = mpsc::channel();
            let stuck = async move {
                begun.send(()).unwrap();
                let _ = held.recv();
            };
            drop(handle.spawn(stuck, Meta::here()));
            drop(all_are_there);
            has_begun.recv().unwrap();
            scheduler.shutdown(Duration::ZERO);
            for task in waiting {
                assert!(task.wait().unwrap_err().is_shutdown());
            }
            drop(let_go);
        }
    });
}

/// RUN-5: whoever wants help with a computation has none when the scheduler ends, or that would not end.
#[test]
fn run_5_no_help_is_begun_when_it_ends() {
    within_reason(|| {
        let scheduler = support::start(2);
        let handle = scheduler.handle().clone();
        let (let_go, held) = mpsc::channel::<()>();
        let is_held = Arc::new(AtomicBool::new(true));
        let holds = is_held.clone();
        let waits = handle.spawn_shield(
            async move {
                while holds.load(SeqCst) {
                    yield_now().await;
                }
            },
            Meta::here(),
        );
        let ends = thread::spawn(move || {
            let _ = held.recv();
            scheduler.shutdown(HOUR);
        });
        drop(let_go);
        while !handle.is_shut_down() {
            thread::yield_now();
        }
        let has_begun = Arc::new(AtomicBool::new(false));
        let begins = has_begun.clone();
        let help = handle.spawn_for_others(async move { begins.store(true, SeqCst) }, Meta::here());
        assert!(Submitted::new(help).wait().unwrap_err().is_shutdown());
        assert!(!has_begun.load(SeqCst));
        is_held.store(false, SeqCst);
        ends.join().unwrap();
        assert!(waits.is_finished());
    });
}

/// Runs a main future that can ask itself to end.
fn interruptible<F: Future>(
    config: Config,
    main: impl FnOnce(Arc<Mutex<Option<Interrupter>>>) -> F,
) -> Option<F::Output> {
    let place = Arc::new(Mutex::new(None));
    let main = main(place.clone());
    run_interruptible(config, park, main, |interrupter| {
        *place.lock().unwrap() = Some(interrupter);
    })
    .unwrap()
}

fn interrupt(place: &Mutex<Option<Interrupter>>) {
    place.lock().unwrap().as_ref().unwrap().interrupt();
}

/// RUN-8: who asks hears of it at once, as in a task, though it is in the midst of a poll.
#[test]
fn run_8_a_main_that_computes_may_ask() {
    within_reason(|| {
        let heard = interruptible(config(1), async |place| {
            let mut heard = Vec::new();
            let in_boundaries = async {
                assert!(!is_cancelled());
                let witness = Witness::here();
                let shielded_witness = shielded(async { Witness::here() }).await;
                interrupt(&place);
                heard.push(is_cancelled());
                heard.push(!shielded(async { is_cancelled() }).await);
                // Those who compute for it, elsewhere.
                let elsewhere = || {
                    thread::scope(|scope| {
                        let heard = scope.spawn(|| {
                            (witness.enter(is_cancelled), shielded_witness.enter(is_cancelled))
                        });
                        heard.join().unwrap()
                    })
                };
                heard.push(elsewhere() == (true, false));
                heard.push(Witness::here().enter(is_cancelled));
            };
            let inner = cancellable(async { cancellable(in_boundaries).await });
            inner.await.unwrap().unwrap();
            heard.push(is_cancelled());
            heard
        });
        assert_eq!(heard, Some(vec![true; 5]));
    });
}

/// RUN-8: what holds a main future up may come to its end in another task.
#[test]
fn run_8_a_shield_may_end_elsewhere() {
    within_reason(|| {
        for workers in [1, 2] {
            let output = interruptible(config(workers), async |place| {
                let go_on = Arc::new(AtomicBool::new(false));
                let waits = go_on.clone();
                let mut held = Box::pin(shielded(async move {
                    while !waits.load(SeqCst) {
                        yield_now().await;
                    }
                }));
                poll_fn(|cx| {
                    assert!(held.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
                interrupt(&place);
                // It is asked, and held up.
                yield_now().await;
                yield_now().await;
                drop(spawn(held));
                let mut is_first = true;
                poll_fn(|_| {
                    // From here on nothing wakes it but the end of the shield.
                    if std::mem::take(&mut is_first) {
                        go_on.store(true, SeqCst);
                    }
                    Poll::<()>::Pending
                })
                .await;
            });
            assert_eq!(output, None);
        }
    });
}

/// RUN-8, CANCEL-9: it is told of clean-up that is cut, also where that is no task's.
#[test]
fn cancel_9_clean_up_of_the_main_future_is_reported() {
    within_reason(|| {
        let reports = Arc::new(Mutex::new(Vec::new()));
        let told = reports.clone();
        let hook = ErrorHook::new(move |report: &Report| told.lock().unwrap().push(report.clone()));
        let output = interruptible(Config { hook, ..config(1) }, async |place| {
            let work = async {
                interrupt(&place);
                pending::<()>().await;
            };
            let clean_up = async || pending().await;
            let cut = cancellable(work).on_cancel(clean_up).grace(Duration::from_millis(1));
            cut.await.unwrap_err();
            7
        });
        assert_eq!(output, Some(7));
        let reports = reports.lock().unwrap();
        let [Report::CleanUpCut { id: None, location, .. }] = &reports[..] else {
            panic!("{reports:?}")
        };
        assert!(location.file().ends_with("ends_late.rs"));
        assert!(reports[0].to_string().starts_with("the main future"), "{}", reports[0]);
    });
}

/// RUN-8: a waker that panics when it is told is none of the main future's doing.
#[test]
fn run_8_a_waker_that_panics_is_reported() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("in a waker");
        }
    }
    within_reason(|| {
        let reports = Arc::new(AtomicUsize::new(0));
        let told = reports.clone();
        let hook = ErrorHook::new(move |report: &Report| {
            assert!(matches!(report, Report::ForeignWakerPanicked { .. }));
            told.fetch_add(1, SeqCst);
        });
        let output = interruptible(Config { hook, ..config(1) }, async |place| {
            let mut waits = pin!(cancellable(pending::<()>()));
            let waker = Waker::from(Arc::new(Panics));
            let _ = waits.as_mut().poll(&mut Context::from_waker(&waker));
            interrupt(&place);
            yield_now().await;
            waits.await.unwrap_err();
            7
        });
        assert_eq!((output, reports.load(SeqCst)), (Some(7), 1));
    });
}
