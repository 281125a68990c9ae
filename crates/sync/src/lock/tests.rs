//! The rules of the lock.

use super::*;
use crate::testing::{
    Count, broken, drop_at_every_poll, forget, poll, ready, recorded_line, without_budget,
};
use filch_testkit::{Random, exec, limits};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;

#[test]
fn it_is_handed_over_in_order_and_nobody_gets_in_between() {
    let lock = Lock::new(());
    let held = lock.try_lock().unwrap();
    let counts = [(); 3].map(|()| Count::new());
    let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(lock.lock())).collect();
    for (waiter, count) in waiters.iter_mut().zip(&counts) {
        assert!(poll(waiter, count).is_pending());
    }
    drop(held);
    assert_eq!(counts.each_ref().map(|count| count.wakes()), [1, 0, 0]);
    assert!(lock.try_lock().is_none(), "it belongs to the first waiter");
    assert!(lock.is_locked());
    assert!(poll(&mut Box::pin(lock.lock()), &counts[0]).is_pending(), "a newcomer goes behind");
    assert!(poll(&mut waiters[1], &counts[1]).is_pending());
    drop(ready(&mut waiters[0]));
    drop(ready(&mut waiters[1]));
    drop(ready(&mut waiters[2]));
    assert!(!lock.is_locked());
}

#[test]
fn a_place_is_taken_at_the_first_poll() {
    let lock = Lock::new(());
    let held = lock.try_lock().unwrap();
    let count = Count::new();
    let (mut made_first, mut polled_first) = (Box::pin(lock.lock()), Box::pin(lock.lock()));
    assert!(poll(&mut polled_first, &count).is_pending());
    assert!(poll(&mut made_first, &count).is_pending());
    drop(held);
    assert!(poll(&mut made_first, &count).is_pending());
    let _ = ready(&mut polled_first);
    let _ = ready(&mut made_first);
}

#[test]
fn a_waiter_that_goes_leaves_nothing_and_hands_on_what_it_was_given() {
    let lock = Lock::new(());
    let held = lock.try_lock().unwrap();
    let count = Count::new();
    let [first, second, mut third] = [(); 3].map(|()| {
        let mut waiter = Box::pin(lock.lock());
        assert!(poll(&mut waiter, &count).is_pending());
        waiter
    });
    drop(second);
    drop(held);
    drop(first);
    assert_eq!(count.wakes(), 2, "the first, then the third");
    drop(ready(&mut third));
    assert!(!lock.is_locked());
    assert_eq!(count.wakers(), 0, "no waker stayed behind");
}

#[test]
fn the_last_waiter_that_goes_leaves_the_lock_as_it_was() {
    let lock = Lock::new(());
    let held = lock.try_lock().unwrap();
    let mut waiter = Box::pin(lock.lock());
    assert!(poll(&mut waiter, &Count::new()).is_pending());
    drop(waiter);
    drop(held);
    drop(lock.try_lock().expect("nobody waits"));
    let _ = ready(&mut Box::pin(lock.lock()));
}

#[test]
fn the_waker_of_the_last_poll_is_woken() {
    let lock = Lock::new(());
    let held = lock.try_lock().unwrap();
    let (old, new) = (Count::new(), Count::new());
    let mut waiter = Box::pin(lock.lock());
    assert!(poll(&mut waiter, &old).is_pending());
    assert!(poll(&mut waiter, &new).is_pending(), "and a poll for no reason is harmless");
    assert_eq!(old.wakers(), 0);
    drop(held);
    assert_eq!((old.wakes(), new.wakes()), (0, 1));
    let _ = ready(&mut waiter);
}

#[test]
fn a_task_that_has_had_its_turn_gives_way_once() {
    let lock = Lock::new(());
    let count = Count::new();
    let mut free = Box::pin(lock.lock());
    without_budget(|| assert!(poll(&mut free, &count).is_pending()));
    assert_eq!(count.wakes(), 1, "it comes again by itself");
    assert!(lock.try_lock().is_some(), "it holds nobody up until then");
    without_budget(|| assert!(poll(&mut free, &count).is_pending()));
    assert_eq!(count.wakes(), 2);
    assert!(lock.try_lock().is_none(), "the second time it has come to stay");
    let mut waits = Box::pin(lock.lock());
    without_budget(|| assert!(poll(&mut waits, &count).is_pending()));
    drop(ready(&mut free));
    assert_eq!(count.wakes(), 3, "and so does who has to wait, the first time");
    without_budget(|| assert!(poll(&mut waits, &count).is_pending()));
    assert_eq!(count.wakes(), 4);
    assert!(lock.try_lock().is_none());
    drop(waits);
    assert!(lock.try_lock().is_some(), "what is kept for it is handed on");
}

