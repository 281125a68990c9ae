//! What a group is while it lives: who is in it, what went wrong, and whether it is being ended.

use super::error::{Failure, Panicked};
use super::list::Places;
use super::room::Room;
use super::spawner::Spawner;
use filch_atomic::panics::{caught, drop_caught};
use filch_atomic::scope::Scope;
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use filch_atomic::sync::{Arc, Mutex};
use filch_sched::task::{self, AbortHandle, Meta, Report};
use std::any::Any;
use std::mem;
use std::panic::Location;
use std::task::Waker;

/// Everything in it was asked to end, and nothing begins in it. Set under the lock.
const ENDING: usize = 1;
/// It was ended by a cancel from outside.
const FROM_OUTSIDE: usize = 2;
/// A child was cut while it was ending.
const CUT: usize = 4;
/// Its future waits for the children.
const JOINING: usize = 8;
/// Its future is gone: an adopter waits for the children. Set under the lock.
const ORPHANED: usize = 16;
/// Its future has found no children, and is done with it.
const OVER: usize = 32;
/// Not all children may run at once.
const LIMITED: usize = 64;
/// One child.
const ONE: usize = 128;

/// Is told of the failures in a group that goes on in spite of them.
pub(super) type Supervisor = std::sync::Arc<dyn Fn(Failure) + Send + Sync>;

/// The shared state of a group. The rules are in the README beside this file.
#[repr(C)]
pub(super) struct Core {
    /// The bits above, and how many children there are. First, so that it is in the line of the reference count,
    /// which whoever comes or goes changes as well.
    state: AtomicUsize,
    members: Mutex<Members>,
    /// The group's scope: around the body, cancelled with the group; whoever polls the group waits there.
    scope: Arc<Scope>,
    /// The group around this one.
    parent: Option<Arc<Core>>,
    is_supervised: bool,
    pub(super) spawner: Spawner,
    /// Where the group was made.
    pub(super) location: &'static Location<'static>,
}

struct Members {
    /// Children that have begun, until the group ends.
    listed: Places<AbortHandle>,
    /// Children that have not, for want of room.
    room: Room,
    failures: Vec<Failure>,
    /// The first panic.
    panic: Option<Box<dyn Any + Send>>,
    /// Until the last child is over.
    supervisor: Option<Supervisor>,
    /// Who waits for the children in place of the group's future. It counts this group as a child.
    adopter: Option<Arc<Core>>,
    /// How many of those counted are groups that were adopted.
    adopted: usize,
}

/// What a child has left with its group.
#[derive(Debug)]
pub(super) enum Place {
    /// Nothing: it has not begun, or not come to the end of its first poll.
    New,
    /// It waits for room, under this number.
    Waiting(u64),
    /// Something to cancel it by.
    Listed(usize),
    /// Nothing: it was asked to end when it was to be listed.
    Asked,
    /// It has left.
    Left,
}

/// What a child that is polled may do.
pub(super) enum Leave {
    Run,
    Wait,
    /// End without having begun.
    End,
}

/// How a group came out.
pub(super) struct Outcome {
    pub(super) failures: Vec<Failure>,
    pub(super) panic: Option<Box<dyn Any + Send>>,
    /// What its children did is not what they were to do: a cancel from outside has cut one.
    pub(super) is_cut_from_outside: bool,
}

impl Core {
    pub(super) fn new(
        scope: Arc<Scope>,
        parent: Option<Arc<Core>>,
        supervisor: Option<Supervisor>,
        location: &'static Location<'static>,
    ) -> Arc<Self> {
        let is_supervised = supervisor.is_some();
        let members = Members {
            listed: Places::new(),
            room: Room::new(),
            failures: Vec::new(),
            panic: None,
            supervisor,
            adopter: None,
            adopted: 0,
        };
        Arc::new(Self {
            state: AtomicUsize::new(0),
            members: Mutex::new(members),
            scope,
            parent,
            is_supervised,
            spawner: Spawner::here(),
            location,
        })
    }

