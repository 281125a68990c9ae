//! `Watch` against its rules in `docs/semantics.md`.
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_sync::{SendersGone, Watch, WatchSender, watch};
use filch_testkit::invariants::{self, Reach, Rules, Subject, Wait};
use filch_testkit::{DropAtEveryPoll, exec, limits};
use std::cell::Cell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::thread;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Looks once.
fn now<F: Future>(future: F) -> Poll<F::Output> {
    poll(pin!(future))
}

#[test]
fn watch_1_the_latest_value_is_seen_and_those_in_between_may_be_missed() {
    let (sender, mut watch) = watch(0);
    assert_eq!(*watch.borrow(), 0);
    (1..=3).for_each(|value| sender.send(value));
    assert_eq!(now(watch.changed()), Poll::Ready(Ok(())));
    assert_eq!((*watch.borrow(), *sender.borrow()), (3, 3));
    assert!(now(watch.changed()).is_pending());
    assert_eq!(sender.replace(4), 3);
}

#[test]
fn watch_2_each_receiver_remembers_what_it_has_seen() {
    let (sender, mut first) = watch(0);
    sender.send(1);
    let mut second = first.clone();
    let mut late = sender.subscribe();
    assert!(first.has_changed() && second.has_changed() && !late.has_changed());
    assert_eq!(*first.borrow(), 1);
    assert!(first.has_changed(), "a look without `update` is none");
    assert_eq!(*first.borrow_and_update(), 1);
    assert!(!first.has_changed());
    assert_eq!(now(second.changed()), Poll::Ready(Ok(())));
    assert!(now(late.changed()).is_pending());
    late.mark_changed();
    assert_eq!(now(late.changed()), Poll::Ready(Ok(())));
}

#[test]
fn watch_3_only_what_changed_is_reported_also_if_the_change_panics() {
    let (sender, mut watch) = watch(0);
    assert!(!sender.send_if_modified(|_| false));
    assert!(!watch.has_changed());
    assert!(sender.send_if_modified(|value| {
        *value += 1;
        true
    }));
    assert_eq!(now(watch.changed()), Poll::Ready(Ok(())));
    let torn = catch_unwind(AssertUnwindSafe(|| {
        sender.send_modify(|value| {
            *value = 2;
            panic!("in the midst of a change");
        });
    }));
    assert!(torn.is_err());
    assert_eq!(now(watch.changed()), Poll::Ready(Ok(())));
    assert_eq!(*watch.borrow(), 2);
}

/// A value may be changed while another that was replaced is dropped.
#[test]
fn the_old_value_is_dropped_when_the_lock_is_released() {
    struct Sends(Option<WatchSender<Option<Box<Self>>>>);
    impl Drop for Sends {
        fn drop(&mut self) {
            if let Some(sender) = self.0.take() {
                assert!(sender.borrow().is_none());
                sender.send(None);
            }
        }
    }
    let _watchdog = limits::watchdog(60);
    let (sender, mut watch) = watch(None);
    sender.send(Some(Box::new(Sends(Some(sender.clone())))));
    sender.send(None);
    drop(sender);
    assert_eq!(now(watch.changed()), Poll::Ready(Ok(())));
    assert_eq!(now(watch.changed()), Poll::Ready(Err(SendersGone)));
}

/// WATCH-3 and WATCH-4, and C1.
#[test]
fn watch_4_dropping_a_wait_marks_nothing_as_seen() {
    let summary = exec::block_on(DropAtEveryPoll::new().run(|cut| async move {
        let (sender, mut watch) = watch(0);
        let send = async {
            exec::yield_now().await;
            sender.send(1);
        };
        let (changed, ()) = exec::join(cut.run_here(async { watch.changed().await }), send).await;
        match changed {
            Some(changed) => assert_eq!((changed, watch.has_changed()), (Ok(()), false)),
            None => assert_eq!(now(watch.changed()), Poll::Ready(Ok(()))),
        }
        assert_eq!(*watch.borrow(), 1);
    }));
    // Three polls: the first, one for nothing, and the one that has it.
    assert_eq!(summary.dropped, 5);
}

#[test]
fn watch_5_the_last_value_is_reported_before_the_end() {
    let (sender, mut watch) = watch(0);
    let other = sender.clone();
    sender.send(1);
    drop(sender);
    assert!(!watch.is_closed());
    drop(other);
    assert!(watch.is_closed());
    assert_eq!(now(watch.changed()), Poll::Ready(Ok(())));
    assert_eq!(now(watch.changed()), Poll::Ready(Err(SendersGone)));
    assert_eq!(*watch.borrow(), 1);
    assert_eq!(
        now(watch.wait_for(|value| *value == 1)).map(|got| got.map(|it| *it)),
        Poll::Ready(Ok(1))
    );
    assert!(matches!(now(watch.wait_for(|value| *value == 2)), Poll::Ready(Err(SendersGone))));
}

