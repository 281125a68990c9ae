//! Runs a primitive through every small program of polls, drops and grants, and checks I1 to I6 after
//! each step.
//!
//! The rules are those of `docs/semantics.md`. A primitive takes part as a [`Subject`]: how one makes it
//! with nothing to be had, how one waits, what one grant is, and how one knows that it is at rest. From
//! that the harness knows, by a model of a few lines, who has to be woken after which step, what each
//! poll has to return, and what has to be left at the end.
//!
//! [`check`] runs all of it:
//!
//! * every program of a few steps over up to four waiters, in which a step polls a waiter (woken or not),
//!   drops it (at any of its polls: not polled, waiting, granted), makes a grant, or gives one back;
//! * the same over fewer waiters, with polls that bring another waker, and polls by a task that has used
//!   up its turn;
//! * the same with each poll and each drop made by another thread;
//! * the same with waiters that are leaked: nobody's memory may be at risk, and the others' turns are
//!   what they would be beside a waiter that nobody polls.
//!
//! Nothing is drawn by lot: what fails, fails again, and the program that failed is printed.
//!
//! ```
//! use filch_testkit::invariants::{self, Reach, Rules, Subject, Wait};
//! use std::pin::Pin;
//! use std::sync::Mutex;
//! use std::task::{Context, Poll, Waker};
//!
//! /// A bell: a ring releases all who listen, and those who come later do not hear it.
//! #[derive(Default)]
//! struct Bell(Mutex<Vec<(u32, Option<Waker>)>>);
//!
//! /// One who listens, by a number that nobody else has.
//! struct Listen<'a>(&'a Bell, Option<u32>);
//!
//! impl Future for Listen<'_> {
//!     type Output = ();
//!
//!     fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
//!         let mut ears = self.0.0.lock().unwrap();
//!         match self.1 {
//!             None => {
//!                 let number = ears.last().map_or(0, |last| last.0 + 1);
//!                 ears.push((number, Some(cx.waker().clone())));
//!                 drop(ears);
//!                 self.1 = Some(number);
//!             }
//!             Some(number) => {
//!                 let ear = ears.iter_mut().find(|ear| ear.0 == number).unwrap();
//!                 if ear.1.is_none() {
//!                     return filch_atomic::current::poll_proceed(cx);
//!                 }
//!                 ear.1 = Some(cx.waker().clone());
//!             }
//!         }
//!         Poll::Pending
//!     }
//! }
//!
//! impl Drop for Listen<'_> {
//!     fn drop(&mut self) {
//!         self.0.0.lock().unwrap().retain(|ear| Some(ear.0) != self.1);
//!     }
//! }
//!
//! impl Subject for Bell {
//!     type Got<'a> = ();
//!     const RULES: Rules = Rules::new(Reach::Everyone);
//!
//!     fn new() -> Self {
//!         Self::default()
//!     }
//!
//!     fn wait(&self) -> Wait<'_, ()> {
//!         Box::pin(Listen(self, None))
//!     }
//!
//!     fn grant(&self) {
//!         let mut ears = self.0.lock().unwrap();
//!         let rung: Vec<_> = ears.iter_mut().filter_map(|ear| ear.1.take()).collect();
//!         drop(ears);
//!         rung.into_iter().for_each(Waker::wake);
//!     }
//!
//!     fn at_rest(&self, _unclaimed: u32) {
//!         assert!(self.0.lock().unwrap().is_empty());
//!     }
//! }
//!
//! let summary = invariants::check::<Bell>();
//! assert!(summary.programs > 10_000 && summary.finished > 1_000 && summary.dropped > 1_000);
//! ```

mod case;
mod model;
mod programs;

pub use programs::{Summary, check};

use std::future::Future;
use std::pin::Pin;

/// A wait at a [`Subject`].
pub type Wait<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A primitive, or one way to wait at it, that the harness can run.
///
/// Where one cannot wait at a primitive itself (a condition needs a lock, a barrier the other parties),
/// the subject is made of what is needed, and its wait may be an `async` block, as long as that waits in
/// one place.
pub trait Subject: Sync {
    /// What a wait that is over has in its hands: a guard, a permit, nothing. Dropped to give it back.
    type Got<'a>: Send
    where
        Self: 'a;

    /// How it behaves.
    const RULES: Rules;

    /// One of which nothing can be had (there are no permits, no items, no news), unless the rules say that
    /// something is there at first.
    fn new() -> Self;

    /// A wait that has not been polled.
    fn wait(&self) -> Wait<'_, Self::Got<'_>>;

    /// One grant: a release, an item, a notification.
    fn grant(&self);

    /// Panics unless nobody waits, nobody has anything, and `unclaimed` grants are there for those who
    /// come now. Called at the end of each program, when all waiters and all they got are gone; not when
    /// one was leaked. `unclaimed` is 0 where grants are not kept.
    fn at_rest(&self, unclaimed: u32);
}

/// Whom a grant reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The first waiter that has none yet.
    First,
    /// Everybody who waits.
    Everyone,
}

/// How a [`Subject`] behaves. Made by [`Rules::new`] and changed by the methods that follow it.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    reach: Reach,
    kept: bool,
    returned: bool,
    grants: u32,
    at_first: u32,
    strict: bool,
    tires: bool,
    gives_way: bool,
}

impl Rules {
    /// A grant reaches whom `reach` says; with nobody there it is lost; so is one that was picked up. Any
    /// number of grants.
    pub const fn new(reach: Reach) -> Self {
        Self {
            reach,
            kept: false,
            returned: false,
            grants: u32::MAX,
            at_first: 0,
            strict: true,
            tires: true,
            gives_way: false,
        }
    }

    /// A grant that finds nobody is kept: for the next who comes, or, if it reaches everyone, for all
    /// who will ever come.
    #[must_use]
    pub const fn kept(mut self) -> Self {
        self.kept = true;
        self
    }

    /// What a wait gave is a grant again when it is dropped, as a guard is.
    #[must_use]
    pub const fn returned(mut self) -> Self {
        self.returned = true;
        self
    }

    /// A new one has so many grants for those who come, in place of none.
    #[must_use]
    pub const fn at_first(mut self, grants: u32) -> Self {
        assert!(self.kept, "what is there at first is kept until somebody comes");
        self.at_first = grants;
        self
    }

    /// There are no more than `most` grants to be made.
    #[must_use]
    pub const fn grants(mut self, most: u32) -> Self {
        self.grants = most;
        self
    }

    /// A grant is for whoever comes first to pick it up: waiters are woken in order, and somebody who is
    /// polled before the one who was woken may have it instead. What is left of the order is checked:
    /// that as many are woken as can be served, and that nobody is left when all have been polled.
    #[must_use]
    pub const fn loose(mut self) -> Self {
        assert!(self.kept && matches!(self.reach, Reach::First), "loose is who gets what is kept");
        self.strict = false;
        self
    }

    /// What a task finds free that has used up its turn it leaves to others, the first time it is polled, and
    /// comes as if for the first time with its next poll (I6).
    #[must_use]
    pub const fn gives_way(mut self) -> Self {
        assert!(self.kept && self.strict, "what is free is kept, and nobody else's");
        self.gives_way = true;
        self
    }

    /// A wait has to make progress in two places, as one at a condition, which needs the lock too. Then
    /// what a task does that has used up its turn depends on the place, and is left out.
    #[must_use]
    pub const fn in_two_places(mut self) -> Self {
        self.tires = false;
        self
    }
}
