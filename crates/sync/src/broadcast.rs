//! Every item to every receiver.

use filch_atomic::current::WaitKind;
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use crate::blocking::block_on;
use crate::crowd::Crowd;
use crate::wait_list::Site;

/// A sender, and a receiver of everything that is sent from now on. At most `capacity` items are kept for
/// those who are behind: see [`Broadcast`].
///
/// ```
/// # pollster::block_on(async {
/// use filch_sync::{RecvError, broadcast};
///
/// let (sender, mut news) = broadcast(2);
/// let mut same_news = news.resubscribe();
/// sender.send("one").unwrap();
/// assert_eq!(news.recv().await, Ok("one"));
/// sender.send("two").unwrap();
/// sender.send("three").unwrap();
/// // This one has not kept up: there is room for two only.
/// assert_eq!(same_news.recv().await, Err(RecvError::Lagged(1)));
/// assert_eq!(same_news.recv().await, Ok("two"));
/// # });
/// ```
///
/// # Panics
///
/// If `capacity` is 0.
#[doc(alias = "channel")]
pub fn broadcast<T>(capacity: usize) -> (BroadcastSender<T>, Broadcast<T>) {
    assert!(capacity > 0, "a broadcast has to have room for an item");
    let ring = Ring { items: VecDeque::new(), oldest: 0, capacity, senders: 1, receivers: 1 };
    let shared = Arc::new(Crowd::new(ring));
    (BroadcastSender { shared: shared.clone() }, Broadcast::new(shared, 0))
}

/// What was sent and not yet seen by everybody, under the crowd's lock.
struct Ring<T> {
    /// Oldest first.
    items: VecDeque<Item<T>>,
    /// The number of the first of them, or of the next to come.
    oldest: u64,
    capacity: usize,
    senders: usize,
    receivers: usize,
}

struct Item<T> {
    /// Counted, so that the copy for a receiver, which the user's code makes, is not made under the lock (D8).
    value: Arc<T>,
    /// How many receivers have yet to see it. Those that do not keep up are among them.
    left: usize,
}

/// What a look at the ring came to.
enum Found<T> {
    Item(Arc<T>),
    Lagged(u64),
    SendersGone,
}

/// What was found, as its receiver gets it. Should its `clone` panic, it stays.
fn deliver<T: Clone>(found: &mut Option<Found<T>>) -> Option<Result<T, RecvError>> {
    let outcome = match found.take()? {
        Found::Lagged(missed) => Err(RecvError::Lagged(missed)),
        Found::SendersGone => Err(RecvError::SendersGone),
        Found::Item(value) => Ok(Arc::try_unwrap(value).unwrap_or_else(|shared| {
            // Back until it is copied. The original may have become the last one by then.
            let Found::Item(shared) = found.insert(Found::Item(shared)) else { unreachable!() };
            let copy = T::clone(shared);
            let original = found.take();
            drop(original);
            copy
        })),
    };
    Some(outcome)
}

impl<T> Ring<T> {
    /// The number of the next item to come.
    fn newest(&self) -> u64 {
        self.oldest + self.items.len() as u64
    }

    /// What a receiver gets whose next item is `next`; moves that on.
    fn take(&mut self, next: &mut u64) -> Option<Found<T>> {
        if *next < self.oldest {
            let missed = self.oldest - *next;
            *next = self.oldest;
            return Some(Found::Lagged(missed));
        }
        let place = (*next - self.oldest) as usize;
        let Some(item) = self.items.get_mut(place) else {
            return (self.senders == 0).then_some(Found::SendersGone);
        };
        *next += 1;
        item.left -= 1;
        if item.left > 0 {
            return Some(Found::Item(item.value.clone()));
        }
        // Nobody else wants it. Whoever has yet to see an older one would want this one too, so it is
        // the oldest.
        debug_assert_eq!(place, 0, "receivers see items in order");
        self.oldest += 1;
        self.items.pop_front().map(|item| Found::Item(item.value))
    }

