//! Threads that are no workers and run a future, as the stillness counts them (`crates/sched/src/still/outside.rs`).
//!
//! The thread is the model's first, in the scheduler's own `block`, which `block_on` is. Its first poll begins all else,
//! so that the clock cannot have jumped before.
#![cfg(filch_loom)]

#[allow(dead_code, reason = "each model uses its part")]
mod team;

use filch_atomic::thread::{self, JoinHandle};
use filch_sched::ThreadPark;
use filch_sched::still::block;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use team::{LATER, Team};

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

/// Worker 0, alone, which does `run` when it is woken.
fn worker(team: &Arc<Team>, mut park: ThreadPark, run: impl FnMut() + 'static) -> JoinHandle<()> {
    let team = team.clone();
    thread::spawn(move || team.work(0, &mut park, run))
}

/// TIME-5: a worker wakes it, and the clock stands from its first poll to its last. Then the timer is not forgotten.
#[test]
fn the_clock_stands_until_it_is_over() {
    check(|| {
        let park = ThreadPark::new();
        let team = Team::of_one(&park, true);
        let (timer, start) = (team.ends_later(), team.now());
        let (mut park, mut threads) = (Some(park), Vec::new());
        block(
            &team,
            |run| run(),
            poll_fn(|cx| {
                assert_eq!(team.now(), start, "it was to be woken");
                let Some(park) = park.take() else { return Poll::Ready(()) };
                let mut waker = Some(cx.waker().clone());
                let wakes = move || waker.take().expect("once").wake();
                threads.push(worker(&team, park, wakes));
                team.wake();
                Poll::Pending
            }),
        );
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((team.jumps(), team.now()), (1, start + LATER));
        drop(timer);
    });
}

/// TIME-5: somebody else wakes it, of whom nobody knows when. While it polls the clock stands, also in the poll that
/// comes of that.
#[test]
fn the_clock_stands_in_each_poll() {
    check(|| {
        let park = ThreadPark::new();
        let team = Team::of_one(&park, true);
        let timer = team.ends_later();
        let (mut park, mut threads) = (Some(park), Vec::new());
        block(
            &team,
            |run| run(),
            poll_fn(|cx| {
                let begun = team.now();
                let polled = if let Some(park) = park.take() {
                    threads.push(worker(&team, park, || unreachable!("nobody wakes it")));
                    let waker = cx.waker().clone();
                    threads.push(thread::spawn(move || waker.wake()));
                    Poll::Pending
                } else {
                    Poll::Ready(())
                };
                assert_eq!(team.now(), begun);
                polled
            }),
        );
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(team.jumps(), 1);
        drop(timer);
    });
}

/// TIME-6: who wakes it late, or once more, does not have the clock stand for ever.
#[test]
fn a_wake_that_comes_late_counts_for_nothing() {
    check(|| {
        let park = ThreadPark::new();
        let team = Team::of_one(&park, true);
        let timer = team.ends_later();
        let kept = Mutex::new((Some(park), None::<JoinHandle<()>>, None::<JoinHandle<()>>));
        block(
            &team,
            |run| run(),
            poll_fn(|cx| {
                let mut kept = kept.lock().unwrap();
                let park = kept.0.take().expect("it is polled once");
                kept.1 = Some(worker(&team, park, || unreachable!("nobody wakes it")));
                let waker: Waker = cx.waker().clone();
                kept.2 = Some(thread::spawn(move || waker.wake()));
                Poll::Ready(())
            }),
        );
        let (_, worker, waker) = kept.into_inner().unwrap();
        worker.unwrap().join().unwrap();
        waker.unwrap().join().unwrap();
        assert_eq!(team.jumps(), 1);
        drop(timer);
    });
}
