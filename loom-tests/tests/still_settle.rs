//! Those who wait for the stillness (`crates/sched/src/still/settle.rs`): from elsewhere, while a worker goes to rest, or
//! in a thread that counts as outside.
#![cfg(filch_loom)]

#[allow(dead_code, reason = "each model uses its part")]
mod team;
#[allow(dead_code, reason = "each model uses its part")]
mod waiting;

use filch_atomic::thread;
use filch_sched::still::{Settled, block};
use filch_sched::{InFlight, Leaked, Park, ThreadPark, ThreadPeer};
use std::cell::Cell;
use std::io;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use team::{LATER, Team};
use waiting::wait;

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

/// So long nothing has to come of what is in flight.
const QUIET: Duration = Duration::from_millis(1);

/// A park with something in flight of which nothing ever comes. Says when that has had its time to: it was asked for, so
/// long has passed since, and somebody has looked into the ring once more.
struct Busy {
    park: ThreadPark,
    team: Option<Arc<Team>>,
    seen: Cell<Option<Duration>>,
    is_quiet: Arc<AtomicBool>,
}

impl Busy {
    fn new() -> Self {
        let (seen, is_quiet) = (Cell::new(None), Arc::new(AtomicBool::new(false)));
        Self { park: ThreadPark::new(), team: None, seen, is_quiet }
    }

    /// That of the only worker.
    fn of_one() -> (Self, Arc<Team>) {
        let mut park = Self::new();
        let team = Team::of_one(&park, false);
        park.team = Some(team.clone());
        (park, team)
    }

    fn passed(&self) -> Duration {
        self.team.as_ref().map_or(Duration::ZERO, |team| team.passed())
    }
}

impl Park for Busy {
    type Peer = ThreadPeer;

    fn peer(&self) -> ThreadPeer {
        self.park.peer()
    }

    /// A look into the ring.
    fn turn(&mut self) -> io::Result<usize> {
        let is_quiet = self.seen.get().is_some_and(|seen| self.passed() >= seen + QUIET);
        // Relaxed, here and below: the model is not to be ordered by it.
        self.is_quiet.fetch_or(is_quiet, Ordering::Relaxed);
        Ok(0)
    }

    fn park(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        self.park.park(deadline)
    }

    fn in_flight(&self) -> InFlight {
        self.seen.set(self.seen.get().or(Some(self.passed())));
        InFlight::MayCome
    }

    fn shutdown(&mut self, deadline: Option<Instant>) -> Result<(), Leaked> {
        self.park.shutdown(deadline)
    }
}

fn settled(team: &Arc<Team>) -> Settled {
    Settled::of(team, Location::caller()).expect("it is kept")
}

/// TIME-10: in real time, on a thread that nobody counts. A worker that goes to rest just then looks what is in flight,
/// and waits for it; one that rests already is told to.
#[test]
fn who_waits_is_told_of_a_stillness_that_was_looked_for() {
    check(|| {
        let (mut park, team) = Busy::of_one();
        let is_quiet = park.is_quiet.clone();
        let waits = thread::spawn({
            let team = team.clone();
            move || {
                wait(settled(&team));
                assert!(
                    is_quiet.load(Ordering::Relaxed),
                    "something may come, and was not waited for"
                );
                team.end();
            }
        });
        team.work(0, &mut park, || unreachable!("nobody wakes it"));
        waits.join().unwrap();
    });
}

/// What runs when a worker's task is woken.
struct Wakes(Arc<Team>);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}

/// TIME-10: in a task of a worker, which is up, and so is told by nobody. Whichever worker rests last wakes it, before a
/// jump.
#[test]
fn who_waits_in_a_worker_is_told_though_nobody_is_unparked_for_it() {
    check(|| {
        let parks = [(); 2].map(|()| ThreadPark::new());
        let team = Team::new(2, true);
        for (cell, park) in team.peers.iter().zip(&parks) {
            cell.set(park.peer());
        }
        let (timer, start) = (team.ends_later(), team.now());
        let [mut mine, mut others] = parks;
        let other = thread::spawn({
            let team = team.clone();
            move || team.work(1, &mut others, || unreachable!("it is for worker 0"))
        });
        let waker = Waker::from(Arc::new(Wakes(team.clone())));
        let mut waits = Some(Box::pin(settled(&team)));
        let mut polls = 0;
        team.wake();
        team.work(0, &mut mine, || {
            let settled = waits.as_mut().expect("it is polled until it is over").as_mut();
            let polled = settled.poll(&mut Context::from_waker(&waker));
            assert_eq!(team.now(), start);
            polls += 1;
            if polled.is_ready() {
                waits = None;
            }
        });
        other.join().unwrap();
        assert!(waits.is_none(), "it is told before the end");
        assert_eq!((polls, team.jumps(), team.now()), (2, 1, start + LATER));
        drop(timer);
    });
}

/// A waker of which one can tell whether it is kept.
struct Nobody;

impl Wake for Nobody {
    fn wake(self: Arc<Self>) {}
}

/// Dropped, it leaves nothing behind, whether it was over by then or not.
#[test]
fn who_waits_no_more_is_not_kept() {
    check(|| {
        let mut park = ThreadPark::new();
        let team = Team::of_one(&park, false);
        let nobody = Arc::new(Nobody);
        let waits = thread::spawn({
            let (team, waker) = (team.clone(), Waker::from(nobody.clone()));
            move || {
                {
                    let mut settled = pin!(settled(&team));
                    let polled = settled.as_mut().poll(&mut Context::from_waker(&waker));
                    assert_eq!(polled, Poll::Pending, "not at once");
                }
                team.end();
            }
        });
        team.work(0, &mut park, || unreachable!("nobody wakes it"));
        waits.join().unwrap();
        assert_eq!(Arc::strong_count(&nobody), 1);
    });
}

/// TIME-10: it comes before a jump, and who was told of it runs before that, too.
#[test]
fn it_comes_before_a_jump() {
    check(|| {
        let park = ThreadPark::new();
        let team = Team::of_one(&park, true);
        let (timer, start) = (team.ends_later(), team.now());
        let mut threads = Vec::new();
        let waits = async {
            threads.push(thread::spawn({
                let (team, mut park) = (team.clone(), park);
                move || team.work(0, &mut park, || unreachable!("nobody wakes it"))
            }));
            settled(&team).await;
            assert_eq!(team.now(), start);
        };
        block(&team, |run| run(), waits);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!((team.jumps(), team.now()), (1, start + LATER));
        drop(timer);
    });
}