    /// As `take`, into `found`, unless something is there that was not delivered yet. Whether something is.
    fn look(&mut self, next: &mut u64, found: &mut Option<Found<T>>) -> Option<()> {
        if found.is_none() {
            *found = self.take(next);
        }
        found.as_ref().map(|_| ())
    }

    /// Takes in an item, and gives the one that there is no room for any more.
    fn put(&mut self, value: Arc<T>) -> Option<Item<T>> {
        let full = self.items.len() == self.capacity;
        let lost = if full { self.items.pop_front() } else { None };
        self.oldest += u64::from(full);
        self.items.push_back(Item { value, left: self.receivers });
        lost
    }

    /// A receiver goes that has not seen what comes from `next` on. Gives what nobody wants any more.
    fn leave(&mut self, next: u64) -> VecDeque<Item<T>> {
        self.receivers -= 1;
        let unseen = next.saturating_sub(self.oldest) as usize;
        self.items.iter_mut().skip(unseen).for_each(|item| item.left -= 1);
        let unwanted = self.items.iter().take_while(|item| item.left == 0).count();
        self.oldest += unwanted as u64;
        self.items.drain(..unwanted).collect()
    }

    /// One more receiver, of what comes from now on. Gives the number of its first item.
    fn join(&mut self) -> u64 {
        self.receivers += 1;
        self.newest()
    }
}

/// Sends to every [`Broadcast`] receiver. Made by [`broadcast()`]; a clone sends to the same.
///
/// # Cost
///
/// An allocation for each item, one short lock, and a wake for each receiver that waits.
#[doc(alias = "Sender")]
pub struct BroadcastSender<T> {
    shared: Arc<Crowd<Ring<T>>>,
}

impl<T> BroadcastSender<T> {
    /// Sends to all receivers there are now, and gives their number. It never waits: see
    /// [`Broadcast`] for who does not keep up.
    ///
    /// # Errors
    ///
    /// Gives the item back if there is no receiver.
    pub fn send(&self, item: T) -> Result<usize, T> {
        if self.receiver_count() == 0 {
            return Err(item);
        }
        let item = Arc::new(item);
        let mut ring = self.shared.lock();
        let receivers = ring.receivers;
        if receivers == 0 {
            drop(ring);
            return Err(Arc::into_inner(item).expect("nobody else has seen it"));
        }
        let lost = ring.put(item);
        ring.wake_all();
        drop(lost);
        Ok(receivers)
    }

    /// One more receiver, of what is sent from now on.
    pub fn subscribe(&self) -> Broadcast<T> {
        let next = self.shared.lock().join();
        Broadcast::new(self.shared.clone(), next)
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.shared.lock().receivers
    }

    /// How many items there are that not everybody has seen.
    pub fn len(&self) -> usize {
        self.shared.lock().items.len()
    }

    /// Whether everybody has seen everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Clone for BroadcastSender<T> {
    fn clone(&self) -> Self {
        self.shared.lock().senders += 1;
        Self { shared: self.shared.clone() }
    }
}

impl<T> Drop for BroadcastSender<T> {
    fn drop(&mut self) {
        let mut ring = self.shared.lock();
        ring.senders -= 1;
        if ring.senders == 0 {
            ring.wake_all();
        }
    }
}

impl<T> fmt::Debug for BroadcastSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (receivers, len) = (self.receiver_count(), self.len());
        f.debug_struct("BroadcastSender").field("receivers", &receivers).field("len", &len).finish()
    }
}

