//! Children that are parts of the task, and leave it a turn now and then.

use filch::local_scope;
use filch::task::LocalScope;
use filch_testkit::{Probe, exec};
use std::cell::Cell;
use std::future::{pending, poll_fn};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

/// LOCAL-10: members that always have something to do do not keep the task from returning.
#[test]
fn local_10_a_poll_ends() {
    // One that yields has had its turn.
    let polls = Cell::new(0);
    let mut scope = Probe::pending(local_scope(async |_| {
        for _ in 0..3 {
            polls.set(polls.get() + 1);
            exec::yield_now().await;
        }
    }));
    for expected in 1..=3 {
        assert_eq!((polls.get(), scope.wakes()), (expected, expected));
        let _ = scope.poll();
    }
    // Two that wake one another for ever.
    type Turn = (bool, [Option<Waker>; 2]);
    async fn play(turn: &Mutex<Turn>, me: bool, turns: &AtomicUsize) {
        poll_fn(|cx| -> Poll<()> {
            let mut turn = turn.lock().unwrap();
            turn.1[usize::from(me)] = Some(cx.waker().clone());
            if turn.0 == me {
                turn.0 = !me;
                turns.fetch_add(1, Ordering::Relaxed);
                if let Some(other) = &turn.1[usize::from(!me)] {
                    other.wake_by_ref();
                }
            }
            Poll::Pending
        })
        .await;
    }
    let (turn, turns) = (Mutex::new((false, [None, None])), AtomicUsize::new(0));
    let mut scope = Probe::pending(local_scope(async |s| {
        s.spawn(play(&turn, false, &turns));
        s.spawn(play(&turn, true, &turns));
    }));
    let before = turns.load(Ordering::Relaxed);
    assert!(before > 2, "they had some turns");
    assert!(scope.wakes() > 0, "and will have more");
    assert!(scope.poll().is_pending());
    assert!(turns.load(Ordering::Relaxed) > before);
    // And a third, who yields: it has its turns between theirs.
    let (turn, turns) = (Mutex::new((false, [None, None])), AtomicUsize::new(0));
    let third = AtomicUsize::new(0);
    let mut scope = Probe::pending(local_scope(async |s| {
        s.spawn(play(&turn, false, &turns));
        s.spawn(play(&turn, true, &turns));
        s.spawn(async {
            for _ in 0..3 {
                exec::yield_now().await;
                third.fetch_add(1, Ordering::Relaxed);
            }
        });
    }));
    for _ in 0..10 {
        let _ = scope.poll();
    }
    assert_eq!(third.load(Ordering::Relaxed), 3);
    // So has the body, if it is the one: here it ends them.
    let (turn, turns) = (Mutex::new((false, [None, None])), AtomicUsize::new(0));
    let mut scope = Probe::pending(local_scope(async |s| {
        s.spawn(play(&turn, false, &turns));
        s.spawn(play(&turn, true, &turns));
        for _ in 0..3 {
            exec::yield_now().await;
        }
        s.cancel();
    }));
    assert!((0..10).any(|_| scope.poll().is_ready()));
}

/// LOCAL-10: a poll ends, though each child begins another one and stays.
#[test]
fn local_10_a_poll_ends_though_more_and_more_come() {
    const MANY: usize = 10_000;
    fn grow<'env>(s: &LocalScope<'env>, born: &'env AtomicUsize) {
        let again = s.clone();
        s.spawn(async move {
            if born.fetch_add(1, Ordering::Relaxed) < MANY {
                grow(&again, born);
            }
            pending::<()>().await;
        });
    }
    let born = AtomicUsize::new(0);
    let mut scope = Probe::pending(local_scope(async |s| grow(&s, &born)));
    let (mut polls, mut before) = (1, 0);
    loop {
        let now = born.load(Ordering::Relaxed);
        assert!(now > before, "each poll gets on with it");
        // Four for each that was there, and some.
        assert!(now <= 6 * before + 100, "{now} after {before} in one poll");
        if now > MANY {
            break;
        }
        before = now;
        assert_eq!(scope.wakes(), polls, "it is to be polled again");
        assert!(scope.poll().is_pending());
        polls += 1;
    }
}
