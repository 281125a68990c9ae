//! The blocking twins refuse to hold up a worker, whether or not they would have to wait this time.

use filch_atomic::current::{WaitRecord, enter};
use filch_sync::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

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
    refused(|| BoundedSemaphore::new(1).blocking_acquire().is_ok());

    let event = Event::new();
    event.set();
    refused(|| event.blocking_wait());
    refused(|| Barrier::new(1).blocking_wait());
    refused(|| Condition::new().blocking_wait(lock.try_lock().expect("nobody has it")));
    assert!(!lock.is_locked());

    let queue = Queue::unbounded();
    refused(|| queue.blocking_put(1));
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
