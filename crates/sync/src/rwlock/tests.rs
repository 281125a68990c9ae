//! The rules of the reader-writer lock.

use super::*;
use crate::testing::{
    Count, broken, drop_at_every_poll, forget, poll, ready, recorded_line, without_budget,
};
use filch_testkit::{Random, exec, limits};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Context;

#[track_caller]
fn reads<'a, T>(lock: &'a RwLock<T>, count: &Arc<Count>) -> Pin<Box<AcquireRead<'a, T>>> {
    let mut reads = Box::pin(lock.read());
    assert!(poll(&mut reads, count).is_pending());
    reads
}

#[track_caller]
fn writes<'a, T>(lock: &'a RwLock<T>, count: &Arc<Count>) -> Pin<Box<AcquireWrite<'a, T>>> {
    let mut writes = Box::pin(lock.write());
    assert!(poll(&mut writes, count).is_pending());
    writes
}

#[test]
fn many_read_or_one_writes() {
    let lock = RwLock::new(1);
    let first = ready(&mut Box::pin(lock.read()));
    let second = lock.try_read().unwrap();
    assert!(lock.try_write().is_none());
    assert_eq!(*first + *second, 2);
    drop((first, second));
    let mut writing = lock.try_write().unwrap();
    *writing = 2;
    assert!(lock.try_read().is_none() && lock.try_write().is_none());
    drop(writing);
    assert_eq!(*lock.try_read().unwrap(), 2);
    assert_eq!(lock.into_inner(), 2);
}

#[test]
fn a_writer_that_waits_is_not_passed_and_readers_get_in_together() {
    let lock = RwLock::new(());
    let count = Count::new();
    let held = lock.try_read();
    let mut writer = writes(&lock, &count);
    assert!(lock.try_read().is_none(), "a writer waits");
    let mut first = reads(&lock, &count);
    let mut second = reads(&lock, &count);
    let mut last = writes(&lock, &count);
    let mut late = reads(&lock, &count);
    drop(held);
    assert_eq!(count.wakes(), 1);
    drop(ready(&mut writer));
    assert_eq!(count.wakes(), 3, "both readers");
    let (first, second) = (ready(&mut first), ready(&mut second));
    assert!(poll(&mut late, &count).is_pending());
    drop(first);
    assert_eq!(count.wakes(), 3);
    drop(second);
    drop(ready(&mut last));
    drop(ready(&mut late));
    assert!(lock.try_write().is_some());
    assert_eq!(count.wakers(), 0);
}

#[test]
fn a_writer_that_goes_lets_in_the_readers_behind_it() {
    let lock = RwLock::new(());
    let count = Count::new();
    let held = lock.try_read();
    let writer = writes(&lock, &count);
    let mut first = reads(&lock, &count);
    let mut second = reads(&lock, &count);
    drop(writer);
    assert_eq!(count.wakes(), 2);
    drop((ready(&mut first), ready(&mut second), held));
    assert!(lock.try_write().is_some());
}

#[test]
fn a_downgrade_lets_in_readers_up_to_the_first_writer() {
    let lock = Arc::new(RwLock::new(1));
    let count = Count::new();
    let mut writing = lock.try_write().unwrap();
    let mut reader = reads(&lock, &count);
    let mut writer = writes(&lock, &count);
    *writing = 2;
    let reading = WriteGuard::downgrade(writing);
    assert_eq!(count.wakes(), 1);
    assert_eq!((*reading, *ready(&mut reader)), (2, 2));
    assert!(lock.try_read().is_none(), "a writer waits");
    drop(reading);
    drop(ready(&mut writer));

    let writing = lock.clone().try_write_owned().unwrap();
    let reading = OwnedWriteGuard::downgrade(writing);
    assert!(lock.try_write().is_none());
    drop(lock.clone().try_read_owned().unwrap());
    assert!(Arc::ptr_eq(OwnedReadGuard::source(&reading), &lock));
    drop(reading);
    assert_eq!(Arc::strong_count(&lock), 1);
    assert!(lock.try_write().is_some());
}

#[test]
fn a_waker_that_panics_in_a_downgrade_does_not_keep_the_lock() {
    let lock = RwLock::new(());
    let writing = lock.try_write().unwrap();
    let mut reader = Box::pin(lock.read());
    assert!(reader.as_mut().poll(&mut Context::from_waker(&broken())).is_pending());
    let outcome = catch_unwind(AssertUnwindSafe(|| drop(WriteGuard::downgrade(writing))));
    assert!(outcome.is_err());
    drop(ready(&mut reader));
    assert!(lock.try_write().is_some());
}

