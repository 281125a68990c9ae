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
use std::time::Instant;
use team::{LATER, Team};
use waiting::wait;

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

/// A park with something in flight of which nothing ever comes. Says when that has had its time to.
struct Busy {
    park: ThreadPark,
    is_seen: Cell<bool>,
    is_quiet: Arc<AtomicBool>,
}

impl Busy {
    fn new() -> Self {
        let is_quiet = Arc::new(AtomicBool::new(false));
        Self { park: ThreadPark::new(), is_seen: Cell::new(false), is_quiet }
    }
}

impl Park for Busy {
    type Peer = ThreadPeer;

    fn peer(&self) -> ThreadPeer {
        self.park.peer()
    }

    /// A look into the ring: without a sleep, so while it waits for it to be quiet, or for the last one.
    fn turn(&mut self) -> io::Result<usize> {
        // Relaxed, here and below: the model is not to be ordered by it.
        self.is_quiet.fetch_or(self.is_seen.get(), Ordering::Relaxed);
        Ok(0)
    }

    fn park(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        self.park.park(deadline)
    }

    fn in_flight(&self) -> InFlight {
        self.is_seen.set(true);
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
        let mut park = Busy::new();
        let is_quiet = park.is_quiet.clone();
        let team = Team::of_one(&park, false);
        let waits = thread::spawn({
            let team = team.clone();
            move || {
                wait(settled(&team));
                assert!(is_quiet.load(Ordering::Relaxed), "something is in flight");
                team.end();
            }
        });
        team.work(0, &mut park, || unreachable!("nobody wakes it"));
        waits.join().unwrap();
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
