//! The rules `COND-1` to `COND-8` of `docs/semantics.md`.
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_sync::{Condition, Lock};
use filch_testkit::{DropAtEveryPoll, Probe, exec};
use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::thread;

/// A wait that begins with taking a free lock.
macro_rules! waiting {
    ($condition:expr, $lock:expr) => {
        Probe::pending($condition.wait($lock.try_lock().expect("it is free")))
    };
}

#[test]
#[should_panic(expected = "with another lock")]
fn cond_2_waiting_with_another_lock_panics() {
    let (condition, lock, other) = (Condition::new(), Lock::new(()), Lock::new(()));
    let _waiting = waiting!(condition, lock);
    let _other = waiting!(condition, other);
}

#[test]
#[should_panic(expected = "with another lock")]
fn cond_2_notifying_with_another_lock_panics() {
    let (condition, lock, other) = (Condition::new(), Lock::new(()), Lock::new(()));
    let _waiting = waiting!(condition, lock);
    condition.notify(&other.try_lock().unwrap(), 1);
}

#[test]
fn cond_2_one_lock_after_the_other_is_fine() {
    let (condition, lock, other) = (Condition::new(), Lock::new(()), Lock::new(()));
    drop(waiting!(condition, lock));
    let waiting = waiting!(condition, other);
    condition.notify_all(&other.try_lock().unwrap());
    drop(waiting.ready());
}

#[test]
fn cond_3_the_lock_is_given_up_at_the_first_poll_and_taken_again() {
    let (condition, lock) = (Condition::new(), Lock::new(1));
    let mut wait = Probe::new(condition.wait(lock.try_lock().unwrap()));
    assert!(lock.is_locked(), "nothing happens before the first poll (I5)");
    assert!(wait.poll().is_pending());
    let mut guard = lock.try_lock().expect("it was given up");
    *guard += 1;
    condition.notify(&guard, 1);
    drop(guard);
    let guard = wait.ready();
    assert_eq!(*guard, 2);
    assert!(lock.is_locked());
}

#[test]
fn cond_3_a_wait_that_is_never_polled_gives_the_lock_up_when_dropped() {
    let (condition, lock) = (Condition::new(), Lock::new(()));
    drop(condition.wait(lock.try_lock().unwrap()));
    assert!(!lock.is_locked());
}

#[test]
fn cond_4_the_first_so_many_are_notified() {
    let (condition, lock) = (Condition::new(), Lock::new(()));
    let mut waiting: VecDeque<_> = (0..100).map(|_| waiting!(condition, lock)).collect();
    let notify = |count| condition.notify(&lock.try_lock().unwrap(), count);
    let notified = |waiting: &VecDeque<Probe<_>>| {
        let wakes: Vec<_> = waiting.iter().map(Probe::wakes).collect();
        assert!(wakes.is_sorted_by(|first, later| first >= later), "the oldest first");
        wakes.iter().filter(|wakes| **wakes == 1).count()
    };
    notify(0);
    assert_eq!(notified(&waiting), 0);
    notify(1);
    assert_eq!(notified(&waiting), 1);
    notify(40);
    assert_eq!(notified(&waiting), 41);
    notify(7);
    assert_eq!(notified(&waiting), 48, "those who were notified are not notified again");
    for _ in 0..48 {
        drop(waiting.pop_front().unwrap().ready());
    }
    notify(1_000);
    assert_eq!(notified(&waiting), 52);
    for waiter in waiting {
        drop(waiter.ready());
    }
    let late = waiting!(condition, lock);
    assert_eq!(late.wakes(), 0, "what finds nobody is not kept");
}

#[test]
fn cond_4_notify_all() {
    let (condition, lock) = (Condition::new(), Lock::new(()));
    let waiting: Vec<_> = (0..100).map(|_| waiting!(condition, lock)).collect();
    condition.notify_all(&lock.try_lock().unwrap());
    let late = waiting!(condition, lock);
    for waiter in waiting {
        assert_eq!(waiter.wakes(), 1);
        drop(waiter.ready());
    }
    assert_eq!(late.wakes(), 0);
}

#[test]
fn cond_5_the_notified_stand_in_line_for_the_lock() {
    let (condition, lock) = (Condition::new(), Lock::new(()));
    let mut notified = waiting!(condition, lock);
    let held = lock.try_lock().unwrap();
    let before = Probe::pending(lock.lock());
    condition.notify(&held, 1);
    assert!(notified.poll().is_pending(), "the notifier has the lock");
    drop(held);
    assert_eq!(notified.wakes(), 1, "somebody came before");
    drop(before.ready());
    assert_eq!(notified.wakes(), 2);
    drop(notified.ready());
    assert!(!lock.is_locked());
}

