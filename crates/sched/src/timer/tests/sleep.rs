//! Sleeps and the timers they wait on.

use super::{Count, DAY, Desk, MS, Note, poll};
use crate::context::set_current_timers;
use crate::timer::registration::{Registration, Wait};
use crate::timer::{TICK, Timers, sleep, sleep_until, timeout};
use filch_atomic::sync::Arc;
use std::future::{Future, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

fn is_send_sync_unpin<T: Send + Sync + Unpin>(_: &T) {}

#[test]
fn a_sleep_fires_at_its_time_and_not_before() {
    let mut desk = Desk::new();
    let count = Count::new();
    let mut nap = sleep(10 * MS);
    is_send_sync_unpin(&nap);
    assert!(desk.timers.is_empty(), "nothing is registered before the first poll");
    assert!(poll(&mut nap, &count).is_pending());
    assert_eq!(desk.timers.len(), 1);
    assert_eq!(desk.timers.next_deadline(), Some(nap.until()));
    assert_eq!(desk.advance(Duration::from_nanos(9_999_999)), 0);
    assert!(poll(&mut nap, &count).is_pending());
    assert!(!nap.is_elapsed());
    assert_eq!(desk.advance(Duration::from_nanos(1)), 1);
    assert_eq!(count.get(), 1);
    assert!(nap.is_elapsed());
    assert!(poll(&mut nap, &count).is_ready());
    assert!(poll(&mut nap, &count).is_ready(), "and it stays so");
    assert_eq!(desk.timers.next_deadline(), None);
    assert_eq!(desk.unparked(), 0, "the owner does not unpark itself");
}

#[test]
fn a_part_of_a_tick_is_rounded_up() {
    let mut desk = Desk::new();
    desk.hand.advance(Duration::from_nanos(123_456));
    let count = Count::new();
    for wait_ns in [1, 999_999, 1_000_000, 1_000_001, 1_876_543, 1_876_544, 1_876_545] {
        let wait = Duration::from_nanos(wait_ns);
        let mut nap = sleep(wait);
        let deadline = nap.until();
        assert!(poll(&mut nap, &count).is_pending());
        while poll(&mut nap, &count).is_pending() {
            assert!(desk.now() < deadline + TICK, "{wait:?} is late by more than a tick");
            desk.advance(Duration::from_nanos(1_003));
        }
        assert!(desk.now() >= deadline, "{wait:?} is early");
    }
}

#[test]
fn no_time_and_a_time_gone_by_are_ready_at_once() {
    let desk = Desk::new();
    let count = Count::new();
    assert!(poll(&mut sleep(Duration::ZERO), &count).is_ready());
    let start = desk.now();
    assert!(poll(&mut sleep_until(start), &count).is_ready());
    desk.hand.advance(5 * MS);
    assert!(poll(&mut sleep_until(start + 5 * MS), &count).is_ready());
    assert!(desk.timers.is_empty());
    assert_eq!(count.get(), 0);
}

#[test]
fn a_time_that_passed_before_the_first_poll_is_found_at_the_next_look() {
    let mut desk = Desk::new();
    let count = Count::new();
    let mut nap = sleep(5 * MS);
    desk.hand.advance(50 * MS);
    let first = poll(&mut nap, &count);
    assert!(first.is_pending() && desk.timers.is_due(desk.now()));
    assert_eq!(desk.advance(Duration::ZERO), 1);
    assert!(poll(&mut nap, &count).is_ready());
}

#[test]
fn durations_without_end_do_not_panic_and_do_not_fire() {
    let mut desk = Desk::new();
    let count = Count::new();
    let mut nap = sleep(Duration::MAX);
    assert!(poll(&mut nap, &count).is_pending());
    assert!(desk.timers.next_deadline().is_some_and(|next| next > desk.now() + 365 * DAY));
    desk.advance(365 * DAY);
    assert!(poll(&mut nap, &count).is_pending());
    drop(nap);
    assert!(desk.timers.is_empty());
    assert!(poll(&mut timeout(Duration::MAX, ready(1)), &count).is_ready());
}

#[test]
fn wakers_are_woken_in_the_order_of_their_deadlines() {
    let mut desk = Desk::new();
    let order = std::sync::Arc::new(Mutex::new(Vec::new()));
    let waits = [70, 3, 5_000, 3, 64, 63, 65, 4_096, 1, 300_000, 4_095];
    let mut naps: Vec<_> = waits.iter().map(|&wait| sleep(wait * MS)).collect();
    for (index, nap) in naps.iter_mut().enumerate() {
        let waker = Waker::from(std::sync::Arc::new(Note(index, order.clone())));
        assert!(Pin::new(nap).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(desk.advance(400_000 * MS), waits.len());
    let mut expected: Vec<usize> = (0..waits.len()).collect();
    expected.sort_by_key(|&index| waits[index]);
    assert_eq!(*order.lock().unwrap(), expected, "equal deadlines in the order they came");
}

#[test]
fn dropping_a_sleep_takes_its_entry_out() {
    let mut desk = Desk::new();
    let count = Count::new();
    let mut nap = sleep(5 * MS);
    assert!(poll(&mut nap, &count).is_pending());
    drop(nap);
    assert!(desk.timers.is_empty());
    assert_eq!(std::sync::Arc::strong_count(&count), 1, "the waker went with it");
    assert_eq!(desk.timers.next_deadline(), None);
    assert_eq!(desk.advance(10 * MS), 0);
    assert_eq!(count.get(), 0);
}

#[test]
fn dropping_on_another_thread_takes_it_out_of_its_own_wheel() {
    let mut desk = Desk::new();
    let count = Count::new();
    let mut nap = sleep(5 * MS);
    assert!(poll(&mut nap, &count).is_pending());
    std::thread::spawn(move || drop(nap)).join().unwrap();
    assert!(desk.timers.is_empty());
    assert_eq!(desk.advance(10 * MS), 0);
}

#[test]
fn a_sleep_that_moved_keeps_its_wheel_and_wakes_its_latest_waker() {
    let mut desk = Desk::new();
    let (first, second) = (Count::new(), Count::new());
    let mut nap = sleep(5 * MS);
    assert!(poll(&mut nap, &first).is_pending());
    let other = second.clone();
    let mut nap = std::thread::spawn(move || {
        let desk = Desk::new();
        assert!(poll(&mut nap, &other).is_pending());
        assert!(desk.timers.is_empty(), "it stays where it was");
        nap
    })
    .join()
    .unwrap();
    assert_eq!(desk.advance(5 * MS), 1);
    assert_eq!((first.get(), second.get()), (0, 1));
    assert!(poll(&mut nap, &first).is_ready());
}

#[test]
fn a_registration_from_elsewhere_unparks_the_owner_only_if_it_is_earlier() {
    let desk = Desk::new();
    set_current_timers(Some((desk.timers.clone(), false)));
    let count = Count::new();
    let mut naps: Vec<_> = [50, 60, 40, 40].into_iter().map(|wait| sleep(wait * MS)).collect();
    let mut unparked = Vec::new();
    for nap in &mut naps {
        assert!(poll(nap, &count).is_pending());
        unparked.push(desk.unparked());
    }
    assert_eq!(unparked, [1, 1, 2, 2]);
    naps[1].reset(desk.now() + 30 * MS);
    assert_eq!(desk.unparked(), 3);
    assert_eq!(desk.timers.next_deadline(), Some(desk.now() + 30 * MS));
}

#[test]
fn reset_moves_a_waiting_sleep_either_way_and_keeps_its_waker() {
    let mut desk = Desk::new();
    let count = Count::new();
    let start = desk.now();
    let mut nap = sleep(100 * MS);
    assert!(poll(&mut nap, &count).is_pending());
    nap.reset(start + 5 * MS);
    assert_eq!(desk.timers.len(), 1);
    assert_eq!(desk.advance(5 * MS), 1);
    assert!(poll(&mut nap, &count).is_ready());
    nap.reset(start + 20 * MS);
    assert!(!nap.is_elapsed());
    assert!(poll(&mut nap, &count).is_pending());
    nap.reset(start + 7_000 * MS);
    assert_eq!(desk.advance(100 * MS), 0);
    assert!(poll(&mut nap, &count).is_pending());
    nap.reset(start);
    assert_eq!(desk.advance(MS), 1, "a time gone by is the next tick");
    assert!(poll(&mut nap, &count).is_ready());
    assert_eq!(nap.until(), start);
}

#[test]
fn a_sleep_reset_after_it_fired_and_before_it_was_polled_starts_anew() {
    let mut desk = Desk::new();
    let count = Count::new();
    let mut nap = sleep(5 * MS);
    assert!(poll(&mut nap, &count).is_pending());
    assert_eq!(desk.advance(5 * MS), 1);
    nap.reset(desk.now() + 5 * MS);
    assert!(poll(&mut nap, &count).is_pending());
    assert_eq!(desk.advance(5 * MS), 1);
    assert!(poll(&mut nap, &count).is_ready());
    assert_eq!(count.get(), 2);
}

#[test]
fn many_due_at_once_come_in_portions() {
    let desk = Desk::new();
    let count = Count::new();
    let mut naps: Vec<_> = (0..10_000).map(|_| sleep(5 * MS)).collect();
    for nap in &mut naps {
        assert!(poll(nap, &count).is_pending());
    }
    desk.hand.advance(5 * MS);
    let mut scratch = Vec::new();
    let first = desk.timers.expire(desk.now(), &mut scratch);
    assert!(first.more && first.woken > 0 && first.woken < naps.len());
    assert!(desk.timers.is_due(desk.now()), "the owner does not go to sleep over the rest");
    assert!(desk.timers.next_deadline().is_some_and(|next| next <= desk.now()));
    // Half of what was fired, and of what was not, goes; a new one comes for a tick being worked off.
    let kept = naps.split_off(naps.len() / 2);
    drop(naps);
    let mut late = sleep(MS);
    assert!(poll(&mut late, &count).is_pending());
    let mut woken = first.woken;
    loop {
        let next = desk.timers.expire(desk.now(), &mut scratch);
        woken += next.woken;
        if !next.more {
            break;
        }
    }
    assert_eq!(woken, first.woken + (5_000 - first.woken.saturating_sub(5_000)));
    for mut nap in kept {
        assert!(poll(&mut nap, &count).is_ready());
    }
    assert!(poll(&mut late, &count).is_pending());
    assert_eq!(desk.timers.len(), 1);
}

#[test]
fn a_waker_that_panics_does_not_keep_the_others_from_being_woken() {
    struct Bad;
    impl Wake for Bad {
        fn wake(self: std::sync::Arc<Self>) {
            panic!("bad waker");
        }
    }
    let desk = Desk::new();
    let count = Count::new();
    let (mut bad, mut good) = (sleep(MS), sleep(MS));
    let waker = Waker::from(std::sync::Arc::new(Bad));
    assert!(Pin::new(&mut bad).poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(poll(&mut good, &count).is_pending());
    desk.hand.advance(MS);
    let mut scratch = Vec::new();
    let expire = || desk.timers.expire(desk.now(), &mut scratch);
    assert!(catch_unwind(AssertUnwindSafe(expire)).is_err());
    assert_eq!(count.get(), 1);
    assert!(poll(&mut good, &count).is_ready());
}

#[test]
fn a_waker_may_use_the_timers_while_it_is_woken_or_dropped() {
    /// Takes the timers' lock wherever a waker's code may run.
    struct Nosy(Arc<Timers>);
    impl Wake for Nosy {
        fn wake(self: std::sync::Arc<Self>) {
            let _ = self.0.len();
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            let _ = self.0.len();
        }
    }
    let mut desk = Desk::new();
    let waker = || Waker::from(std::sync::Arc::new(Nosy(desk.timers.clone())));
    let mut nap = sleep(MS);
    for waker in [waker(), waker()] {
        assert!(Pin::new(&mut nap).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    let mut other = sleep(MS);
    assert!(Pin::new(&mut other).poll(&mut Context::from_waker(&waker())).is_pending());
    drop(other);
    assert_eq!(desk.advance(MS), 1);
}

#[test]
fn closed_timers_wake_everybody_and_take_nobody() {
    let desk = Desk::new();
    let count = Count::new();
    let mut nap = sleep(5 * MS);
    assert!(poll(&mut nap, &count).is_pending());
    desk.timers.close();
    assert_eq!(count.get(), 1);
    assert!(desk.timers.is_empty());
    assert_eq!(desk.timers.next_deadline(), None);
    // On the worker, whose tasks are about to be dropped, it just waits; it does not pretend to be over.
    assert!(poll(&mut nap, &count).is_pending());
    assert!(poll(&mut sleep(5 * MS), &count).is_pending());
    // Elsewhere it says so.
    set_current_timers(Some((desk.timers.clone(), false)));
    let refused = catch_unwind(AssertUnwindSafe(|| poll(&mut sleep(5 * MS), &count)));
    let message = refused.unwrap_err().downcast::<String>().unwrap();
    assert!(message.contains("was shut down") && message.contains(file!()), "{message}");
    nap.reset(desk.now() + 5 * MS);
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut nap, &count))).is_err());
    drop(nap);
}

#[test]
fn a_sleep_without_a_runtime_says_where_it_was_made() {
    let mut nap = sleep(DAY);
    let refused = catch_unwind(AssertUnwindSafe(|| poll(&mut nap, &Count::new())));
    let message = refused.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("there is no filch runtime on this thread"), "{message}");
    assert!(message.contains(file!()), "{message}");
    let desk = Desk::new();
    assert!(poll(&mut nap, &Count::new()).is_pending(), "it works where there is one");
    assert_eq!(desk.timers.len(), 1);
}

#[test]
fn a_registration_made_by_hand_is_what_a_sleep_is_made_of() {
    let mut desk = Desk::new();
    let count = Count::new();
    let waker = Waker::from(count.clone());
    let deadline = desk.now() + 3 * MS;
    let Wait::Pending(mut held) = Registration::new(&desk.timers, deadline, waker.clone(), true)
    else {
        panic!("three milliseconds are to come");
    };
    assert_eq!(held.tick(), 3);
    assert!(matches!(held.poll(&waker), Wait::Pending(())));
    assert_eq!(desk.advance(3 * MS), 1);
    assert!(matches!(held.poll(&waker), Wait::Elapsed));
    assert!(!held.reset(deadline + MS, true), "it is over");
}

#[test]
fn a_sleep_out_of_budget_yields_and_stays_elapsed() {
    use filch_atomic::current::{BUDGET, WaitRecord, enter};
    let _desk = Desk::new();
    let count = Count::new();
    let record = WaitRecord::new();
    let mut nap = sleep(Duration::ZERO);
    let turn = || {
        for _ in 0..BUDGET {
            assert!(poll(&mut sleep(Duration::ZERO), &count).is_ready());
        }
        assert!(poll(&mut nap, &count).is_pending());
        assert_eq!(count.get(), 1, "the task is to come again");
    };
    // SAFETY: null.
    unsafe { enter(std::ptr::null(), &record, turn) };
    // SAFETY: null.
    unsafe { enter(std::ptr::null(), &record, || assert!(poll(&mut nap, &count).is_ready())) };
}

#[test]
fn what_is_waited_for_is_on_record() {
    use filch_atomic::current::{WaitKind, WaitRecord, enter};
    let _desk = Desk::new();
    let record = WaitRecord::new();
    let mut nap = sleep(5 * MS);
    let line = line!() - 1;
    let turn = || assert!(poll(&mut nap, &Count::new()).is_pending());
    // SAFETY: null.
    unsafe { enter(std::ptr::null(), &record, turn) };
    let (kind, _, location) = record.get().expect("it was noted");
    assert_eq!((kind, location.file(), location.line()), (WaitKind::Timer, file!(), line));
}
