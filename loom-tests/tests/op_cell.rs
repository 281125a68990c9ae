//! The operation cell: complete x poll x drop x free (`filch_uring::cell`).
#![cfg(filch_loom)]

use filch_loom_tests::ops::{Nothing, Probe, SUCCESS, ToItsEnd};
use filch_uring::Operation;
use filch_uring::cell::{Handle, Home, Key, Message, Owner, Polled};
use filch_uring::rescue::take_unbegun;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::task::{Wake, Waker};

fn probe() -> (Probe, Arc<AtomicUsize>) {
    let disposed = Arc::new(AtomicUsize::new(0));
    (Probe::new(disposed.clone()), disposed)
}

/// A waker for a thread that waits for it: a wake-up that gets lost is a deadlock, which loom reports.
struct Bell(loom::sync::Notify);

impl Bell {
    fn new() -> (std::sync::Arc<Self>, Waker) {
        let bell = std::sync::Arc::new(Self(loom::sync::Notify::new()));
        (bell.clone(), bell.into())
    }

    fn wait(&self) {
        self.0.wait();
        // A poll in the middle of a completion wakes itself: let the completer get on.
        thread::yield_now();
    }
}

impl Wake for Bell {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.notify();
    }
}

/// Awaits the handle on this thread, with a waker of its own.
fn wait(mut handle: Handle<Probe>) -> i32 {
    let (bell, waker) = Bell::new();
    loop {
        match handle.poll(&waker) {
            Polled::Pending => bell.wait(),
            Polled::Done => return handle.take(None).1,
            Polled::Lost => panic!("nothing is lost here"),
        }
    }
}

fn complete(owner: &Owner, key: Key) {
    // SAFETY: each key is completed once.
    unsafe { owner.complete(key, SUCCESS) };
}

/// A task polled on another thread than the ring's, with another waker than at its first poll.
#[test]
fn a_completion_is_seen_or_wakes() {
    loom::model(|| {
        let owner = Owner::new(Home::for_model());
        let (probe, disposed) = probe();
        let handle = owner.fill(probe, Waker::noop().clone());
        let key = handle.key();
        let poller = thread::spawn(move || wait(handle));
        complete(&owner, key);
        assert_eq!(poller.join().unwrap(), SUCCESS);
        assert_eq!(disposed.load(Ordering::SeqCst), 0, "delivered, not disposed of");
    });
}

/// The waker is exchanged twice while the completion comes.
#[test]
fn an_exchanged_waker_is_not_forgotten() {
    loom::model(|| {
        let owner = Owner::new(Home::for_model());
        let (_first, waker) = Bell::new();
        let mut handle = owner.fill(probe().0, waker);
        let key = handle.key();
        let poller = thread::spawn(move || {
            let (_second, waker) = Bell::new();
            match handle.poll(&waker) {
                Polled::Done => handle.take(None).1,
                _ => wait(handle),
            }
        });
        complete(&owner, key);
        assert_eq!(poller.join().unwrap(), SUCCESS);
    });
}

/// Dropped on another thread while it completes: disposed of once, by one side or the other.
#[test]
fn a_drop_disposes_exactly_once() {
    loom::model(|| {
        let owner = Owner::new(Home::for_model());
        let (probe, disposed) = probe();
        let (_bell, waker) = Bell::new();
        let handle = owner.fill(probe, waker);
        let key = handle.key();
        let dropper = thread::spawn(move || handle.abandon(None));
        complete(&owner, key);
        dropper.join().unwrap();
        assert_eq!(disposed.load(Ordering::SeqCst), 1);
    });
}

/// A result is taken on another thread while the owner fills and completes the next operation, perhaps
/// in the same cell.
#[test]
fn a_freed_cell_is_filled_again() {
    loom::model(|| {
        let owner = Owner::new(Home::for_model());
        let (_bell, waker) = Bell::new();
        let first = owner.fill(probe().0, waker);
        let key = first.key();
        let poller = thread::spawn(move || wait(first));
        complete(&owner, key);
        let (second, disposed) = probe();
        let second = owner.fill(second, Waker::noop().clone());
        assert_ne!(second.key(), key, "another cell or another generation");
        complete(&owner, second.key());
        assert!(second.is_done());
        second.abandon(Some(&owner));
        assert_eq!(disposed.load(Ordering::SeqCst), 1);
        assert_eq!(poller.join().unwrap(), SUCCESS);
    });
}

/// The owner goes while another thread takes a result: the cells outlive both, and are freed (loom
/// reports an `Arc` that is not).
#[test]
fn the_last_one_out_frees_the_home() {
    loom::model(|| {
        let owner = Owner::new(Home::for_model());
        let handle = owner.fill(probe().0, Waker::noop().clone());
        complete(&owner, handle.key());
        let taker = thread::spawn(move || assert_eq!(handle.take(None).1, SUCCESS));
        drop(owner);
        taker.join().unwrap();
    });
}

