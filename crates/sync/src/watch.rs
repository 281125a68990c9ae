//! The latest value, for everybody who wants to know it.

use filch_atomic::current::{self, WaitKind};
use filch_atomic::sync::atomic::{AtomicU64, Ordering};
use filch_atomic::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::error::Error;
use std::fmt;
use std::future::{Future, poll_fn};
use std::mem;
use std::ops::Deref;
use std::sync::Arc;

use crate::blocking::block_on;
use crate::crowd::Crowd;
use crate::wait_list::Site;

/// In the version: no sender is left. The rest of the word counts the changes, in steps of `CHANGE`.
const SENDERS_GONE: u64 = 1;
const CHANGE: u64 = 2;

/// A value that changes: the sender that changes it, and a receiver that wants to know the latest.
///
/// ```
/// # pollster::block_on(async {
/// let (sender, mut speed) = filch_sync::watch(0);
/// sender.send(70);
/// sender.send(80);
/// speed.changed().await.unwrap();
/// assert_eq!(*speed.borrow(), 80);
/// drop(sender);
/// assert!(speed.changed().await.is_err());
/// # });
/// ```
#[doc(alias = "channel")]
pub fn watch<T>(initial: T) -> (WatchSender<T>, Watch<T>) {
    let shared = Arc::new(Shared {
        value: RwLock::new(initial),
        version: AtomicU64::new(0),
        senders: Crowd::new(1),
        receivers: Crowd::new(1),
    });
    (WatchSender { shared: shared.clone() }, Watch { shared, seen: 0 })
}

struct Shared<T> {
    value: RwLock<T>,
    /// Counts the changes, and moves with them while the value is locked for writing.
    version: AtomicU64,
    /// How many there are, and the receivers that wait for one of them to change something.
    senders: Crowd<usize>,
    /// How many there are, and the senders that wait until there are none.
    receivers: Crowd<usize>,
}

impl<T> Shared<T> {
    fn version(&self) -> u64 {
        // Acquire: pairs with the Release in `Change::drop` and in the drop of a sender. (The value itself
        // is under its lock.)
        self.version.load(Ordering::Acquire)
    }

    /// What a receiver that has seen `seen` has to learn: there is a newer version, or there is no sender
    /// left, the former first.
    fn news(&self, seen: u64) -> Option<Result<u64, SendersGone>> {
        let version = self.version();
        match (version & !SENDERS_GONE, version & SENDERS_GONE != 0) {
            (newest, _) if newest != seen => Some(Ok(newest)),
            (_, true) => Some(Err(SendersGone)),
            _ => None,
        }
    }

    /// Waits for news.
    async fn next(&self, seen: u64, site: Site) -> Result<u64, SendersGone> {
        match self.news(seen) {
            Some(news) => {
                poll_fn(current::poll_proceed).await;
                news
            }
            // With the lock that `Change::drop` takes to wake: it finds us, or we the change.
            None => self.senders.until(site, |_| self.news(seen)).await,
        }
    }
}

/// The value, locked for a change, which is counted and told of when this goes: also if it ends in a panic,
/// for then there may have been one.
struct Change<'a, T> {
    shared: &'a Shared<T>,
    value: Option<RwLockWriteGuard<'a, T>>,
    is_made: bool,
}

impl<T> Drop for Change<'_, T> {
    fn drop(&mut self) {
        if self.is_made {
            // Release: pairs with the Acquire in `version`. Before the value is unlocked, so that whoever
            // reads it can tell which it is.
            self.shared.version.fetch_add(CHANGE, Ordering::Release);
        }
        self.value = None;
        if self.is_made {
            self.shared.senders.lock().wake_all();
        }
    }
}

/// Changes the value that a [`Watch`] sees. Made by [`watch()`].
///
/// # Cost
///
/// A change takes two short locks and allocates nothing. It never waits for receivers, except for those that
/// borrow the value just then: these hold up the thread.
#[doc(alias = "Sender")]
pub struct WatchSender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> WatchSender<T> {
    /// Changes the value, whether anybody receives or not.
    pub fn send(&self, value: T) {
        drop(self.replace(value));
    }

