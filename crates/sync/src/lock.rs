//! A fair lock that may be held across an `await`.

use filch_atomic::cell::UnsafeCell;
use filch_atomic::current::{self, WaitKind};
use filch_atomic::sync::{Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

/// A value that one task at a time may use, also across an `await`.
///
/// # Fairness
///
/// First come, first served. Whoever unlocks hands the lock to the waiter that has waited longest:
/// a newcomer never gets in between.
///
/// # Cost
///
/// Uncontended, one short internal lock to take it and one to give it back; no allocation unless
/// somebody waits.
///
/// # Deadlocks
///
/// The lock belongs to a waiter from the moment it is handed over, before that waiter runs. A task
/// that keeps a woken [`Acquire`] without polling it (in a `select!` arm it has left, say) and waits
/// for something else meanwhile keeps everybody out.
///
/// # How it works
///
/// One internal lock guards whether the value is taken and the line of those who wait. Handing over
/// moves no state but the line: the value stays taken, the ticket of the first waiter leaves the line,
/// and is the one that `granted` names. The waiter finds that out at its next poll; if it is dropped
/// instead, it hands over in its turn. So between two holders there is no moment in which the lock is
/// free, and a grant is never lost. Wakers are woken, and dropped, after the internal lock is released
/// (D8).
#[doc(alias = "Mutex")]
pub struct Lock<T: ?Sized> {
    line: Mutex<Line>,
    value: UnsafeCell<T>,
}

#[derive(Default)]
struct Line {
    /// Somebody has the value, or a grant to it.
    taken: bool,
    /// The waiter to whom the value was handed and who has not picked it up.
    granted: Option<u64>,
    next_ticket: u64,
    /// Who waits, oldest first: tickets ascend.
    waiters: VecDeque<(u64, Waker)>,
}

impl Line {
    fn draw_ticket(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        ticket
    }
}

// SAFETY: the value moves with the lock; nothing else in it is bound to a thread.
unsafe impl<T: ?Sized + Send> Send for Lock<T> {}
// SAFETY: `Line::taken` gives the value to one guard at a time, on whichever thread: that takes
// `T: Send`, and not `T: Sync`, for two threads never have it at once.
unsafe impl<T: ?Sized + Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    /// A lock around `value` that nobody holds.
    pub fn new(value: T) -> Self {
        Self { line: Mutex::new(Line::default()), value: UnsafeCell::new(value) }
    }

    /// Takes the value out of a lock that nobody else has.
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Lock<T> {
    /// Waits for the lock.
    ///
    /// # Cancel safety
    ///
    /// Takes its place in the line when it is first polled. Dropped while it waits, it leaves the
    /// line; dropped when the lock was just handed to it, it hands it on.
    #[track_caller]
    pub fn lock(&self) -> Acquire<'_, T> {
        self.lock_at(Location::caller())
    }

    /// As [`lock`](Self::lock), by a library that waits on behalf of the code at `location`: that is where
    /// the wait is on record.
    pub fn lock_at(&self, location: &'static Location<'static>) -> Acquire<'_, T> {
        Acquire { lock: self, ticket: None, location }
    }

    /// Takes the lock if nobody has it and nobody waits.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        let mut line = self.line.lock();
        if line.taken {
            return None;
        }
        line.taken = true;
        Some(Guard { lock: self })
    }

    /// Whether somebody has it.
    pub fn is_locked(&self) -> bool {
        self.line.lock().taken
    }

    /// The value of a lock that nobody else has.
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: there is no guard.
        self.value.with_mut(|value| unsafe { &mut *value })
    }

    /// Hands the value to the next in line, or frees it.
    fn hand_over(&self, mut line: MutexGuard<'_, Line>) {
        debug_assert!(line.taken, "only who has the value hands it over");
        let next = line.waiters.pop_front();
        line.granted = next.as_ref().map(|(ticket, _)| *ticket);
        line.taken = next.is_some();
        drop(line);
        if let Some((_, waker)) = next {
            waker.wake();
        }
    }
}

