//! The queue: an item reaches a getter, and room a putter, whoever goes meanwhile.
#![cfg(filch_loom)]

use filch_atomic::sync::{Condvar, Mutex};
use filch_atomic::thread;
use filch_sync::Queue;
use filch_sync::queue::TryGetError;
use std::future::Future;
use std::pin::{Pin, pin};
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

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// Waits on this thread. A wake that is lost is a deadlock, which the model finds.
fn wait<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    let (bell, waker) = Bell::new();
    loop {
        match poll(future.as_mut(), &waker) {
            Poll::Ready(output) => return output,
            Poll::Pending => bell.wait(),
        }
    }
}

fn put(queue: &Queue<u32>, item: u32) {
    wait(pin!(queue.put(item))).unwrap();
}

fn get(queue: &Queue<u32>) -> u32 {
    wait(pin!(queue.get_raw())).unwrap()
}

#[test]
fn items_pass_from_thread_to_thread() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || (1..=3).for_each(|item| put(&queue, item)))
        };
        assert_eq!([(); 3].map(|()| get(&queue)), [1, 2, 3]);
        producer.join().unwrap();
    });
}

/// Two put, one gets.
#[test]
fn room_reaches_every_putter() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        let putters = [1, 2].map(|item| {
            let queue = queue.clone();
            thread::spawn(move || put(&queue, item))
        });
        assert_eq!(get(&queue) + get(&queue), 3);
        for putter in putters {
            putter.join().unwrap();
        }
    });
}

/// A getter goes just as an item comes: that is for the one behind.
#[test]
fn a_getter_that_goes_leaves_its_item() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        let (_, waker) = Bell::new();
        let mut first = Box::pin(queue.get_raw());
        assert!(poll(first.as_mut(), &waker).is_pending());
        let behind = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(get(&queue), 1))
        };
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || queue.try_put(1).unwrap())
        };
        drop(first);
        behind.join().unwrap();
        producer.join().unwrap();
    });
}

/// A putter goes just as there is room for it: that is for the one behind.
#[test]
fn a_putter_that_goes_leaves_its_room() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        queue.try_put(0).unwrap();
        let (_, waker) = Bell::new();
        let mut first = Box::pin(queue.put(1));
        assert!(poll(first.as_mut(), &waker).is_pending());
        let behind = {
            let queue = queue.clone();
            thread::spawn(move || put(&queue, 2))
        };
        let consumer = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(queue.try_get_raw(), Ok(0)))
        };
        drop(first);
        behind.join().unwrap();
        consumer.join().unwrap();
        assert_eq!(queue.try_get_raw(), Ok(2));
    });
}

/// A getter is polled with another waker just as an item comes: that waker is woken, or that poll has it.
#[test]
fn the_waker_of_the_last_poll_is_woken() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        let (_, old) = Bell::new();
        let mut getter = Box::pin(queue.get_raw());
        assert!(poll(getter.as_mut(), &old).is_pending());
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || queue.try_put(1).unwrap())
        };
        assert_eq!(wait(getter.as_mut()), Ok(1));
        producer.join().unwrap();
    });
}

/// The item that comes is for who waits.
#[test]
fn nobody_gets_in_between() {
    loom::model(|| {
        let queue = Queue::bounded(1);
        let (_, waker) = Bell::new();
        let mut getter = Box::pin(queue.get_raw());
        assert!(poll(getter.as_mut(), &waker).is_pending());
        let producer = {
            let queue = queue.clone();
            thread::spawn(move || queue.try_put(1).unwrap())
        };
        let intruder = {
            let queue = queue.clone();
            thread::spawn(move || assert_eq!(queue.try_get_raw(), Err(TryGetError::Empty)))
        };
        assert_eq!(wait(getter.as_mut()), Ok(1));
        producer.join().unwrap();
        intruder.join().unwrap();
    });
}