#[test]
fn a_task_that_has_had_its_turn_and_has_to_wait_keeps_its_place() {
    let lock = Lock::new(());
    let count = Count::new();
    let held = lock.try_lock().unwrap();
    let mut waits = Box::pin(lock.lock());
    without_budget(|| assert!(poll(&mut waits, &count).is_pending()));
    assert_eq!(count.wakes(), 0, "it is its turn when it is granted the lock");
    let mut behind = Box::pin(lock.lock());
    assert!(poll(&mut behind, &count).is_pending());
    drop(held);
    assert!(poll(&mut behind, &count).is_pending(), "first come, first served");
    drop(ready(&mut waits));
    drop(ready(&mut behind));
}

#[test]
fn a_waker_that_panics_does_not_keep_the_lock() {
    let lock = Lock::new(());
    let held = lock.try_lock().unwrap();
    let mut first = Box::pin(lock.lock());
    let waker = broken();
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let mut second = Box::pin(lock.lock());
    assert!(poll(&mut second, &Count::new()).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| drop(held))).is_err());
    drop(ready(&mut first));
    drop(ready(&mut second));
    assert!(!lock.is_locked());
}

/// Liveness is lost, as documented; memory is not.
#[test]
fn a_forgotten_waiter_keeps_its_place_and_harms_nothing_else() {
    let mut lock = Lock::new(String::from("value"));
    {
        let held = lock.try_lock().unwrap();
        let mut forgotten = Box::pin(lock.lock());
        let count = Count::new();
        assert!(poll(&mut forgotten, &count).is_pending());
        let mut behind = Box::pin(lock.lock());
        assert!(poll(&mut behind, &count).is_pending());
        forget(forgotten);
        drop(held);
        assert_eq!(count.wakes(), 1, "it was granted");
        assert!(poll(&mut behind, &count).is_pending());
        assert!(lock.try_lock().is_none());
    }
    // Nothing borrows it any more, so it can be moved, and used up.
    lock.get_mut().push_str(" intact");
    let mut moved = Box::new(lock);
    assert!(moved.is_locked(), "for ever");
    assert_eq!(moved.get_mut(), "value intact");
    assert_eq!(moved.into_inner(), "value intact");
}

#[test]
fn an_owned_guard_goes_anywhere_and_keeps_the_lock_alive() {
    let lock = Arc::new(Lock::new(1));
    let mut guard = lock.clone().try_lock_owned().unwrap();
    assert!(lock.clone().try_lock_owned().is_none());
    let mut waiter = Box::pin(lock.clone().lock_owned());
    let count = Count::new();
    assert!(poll(&mut waiter, &count).is_pending());
    assert!(Arc::ptr_eq(OwnedGuard::source(&guard), &lock));
    let weak = Arc::downgrade(&lock);
    drop(lock);
    std::thread::spawn(move || *guard += 1).join().unwrap();
    assert_eq!(count.wakes(), 1);
    let guard = ready(&mut waiter);
    drop(waiter);
    assert_eq!((*guard, weak.strong_count()), (2, 1));
    drop(guard);
    assert_eq!(weak.strong_count(), 0);
}

#[test]
fn a_thread_waits_asleep() {
    let _watchdog = limits::watchdog(60);
    let lock = Arc::new(Lock::new(0));
    let mut guard = lock.blocking_lock();
    let other = {
        let lock = lock.clone();
        std::thread::spawn(move || {
            let first = *lock.blocking_lock();
            first + *lock.blocking_lock_owned()
        })
    };
    *guard = 21;
    drop(guard);
    assert_eq!(other.join().unwrap(), 42);
}

#[test]
fn a_wait_is_on_record_where_it_was_begun() {
    let lock = Arc::new(Lock::new(()));
    let _held = lock.try_lock().unwrap();
    assert_eq!(recorded_line(&mut Box::pin(lock.lock())), line!());
    assert_eq!(recorded_line(&mut Box::pin(lock.clone().lock_owned())), line!());
    let at = Location::caller();
    assert_eq!(recorded_line(&mut Box::pin(lock.lock_at(at))), at.line());
}

