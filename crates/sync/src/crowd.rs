//! A state under a lock, and a crowd that waits for it to change.

use filch_atomic::current;
use filch_atomic::sync::{Mutex, MutexGuard};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::wait_list::{Attempt, Site, WaitList, Waiter, wake_batches};

/// For what is not handed to one waiter but seen by all: each change wakes everybody, and everybody looks for
/// themselves. What one of them waits for has to stay, once it is there, until that one has seen it; so
/// nobody's wake-up is ever owed to somebody else.
pub(crate) struct Crowd<S> {
    inner: Mutex<Inner<S>>,
}

struct Inner<S> {
    state: S,
    waiting: WaitList<()>,
}

impl<S> Inner<S> {
    fn waiting(&mut self) -> &mut WaitList<()> {
        &mut self.waiting
    }
}

impl<S> Crowd<S> {
    /// A state that nobody waits for.
    pub(crate) fn new(state: S) -> Self {
        Self { inner: Mutex::new(Inner { state, waiting: WaitList::new() }) }
    }

    /// The state, with the lock held. To change what others wait for takes [`wake_all`](Held::wake_all).
    pub(crate) fn lock(&self) -> Held<'_, S> {
        Held { crowd: self, inner: self.inner.lock() }
    }

    /// Waits until `look` finds something, and gives that. It is asked under the lock, so it must run nothing
    /// of the user's (D8), and only when the task may make progress (S6), so it may take what it finds.
    pub(crate) fn until<R, L>(&self, site: Site, look: L) -> Until<'_, S, L>
    where
        L: FnMut(&mut S) -> Option<R>,
    {
        Until { crowd: self, waiter: Waiter::new(), site, look }
    }
}

impl<S> fmt::Debug for Crowd<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crowd").finish_non_exhaustive()
    }
}

/// The state of a [`Crowd`], with the lock held.
pub(crate) struct Held<'a, S> {
    crowd: &'a Crowd<S>,
    inner: MutexGuard<'a, Inner<S>>,
}

impl<S> Held<'_, S> {
    /// Releases the lock, and wakes everybody who waited until now.
    pub(crate) fn wake_all(mut self) {
        if self.inner.waiting.is_empty() {
            return;
        }
        self.inner.waiting.release_all();
        wake_batches(&self.crowd.inner, self.inner, |inner, batch| {
            inner.waiting.release_leaving(batch, |()| {});
        });
    }
}

impl<S> Deref for Held<'_, S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.inner.state
    }
}

impl<S> DerefMut for Held<'_, S> {
    fn deref_mut(&mut self) -> &mut S {
        &mut self.inner.state
    }
}

pin_project! {
    /// The future of [`Crowd::until`].
    pub(crate) struct Until<'a, S, L> {
        crowd: &'a Crowd<S>,
        #[pin]
        waiter: Waiter<()>,
        site: Site,
        look: L,
    }

    impl<S, L> PinnedDrop for Until<'_, S, L> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !this.waiter.is_idle() {
                let left = this.crowd.inner.lock().waiting.remove(this.waiter);
                // The waker, with the lock released (D8).
                drop(left);
            }
        }
    }
}

impl<S, R, L: FnMut(&mut S) -> Option<R>> Future for Until<'_, S, L> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        let mut this = self.project();
        let (crowd, site, look) = (*this.crowd, &*this.site, this.look);
        loop {
            // What is found must not be held back for want of budget, for it may have been taken. There is
            // no place in line to lose: all are woken.
            if this.waiter.is_idle() && !current::has_budget() {
                ready!(current::poll_proceed(cx));
            }
            let mut found = None;
            let attempt = |inner: &mut Inner<S>| {
                found = look(&mut inner.state);
                if found.is_some() { Attempt::Granted(()) } else { Attempt::Wait(()) }
            };
            let waiter = this.waiter.as_mut();
            ready!(waiter.poll_in(cx, &crowd.inner, Inner::waiting, attempt, || site.note(crowd)));
            if let Some(found) = found.or_else(|| look(&mut crowd.lock())) {
                return Poll::Ready(found);
            }
        }
    }
}
