//! The children of a scope, as the task has them that polls them.

use super::woken::{Member, Next, Woken};
use filch_atomic::current::has_budget;
use filch_atomic::scope::{Inside, Kind, Scope, enter};
use filch_atomic::sync::{Arc as ScopeArc, Mutex};
use filch_sched::scope::around;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::{fmt, mem};

/// A child of a [`local_scope`](super::local_scope()): what it yields, it has given to its handle.
pub(super) type Child<'env> = Pin<Box<dyn Future<Output = ()> + Send + 'env>>;

/// So many polls for each member that was there, and so many besides, before the others of the worker have a turn:
/// members that wake one another, or begin more and more, would else keep it for themselves (S6). To see who has come
/// counts as a poll.
const POLLS_EACH: usize = 4;
const POLLS_BESIDES: usize = 32;

/// What the handles of a scope and the task have in common.
pub(super) struct Shared<C> {
    /// What a cancel of the children reaches.
    pub(super) scope: ScopeArc<Scope>,
    pub(super) woken: Arc<Woken>,
    /// Children that the task has not seen yet. `None` when the scope is over.
    new: Mutex<Option<Vec<C>>>,
}

impl<C> Shared<C> {
    /// Has the child polled. Gives it back if the scope is over.
    pub(super) fn add(&self, child: C) -> Result<(), C> {
        match &mut *self.new.lock() {
            Some(new) => new.push(child),
            None => return Err(child),
        }
        self.woken.tell_of_new();
        Ok(())
    }
}

/// The children, and which of them, and of the body, to poll.
pub(super) struct Children<C> {
    shared: Arc<Shared<C>>,
    body: Arc<Member>,
    places: Vec<Option<Held<C>>>,
    free: Vec<usize>,
    /// How many there have been.
    born: u64,
    /// Left last.
    _inside: Inside,
}

struct Held<C> {
    child: C,
    member: Arc<Member>,
    born: u64,
}

impl<C: Future<Output = ()> + Unpin> Children<C> {
    /// None yet. The scope is in the one that this is called in.
    pub(super) fn new() -> Self {
        let inside = Inside::new(Kind::Members, around(), None);
        let woken = Woken::new();
        let body = woken.member(None);
        let new = Mutex::new(Some(Vec::new()));
        let shared = Arc::new(Shared { scope: inside.scope().clone(), woken, new });
        Self { shared, body, places: Vec::new(), free: Vec::new(), born: 0, _inside: inside }
    }

    pub(super) fn shared(&self) -> &Arc<Shared<C>> {
        &self.shared
    }

    /// Polls those that were woken; the body by `poll_body`, which says whether it is over and is not called
    /// again then. Ready when all are over.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        is_body_over: &mut bool,
        mut poll_body: impl FnMut(&mut Context<'_>) -> bool,
    ) -> Poll<()> {
        self.shared.woken.begin(cx.waker());
        // Those that come meanwhile have theirs in the next one: else it would not end while more and more do.
        let most = POLLS_EACH * (self.len() + 1) + POLLS_BESIDES;
        for _ in 0..most {
            match self.shared.woken.next() {
                Next::New => self.take_in(),
                Next::Nothing { has_yielded } => {
                    // One that yields by itself has had its turn; one that was out of budget has not.
                    self.shared.scope.has_more(has_yielded && !has_budget());
                    let is_over = *is_body_over && self.len() == 0;
                    return if is_over { Poll::Ready(()) } else { Poll::Pending };
                }
                Next::Poll(member) => match member.place {
                    Some(place) => self.poll_child(place, &member),
                    None if *is_body_over => {}
                    None => {
                        let waker = Waker::from(member);
                        *is_body_over = poll_body(&mut Context::from_waker(&waker));
                        if *is_body_over {
                            self.body.is_over();
                        }
                    }
                },
            }
        }
        self.shared.scope.has_more(true);
        self.shared.woken.pause(cx.waker());
        Poll::Pending
    }

    fn poll_child(&mut self, place: usize, member: &Arc<Member>) {
        // It may be over, and another one be in its place.
        let Some(held) =
            self.places[place].as_mut().filter(|held| Arc::ptr_eq(&held.member, member))
        else {
            return;
        };
        let waker = Waker::from(member.clone());
        let child = &mut held.child;
        let scope = &self.shared.scope;
        if enter(scope, || Pin::new(child).poll(&mut Context::from_waker(&waker))).is_ready() {
            member.is_over();
            let over = self.places[place].take();
            self.free.push(place);
            enter(scope, || drop(over));
        }
    }

    /// Finds a place for those that came.
    fn take_in(&mut self) {
        let new = self.shared.new.lock().as_mut().map(mem::take);
        for child in new.into_iter().flatten() {
            let place = self.free.pop().unwrap_or_else(|| {
                self.places.push(None);
                self.places.len() - 1
            });
            self.born += 1;
            let member = self.shared.woken.member(Some(place));
            self.places[place] = Some(Held { child, member, born: self.born });
        }
    }
}

impl<C> Children<C> {
    fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

impl<C> Drop for Children<C> {
    /// The youngest is dropped first. No more come.
    fn drop(&mut self) {
        self.shared.woken.close();
        // Their destructors, under no lock (D8), find that there is no more to be spawned.
        let new = self.shared.new.lock().take();
        let mut all: Vec<_> = self.places.drain(..).flatten().collect();
        all.sort_unstable_by_key(|held| held.born);
        let all = Reversed(
            all.into_iter().map(|held| held.child).chain(new.into_iter().flatten()).collect(),
        );
        enter(&self.shared.scope, || drop(all));
    }
}

/// Dropped from the end. If a destructor panics, the others run all the same.
struct Reversed<C>(Vec<C>);

impl<C> Drop for Reversed<C> {
    fn drop(&mut self) {
        while let Some(child) = self.0.pop() {
            drop(child);
        }
    }
}

impl<C> fmt::Debug for Children<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Children").field("alive", &self.len()).finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for Shared<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("scope", &self.scope).finish_non_exhaustive()
    }
}