#[test]
fn a_task_out_of_budget_keeps_its_place() {
    let lock = RwLock::new(());
    let count = Count::new();
    let mut writer = Box::pin(lock.write());
    without_budget(|| assert!(poll(&mut writer, &count).is_pending()));
    assert_eq!(count.wakes(), 1);
    assert!(lock.try_write().is_some(), "it gives way, once");
    without_budget(|| assert!(poll(&mut writer, &count).is_pending()));
    assert_eq!(count.wakes(), 2);
    assert!(lock.try_read().is_none());
    let mut reader = reads(&lock, &count);
    drop(ready(&mut writer));
    without_budget(|| assert!(poll(&mut reader, &count).is_pending()));
    drop(reader);
    assert!(lock.try_write().is_some());
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let lock = RwLock::new(());
    let (old, new) = (Count::new(), Count::new());
    let held = lock.try_write();
    let mut reader = reads(&lock, &old);
    assert!(poll(&mut reader, &new).is_pending());
    drop(held);
    assert_eq!((old.wakes(), old.wakers(), new.wakes()), (0, 0, 1));
    drop(ready(&mut reader));
}

/// Liveness is lost, as documented; memory is not.
#[test]
fn a_forgotten_waiter_keeps_its_place_and_harms_nothing_else() {
    let mut lock = RwLock::new(1);
    {
        let count = Count::new();
        let held = lock.try_read();
        forget(writes(&lock, &count));
        let mut behind = reads(&lock, &count);
        drop(held);
        assert!(poll(&mut behind, &count).is_pending());
        assert!(lock.try_read().is_none());
    }
    *lock.get_mut() = 2;
    assert_eq!({ lock }.into_inner(), 2);
}

#[test]
fn owned_guards_go_anywhere_and_threads_wait_asleep() {
    let _watchdog = limits::watchdog(60);
    let lock = Arc::new(RwLock::new(String::new()));
    let mut writing = ready(&mut Box::pin(lock.clone().write_owned()));
    let other = {
        let lock = lock.clone();
        std::thread::spawn(move || {
            let read = lock.blocking_read().clone();
            lock.blocking_write().push('!');
            read
        })
    };
    std::thread::spawn(move || writing.push('x')).join().unwrap();
    assert_eq!(other.join().unwrap(), "x");
    assert_eq!(*ready(&mut Box::pin(lock.clone().read_owned())), "x!");
    assert_eq!(Arc::strong_count(&lock), 1);
}

#[test]
fn a_wait_is_on_record_where_it_was_begun() {
    let lock = Arc::new(RwLock::new(()));
    let _held = lock.try_write().unwrap();
    assert_eq!(recorded_line(&mut Box::pin(lock.read())), line!());
    assert_eq!(recorded_line(&mut Box::pin(lock.write())), line!());
    assert_eq!(recorded_line(&mut Box::pin(lock.clone().read_owned())), line!());
    assert_eq!(recorded_line(&mut Box::pin(lock.clone().write_owned())), line!());
}

/// I1 to I3, readers and writers.
#[test]
fn dropped_at_every_poll_it_loses_nothing() {
    let lock = Arc::new(RwLock::new(()));
    let hold = || lock.clone().try_write_owned().expect("nobody has it, nobody waits");
    let (read, write) = (|| lock.read(), || lock.write());
    drop_at_every_poll(hold, || lock.clone().read_owned(), read);
    drop_at_every_poll(hold, || lock.clone().read_owned(), write);
    drop_at_every_poll(hold, || lock.clone().write_owned(), read);
    drop_at_every_poll(hold, || lock.clone().write_owned(), write);
    let borrowed = || {
        let lock = lock.clone();
        async move { drop(lock.write().await) }
    };
    drop_at_every_poll(hold, borrowed, write);
    drop(hold());
}

#[test]
fn threads_read_together_and_write_alone() {
    let _watchdog = limits::watchdog(120);
    let lock = Arc::new(RwLock::new((0, 0)));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let lock = lock.clone();
            std::thread::spawn(move || {
                let mut random = Random::new(number);
                let mut written = 0;
                for _ in 0..2_000 {
                    exec::block_on(async {
                        match random.below(4) {
                            0 => {
                                let mut writing = lock.write().await;
                                writing.0 += 1;
                                writing.1 += 1;
                                written += 1;
                                if random.below(2) == 0 {
                                    let reading = WriteGuard::downgrade(writing);
                                    assert_eq!(reading.0, reading.1);
                                }
                            }
                            1 => drop(poll(&mut Box::pin(lock.write()), &Count::new())),
                            _ => {
                                let reading = lock.read().await;
                                assert_eq!(reading.0, reading.1);
                            }
                        }
                    });
                }
                written
            })
        })
        .collect();
    let written: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(Arc::into_inner(lock).unwrap().into_inner(), (written, written));
}
