//! The once cell: one value, whoever comes to make it, whoever fails to, and whoever gives up.
#![cfg(filch_loom)]

use filch_atomic::sync::{Condvar, Mutex};
use filch_atomic::thread;
use filch_sync::OnceCell;
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

/// A cell that waits of several threads may borrow. Its memory is never freed.
fn leaked() -> &'static OnceCell<u32> {
    Box::leak(Box::new(OnceCell::new()))
}

/// The value is no atomic: loom sees a thread that reads it while another writes.
#[test]
fn all_get_the_value_of_one() {
    loom::model(|| {
        let cell = leaked();
        let others =
            [1, 2].map(|value| thread::spawn(move || *wait(cell.get_or_init(async || value))));
        let mine = *wait(cell.get_or_init(async || 3));
        for other in others {
            assert_eq!(other.join().unwrap(), mine);
        }
    });
}

/// Who waits for the value without making one sees all of it.
#[test]
fn a_look_sees_nothing_or_all() {
    loom::model(|| {
        let cell = leaked();
        let other = thread::spawn(move || cell.set(7).is_ok());
        if let Some(value) = cell.get() {
            assert_eq!(*value, 7);
        }
        assert!(other.join().unwrap());
        assert_eq!(cell.get(), Some(&7));
    });
}

/// One fails, and one comes meanwhile and waits: it has its turn.
#[test]
fn who_waits_has_a_turn_when_another_fails() {
    loom::model(|| {
        let cell = leaked();
        let other = thread::spawn(move || wait(cell.get_or_try_init(async || Err::<u32, ()>(()))));
        assert_eq!(*wait(cell.get_or_init(async || 1)), 1);
        if let Ok(value) = other.join().unwrap() {
            assert_eq!(*value, 1);
        }
    });
}

/// One fails and hands its turn to who waits; a newcomer does not run beside that one.
#[test]
fn a_turn_that_was_handed_over_is_nobody_elses() {
    loom::model(|| {
        let cell = leaked();
        let (_, waker) = Bell::new();
        let cx = &mut Context::from_waker(&waker);
        let mut runs = Box::pin(cell.get_or_init(async || std::future::pending().await));
        assert!(runs.as_mut().poll(cx).is_pending());
        let mut next = Box::pin(cell.get_or_init(async || 1));
        assert!(next.as_mut().poll(cx).is_pending());
        drop(runs);
        let newcomer = thread::spawn(move || *wait(cell.get_or_init(async || 2)));
        assert_eq!(*wait(next), 1);
        assert_eq!(newcomer.join().unwrap(), 1);
    });
}

/// One is dropped as its turn comes: the turn goes to the one behind.
#[test]
fn a_turn_of_one_who_goes_is_handed_on() {
    loom::model(|| {
        let cell = leaked();
        let (_, waker) = Bell::new();
        let cx = &mut Context::from_waker(&waker);
        let mut runs = Box::pin(cell.get_or_init(async || std::future::pending().await));
        assert!(runs.as_mut().poll(cx).is_pending());
        let mut next = Box::pin(cell.get_or_init(async || unreachable!("it goes")));
        assert!(next.as_mut().poll(cx).is_pending());
        let fails = thread::spawn(move || drop(runs));
        let behind = thread::spawn(move || *wait(cell.get_or_init(async || 2)));
        drop(next);
        assert_eq!(behind.join().unwrap(), 2);
        fails.join().unwrap();
    });
}

/// One is dropped while it waits, as the value comes.
#[test]
fn who_gives_up_as_the_value_comes_leaves_nothing() {
    loom::model(|| {
        let cell = leaked();
        let (bell, waker) = Bell::new();
        let other = thread::spawn(move || *wait(cell.get_or_init(async || 1)));
        {
            let mut given_up = pin!(cell.get_or_try_init(async || Err(())));
            let _ = given_up.as_mut().poll(&mut Context::from_waker(&waker));
        }
        assert_eq!(other.join().unwrap(), 1);
        drop(waker);
        assert_eq!(std::sync::Arc::strong_count(&bell), 1, "no waker stays behind");
    });
}
