//! The end of a driver: cancel what waits, wait for what runs to its end, drain, close; or leak (D7).

use super::{ALARM, CANCEL_ALL, CANCEL_OWN, EVENT, Local, Until};
use crate::cell::Key;
use crate::error::Leaked;
use crate::rescue::is_own;
use io_uring::types::CancelBuilder;
use io_uring::{opcode, squeue};
use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

/// How long a shutdown waits before it asks again: a request that was between two states may have been
/// missed by the cancel. So long before the deadline it also cancels what it would rather see finished.
const CANCEL_AGAIN: Duration = Duration::from_millis(10);

/// How long a shutdown sleeps while a rescuer has operations in hand.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// How often a shutdown whose time is up still looks, without waiting, since the last operation that
/// ended. The kernel delivers what is cancelled in portions, so progress is what counts.
const LAST_LOOKS: usize = 4;

impl Local {
    /// Cancels and drains everything in flight, but for what runs to its end
    /// ([`Operation::CANCEL_ON_DROP`]), which it waits for; then closes the ring. When the time is up,
    /// cancels that too, and leaks what the kernel still holds (D7).
    ///
    /// [`Operation::CANCEL_ON_DROP`]: crate::Operation::CANCEL_ON_DROP
    pub(crate) fn shutdown(&self, deadline: Option<Instant>) -> Result<(), Leaked> {
        if !self.is_open() {
            return Ok(());
        }
        self.resign();
        self.home().close();
        self.drop_backlog();
        let drained = self.drain(deadline);
        if drained.is_ok() {
            self.part_with_rescuers();
            self.ring.take();
            self.close_ward();
            return Ok(());
        }
        Err(self.leak())
    }

    /// What the kernel never heard of needs no cancelling. What runs to its end stays, and so do the
    /// cancels that were asked for.
    fn drop_backlog(&self) {
        let (stay, go) =
            self.backlog.take().into_iter().partition(|entry| match entry.get_user_data() {
                EVENT | ALARM => false,
                cancel if is_own(cancel) => true,
                user_data => self.owner.runs_to_its_end(Key::from_user_data(user_data)),
            });
        self.backlog.replace(stay);
        let go: VecDeque<squeue::Entry> = go;
        for entry in go {
            self.finish_unsubmitted(entry.get_user_data());
        }
    }

    fn drain(&self, deadline: Option<Instant>) -> Result<(), ()> {
        let mut looks = 0;
        let mut ask_at = Instant::now();
        loop {
            self.read_mail(true);
            // What rescuers completed needs no cancelling.
            self.reap();
            let ended = self.dispatch();
            if self.in_flight.get() == 0 {
                return Ok(());
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                looks = if ended > 0 { 0 } else { looks + 1 };
                if looks > LAST_LOOKS {
                    return Err(());
                }
            }
            let late = deadline.is_some_and(|deadline| deadline <= now + CANCEL_AGAIN);
            if ask_at <= now || looks > 0 {
                self.cancel_all(late);
                ask_at = now + CANCEL_AGAIN;
            }
            self.flush_backlog().map_err(drop)?;
            let mut until = deadline.map_or(ask_at, |deadline| deadline.min(ask_at));
            if self.home().cq.is_in_hand() {
                // What a rescuer completes ends no wait in the kernel.
                until = until.min(now + LOOK_AGAIN);
            }
            self.enter(Until::Time(until)).map_err(drop)?;
            self.collect().map_err(drop)?;
        }
    }

    /// Cancels all that is given up at the end; in haste also what should run to its own end.
    fn cancel_all(&self, in_haste: bool) {
        let mut keys = self.owner.running();
        let before = keys.len();
        if !in_haste {
            keys.retain(|key| !self.owner.runs_to_its_end(*key));
        }
        if self.cancel_one_by_one.get() || keys.len() < before {
            for key in keys {
                self.cancel(key);
            }
            for own in [EVENT, ALARM] {
                self.stage(opcode::AsyncCancel::new(own).build().user_data(CANCEL_OWN));
            }
        } else {
            let all = opcode::AsyncCancel2::new(CancelBuilder::any().all()).build();
            self.stage(all.user_data(CANCEL_ALL));
        }
    }

    /// From here on no signal is sent for this ring, no handler looks at it, nobody else reaps it.
    fn part_with_rescuers(&self) {
        if let Some(enrolled) = self.enrolled.take() {
            enrolled.withdraw(self.home());
        }
        self.home().cq.close();
    }

    /// Gives up: ring and cells stay allocated for as long as the process lives.
    pub(super) fn leak(&self) -> Leaked {
        self.part_with_rescuers();
        mem::forget(self.ring.take());
        self.batch.take();
        // SAFETY: the ring is out of reach: nothing is reaped any more, and nothing submitted.
        let leaked = Leaked::new(unsafe { self.owner.lose_all() });
        // What is leaked is not in there.
        self.close_ward();
        leaked
    }

    /// Nothing is kept for a ring that is no more.
    fn close_ward(&self) {
        if let Some(ward) = &self.home().ward {
            ward.close();
        }
    }
}
