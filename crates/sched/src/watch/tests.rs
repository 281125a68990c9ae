//! How soon a stuck worker is found, by a clock that a simulation moves: workers sleep, get up, poll for
//! short and for long, as chance will have it, and go by `Lookout`'s rules as `Worker` does.

use super::{Finding, Found, LOOK, Lookout, SECOND_LOOK, Watch};
use crate::idle::Idle;
use crate::rng::Rng;
use std::time::{Duration, Instant};

const US: u64 = 1_000;

struct Sim {
    idle: Idle,
    watch: Watch,
    workers: Vec<Simulated>,
    now: u64,
    rng: Rng,
    /// The longest that a worker sleeps, if no alarm ends it.
    rest: u64,
    /// The longest time it took to find a poll that lasted.
    slowest: u64,
}

struct Simulated {
    lookout: Lookout,
    /// Its alarm, if it is set.
    alarm: Option<u64>,
    state: State,
    polls: u64,
    until_look: u32,
    looks_apart: u32,
    last_look: u64,
    /// It has been stuck since its last look at the clock. Should it be stuck again before the next, then to
    /// the others it is stuck as before.
    was_stuck: bool,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Somebody wakes it then.
    Asleep { woken: u64 },
    /// In a poll.
    Polls { since: u64, until: u64, found: bool, then: u32 },
}

impl Sim {
    fn new(workers: usize, rest: u64, seed: u64) -> Self {
        let watch = Watch::new(workers, Instant::now());
        let idle = Idle::new(workers);
        let simulated = |worker| Simulated {
            lookout: Lookout::new(worker),
            alarm: None,
            state: State::Asleep { woken: 0 },
            polls: 0,
            until_look: 32,
            looks_apart: 32,
            last_look: 0,
            was_stuck: false,
        };
        let workers = (0..workers).map(simulated).collect();
        let mut sim =
            Self { idle, watch, workers, now: 10 * LOOK, rng: Rng::new(seed), rest, slowest: 0 };
        for worker in 0..sim.workers.len() {
            sim.sleeps(worker);
        }
        sim
    }

    fn between(&self, least: u64, most: u64) -> u64 {
        least + self.rng.below((most - least) as usize) as u64
    }

    /// Lets a worker act by the rules, with its alarms.
    fn lookout(
        &mut self,
        worker: usize,
        act: impl FnOnce(&mut Lookout, &Watch, &Idle, &mut dyn FnMut(usize, Option<Duration>)),
    ) {
        let now = self.now;
        let mut alarms: Vec<_> = self.workers.iter().map(|worker| worker.alarm).collect();
        let mut set = |worker: usize, after: Option<Duration>| {
            alarms[worker] = after.map(|after| now + after.as_nanos() as u64);
        };
        act(&mut self.workers[worker].lookout, &self.watch, &self.idle, &mut set);
        for (worker, alarm) in self.workers.iter_mut().zip(alarms) {
            worker.alarm = alarm;
        }
    }

    fn sleeps(&mut self, worker: usize) {
        let _ = self.idle.fall_asleep(worker, false);
        let now = self.now;
        self.lookout(worker, |lookout, watch, idle, set| {
            lookout.goes_to_sleep(watch, idle, now, set)
        });
        let woken = now + self.between(10 * US, self.rest);
        self.workers[worker].state = State::Asleep { woken };
    }

    fn gets_up(&mut self, worker: usize, alone: bool) {
        let _ = self.idle.get_up(worker);
        let now = self.now;
        self.workers[worker].lookout.got_up(now);
        (self.workers[worker].until_look, self.workers[worker].looks_apart) = (32, 32);
        self.workers[worker].last_look = now;
        self.beats(worker);
        self.looks(worker);
        if alone {
            self.sleeps(worker);
            return;
        }
        self.lookout(worker, |lookout, watch, idle, set| lookout.goes_to_work(watch, idle, set));
        let polls = self.between(1, 2_000).saturating_sub(1_000).max(1) as u32;
        self.polls(worker, polls);
    }

    fn beats(&mut self, worker: usize) {
        self.workers[worker].was_stuck = false;
        self.watch.beat(worker, self.now, self.workers[worker].polls);
        self.workers[worker].lookout.is_up(self.now);
    }