/// Wherever the notified wait dies, its notification reaches the next, and the lock is free.
#[test]
fn cond_6_and_7_the_baton_passes_on_and_the_lock_is_not_taken() {
    let scenario = |cut: filch_testkit::Cut| async move {
        let (condition, lock) = (Rc::new(Condition::new()), Rc::new(Lock::new(())));
        let first = {
            let (condition, lock) = (condition.clone(), lock.clone());
            async move { drop(condition.wait(lock.try_lock().expect("it is free")).await) }
        };
        let second = async {
            // Comes when the first has taken its place, if it ever does.
            exec::yield_now().await;
            let second = waiting!(condition, lock);
            let held = lock.try_lock().expect("nobody has it");
            condition.notify(&held, 1);
            // The first wait asks for the lock while it is held, and may die so.
            exec::yield_now().await;
            exec::yield_now().await;
            drop(held);
            exec::yield_now().await;
            exec::yield_now().await;
            second
        };
        let (first, second) = both(cut.run_here(first), second).await;
        assert!(!lock.is_locked(), "the lock is nobody's");
        assert_eq!(second.wakes(), u32::from(first.is_none()));
        if first.is_none() {
            drop(second.ready());
        }
    };
    let summary = exec::block_on(DropAtEveryPoll::new().run(scenario));
    // Before its first poll, twice around the notification, and twice around the lock, at the least: it is
    // also polled for nothing.
    assert!(summary.dropped >= 5, "{summary:?}");
}

#[test]
fn cond_6_neither_an_unnotified_wait_nor_one_of_all_passes_anything_on() {
    let (condition, lock) = (Condition::new(), Lock::new(()));
    let first = waiting!(condition, lock);
    let second = waiting!(condition, lock);
    drop(first);
    assert_eq!(second.wakes(), 0);
    condition.notify_all(&lock.try_lock().unwrap());
    let third = waiting!(condition, lock);
    drop(second);
    assert_eq!(third.wakes(), 0);
}

#[test]
fn cond_6_who_had_the_lock_again_has_used_its_notification() {
    let (condition, lock) = (Condition::new(), Lock::new(()));
    let first = waiting!(condition, lock);
    let second = waiting!(condition, lock);
    condition.notify(&lock.try_lock().unwrap(), 1);
    drop(first.ready());
    assert_eq!(second.wakes(), 0);
}

#[test]
fn cond_8_a_predicate_that_holds_needs_no_wait() {
    let (condition, lock) = (Condition::new(), Lock::new(3));
    let guard = Probe::new(condition.wait_for(lock.try_lock().unwrap(), |n| *n == 3)).ready();
    let guard = Probe::new(condition.wait_while(guard, |n| *n != 3)).ready();
    assert_eq!(*guard, 3);
}

#[test]
fn cond_8_a_predicate_is_looked_at_after_each_notification() {
    let (condition, lock) = (Condition::new(), Lock::new(0));
    let looks = Cell::new(0);
    let predicate = |n: &mut u32| {
        looks.set(looks.get() + 1);
        *n == 2
    };
    let mut wait = Probe::pending(condition.wait_for(lock.try_lock().unwrap(), predicate));
    for expected in [2, 3] {
        let mut guard = lock.try_lock().expect("it waits without the lock");
        *guard += 1;
        condition.notify_all(&guard);
        drop(guard);
        if expected == 2 {
            assert!(wait.poll().is_pending());
        }
    }
    assert_eq!(*wait.ready(), 2);
    assert_eq!(looks.get(), 3);
}

/// Producers and consumers on several threads, some of whom give up: all that is made is used.
#[test]
fn nothing_is_left_lying() {
    const EACH: usize = 2_000;
    let (stock, arrived) = (Lock::new(0_usize), Condition::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    let mut stock = exec::block_on(stock.lock());
                    *stock += 1;
                    arrived.notify(&stock, 1);
                }
            });
            scope.spawn(|| {
                for turn in 0..EACH {
                    if turn.is_multiple_of(3) {
                        // Waits a moment and goes, perhaps with a notification.
                        let guard = exec::block_on(stock.lock());
                        let mut hasty = Probe::new(arrived.wait(guard));
                        let _ = hasty.poll();
                        thread::yield_now();
                        let _ = hasty.poll();
                    }
                    let guard = exec::block_on(stock.lock());
                    *exec::block_on(arrived.wait_while(guard, |stock| *stock == 0)) -= 1;
                }
            });
        }
    });
    assert_eq!(stock.into_inner(), 0);
}

/// Runs two futures in one task, the first one first.
async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut a_out, mut b_out) = (None, None);
    std::future::poll_fn(|cx| {
        if a_out.is_none()
            && let std::task::Poll::Ready(output) = a.as_mut().poll(cx)
        {
            a_out = Some(output);
        }
        if b_out.is_none()
            && let std::task::Poll::Ready(output) = b.as_mut().poll(cx)
        {
            b_out = Some(output);
        }
        match a_out.is_some() && b_out.is_some() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    (a_out.expect("it is over"), b_out.expect("it is over"))
}
