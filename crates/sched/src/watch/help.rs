//! What is done for a worker that is stuck.

use super::reports::Due;
use super::{Finding, Found};
use crate::local::{BATCH, Local};
use crate::task::Report;
use filch_atomic::deque::Steal;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::{Duration, Instant};

/// Looks at all workers but this one, and helps those that are stuck. What comes of it is in this
/// worker's queue, and announced before its next poll. `due` is for its memory. Between polls only.
/// `before_wakers` is called before timers are fired: what they wake is anybody's code.
pub(crate) fn look_at_the_others(
    local: &Local,
    now: Instant,
    due: &mut Vec<Waker>,
    mut before_wakers: impl FnMut(),
) -> Found {
    let shared = local.shared();
    local.remote().counters.looks.add(1);
    let at = shared.watch.nanos(now);
    let mut found = Found::default();
    for worker in (0..shared.workers()).filter(|&worker| worker != local.index) {
        let remote = &shared.remotes[worker];
        let in_poll = remote.polled.is_polling();
        // Acquire: pairs with the Release in `deliberately`: what that took is not counted then.
        let is_deliberate = remote.is_deliberate.load(Ordering::Acquire);
        match shared.watch.find(worker, at, || remote.counters.polls.get()) {
            Finding::Well { beat } => found.oldest_beat = found.oldest_beat.min(beat),
            Finding::Silent => found.silent = true,
            // Workers that end are not stuck, and somebody else counts their time.
            Finding::Stuck { .. } if shared.is_closing() => {}
            Finding::Stuck { so_long, polls, first } => {
                found.stuck = true;
                if first {
                    local.remote().counters.stuck_found.add(1);
                    shared.reports.begin(worker);
                }
                found.gained |= help(local, worker, now, due, &mut before_wakers);
                // To help takes time, and may be what ends the poll: nobody is named for another's.
                let still = || {
                    remote.counters.polls.get() == polls && remote.polled.is_polling() == in_poll
                };
                if !is_deliberate {
                    report(local, worker, at, so_long, still);
                }
            }
        }
    }
    found
}

/// Does what can be done for `stuck` without it. Whether there was anything.
fn help(
    local: &Local,
    stuck: usize,
    now: Instant,
    due: &mut Vec<Waker>,
    before_wakers: impl FnOnce(),
) -> bool {
    let (shared, counters) = (local.shared(), &local.remote().counters);
    let remote = &shared.remotes[stuck];
    let now = shared.clock.of_timers(now);
    let mut gained = false;
    if let Some(task) = steal_half(local, stuck) {
        local.queue.push(task);
        gained = true;
        counters.steals.add(1);
    }
    // A thief must have seen it there for a while; here the worker itself has been seen for a while. If
    // it has put the task there a moment ago, and would come to it now after all, then nothing is lost
    // but the warmth of its cache.
    if let Some(task) = remote.slot.steal(remote.slot.look()) {
        local.queue.push(task);
        gained = true;
        counters.slot_steals.add(1);
    }
    if remote.timers.is_due(now) {
        before_wakers();
    }
    if let Some(expired) = local.delivered(|| remote.timers.expire(now, due)) {
        gained |= expired.woken > 0;
        counters.timers_rescued.add(expired.woken as u64);
    }
    match local.delivered(|| remote.peer.rescue()) {
        None | Some(Ok(0)) => {}
        Some(Ok(completed)) => {
            gained = true;
            counters.rescues.add(1);
            counters.rescued.add(completed as u64);
        }
        Some(Err(error)) => {
            if shared.reports.first_failure() {
                shared.hook.report(&Report::rescue_failed(stuck, &error));
            }
        }
    }
    gained
}

/// Moves up to half of its queue to the end of this worker's; returns the first.
fn steal_half(local: &Local, stuck: usize) -> Option<crate::task::Task> {
    loop {
        match local.queue.steal(&local.shared().remotes[stuck].stealer, BATCH) {
            Steal::Success(task) => return Some(task),
            Steal::Empty => return None,
            // Somebody else got something.
            Steal::Retry => {}
        }
    }
}

/// Names what the worker is inside of, if it is time to, and if it is still inside of that.
fn report(local: &Local, stuck: usize, now: u64, so_long: u64, still: impl Fn() -> bool) {
    let shared = local.shared();
    if !still() {
        return;
    }
    match shared.reports.due(stuck, now, so_long) {
        Due::Not | Due::PutOff { first: false } => {}
        Due::PutOff { first: true } => local.remote().counters.stuck_unreported.add(1),
        Due::Now => {
            let tasks = (0..shared.workers()).map(|shard| &local.handle.shard(shard).tasks);
            let who = shared.remotes[stuck].polled.who(tasks);
            // A count of polls is stored before what is polled is shown. That other threads see the two
            // in this order is certain enough for a line that is read by people.
            if still() {
                shared.hook.report(&Report::stuck(stuck, who, Duration::from_nanos(so_long)));
            }
        }
    }
}
