//! Cancels and frees by another thread against the ring's owner (`filch_uring::cell`, D3, D4).
#![cfg(filch_loom)]

use filch_loom_tests::ops::Nothing;
use filch_uring::cell::{Home, Key, Message, Owner};
use loom::thread;
use std::task::Waker;

/// The keys that the owner would ask the kernel to cancel now.
fn to_cancel(owner: &Owner) -> Vec<Key> {
    let mut mail = Vec::new();
    owner.home().inbox.drain(&mut mail);
    let keys = mail.into_iter().map(|message| match message {
        Message::Cancel(key) => key,
        Message::Submit(key) | Message::SubmitHere(key) => panic!("nobody submitted {key:?}"),
    });
    keys.filter(|key| owner.is_running(*key)).collect()
}

/// Another thread drops an operation (message first, then the farewell) while the owner completes it
/// and fills the cell again: the message means the first operation or nothing, never the second.
#[test]
fn a_late_cancel_misses_the_next_operation() {
    loom::model(|| {
        let owner = Owner::new(Home::for_model());
        let first = owner.fill(Nothing, Waker::noop().clone());
        let key = first.key();
        let dropper = thread::spawn(move || {
            first.home().inbox.push(Message::Cancel(first.key()));
            first.abandon(None);
        });
        // SAFETY: completed once.
        unsafe { owner.complete(key, 0) };
        let second = owner.fill(Nothing, Waker::noop().clone());
        assert_eq!(to_cancel(&owner), [], "the first is over, the second is wanted");
        dropper.join().unwrap();
        assert_eq!(to_cancel(&owner), [], "a late message");
        // SAFETY: completed once.
        unsafe { owner.complete(second.key(), 0) };
        second.abandon(Some(&owner));
    });
}

/// A request in time is heard, once.
#[test]
fn a_cancel_in_time_is_heard() {
    loom::model(|| {
        let owner = Owner::new(Home::for_model());
        let operation = owner.fill(Nothing, Waker::noop().clone());
        let key = operation.key();
        let dropper = thread::spawn(move || {
            operation.home().inbox.push(Message::Cancel(operation.key()));
            operation.abandon(None);
        });
        let early = to_cancel(&owner);
        dropper.join().unwrap();
        let late = to_cancel(&owner);
        assert_eq!([early, late].concat(), [key]);
        // SAFETY: completed once.
        unsafe { owner.complete(key, -125) };
    });
}

/// A cell given back elsewhere while the owner and a third party take some: each has one user.
#[test]
fn cells_given_back_elsewhere_are_used_once() {
    loom::model(|| {
        let owner = Owner::new(Home::for_model());
        let operation = owner.fill(Nothing, Waker::noop().clone());
        // SAFETY: completed once.
        unsafe { owner.complete(operation.key(), 0) };
        let home = owner.home().clone();
        let thread = thread::spawn(move || {
            operation.take(None);
            match home.submit(Nothing, Waker::noop().clone(), Message::Submit) {
                Ok(handle) => handle,
                Err(_) => panic!("the home is open"),
            }
        });
        let here = owner.fill(Nothing, Waker::noop().clone());
        let there = thread.join().unwrap();
        assert_ne!(here.key().index(), there.key().index());
        for handle in [here, there] {
            // SAFETY: completed once.
            unsafe { owner.complete(handle.key(), 0) };
            handle.abandon(Some(&owner));
        }
    });
}
