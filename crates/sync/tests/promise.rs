//! `Promise` and `SharedPromise` against their rules in `docs/semantics.md`.
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_atomic::current::{self, BUDGET, WaitRecord};
use filch_sync::{
    Abandoned, Promise, Setter, SharedPromise, SharedSetter, TryGetError, Unwanted, promise,
    shared_promise,
};
use filch_testkit::invariants::{self, Reach, Rules, Subject, Wait};
use filch_testkit::{DropAtEveryPoll, Random, exec, limits};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn new() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        (count.clone(), Waker::from(count))
    }

    fn wakes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[test]
fn promise_1_and_3_a_value_is_delivered_whenever_it_is_asked_for() {
    let (setter, promise) = promise();
    setter.set(1).unwrap();
    assert!(promise.is_done());
    assert_eq!(poll(pin!(promise), Waker::noop()), Poll::Ready(Ok(1)));

    let (setter, mut promise) = filch_sync::promise();
    let (count, waker) = Count::new();
    assert!(poll(Pin::new(&mut promise), &waker).is_pending());
    assert_eq!(promise.try_get(), Err(TryGetError::Pending));
    assert!(!promise.is_done());
    setter.set(2).unwrap();
    assert_eq!(count.wakes(), 1);
    assert_eq!(promise.try_get(), Ok(2));
    assert!(promise.is_done());
}

#[test]
fn promise_2_a_setter_that_goes_abandons_the_promise() {
    let (setter, mut promise) = promise::<u32>();
    let (count, waker) = Count::new();
    assert!(poll(Pin::new(&mut promise), &waker).is_pending());
    drop(setter);
    assert_eq!(count.wakes(), 1);
    assert_eq!(poll(Pin::new(&mut promise), &waker), Poll::Ready(Err(Abandoned)));

    let (setter, mut promise) = filch_sync::promise::<u32>();
    drop(setter);
    assert_eq!(promise.try_get(), Err(TryGetError::Abandoned));
}