    /// As [`send`](Self::send). Gives the old value.
    #[doc(alias = "send_replace")]
    pub fn replace(&self, mut value: T) -> T {
        self.send_modify(|old| mem::swap(old, &mut value));
        value
    }

    /// Changes the value in place.
    ///
    /// # Panics
    ///
    /// If `change` does. Receivers are told of a change all the same, for there may have been one.
    ///
    /// # Deadlocks
    ///
    /// The value is locked meanwhile: `change` must neither borrow it in another way nor send.
    pub fn send_modify(&self, change: impl FnOnce(&mut T)) {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// Changes the value in place, perhaps: receivers are told only if `change` says that it did. Gives what
    /// that said.
    ///
    /// # Panics
    ///
    /// As [`send_modify`](Self::send_modify).
    ///
    /// # Deadlocks
    ///
    /// As [`send_modify`](Self::send_modify).
    pub fn send_if_modified(&self, change: impl FnOnce(&mut T) -> bool) -> bool {
        let value = self.shared.value.write();
        let mut made = Change { shared: &self.shared, value: Some(value), is_made: true };
        made.is_made = change(made.value.as_mut().expect("it was just locked"));
        made.is_made
    }

    /// The value as it is now.
    ///
    /// # Deadlocks
    ///
    /// As [`Watch::borrow`].
    pub fn borrow(&self) -> WatchRef<'_, T> {
        WatchRef { value: self.shared.value.read_recursive() }
    }

    /// One more receiver, to which the value as it is now is no news.
    pub fn subscribe(&self) -> Watch<T> {
        *self.shared.receivers.lock() += 1;
        Watch { shared: self.shared.clone(), seen: self.shared.version() & !SENDERS_GONE }
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        *self.shared.receivers.lock()
    }

    /// Whether there is no receiver.
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until there is no receiver. There may be one again afterwards.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses nothing.
    #[track_caller]
    pub fn closed(&self) -> impl Future<Output = ()> + use<'_, T> {
        let site = Site::here(WaitKind::Other);
        self.shared.receivers.until(site, |receivers| (*receivers == 0).then_some(()))
    }
}

impl<T> Clone for WatchSender<T> {
    fn clone(&self) -> Self {
        *self.shared.senders.lock() += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for WatchSender<T> {
    fn drop(&mut self) {
        let mut senders = self.shared.senders.lock();
        *senders -= 1;
        if *senders == 0 {
            // Release: pairs with the Acquire in `version`: who learns of it has seen the last change.
            self.shared.version.fetch_or(SENDERS_GONE, Ordering::Release);
            senders.wake_all();
        }
    }
}

impl<T> fmt::Debug for WatchSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchSender")
            .field("receivers", &self.receiver_count())
            .finish_non_exhaustive()
    }
}

/// Sees a value that others change. Made by [`watch()`], [`WatchSender::subscribe`] and `clone`: a clone has
/// seen what the original has.
///
/// # Fairness
///
/// All who wait are woken by each change.
///
/// # Cost
///
/// Learning that there is no news, or some, is a load. Waiting for it allocates nothing.
#[doc(alias = "Receiver")]
pub struct Watch<T> {
    shared: Arc<Shared<T>>,
    /// The version that was seen last.
    seen: u64,
}

