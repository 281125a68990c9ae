//! Waiting for what a lock guards to become something else.

use filch_atomic::current::WaitKind;
use filch_atomic::sync::{Mutex, MutexGuard};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use crate::blocking::block_on;
use crate::lock::{Acquire, Guard, Lock};
use crate::wait_list::{Left, Site, WaitList, Waiter, wake, wake_batches};

/// Lets tasks wait until another tells them that what a [`Lock`] guards has changed.
///
/// [`wait`](Self::wait) gives the lock up, waits for a notification, and takes the lock again; so it takes
/// the guard and returns it. [`notify`](Self::notify) and [`notify_all`](Self::notify_all) are shown the
/// guard. The rules are `COND-1` to `COND-8` of `docs/semantics.md`.
///
/// ```
/// use filch_sync::{Condition, Lock};
///
/// let (stock, arrived) = (Lock::new(0), Condition::new());
/// std::thread::scope(|scope| {
///     let customer = scope.spawn(|| {
///         let stock = stock.blocking_lock();
///         let mut stock = arrived.blocking_wait_while(stock, |stock| *stock < 3);
///         *stock -= 3;
///     });
///     for _ in 0..3 {
///         let mut stock = stock.blocking_lock();
///         *stock += 1;
///         arrived.notify(&stock, 1);
///     }
///     customer.join().unwrap();
/// });
/// assert_eq!(stock.into_inner(), 0);
/// ```
///
/// # Fairness
///
/// Those who have waited longest are notified first. They then stand in line for the lock like everybody
/// else.
///
/// # Cost
///
/// To wait: a short internal lock, giving the [`Lock`] up, and taking it again. To notify: a short internal
/// lock, and a wake for each who is notified. No allocation.
///
/// # Deadlocks
///
/// A notified wait that is neither polled nor dropped (in a `select!` arm that was left, say, or leaked)
/// keeps its notification from the others. One that was leaked before keeps a notification that comes, and
/// keeps the condition to its lock.
#[doc(alias = "asyncio.Condition")]
#[doc(alias = "Condvar")]
pub struct Condition {
    state: Mutex<State>,
}

struct State {
    line: WaitList<Notice>,
    /// The address of the lock of those in the line. Compared, never followed.
    lock: usize,
}

/// What a waiter carries, and keeps when it is notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notice {
    /// One that everybody got who was there: nobody is to have it instead. Or none yet.
    ToAll,
    /// One of so many: the next is to have it if this one does not go on.
    ToSome,
}

impl Condition {
    const_unless_modelled! {
        /// A condition that nobody waits for.
        pub fn new() -> Self {
            Self { state: Mutex::new(State { line: WaitList::new(), lock: 0 }) }
        }
    }

    /// Gives the lock up, waits to be notified, and takes the lock again. What it waited for may have
    /// changed back by then, and it may have been notified for nothing: look again, or use
    /// [`wait_while`](Self::wait_while).
    ///
    /// The lock is given up at the first poll, when the place in line is taken: nothing that is done under
    /// the lock after that is missed.
    ///
    /// # Panics
    ///
    /// The future panics when it is first polled if others wait with the guard of another lock.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it does not take the lock again. If it had been notified by [`notify`](Self::notify), the
    /// next in line is notified in its place: a notification is not lost.
    #[track_caller]
    pub fn wait<'c, 'l, T: ?Sized>(&'c self, guard: Guard<'l, T>) -> ConditionWait<'c, 'l, T> {
        self.wait_at(guard, Location::caller())
    }

    /// Waits as long as `condition` holds, looking at it with the lock held, now and after each
    /// notification. Neither suspends nor gives the lock up if it does not hold now.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_while<'l, T: ?Sized>(
        &self,
        mut guard: Guard<'l, T>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> impl Future<Output = Guard<'l, T>> {
        let location = Location::caller();
        async move {
            while condition(&mut guard) {
                guard = self.wait_at(guard, location).await;
            }
            guard
        }
    }

