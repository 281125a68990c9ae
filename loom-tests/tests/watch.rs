//! The alarms of the watch: while somebody is stuck and somebody sleeps, an alarm is set for one who
//! sleeps; and when all sleep, there is none.
//!
//! The protocol is the scheduler's own (`Idle`, `Member`, `Watch`, `Lookout`). An alarm is a flag behind a
//! lock, as the kernel's is, and never rings by itself. Each worker ends in its park, or stuck in a poll;
//! then the state is looked at.
#![cfg(filch_loom)]

use filch_atomic::sync::{Arc, Condvar, Mutex};
use filch_atomic::thread;
use filch_sched::idle::{Idle, Member};
use filch_sched::watch::{Finding, Found, LOOK, Lookout, Watch};
use std::time::{Duration, Instant};

/// What the workers share.
struct Crew {
    idle: Idle,
    watch: Watch,
    /// What the alarm of a worker was last set to.
    alarms: Vec<Mutex<Option<Duration>>>,
    /// How many workers have come to where they stay, and whether they may leave.
    settled: Mutex<(usize, bool)>,
    changed: Condvar,
}

struct Worker {
    crew: Arc<Crew>,
    member: Member,
    lookout: Lookout,
}

/// The moment of the model. Before it all was quiet for long.
const NOW: u64 = 100 * LOOK;

impl Crew {
    fn new<const N: usize>() -> (Arc<Self>, [Worker; N]) {
        let crew = Arc::new(Self {
            idle: Idle::new(N),
            watch: Watch::new(N, Instant::now()),
            alarms: (0..N).map(|_| Mutex::new(None)).collect(),
            settled: Mutex::new((0, false)),
            changed: Condvar::new(),
        });
        let workers = std::array::from_fn(|index| Worker {
            crew: crew.clone(),
            member: Member::new(index),
            lookout: Lookout::new(index),
        });
        (crew, workers)
    }

    fn set_alarm(&self) -> impl FnMut(usize, Option<Duration>) {
        |worker, after| *self.alarms[worker].lock() = after
    }

    /// Stays where it is until the model has looked.
    fn settle(&self) {
        let mut settled = self.settled.lock();
        settled.0 += 1;
        self.changed.notify_all();
        while !settled.1 {
            self.changed.wait(&mut settled);
        }
    }

    /// Waits until so many stay where they are.
    fn until_settled(&self, workers: usize) {
        let mut settled = self.settled.lock();
        while settled.0 < workers {
            self.changed.wait(&mut settled);
        }
    }

    /// Waits until so many stay where they are, looks, and lets them go.
    fn when_settled(&self, workers: usize, look: impl FnOnce()) {
        let mut settled = self.settled.lock();
        while settled.0 < workers {
            self.changed.wait(&mut settled);
        }
        look();
        settled.1 = true;
        self.changed.notify_all();
    }

    fn alarms(&self) -> usize {
        self.alarms.iter().filter(|alarm| alarm.lock().is_some()).count()
    }
}

impl Worker {
    fn sleep_while(&mut self, park: impl FnOnce()) {
        self.sleep_from(NOW, || {
            park();
            NOW
        });
    }

    /// Sleeps from `now` until the moment that `park` returns.
    fn sleep_from(&mut self, now: u64, park: impl FnOnce() -> u64) {
        let Self { crew, member, lookout } = self;
        let asleep = || {
            lookout.goes_to_sleep(&crew.watch, &crew.idle, now, crew.set_alarm());
            park()
        };
        let got_up = member.sleep(&crew.idle, || false, asleep);
        lookout.got_up(got_up.expect("there is no work"));
    }

    /// What comes before a poll.
    fn go_to_work(&mut self) {
        assert!(self.member.has_duties() && self.member.came_up());
        let crew = &self.crew;
        self.lookout.goes_to_work(&crew.watch, &crew.idle, crew.set_alarm());
    }
}

/// One gets up and is stuck, just as the last of the others goes to sleep and takes the alarm back.
#[test]
fn getting_up_and_taking_back() {
    loom::model(|| {
        let (crew, [mut stuck, mut last, mut first]) = Crew::new();
        first.sleep_while(|| {
            let mut thread = None;
            stuck.sleep_while(|| {
                assert_eq!(crew.alarms(), 1, "one runs, two sleep");
                let crew = crew.clone();
                thread = Some(thread::spawn(move || last.sleep_while(|| crew.settle())));
            });
            stuck.go_to_work();
            crew.when_settled(1, || assert!(crew.alarms() > 0, "nobody will look"));
            thread.take().unwrap().join().unwrap();
        });
    });
}

/// One gets up and is stuck; another, whose alarm has rung, got up as well, found nothing and sleeps again.
#[test]
fn getting_up_and_going_to_sleep() {
    loom::model(|| {
        let (crew, [mut stuck, mut other]) = Crew::new();
        let mut thread = None;
        stuck.sleep_while(|| {
            let crew = crew.clone();
            thread = Some(thread::spawn(move || {
                other.sleep_while(|| {});
                other.sleep_while(|| crew.settle());
            }));
        });
        stuck.go_to_work();
        crew.when_settled(1, || assert!(crew.alarms() > 0, "nobody will look"));
        thread.take().unwrap().join().unwrap();
    });
}

