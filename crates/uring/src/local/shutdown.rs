//! The end of a driver: cancel, drain, close; or leak (D7).

use super::{CANCEL, CANCEL_ALL, EVENT, Local, Until};
use crate::error::Leaked;
use io_uring::opcode;
use io_uring::types::CancelBuilder;
use std::mem;
use std::time::{Duration, Instant};

/// How long a shutdown waits before it asks again: a request that was between two states may have been
/// missed by the cancel.
const CANCEL_AGAIN: Duration = Duration::from_millis(10);

/// How often a shutdown whose time is up still looks, without waiting.
const LAST_LOOKS: usize = 4;

impl Local {
    /// Cancels and drains everything in flight, then closes the ring; or, when the time is up, leaks
    /// what the kernel still holds (D7).
    pub(crate) fn shutdown(&self, deadline: Option<Instant>) -> Result<(), Leaked> {
        if !self.is_open() {
            return Ok(());
        }
        self.resign();
        self.home().close();
        self.drop_backlog();
        let drained = self.drain(deadline);
        if drained.is_ok() {
            self.ring.take();
            return Ok(());
        }
        Err(self.leak())
    }

    /// What the kernel never heard of needs no cancelling.
    fn drop_backlog(&self) {
        for entry in self.backlog.take() {
            self.finish_unsubmitted(entry.get_user_data());
        }
    }

    fn drain(&self, deadline: Option<Instant>) -> Result<(), ()> {
        let mut looks = 0;
        loop {
            self.read_mail(true);
            self.dispatch();
            if self.in_flight.get() == 0 {
                return Ok(());
            }
            let again = Instant::now() + CANCEL_AGAIN;
            let until = match deadline {
                Some(deadline) if deadline <= again => {
                    if deadline <= Instant::now() {
                        looks += 1;
                    }
                    deadline
                }
                _ => again,
            };
            if looks > LAST_LOOKS {
                return Err(());
            }
            self.cancel_all();
            self.flush_backlog().map_err(drop)?;
            self.enter(Until::Time(until)).map_err(drop)?;
            self.reap().map_err(drop)?;
        }
    }

    fn cancel_all(&self) {
        if self.cancel_one_by_one.get() {
            for key in self.owner.running() {
                self.cancel(key);
            }
            let event = opcode::AsyncCancel::new(EVENT).build().user_data(CANCEL);
            self.stage(event);
        } else {
            let all = opcode::AsyncCancel2::new(CancelBuilder::any().all()).build();
            self.stage(all.user_data(CANCEL_ALL));
        }
    }

    /// Gives up: ring and cells stay allocated for as long as the process lives.
    pub(super) fn leak(&self) -> Leaked {
        mem::forget(self.ring.take());
        self.batch.take();
        // SAFETY: the ring is out of reach: nothing is reaped any more.
        Leaked::new(unsafe { self.owner.lose_all() })
    }
}
