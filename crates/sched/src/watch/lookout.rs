//! A worker's own part in the watch.

use super::{LOOK, PARKED, SECOND_LOOK, Watch};
use crate::idle::Idle;
use filch_atomic::sync::atomic::{Ordering, fence};
use std::time::Duration;

/// After so many looks in vain on end a sleeper waits twice as long before the next: a worker may be
/// blocked for hours, with nobody waiting for anything of its.
const LOOKS_IN_VAIN: u32 = 16;
/// So many times it is doubled: up to 16 ms.
const MOST_DOUBLINGS: u32 = 5;

/// A sleep of 2 ms ends a series of bursts of work. In the midst of one the alarm stays set.
const LONG_SLEEP: u64 = 4 * LOOK;

/// What a look found.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// The oldest beat of those who are well.
    pub oldest_beat: u64,
    /// Somebody is silent, and it is not known yet whether he is stuck.
    pub silent: bool,
    /// Somebody is stuck, and was helped.
    pub stuck: bool,
    /// That brought something.
    pub gained: bool,
}

impl Default for Found {
    /// That all others sleep.
    fn default() -> Self {
        Self { oldest_beat: PARKED, silent: false, stuck: false, gained: false }
    }
}

/// One worker, as it takes part: when it has to see to the alarms.
#[derive(Debug)]
pub struct Lookout {
    worker: usize,
    /// It slept for long before its present burst of work.
    slept_long: bool,
    /// When it went to its park, or got up.
    turned: u64,
    /// So long may a sleeper sleep, as far as this worker knows.
    patience: u64,
    /// So many looks on end found somebody stuck who could not be helped.
    in_vain: u32,
}

impl Lookout {
    /// The worker of this index, which runs.
    pub fn new(worker: usize) -> Self {
        Self { worker, slept_long: true, turned: 0, patience: 2 * LOOK, in_vain: 0 }
    }

    /// Before the first poll after it got up (or began): from now on it may be stuck itself. `set` sets
    /// a worker's alarm, or takes it back.
    pub fn goes_to_work(
        &self,
        watch: &Watch,
        idle: &Idle,
        set: impl FnMut(usize, Option<Duration>),
    ) {
        let ahead = watch.until_the_alarm(self.turned);
        watch.alarms().keep(idle, self.turned, ahead, true, set);
    }

    /// It has said that it sleeps, and is about to.
    pub fn goes_to_sleep(
        &mut self,
        watch: &Watch,
        idle: &Idle,
        now: u64,
        mut set: impl FnMut(usize, Option<Duration>),
    ) {
        let soon = watch.until_the_alarm(now);
        if !idle.all_sleep() {
            // It is patient only with those it knows to be stuck.
            let patient = self.patience > 2 * LOOK && watch.only_the_stuck_run(idle);
            let ahead = if patient { self.patience } else { soon.min(self.patience) };
            watch.alarms().keep(idle, now, ahead, !patient, &mut set);
            // Pairs with the fence of one who goes to sleep just now: it sees this alarm, or is seen.
            fence(Ordering::SeqCst);
        }
        // In a series of short bursts the alarm stays, and rings once, after the last.
        if self.slept_long && idle.all_sleep() {
            watch.alarms().take_back(idle, now, soon, set);
        }
        self.turned = now;
        watch.rests(self.worker);
    }

    /// It runs, and has not slept.
    pub fn is_up(&mut self, now: u64) {
        self.turned = now;
    }

    /// It has got up.
    pub fn got_up(&mut self, now: u64) {
        self.patience = 2 * LOOK;
        self.slept_long = now.saturating_sub(self.turned) >= LONG_SLEEP;
        self.turned = now;
    }

    /// It has looked at the others. Should it go to sleep now, then it, or another, must look again in time.
    pub fn has_looked(&mut self, watch: &Watch, now: u64, found: Found) {
        let Found { oldest_beat, silent, stuck, gained } = found;
        // Who is well may be stuck since its beat. Who is silent needs a second look.
        let by = oldest_beat.min(now) + 2 * LOOK;
        watch.ring_by(if silent { by.min(now + 2 * SECOND_LOOK) } else { by });
        self.in_vain = if stuck && !gained { self.in_vain.saturating_add(1) } else { 0 };
        self.patience = if silent {
            watch.look_again_soon(now);
            SECOND_LOOK
        } else if stuck {
            LOOK << (self.in_vain / LOOKS_IN_VAIN).min(MOST_DOUBLINGS)
        } else {
            2 * LOOK
        };
    }

    /// It has looked, in the midst of work, and goes on: the alarm is put off.
    pub fn goes_on(
        &self,
        watch: &Watch,
        idle: &Idle,
        now: u64,
        set: impl FnMut(usize, Option<Duration>),
    ) {
        watch.alarms().keep(idle, now, watch.until_the_alarm(now), true, set);
    }
}