/// Receives every item that is sent after it came, in order. Made by [`broadcast()`],
/// [`BroadcastSender::subscribe`] and [`resubscribe`](Self::resubscribe).
///
/// A receiver that is behind by more items than there is room for loses the oldest. It is told how many, once,
/// and goes on with the oldest there is.
///
/// # Fairness
///
/// All receivers are woken by each item, and none can hold up another, nor the sender.
///
/// # Cost
///
/// Receiving is one short lock and a copy of the item; the last to see it gets the item itself. Waiting
/// allocates nothing.
#[doc(alias = "Receiver")]
pub struct Broadcast<T> {
    shared: Arc<Crowd<Ring<T>>>,
    /// The number of the item to see next.
    next: u64,
    /// What came of the last look, until it is delivered: it is not lost when the user's code panics that runs
    /// between the look and the return, a waker's or the item's `clone`.
    found: Option<Found<T>>,
}

impl<T> Broadcast<T> {
    fn new(shared: Arc<Crowd<Ring<T>>>, next: u64) -> Self {
        Self { shared, next, found: None }
    }

    /// One more receiver, of what is sent from now on.
    pub fn resubscribe(&self) -> Self {
        let next = self.shared.lock().join();
        Self::new(self.shared.clone(), next)
    }

    /// How many items wait for this receiver, with those that it has lost.
    pub fn len(&self) -> u64 {
        let found = match &self.found {
            Some(Found::Item(_)) => 1,
            Some(Found::Lagged(missed)) => *missed,
            Some(Found::SendersGone) | None => 0,
        };
        found + self.shared.lock().newest() - self.next
    }

    /// Whether it has seen everything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone> Broadcast<T> {
    /// Waits for the next item.
    ///
    /// # Errors
    ///
    /// [`Lagged`](RecvError::Lagged), once, if items were lost to this receiver; the next call goes on behind
    /// them. [`SendersGone`](RecvError::SendersGone) if there is none left, and no sender.
    ///
    /// # Cancel safety
    ///
    /// Dropped before it gave an item, it has taken none. Should the item's `clone` panic, the item is there for
    /// the next call.
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Result<T, RecvError>> + use<'_, T> {
        let site = Site::here(WaitKind::Queue);
        async move {
            let Self { shared, next, found } = self;
            shared.until(site, |ring: &mut Ring<T>| ring.look(next, found)).await;
            deliver(found).expect("it was found")
        }
    }

    /// The next item, if it is there.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv); or there is none yet.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        // Its place in the ring is given up under the lock, which is released before the user's code runs (D8).
        self.shared.lock().look(&mut self.next, &mut self.found);
        match deliver(&mut self.found) {
            Some(Ok(item)) => Ok(item),
            Some(Err(RecvError::Lagged(missed))) => Err(TryRecvError::Lagged(missed)),
            Some(Err(RecvError::SendersGone)) => Err(TryRecvError::SendersGone),
            None => Err(TryRecvError::Empty),
        }
    }

    /// [`recv`](Self::recv) on a thread that runs no async code.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    ///
    /// # Panics
    ///
    /// In a task of filch.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        block_on(self.recv())
    }
}

impl<T> Drop for Broadcast<T> {
    fn drop(&mut self) {
        let unwanted = self.shared.lock().leave(self.next);
        // The user's destructors, with the lock released (D8).
        drop(unwanted);
    }
}

impl<T> fmt::Debug for Broadcast<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broadcast").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Why there was no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecvError {
    /// The receiver was behind by more than there is room for: so many items were lost to it.
    Lagged(u64),
    /// There is no item left, and no sender.
    #[doc(alias = "Closed")]
    SendersGone,
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lagged(missed) => write!(f, "the receiver did not keep up: {missed} items lost"),
            Self::SendersGone => f.write_str("no sender is left"),
        }
    }
}

impl Error for RecvError {}

/// Why there is no item now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none yet.
    Empty,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
    /// As [`RecvError::SendersGone`].
    #[doc(alias = "Closed")]
    SendersGone,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => f.write_str("there is no item yet"),
            Self::Lagged(missed) => RecvError::Lagged(missed).fmt(f),
            Self::SendersGone => RecvError::SendersGone.fmt(f),
        }
    }
}

impl Error for TryRecvError {}