#[test]
fn promise_3_a_value_is_there_though_its_setter_is_long_gone_and_is_dropped_with_the_promise() {
    let value = Arc::new(());
    let (setter, promise) = promise();
    setter.set(value.clone()).unwrap();
    assert_eq!(Arc::strong_count(&value), 2);
    drop(promise);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn promise_4_a_value_that_nobody_can_get_comes_back() {
    let (mut setter, mut promise) = promise();
    let (promises, waker) = Count::new();
    assert!(poll(Pin::new(&mut promise), &waker).is_pending());
    let (setters, setters_waker) = Count::new();
    {
        let mut closed = pin!(setter.closed());
        assert!(poll(closed.as_mut(), &setters_waker).is_pending());
        drop(promise);
        assert_eq!(setters.wakes(), 1);
        assert!(poll(closed.as_mut(), &setters_waker).is_ready());
    }
    assert!(setter.is_closed());
    assert_eq!(setter.set(3).map_err(Unwanted::into_inner), Err(3));
    drop((waker, setters_waker));
    assert_eq!((Arc::strong_count(&promises), Arc::strong_count(&setters)), (1, 1), "I2");
    assert_eq!(promises.wakes(), 0);
}

#[test]
fn i2_a_wait_for_the_end_of_a_promise_leaves_no_waker() {
    let (mut setter, promise) = promise::<u32>();
    let (count, waker) = Count::new();
    let mut closed = Box::pin(setter.closed());
    assert!(poll(closed.as_mut(), &waker).is_pending());
    assert!(Arc::strong_count(&count) > 2);
    drop(closed);
    assert_eq!(Arc::strong_count(&count), 2);
    drop(promise);
    assert_eq!(count.wakes(), 0);
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let (setter, mut promise) = promise();
    let ((old, old_waker), (new, new_waker)) = (Count::new(), Count::new());
    assert!(poll(Pin::new(&mut promise), &old_waker).is_pending());
    assert!(poll(Pin::new(&mut promise), &old_waker).is_pending());
    assert!(poll(Pin::new(&mut promise), &new_waker).is_pending());
    assert_eq!(Arc::strong_count(&old), 2);
    setter.set(1).unwrap();
    assert_eq!((old.wakes(), new.wakes()), (0, 1));
}

/// I1 and I3: a wait that is dropped loses nothing, and the next has the value.
#[test]
fn i1_a_wait_may_be_dropped_at_any_poll() {
    let summary = exec::block_on(DropAtEveryPoll::new().run(|cut| async move {
        let (setter, mut promise) = promise();
        let give = async {
            exec::yield_now().await;
            setter.set(Box::new(7)).expect("the promise is there");
        };
        let (got, ()) = exec::join(cut.run_here(async { (&mut promise).await }), give).await;
        let got = match got {
            Some(got) => got,
            None => promise.await,
        };
        assert_eq!(got, Ok(Box::new(7)));
    }));
    // Three polls: the first, one for nothing, and the one that has it.
    assert_eq!(summary.dropped, 5);
}

#[test]
fn i6_a_task_that_has_had_its_turn_comes_again_for_its_value() {
    let (setter, mut promise) = promise();
    setter.set(5).unwrap();
    let (count, waker) = Count::new();
    let record = WaitRecord::new();
    let turn = || {
        for _ in 0..BUDGET {
            assert!(current::poll_proceed(&mut Context::from_waker(Waker::noop())).is_ready());
        }
        assert!(poll(Pin::new(&mut promise), &waker).is_pending());
    };
    // SAFETY: null.
    unsafe { current::enter(std::ptr::null(), &record, turn) };
    assert_eq!(count.wakes(), 1);
    assert_eq!(poll(Pin::new(&mut promise), &waker), Poll::Ready(Ok(5)));
}

#[test]
#[should_panic(expected = "taken once")]
fn an_outcome_is_taken_once() {
    let (setter, mut promise) = promise();
    setter.set(5).unwrap();
    assert_eq!(promise.try_get(), Ok(5));
    let _ = promise.try_get();
}

/// A destructor that panics, of a value that nobody took, leaves nothing undone.
#[test]
fn a_value_whose_destructor_panics_is_dropped_by_whoever_is_last() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("in the destructor");
        }
    }
    let (setter, promise) = promise();
    assert!(setter.set(Panics).is_ok());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(promise)));
    assert!(caught.is_err());
}

/// Both ends on threads of their own do what a dice says: for the sanitizers, and for luck.
#[test]
fn stress_every_value_is_dropped_once() {
    let _watchdog = limits::watchdog(120);
    let seed = Random::seed();
    println!("FILCH_SEED={seed}");
    let mut random = Random::new(seed);
    let (alive, rounds) = (Arc::new(()), 5_000);
    for _ in 0..rounds {
        let (setter, mut promise): (Setter<Arc<()>>, Promise<Arc<()>>) = promise();
        let (give, take, value) = (random.below(3), random.below(4), alive.clone());
        let giver = move || match give {
            0 => drop(setter),
            1 => drop(setter.set(value)),
            _ => {
                let mut setter = setter;
                let _ = poll(pin!(setter.closed()), Waker::noop());
                drop(setter.set(value));
            }
        };
        thread::scope(|scope| {
            scope.spawn(giver);
            match take {
                0 => drop(promise),
                1 => {
                    drop(poll(Pin::new(&mut promise), Waker::noop()));
                    drop(promise);
                }
                2 => drop(promise.try_get()),
                _ => drop(promise.blocking_get()),
            }
        });
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}

/// A shared promise of which nobody knows the outcome.
struct Shared {
    setter: Mutex<Option<SharedSetter<u32>>>,
    promise: SharedPromise<u32>,
}

impl Shared {
    fn setter(&self) -> Option<SharedSetter<u32>> {
        self.setter.lock().unwrap().take()
    }
}

/// I1 to I6, PROMISE-5 and PROMISE-6, for a promise that is fulfilled.
struct Fulfilled(Shared);

/// The same for one that is abandoned.
struct Deserted(Shared);

fn shared() -> Shared {
    let (setter, promise) = shared_promise();
    Shared { setter: Mutex::new(Some(setter)), promise }
}

const ONCE_FOR_ALL: Rules = Rules::new(Reach::Everyone).kept().grants(1);

impl Subject for Fulfilled {
    type Got<'a> = ();
    const RULES: Rules = ONCE_FOR_ALL;

    fn new() -> Self {
        Self(shared())
    }

    fn wait(&self) -> Wait<'_, ()> {
        Box::pin(async { assert_eq!(self.0.promise.get().await, Ok(&9)) })
    }

    fn grant(&self) {
        self.0.setter().expect("one grant").set(9).unwrap();
    }

    fn at_rest(&self, _unclaimed: u32) {
        drop(self.0.setter());
        assert!(self.0.promise.is_done());
    }
}

