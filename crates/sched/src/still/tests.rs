//! The rules of the stillness, one by one.

use super::{InFlight, QUIET, QUIET_TO_THE_END, Rest, Scene, Stillness};
use crate::clock::{ManualClock, TimeSource};
use crate::peer_cell::PeerCell;
use crate::task::yield_now;
use crate::timer::sleep;
use crate::{Config, Leaked, Order, Park, Peer, ThreadPark, ThreadPeer, run, settle, with_handle};
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A scene that is set by hand.
#[derive(Default)]
struct Stage {
    is_busy: Cell<bool>,
    work: Cell<u64>,
    /// Of each worker.
    deadlines: Vec<Option<Instant>>,
}

impl Scene for Stage {
    fn is_busy(&self) -> bool {
        self.is_busy.get()
    }

    fn work(&self) -> u64 {
        self.work.get()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.iter().flatten().min().copied()
    }

    fn is_due(&self, worker: usize, now: Instant) -> bool {
        self.deadlines[worker].is_some_and(|deadline| deadline <= now)
    }
}

/// Two workers, the first with a timer in so many seconds, the second with one in so many.
fn two(first: u64, second: u64) -> (Stillness, Arc<ManualClock>, Stage) {
    let hand = ManualClock::new();
    let deadlines = [first, second].map(|seconds| Some(hand.now() + SECOND * seconds as u32));
    let still = Stillness::new(2, Some(hand.clone()));
    (still, hand, Stage { deadlines: deadlines.to_vec(), ..Stage::default() })
}

/// Until when a worker that rests may park, if it may.
fn parks(rest: Rest) -> Option<Option<Instant>> {
    match rest {
        Rest::Park(until) => Some(until),
        Rest::Look | Rest::Again { .. } => None,
    }
}

/// TIME-5, TIME-6.
#[test]
fn the_last_to_rest_moves_the_clock_to_the_earliest_timer_and_unparks_its_owner() {
    let (still, hand, stage) = two(3, 5);
    let (start, now) = (hand.now(), Instant::now());
    assert_eq!(parks(still.rest(0, InFlight::Nothing, now, &stage)), Some(None));
    assert_eq!(hand.now(), start, "the other one runs");
    let Rest::Again { unpark, wake } = still.rest(1, InFlight::Nothing, now, &stage) else {
        panic!("it decides");
    };
    assert_eq!((unpark, wake.len()), (vec![0], 0));
    assert_eq!(hand.now(), start + 3 * SECOND);
    // The owner has not risen yet, and counts as up.
    assert_eq!(parks(still.rest(1, InFlight::Nothing, now, &stage)), Some(None));
    assert_eq!((hand.now(), still.jumps()), (start + 3 * SECOND, 1));
}

#[test]
fn one_who_was_unparked_looks_again_before_it_is_still() {
    let (still, hand, stage) = two(3, 5);
    let (start, now) = (hand.now(), Instant::now());
    still.unparks(0);
    assert_eq!(parks(still.rest(0, InFlight::Nothing, now, &stage)), None);
    assert_eq!(parks(still.rest(0, InFlight::Nothing, now, &stage)), Some(None));
    // In its park now, and unparked again: it is up before it knows.
    still.unparks(0);
    assert_eq!(parks(still.rest(1, InFlight::Nothing, now, &stage)), Some(None));
    assert_eq!(hand.now(), start);
    still.rises(0);
    assert_eq!(parks(still.rest(0, InFlight::Nothing, now, &stage)), None);
    assert_eq!(hand.now(), start + 3 * SECOND);
}

