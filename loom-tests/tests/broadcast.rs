//! The broadcast: each item reaches each receiver once, or is counted as lost, and so does the end.
#![cfg(filch_loom)]

use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_sync::{Broadcast, RecvError, broadcast};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};

/// A waker that a thread can wait for.
struct Bell(Mutex<bool>, Condvar);

impl Bell {
    fn new() -> (std::sync::Arc<Self>, Waker) {
        let bell = std::sync::Arc::new(Self(Mutex::new(false), Condvar::new()));
        (bell.clone(), Waker::from(bell))
    }

    fn wait(&self) {
        let mut rung = self.0.lock();
        while !*rung {
            self.1.wait(&mut rung);
        }
        *rung = false;
    }
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        *self.0.lock() = true;
        self.1.notify_one();
    }
}

/// Waits on this thread. A wake that is lost is a deadlock, which the model finds.
fn wait<F: Future>(future: F) -> F::Output {
    let (bell, waker) = Bell::new();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => bell.wait(),
        }
    }
}

/// Receives to the end. Gives how many items came, and how many were lost.
fn drain(mut receiver: Broadcast<Arc<u32>>) -> (u64, u64) {
    let (mut got, mut lost) = (0, 0);
    loop {
        match wait(receiver.recv()) {
            Ok(_) => got += 1,
            Err(RecvError::Lagged(missed)) => lost += missed,
            Err(RecvError::SendersGone) => return (got, lost),
        }
    }
}

#[test]
fn every_receiver_gets_every_item() {
    loom::model(|| {
        let (sender, receiver) = broadcast(2);
        let other = receiver.resubscribe();
        let other = thread::spawn(move || drain(other));
        let sender = thread::spawn(move || {
            for item in 0..2 {
                assert!(sender.send(Arc::new(item)).is_ok());
            }
        });
        assert_eq!(drain(receiver), (2, 0));
        assert_eq!(other.join().unwrap(), (2, 0));
        sender.join().unwrap();
    });
}

/// The sender stays, so that only its item can wake.
#[test]
fn an_item_reaches_who_waits() {
    loom::model(|| {
        let (sender, mut receiver) = broadcast(1);
        let sender = thread::spawn(move || {
            assert!(sender.send(Arc::new(7)).is_ok());
            sender
        });
        assert!(matches!(wait(receiver.recv()), Ok(item) if *item == 7));
        drop(sender.join().unwrap());
    });
}

#[test]
fn what_is_lost_is_told_of() {
    loom::model(|| {
        let (sender, receiver) = broadcast(1);
        let sender = thread::spawn(move || {
            for item in 0..3 {
                assert!(sender.send(Arc::new(item)).is_ok());
            }
        });
        let (got, lost) = drain(receiver);
        assert!(got > 0 && got + lost == 3);
        sender.join().unwrap();
    });
}

/// A wait is dropped as an item comes: the item is there for the next.
#[test]
fn a_wait_that_goes_takes_nothing() {
    loom::model(|| {
        let (sender, mut receiver) = broadcast(1);
        let (bell, waker) = Bell::new();
        let sender = thread::spawn(move || sender.send(Arc::new(7)).is_ok());
        let early = {
            let mut recv = pin!(receiver.recv());
            recv.as_mut().poll(&mut Context::from_waker(&waker))
        };
        let item = match early {
            Poll::Ready(item) => item,
            Poll::Pending => wait(receiver.recv()),
        };
        assert!(matches!(item, Ok(item) if *item == 7));
        assert!(sender.join().unwrap());
        drop(waker);
        assert_eq!(std::sync::Arc::strong_count(&bell), 1, "no waker stays behind");
    });
}

/// A receiver goes as items come: what only it would have seen goes too, and the sender learns of it.
#[test]
fn a_receiver_goes_as_items_come() {
    loom::model(|| {
        let (sender, receiver) = broadcast(2);
        let sender = thread::spawn(move || {
            for item in 0..2 {
                let _ = sender.send(Arc::new(item));
            }
            sender
        });
        drop(receiver);
        let sender = sender.join().unwrap();
        assert!(sender.is_empty());
        assert!(sender.send(Arc::new(2)).is_err());
    });
}