impl Subject for Deserted {
    type Got<'a> = ();
    const RULES: Rules = ONCE_FOR_ALL;

    fn new() -> Self {
        Self(shared())
    }

    fn wait(&self) -> Wait<'_, ()> {
        Box::pin(async { assert_eq!(self.0.promise.get().await, Err(Abandoned)) })
    }

    fn grant(&self) {
        drop(self.0.setter());
    }

    fn at_rest(&self, _unclaimed: u32) {
        drop(self.0.setter());
        assert_eq!(self.0.promise.try_get(), Err(TryGetError::Abandoned));
    }
}

#[test]
fn promise_5_and_6_all_get_the_same() {
    assert!(invariants::check::<Fulfilled>().finished > 1_000);
}

#[test]
fn promise_2_and_6_all_learn_that_it_was_abandoned() {
    assert!(invariants::check::<Deserted>().finished > 1_000);
}

#[test]
fn promise_4_a_shared_value_comes_back_when_the_last_promise_is_gone() {
    let (mut setter, promise) = shared_promise();
    let another = promise.clone();
    let (count, waker) = Count::new();
    {
        let mut closed = pin!(setter.closed());
        assert!(poll(closed.as_mut(), &waker).is_pending());
        drop(promise);
        assert!(poll(closed.as_mut(), &waker).is_pending());
        assert_eq!(count.wakes(), 0);
        drop(another);
        assert_eq!(count.wakes(), 1);
        assert!(poll(closed.as_mut(), &waker).is_ready());
    }
    assert_eq!(Arc::strong_count(&count), 2, "I2");
    assert!(setter.is_closed());
    assert_eq!(setter.set(1).map_err(Unwanted::into_inner), Err(1));
}

#[test]
fn a_wait_for_the_end_of_shared_promises_leaves_no_waker() {
    let (mut setter, promise) = shared_promise::<u32>();
    let (count, waker) = Count::new();
    let mut closed = Box::pin(setter.closed());
    assert!(poll(closed.as_mut(), &waker).is_pending());
    drop(closed);
    assert_eq!(Arc::strong_count(&count), 2, "I2");
    drop(promise);
}

#[test]
fn threads_wait_for_a_shared_promise() {
    let _watchdog = limits::watchdog(60);
    let (setter, promise) = shared_promise();
    let threads = [(); 3].map(|()| {
        let promise = promise.clone();
        thread::spawn(move || promise.blocking_get().cloned())
    });
    setter.set("for all".to_owned()).unwrap();
    for thread in threads {
        assert_eq!(thread.join().unwrap().as_deref(), Ok("for all"));
    }
}

/// What may go to another thread: with values that may, all of it.
#[test]
fn ends_and_waits_go_to_other_threads() {
    fn sent<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>(_: &T) {}
    let (mut setter, promise) = promise::<std::cell::Cell<u32>>();
    shared(&setter);
    shared(&promise);
    sent(&setter.closed());
    let (mut setter, promise) = shared_promise::<u32>();
    shared(&setter);
    shared(&promise);
    sent(&promise.get());
    sent(&setter.closed());
}