/// Two go to sleep at once, after work: whoever is the last, no alarm stays.
#[test]
fn when_all_sleep_there_is_no_alarm() {
    loom::model(|| {
        let (crew, [mut one, other, mut first]) = Crew::new();
        first.sleep_while(|| {
            one.lookout.is_up(NOW);
            one.go_to_work();
            assert_eq!(crew.alarms(), 1, "two run, one sleeps");
            let threads = [one, other].map(|mut worker| {
                let crew = crew.clone();
                thread::spawn(move || worker.sleep_while(|| crew.settle()))
            });
            crew.when_settled(2, || assert_eq!(crew.alarms(), 0, "an idle scheduler has none"));
            threads.into_iter().for_each(|thread| thread.join().unwrap());
        });
    });
}

/// Two go to sleep at once, and there is no alarm yet: one that is set for the first of them may be noted,
/// and taken back, before it is set.
#[test]
fn an_alarm_that_is_taken_back_before_it_is_set() {
    loom::model(|| {
        let (crew, workers) = Crew::new::<2>();
        let threads = workers.map(|mut worker| {
            let crew = crew.clone();
            thread::spawn(move || worker.sleep_while(|| crew.settle()))
        });
        crew.when_settled(2, || assert_eq!(crew.alarms(), 0, "an idle scheduler has none"));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// One is up for a moment, while another goes to sleep and takes the alarm back.
#[test]
fn a_short_burst_leaves_no_alarm() {
    loom::model(|| {
        let (crew, [mut short, mut last]) = Crew::new();
        let mut thread = None;
        // It works from a moment when all slept for long.
        short.sleep_while(|| {
            let crew = crew.clone();
            thread = Some(thread::spawn(move || last.sleep_while(|| crew.settle())));
        });
        short.lookout = Lookout::new(0);
        short.lookout.is_up(NOW);
        short.go_to_work();
        short.sleep_while(|| {
            crew.when_settled(1, || assert_eq!(crew.alarms(), 0, "an idle scheduler has none"));
        });
        thread.take().unwrap().join().unwrap();
    });
}

/// Two set the alarm of one sleeper at once, to different moments: when it has rung, it is not taken for one
/// that is to ring yet.
#[test]
fn two_set_one_alarm() {
    loom::model(|| {
        let (crew, [stuck, mut other, mut sleeper]) = Crew::new();
        let found = Found { stuck: true, ..Found::default() };
        sleeper.lookout.has_looked(&crew.watch, NOW, found);
        other.lookout.is_up(NOW);
        let other = thread::spawn(move || other.go_to_work());
        let mut rings = 0;
        sleeper.sleep_from(NOW, || {
            other.join().unwrap();
            let after = crew.alarms[2].lock().take().expect("two run, one sleeps");
            rings = NOW + u64::try_from(after.as_nanos()).unwrap();
            rings
        });
        // It has looked, and they are stuck.
        sleeper.lookout.has_looked(&crew.watch, rings, found);
        sleeper.sleep_from(rings, || {
            assert_eq!(crew.alarms(), 1, "nobody will look");
            rings
        });
        drop(stuck);
    });
}

/// One goes to sleep and takes the alarm back, as another sets it, who sleeps as well then and leaves it, for
/// it had not slept for long. When that one gets up again, it is not deceived by what it noted.
#[test]
fn an_alarm_that_is_set_while_it_is_taken_back() {
    loom::model(|| {
        let (crew, [mut short, mut last, mut first]) = Crew::new();
        first.sleep_while(|| {
            short.sleep_while(|| {});
            assert_eq!(crew.alarms(), 1, "two run, one sleeps");
            let thread = {
                let crew = crew.clone();
                thread::spawn(move || last.sleep_while(|| crew.settle()))
            };
            short.sleep_while(|| crew.until_settled(1));
            short.go_to_work();
            crew.when_settled(1, || assert!(crew.alarms() > 0, "nobody will look"));
            thread.join().unwrap();
        });
    });
}

/// One goes to sleep for long, as the other is stuck and nothing can be done about it; and that one comes to
/// itself, and may be stuck anew.
#[test]
fn patience_ends_with_what_it_was_for() {
    loom::model(|| {
        let (crew, [mut stuck, mut patient]) = Crew::new();
        crew.watch.beat(0, NOW - 10 * LOOK, 1);
        assert!(matches!(crew.watch.find(0, NOW, || 2), Finding::Stuck { .. }));
        for _ in 0..100 {
            let found = Found { stuck: true, ..Found::default() };
            patient.lookout.has_looked(&crew.watch, NOW, found);
        }
        let thread = thread::spawn(move || {
            let crew = &stuck.crew;
            crew.watch.beat(0, NOW, 2);
            stuck.lookout.is_up(NOW);
            stuck.lookout.goes_on(&crew.watch, &crew.idle, NOW, crew.set_alarm());
        });
        patient.sleep_while(|| {
            thread.join().unwrap();
            let alarm = crew.alarms[1].lock().expect("one runs");
            assert!(alarm <= Duration::from_nanos(2 * LOOK), "it might be stuck for {alarm:?}");
        });
    });
}
