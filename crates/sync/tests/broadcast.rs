//! `Broadcast` against its rules in `docs/semantics.md`.
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_atomic::current::{self, WaitRecord};
use filch_sync::{Broadcast, BroadcastSender, RecvError, TryRecvError, broadcast};
use filch_testkit::invariants::{self, Reach, Rules, Subject, Wait};
use filch_testkit::{DropAtEveryPoll, Hooks, Random, exec, limits};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

/// Looks once.
fn now<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn bcast_1_everybody_gets_everything_since_they_came() {
    let (sender, mut first) = broadcast(8);
    sender.send(1).unwrap();
    let mut second = sender.subscribe();
    let mut third = first.resubscribe();
    assert_eq!(sender.send(2), Ok(3));
    for item in [1, 2] {
        assert_eq!(now(first.recv()), Poll::Ready(Ok(item)));
    }
    assert_eq!((second.try_recv(), third.try_recv()), (Ok(2), Ok(2)));
    assert_eq!(first.try_recv(), Err(TryRecvError::Empty));
    assert!(first.is_empty() && second.is_empty() && sender.is_empty());
    assert!(now(first.recv()).is_pending());
}

#[test]
fn bcast_2_who_is_behind_loses_the_oldest_and_is_told() {
    let (sender, mut slow) = broadcast(2);
    let mut fast = slow.resubscribe();
    for item in 1..=5 {
        sender.send(item).unwrap();
        assert_eq!(fast.try_recv(), Ok(item));
    }
    assert_eq!(slow.len(), 5);
    assert_eq!(now(slow.recv()), Poll::Ready(Err(RecvError::Lagged(3))));
    assert_eq!(now(slow.recv()), Poll::Ready(Ok(4)));
    sender.send(6).unwrap();
    sender.send(7).unwrap();
    assert_eq!(slow.try_recv(), Err(TryRecvError::Lagged(1)));
    assert_eq!((slow.try_recv(), slow.try_recv()), (Ok(6), Ok(7)));
    assert_eq!(slow.try_recv(), Err(TryRecvError::Empty));
}

/// BCAST-3 and C1.
#[test]
fn bcast_3_a_wait_that_is_dropped_takes_nothing() {
    let summary = exec::block_on(DropAtEveryPoll::new().run(|cut| async move {
        let (sender, mut receiver) = broadcast(4);
        let send = async {
            exec::yield_now().await;
            sender.send("item").unwrap();
        };
        let (got, ()) = exec::join(cut.run_here(async { receiver.recv().await }), send).await;
        drop(sender);
        let got = match got {
            Some(got) => got,
            None => receiver.recv().await,
        };
        assert_eq!(got, Ok("item"));
        assert_eq!(receiver.recv().await, Err(RecvError::SendersGone));
    }));
    // Three polls: the first, one for nothing, and the one that has it.
    assert_eq!(summary.dropped, 5);
}

#[test]
fn bcast_4_what_is_left_comes_before_the_end() {
    let (sender, mut receiver) = broadcast(4);
    let other = sender.clone();
    sender.send(1).unwrap();
    drop(sender);
    other.send(2).unwrap();
    drop(other);
    assert_eq!((receiver.try_recv(), receiver.try_recv()), (Ok(1), Ok(2)));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::SendersGone));
    assert_eq!(now(receiver.recv()), Poll::Ready(Err(RecvError::SendersGone)));
}

#[test]
fn bcast_5_with_no_receivers_the_item_comes_back() {
    let (sender, receiver) = broadcast(4);
    drop(receiver);
    assert_eq!(sender.send(1), Err(1));
    let mut late = sender.subscribe();
    assert_eq!(sender.send(2), Ok(1));
    assert_eq!(late.try_recv(), Ok(2));
}