impl<T> Watch<T> {
    /// The value as it is now. It does not count as seen by this.
    ///
    /// # Deadlocks
    ///
    /// While it is borrowed, a change waits, and its thread with it. Do not keep it: not across an `await`,
    /// and not while sending. It may be borrowed several times at once.
    pub fn borrow(&self) -> WatchRef<'_, T> {
        WatchRef { value: self.shared.value.read_recursive() }
    }

    /// The value as it is now, which counts as seen.
    ///
    /// # Deadlocks
    ///
    /// As [`borrow`](Self::borrow).
    pub fn borrow_and_update(&mut self) -> WatchRef<'_, T> {
        let value = self.shared.value.read_recursive();
        // The version of just this value, for nobody changes it meanwhile.
        self.seen = self.shared.version() & !SENDERS_GONE;
        WatchRef { value }
    }

    /// Whether there is a value that was not seen yet.
    pub fn has_changed(&self) -> bool {
        matches!(self.shared.news(self.seen), Some(Ok(_)))
    }

    /// Takes the value for one that was not seen yet, so that the next [`changed`](Self::changed) returns.
    pub fn mark_changed(&mut self) {
        self.seen = self.seen.wrapping_sub(CHANGE);
    }

    /// Waits for a value that was not seen yet; then it counts as seen.
    ///
    /// # Errors
    ///
    /// If there is none, and no sender left to make one.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it has marked nothing as seen.
    #[track_caller]
    pub fn changed(&mut self) -> impl Future<Output = Result<(), SendersGone>> + use<'_, T> {
        let site = Site::here(WaitKind::Other);
        async move {
            self.seen = self.shared.next(self.seen, site).await?;
            Ok(())
        }
    }

    /// [`changed`](Self::changed) on a thread that runs no async code.
    ///
    /// # Errors
    ///
    /// As [`changed`](Self::changed).
    ///
    /// # Panics
    ///
    /// In a task of filch.
    #[track_caller]
    pub fn blocking_changed(&mut self) -> Result<(), SendersGone> {
        block_on(self.changed())
    }

    /// Waits until the value is such that `predicate` holds, and gives it; it counts as seen. The value of now
    /// is looked at first, seen or not.
    ///
    /// # Errors
    ///
    /// If the last value is not, and there is no sender left.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it loses nothing: the values that were looked at count as seen, the latest can be borrowed.
    ///
    /// # Deadlocks
    ///
    /// As [`borrow`](Self::borrow), for `predicate` and for what this gives.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// let (sender, mut speed) = filch_sync::watch(0);
    /// std::thread::spawn(move || (1..=88).for_each(|speed| sender.send(speed)));
    /// assert!(*speed.wait_for(|speed| *speed >= 88).await.unwrap() >= 88);
    /// # });
    /// ```
    #[track_caller]
    pub fn wait_for<'a, P>(
        &'a mut self,
        mut predicate: P,
    ) -> impl Future<Output = Result<WatchRef<'a, T>, SendersGone>> + use<'a, T, P>
    where
        P: FnMut(&T) -> bool,
    {
        let site = Site::here(WaitKind::Other);
        let Self { shared, seen } = self;
        let shared: &'a Shared<T> = shared;
        async move {
            loop {
                {
                    let value = shared.value.read_recursive();
                    let version = shared.version();
                    *seen = version & !SENDERS_GONE;
                    if predicate(&value) {
                        return Ok(WatchRef { value });
                    }
                }
                // Only whether there is some: what it is, is seen above.
                shared.next(*seen, site).await?;
            }
        }
    }

    /// Whether no sender is left: the value does not change any more.
    pub fn is_closed(&self) -> bool {
        self.shared.version() & SENDERS_GONE != 0
    }
}

impl<T> Clone for Watch<T> {
    fn clone(&self) -> Self {
        *self.shared.receivers.lock() += 1;
        Self { shared: self.shared.clone(), seen: self.seen }
    }
}

impl<T> Drop for Watch<T> {
    fn drop(&mut self) {
        let mut receivers = self.shared.receivers.lock();
        *receivers -= 1;
        if *receivers == 0 {
            receivers.wake_all();
        }
    }
}

impl<T> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("changed", &self.has_changed())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// The value of a [`Watch`], borrowed. No other thread may have it, so the compiler does not let a task that
/// moves between threads keep it across an `await`.
#[doc(alias = "Ref")]
#[must_use = "a value that nobody looks at need not be borrowed"]
pub struct WatchRef<'a, T> {
    value: RwLockReadGuard<'a, T>,
}

impl<T> Deref for WatchRef<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for WatchRef<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// There is nobody left who could send something.
#[doc(alias = "RecvError")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendersGone;

impl fmt::Display for SendersGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no sender is left")
    }
}

impl Error for SendersGone {}