    /// Takes in a child that is about to be spawned. `None` if nothing begins here any more.
    pub(super) fn enter(&self) -> Option<Place> {
        let before = match self.count_one_more(|state| state & (ENDING | OVER) == 0) {
            Ok(before) => before,
            // What was to be done will not be: that counts as if it had begun and been cut. What is over was not
            // to do it.
            Err(refused) => {
                if refused & OVER == 0 {
                    // Relaxed: whoever spawns is in the group, and its end comes after, and carries it.
                    self.state.fetch_or(CUT, Ordering::Relaxed);
                }
                return None;
            }
        };
        if before & LIMITED == 0 {
            return Some(Place::New);
        }
        let number = {
            let mut members = self.members.lock();
            let running = self.running(&members);
            members.room.enter(running)
        };
        // Another one may have been counted as running just now, that waits as well.
        self.admit();
        Some(number.map_or(Place::New, Place::Waiting))
    }

    /// Counts a child, if the state is such that it may. Gives the state before, or the one that forbids it.
    fn count_one_more(&self, may: impl Fn(usize) -> bool) -> Result<usize, usize> {
        // Relaxed: the exchange below decides.
        let mut state = self.state.load(Ordering::Relaxed);
        while may(state) {
            // Relaxed: a count that goes up tells nobody anything; the child's end, which does, is a later
            // step of this word.
            match self.state.compare_exchange_weak(
                state,
                state + ONE,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(before) => return Ok(before),
                Err(now) => state = now,
            }
        }
        Err(state)
    }

    /// A child that waits for room is polled: whether it may begin.
    pub(super) fn begin(&self, number: u64, waker: &Waker) -> Leave {
        let mut members = self.members.lock();
        if self.is_ending() {
            return Leave::End;
        }
        // The waker is the child's task's own.
        if members.room.has_to_wait(number, waker) { Leave::Wait } else { Leave::Run }
    }

    /// A child is to be asked to end with the group from here on. In its task, once.
    pub(super) fn list(&self) -> Place {
        let own = AbortHandle::of_current().expect("a child is a task");
        {
            let mut members = self.members.lock();
            if !self.is_ending() {
                return Place::Listed(members.listed.put(own));
            }
        }
        // Whoever ended the group did not find it in the list.
        self.tell(|| own.cancel());
        Place::Asked
    }

    /// A child is over: its future is dropped.
    pub(super) fn leave(&self, place: Place) {
        match place {
            Place::Listed(place) => {
                let mut members = self.members.lock();
                // The list went with the end.
                let handle = (!self.is_ending()).then(|| members.listed.take(place));
                drop(members);
                drop(handle);
            }
            Place::Waiting(number) => {
                let waker = self.members.lock().room.leave(number);
                drop(waker);
            }
            Place::New | Place::Asked => {}
            Place::Left => return,
        }
        self.count_one_less();
    }

    fn count_one_less(&self) {
        let mut next = self.step_out();
        // One after the other: how many groups in groups were dropped is not for us to say.
        while let Some(adopter) = next {
            adopter.members.lock().adopted -= 1;
            next = adopter.step_out();
        }
    }

    /// Counts one less. If that was the last of a group whose future is gone: who counts that group as one.
    fn step_out(&self) -> Option<Arc<Core>> {
        // Release: all that the child did comes before; pairs with the Acquire in `is_joined`. Acquire: pairs
        // with the Release of ORPHANED, with which comes the adopter.
        let before = self.state.fetch_sub(ONE, Ordering::AcqRel);
        if before & LIMITED != 0 {
            self.admit();
        }
        if before / ONE != 1 {
            return None;
        }
        if before & ORPHANED != 0 {
            let (adopter, supervisor) = {
                let mut members = self.members.lock();
                (members.adopter.take(), members.supervisor.take())
            };
            self.discard(supervisor);
            return adopter;
        }
        if before & JOINING != 0 {
            self.tell(|| self.scope.wake());
        }
        None
    }

    /// Lets in those who wait for room, as many as there is room for.
    fn admit(&self) {
        loop {
            let mut members = self.members.lock();
            let running = self.running(&members);
            let Some(waker) = members.room.admit(running) else { return };
            drop(members);
            if let Some(waker) = waker {
                self.tell(|| waker.wake());
            }
        }
    }

    /// How many children run or may.
    fn running(&self, members: &Members) -> usize {
        // Relaxed: who leaves takes one away and then the lock, so of two the later in the lock's order sees
        // the earlier's step.
        let all = self.state.load(Ordering::Relaxed) / ONE;
        all.saturating_sub(members.room.waiting() + members.adopted)
    }

