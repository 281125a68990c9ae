//! The rules `BARRIER-1` to `BARRIER-9` of `docs/semantics.md`.
#![cfg(not(any(filch_loom, filch_shuttle)))]

use filch_sync::{Barrier, BrokenBarrier};
use filch_testkit::{Probe, exec};
use std::sync::Mutex;
use std::thread;

#[test]
#[should_panic(expected = "at least one party")]
fn barrier_1_not_without_parties() {
    Barrier::new(0);
}

#[test]
fn barrier_1_one_party_never_waits() {
    let barrier = Barrier::new(1);
    for _ in 0..3 {
        assert_eq!(Probe::new(barrier.wait()).ready(), Ok(0));
    }
    assert_eq!((barrier.parties(), barrier.n_waiting()), (1, 0));
}

#[test]
fn barrier_2_and_3_the_last_lets_all_pass_in_the_order_of_arrival() {
    // More than are woken in one go.
    let barrier = Barrier::new(100);
    let waiting: Vec<_> = (0..99).map(|_| Probe::pending(barrier.wait())).collect();
    assert!(waiting.iter().all(|waiter| waiter.wakes() == 0));
    assert_eq!(barrier.n_waiting(), 99);
    assert_eq!(Probe::new(barrier.wait()).ready(), Ok(99));
    for (index, waiter) in waiting.into_iter().enumerate() {
        assert_eq!(waiter.wakes(), 1);
        assert_eq!(waiter.ready(), Ok(index));
    }
    assert_eq!(barrier.n_waiting(), 0);
}

#[test]
fn barrier_3_and_4_a_dropped_arrival_is_un_counted_and_its_index_is_given_to_another() {
    let barrier = Barrier::new(3);
    let first = Probe::pending(barrier.wait());
    let second = Probe::pending(barrier.wait());
    drop(first);
    assert_eq!((barrier.n_waiting(), barrier.is_broken()), (1, false));
    let third = Probe::pending(barrier.wait());
    assert_eq!(Probe::new(barrier.wait()).ready(), Ok(2));
    assert_eq!(third.ready(), Ok(1));
    assert_eq!(second.ready(), Ok(0));
}

#[test]
fn barrier_5_newcomers_wait_until_the_last_generation_has_left() {
    let barrier = Barrier::new(2);
    let first = Probe::pending(barrier.wait());
    assert_eq!(Probe::new(barrier.wait()).ready(), Ok(1));
    // Enough for two more generations, and one over.
    let mut outside: Vec<_> = (0..5).map(|_| Probe::pending(barrier.wait())).collect();
    assert_eq!(barrier.n_waiting(), 0, "they have not arrived");
    assert_eq!(first.ready(), Ok(0));
    for index in 0..2 {
        assert!(outside.iter().skip(2).all(|waiter| waiter.wakes() == 0));
        assert_eq!(outside.remove(0).ready(), Ok(index));
    }
    // One of the next two is dropped when it could have passed: it has left.
    let (second, third) = (outside.remove(1), outside.remove(0));
    assert_eq!((second.wakes(), third.wakes()), (1, 1));
    drop(second);
    assert_eq!(barrier.n_waiting(), 0);
    assert_eq!(third.ready(), Ok(0));
    assert_eq!(barrier.n_waiting(), 1);
    assert_eq!(Probe::new(barrier.wait()).ready(), Ok(1));
    assert_eq!(outside.remove(0).ready(), Ok(0));
}

#[test]
fn barrier_5_one_outside_that_goes_does_not_count() {
    let barrier = Barrier::new(2);
    let first = Probe::pending(barrier.wait());
    assert_eq!(Probe::new(barrier.wait()).ready(), Ok(1));
    let gone = Probe::pending(barrier.wait());
    let stays = Probe::pending(barrier.wait());
    drop(gone);
    assert_eq!(first.ready(), Ok(0));
    assert_eq!((barrier.n_waiting(), stays.wakes()), (1, 0));
    assert_eq!(Probe::new(barrier.wait()).ready(), Ok(1));
    assert_eq!(stays.ready(), Ok(0));
}

#[test]
fn barrier_6_who_has_passed_has_passed() {
    for end in [Barrier::reset, Barrier::abort] {
        let barrier = Barrier::new(3);
        let first = Probe::pending(barrier.wait());
        let second = Probe::pending(barrier.wait());
        assert_eq!(Probe::new(barrier.wait()).ready(), Ok(2));
        assert_eq!(second.ready(), Ok(1));
        end(&barrier);
        assert_eq!(first.ready(), Ok(0), "its generation was complete");
    }
}