/// A thread that does not own the ring submits; the owner finds it in the inbox, or, having closed,
/// is never sent it.
#[test]
fn a_submission_from_elsewhere_is_completed_or_refused() {
    loom::model(|| {
        let home = Home::for_model();
        let owner = Owner::new(home.clone());
        let submitter = thread::spawn(move || {
            let (bell, waker) = Bell::new();
            let submitted = home.submit(probe().0, waker.clone(), Message::Submit);
            let Ok(mut handle) = submitted else { return };
            drop(home);
            while handle.poll(&waker) == Polled::Pending {
                bell.wait();
            }
            assert_eq!(handle.take(None).1, SUCCESS);
        });
        owner.home().close();
        let mut mail = Vec::new();
        owner.home().inbox.drain(&mut mail);
        for message in mail {
            match message {
                Message::Submit(key) => complete(&owner, key),
                other => panic!("nobody sent {other:?}"),
            }
        }
        drop(owner);
        submitter.join().unwrap();
    });
}

/// What an owner that is stuck has not heard of is taken out of its inbox by a rescuer, or by the owner that
/// comes to itself: one of the two, and the future is told, or what is left of it disposed of once.
fn an_unbegun_operation_is_settled_once<T: Operation>(
    operation: fn(Arc<AtomicUsize>) -> T,
    drops: bool,
) {
    loom::model(move || {
        let home = Home::for_model();
        let owner = Owner::new(home.clone());
        let disposed = Arc::new(AtomicUsize::new(0));
        let (bell, waker) = Bell::new();
        let operation = operation(disposed.clone());
        let Ok(mut handle) = home.submit(operation, waker.clone(), Message::Submit) else {
            unreachable!("it is open")
        };
        let rescuer = thread::spawn({
            let home = home.clone();
            move || {
                let unbegun = take_unbegun(&home);
                unbegun.wakers.into_iter().for_each(Waker::wake);
                for key in unbegun.unwanted {
                    // SAFETY: taken out of the inbox just now; we hold the home.
                    unsafe { home.complete(key, SUCCESS) };
                }
            }
        });
        let waits = thread::spawn({
            let disposed = disposed.clone();
            move || {
                if drops {
                    let Some(mut handle) = handle.leave() else { return };
                    if !T::CANCEL_ON_DROP && handle.was_not_begun() {
                        handle = match handle.begin_unheard() {
                            Ok(()) => return,
                            Err(handle) => handle,
                        };
                    }
                    handle.take(None);
                } else {
                    while handle.poll(&waker) == Polled::Pending {
                        bell.wait();
                    }
                    let was_not_begun = handle.was_not_begun();
                    assert_eq!(handle.take(None).1 == SUCCESS, !was_not_begun);
                }
                disposed.fetch_add(1, Ordering::SeqCst);
            }
        });
        owner.home().close();
        let mut mail = Vec::new();
        owner.home().inbox.drain(&mut mail);
        for message in mail {
            match message {
                Message::Submit(key) | Message::SubmitHere(key) => complete(&owner, key),
                other => panic!("nobody sent {other:?}"),
            }
        }
        rescuer.join().unwrap();
        waits.join().unwrap();
        drop(owner);
        assert_eq!(disposed.load(Ordering::SeqCst), 1);
        home.end_of_model();
    });
}

#[test]
fn an_unbegun_operation_goes_back_or_is_begun() {
    an_unbegun_operation_is_settled_once(Probe::new, false);
}

#[test]
fn an_unbegun_operation_that_is_dropped_is_disposed_of_once() {
    an_unbegun_operation_is_settled_once(Probe::new, true);
}

/// What runs to its end is not lost with its future: if that leaves while the operation comes back to it,
/// either the owner is sent it again, or it stays where it was.
#[test]
fn an_unbegun_operation_that_runs_to_its_end_is_begun() {
    loom::model(move || {
        let home = Home::for_model();
        let owner = Owner::new(home.clone());
        let disposed = Arc::new(AtomicUsize::new(0));
        let write = ToItsEnd::new(disposed.clone());
        let submitted = home.submit(write, Waker::noop().clone(), Message::Submit);
        let Ok(handle) = submitted else { unreachable!("it is open") };
        let rescuer = thread::spawn({
            let home = home.clone();
            move || {
                let unbegun = take_unbegun(&home);
                unbegun.wakers.into_iter().for_each(Waker::wake);
                assert!(unbegun.unwanted.is_empty(), "it is wanted always");
            }
        });
        if let Some(handle) = handle.leave() {
            assert!(handle.was_not_begun(), "nobody else has it yet");
            assert!(handle.begin_unheard().is_ok(), "it is open");
        }
        rescuer.join().unwrap();
        let mut mail = Vec::new();
        home.inbox.drain(&mut mail);
        let [Message::Submit(key) | Message::SubmitHere(key)] = mail[..] else {
            panic!("lost, or sent twice: {mail:?}")
        };
        assert!(owner.runs_to_its_end(key) && owner.is_running(key));
        complete(&owner, key);
        assert_eq!(disposed.load(Ordering::SeqCst), 1);
        drop(owner);
    });
}