#[test]
fn what_it_guards_need_not_be_sized() {
    let lock: Arc<Lock<dyn Fn() -> u32 + Send>> = Arc::new(Lock::new(|| 7));
    assert_eq!(lock.try_lock().unwrap()(), 7);
    assert_eq!(ready(&mut Box::pin(lock.clone().lock_owned()))(), 7);
    static STATIC: Lock<u32> = Lock::new(3);
    assert_eq!(*STATIC.try_lock().unwrap(), 3);
}

#[test]
fn everything_about_it_goes_between_threads() {
    fn is_send_and_sync<T: Send + Sync>(_: &T) {}
    fn is_send<T: Send>(_: &T) {}
    let lock = Arc::new(Lock::new(std::cell::Cell::new(1)));
    is_send_and_sync(&lock);
    is_send_and_sync(&lock.lock());
    is_send_and_sync(&lock.clone().lock_owned());
    is_send(&lock.try_lock().unwrap());
    is_send(&lock.clone().try_lock_owned().unwrap());
    let lock = Arc::new(Lock::new(1));
    is_send_and_sync(&lock.try_lock().unwrap());
    is_send_and_sync(&lock.clone().try_lock_owned().unwrap());
}

/// I1 to I3.
#[test]
fn dropped_at_every_poll_it_loses_nothing() {
    let lock = Arc::new(Lock::new(()));
    let hold = || lock.clone().try_lock_owned().expect("nobody has it, nobody waits");
    let borrowed = || {
        let lock = lock.clone();
        async move { drop(lock.lock().await) }
    };
    let owned = || lock.clone().lock_owned();
    let behind = || lock.lock();
    drop_at_every_poll(hold, borrowed, behind);
    drop_at_every_poll(hold, owned, behind);
    drop(hold());
}

/// Random polls, drops and unlocks, compared with a queue.
#[test]
fn it_does_what_a_queue_does() {
    let seed = Random::seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    for _ in 0..500 {
        let lock = Lock::new(());
        let count = Count::new();
        let mut held = None;
        let mut line: Vec<Pin<Box<Acquire<'_, ()>>>> = Vec::new();
        for _ in 0..40 {
            match random.below(4) {
                0 | 1 => {
                    let mut waiter = Box::pin(lock.lock());
                    let is_free = held.is_none() && line.is_empty();
                    match poll(&mut waiter, &count) {
                        Poll::Ready(guard) => {
                            assert!(is_free);
                            held = Some(guard);
                        }
                        Poll::Pending => {
                            assert!(!is_free);
                            line.push(waiter);
                        }
                    }
                }
                2 if !line.is_empty() => drop(line.remove(random.below(line.len()))),
                3 => drop(held.take()),
                _ => {}
            }
            assert_eq!(lock.is_locked(), held.is_some() || !line.is_empty());
            // A look at one of them: it is let in if it is the first and nobody has the lock.
            if !line.is_empty() {
                let place = random.below(line.len());
                match poll(&mut line[place], &count) {
                    Poll::Ready(guard) => {
                        assert!(place == 0 && held.is_none());
                        drop(line.remove(0));
                        held = Some(guard);
                    }
                    Poll::Pending => assert!(place > 0 || held.is_some()),
                }
            }
        }
        drop((held, line));
        assert!(!lock.is_locked());
        assert_eq!(count.wakers(), 0);
    }
}

#[test]
fn threads_exclude_each_other() {
    let _watchdog = limits::watchdog(120);
    let lock = Arc::new(Lock::new(0));
    let threads: Vec<_> = (0..4)
        .map(|number| {
            let lock = lock.clone();
            std::thread::spawn(move || {
                let mut random = Random::new(number);
                for _ in 0..2_000 {
                    exec::block_on(async {
                        if random.below(3) == 0 {
                            // Given up after its first poll, whatever that was.
                            let mut given_up = Box::pin(lock.lock());
                            let mut cx = Context::from_waker(Waker::noop());
                            drop(given_up.as_mut().poll(&mut cx));
                        }
                        let mut guard = lock.lock().await;
                        let read = *guard;
                        std::hint::spin_loop();
                        *guard = read + 1;
                    });
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(Arc::into_inner(lock).unwrap().into_inner(), 8_000);
}
