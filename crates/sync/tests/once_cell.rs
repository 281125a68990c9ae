//! `OnceCell` against its rules in `docs/semantics.md`.
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_sync::{OnceCell, Promise, Setter, promise};
use filch_testkit::invariants::{self, Reach, Rules, Subject, Wait};
use filch_testkit::{DropAtEveryPoll, exec, limits};
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Looks once.
fn now<F: Future>(future: F) -> Poll<F::Output> {
    poll(pin!(future))
}

#[test]
fn once_1_it_is_set_once() {
    let mut cell = OnceCell::new();
    assert_eq!(cell.get(), None);
    assert!(!cell.is_set());
    cell.set(1).unwrap();
    assert!(cell.is_set());
    let error = cell.set(2).unwrap_err();
    assert!(error.is_set());
    assert_eq!(error.into_inner(), 2);
    assert_eq!(cell.get(), Some(&1));
    *cell.get_mut().unwrap() = 3;
    assert_eq!(cell.into_inner(), Some(3));
    assert_eq!(OnceCell::from(4).get(), Some(&4));
    assert_eq!(OnceCell::<u32>::default().into_inner(), None);
}

#[test]
fn once_2_a_value_that_is_there_is_had_at_once() {
    let cell = OnceCell::from(1);
    assert_eq!(now(cell.get_or_init(async || unreachable!("there is a value"))), Poll::Ready(&1));
    assert_eq!(*cell.blocking_get_or_init(|| unreachable!("there is a value")), 1);
}

#[test]
fn once_3_one_initialiser_runs_and_the_others_wait_for_its_outcome() {
    let cell = OnceCell::new();
    let (setter, promise) = promise();
    let mut first = pin!(cell.get_or_init(async || promise.await.unwrap()));
    assert!(poll(first.as_mut()).is_pending());
    let mut second = pin!(cell.get_or_init(async || unreachable!("the first comes to its end")));
    assert!(poll(second.as_mut()).is_pending());
    let refused = cell.set(0).unwrap_err();
    assert!(!refused.is_set());
    setter.set(7).unwrap();
    assert!(poll(second.as_mut()).is_pending());
    assert_eq!(poll(first), Poll::Ready(&7));
    assert_eq!(poll(second), Poll::Ready(&7));
}

#[test]
fn once_4_an_initialiser_that_fails_panics_or_goes_lets_the_next_run() {
    let cell = OnceCell::new();
    let failed = now(cell.get_or_try_init(async || Err::<u32, _>("failed")));
    assert_eq!(failed, Poll::Ready(Err("failed")));
    let panicked =
        catch_unwind(AssertUnwindSafe(|| now(cell.get_or_init(async || panic!("it does")))));
    assert!(panicked.is_err());

    let mut gone = Box::pin(cell.get_or_init(async || std::future::pending().await));
    assert!(poll(gone.as_mut()).is_pending());
    let mut next = pin!(cell.get_or_init(async || 2));
    let mut last = pin!(cell.get_or_init(async || unreachable!("the one before comes to its end")));
    assert!(poll(next.as_mut()).is_pending());
    assert!(poll(last.as_mut()).is_pending());
    drop(gone);
    assert!(poll(last.as_mut()).is_pending(), "it is not its turn");
    assert_eq!(poll(next), Poll::Ready(&2));
    assert_eq!(poll(last), Poll::Ready(&2));
}

/// I3: a turn that is not taken goes to the next.
#[test]
fn i3_a_turn_that_was_given_to_one_who_goes_is_given_on() {
    let cell = OnceCell::<u32>::new();
    let mut first = Box::pin(cell.get_or_init(async || std::future::pending().await));
    let mut second = Box::pin(cell.get_or_init(async || 2));
    let mut third = Box::pin(cell.get_or_init(async || 3));
    assert!(poll(first.as_mut()).is_pending());
    assert!(poll(second.as_mut()).is_pending());
    assert!(poll(third.as_mut()).is_pending());
    drop(first);
    drop(second);
    assert_eq!(poll(third.as_mut()), Poll::Ready(&3));
}

/// C1, with one that waits behind the one that is dropped.
#[test]
fn an_initialiser_may_be_dropped_at_any_poll() {
    let summary = exec::block_on(DropAtEveryPoll::new().run(|cut| async move {
        let cell = OnceCell::new();
        let ran = Cell::new(0);
        let init = async || {
            exec::yield_now().await;
            ran.set(ran.get() + 1);
            exec::yield_now().await;
            ran.get()
        };
        let done = cut.run_here(cell.get_or_init(&init)).await.copied();
        assert_eq!(cell.get().copied(), done);
        let value = *cell.get_or_init(&init).await;
        assert_eq!(ran.get(), value, "the last that ran gave the value");
        assert!(done.is_none_or(|done| done == value));
    }));
    assert!(summary.dropped >= 5);
}

#[test]
fn threads_and_tasks_get_one_value() {
    let _watchdog = limits::watchdog(60);
    for _ in 0..200 {
        let (cell, ran) = (OnceCell::new(), AtomicU32::new(0));
        thread::scope(|scope| {
            for number in 0..4 {
                let (cell, ran) = (&cell, &ran);
                scope.spawn(move || match number {
                    // One gives up half-way, or waits in vain.
                    0 => {
                        let mut gone = pin!(cell.get_or_init(async || {
                            exec::yield_now().await;
                            unreachable!("it is polled once")
                        }));
                        let _ = poll(gone.as_mut());
                    }
                    1 => {
                        let failed = cell.get_or_try_init(async || Err(()));
                        let _ = exec::block_on(failed);
                    }
                    _ => {
                        let init = || ran.fetch_add(1, Ordering::Relaxed);
                        assert_eq!(*cell.blocking_get_or_init(init), 0);
                    }
                });
            }
        });
        assert_eq!((ran.into_inner(), cell.into_inner()), (1, Some(0)));
    }
}

type Initialiser = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A cell whose value somebody is making.
struct Making {
    cell: Arc<OnceCell<u32>>,
    setter: Mutex<Option<Setter<u32>>>,
    initialiser: Mutex<Initialiser>,
}

impl Subject for Making {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::Everyone).kept().grants(1);

    fn new() -> Self {
        let cell = Arc::new(OnceCell::new());
        let (setter, promise): (_, Promise<u32>) = promise();
        let mine = cell.clone();
        let mut initialiser: Initialiser = Box::pin(async move {
            mine.get_or_init(async || promise.await.unwrap()).await;
        });
        assert!(poll(initialiser.as_mut()).is_pending());
        Self { cell, setter: Mutex::new(Some(setter)), initialiser: Mutex::new(initialiser) }
    }

    fn wait(&self) -> Wait<'_, ()> {
        Box::pin(async {
            let init = async || unreachable!("somebody else makes it");
            assert_eq!(*self.cell.get_or_init(init).await, 7);
        })
    }

    fn grant(&self) {
        let setter = self.setter.lock().unwrap().take().expect("one grant");
        setter.set(7).unwrap();
        assert!(poll(self.initialiser.lock().unwrap().as_mut()).is_ready());
    }

    fn at_rest(&self, _unclaimed: u32) {}
}

#[test]
fn i1_to_i6() {
    assert!(invariants::check::<Making>().finished > 1_000);
}

#[test]
fn waits_go_to_other_threads() {
    fn sent<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>(_: &T) {}
    let cell = OnceCell::new();
    sent(&cell.get_or_init(async || 1));
    sent(&cell.get_or_try_init(async || Err::<u32, _>(())));
    shared(&cell);
}
