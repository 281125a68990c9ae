//! A worker's loop: run tasks, look for some, sleep.

use crate::context::{self, LocalGuard};
use crate::idle::Member;
use crate::local::{BATCH, Local};
use crate::main_task::MainTask;
use crate::order::Order;
use crate::park::Park;
use crate::rng::Rng;
use crate::search::Search;
use crate::shared::Shared;
use crate::still;
use crate::task::Task;
use crate::watch::{self, LOOK, Lookout};
use std::io;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// The clock is read once in so many polls (30 ns for some 32 polls).
const POLLS_PER_LOOK: u32 = 32;

/// So long may completions wait while there are tasks to run. Entering the kernel costs well under 1 us,
/// so this costs less than 1 %.
const IO_BUDGET: Duration = Duration::from_micros(100);

/// A worker: one thread's loop around its [`Local`] half and its [`Park`].
pub(crate) struct Worker<P> {
    // In the thread-local context as well, while it runs.
    local: Rc<Local>,
    park: P,
    search: Search,
    member: Member,
    polls_until_look: u32,
    /// As many polls lie between the last look at the clock and the next.
    looks_apart: u32,
    /// From when on the time is not counted as busy yet.
    busy_since: Instant,
    last_look: Instant,
    last_turn: Instant,
    /// What the timers that are due wake; kept for its memory.
    due: Vec<Waker>,
    lookout: Lookout,
}

impl<P: Park> Worker<P> {
    pub(crate) fn new(local: Local, park: P, rng: Rng) -> Self {
        let now = local.shared().clock.pace();
        let search = Search::new(local.shared().workers(), rng);
        let member = Member::new(local.index);
        let lookout = Lookout::new(local.index);
        Self {
            local: Rc::new(local),
            park,
            search,
            member,
            polls_until_look: POLLS_PER_LOOK,
            looks_apart: POLLS_PER_LOOK,
            busy_since: now,
            last_look: now,
            last_turn: now,
            due: Vec::new(),
            lookout,
        }
    }

    fn shared(&self) -> &Shared {
        self.local.shared()
    }

    /// Declares that this worker runs on this thread, until the guard goes.
    pub(crate) fn enter(&self) -> LocalGuard {
        context::set_local(self.local.clone())
    }

