//! Intervals and what they do about missed ticks.

use super::{Count, DAY, Desk, MS, poll};
use crate::timer::{Instant, Interval, MissedTick, interval, interval_at};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The moments, in milliseconds from the start, at which an interval of 10 ms says it was due, when it is
/// asked at these moments.
fn due_when_asked_at(missed: MissedTick, asked_at: &[u32]) -> Vec<u128> {
    let mut desk = Desk::new();
    let count = Count::new();
    let start = Instant::from(desk.now());
    let mut beat = interval(10 * MS);
    beat.set_missed_tick(missed);
    let mut due = Vec::new();
    for &at in asked_at {
        let step = (start + at * MS) - Instant::from(desk.now());
        desk.advance(step);
        let mut ask =
            || pin!(beat.tick()).poll(&mut Context::from_waker(&Waker::from(count.clone())));
        let mut tick = ask();
        if tick.is_pending() && desk.advance(Duration::ZERO) > 0 {
            // It was over before it was registered, which the worker's next look tells.
            tick = ask();
        }
        if let Poll::Ready(at) = tick {
            due.push((at - start).as_millis());
        }
    }
    due
}

#[test]
fn in_time_every_policy_keeps_the_pace() {
    for missed in [MissedTick::Burst, MissedTick::Delay, MissedTick::Skip] {
        assert_eq!(due_when_asked_at(missed, &[0, 5, 10, 20, 33, 40]), [0, 10, 20, 30, 40]);
    }
}

#[test]
fn burst_makes_up_for_missed_ticks() {
    let due = due_when_asked_at(MissedTick::Burst, &[0, 35, 35, 35, 35, 40]);
    assert_eq!(due, [0, 10, 20, 30, 40]);
}

#[test]
fn delay_starts_anew_after_a_late_tick() {
    // Taken at 35, so the next one is due at 45; taken at 48, which is late within the tolerance.
    let due = due_when_asked_at(MissedTick::Delay, &[0, 35, 35, 44, 48, 54, 55]);
    assert_eq!(due, [0, 10, 45, 55]);
}

#[test]
fn skip_leaves_missed_ticks_out() {
    let due = due_when_asked_at(MissedTick::Skip, &[0, 35, 35, 39, 40, 70, 79, 80]);
    assert_eq!(due, [0, 10, 40, 50, 80]);
}

#[test]
fn skip_at_exactly_a_later_tick_goes_on_after_it() {
    assert_eq!(due_when_asked_at(MissedTick::Skip, &[0, 30, 30, 40]), [0, 10, 40]);
}

#[test]
fn a_dropped_tick_is_not_lost() {
    let mut desk = Desk::new();
    let count = Count::new();
    let start = Instant::from(desk.now());
    let mut beat = interval(10 * MS);
    let next = |beat: &mut Interval| {
        pin!(beat.tick()).poll(&mut Context::from_waker(&Waker::from(count.clone())))
    };
    assert_eq!(next(&mut beat), Poll::Ready(start));
    assert!(next(&mut beat).is_pending(), "and the future is dropped here");
    assert_eq!(desk.timers.len(), 1);
    assert_eq!(desk.advance(10 * MS), 1);
    assert_eq!(next(&mut beat), Poll::Ready(start + 10 * MS));
    assert!(next(&mut beat).is_pending());
    desk.advance(10 * MS);
    assert_eq!(next(&mut beat), Poll::Ready(start + 20 * MS));
    drop(beat);
    assert!(desk.timers.is_empty());
}

#[test]
fn it_starts_when_it_is_told_to_and_can_be_told_anew() {
    let mut desk = Desk::new();
    let count = Count::new();
    let start = Instant::from(desk.now());
    let mut beat = interval_at(start + 3 * MS, 10 * MS);
    assert_eq!(beat.period(), 10 * MS);
    let next =
        |beat: &mut Interval| beat.poll_tick(&mut Context::from_waker(&Waker::from(count.clone())));
    assert!(next(&mut beat).is_pending());
    desk.advance(2 * MS);
    beat.reset();
    assert_eq!(desk.advance(9 * MS), 0);
    assert_eq!(desk.advance(MS), 1);
    assert_eq!(next(&mut beat), Poll::Ready(start + 12 * MS));
    beat.reset_at(start + 15 * MS);
    assert!(next(&mut beat).is_pending());
    desk.advance(3 * MS);
    assert_eq!(next(&mut beat), Poll::Ready(start + 15 * MS));
}

#[test]
fn the_longest_period_does_not_overflow() {
    let mut desk = Desk::new();
    let mut beat = interval(Duration::MAX);
    assert!(poll(&mut Box::pin(beat.tick()), &Count::new()).is_ready());
    desk.advance(DAY);
    assert!(poll(&mut Box::pin(beat.tick()), &Count::new()).is_pending());
}

#[test]
#[should_panic(expected = "the period of an interval must not be zero")]
fn a_period_of_zero_is_refused() {
    let _desk = Desk::new();
    let _ = interval(Duration::ZERO);
}