/// What everybody has seen, or nobody wants any more, is not kept; the last to see it gets the item itself.
#[test]
fn an_item_goes_when_nobody_wants_it_any_more() {
    struct NotCopied(Arc<()>);
    impl Clone for NotCopied {
        fn clone(&self) -> Self {
            panic!("the last receiver gets the item itself");
        }
    }
    let alive = Arc::new(());
    let (sender, mut receiver) = broadcast(4);
    sender.send(NotCopied(alive.clone())).ok().unwrap();
    drop(receiver.try_recv().ok().unwrap().0);
    assert_eq!(Arc::strong_count(&alive), 1);

    let mut other = receiver.resubscribe();
    for _ in 0..3 {
        sender.send(NotCopied(alive.clone())).ok().unwrap();
    }
    drop(receiver);
    assert_eq!((Arc::strong_count(&alive), sender.len()), (4, 3));
    drop(other.try_recv().ok().unwrap());
    drop(other);
    assert_eq!((Arc::strong_count(&alive), sender.len()), (1, 0));
}

/// A destructor, or a `clone`, may use the channel itself: no lock is held.
#[test]
fn items_are_dropped_and_copied_with_the_lock_released() {
    struct Looks(BroadcastSender<Looks>);
    impl Clone for Looks {
        fn clone(&self) -> Self {
            self.0.is_empty();
            Self(self.0.clone())
        }
    }
    impl Drop for Looks {
        fn drop(&mut self) {
            self.0.is_empty();
        }
    }
    let _watchdog = limits::watchdog(60);
    let (sender, mut receiver) = broadcast(1);
    let other = receiver.resubscribe();
    for _ in 0..3 {
        sender.send(Looks(sender.clone())).ok().unwrap();
    }
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Lagged(2))));
    drop(receiver.try_recv().ok().unwrap());
    drop(other);
    assert!(sender.is_empty());
}

#[test]
#[should_panic(expected = "room for an item")]
fn there_is_room_for_an_item() {
    let _ = broadcast::<u32>(0);
}

/// Random programs on one thread against the plainest reference: each receiver has a queue of its own.
#[test]
fn it_is_what_a_queue_for_each_receiver_would_be() {
    const ROOM: usize = 3;
    let seed = Random::seed();
    println!("FILCH_SEED={seed}");
    let mut random = Random::new(seed);
    for _ in 0..300 {
        let (sender, first) = broadcast(ROOM);
        let mut receivers = vec![(first, VecDeque::new(), 0)];
        for item in 0..60 {
            let which = random.below(receivers.len().max(1));
            match random.below(10) {
                0 => receivers.push((sender.subscribe(), VecDeque::new(), 0)),
                1 if !receivers.is_empty() => drop(receivers.swap_remove(which)),
                2..=4 => {
                    let sent = sender.send(item);
                    assert_eq!(sent.is_ok(), !receivers.is_empty());
                    for (_, queue, lost) in &mut receivers {
                        queue.push_back(item);
                        if queue.len() > ROOM {
                            queue.pop_front();
                            *lost += 1;
                        }
                    }
                }
                _ => {
                    let Some((receiver, queue, lost)) = receivers.get_mut(which) else { continue };
                    assert_eq!(receiver.len(), queue.len() as u64 + *lost);
                    let expected = match std::mem::take(lost) {
                        0 => queue.pop_front().ok_or(TryRecvError::Empty),
                        lost => Err(TryRecvError::Lagged(lost)),
                    };
                    assert_eq!(receiver.try_recv(), expected);
                }
            }
        }
    }
}

#[test]
fn stress_nothing_is_lost_that_is_not_told_of() {
    let _watchdog = limits::watchdog(120);
    const SENT: u64 = 2_000;
    for _ in 0..10 {
        let (sender, receiver) = broadcast(16);
        let receivers = [receiver.resubscribe(), receiver].map(|mut receiver| {
            thread::spawn(move || {
                let (mut got, mut lost) = (0, 0);
                loop {
                    match receiver.blocking_recv() {
                        Ok(_) => got += 1,
                        Err(RecvError::Lagged(missed)) => lost += missed,
                        Err(RecvError::SendersGone) => return got + lost,
                    }
                }
            })
        });
        let senders = [sender.clone(), sender].map(|sender| {
            thread::spawn(move || {
                for item in 0..SENT {
                    sender.send(Arc::new(item)).unwrap();
                }
            })
        });
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        for receiver in receivers {
            assert_eq!(receiver.join().unwrap(), 2 * SENT);
        }
    }
}

struct Comes(BroadcastSender<u32>);

impl Subject for Comes {
    type Got<'a> = ();
    const RULES: Rules = Rules::new(Reach::Everyone);

    fn new() -> Self {
        Self(broadcast(8).0)
    }

