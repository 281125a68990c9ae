//! The handle of a queue, and all that can be done with it.

use filch_atomic::current::WaitKind;
use filch_atomic::sync::Arc;
use std::cmp::Ordering;
use std::fmt;

use super::error::{DoneTooOften, PutError, PutErrorKind, ShutDown, TryGetError};
use super::get::{Get, GetRaw};
use super::items::Items;
use super::join::Join;
use super::lease::Lease;
use super::put::{Put, Reserve, Slot};
use super::shared::Shared;
use super::state::Phase;
use super::stream::IntoStream;
use crate::blocking::{self, block_on};
use crate::wait_list::Site;

/// A queue between tasks, or threads: any number of them put, any number get. First in, first out.
///
/// This is a handle: clones of it are the same queue. [`LifoQueue`](super::LifoQueue) and
/// [`PriorityQueue`](super::PriorityQueue) give their items in another order, and are otherwise this; a
/// reference to one goes wherever `&Queue` is asked for.
///
/// There are no ends to be dropped. Every handle can put and get, so dropping some of them tells the
/// others nothing (as in asyncio, and unlike channels): who waits for an item that nobody is left to put
/// waits for ever. To end a queue, [`shutdown`](Self::shutdown). When the last handle, lease and slot are
/// gone the queue is freed, with the items in it.
///
/// ```
/// # pollster::block_on(async {
/// use filch_sync::Queue;
///
/// let queue = Queue::bounded(2);
/// let consumer = {
///     let queue = queue.clone();
///     std::thread::spawn(move || {
///         let mut sum = 0;
///         while let Ok(item) = queue.blocking_get() {
///             sum += *item;
///         }
///         sum
///     })
/// };
/// for item in 1..=10 {
///     queue.put(item).await.unwrap();
/// }
/// queue.join().await;
/// queue.shutdown();
/// assert_eq!(consumer.join().unwrap(), 55);
/// # });
/// ```
///
/// # Fairness
///
/// Getters are served in the order in which they first waited, putters likewise. Who is woken for an item,
/// or for room, finds it there: no newcomer takes it in between. asyncio promises less.
///
/// # Cost
///
/// A `put` or a `get` that does not wait is one short internal lock. It allocates nothing: a bounded queue
/// has its memory from the start (the first 64 KiB of it, if that is less). A lease is a clone of the
/// handle, and given back without the lock. Who waits costs a second lock and a wake, and no allocation.
///
/// # Deadlocks
///
/// A `get` that was woken has an item kept for it until it is polled or dropped, a `put` its room. A task
/// that keeps such a future without polling it (in a `select!` arm that it has left, say) keeps it from
/// others.
#[doc(alias = "asyncio.Queue")]
#[doc(alias = "channel")]
#[doc(alias = "mpsc")]
#[doc(alias = "mpmc")]
#[doc(alias = "Sender")]
#[doc(alias = "Receiver")]
pub struct Queue<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Queue<T> {
    /// A queue for at most `capacity` items at a time.
    ///
    /// # Panics
    ///
    /// If `capacity` is 0.
    #[doc(alias = "maxsize")]
    pub fn bounded(capacity: usize) -> Self {
        Self::with(Items::fifo, Some(capacity))
    }

    /// A queue for any number of items, in which no `put` ever waits. Nothing holds producers back that are
    /// faster than their consumers: the memory for what they put is the only limit.
    #[doc(alias = "unbounded_channel")]
    pub fn unbounded() -> Self {
        Self::with(Items::fifo, None)
    }

    pub(super) fn lifo(capacity: Option<usize>) -> Self {
        Self::with(Items::lifo, capacity)
    }

    pub(super) fn smallest(compare: fn(&T, &T) -> Ordering, capacity: Option<usize>) -> Self {
        Self::with(|capacity| Items::smallest(compare, capacity), capacity)
    }

    fn with(items: impl FnOnce(usize) -> Items<T>, capacity: Option<usize>) -> Self {
        assert!(capacity != Some(0), "a queue needs room for at least one item");
        let capacity = capacity.unwrap_or(usize::MAX);
        Self { shared: Arc::new(Shared::new(items(capacity), capacity)) }
    }