/// TIME-8.
#[test]
fn what_is_in_flight_has_to_be_quiet_for_a_millisecond() {
    for (flight, long) in [(InFlight::MayCome, QUIET), (InFlight::Ends, QUIET_TO_THE_END)] {
        let (still, hand, stage) = two(3, 5);
        let (start, now) = (hand.now(), Instant::now());
        assert_eq!(parks(still.rest(0, flight, now, &stage)), Some(None));
        let rest = |now| parks(still.rest(1, InFlight::Nothing, now, &stage));
        assert_eq!(rest(now), Some(Some(now + long)));
        let later = now + long / 2;
        assert_eq!(rest(later), Some(Some(now + long)), "it is the same quiet");
        stage.work.set(1);
        assert_eq!(rest(later), Some(Some(later + long)), "something came");
        assert_eq!(rest(now + long), Some(Some(later + long)));
        let Rest::Again { unpark, .. } = still.rest(1, InFlight::Nothing, later + long, &stage)
        else {
            panic!("all are to look once more");
        };
        assert_eq!(unpark, [0]);
        assert_eq!(rest(later + long), Some(None), "the other one has yet to look");
        assert_eq!(hand.now(), start);
        // It found something, or not.
        let came = u64::from(flight == InFlight::MayCome);
        stage.work.set(1 + came);
        let again = parks(still.rest(0, flight, later + long, &stage));
        assert_eq!((again, hand.now()), (None, start), "it may have looked before it was told to");
        let last = parks(still.rest(0, flight, later + long, &stage));
        if came > 0 {
            assert_eq!((last, hand.now()), (Some(Some(later + 2 * long)), start));
        } else {
            assert_eq!((last, hand.now()), (None, start + 3 * SECOND));
        }
    }
}

/// TIME-8: what a thread outside begins has its own millisecond, though no worker has done anything.
#[test]
fn what_is_begun_outside_begins_the_quiet_anew() {
    let (still, hand, stage) = two(3, 5);
    let (start, now) = (hand.now(), Instant::now());
    let rest = |worker, now| parks(still.rest(worker, InFlight::MayCome, now, &stage));
    let begin_outside = || {
        still.enter();
        assert!(still.leave(), "a virtual clock wants to know");
    };
    let told = || still.unparks(1);
    rest(0, now);
    assert_eq!(rest(1, now), Some(Some(now + QUIET)));
    for (round, begin) in [&begin_outside as &dyn Fn(), &told].into_iter().enumerate() {
        let later = now + 2 * QUIET * (1 + round as u32);
        begin();
        assert_eq!(rest(1, later), Some(Some(later + QUIET)));
    }
    assert_eq!(hand.now(), start);
}

/// A peer that keeps whom it is to tell of mail.
#[derive(Clone, Default)]
struct Mailbox(Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>);

impl Mailbox {
    fn comes(&self) {
        (self.0.get().expect("somebody is to be told"))();
    }
}

impl Peer for Mailbox {
    fn unpark(&self) {}

    fn tell_of_mail(&self, tell: Box<dyn Fn() + Send + Sync>) {
        assert!(self.0.set(tell).is_ok(), "once");
    }

    fn alarm(&self, _: Option<Duration>) {}

    fn rescue(&self) -> io::Result<usize> {
        Ok(0)
    }
}

/// TIME-8: what is left in a worker's ring, after it looked what is in flight there or while it sleeps, has it look again.
#[test]
fn a_worker_with_mail_looks_again_before_a_jump() {
    let (still, hand, stage) = two(3, 5);
    let (still, mailbox) = (Arc::new(still), Mailbox::default());
    PeerCell::new(0, Some(still.clone())).set(mailbox.clone());
    let (start, now) = (hand.now(), Instant::now());
    let rest = |worker| parks(still.rest(worker, InFlight::Nothing, now, &stage));
    assert_eq!(rest(1), Some(None));
    mailbox.comes();
    assert_eq!((rest(0), hand.now()), (None, start), "it is to look again");
    still.unparks(1);
    assert_eq!(rest(0), Some(None));
    mailbox.comes();
    assert_eq!((rest(1), hand.now()), (Some(None), start), "the other one is up");
}

/// TIME-7.
#[test]
fn while_a_closure_runs_the_clock_stands() {
    let (still, hand, stage) = two(3, 5);
    let (start, now) = (hand.now(), Instant::now());
    stage.is_busy.set(true);
    assert_eq!(parks(still.rest(0, InFlight::Nothing, now, &stage)), Some(None));
    for later in [now, now + SECOND] {
        let until = parks(still.rest(1, InFlight::Nothing, later, &stage));
        assert_eq!(until, Some(Some(later + QUIET)), "it looks again soon");
    }
    assert_eq!(hand.now(), start);
    stage.is_busy.set(false);
    assert_eq!(parks(still.rest(1, InFlight::Nothing, now, &stage)), None);
    assert_eq!(hand.now(), start + 3 * SECOND);
}