    /// Has at most so many children run at a time from now on.
    pub(super) fn limit(&self, limit: usize) {
        {
            let mut members = self.members.lock();
            members.room.set_limit(limit);
            // Relaxed: who sees it looks at the room, under the lock.
            self.state.fetch_or(LIMITED, Ordering::Relaxed);
        }
        self.admit();
    }

    /// Whether everything in it was asked to end.
    pub(super) fn is_ending(&self) -> bool {
        // Acquire: pairs with the Release in `end`.
        self.state.load(Ordering::Acquire) & ENDING != 0
    }

    /// How many children there are.
    pub(super) fn len(&self) -> usize {
        // Relaxed: out of date when it is read.
        self.state.load(Ordering::Relaxed) / ONE
    }

    /// Asks everything in it to end, body and children. Once.
    pub(super) fn end(&self, from_outside: bool) {
        let bits = if from_outside { ENDING | FROM_OUTSIDE } else { ENDING };
        let (listed, waiting) = {
            let mut members = self.members.lock();
            // Release: pairs with `is_ending`. Under the lock: who begins after this sees it, who began before
            // is in the list.
            if !self.set_unless(ENDING | OVER, bits) {
                return;
            }
            (mem::replace(&mut members.listed, Places::new()), members.room.clear())
        };
        // Under no lock (D8).
        self.tell(|| self.scope.cancel());
        for child in listed.into_all() {
            self.tell(|| child.cancel());
        }
        for waker in waiting {
            self.tell(|| waker.wake());
        }
    }

    /// Sets `bits` unless one of `these` is set.
    fn set_unless(&self, these: usize, bits: usize) -> bool {
        let update = |state: usize| (state & these == 0).then_some(state | bits);
        // Release: as its caller says.
        self.state.fetch_update(Ordering::Release, Ordering::Relaxed, update).is_ok()
    }

    /// A cancel that came to the group's scope by itself ends the group.
    pub(super) fn notice(&self) -> bool {
        let is_cancelled = self.scope.is_cancelled();
        if is_cancelled && !self.is_ending() {
            self.end(true);
        }
        is_cancelled
    }

    /// A child was dropped where it waited. In its task.
    pub(super) fn was_cut(&self) {
        if task::is_shut_down() {
            // Nobody in the group did that, and those who wait for this child are not to wait for ever.
            self.end(false);
        }
        if self.is_ending() {
            // Relaxed: the child's end comes after, and carries it.
            self.state.fetch_or(CUT, Ordering::Relaxed);
        }
    }

    /// Something in it failed: that ends it, or is its supervisor's.
    pub(super) fn fail(&self, failure: Failure) {
        if self.is_supervised
            && let Some(task) = failure.task().cloned()
        {
            let supervisor = self.members.lock().supervisor.clone();
            let Some(supervisor) = supervisor else { return self.report(failure) };
            let told = || {
                supervisor(failure);
                drop(supervisor);
            };
            if let Err(payload) = caught(told) {
                self.spawner.report(&Report::task_panicked(&task, payload));
            }
            return;
        }
        let left = {
            let mut members = self.members.lock();
            // Relaxed: ORPHANED is set under the lock; and after OVER the future takes the lock for what is there.
            if self.state.load(Ordering::Relaxed) & (ORPHANED | OVER) == 0 {
                members.failures.push(failure);
                None
            } else {
                Some(failure)
            }
        };
        match left {
            None => self.end(false),
            Some(failure) => self.report(failure),
        }
    }

    /// Something in it panicked, the child `task` or the body.
    pub(super) fn panicked(&self, task: Option<Meta>, payload: Box<dyn Any + Send>) {
        if self.is_supervised
            && let Some(task) = task
        {
            return self.fail(Failure::of(Some(task), Panicked::new(payload)));
        }
        let left = {
            let mut members = self.members.lock();
            // Relaxed: set under the lock.
            let is_orphaned = self.state.load(Ordering::Relaxed) & ORPHANED != 0;
            if is_orphaned || members.panic.is_some() {
                Some(payload)
            } else {
                members.panic = Some(payload);
                None
            }
        };
        if let Some(payload) = left {
            self.report_panic(task, payload);
        }
        self.end(false);
    }