/// The future of [`Lock::lock`].
#[must_use = "a lock is not waited for unless this is awaited"]
pub struct Acquire<'a, T: ?Sized> {
    lock: &'a Lock<T>,
    /// The place in the line, once there is one.
    ticket: Option<u64>,
    location: &'static Location<'static>,
}

impl<'a, T: ?Sized> Future for Acquire<'a, T> {
    type Output = Guard<'a, T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Guard<'a, T>> {
        let lock = self.lock;
        // Cloned, and an old one dropped, outside the internal lock: wakers are foreign code (D8).
        let mut waker = None;
        loop {
            let mut line = lock.line.lock();
            let is_free = self.ticket.is_none() && !line.taken;
            let is_granted = self.ticket.is_some() && self.ticket == line.granted;
            if is_free || is_granted {
                line.taken = true;
                // A task that has used up its turn (S6) does not lose its place: the lock is kept for
                // it, as one that was granted.
                let in_turn = current::has_budget();
                line.granted = None;
                if !in_turn {
                    self.ticket = self.ticket.or_else(|| Some(line.draw_ticket()));
                    line.granted = self.ticket;
                }
                drop(line);
                ready!(current::poll_proceed(cx));
                self.ticket = None;
                return Poll::Ready(Guard { lock });
            }
            match self.ticket {
                None => {
                    let Some(waker) = waker.take() else {
                        drop(line);
                        waker = Some(cx.waker().clone());
                        continue;
                    };
                    let ticket = line.draw_ticket();
                    line.waiters.push_back((ticket, waker));
                    self.ticket = Some(ticket);
                }
                Some(ticket) => {
                    let place = line
                        .waiters
                        .binary_search_by_key(&ticket, |waiter| waiter.0)
                        .expect("a ticket that is not granted is in the line");
                    if !line.waiters[place].1.will_wake(cx.waker()) {
                        let Some(new) = waker.take() else {
                            drop(line);
                            waker = Some(cx.waker().clone());
                            continue;
                        };
                        let old = std::mem::replace(&mut line.waiters[place].1, new);
                        drop(line);
                        drop(old);
                    }
                }
            }
            let resource = std::ptr::from_ref(lock).cast::<()>() as usize;
            current::note_wait(WaitKind::Lock, resource, self.location);
            return Poll::Pending;
        }
    }
}

impl<T: ?Sized> Drop for Acquire<'_, T> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let mut line = self.lock.line.lock();
        if line.granted == Some(ticket) {
            return self.lock.hand_over(line);
        }
        let waiter = match line.waiters.binary_search_by_key(&ticket, |waiter| waiter.0) {
            Ok(place) => line.waiters.remove(place),
            Err(_) => None,
        };
        drop(line);
        drop(waiter);
    }
}

impl<T: ?Sized> fmt::Debug for Acquire<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("ticket", &self.ticket).finish_non_exhaustive()
    }
}

/// The value of a [`Lock`], until this is dropped.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct Guard<'a, T: ?Sized> {
    lock: &'a Lock<T>,
}

// SAFETY: a shared guard lends `&T`, and no more.
unsafe impl<T: ?Sized + Sync> Sync for Guard<'_, T> {}

impl<T: ?Sized> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the guard has the value (`Line::taken`), and lends it for no longer than itself.
        self.lock.value.with(|value| unsafe { &*value })
    }
}

