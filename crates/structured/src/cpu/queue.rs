//! The jobs that nobody has begun, each in its scope.

use super::jobs::{Begun, Work};
use filch_atomic::sync::atomic::{AtomicUsize, Ordering};
use std::collections::VecDeque;
use std::mem;

/// A tree like that of the scopes: of those that have jobs here, in themselves or in scopes made in them. So all that
/// is done here takes as long whether a hundred jobs are queued or a million. Adding and taking one goes up through
/// scopes that have no other job, and looking for one goes down through them.
pub(super) struct Queue {
    places: Vec<Place>,
    /// The outermost scopes.
    outermost: Scopes,
    /// The first of the places that are no scope's just now; each knows the `next`.
    free: usize,
}

/// A scope's place.
struct Place {
    /// The oldest. Apart, as most scopes have one at a time.
    first: Option<Begun>,
    /// All others, the oldest first.
    others: VecDeque<Begun>,
    /// The scopes in this one.
    within: Scopes,
    /// Its neighbours, in the scope around it.
    previous: usize,
    next: usize,
}

/// The first and the last of a list of scopes.
#[derive(Clone, Copy)]
struct Scopes {
    first: usize,
    last: usize,
}

/// No place.
const NONE: usize = usize::MAX;

const NO_SCOPES: Scopes = Scopes { first: NONE, last: NONE };

/// Which place a scope has, if it has one. Looked at and changed under the lock of the queue.
pub(super) struct InQueue(AtomicUsize);

impl InQueue {
    pub(super) fn new() -> Self {
        Self(AtomicUsize::new(NONE))
    }

    fn get(&self) -> usize {
        // Relaxed: the lock orders it.
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, place: usize) {
        // Relaxed: as above.
        self.0.store(place, Ordering::Relaxed);
    }
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { places: Vec::new(), outermost: NO_SCOPES, free: NONE }
    }

    /// Adds a job.
    pub(super) fn push(&mut self, job: Begun) {
        let mut place = job.work.in_queue.get();
        if place == NONE {
            place = self.enter(&job.work);
        }
        self.places[place].push(job);
    }

    /// The oldest of an outermost scope that has one, or else one within.
    pub(super) fn oldest(&mut self) -> Option<Begun> {
        self.take(self.outermost.first, Place::oldest, |within| within.first)
    }

    /// The youngest of this scope, or else one within.
    pub(super) fn youngest_of(&mut self, work: &Work) -> Option<Begun> {
        self.take(work.in_queue.get(), Place::youngest, |within| within.last)
    }

    #[inline]
    fn take(
        &mut self,
        mut at: usize,
        job: impl Fn(&mut Place) -> Option<Begun>,
        next: impl Fn(Scopes) -> usize,
    ) -> Option<Begun> {
        while at != NONE {
            let place = &mut self.places[at];
            if let Some(job) = job(place) {
                if place.is_empty() {
                    self.leave(&job.work);
                }
                return Some(job);
            }
            at = next(place.within);
        }
        None
    }

    /// Gives the scope a place, and those around it that have none.
    fn enter(&mut self, work: &Work) -> usize {
        let entered = self.free_place();
        let (mut work, mut place) = (work, entered);
        loop {
            work.in_queue.set(place);
            let Some(outer) = work.outer.as_deref() else {
                self.link(place, NONE);
                return entered;
            };
            let around = outer.in_queue.get();
            if around != NONE {
                self.link(place, around);
                return entered;
            }
            let around = self.free_place();
            self.link(place, around);
            (work, place) = (outer, around);
        }
    }

    fn free_place(&mut self) -> usize {
        let place = self.free;
        if place != NONE {
            self.free = self.places[place].next;
            return place;
        }
        let (first, others, within) = (None, VecDeque::new(), NO_SCOPES);
        self.places.push(Place { first, others, within, previous: NONE, next: NONE });
        self.places.len() - 1
    }

    /// Takes away the place of a scope that has no job any more, and of those around it that have none either.
    fn leave(&mut self, work: &Work) {
        let mut next = Some(work);
        while let Some(work) = next {
            let place = work.in_queue.get();
            if !self.places[place].is_empty() {
                return;
            }
            next = work.outer.as_deref();
            self.unlink(place, next.map_or(NONE, |outer| outer.in_queue.get()));
            work.in_queue.set(NONE);
            self.places[place].next = mem::replace(&mut self.free, place);
        }
    }

    /// The scopes in the one in this place.
    fn within(&mut self, place: usize) -> &mut Scopes {
        if place == NONE { &mut self.outermost } else { &mut self.places[place].within }
    }

    /// Puts the scope at the end of those in `around`.
    fn link(&mut self, place: usize, around: usize) {
        let last = mem::replace(&mut self.within(around).last, place);
        (self.places[place].previous, self.places[place].next) = (last, NONE);
        if last == NONE {
            self.within(around).first = place;
        } else {
            self.places[last].next = place;
        }
    }

    fn unlink(&mut self, place: usize, around: usize) {
        let Place { previous, next, .. } = self.places[place];
        if previous == NONE {
            self.within(around).first = next;
        } else {
            self.places[previous].next = next;
        }
        if next == NONE {
            self.within(around).last = previous;
        } else {
            self.places[next].previous = previous;
        }
    }
}

impl Place {
    fn push(&mut self, job: Begun) {
        if self.first.is_none() {
            self.first = Some(job);
        } else {
            self.others.push_back(job);
        }
    }

    fn oldest(&mut self) -> Option<Begun> {
        let second = self.others.pop_front();
        mem::replace(&mut self.first, second)
    }

    fn youngest(&mut self) -> Option<Begun> {
        self.others.pop_back().or_else(|| self.first.take())
    }

    /// Neither it nor a scope in it has a job.
    fn is_empty(&self) -> bool {
        self.first.is_none() && self.within.first == NONE
    }
}