/// A rescuer completes what the owner's future awaits, while the owner goes on with the next operation.
#[test]
fn a_completion_elsewhere_is_seen_or_wakes() {
    loom::model(|| {
        let owner = Owner::new(Home::for_model());
        let (first, disposed) = probe();
        let (bell, waker) = Bell::new();
        let mut handle = owner.fill(first, waker.clone());
        let (home, key) = (owner.home().clone(), handle.key());
        let rescuer = thread::spawn(move || {
            // SAFETY: each key is completed once; we hold the home.
            unsafe { home.complete(key, SUCCESS) };
        });
        let second = owner.fill(probe().0, Waker::noop().clone());
        assert_ne!(second.key().index(), key.index(), "the first is in use still");
        while handle.poll(&waker) == Polled::Pending {
            bell.wait();
        }
        assert_eq!(handle.take(Some(&owner)).1, SUCCESS);
        complete(&owner, second.key());
        second.abandon(Some(&owner));
        rescuer.join().unwrap();
        assert_eq!(disposed.load(Ordering::SeqCst), 0, "delivered, not disposed of");
    });
}

/// A rescuer completes what is dropped on the owner's thread, which asks how far it is: disposed of once,
/// and the cell comes back to be used by one.
#[test]
fn a_drop_meets_a_rescuer() {
    loom::model(|| {
        let owner = Owner::new(Home::for_model());
        let (first, disposed) = probe();
        let (_bell, waker) = Bell::new();
        let handle = owner.fill(first, waker);
        let (home, key) = (owner.home().clone(), handle.key());
        let rescuer = thread::spawn(move || {
            // SAFETY: each key is completed once; we hold the home.
            unsafe { home.complete(key, SUCCESS) };
        });
        let was_running = owner.is_running(key);
        assert!(!owner.is_unwanted(key) && !owner.runs_to_its_end(key));
        handle.abandon(Some(&owner));
        let second = owner.fill(probe().0, Waker::noop().clone());
        assert_ne!(second.key(), key, "another cell or another generation");
        rescuer.join().unwrap();
        assert!(!owner.is_running(key) && owner.is_running(second.key()));
        assert_eq!(disposed.load(Ordering::SeqCst), 1, "was running: {was_running}");
        complete(&owner, second.key());
        second.abandon(Some(&owner));
    });
}

/// As below, and whoever settles it wakes the future.
#[test]
fn a_rescuer_or_a_leak_wakes() {
    loom::model(|| {
        let home = Home::for_model();
        let owner = Owner::new(home.clone());
        let (bell, waker) = Bell::new();
        let mut handle = owner.fill(Nothing, waker.clone());
        let key = handle.key();
        let rescuer = thread::spawn({
            let home = home.clone();
            // SAFETY: each key is completed once; we hold the home.
            move || unsafe { home.complete(key, SUCCESS) }
        });
        owner.home().close();
        // SAFETY: no completion is reaped in a model.
        unsafe { owner.lose_all() };
        while handle.poll(&waker) == Polled::Pending {
            bell.wait();
        }
        if handle.is_done() {
            handle.take(Some(&owner));
        }
        rescuer.join().unwrap();
        drop(owner);
        home.end_of_model();
    });
}

/// The owner gives up at its deadline while a rescuer has a completion in hand: one of the two settles the
/// operation, and its future is told either way.
#[test]
fn a_rescuer_meets_a_leak() {
    loom::model(|| {
        let home = Home::for_model();
        let owner = Owner::new(home.clone());
        let mut handle = owner.fill(Nothing, Waker::noop().clone());
        let key = handle.key();
        let rescuer = thread::spawn({
            let home = home.clone();
            // SAFETY: each key is completed once; we hold the home.
            move || unsafe { home.complete(key, SUCCESS) }
        });
        owner.home().close();
        // SAFETY: no completion is reaped in a model.
        let lost: usize = unsafe { owner.lose_all() }.into_values().sum();
        rescuer.join().unwrap();
        match handle.poll(Waker::noop()) {
            // Taken, or the cell would not come back.
            Polled::Done => assert_eq!((lost, handle.take(Some(&owner)).1), (0, SUCCESS)),
            Polled::Lost => assert_eq!(lost, 1),
            Polled::Pending => panic!("told neither way"),
        }
        drop(owner);
        home.end_of_model();
    });
}
