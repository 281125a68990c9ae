//! Who has been granted what, as the rules say it should be.

use super::{Reach, Rules};

/// The line as it should be, oldest first, and the grants that nobody has.
#[derive(Debug)]
pub(super) struct Model {
    rules: Rules,
    line: Vec<Place>,
    /// Kept for those who come. Only while everybody in the line has a grant, unless the rules are loose:
    /// then all grants that were not picked up.
    free: u32,
    /// Everybody who comes is granted at once, for ever.
    open: bool,
}

#[derive(Debug)]
struct Place {
    waiter: usize,
    granted: bool,
}

/// What a poll has to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Ready,
    Pending,
    Either,
}

impl Model {
    pub(super) fn new(rules: Rules) -> Self {
        Self { rules, line: Vec::new(), free: rules.at_first, open: false }
    }

    /// A grant is made, or comes back.
    pub(super) fn grant(&mut self) {
        match self.rules.reach {
            Reach::Everyone => {
                self.line.iter_mut().for_each(|place| place.granted = true);
                self.open |= self.rules.kept;
            }
            Reach::First => {
                let next = self.line.iter_mut().find(|place| !place.granted);
                match next {
                    Some(place) if self.rules.strict => place.granted = true,
                    _ => self.free += u32::from(self.rules.kept),
                }
            }
        }
    }

    /// Whether a waiter would come to the line if it were polled now, and be granted what it came for.
    pub(super) fn comes_and_gets(&self, waiter: usize) -> bool {
        let comes = !self.line.iter().any(|place| place.waiter == waiter);
        comes && self.gets_at_once()
    }

    fn gets_at_once(&self) -> bool {
        self.open || self.rules.strict && self.free > 0
    }

    /// A waiter is about to be polled; the first time, it comes to the line.
    pub(super) fn poll(&mut self, waiter: usize) -> Expected {
        if !self.line.iter().any(|place| place.waiter == waiter) {
            let granted = self.gets_at_once();
            self.free -= u32::from(granted && self.free > 0);
            self.line.push(Place { waiter, granted });
        }
        match (self.is_granted(waiter), self.rules.strict) {
            (true, _) => Expected::Ready,
            (false, false) if self.free > 0 => Expected::Either,
            (false, _) => Expected::Pending,
        }
    }

    /// A waiter has picked up its grant.
    pub(super) fn took(&mut self, waiter: usize) {
        self.line.retain(|place| place.waiter != waiter);
        if !self.rules.strict {
            self.free -= 1;
        }
    }

    /// A waiter is gone without its grant, or without one.
    pub(super) fn left(&mut self, waiter: usize) {
        let granted = self.is_granted(waiter);
        self.line.retain(|place| place.waiter != waiter);
        if granted && self.rules.reach == Reach::First {
            self.grant();
        }
    }

    /// Whether a waiter has a grant of its own, for which it has to have been woken.
    pub(super) fn is_granted(&self, waiter: usize) -> bool {
        self.line.iter().any(|place| place.waiter == waiter && place.granted)
    }

    /// Grants that are nobody's.
    pub(super) fn free(&self) -> u32 {
        self.free
    }

    /// How many of those who wait have to have been woken for the grants that are nobody's.
    pub(super) fn owed(&self) -> usize {
        self.line.len().min(self.free as usize)
    }
}