    /// Tells the error hook what nobody else will hear of.
    pub(super) fn report(&self, failure: Failure) {
        let task = failure.task().cloned().unwrap_or_else(|| self.this_task());
        let text = caught(|| failure.error().to_string()).unwrap_or_else(|payload| {
            drop_caught(payload);
            "(an error that panics when it is displayed)".to_owned()
        });
        self.spawner.report(&Report::task_failed(&task, text));
        self.discard(failure);
    }

    /// Drops what is anybody's. A panic of that is reported: there are others to tell of.
    pub(super) fn discard<T>(&self, value: T) {
        if let Err(payload) = caught(|| drop(value)) {
            self.report_panic(None, payload);
        }
    }

    fn report_panic(&self, task: Option<Meta>, payload: Box<dyn Any + Send>) {
        let task = task.unwrap_or_else(|| self.this_task());
        self.spawner.report(&Report::task_panicked(&task, payload));
    }

    /// Whom the body's errors are reported as.
    fn this_task(&self) -> Meta {
        let own = filch_sched::task::meta();
        own.unwrap_or_else(|| Meta { location: self.location, ..Meta::here() })
    }

    /// Wakes somebody. Whose panic that is, nobody here can say.
    fn tell(&self, wake: impl FnOnce()) {
        if let Err(payload) = caught(wake) {
            self.report_panic(None, payload);
        }
    }

    /// Whether all children are over; then so is the group. For its future, which has registered before.
    pub(super) fn is_joined(&self) -> bool {
        // Acquire: pairs with the Release of the last child's end. A read-modify-write: that end, if it is
        // not before this, sees the bit and wakes.
        let mut state = self.state.fetch_or(JOINING, Ordering::AcqRel) | JOINING;
        loop {
            if state / ONE != 0 {
                return false;
            }
            // Acquire: as above.
            match self.state.compare_exchange_weak(
                state,
                state | OVER,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
    }

    /// How it came out. For its future, when it is over.
    pub(super) fn outcome(&self) -> Outcome {
        let (outcome, supervisor) = {
            let mut members = self.members.lock();
            // Relaxed: the end of whoever set these was acquired (`is_joined`).
            let state = self.state.load(Ordering::Relaxed);
            let outcome = Outcome {
                failures: mem::take(&mut members.failures),
                panic: members.panic.take(),
                is_cut_from_outside: state & FROM_OUTSIDE != 0 && state & CUT != 0,
            };
            (outcome, members.supervisor.take())
        };
        self.discard(supervisor);
        outcome
    }

    /// Its future is dropped: what is in it is asked to end, and the group around it, if there is one, waits
    /// for that.
    pub(super) fn orphan(&self) {
        self.end(false);
        let adopter = self.find_adopter();
        let (failures, panic, last) = {
            let mut members = self.members.lock();
            members.adopter = adopter;
            // Release: the adopter comes with it. Acquire: pairs with the last child's end.
            let before = self.state.fetch_or(ORPHANED, Ordering::AcqRel);
            // If no child is left to see the bit, nobody is adopted.
            let is_last = before / ONE == 0;
            let last = is_last.then(|| (members.adopter.take(), members.supervisor.take()));
            (mem::take(&mut members.failures), members.panic.take(), last)
        };
        for failure in failures {
            self.report(failure);
        }
        if let Some(payload) = panic {
            self.report_panic(None, payload);
        }
        if let Some((adopter, supervisor)) = last {
            self.discard(supervisor);
            if let Some(adopter) = adopter {
                adopter.release();
            }
        }
    }

    /// The nearest group around that is not over, and now counts one more.
    fn find_adopter(&self) -> Option<Arc<Core>> {
        let mut next = &self.parent;
        while let Some(core) = next {
            let is_there =
                |state: usize| state & OVER == 0 && (state & ORPHANED == 0 || state / ONE != 0);
            if core.count_one_more(is_there).is_ok() {
                core.members.lock().adopted += 1;
                // One that left just now may have taken this for a child that runs, and let nobody in.
                core.admit();
                return Some(core.clone());
            }
            next = &core.parent;
        }
        None
    }

    /// An adopted group is over.
    fn release(&self) {
        self.members.lock().adopted -= 1;
        self.count_one_less();
    }
}

impl Drop for Core {
    /// Those around it that are left to nobody else, one after the other: not by recursion, for how deep it goes is
    /// not for us to say.
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(core) = next {
            next = Arc::try_unwrap(core).ok().and_then(|mut core| core.parent.take());
        }
    }
}
