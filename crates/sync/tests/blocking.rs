//! The blocking twins refuse to hold up a worker, whether or not they would have to wait this time.
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_atomic::current::{WaitRecord, enter};
use filch_sync::queue::ShutDown;
use filch_sync::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

/// As a task of filch would call it.
#[track_caller]
fn refused<R>(blocking: impl FnOnce() -> R) {
    let record = WaitRecord::new();
    let task = std::ptr::from_ref(&record).cast();
    let called = || catch_unwind(AssertUnwindSafe(|| drop(blocking())));
    // SAFETY: nobody asks for the task here but the primitives, which only look whether there is one.
    let panic = unsafe { enter(task, &record, called) }.expect_err("a task was blocked");
    let message = panic.downcast_ref::<&str>().expect("it says why");
    assert!(message.contains("await instead"), "{message}");
}

#[test]
fn a_task_is_not_blocked_though_it_would_not_have_to_wait() {
    let lock = Arc::new(Lock::new(1));
    refused(|| *lock.blocking_lock());
    refused(|| *lock.clone().blocking_lock_owned());
    let rwlock = RwLock::new(1);
    refused(|| *rwlock.blocking_read());
    refused(|| *rwlock.blocking_write());
    refused(|| Semaphore::new(1).blocking_acquire().is_ok());
    refused(|| Semaphore::new(2).blocking_acquire_many(2).is_ok());
    refused(|| BoundedSemaphore::new(1).blocking_acquire().is_ok());
    refused(|| BoundedSemaphore::new(2).blocking_acquire_many(2).is_ok());

    let event = Event::new();
    event.set();
    refused(|| event.blocking_wait());
    refused(|| Barrier::new(1).blocking_wait());
    refused(|| Condition::new().blocking_wait(lock.try_lock().expect("nobody has it")));
    let held = || lock.try_lock().expect("nobody has it");
    refused(|| Condition::new().blocking_wait_while(held(), |_| false));
    refused(|| Condition::new().blocking_wait_for(held(), |_| true));
    assert!(!lock.is_locked());

    let queue = Queue::unbounded();
    refused(|| queue.blocking_put(1));
    refused(|| queue.blocking_reserve());
    queue.try_put(1).expect("there is room");
    refused(|| queue.blocking_get());
    assert_eq!(queue.len(), 1);
    drop(queue.try_get());
    refused(|| queue.blocking_join());

    let cell = OnceCell::from(1);
    refused(|| *cell.blocking_get_or_init(|| 2));
    let (setter, value) = promise();
    setter.set(1).expect("somebody wants it");
    refused(|| value.blocking_get());
    let (setter, value) = shared_promise();
    setter.set(1).expect("somebody wants it");
    refused(|| value.blocking_get().copied());
    let (sender, mut watch) = watch(1);
    sender.send(2);
    refused(|| watch.blocking_changed());
    let (sender, mut broadcast) = broadcast(1);
    sender.send(1).expect("somebody listens");
    refused(|| broadcast.blocking_recv());
}

/// Each sleeps until another thread has done its part.
#[test]
fn a_thread_sleeps_until_it_is_its_turn() {
    let semaphore = Semaphore::new(0);
    let bounded = BoundedSemaphore::new(2);
    let taken = bounded.try_acquire().expect("one is free");
    let queue = Queue::bounded(1);
    queue.try_put(1).expect("there is room");
    let (lock, changed) = (Lock::new(0), Condition::new());
    thread::scope(|scope| {
        let many = scope.spawn(|| semaphore.blocking_acquire_many(3).map(Permit::forget));
        (0..3).for_each(|_| semaphore.add_permits(1));
        assert_eq!(many.join().expect("it does not panic"), Ok(()));
        assert_eq!(semaphore.available_permits(), 0);

        let both = scope.spawn(|| bounded.blocking_acquire_many(2).map(drop));
        drop(taken);
        assert_eq!(both.join().expect("it does not panic"), Ok(()));

        let slot = scope.spawn(|| queue.blocking_reserve().map(|slot| slot.put(2)));
        assert_eq!(queue.blocking_get().map(|lease| *lease), Ok(1));
        assert_eq!(slot.join().expect("it does not panic"), Ok(()));
        assert_eq!(queue.try_get().map(|lease| *lease), Ok(2));

        let odd =
            scope.spawn(|| *changed.blocking_wait_while(lock.blocking_lock(), |n| *n % 2 == 0));
        let three = scope.spawn(|| *changed.blocking_wait_for(lock.blocking_lock(), |n| *n == 3));
        for _ in 0..3 {
            let mut number = lock.blocking_lock();
            *number += 1;
            changed.notify_all(&number);
        }
        assert_eq!(odd.join().expect("it does not panic") % 2, 1);
        assert_eq!(three.join().expect("it does not panic"), 3);
    });
}

#[test]
fn a_thread_learns_of_the_end() {
    let semaphore = Semaphore::new(1);
    let queue = Queue::bounded(1);
    queue.try_put(1).expect("there is room");
    thread::scope(|scope| {
        let many = scope.spawn(|| semaphore.blocking_acquire_many(2).map(drop));
        let slot = scope.spawn(|| queue.blocking_reserve().map(drop));
        semaphore.close();
        queue.shutdown();
        assert_eq!(many.join().expect("it does not panic"), Err(Closed));
        assert_eq!(slot.join().expect("it does not panic"), Err(ShutDown));
    });
    assert_eq!(queue.blocking_reserve().map(drop), Err(ShutDown));
}

#[test]
#[should_panic(expected = "never has so many permits")]
fn more_than_there_will_ever_be_are_not_waited_for() {
    let _ = BoundedSemaphore::new(2).blocking_acquire_many(3).is_ok();
}
