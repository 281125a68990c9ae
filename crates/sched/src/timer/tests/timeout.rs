//! Timeouts.

use super::{Count, DAY, Desk, MS, poll};
use crate::timer::{timeout, timeout_at};
use std::future::{Future, poll_fn, ready};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

#[test]
fn a_timeout_around_a_ready_future_touches_no_wheel() {
    let desk = Desk::new();
    let count = Count::new();
    assert_eq!(poll(&mut timeout(MS, ready(7)), &count), Poll::Ready(Ok(7)));
    assert_eq!(poll(&mut timeout(Duration::ZERO, ready(7)), &count), Poll::Ready(Ok(7)));
    assert!(!desk.timers.is_due(desk.now() + 365 * DAY), "nothing was ever registered");
}

#[test]
fn a_timeout_ends_a_future_that_takes_too_long() {
    let mut desk = Desk::new();
    let count = Count::new();
    let mut bounded = timeout(5 * MS, std::future::pending::<()>());
    assert!(poll(&mut bounded, &count).is_pending());
    assert_eq!(desk.advance(5 * MS), 1);
    let Poll::Ready(Err(elapsed)) = poll(&mut bounded, &count) else { panic!("it is over") };
    assert_eq!(std::io::Error::from(elapsed).kind(), std::io::ErrorKind::TimedOut);
    assert!(poll(&mut timeout(Duration::ZERO, std::future::pending::<()>()), &count).is_ready());
}

#[test]
fn completion_wins_over_the_timeout() {
    let mut desk = Desk::new();
    let count = Count::new();
    let mut polls = 0;
    let second = poll_fn(move |_| {
        polls += 1;
        if polls == 2 { Poll::Ready("done") } else { Poll::Pending }
    });
    let mut bounded = timeout(5 * MS, second);
    assert!(poll(&mut bounded, &count).is_pending());
    assert_eq!(desk.advance(50 * MS), 1);
    assert_eq!(poll(&mut bounded, &count), Poll::Ready(Ok("done")));
}

#[test]
fn a_timeout_takes_its_timer_out_when_it_is_dropped() {
    let desk = Desk::new();
    let count = Count::new();
    let mut bounded = timeout_at(desk.now() + MS, std::future::pending::<()>());
    assert!(poll(&mut bounded, &count).is_pending());
    assert_eq!(desk.timers.len(), 1);
    drop(bounded);
    assert!(desk.timers.is_empty());
}

#[test]
fn a_timeout_fires_even_if_the_future_uses_up_the_budget() {
    let mut desk = Desk::new();
    let record = filch_atomic::current::WaitRecord::new();
    let greedy = poll_fn(|cx| {
        while filch_atomic::current::poll_proceed(cx).is_ready() {}
        Poll::<()>::Pending
    });
    let mut bounded = pin!(timeout(5 * MS, greedy));
    let mut poll_once = || {
        let poll = || bounded.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        // SAFETY: null.
        unsafe { filch_atomic::current::enter(std::ptr::null(), &record, poll) }
    };
    assert!(poll_once().is_pending());
    desk.advance(5 * MS);
    assert!(poll_once().is_ready());
}