    /// Puts an item in; waits for room if there is none.
    ///
    /// # Errors
    ///
    /// If the queue is shut down, before or while it waits. The item is in the error.
    ///
    /// # Cancel safety
    ///
    /// Takes its place in the line when it is first polled. Dropped while it waits, it has put nothing, and
    /// the room that it may have been given goes to the next (QUEUE-6). Its item is dropped with it. Where
    /// the item must survive, [`reserve`](Self::reserve) room first.
    #[doc(alias = "send")]
    #[track_caller]
    pub fn put(&self, item: T) -> Put<'_, T> {
        Put::new(&self.shared, item, Site::here(WaitKind::Queue))
    }

    /// Puts an item in if that takes no waiting.
    ///
    /// # Errors
    ///
    /// If there is no room, or all of it is for those who already wait, or kept by slots; if the queue is
    /// shut down. The item is in the error.
    #[doc(alias = "put_nowait")]
    #[doc(alias = "try_send")]
    pub fn try_put(&self, item: T) -> Result<(), PutError<T>> {
        self.shared.try_put(item)
    }

    /// As [`put`](Self::put), on a thread that runs no async code and sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// As `put`.
    ///
    /// # Panics
    ///
    /// In a task of filch: it would hold up its worker.
    #[doc(alias = "blocking_send")]
    #[track_caller]
    pub fn blocking_put(&self, item: T) -> Result<(), PutError<T>> {
        blocking::check();
        match self.try_put(item) {
            Err(PutError { item, kind: PutErrorKind::Full }) => block_on(self.put(item)),
            put => put,
        }
    }

    /// Waits for room, and keeps it: what is put there later neither waits nor fails. For those who make
    /// the item only when there is room for it, or must not lose it when the wait is cancelled.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let queue = filch_sync::Queue::bounded(2);
    /// let slot = queue.reserve().await.unwrap();
    /// queue.put("first").await.unwrap();
    /// assert!(queue.is_full());
    /// slot.put("second");
    /// assert_eq!(queue.get().await.unwrap().into_inner(), "first");
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// If the queue is shut down, before or while it waits.
    ///
    /// # Cancel safety
    ///
    /// As [`put`](Self::put), and there is no item to be dropped.
    #[track_caller]
    pub fn reserve(&self) -> Reserve<'_, T> {
        Reserve::new(&self.shared, Site::here(WaitKind::Queue))
    }

    /// Keeps room if that takes no waiting.
    ///
    /// # Errors
    ///
    /// As [`try_put`](Self::try_put).
    pub fn try_reserve(&self) -> Result<Slot<T>, PutErrorKind> {
        self.shared.try_room()?.keep();
        Ok(Slot::new(&self.shared))
    }

    /// As [`reserve`](Self::reserve), on a thread that runs no async code and sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// As `reserve`.
    ///
    /// # Panics
    ///
    /// In a task of filch: it would hold up its worker.
    #[track_caller]
    pub fn blocking_reserve(&self) -> Result<Slot<T>, ShutDown> {
        blocking::check();
        match self.try_reserve() {
            Ok(slot) => Ok(slot),
            Err(PutErrorKind::ShutDown) => Err(ShutDown),
            Err(PutErrorKind::Full) => block_on(self.reserve()),
        }
    }

    /// Gets the next item; waits for one if there is none. What it gives is a [`Lease`]: the work on the
    /// item is done when that is dropped.
    ///
    /// # Errors
    ///
    /// If the queue is shut down and nothing is left in it, before or while it waits.
    ///
    /// # Cancel safety
    ///
    /// Takes its place in the line when it is first polled. The item stays in the queue until the poll that
    /// returns it. Dropped before, even when it was just woken, it takes nothing, and the next in line is
    /// woken for the item (QUEUE-5).
    #[doc(alias = "recv")]
    #[track_caller]
    pub fn get(&self) -> Get<'_, T> {
        Get::new(&self.shared, Site::here(WaitKind::Queue))
    }

    /// Gets the next item if that takes no waiting.
    ///
    /// # Errors
    ///
    /// If there is none, or those that are there are for getters that were woken for them; if the queue is
    /// shut down and nothing is left in it.
    #[doc(alias = "get_nowait")]
    #[doc(alias = "try_recv")]
    pub fn try_get(&self) -> Result<Lease<T>, TryGetError> {
        Ok(Lease::new(self.shared.try_get()?, &self.shared))
    }

    /// As [`get`](Self::get), on a thread that runs no async code and sleeps meanwhile.
    ///
    /// # Errors
    ///
    /// As `get`.
    ///
    /// # Panics
    ///
    /// In a task of filch: it would hold up its worker.
    #[doc(alias = "blocking_recv")]
    #[track_caller]
    pub fn blocking_get(&self) -> Result<Lease<T>, ShutDown> {
        blocking::check();
        match self.try_get() {
            Ok(lease) => Ok(lease),
            Err(TryGetError::ShutDown) => Err(ShutDown),
            Err(TryGetError::Empty) => block_on(self.get()),
        }
    }

    /// As [`get`](Self::get), without a lease: whoever gets the item has to call
    /// [`task_done`](Self::task_done), or [`join`](Self::join) never ends. For code that follows asyncio's,
    /// and where nobody joins.
    ///
    /// # Errors
    ///
    /// As `get`.
    ///
    /// # Cancel safety
    ///
    /// As `get`.
    #[track_caller]
    pub fn get_raw(&self) -> GetRaw<'_, T> {
        GetRaw::new(&self.shared, Site::here(WaitKind::Queue))
    }

    /// As [`try_get`](Self::try_get), without a lease: see [`get_raw`](Self::get_raw).
    ///
    /// # Errors
    ///
    /// As `try_get`.
    pub fn try_get_raw(&self) -> Result<T, TryGetError> {
        self.shared.try_get()
    }

    /// Declares the work on one item done that was got without a lease.
    ///
    /// # Errors
    ///
    /// If it is called more often than there were items. Nothing is changed then.
    pub fn task_done(&self) -> Result<(), DoneTooOften> {
        self.shared.tally.done()
    }

    /// Waits until everything that was put is done: got, and its lease dropped. Does not suspend if that is
    /// so already. It is enough that it was so for a moment while this waited, also if more has been put
    /// since.
    ///
    /// # Cancel safety
    ///
    /// Dropping it changes nothing.
    ///
    /// # Deadlocks
    ///
    /// Whoever has a lease on an item and joins waits for itself.
    #[track_caller]
    pub fn join(&self) -> Join<'_> {
        Join::new(&self.shared.tally, Site::here(WaitKind::Queue))
    }

    /// As [`join`](Self::join), on a thread that runs no async code and sleeps meanwhile.
    ///
    /// # Panics
    ///
    /// In a task of filch: it would hold up its worker.
    #[track_caller]
    pub fn blocking_join(&self) {
        block_on(self.join());
    }

    /// Ends the queue when it is empty: from now on nothing is put, and every `put` that waits fails. What
    /// is there can still be got; when nothing is left, `get` fails.
    ///
    /// Room that was reserved before counts as something that is left, until its [`Slot`] is used or
    /// dropped.
    ///
    /// Calling it again changes nothing. [`shutdown_now`](Self::shutdown_now) may follow.
    #[doc(alias = "close")]
    pub fn shutdown(&self) {
        self.shared.shut_down(Phase::Draining);
    }

    /// Ends the queue at once: nothing is put any more, and nothing got. What is left in it is dropped, by
    /// this call, and counts as done; what is on lease still has to be done before a `join` ends.
    ///
    /// asyncio's `shutdown(immediate=True)`. Calling it again changes nothing.
    #[doc(alias = "immediate")]
    pub fn shutdown_now(&self) {
        self.shared.shut_down(Phase::Closed);
    }

    /// Whether it was shut down, in either way.
    #[doc(alias = "is_closed")]
    pub fn is_shut_down(&self) -> bool {
        self.shared.lock().phase != Phase::Open
    }

    /// How many items are in it, those included that getters were woken for and have not taken yet.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.shared.lock().items.len()
    }

    /// Whether there is no item in it.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a `put` would have to wait: room that is kept, by slots or for putters that were woken for
    /// it, is not free.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.shared.lock().is_full()
    }

    /// For how many items there is room in it; `None` for any number.
    #[doc(alias = "maxsize")]
    pub fn capacity(&self) -> Option<usize> {
        let capacity = self.shared.capacity;
        (capacity != usize::MAX).then_some(capacity)
    }

    /// How many of the items that were ever put are not done: those in it, and those on lease.
    pub fn unfinished(&self) -> usize {
        self.shared.tally.unfinished()
    }

    /// The items as a stream of leases, which ends when the queue is shut down and nothing is left. Other
    /// handles are not disturbed: what the stream gets is what a [`get`](Self::get) in its place would.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// use futures_core::Stream;
    /// use std::future::poll_fn;
    /// use std::pin::Pin;
    ///
    /// let queue = filch_sync::Queue::unbounded();
    /// let mut items = queue.clone().into_stream();
    /// queue.try_put(1).unwrap();
    /// queue.shutdown();
    /// let mut next = async || poll_fn(|cx| Pin::new(&mut items).poll_next(cx)).await;
    /// assert_eq!(next().await.map(|lease| lease.into_inner()), Some(1));
    /// assert!(next().await.is_none());
    /// # });
    /// ```
    #[doc(alias = "stream")]
    #[track_caller]
    pub fn into_stream(self) -> IntoStream<T> {
        IntoStream::new(self.shared, Site::here(WaitKind::Queue))
    }
}

impl<T> Clone for Queue<T> {
    /// Another handle to the same queue.
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("unfinished", &self.unfinished())
            .field("is_shut_down", &self.is_shut_down())
            .finish_non_exhaustive()
    }
}