    /// Looks, if it is time to.
    fn looks(&mut self, worker: usize) -> bool {
        if !self.watch.may_look(self.now) {
            return false;
        }
        let mut found = Found::default();
        for other in (0..self.workers.len()).filter(|&other| other != worker) {
            let polls = self.workers[other].polls;
            match self.watch.find(other, self.now, || polls) {
                Finding::Well { beat } => found.oldest_beat = found.oldest_beat.min(beat),
                Finding::Silent => found.silent = true,
                Finding::Stuck { .. } => {
                    found.stuck = true;
                    if let State::Polls { since, found, .. } = &mut self.workers[other].state
                        && !std::mem::replace(found, true)
                    {
                        self.slowest = self.slowest.max(self.now - *since);
                    }
                }
            }
        }
        self.workers[worker].lookout.has_looked(&self.watch, self.now, found);
        true
    }

    fn polls(&mut self, worker: usize, then: u32) {
        let stuck = |worker: &Simulated| matches!(worker.state, State::Polls { since, until, .. } if until - since >= LOOK);
        let free = self.workers.iter().filter(|worker| !stuck(worker)).count();
        let may = free > 1 && !self.workers[worker].was_stuck;
        let lasts = if may && self.rng.below(2_000) == 0 {
            self.workers[worker].was_stuck = true;
            self.between(10 * LOOK, 400 * LOOK)
        } else {
            self.between(US, 3 * US)
        };
        let polled = &mut self.workers[worker];
        polled.polls += 1;
        let (since, until) = (self.now, self.now + lasts);
        polled.state = State::Polls { since, until, found: false, then };
    }

    fn step(&mut self) {
        let when = |worker: &Simulated| match worker.state {
            State::Asleep { woken } => worker.alarm.map_or(woken, |alarm| alarm.min(woken)),
            State::Polls { until, .. } => until,
        };
        let next =
            (0..self.workers.len()).min_by_key(|&worker| when(&self.workers[worker])).unwrap();
        self.now = self.now.max(when(&self.workers[next]));
        let simulated = &mut self.workers[next];
        match simulated.state {
            State::Asleep { woken } => {
                if simulated.alarm.is_some_and(|alarm| alarm <= self.now) {
                    simulated.alarm = None;
                }
                self.gets_up(next, woken != self.now);
            }
            State::Polls { since, until, found, then } => {
                if !found {
                    self.slowest = self.slowest.max(until - since);
                }
                simulated.until_look -= 1;
                if simulated.until_look == 0 {
                    let long = self.now - simulated.last_look >= 100 * US;
                    simulated.looks_apart =
                        if long { 1 } else { (simulated.looks_apart * 2).min(32) };
                    simulated.until_look = simulated.looks_apart;
                    let was_silent = self.now - simulated.last_look >= LOOK;
                    simulated.last_look = self.now;
                    self.beats(next);
                    if self.looks(next) || was_silent {
                        let now = self.now;
                        self.lookout(next, |lookout, watch, idle, set| {
                            lookout.goes_on(watch, idle, now, set)
                        });
                    }
                }
                match then {
                    0 => self.sleeps(next),
                    then => self.polls(next, then - 1),
                }
            }
        }
    }
}

/// A beat, the first poll after it, and two `LOOK`s; if it was not the first poll, a second look. Besides
/// it may take a healthy worker some time to look at the clock, or to put off another's second look.
#[test]
fn a_poll_that_lasts_is_found_soon() {
    for workers in 2..=5 {
        for rest in [LOOK / 5, 5 * LOOK, 300 * LOOK] {
            for seed in 0..20 {
                let mut sim = Sim::new(workers, rest, seed);
                let mut steps = 0;
                // Chance may have it that nobody is stuck for a while.
                while steps < 10_000 || (sim.slowest < LOOK && steps < 1_000_000) {
                    sim.step();
                    steps += 1;
                }
                assert!(sim.slowest >= LOOK, "nobody is found before");
                let bound = 2 * LOOK + 3 * SECOND_LOOK;
                assert!(sim.slowest <= bound, "{workers}, {rest}, {seed}: {} us", sim.slowest / US);
            }
        }
    }
}
