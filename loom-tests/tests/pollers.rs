//! Those who poll, among futures that take turns (`filch::half`).
#![cfg(filch_loom)]

#[allow(dead_code, reason = "each model uses its part")]
mod waiting;

use filch::models::Turns;
use loom::sync::Arc;
use loom::thread;
use std::future::poll_fn;
use waiting::{Waiting, wait};

/// Polls until it is ready. One that is turned away and not woken is a deadlock, which loom reports.
fn poller(turns: &Arc<Turns>, reads: bool) -> thread::JoinHandle<()> {
    let turns = turns.clone();
    thread::spawn(move || wait(poll_fn(|cx| turns.poll(reads, cx))))
}

/// The turn of a future ends while somebody polls.
#[test]
fn the_end_of_a_turn_wakes_who_polls() {
    loom::model(|| {
        let turns = Arc::new(Turns::default());
        let polls = poller(&turns, true);
        wait(turns.take());
        polls.join().unwrap();
    });
}

/// Polls of both roles turn each other away.
#[test]
fn two_who_poll_wake_each_other() {
    loom::model(|| {
        let turns = Arc::new(Turns::default());
        let pollers = [true, false].map(|reads| poller(&turns, reads));
        pollers.into_iter().for_each(|poller| poller.join().unwrap());
    });
}

/// A future that is given its turn, and dropped, passes it to nobody: who polls hears of it.
#[test]
fn a_future_that_goes_with_its_turn_wakes_who_polls() {
    loom::model(|| {
        let turns = Arc::new(Turns::default());
        let takes = thread::spawn({
            let turns = turns.clone();
            move || wait(turns.take())
        });
        let polls = poller(&turns, false);
        let _ = Waiting::new(turns.take()).poll();
        takes.join().unwrap();
        polls.join().unwrap();
    });
}
