//! The barrier: arrive x cancel x reset x abort, and every generation passes as a whole or not at all.
#![cfg(filch_loom)]

mod waiting;

use filch_atomic::sync::Arc;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::thread;
use filch_sync::Barrier;
use waiting::{Waiting, leaked, wait};

/// BARRIER-2, BARRIER-3: three threads, three indices.
#[test]
fn all_pass_and_each_has_an_index_of_its_own() {
    loom::model(|| {
        let barrier = leaked(Barrier::new(3));
        let seen = Arc::new(AtomicUsize::new(0));
        let party = move |seen: &AtomicUsize| {
            let index = wait(barrier.wait()).unwrap();
            // Relaxed: joined before it is read.
            seen.fetch_add(1 << (4 * index), Ordering::Relaxed);
        };
        let others = [(); 2].map(|()| {
            let seen = seen.clone();
            thread::spawn(move || party(&seen))
        });
        party(&seen);
        for other in others {
            other.join().unwrap();
        }
        // Relaxed: as above.
        assert_eq!(seen.load(Ordering::Relaxed), 0x111);
        assert_eq!(barrier.n_waiting(), 0);
    });
}

/// BARRIER-4: an arrival is dropped while others come. Without it they are one too few, and wait; with it,
/// because it was in time, it has passed, and one is left over.
#[test]
fn a_dropped_arrival_is_counted_or_not_and_nothing_else() {
    loom::model(|| {
        let barrier = leaked(Barrier::new(2));
        let mut goes = Waiting::new(barrier.wait());
        assert!(goes.poll().is_pending());
        let other = thread::spawn(move || {
            let mut other = Waiting::new(barrier.wait());
            match other.poll() {
                // The dropped one was in time.
                std::task::Poll::Ready(index) => assert_eq!(index, Ok(1)),
                std::task::Poll::Pending => assert_eq!(other.wait(), Ok(0)),
            }
        });
        drop(goes);
        // The partner of the other one, if that waits; else the first of the next two.
        let mut partner = Waiting::new(barrier.wait());
        if let std::task::Poll::Ready(index) = partner.poll() {
            assert_eq!(index, Ok(1));
        } else if barrier.n_waiting() == 1 {
            other.join().unwrap();
            // Whether the other one has come and gone, or was let pass by this one.
            if barrier.n_waiting() == 1 {
                assert_eq!(wait(barrier.wait()), Ok(1));
            }
            assert_eq!(partner.wait(), Ok(0));
            return;
        } else {
            assert_eq!(partner.wait(), Ok(0));
        }
        other.join().unwrap();
        assert_eq!(barrier.n_waiting(), 0);
    });
}

/// BARRIER-6, BARRIER-7: a reset meets the last arrival. Both pass, or the first fails and the last is the
/// first of the next generation.
#[test]
fn a_reset_fails_the_whole_generation_or_none_of_it() {
    loom::model(|| {
        let barrier = leaked(Barrier::new(2));
        let mut first = Waiting::new(barrier.wait());
        assert!(first.poll().is_pending());
        let last = thread::spawn(move || {
            let mut last = Waiting::new(barrier.wait());
            let index = last.poll();
            (last, index)
        });
        let resetter = thread::spawn(move || barrier.reset());
        let passed = first.wait();
        let (mut last, index) = last.join().unwrap();
        resetter.join().unwrap();
        match passed {
            Ok(index_of_first) => {
                assert_eq!(index_of_first, 0);
                assert_eq!(index, std::task::Poll::Ready(Ok(1)));
            }
            Err(_) => {
                assert!(index.is_pending(), "half of a generation has passed");
                assert_eq!(wait(barrier.wait()), Ok(1));
                assert_eq!(last.wait(), Ok(0));
            }
        }
    });
}

/// BARRIER-8: nobody is left waiting by an abort.
#[test]
fn an_abort_reaches_everybody() {
    loom::model(|| {
        let barrier = leaked(Barrier::new(3));
        let others = [(); 2].map(|()| {
            thread::spawn(move || assert!(wait(barrier.wait()).is_err(), "they are too few"))
        });
        barrier.abort();
        for other in others {
            other.join().unwrap();
        }
        assert!(barrier.is_broken());
    });
}

/// BARRIER-5: two generations on two threads, one of which is always first at the second.
#[test]
fn generations_do_not_mix() {
    loom::model(|| {
        let barrier = leaked(Barrier::new(2));
        let twice = move || {
            let first = wait(barrier.wait()).unwrap();
            let second = wait(barrier.wait()).unwrap();
            (first, second)
        };
        let other = thread::spawn(twice);
        let mine = twice();
        let others = other.join().unwrap();
        assert_eq!((mine.0 + others.0, mine.1 + others.1), (1, 1));
        assert_eq!(barrier.n_waiting(), 0);
    });
}

/// So many that they are not told in one go, under one hold of the lock.
const MORE_THAN_ONE_GO: usize = 33;

/// BARRIER-5, BARRIER-6: so many have passed that they are told in two goes. One is dropped when it has
/// passed and perhaps was not told: it has left like the others.
#[test]
fn all_leave_though_one_is_dropped_while_it_is_told() {
    loom::model(|| {
        let barrier = leaked(Barrier::new(MORE_THAN_ONE_GO + 1));
        let mut waiting: Vec<_> =
            (0..MORE_THAN_ONE_GO).map(|_| Waiting::new(barrier.wait())).collect();
        assert!(waiting.iter_mut().all(|waiter| waiter.poll().is_pending()));
        let last = thread::spawn(move || {
            let mut last = Waiting::new(barrier.wait());
            // Unless the one that is dropped was in time to be un-counted.
            last.poll().is_ready()
        });
        drop(waiting.pop());
        if last.join().unwrap() {
            for (index, mut waiter) in waiting.into_iter().enumerate() {
                assert_eq!(waiter.wait(), Ok(index));
            }
            let mut next = Waiting::new(barrier.wait());
            assert!(next.poll().is_pending());
            assert_eq!(barrier.n_waiting(), 1, "the others have left");
        } else {
            assert_eq!(barrier.n_waiting(), MORE_THAN_ONE_GO - 1);
        }
    });
}

/// BARRIER-6: a reset comes while they are told. Who has not been told has passed as well.
#[test]
fn a_reset_while_they_are_told_comes_too_late() {
    loom::model(|| {
        let barrier = leaked(Barrier::new(MORE_THAN_ONE_GO + 1));
        let mut waiting: Vec<_> =
            (0..MORE_THAN_ONE_GO).map(|_| Waiting::new(barrier.wait())).collect();
        assert!(waiting.iter_mut().all(|waiter| waiter.poll().is_pending()));
        let last = thread::spawn(move || Waiting::new(barrier.wait()).poll().is_ready());
        barrier.reset();
        let passed = last.join().unwrap();
        for waiter in &mut waiting {
            assert_eq!(waiter.wait().is_ok(), passed, "half of a generation has passed");
        }
    });
}