/// TIME-10.
#[test]
fn those_who_wait_for_the_stillness_come_before_a_jump() {
    let (still, hand, stage) = two(3, 5);
    let still = Arc::new(still);
    let (start, now) = (hand.now(), Instant::now());
    let mut settled = pin!(still.settled());
    let mut dropped = Box::pin(still.settled());
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(settled.as_mut().poll(&mut cx), Poll::Pending);
    assert_eq!(dropped.as_mut().poll(&mut cx), Poll::Pending);
    drop(dropped);
    assert_eq!(parks(still.rest(0, InFlight::Nothing, now, &stage)), Some(None));
    assert_eq!(settled.as_mut().poll(&mut cx), Poll::Pending);
    let Rest::Again { wake, .. } = still.rest(1, InFlight::Nothing, now, &stage) else {
        panic!("somebody waits");
    };
    assert_eq!((wake.len(), hand.now()), (1, start));
    assert_eq!(settled.as_mut().poll(&mut cx), Poll::Ready(()));
    assert_eq!(parks(still.rest(1, InFlight::Nothing, now, &stage)), None);
    assert_eq!(hand.now(), start + 3 * SECOND);
}

/// TIME-10: one who begins to wait while a worker goes to rest is not told of a stillness that nobody has looked for.
#[test]
fn who_asks_just_before_a_worker_rests_has_it_look_what_is_in_flight() {
    let still = Arc::new(Stillness::new(1, None));
    let (stage, now) = (Stage { deadlines: vec![None], ..Stage::default() }, Instant::now());
    assert_eq!(parks(still.rest(0, None, now, &stage)), Some(None), "nobody asks");
    still.rises(0);
    // The worker has seen that nobody asks, if it looks for that before it rests.
    let mut settled = pin!(still.settled());
    let mut cx = Context::from_waker(Waker::noop());
    assert_eq!(settled.as_mut().poll(&mut cx), Poll::Pending);
    assert!(matches!(still.rest(0, None, now, &stage), Rest::Look));
    assert_eq!(settled.as_mut().poll(&mut cx), Poll::Pending);
    let rest = |now| still.rest(0, InFlight::MayCome, now, &stage);
    assert_eq!(parks(rest(now)), Some(Some(now + QUIET)), "it has its time to come");
    assert!(matches!(rest(now + QUIET), Rest::Again { wake, .. } if wake.is_empty()));
    assert!(matches!(rest(now + QUIET), Rest::Again { wake, .. } if wake.len() == 1));
    assert_eq!(settled.as_mut().poll(&mut cx), Poll::Ready(()));
    assert_eq!(parks(still.rest(0, None, now, &stage)), Some(None), "nobody asks any more");
}

/// TIME-10: also where the clock was moved by hand, or is the system's and has gone on.
#[test]
fn those_who_wait_for_the_stillness_come_after_timers_that_are_due() {
    for is_virtual in [true, false] {
        let hand = ManualClock::new();
        let now = if is_virtual { hand.now() } else { Instant::now() };
        let still = Arc::new(Stillness::new(2, is_virtual.then(|| hand.clone())));
        let deadlines = vec![Some(now + 3 * SECOND), Some(now + 5 * SECOND)];
        let mut stage = Stage { deadlines, ..Stage::default() };
        let mut settled = pin!(still.settled());
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(settled.as_mut().poll(&mut cx), Poll::Pending);
        still.advance(6 * SECOND);
        // The last one to rest has none that is due itself.
        for own in [None, Some(now + 5 * SECOND)] {
            stage.deadlines[1] = own;
            assert_eq!(
                parks(still.rest(0, InFlight::Nothing, now + 6 * SECOND, &stage)),
                Some(None)
            );
            let Rest::Again { unpark, wake } =
                still.rest(1, InFlight::Nothing, now + 6 * SECOND, &stage)
            else {
                panic!("some are due");
            };
            assert_eq!((unpark, wake.len(), still.jumps()), (vec![0], 0, 0));
        }
        stage.deadlines.fill(None);
        assert_eq!(parks(still.rest(0, InFlight::Nothing, now, &stage)), Some(None));
        assert_eq!(parks(still.rest(1, InFlight::Nothing, now, &stage)), None);
        assert_eq!(settled.as_mut().poll(&mut cx), Poll::Ready(()));
    }
}

