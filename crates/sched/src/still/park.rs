//! A worker's park, where somebody has to notice that nothing can run.

use super::{Rest, Scene, Stillness};
use crate::local::Local;
use crate::park::Park;
use std::io;
use std::time::Instant;

/// As the park of a worker that found nothing to do, with `until` as the limit in real time.
pub(crate) fn park(
    local: &Local,
    still: &Stillness,
    park: &mut impl Park,
    until: Option<Instant>,
) -> io::Result<usize> {
    let shared = local.shared();
    // To tell what is in flight takes a walk over it. With no virtual clock, only if somebody asks.
    let mut flight = still.is_virtual().then(|| park.in_flight());
    loop {
        match still.rest(local.index, flight, Instant::now(), local) {
            Rest::Look => flight = Some(park.in_flight()),
            Rest::Again { unpark, wake } => {
                for worker in unpark {
                    shared.remotes[worker].peer.unpark_quietly();
                }
                for waker in wake {
                    local.delivered(|| waker.wake());
                }
                return park.turn();
            }
            Rest::Park(look_again) => {
                // It is up again, also if a waker panics in there.
                let _up = Up(still, local.index);
                let timers =
                    if still.is_virtual() { None } else { local.remote().timers.next_deadline() };
                return park.park([look_again, timers, until].into_iter().flatten().min());
            }
        }
    }
}

struct Up<'a>(&'a Stillness, usize);

impl Drop for Up<'_> {
    fn drop(&mut self) {
        self.0.rises(self.1);
    }
}

impl Scene for Local {
    fn is_busy(&self) -> bool {
        !self.handle.blocking().is_quiet() || self.shared().has_work()
    }

    fn work(&self) -> u64 {
        let each = self.shared().remotes.iter().map(|remote| {
            let counters = &remote.counters;
            counters.polls.get().wrapping_add(counters.completions.get())
        });
        each.fold(0, u64::wrapping_add)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.shared().remotes.iter().filter_map(|remote| remote.timers.next_deadline()).min()
    }

    fn is_due(&self, worker: usize, now: Instant) -> bool {
        // `now` is that of a virtual clock, or else of the system's.
        let clock = &self.shared().clock;
        let now = if clock.hand().is_some() { now } else { clock.now() };
        self.shared().remotes[worker].timers.is_due(now)
    }
}