#[test]
fn a_value_is_waited_for() {
    let (sender, mut watch) = watch(0);
    let looked = Cell::new(0);
    let mut late = watch.clone();
    let mut wait = Box::pin(watch.wait_for(|value| {
        looked.set(looked.get() + 1);
        *value == 2
    }));
    assert!(poll(wait.as_mut()).is_pending());
    sender.send(1);
    assert!(poll(wait.as_mut()).is_pending());
    sender.send(2);
    match poll(wait.as_mut()) {
        Poll::Ready(Ok(value)) => assert_eq!((*value, looked.get()), (2, 3)),
        _ => panic!("it is there"),
    }
    drop(wait);
    assert!(!watch.has_changed());
    assert!(matches!(now(late.wait_for(|value| *value == 2)), Poll::Ready(Ok(_))));
    assert!(!late.has_changed());
}

#[test]
fn a_sender_may_wait_until_nobody_watches() {
    let (sender, watch) = watch(0);
    let mut closed = Box::pin(sender.closed());
    assert!(poll(closed.as_mut()).is_pending());
    let another = watch.clone();
    drop(watch);
    assert!(poll(closed.as_mut()).is_pending());
    drop(another);
    assert!(poll(closed.as_mut()).is_ready());
    assert!(sender.is_closed());
    let watch = sender.subscribe();
    assert!(!sender.is_closed());
    assert!(now(sender.closed()).is_pending());
    sender.send(1);
    assert_eq!((sender.receiver_count(), *watch.borrow()), (1, 1));
}

#[test]
fn a_value_is_borrowed_several_times_at_once() {
    let (sender, watch) = watch(7);
    let (first, second) = (watch.borrow(), sender.borrow());
    assert_eq!(*first + *second, 14);
}

/// Receivers on threads of their own see values that only grow, and the last.
#[test]
fn stress_nobody_misses_the_last_value() {
    let _watchdog = limits::watchdog(120);
    for _ in 0..200 {
        let (sender, watch) = watch(0);
        let receivers = [(); 3].map(|()| {
            let mut watch = watch.clone();
            thread::spawn(move || {
                let mut last = 0;
                while watch.blocking_changed().is_ok() {
                    let value = *watch.borrow_and_update();
                    assert!(value >= last, "{value} after {last}");
                    last = value;
                }
                last
            })
        });
        (1..=50).for_each(|value| sender.send(value));
        drop(sender);
        for receiver in receivers {
            assert_eq!(receiver.join().unwrap(), 50);
        }
    }
}

/// Receivers that were there before: the change is news to them, whenever they ask.
struct There(WatchSender<u32>, Watch<u32>);

/// Receivers that come when they first wait.
struct Comes(WatchSender<u32>);

/// Those who learn that there is no sender.
struct Ends(Mutex<Option<WatchSender<u32>>>, Watch<u32>);

impl Subject for There {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::Everyone).kept();

    fn new() -> Self {
        let (sender, watch) = watch(0);
        Self(sender, watch)
    }

    fn wait(&self) -> Wait<'_, ()> {
        let mut watch = self.1.clone();
        Box::pin(async move { watch.changed().await.unwrap() })
    }

    fn grant(&self) {
        self.0.send_modify(|value| *value += 1);
    }

    fn at_rest(&self, _unclaimed: u32) {
        assert_eq!(self.0.receiver_count(), 1);
    }
}

impl Subject for Comes {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::Everyone);

    fn new() -> Self {
        Self(watch(0).0)
    }

    fn wait(&self) -> Wait<'_, ()> {
        Box::pin(async { self.0.subscribe().changed().await.unwrap() })
    }

    fn grant(&self) {
        self.0.send(1);
    }

    fn at_rest(&self, _unclaimed: u32) {
        assert!(self.0.is_closed());
    }
}

impl Subject for Ends {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::Everyone).kept().grants(1);

    fn new() -> Self {
        let (sender, watch) = watch(0);
        Self(Mutex::new(Some(sender)), watch)
    }

    fn wait(&self) -> Wait<'_, ()> {
        let mut watch = self.1.clone();
        Box::pin(async move { assert_eq!(watch.changed().await, Err(SendersGone)) })
    }

    fn grant(&self) {
        drop(self.0.lock().unwrap().take());
    }

    fn at_rest(&self, _unclaimed: u32) {}
}

#[test]
fn i1_to_i6_for_a_change() {
    assert!(invariants::check::<There>().finished > 1_000);
    assert!(invariants::check::<Comes>().finished > 1_000);
}

#[test]
fn i1_to_i6_for_the_end() {
    assert!(invariants::check::<Ends>().finished > 1_000);
}

#[test]
fn waits_go_to_other_threads() {
    fn sent<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>(_: &T) {}
    let (sender, mut watch) = watch(0);
    shared(&sender);
    shared(&watch);
    sent(&sender.closed());
    sent(&watch.changed());
    sent(&watch.wait_for(|_| true));
}