#[test]
fn barrier_7_reset_fails_who_is_inside_and_spares_who_is_outside() {
    let barrier = Barrier::new(3);
    let inside = [(); 2].map(|()| Probe::pending(barrier.wait()));
    barrier.reset();
    assert!(!barrier.is_broken());
    let outside = [(); 2].map(|()| Probe::pending(barrier.wait()));
    barrier.reset();
    assert_eq!(barrier.n_waiting(), 0, "two have still to leave");
    let [first, second] = inside;
    assert_eq!(first.ready(), Err(BrokenBarrier));
    drop(second);
    assert_eq!(barrier.n_waiting(), 2);
    assert_eq!(Probe::new(barrier.wait()).ready(), Ok(2));
    for (index, waiter) in outside.into_iter().enumerate() {
        assert_eq!(waiter.ready(), Ok(index));
    }
}

#[test]
fn barrier_8_abort_fails_everybody_until_reset() {
    let barrier = Barrier::new(2);
    let passed = Probe::pending(barrier.wait());
    assert_eq!(Probe::new(barrier.wait()).ready(), Ok(1));
    let outside = Probe::pending(barrier.wait());
    barrier.abort();
    barrier.abort();
    assert!(barrier.is_broken());
    assert_eq!(outside.wakes(), 1);
    assert_eq!(outside.ready(), Err(BrokenBarrier));
    assert_eq!(Probe::new(barrier.wait()).ready(), Err(BrokenBarrier));
    assert_eq!(passed.ready(), Ok(0));
    barrier.reset();
    assert!(!barrier.is_broken());
    let first = Probe::pending(barrier.wait());
    assert_eq!(Probe::new(barrier.wait()).ready(), Ok(1));
    assert_eq!(first.ready(), Ok(0));
}

#[test]
fn barrier_9_nobody_counts_while_it_is_broken() {
    let barrier = Barrier::new(3);
    let first = Probe::pending(barrier.wait());
    assert_eq!(barrier.n_waiting(), 1);
    barrier.abort();
    assert_eq!(barrier.n_waiting(), 0);
    drop(first);
    barrier.reset();
    assert_eq!((barrier.n_waiting(), barrier.is_broken()), (0, false));
    assert_eq!(BrokenBarrier.to_string(), "the barrier was reset or aborted");
}

/// A task that has used up its turn when it completes a generation is not gone until it has run again.
#[test]
fn barrier_5_a_last_arrival_out_of_turn_has_not_left() {
    use filch_atomic::current::{WaitRecord, enter, poll_proceed};
    use std::task::{Context, Waker};
    let barrier = Barrier::new(2);
    let first = Probe::pending(barrier.wait());
    let mut last = Probe::new(barrier.wait());
    let record = WaitRecord::new();
    let turn = || {
        while poll_proceed(&mut Context::from_waker(Waker::noop())).is_ready() {}
        assert!(last.poll().is_pending());
    };
    // SAFETY: null.
    unsafe { enter(std::ptr::null(), &record, turn) };
    assert_eq!(last.wakes(), 1);
    assert_eq!(first.ready(), Ok(0));
    let newcomer = Probe::pending(barrier.wait());
    assert_eq!(barrier.n_waiting(), 0, "one has still to leave");
    barrier.abort();
    assert_eq!(newcomer.ready(), Err(BrokenBarrier));
    assert_eq!(last.ready(), Ok(1), "it had passed");
}

/// Many generations on several threads: indices are dealt without a gap, and nobody is a generation ahead.
#[test]
fn generations_do_not_mix() {
    const PARTIES: usize = 4;
    const GENERATIONS: usize = 500;
    let barrier = Barrier::new(PARTIES);
    let passed = Mutex::new(vec![Vec::new(); GENERATIONS]);
    thread::scope(|scope| {
        for _ in 0..PARTIES {
            scope.spawn(|| {
                for generation in 0..GENERATIONS {
                    let index = exec::block_on(barrier.wait()).unwrap();
                    passed.lock().unwrap()[generation].push(index);
                }
            });
        }
    });
    for mut indices in passed.into_inner().unwrap() {
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 2, 3]);
    }
}
