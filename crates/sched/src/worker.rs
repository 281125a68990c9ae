//! A worker's loop: run tasks, look for some, sleep.

use crate::context::{self, LocalGuard};
use crate::local::{BATCH, Local};
use crate::main_task::MainTask;
use crate::park::Park;
use crate::rng::Rng;
use crate::search::Search;
use crate::shared::Shared;
use crate::task::Task;
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
    /// Counted as searching in `idle`.
    searching: bool,
    polls_until_look: u32,
    awake_since: Instant,
    last_look: Instant,
    last_turn: Instant,
    /// What the timers that are due wake; kept for its memory.
    due: Vec<Waker>,
}

impl<P: Park> Worker<P> {
    pub(crate) fn new(local: Local, park: P, rng: Rng) -> Self {
        let now = local.shared().clock.now();
        let search = Search::new(local.shared().workers(), rng);
        Self {
            local: Rc::new(local),
            park,
            search,
            searching: false,
            polls_until_look: POLLS_PER_LOOK,
            awake_since: now,
            last_look: now,
            last_turn: now,
            due: Vec::new(),
        }
    }

    fn shared(&self) -> &Shared {
        self.local.shared()
    }

    /// Declares that this worker runs on this thread, until the guard goes.
    pub(crate) fn enter(&self) -> LocalGuard {
        context::set_local(self.local.clone())
    }

    /// Runs tasks until the scheduler closes, or until `main` is done.
    ///
    /// # Errors
    ///
    /// What the [`Park`] could not recover from.
    pub(crate) fn run(&mut self, mut main: Option<&mut MainTask<'_>>) -> io::Result<()> {
        while !self.shared().is_closing() {
            // In turns: whichever of the two is always ready does not starve the other (S6).
            if let Some(main) = main.as_deref_mut()
                && main.is_woken()
            {
                self.begin_poll();
                let done = main.poll();
                self.end_poll()?;
                if done {
                    return Ok(());
                }
            }
            let task = self.local.next().or_else(|| self.look_around());
            if let Some(task) = task {
                self.begin_poll();
                if let Some(again) = task.run() {
                    self.local.yielded(again);
                }
                self.end_poll()?;
            } else if !main.as_deref().is_some_and(MainTask::is_woken) {
                self.sleep()?;
            }
        }
        Ok(())
    }

    /// Ends what this worker still has, once its loop is over, and waits for the others to be as far.
    /// Runs on the worker's thread, like the loop.
    pub(crate) fn wind_up(mut self) {
        self.leave_search();
        let shared = self.local.shard.shared.clone();
        self.local.shard.tasks.shutdown_all();
        // A task's destructor may wake others; all are cancelled, so this ends.
        while let Some(task) = self.local.remote().slot.take().or_else(|| self.local.deque.pop()) {
            task.shutdown();
        }
        self.local.remote().timers.close();
        // Nobody closes a ring while a task on another worker could still hold one of its operations.
        shared.wind_up.all_tasks_ended();
        shared.wind_up.park_ended(self.local.index, self.park.shutdown(shared.wind_up.deadline()));
    }

    #[inline]
    fn begin_poll(&mut self) {
        self.leave_search();
        self.local.remote().counters.polls.add(1);
        self.local.set_polling(true);
    }

    /// After a poll; now and then looks at the clock.
    #[inline]
    fn end_poll(&mut self) -> io::Result<()> {
        self.local.set_polling(false);
        self.polls_until_look -= 1;
        if self.polls_until_look == 0 { self.look_at_the_clock() } else { Ok(()) }
    }

    /// In the midst of work: fires timers, submits and reaps, takes a share of what came from outside.
    #[cold]
    fn look_at_the_clock(&mut self) -> io::Result<()> {
        let now = self.shared().clock.now();
        // Polls that take long are followed by a look each, so that I/O waits for time, not for a count.
        let long = now.saturating_duration_since(self.last_look) >= IO_BUDGET;
        self.polls_until_look = if long { 1 } else { POLLS_PER_LOOK };
        self.last_look = now;
        self.fire_timers(now);
        if now.saturating_duration_since(self.last_turn) >= IO_BUDGET {
            self.last_turn = now;
            let reaped = self.park.turn()?;
            let counters = &self.local.remote().counters;
            counters.turns.add(1);
            counters.completions.add(reaped as u64);
        }
        if let Some(task) = self.local.pull() {
            self.local.deque.push(task);
        }
        if !self.local.deque.is_empty() {
            self.local.call_for_help();
        }
        Ok(())
    }

    fn fire_timers(&mut self, now: Instant) {
        let remote = self.local.remote();
        let expired = remote.timers.expire(now, &mut self.due);
        if expired.woken > 0 {
            remote.counters.timers_fired.add(expired.woken as u64);
        }
    }

    /// Looks through the queues of the others, if not too many workers do that already.
    fn look_around(&mut self) -> Option<Task> {
        if self.shared().workers() == 1 {
            return None;
        }
        if !self.searching {
            if !self.shared().idle.start_searching() {
                return None;
            }
            self.searching = true;
        }
        self.search.run(&self.local, BATCH)
    }

    /// Leaves the search with work in hand. The last one to leave looks for those who relied on it (S2).
    #[inline]
    fn leave_search(&mut self) {
        if self.searching {
            self.searching = false;
            let shared = self.local.shared();
            if shared.idle.stop_searching() && shared.has_work() && shared.wake_sleeper() {
                self.local.remote().counters.wakes_sent.add(1);
            }
        }
    }

    /// Sleeps until there is something, by the rules of `idle`.
    fn sleep(&mut self) -> io::Result<()> {
        let searching = std::mem::take(&mut self.searching);
        let must_look = self.shared().idle.fall_asleep(self.local.index, searching);
        if must_look && self.shared().has_work() {
            self.searching = self.shared().idle.get_up(self.local.index);
            return Ok(());
        }
        let remote = self.local.remote();
        let busy = self.shared().clock.now().saturating_duration_since(self.awake_since);
        remote.counters.busy_ns.add(busy.as_nanos() as u64);
        remote.counters.parks.add(1);
        let reaped = self.park.park(remote.timers.next_deadline())?;
        self.searching = self.shared().idle.get_up(self.local.index);
        let now = self.shared().clock.now();
        self.awake_since = now;
        self.last_turn = now;
        self.last_look = now;
        self.polls_until_look = POLLS_PER_LOOK;
        self.local.remote().counters.completions.add(reaped as u64);
        self.fire_timers(now);
        // More than this worker can begin at once: one call for all that was woken.
        if self.local.deque.len() > 1 {
            self.local.call_for_help();
        }
        Ok(())
    }
}