impl<T: ?Sized> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes it the only loan.
        self.lock.value.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T: ?Sized> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        self.lock.hand_over(self.lock.line.lock());
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Guard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Default> Default for Lock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for Lock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock").field("locked", &self.is_locked()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(filch_loom, filch_shuttle))))]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll<F: Future + Unpin>(future: &mut F, count: &Arc<Count>) -> Poll<F::Output> {
        let waker = Waker::from(count.clone());
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn it_is_handed_over_in_order_and_nobody_gets_in_between() {
        let lock = Lock::new(());
        let held = lock.try_lock().unwrap();
        let counts: Vec<_> = (0..3).map(|_| Arc::new(Count::default())).collect();
        let mut waiters: Vec<_> = (0..3).map(|_| lock.lock()).collect();
        for (waiter, count) in waiters.iter_mut().zip(&counts) {
            assert!(poll(waiter, count).is_pending());
        }
        drop(held);
        assert_eq!(counts[0].0.load(Ordering::Relaxed), 1);
        assert!(lock.try_lock().is_none(), "it belongs to the first waiter");
        assert!(poll(&mut waiters[1], &counts[1]).is_pending());
        let Poll::Ready(first) = poll(&mut waiters[0], &counts[0]) else {
            panic!("it was granted")
        };
        drop(first);
        assert!(poll(&mut waiters[1], &counts[1]).is_ready());
        assert!(poll(&mut waiters[2], &counts[2]).is_ready());
        assert!(!lock.is_locked());
    }

    #[test]
    fn a_waiter_that_goes_leaves_nothing_and_hands_on_what_it_was_given() {
        let lock = Lock::new(());
        let held = lock.try_lock().unwrap();
        let count = Arc::new(Count::default());
        let (mut first, mut second, mut third) = (lock.lock(), lock.lock(), lock.lock());
        for waiter in [&mut first, &mut second, &mut third] {
            assert!(poll(waiter, &count).is_pending());
        }
        drop(second);
        drop(held);
        drop(first);
        assert_eq!(count.0.load(Ordering::Relaxed), 2, "the first, then the third");
        assert!(poll(&mut third, &count).is_ready());
        assert!(!lock.is_locked());
        assert_eq!(Arc::strong_count(&count), 1, "no waker stayed behind");
    }

    #[test]
    fn the_waker_of_the_last_poll_is_woken() {
        let lock = Lock::new(());
        let held = lock.try_lock().unwrap();
        let (old, new) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let mut waiter = pin!(lock.lock());
        assert!(poll(&mut waiter, &old).is_pending());
        assert!(poll(&mut waiter, &new).is_pending());
        drop(held);
        assert_eq!(old.0.load(Ordering::Relaxed), 0);
        assert_eq!(new.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_task_that_has_had_its_turn_keeps_its_place() {
        use filch_atomic::current::{BUDGET, WaitRecord, enter, poll_proceed};
        let lock = Lock::new(());
        let count = Arc::new(Count::default());
        let record = WaitRecord::new();
        let (mut free, mut waits) = (lock.lock(), lock.lock());
        let turn = || {
            let waker = Waker::from(count.clone());
            let mut cx = Context::from_waker(&waker);
            for _ in 0..BUDGET {
                assert!(poll_proceed(&mut cx).is_ready());
            }
            assert!(
                poll(&mut free, &count).is_pending(),
                "it is free, but this task has had its turn"
            );
            assert!(poll(&mut waits, &count).is_pending());
        };
        // SAFETY: null.
        unsafe { enter(std::ptr::null(), &record, turn) };
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "the first comes again by itself");
        assert!(lock.try_lock().is_none());
        let Poll::Ready(guard) = poll(&mut free, &count) else { panic!("it was kept for it") };
        drop(guard);
        assert!(poll(&mut waits, &count).is_ready());
    }

    #[test]
    fn threads_exclude_each_other() {
        let lock = Arc::new(Lock::new(0));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let lock = lock.clone();
                std::thread::spawn(move || {
                    for _ in 0..2_000 {
                        struct Unpark(std::thread::Thread);
                        impl Wake for Unpark {
                            fn wake(self: Arc<Self>) {
                                self.0.unpark();
                            }
                        }
                        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
                        let mut cx = Context::from_waker(&waker);
                        let mut acquire = pin!(lock.lock());
                        let mut guard = loop {
                            match acquire.as_mut().poll(&mut cx) {
                                Poll::Ready(guard) => break guard,
                                Poll::Pending => std::thread::park(),
                            }
                        };
                        let read = *guard;
                        std::hint::spin_loop();
                        *guard = read + 1;
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(Arc::into_inner(lock).unwrap().into_inner(), 8_000);
    }
}