/// TIME-6: a timer that is for never.
#[test]
fn what_the_clock_never_reaches_is_not_waited_for() {
    let (still, hand, mut stage) = two(3, 5);
    let (start, now) = (hand.now(), Instant::now());
    stage.deadlines.fill(Some(start + Duration::from_secs(600 * 365 * 86_400)));
    for worker in 0..2 {
        assert_eq!(parks(still.rest(worker, InFlight::Nothing, now, &stage)), Some(None));
    }
    assert_eq!((hand.now(), still.jumps()), (start, 0));
}

/// TIME-11: nobody wakes for nothing, whatever runs or is in flight.
#[test]
fn with_nothing_to_wait_for_it_stands_and_nobody_looks_again() {
    let (still, hand, mut stage) = two(3, 5);
    let in_real_time = Stillness::new(2, None);
    let (start, now) = (hand.now(), Instant::now());
    stage.is_busy.set(true);
    for worker in 0..2 {
        // With timers, which are the park's business there.
        let rest = in_real_time.rest(worker, InFlight::MayCome, now, &stage);
        assert_eq!(parks(rest), Some(None));
    }
    stage.deadlines.fill(None);
    for worker in 0..2 {
        let rest = still.rest(worker, InFlight::MayCome, now, &stage);
        assert_eq!(parks(rest), Some(None));
    }
    assert_eq!(hand.now(), start);
}

/// A park, or how others see it, that counts how often it is asked what is in flight, and unparked.
#[derive(Clone, Default)]
struct Counts {
    asked: Arc<AtomicUsize>,
    unparked: Arc<AtomicUsize>,
}

struct Counting<P>(P, Counts);

impl Park for Counting<ThreadPark> {
    type Peer = Counting<ThreadPeer>;

    fn peer(&self) -> Self::Peer {
        Counting(self.0.peer(), self.1.clone())
    }

    fn turn(&mut self) -> io::Result<usize> {
        self.0.turn()
    }

    fn park(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        self.0.park(deadline)
    }

    fn in_flight(&self) -> InFlight {
        // Relaxed, here and below: all of it is on one thread, or joined.
        self.1.asked.fetch_add(1, Ordering::Relaxed);
        self.0.in_flight()
    }

    fn shutdown(&mut self, deadline: Option<Instant>) -> Result<(), Leaked> {
        self.0.shutdown(deadline)
    }
}

impl Clone for Counting<ThreadPeer> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), self.1.clone())
    }
}

impl Peer for Counting<ThreadPeer> {
    fn unpark(&self) {
        self.1.unparked.fetch_add(1, Ordering::Relaxed);
        self.0.unpark();
    }

    fn alarm(&self, after: Option<Duration>) {
        self.0.alarm(after);
    }

    fn rescue(&self) -> io::Result<usize> {
        self.0.rescue()
    }
}

/// Runs `main` on one thread, in real time.
fn on_one_thread(counts: &Counts, main: impl Future<Output = ()>) {
    let config = Config { workers: 1, order: Order::Woken, ..Config::default() };
    let counts = counts.clone();
    run(config, move |_worker| Ok(Counting(ThreadPark::new(), counts.clone())), main).unwrap();
}

/// In real time nobody needs to know what is in flight, which takes long to tell, until somebody waits for it.
#[test]
fn where_nobody_asks_nobody_looks_what_is_in_flight() {
    let counts = Counts::default();
    let asked = || counts.asked.load(Ordering::Relaxed);
    on_one_thread(&counts, async {
        for _ in 0..3 {
            sleep(Duration::from_millis(2)).await;
        }
        assert_eq!(asked(), 0);
        settle().await;
        assert!(asked() > 0);
    });
}

/// A thread in `block_on` that has to wait costs a worker nothing, if nobody wants to know.
#[test]
fn where_nobody_asks_a_thread_that_rests_wakes_nobody() {
    let counts = Counts::default();
    let unparked = || counts.unparked.load(Ordering::Relaxed);
    on_one_thread(&counts, async {
        let handle = with_handle(|handle| handle.cloned()).unwrap();
        let before = unparked();
        let polls = async {
            for _ in 0..10 {
                yield_now().await;
            }
        };
        std::thread::spawn(move || handle.block_on(polls)).join().unwrap().unwrap();
        assert_eq!(unparked() - before, 0);
    });
}