    /// Waits until `predicate` holds, looking at it with the lock held, now and after each notification.
    /// Neither suspends nor gives the lock up if it holds now.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_for<'l, T: ?Sized>(
        &self,
        guard: Guard<'l, T>,
        mut predicate: impl FnMut(&mut T) -> bool,
    ) -> impl Future<Output = Guard<'l, T>> {
        self.wait_while(guard, move |value| !predicate(value))
    }

    /// Waits as [`wait`](Self::wait) does, on a thread that runs no async code.
    ///
    /// # Panics
    ///
    /// In a task of filch, whose worker it would hold up; if others wait with the guard of another lock.
    #[track_caller]
    pub fn blocking_wait<'l, T: ?Sized>(&self, guard: Guard<'l, T>) -> Guard<'l, T> {
        block_on(self.wait(guard))
    }

    /// Waits as [`wait_while`](Self::wait_while) does, on a thread that runs no async code.
    ///
    /// # Panics
    ///
    /// As [`blocking_wait`](Self::blocking_wait).
    #[track_caller]
    pub fn blocking_wait_while<'l, T: ?Sized>(
        &self,
        guard: Guard<'l, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> Guard<'l, T> {
        block_on(self.wait_while(guard, condition))
    }

    /// Waits as [`wait_for`](Self::wait_for) does, on a thread that runs no async code.
    ///
    /// # Panics
    ///
    /// As [`blocking_wait`](Self::blocking_wait).
    #[track_caller]
    pub fn blocking_wait_for<'l, T: ?Sized>(
        &self,
        guard: Guard<'l, T>,
        predicate: impl FnMut(&mut T) -> bool,
    ) -> Guard<'l, T> {
        block_on(self.wait_for(guard, predicate))
    }

    /// Notifies the `count` who have waited longest, or all if there are fewer. They go on when they get
    /// the lock; the caller keeps it.
    ///
    /// # Panics
    ///
    /// If those who wait do so with the guard of another lock.
    #[doc(alias = "notify_one")]
    pub fn notify<T: ?Sized>(&self, guard: &Guard<'_, T>, count: usize) {
        let state = self.checked(guard);
        let mut left = count;
        wake_batches(&self.state, state, |state, batch| {
            while left > 0 && !batch.is_full() && !state.line.is_empty() {
                batch.extend(state.notify_one());
                left -= 1;
            }
        });
    }

    /// Notifies everybody who waits.
    ///
    /// # Panics
    ///
    /// If those who wait do so with the guard of another lock.
    pub fn notify_all<T: ?Sized>(&self, guard: &Guard<'_, T>) {
        let mut state = self.checked(guard);
        state.line.release_all();
        wake_batches(&self.state, state, |state, batch| {
            state.line.release_leaving(batch, |_| {});
        });
    }

    fn wait_at<'c, 'l, T: ?Sized>(
        &'c self,
        guard: Guard<'l, T>,
        location: &'static Location<'static>,
    ) -> ConditionWait<'c, 'l, T> {
        ConditionWait {
            condition: self,
            lock: Guard::source(&guard),
            guard: Some(guard),
            waiter: Waiter::new(),
            notice: None,
            relock: None,
            location,
        }
    }

    /// The state, if those who wait do so with the lock of this guard.
    fn checked<T: ?Sized>(&self, guard: &Guard<'_, T>) -> MutexGuard<'_, State> {
        let state = self.state.lock();
        let others = !state.line.is_empty() && state.lock != address(Guard::source(guard));
        if others {
            drop(state);
            panic!("a condition of which others wait with another lock");
        }
        state
    }

    /// Somebody who was notified does not go on: the next in line does.
    fn pass_on(&self) {
        let next = self.state.lock().notify_one();
        if let Some(next) = next {
            wake(next);
        }
    }
}

impl State {
    /// Notifies the oldest in the line.
    fn notify_one(&mut self) -> Option<Waker> {
        *self.line.front_mut()? = Notice::ToSome;
        self.line.pop_front()
    }
}

/// What locks are told apart by.
fn address<T: ?Sized>(lock: &Lock<T>) -> usize {
    std::ptr::from_ref(lock).cast::<()>() as usize
}

pin_project! {
    /// The future of [`Condition::wait`].
    #[must_use = "a condition is not waited for unless this is awaited"]
    pub struct ConditionWait<'c, 'l, T: ?Sized> {
        condition: &'c Condition,
        lock: &'l Lock<T>,
        // There until the first poll.
        guard: Option<Guard<'l, T>>,
        // In line until the notification.
        #[pin]
        waiter: Waiter<Notice>,
        // What came, until the wait is over.
        notice: Option<Notice>,
        // As long as `notice`.
        #[pin]
        relock: Option<Acquire<'l, T>>,
        location: &'static Location<'static>,
    }

    impl<T: ?Sized> PinnedDrop for ConditionWait<'_, '_, T> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            let mut notice = *this.notice;
            if !this.waiter.is_idle() {
                let left = this.condition.state.lock().line.remove(this.waiter);
                if let Left::Released(came) = left {
                    notice = Some(came);
                }
            }
            if notice == Some(Notice::ToSome) {
                this.condition.pass_on();
            }
        }
    }
}

impl<'l, T: ?Sized> Future for ConditionWait<'_, 'l, T> {
    type Output = Guard<'l, T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Guard<'l, T>> {
        let mut this = self.project();
        let condition = *this.condition;
        if let Some(guard) = &*this.guard {
            let waker = cx.waker().clone();
            let mut state = condition.checked(guard);
            state.lock = address(this.lock);
            state.line.push_back(this.waiter.as_mut(), Notice::ToAll, waker);
            drop(state);
            Site::at(WaitKind::Other, this.location).note(condition);
            // After the place was taken, so that nobody who has the lock now can notify in vain.
            *this.guard = None;
            return Poll::Pending;
        }
        if this.notice.is_none() {
            // Looked at without budget, which is asked for where the lock is waited for (I6).
            let mut notice = this.waiter.as_mut().take_released();
            if notice.is_none() {
                let note = || Site::at(WaitKind::Other, this.location).note(condition);
                let (waiter, state) = (this.waiter.as_mut(), &condition.state);
                notice = Some(ready!(waiter.poll_place(cx, state, |state| &mut state.line, note)));
            }
            *this.notice = notice;
            this.relock.set(Some(this.lock.lock_at(this.location)));
        }
        let relock = this.relock.as_mut().as_pin_mut().expect("it was just put there");
        let guard = ready!(relock.poll(cx));
        *this.notice = None;
        this.relock.set(None);
        Poll::Ready(guard)
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").finish_non_exhaustive()
    }
}

impl<T: ?Sized> fmt::Debug for ConditionWait<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionWait")
            .field("waiter", &self.waiter)
            .field("notice", &self.notice)
            .finish_non_exhaustive()
    }
}
