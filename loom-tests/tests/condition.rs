//! The condition: notify x cancel x taking the lock again.
#![cfg(filch_loom)]

mod waiting;

use filch_atomic::thread;
use filch_sync::{Condition, Lock};
use waiting::{Waiting, leaked, wait};

fn scene() -> (&'static Condition, &'static Lock<u32>) {
    (leaked(Condition::new()), leaked(Lock::new(0)))
}

/// Waits until there is something, and takes it.
fn consume(condition: &Condition, lock: &Lock<u32>) {
    let guard = wait(lock.lock());
    *wait(condition.wait_while(guard, |stock| *stock == 0)) -= 1;
}

fn produce(condition: &Condition, lock: &Lock<u32>) {
    let mut stock = wait(lock.lock());
    *stock += 1;
    condition.notify(&stock, 1);
}

/// COND-3: between looking and waiting there is no gap.
#[test]
fn a_notification_is_not_missed() {
    loom::model(|| {
        let (condition, lock) = scene();
        let consumer = thread::spawn(move || consume(condition, lock));
        produce(condition, lock);
        consumer.join().unwrap();
        assert_eq!(*lock.try_lock().expect("nobody has it"), 0);
    });
}

/// COND-4, COND-5: two are notified and get the lock one after the other.
#[test]
fn all_are_notified() {
    loom::model(|| {
        let (condition, lock) = scene();
        let mut first = Waiting::new(condition.wait(wait(lock.lock())));
        assert!(first.poll().is_pending());
        let second = thread::spawn(move || {
            let guard = wait(lock.lock());
            drop(wait(condition.wait_while(guard, |go| *go == 0)));
        });
        let mut go = wait(lock.lock());
        *go = 1;
        condition.notify_all(&go);
        drop(go);
        drop(first.wait());
        second.join().unwrap();
        assert!(!lock.is_locked());
    });
}

/// COND-6: the one that is notified goes, at whatever moment: the other has the notification.
#[test]
fn the_baton_passes_on() {
    loom::model(|| {
        let (condition, lock) = scene();
        let mut goes = Waiting::new(condition.wait(wait(lock.lock())));
        assert!(goes.poll().is_pending());
        let mut stays = Waiting::new(condition.wait(wait(lock.lock())));
        assert!(stays.poll().is_pending());
        let producer = thread::spawn(move || produce(condition, lock));
        drop(goes);
        let mut stock = stays.wait();
        assert_eq!(*stock, 1);
        *stock -= 1;
        drop(stock);
        producer.join().unwrap();
        assert!(!lock.is_locked());
    });
}

/// COND-6, COND-7: it goes when it is in line for the lock, or was just given it.
#[test]
fn the_baton_passes_on_from_the_line_for_the_lock() {
    loom::model(|| {
        let (condition, lock) = scene();
        let mut goes = Waiting::new(condition.wait(wait(lock.lock())));
        assert!(goes.poll().is_pending());
        let mut stays = Waiting::new(condition.wait(wait(lock.lock())));
        assert!(stays.poll().is_pending());
        let mut held = wait(lock.lock());
        *held += 1;
        condition.notify(&held, 1);
        assert!(goes.poll().is_pending(), "the notifier has the lock");
        let holder = thread::spawn(move || drop(held));
        drop(goes);
        assert_eq!(*stays.wait(), 1);
        holder.join().unwrap();
        assert!(!lock.is_locked());
    });
}

/// COND-6: a hasty one waits, looks again and goes, while one item is made and one waits for it.
#[test]
fn nobody_takes_a_notification_to_the_grave() {
    loom::model(|| {
        let (condition, lock) = scene();
        let mut hasty = Waiting::new(condition.wait(wait(lock.lock())));
        assert!(hasty.poll().is_pending());
        let consumer = thread::spawn(move || consume(condition, lock));
        let producer = thread::spawn(move || produce(condition, lock));
        if let std::task::Poll::Ready(stock) = hasty.poll()
            && *stock > 0
        {
            // It got what was made, and says so, as whoever is notified and leaves it must.
            condition.notify(&stock, 1);
        }
        drop(hasty);
        consumer.join().unwrap();
        producer.join().unwrap();
        assert_eq!(*lock.try_lock().expect("nobody has it"), 0);
    });
}