    /// Runs tasks that were asked to end until the scheduler closes, as it does when they have, or when their time is
    /// over.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub(crate) fn run_out(&mut self) -> io::Result<()> {
        // The main future may have panicked in its poll.
        self.local.remote().polled.hide();
        self.run(None)
    }

    /// When the tasks, which were asked to end, have had their time (real time). Closes the scheduler if that is so now:
    /// every worker looks, as the others may be stuck.
    fn keep_the_grace(&self) -> Option<Instant> {
        let until = self.shared().wind_up.until();
        if until.is_some_and(|until| until <= Instant::now()) {
            self.local.handle.close();
        }
        until
    }

    /// Runs tasks until the scheduler closes, or until `main` is done.
    ///
    /// # Errors
    ///
    /// What the [`Park`] could not recover from.
    pub(crate) fn run(&mut self, mut main: Option<&mut MainTask<'_>>) -> io::Result<()> {
        self.is_up(self.shared().clock.pace());
        while !self.shared().is_closing() {
            // In turns: whichever of the two is always ready does not starve the other (S6).
            if let Some(main) = main.as_deref_mut()
                && main.is_woken()
                && self.local.is_mains_turn()
            {
                self.begin_poll();
                self.local.remote().polled.show_main();
                let done = main.poll();
                self.local.remote().polled.hide();
                self.end_poll()?;
                if done {
                    return Ok(());
                }
                if self.local.order != Order::Warm {
                    // Perhaps it is its turn again.
                    continue;
                }
            }
            // Nobody is robbed while there is something to do here.
            let main_is_woken = main.as_deref().is_some_and(MainTask::is_woken);
            let task = self.local.next();
            let task = if main_is_woken { task } else { task.or_else(|| self.look_around()) };
            if let Some(task) = task {
                self.begin_poll();
                if let Some(again) = task.run_shown(&self.local.remote().polled) {
                    self.local.yielded(again);
                }
                self.end_poll()?;
            } else if !main_is_woken {
                self.sleep()?;
            }
        }
        Ok(())
    }

    /// Ends what this worker still has, once its loop is over, and waits for the others to be as far.
    /// Runs on the worker's thread, like the loop.
    pub(crate) fn wind_up(mut self) {
        leave_search(&self.local, &mut self.member);
        let (local, park) = (&*self.local, &mut self.park);
        if local.shared().watch.is_on() {
            local.shared().watch.rests(local.index);
        }
        let last = local.shared().wind_up.end_worker(
            local.index,
            &local.shard.tasks,
            &local.remote().timers,
            || local.take_any(),
            |deadline| park.shutdown(deadline),
        );
        if last {
            local.shared().seal();
        }
    }

    #[inline]
    fn begin_poll(&mut self) {
        if self.member.has_duties() {
            take_up_work(&self.local, &mut self.member, &self.lookout);
        }
        self.local.announce();
        self.local.remote().counters.polls.add(1);
    }

    /// After a poll; now and then looks at the clock.
    #[inline]
    fn end_poll(&mut self) -> io::Result<()> {
        self.polls_until_look -= 1;
        if self.polls_until_look == 0 { self.look_at_the_clock() } else { Ok(()) }
    }

    /// In the midst of work: fires timers, submits and reaps, takes a share of what came from outside.
    #[cold]
    fn look_at_the_clock(&mut self) -> io::Result<()> {
        if self.shared().is_ending() {
            self.keep_the_grace();
        }
        let now = self.shared().clock.pace();
        // Polls that take long are followed by a look each, so that I/O waits for time, not for a count.
        // Then it is doubled, poll by poll: a task that takes long and comes round again soon must not
        // do so several times between two looks.
        let since_look = now.saturating_duration_since(self.last_look);
        // Where a run is to repeat, nothing depends on how long anything takes.
        let repeats = self.local.order == Order::Drawn;
        let long = since_look >= IO_BUDGET && !repeats;
        self.looks_apart = if long { 1 } else { (self.looks_apart * 2).min(POLLS_PER_LOOK) };
        self.polls_until_look = self.looks_apart;
        self.last_look = now;
        // A worker that always has something to do never parks: its time is counted here.
        self.local.remote().counters.count_busy(self.busy_since, now);
        self.busy_since = now;
        self.is_up(now);
        self.fire_timers(now);
        if repeats || now.saturating_duration_since(self.last_turn) >= IO_BUDGET {
            self.last_turn = now;
            let reaped = self.local.delivered(|| self.park.turn()).unwrap_or(Ok(0))?;
            let counters = &self.local.remote().counters;
            counters.turns.add(1);
            counters.completions.add(reaped as u64);
        }
        self.local.refill();
        // One that was silent may be known as stuck to a sleeper that is in no hurry to come again.
        let was_silent = since_look >= Duration::from_nanos(LOOK);
        if self.look_at_the_others(now) || (was_silent && self.shared().watch.is_on()) {
            let shared = self.local.shared();
            let now = shared.watch.nanos(now);
            self.lookout.goes_on(&shared.watch, &shared.idle, now, set_alarm(&self.local));
        }
        Ok(())
    }

    /// The worker has read the clock, and says so to those who watch it.
    fn is_up(&mut self, now: Instant) {
        let watch = &self.local.shared().watch;
        if watch.is_on() {
            let now = watch.nanos(now);
            watch.beat(self.local.index, now, self.local.remote().counters.polls.get());
            self.lookout.is_up(now);
        }
    }

    /// Looks whether others are stuck, if it is time to and nobody else does. True if it did.
    fn look_at_the_others(&mut self, now: Instant) -> bool {
        let watch = &self.local.shared().watch;
        if !watch.is_on() || !watch.may_look(watch.nanos(now)) {
            return false;
        }
        let (local, member, lookout) = (&self.local, &mut self.member, &self.lookout);
        let before_wakers = || take_up_work(local, member, lookout);
        let found = watch::look_at_the_others(local, now, &mut self.due, before_wakers);
        self.lookout.has_looked(watch, watch.nanos(now), found);
        true
    }

    fn fire_timers(&mut self, now: Instant) {
        let remote = self.local.remote();
        let now = self.shared().clock.of_timers(now);
        if !remote.timers.is_due(now) {
            return;
        }
        // Their wakers are anybody's code: from here on this worker may be stuck.
        take_up_work(&self.local, &mut self.member, &self.lookout);
        let expired = self.local.delivered(|| remote.timers.expire(now, &mut self.due));
        if let Some(expired) = expired
            && expired.woken > 0
        {
            remote.counters.timers_fired.add(expired.woken as u64);
        }
    }

    /// Looks through the queues of the others, if not too many workers do that already.
    fn look_around(&mut self) -> Option<Task> {
        if self.shared().workers() == 1 {
            return None;
        }
        if !self.member.may_search(&self.local.shared().idle) {
            return None;
        }
        self.search.run(&self.local, BATCH)
    }

    /// Sleeps until there is something, by the rules of `idle`.
    fn sleep(&mut self) -> io::Result<()> {
        let mut until = None;
        if self.shared().is_ending() {
            self.local.handle.close_if_no_tasks();
            until = self.keep_the_grace();
        }
        let (shared, remote) = (self.local.shared(), self.local.remote());
        let (park, lookout, busy_since) = (&mut self.park, &mut self.lookout, self.busy_since);
        let parked = self.member.sleep(
            &shared.idle,
            || shared.has_work(),
            || {
                let now = shared.clock.pace();
                remote.counters.count_busy(busy_since, now);
                remote.counters.parks.add(1);
                if shared.watch.is_on() {
                    let (watch, now) = (&shared.watch, shared.watch.nanos(now));
                    lookout.goes_to_sleep(watch, &shared.idle, now, set_alarm(&self.local));
                }
                let park = || match &shared.still {
                    None => {
                        let deadlines = [remote.timers.next_deadline(), until];
                        park.park(deadlines.into_iter().flatten().min())
                    }
                    Some(still) => still::park(&self.local, still, park, until),
                };
                self.local.delivered(park).unwrap_or(Ok(0))
            },
        );
        // What is woken from here on is queued: there is a call for help before the next poll.
        let Some(reaped) = parked else {
            // However often this happens on end, the worker is not stuck.
            if self.shared().watch.is_on() {
                self.is_up(self.shared().clock.pace());
            }
            return Ok(());
        };
        remote.counters.completions.add(reaped? as u64);
        let now = shared.clock.pace();
        self.busy_since = now;
        self.last_turn = now;
        self.last_look = now;
        self.polls_until_look = POLLS_PER_LOOK;
        self.looks_apart = POLLS_PER_LOOK;
        if self.shared().watch.is_on() {
            self.lookout.got_up(self.shared().watch.nanos(now));
        }
        self.is_up(now);
        self.fire_timers(now);
        // What comes of it is work like any other. The alarms are seen to before the first poll, or the
        // next sleep: one who got up for nothing sets none (S4).
        self.look_at_the_others(now);
        Ok(())
    }
}

/// Before the first poll of a burst, or after a search; or before anybody's wakers are run.
#[cold]
fn take_up_work(local: &Local, member: &mut Member, lookout: &Lookout) {
    leave_search(local, member);
    let shared = local.shared();
    if member.came_up() && shared.watch.is_on() {
        lookout.goes_to_work(&shared.watch, &shared.idle, set_alarm(local));
    }
}

/// Leaves the search with work in hand.
fn leave_search(local: &Local, member: &mut Member) {
    let shared = local.shared();
    if let Some(sleeper) = member.leave_search(&shared.idle, || shared.has_work()) {
        shared.unpark(sleeper);
        local.remote().counters.wakes_sent.add(1);
    }
}

/// How the watch sets a worker's alarm.
fn set_alarm(local: &Local) -> impl FnMut(usize, Option<Duration>) + '_ {
    |worker, after| {
        local.shared().remotes[worker].peer.alarm(after);
        local.remote().counters.alarms_set.add(1);
    }
}
