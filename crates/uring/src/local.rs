//! What a driver's own thread works with: staging, entering, reaping.
//!
//! Everything here is reached through a shared reference, because operations find their thread's driver
//! while that driver runs their wakers. Hence each borrow is short, and none is held while code of a
//! user's runs (D8): completions are first moved to a batch, then dispatched one at a time.

mod mail;
mod shutdown;
#[cfg(all(test, not(filch_loom)))]
mod tests;

use crate::cell::{Handle, Home, Key, Message, Owner};
use crate::config::{Config, Features, Rescue};
use crate::error::SetupError;
use crate::op::Operation;
use crate::rescue::{Enrolled, OWN, is_own};
use crate::ring::{Completion, Ring};
use crate::sys::Wait;
use crate::wake::Wake;
use filch_atomic::sync::Arc;
use io_uring::types::Fd;
use io_uring::{opcode, squeue};
use std::cell::{Cell, RefCell, UnsafeCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;
use std::time::{Duration, Instant};
use std::{io, mem, ptr, thread};

/// `user_data` of the driver's own entries, besides a cancel's, which is [`OWN`] and what it cancels. No cell has
/// such an index.
const EVENT: u64 = u64::MAX;
const CANCEL_OWN: u64 = u64::MAX - 1;
const CANCEL_ALL: u64 = u64::MAX - 2;
const ALARM: u64 = u64::MAX - 3;
const _: () = assert!(is_own(EVENT & CANCEL_OWN & CANCEL_ALL & ALARM), "they are the owner's");

/// How often a turn enters the kernel again for what is left over there. Bounded for fairness (S6): the
/// rest waits for the next turn. Enough for whatever fits the completion queue.
const COLLECT_ROUNDS: usize = 32;

thread_local! {
    /// This thread's driver, while it takes operations. Without a destructor, so it can be asked at
    /// any time of the thread's life.
    static CURRENT: Cell<*const Local> = const { Cell::new(ptr::null()) };
}

/// The thread's own part of a driver.
#[derive(Debug)]
pub(crate) struct Local {
    owner: Owner,
    /// None once shut down.
    ring: RefCell<Option<Ring>>,
    features: Features,
    /// Entries that found the submission queue full, oldest first (D5).
    backlog: RefCell<VecDeque<squeue::Entry>>,
    /// Completions reaped and not yet dispatched. It keeps what is left when a waker panics (D2).
    batch: RefCell<VecDeque<Completion>>,
    mail: RefCell<Vec<Message>>,
    /// What the kernel was asked to cancel, and did not find.
    not_found: RefCell<Vec<Key>>,
    /// Entries staged whose final completion was not dispatched yet, the driver's own included.
    in_flight: Cell<usize>,
    /// Where the kernel puts the counts of eventfd and timer.
    counts: Box<UnsafeCell<[u64; 2]>>,
    event_armed: Cell<bool>,
    alarm_armed: Cell<bool>,
    /// None if the driver is not to be rescued, or is shut down.
    enrolled: RefCell<Option<Enrolled>>,
    /// The kernel does not know how to cancel all at once.
    cancel_one_by_one: Cell<bool>,
    /// Plays a kernel that takes nothing.
    #[cfg(test)]
    stalled: Cell<bool>,
}

/// How long a call to the kernel may take.
#[derive(Debug, Clone, Copy)]
enum Until {
    Now,
    Event,
    Time(Instant),
}

impl Local {
    /// Makes the thread's driver, and makes it current if there is no other.
    pub(crate) fn new(config: &Config) -> Result<Rc<Self>, SetupError> {
        let ring = Ring::new(config)?;
        let wake = Wake::new()?;
        let enrolled = match config.rescue {
            Rescue::Off => None,
            Rescue::Signal(signal) => Some(Enrolled::ready(signal).map_err(SetupError::signal)?),
        };
        let local = Rc::new(Self {
            owner: Owner::new(Home::new(wake, config.quarantine.clone())),
            features: ring.features(),
            ring: RefCell::new(Some(ring)),
            backlog: RefCell::default(),
            batch: RefCell::default(),
            mail: RefCell::default(),
            not_found: RefCell::default(),
            in_flight: Cell::new(0),
            counts: Box::default(),
            event_armed: Cell::new(false),
            alarm_armed: Cell::new(false),
            enrolled: RefCell::default(),
            cancel_one_by_one: Cell::new(false),
            #[cfg(test)]
            stalled: Cell::new(false),
        });
        local.with_ring(|ring| local.home().cq.open_with(ring.view().clone()));
        if let Some(enrolled) = enrolled {
            // Last: now that the ring is up, the thread may be signalled for it.
            // SAFETY: made on this thread, and bound to it; `part_with_rescuers` comes before the ring
            // goes.
            local.with_ring(|ring| unsafe { enrolled.enrol(local.home(), ring) });
            local.enrolled.replace(Some(enrolled));
        }
        if CURRENT.get().is_null() {
            CURRENT.set(Rc::as_ptr(&local));
        }
        Ok(local)
    }

    /// The driver that operations polled on this thread go to.
    pub(crate) fn current() -> Option<Rc<Self>> {
        let local = CURRENT.get();
        if local.is_null() {
            return None;
        }
        // SAFETY: the pointer is from `Rc::as_ptr` and cleared before the driver's own reference goes
        // (`resign`), so the count is at least one.
        unsafe { Rc::increment_strong_count(local) };
        // SAFETY: the reference just counted.
        Some(unsafe { Rc::from_raw(local) })
    }

    /// Is no longer the current driver.
    fn resign(&self) {
        if ptr::eq(CURRENT.get(), self) {
            CURRENT.set(ptr::null());
        }
    }

    pub(crate) fn home(&self) -> &Arc<Home> {
        self.owner.home()
    }

    pub(crate) fn features(&self) -> Features {
        self.features
    }

    /// The free list for the cell of `handle`, if it is one of this driver's.
    pub(crate) fn owner_of<T: Operation>(&self, handle: &Handle<T>) -> Option<&Owner> {
        ptr::eq(&raw const **self.home(), handle.home()).then_some(&self.owner)
    }

    /// Puts an operation into a cell and stages it.
    pub(crate) fn submit<T: Operation>(&self, operation: T, waker: Waker) -> Handle<T> {
        let handle = self.owner.fill(operation, waker);
        self.stage(self.owner.entry_of(&handle));
        handle
    }

    /// Asks the kernel to stop an operation, if it still runs.
    pub(crate) fn cancel(&self, key: Key) {
        if self.owner.is_running(key) {
            self.home().counters.cancels.add(1);
            let cancel = opcode::AsyncCancel::new(key.user_data()).build();
            // It says itself what it was for: the kernel promises nothing about the order of its answers.
            self.stage(cancel.user_data(key.user_data() | OWN));
        }
    }

    /// Asks again for what the kernel did not find and has not finished. An operation that it is about to try
    /// once more is for a moment nowhere where it looks: one that was ready and then was not, after all. The
    /// connect of a Unix socket to a listener whose line is full is that 128 times on end.
    fn cancel_again(&self) {
        if self.not_found.borrow().is_empty() {
            return;
        }
        for key in self.not_found.take() {
            self.cancel(key);
        }
    }

    /// Submits, reaps and dispatches; never sleeps.
    pub(crate) fn turn(&self) -> io::Result<usize> {
        self.read_mail(false);
        self.flush_backlog()?;
        if self.with_ring(|ring| ring.staged() > 0 || ring.must_enter()) {
            self.enter(Until::Now)?;
        }
        self.collect()?;
        Ok(self.dispatch())
    }

    /// The same, and sleeps until something completes, an unpark or the deadline.
    pub(crate) fn park(&self, deadline: Option<Instant>) -> io::Result<usize> {
        let word = self.home().wake.word();
        if !word.prepare() {
            return self.turn();
        }
        let entered = self.sleep(deadline);
        word.finish();
        entered?;
        self.collect()?;
        Ok(self.dispatch())
    }

    /// Parked: one call that submits and waits. No code of a user's runs in here.
    fn sleep(&self, deadline: Option<Instant>) -> io::Result<()> {
        // What was sent before we announced the park, by a sender that saw us awake.
        self.read_mail(false);
        self.arm();
        self.flush_backlog()?;
        // With a backlog the read of the eventfd may not be with the kernel yet: no sleep. What a rescuer
        // set aside is looked at once more in `enter`, with rescuers shut out.
        let ready = !self.batch.borrow().is_empty()
            || !self.backlog.borrow().is_empty()
            || self.home().cq.has_left()
            || self.with_ring(|ring| ring.has_completions());
        let until = match deadline {
            _ if ready => Until::Now,
            Some(deadline) => Until::Time(deadline),
            None => Until::Event,
        };
        if !ready {
            self.home().counters.parks.add(1);
        } else if !self.with_ring(|ring| ring.staged() > 0 || ring.must_enter()) {
            return Ok(());
        }
        self.enter(until)
    }

    /// Has the kernel read the eventfd and the timer, if it does not already.
    fn arm(&self) {
        let armed = [(&self.event_armed, EVENT), (&self.alarm_armed, ALARM)];
        for (which, (armed, user_data)) in armed.into_iter().enumerate() {
            if !armed.replace(true) {
                let fd = Fd(self.home().wake.descriptors()[which]);
                let count = self.counts.get().cast::<u64>().wrapping_add(which);
                let entry = opcode::Read::new(fd, count.cast(), 8).build();
                self.stage(entry.user_data(user_data));
            }
        }
    }

    /// How many operations are in flight, and whether one of them comes to its end by itself. Mail that was not read yet
    /// may be anything.
    pub(crate) fn in_flight(&self) -> (usize, bool) {
        let own = usize::from(self.event_armed.get()) + usize::from(self.alarm_armed.get());
        let operations = self.in_flight.get() - own;
        let has_mail = self.home().has_mail();
        let ends = has_mail || (operations > 0 && self.owner.has_one_that_runs_to_its_end());
        (operations + usize::from(has_mail), ends)
    }

    fn with_ring<R>(&self, f: impl FnOnce(&mut Ring) -> R) -> R {
        f(self.ring.borrow_mut().as_mut().expect("the driver is shut down"))
    }

    fn is_open(&self) -> bool {
        self.ring.borrow().is_some()
    }

    /// Stages an entry; if the queue is full, hands what is there to the kernel, and if that does not
    /// help, keeps the entry for later (D5).
    fn stage(&self, entry: squeue::Entry) {
        self.in_flight.set(self.in_flight.get() + 1);
        if self.backlog.borrow().is_empty() {
            // SAFETY: entries point into cells (D1: alive until their completion), into the driver's
            // own memory, or nowhere.
            if self.with_ring(|ring| unsafe { ring.push(&entry) }) {
                return;
            }
            // A failure shows again at the next turn, which can report it.
            let _ = self.enter(Until::Now);
            // SAFETY: as above.
            if self.with_ring(|ring| unsafe { ring.push(&entry) }) {
                return;
            }
        }
        self.home().counters.backlogged.add(1);
        self.backlog.borrow_mut().push_back(entry);
    }

    /// Stages what waits in user space, as far as the kernel takes it.
    fn flush_backlog(&self) -> io::Result<()> {
        while !self.backlog.borrow().is_empty() {
            self.stage_backlog();
            if self.backlog.borrow().is_empty() {
                break;
            }
            self.enter(Until::Now)?;
            if self.with_ring(|ring| ring.staged() == ring.entries()) {
                break;
            }
        }
        Ok(())
    }

    fn stage_backlog(&self) {
        loop {
            let Some(entry) = self.backlog.borrow_mut().pop_front() else { return };
            let user_data = entry.get_user_data();
            if !is_own(user_data) && self.owner.is_unwanted(Key::from_user_data(user_data)) {
                // Dropped before the kernel heard of it: no need to tell it.
                self.finish_unsubmitted(user_data);
                continue;
            }
            // SAFETY: as in `stage`.
            if !self.with_ring(|ring| unsafe { ring.push(&entry) }) {
                self.backlog.borrow_mut().push_front(entry);
                return;
            }
        }
    }

    /// Completes what was counted but never submitted as if the kernel had cancelled it.
    fn finish_unsubmitted(&self, user_data: u64) {
        let result = -libc::ECANCELED;
        self.batch.borrow_mut().push_back(Completion { user_data, result, more: false });
    }

    /// Enters the kernel: submits, lets deferred work run, waits as told.
    fn enter(&self, until: Until) -> io::Result<()> {
        #[cfg(test)]
        if self.stalled.get() {
            return Ok(());
        }
        let counters = &self.home().counters;
        loop {
            let wait = match until {
                Until::Now => Wait::No,
                Until::Event => Wait::Forever,
                Until::Time(deadline) => {
                    match deadline.saturating_duration_since(Instant::now()) {
                        // The kernel sleeps also for a wait of no length.
                        Duration::ZERO => Wait::No,
                        left => Wait::For(left),
                    }
                }
            };
            counters.enters.add(1);
            match self.enter_once(wait) {
                Ok(taken) => {
                    // Fewer than were staged, or none: spurious, the rest goes with the next call.
                    counters.submitted.add(taken.into());
                    return Ok(());
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EINTR) => {}
                    // The kernel is short of memory, or wants its completions taken first. The caller
                    // reaps, and comes again.
                    Some(libc::EAGAIN | libc::EBUSY) => {
                        thread::yield_now();
                        return Ok(());
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    /// One call. Rescuers are shut out of it if it tells the kernel a number of completions: that has to
    /// stay true.
    fn enter_once(&self, wait: Wait) -> io::Result<u32> {
        let cq = &self.home().cq;
        if matches!(wait, Wait::No) && !self.with_ring(|ring| ring.has_completions()) {
            return self.with_ring(|ring| ring.enter(Wait::No, 0));
        }
        let there = cq.shut();
        // Among what was set aside may be the read that would end the wait.
        let wait = if there.set_aside { Wait::No } else { wait };
        let result = self.with_ring(|ring| ring.enter(wait, there.completions));
        cq.open();
        result
    }

    /// Moves to the batch what completed, and hears of what rescuers completed.
    fn reap(&self) {
        let cq = &self.home().cq;
        // Usually there is nothing, and no lock to take.
        if self.with_ring(|ring| ring.has_completions()) || cq.has_left() {
            let rescued = cq.reap(&mut self.batch.borrow_mut());
            self.in_flight.set(self.in_flight.get() - rescued);
        }
    }

    /// Has the kernel finish what it put off, and moves all completions to the batch, those included
    /// that did not fit the queue (D5).
    ///
    /// The kernel runs 20 pieces of deferred work in one call, or, if there are more completions in the
    /// queue, as many as these ([`Ring::enter`]). So they stay there until there is no more to come: the
    /// portions double, and a few calls bring thousands.
    fn collect(&self) -> io::Result<()> {
        for _ in 0..COLLECT_ROUNDS {
            let (overflown, more) = self.with_ring(|ring| {
                if ring.overflown() {
                    self.home().counters.overflows.add(1);
                }
                (ring.overflown(), ring.must_enter())
            });
            if overflown {
                self.reap();
            }
            if !more {
                break;
            }
            self.enter(Until::Now)?;
        }
        self.reap();
        Ok(())
    }

    /// Delivers the batch. Wakers and destructors run here, under no borrow (D8).
    fn dispatch(&self) -> usize {
        let mut completed = 0;
        loop {
            let Some(completion) = self.batch.borrow_mut().pop_front() else { break };
            debug_assert!(!completion.more, "no operation completes more than once");
            self.in_flight.set(self.in_flight.get() - 1);
            match completion.user_data {
                EVENT => self.event_armed.set(false),
                ALARM => self.alarm_armed.set(false),
                CANCEL_OWN => {}
                CANCEL_ALL => {
                    if completion.result == -libc::EINVAL {
                        self.cancel_one_by_one.set(true);
                    }
                }
                cancel if is_own(cancel) => {
                    if completion.result == -libc::ENOENT {
                        self.not_found.borrow_mut().push(Key::from_user_data(cancel & !OWN));
                    }
                }
                user_data => {
                    completed += 1;
                    self.home().counters.completed.add(1);
                    let key = Key::from_user_data(user_data);
                    // SAFETY: the final completion of an operation staged here, dispatched once.
                    unsafe { self.owner.complete(key, completion.result) };
                }
            }
        }
        // Not before all the rest is dispatched, for as a rule that is among it.
        self.cancel_again();
        completed
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        // Not shut down: a waker or destructor panicked on the way. The kernel may still write to the
        // cells, so the ring stays.
        if self.is_open() {
            self.resign();
            self.home().close();
            let _ = self.leak();
        }
        if self.in_flight.get() > 0 {
            // The kernel may still write the counts of eventfd and timer.
            mem::forget(mem::take(&mut self.counts));
        }
    }
}
