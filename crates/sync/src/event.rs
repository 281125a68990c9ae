//! Something that has happened, or has not.

use filch_atomic::current::WaitKind;
use filch_atomic::sync::Mutex;
use filch_atomic::sync::atomic::{AtomicBool, Ordering};
use pin_project_lite::pin_project;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::blocking::{self, block_on};
use crate::wait_list::{Attempt, Site, WaitList, Waiter, wake_batches};

/// A flag that any number of tasks can wait for.
///
/// [`set`](Self::set) raises it and releases everybody who waits; until [`clear`](Self::clear) lowers it,
/// whoever waits goes on at once. `set` directly followed by `clear` releases those who are waiting at
/// that moment and nobody else. The rules are `EVENT-1` to `EVENT-7` of `docs/semantics.md`.
///
/// ```
/// use filch_sync::Event;
/// use std::sync::Arc;
///
/// let ready = Arc::new(Event::new());
/// let worker = std::thread::spawn({
///     let ready = ready.clone();
///     move || {
///         ready.blocking_wait();
///         "started"
///     }
/// });
/// ready.set();
/// assert_eq!(worker.join().unwrap(), "started");
/// assert!(ready.is_set(), "until it is cleared");
/// ```
///
/// # A signal that must not be missed
///
/// A consumer that clears the event, *then* looks whether there is work, and *then* waits, misses nothing
/// that was made before a `set`. Looking first and clearing afterwards does miss things.
///
/// # Fairness
///
/// All who wait are released by the same `set`, and are woken in the order in which they came.
///
/// # Cost
///
/// Waiting for an event that is set is one atomic load, setting one that is set one read-modify-write.
/// Otherwise a short internal lock; those released are woken 32 at a time with the lock released. No
/// allocation.
///
/// # How it works
///
/// The flag is one atomic, and those who wait are in a list under a lock. Whoever waits looks at the flag
/// once more under the lock before taking a place; whoever raises it does so under the lock, and takes
/// everybody along in the same step. So whoever is in the list came after the last `set` had its own. The
/// flag is lowered without the lock: that concerns only those who come later.
#[doc(alias = "asyncio.Event")]
#[doc(alias = "Notify")]
#[doc(alias = "ManualResetEvent")]
pub struct Event {
    /// Becomes true under the lock only, and false anywhere.
    set: AtomicBool,
    waiters: Mutex<WaitList<()>>,
}

impl Event {
    const_unless_modelled! {
        /// An event that is not set.
        pub fn new() -> Self {
            Self { set: AtomicBool::new(false), waiters: Mutex::new(WaitList::new()) }
        }
    }

    /// Sets it, and releases everybody who waits. Does nothing if it is set.
    ///
    /// What was done before this is visible to those whom it releases, and to those who find the event
    /// set (`EVENT-6`).
    #[doc(alias = "notify_waiters")]
    pub fn set(&self) {
        // A write, though it changes nothing: one that only looked might see the event as it was before
        // a `clear` whose caller has not seen what we did (`EVENT-7`). No lock: whoever set it has taken,
        // or is taking, everybody along.
        // AcqRel: pairs with itself, and with the Acquire in `clear` and in `is_set`.
        let set = self.set.compare_exchange(true, true, Ordering::AcqRel, Ordering::Relaxed);
        if set.is_ok() {
            return;
        }
        let mut waiters = self.waiters.lock();
        // Under the lock, so that who has seen it lowered and taken a place since is not among those who
        // are released (`EVENT-5`).
        // AcqRel: as above. A swap, so that what came before an earlier `set` is not lost sight of.
        self.set.swap(true, Ordering::AcqRel);
        if !waiters.is_empty() {
            waiters.release_all();
            wake_batches(&self.waiters, waiters, |waiters, batch| {
                waiters.release_leaving(batch, |()| {});
            });
        }
    }

    /// Makes it not set. Whoever was released stays so (`EVENT-4`).
    pub fn clear(&self) {
        // Acquire: pairs with the AcqRel in `set`: the caller sees what was done before the `set` that
        // this undoes (`EVENT-7`). A swap, because a store would not see it.
        self.set.swap(false, Ordering::Acquire);
    }

    /// Whether it is set, at this moment.
    #[inline]
    pub fn is_set(&self) -> bool {
        // Acquire: pairs with the AcqRel in `set` (`EVENT-6`).
        self.set.load(Ordering::Acquire)
    }

    /// Waits until it is set. Does not suspend if it is.
    ///
    /// # Cancel safety
    ///
    /// Dropped, it leaves nothing behind and takes nothing away from others.
    #[doc(alias = "notified")]
    #[track_caller]
    pub fn wait(&self) -> EventWait<'_> {
        EventWait { event: self, waiter: Waiter::new(), site: Site::here(WaitKind::Other) }
    }

    /// As [`wait`](Self::wait), for a future that has to own the event it waits for.
    ///
    /// # Cancel safety
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_owned(self: Arc<Self>) -> OwnedEventWait {
        OwnedEventWait { event: self, waiter: Waiter::new(), site: Site::here(WaitKind::Other) }
    }

    /// Waits until it is set, on a thread that runs no async code.
    ///
    /// # Panics
    ///
    /// In a task of filch, whose worker it would hold up.
    #[track_caller]
    pub fn blocking_wait(&self) {
        blocking::check();
        if !self.is_set() {
            block_on(self.wait());
        }
    }

    fn poll(&self, waiter: Pin<&mut Waiter<()>>, site: &Site, cx: &mut Context<'_>) -> Poll<()> {
        if waiter.is_idle() && self.is_set() {
            return waiter.poll_granted(cx, ());
        }
        let look = |_: &mut WaitList<()>| match self.is_set() {
            true => Attempt::Granted(()),
            false => Attempt::Wait(()),
        };
        waiter.poll_in(cx, &self.waiters, |waiters| waiters, look, || site.note(self))
    }

    fn leave(&self, waiter: Pin<&mut Waiter<()>>) {
        if waiter.is_queued() {
            let left = self.waiters.lock().remove(waiter);
            // Its waker, outside the lock (D8).
            drop(left);
        }
    }
}

pin_project! {
    /// The future of [`Event::wait`].
    #[must_use = "an event is not waited for unless this is awaited"]
    pub struct EventWait<'a> {
        event: &'a Event,
        #[pin]
        waiter: Waiter<()>,
        site: Site,
    }

    impl PinnedDrop for EventWait<'_> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.event.leave(this.waiter);
        }
    }
}

pin_project! {
    /// The future of [`Event::wait_owned`].
    #[must_use = "an event is not waited for unless this is awaited"]
    pub struct OwnedEventWait {
        event: Arc<Event>,
        #[pin]
        waiter: Waiter<()>,
        site: Site,
    }

    impl PinnedDrop for OwnedEventWait {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.event.leave(this.waiter);
        }
    }
}

/// With it a task that waits for an event has 184 bytes, and with the allocator's own word 192.
#[cfg(all(not(any(filch_loom, filch_shuttle)), target_pointer_width = "64"))]
const _: () = assert!(size_of::<OwnedEventWait>() <= 80, "a million waiters are common");

impl Future for EventWait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.event.poll(this.waiter, this.site, cx)
    }
}

impl Future for OwnedEventWait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.event.poll(this.waiter, this.site, cx)
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("set", &self.is_set()).finish_non_exhaustive()
    }
}

impl fmt::Debug for EventWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("EventWait").field(&self.waiter).finish()
    }
}

impl fmt::Debug for OwnedEventWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnedEventWait").field(&self.waiter).finish()
    }
}