    fn wait(&self) -> Wait<'_, ()> {
        Box::pin(async { assert_eq!(self.0.subscribe().recv().await, Ok(1)) })
    }

    fn grant(&self) {
        let _ = self.0.send(1);
    }

    fn at_rest(&self, _unclaimed: u32) {
        assert_eq!((self.0.receiver_count(), self.0.len()), (0, 0));
    }
}

#[test]
fn i1_to_i6() {
    assert!(invariants::check::<Comes>().finished > 1_000);
}

#[test]
fn waits_go_to_other_threads() {
    fn sent<T: Send>(_: &T) {}
    fn shared<T: Send + Sync>(_: &T) {}
    let (sender, mut receiver) = broadcast::<u32>(1);
    shared(&sender);
    shared(&receiver);
    sent(&receiver.recv());
}

/// An item whose first copy fails.
#[derive(Debug)]
struct Fragile(Arc<AtomicUsize>);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "this item is not copied at first");
        Self(self.0.clone())
    }
}

/// BCAST-1: an item that could not be copied is there for the next call.
#[test]
fn a_copy_that_panics_loses_no_item() {
    let panics = |action: &mut dyn FnMut()| {
        assert!(catch_unwind(AssertUnwindSafe(action)).is_err(), "the item was not copied");
    };
    for by_trying in [false, true] {
        let (sender, mut receiver) = broadcast(2);
        let other = sender.subscribe();
        let copies = Arc::new(AtomicUsize::new(0));
        sender.send(Fragile(copies.clone())).unwrap();
        panics(&mut || match by_trying {
            true => drop(receiver.try_recv()),
            false => drop(now(receiver.recv())),
        });
        assert_eq!((receiver.len(), other.len()), (1, 1));
        // Nor does it wait in the ring, where it might be lost to who does not keep up.
        for _ in 0..3 {
            sender.send(Fragile(Arc::new(AtomicUsize::new(1)))).unwrap();
        }
        assert_eq!(receiver.len(), 4);
        let item = receiver.try_recv().expect("the item is there");
        assert!(Arc::ptr_eq(&item.0, &copies));
        assert_eq!(receiver.try_recv().err(), Some(TryRecvError::Lagged(1)), "once");
        assert_eq!((receiver.len(), other.len()), (2, 4));
        drop(other);
        assert!(receiver.try_recv().is_ok() && receiver.try_recv().is_ok());
        assert!(receiver.is_empty());
    }
}

/// Its own waker, cloned for a wait that turned out to be none, panics when it is dropped, or uses up the turn.
#[test]
fn a_waker_loses_no_item() {
    // It is sent while the first poll clones the waker.
    let send_once = |sender: &BroadcastSender<u32>| {
        let (sender, sent) = (sender.clone(), AtomicBool::new(false));
        move || {
            if !sent.swap(true, Ordering::Relaxed) {
                sender.send(7).unwrap();
            }
        }
    };
    let poll = |receiver: &mut Broadcast<u32>, waker: &Waker| {
        pin!(receiver.recv()).poll(&mut Context::from_waker(waker))
    };
    let (sender, mut receiver) = broadcast(2);
    let drops = AtomicBool::new(true);
    let drop_once = move || assert!(!drops.swap(false, Ordering::Relaxed), "this waker panics");
    let waker = Hooks::new().on_clone(send_once(&sender)).on_drop(drop_once).waker();
    let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut receiver, &waker)));
    assert!(polled.is_err(), "the waker was not dropped");
    assert_eq!(receiver.len(), 1);
    assert_eq!(poll(&mut receiver, Waker::noop()), Poll::Ready(Ok(7)));

    let send = send_once(&sender);
    let waker = Hooks::new()
        .on_clone(move || {
            send();
            let mut cx = Context::from_waker(Waker::noop());
            while current::has_budget() {
                assert!(current::poll_proceed(&mut cx).is_ready());
            }
        })
        .waker();
    let record = WaitRecord::new();
    // SAFETY: null.
    let polled =
        unsafe { current::enter(std::ptr::null(), &record, || poll(&mut receiver, &waker)) };
    assert!(polled.is_pending(), "the task has had its turn");
    assert_eq!(poll(&mut receiver, Waker::noop()), Poll::Ready(Ok(7)));
}
