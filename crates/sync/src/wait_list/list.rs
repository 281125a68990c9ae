//! The list and its nodes.

use filch_atomic::cell::UnsafeCell;
use filch_atomic::sync::atomic::{AtomicU8, Ordering};
use std::fmt;
use std::marker::PhantomPinned;
use std::mem::{self, MaybeUninit};
use std::pin::Pin;
use std::ptr::{self, NonNull};
use std::task::Waker;

use super::WakeBatch;

/// In no list. The node is its owner's alone.
const IDLE: u8 = 0;
/// In a list. The node belongs to whoever holds the lock that the list is under.
const QUEUED: u8 = 1;
/// Out of the list again, by somebody else's hand. The node is its owner's alone, and its value is there.
const RELEASED: u8 = 2;

/// One place in a [`WaitList`]. Lives in the future that waits, and is empty until that is polled.
pub(crate) struct Waiter<T> {
    state: AtomicU8,
    /// The list that it is in or was in last. Compared, never followed. Written by its owner only.
    list: UnsafeCell<*const WaitList<T>>,
    /// Written when it leaves the idle state, so that a wait that turns out to be none costs nothing.
    node: UnsafeCell<MaybeUninit<Node<T>>>,
    /// Others point at it while it is queued. This also tells the compiler not to assume that a
    /// `&mut` of it, or of a future around it, is the only way to it.
    _pinned: PhantomPinned,
}

struct Node<T> {
    older: Link<T>,
    newer: Link<T>,
    /// There while it is queued.
    waker: Option<Waker>,
    /// There while it is queued or released, until it is taken.
    value: Option<T>,
}

type Link<T> = Option<NonNull<Waiter<T>>>;

// SAFETY: a node is one thread's at a time (README, "Who may touch a node"), and it passes values of `T`
// and wakers, which are `Send`, from one to the other.
unsafe impl<T: Send> Send for Waiter<T> {}
// SAFETY: all that a `&Waiter` shows is its state, which is atomic.
unsafe impl<T: Send> Sync for Waiter<T> {}

/// What a waiter left behind in [`WaitList::remove`]. Drop it when the lock is released (D8).
#[must_use = "a grant has to be handed on, and a waker dropped outside the lock"]
#[derive(Debug)]
pub(crate) enum Left<T> {
    /// It was in no list.
    Nothing,
    /// It was waiting still.
    Queued(T, Waker),
    /// It had been released, and had not picked up its value.
    Released(T),
}

impl<T> Waiter<T> {
    /// A place that is in no list.
    #[inline(always)]
    pub(crate) fn new() -> Self {
        Self {
            state: AtomicU8::new(IDLE),
            list: UnsafeCell::new(ptr::null()),
            node: UnsafeCell::new(MaybeUninit::uninit()),
            _pinned: PhantomPinned,
        }
    }

    /// Whether it is neither queued nor released. Exact: only its owner can change that.
    #[inline(always)]
    pub(crate) fn is_idle(&self) -> bool {
        // Relaxed: only the owner leaves this state or comes back to it.
        self.state.load(Ordering::Relaxed) == IDLE
    }

    /// Whether it is in a list. Under the lock of that list this is exact; elsewhere, true may be over
    /// at once, and false is final.
    #[inline]
    pub(crate) fn is_queued(&self) -> bool {
        // Acquire: pairs with the Release in `Chain::release`; who sees that may take the value.
        self.state.load(Ordering::Acquire) == QUEUED
    }

    /// The value of a waiter that was released; it is idle then. Needs no lock.
    #[inline]
    pub(crate) fn take_released(self: Pin<&mut Self>) -> Option<T> {
        // Acquire: pairs with the Release in `Chain::release`.
        if self.state.load(Ordering::Acquire) != RELEASED {
            return None;
        }
        // SAFETY: a released node is its owner's, and that is the caller: it has it exclusively. It was written
        // when it left the idle state.
        let value = self.node.with_mut(|node| unsafe { (*node).assume_init_mut().value.take() });
        // Relaxed: only the owner looks for it.
        self.state.store(IDLE, Ordering::Relaxed);
        value
    }

    /// Makes an idle waiter a released one that holds `value`, as if it had waited for it.
    pub(crate) fn set_released(self: Pin<&mut Self>, value: T) {
        assert!(self.is_idle(), "a waiter has one place");
        let node = Node { older: None, newer: None, waker: None, value: Some(value) };
        // SAFETY: an idle node is its owner's. There is nothing in it that would have to be dropped.
        self.node.with_mut(|place| unsafe { (*place).write(node) });
        // Relaxed: only the owner looks for it.
        self.state.store(RELEASED, Ordering::Relaxed);
    }

    /// The end of a waiter that is not idle: of a released one that was not looked at, at best.
    #[cold]
    fn drop_node(&mut self) {
        // Acquire: pairs with the Release in `Chain::release`, after which nobody else has the node.
        if self.state.load(Ordering::Acquire) == QUEUED {
            // Its future forgot to take it out: the list would be left with a dangling pointer.
            eprintln!("filch-sync: a waiter was dropped while it was in its list: aborting");
            std::process::abort();
        }
        // SAFETY: a released node is its owner's, and was written; nobody looks at it again.
        self.node.with_mut(|node| unsafe { (*node).assume_init_drop() });
    }
}

impl<T> Drop for Waiter<T> {
    #[inline(always)]
    fn drop(&mut self) {
        // Relaxed: only its owner, who is here, makes it anything but idle.
        if self.state.load(Ordering::Relaxed) != IDLE {
            self.drop_node();
        }
    }
}

impl<T> fmt::Debug for Waiter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Acquire: for no reason but that it may be read at all; it orders nothing here.
        let state = match self.state.load(Ordering::Acquire) {
            IDLE => "idle",
            QUEUED => "queued",
            _ => "released",
        };
        f.write_str(state)
    }
}

/// Who waits, oldest first. Belongs under a lock: `&mut` of it is the proof that the lock is held.
///
/// It must not be moved from one lock to another, nor swapped with another list, while somebody is in
/// it. A primitive cannot be moved while a future borrows it; so that is a rule for the code in this crate.
pub(crate) struct WaitList<T> {
    waiting: Chain<T>,
    /// Those whom [`release_all`](Self::release_all) has let go, and who have not been told yet.
    leaving: Chain<T>,
}

struct Chain<T> {
    oldest: Link<T>,
    newest: Link<T>,
}

// SAFETY: it gives access to its nodes' values and wakers, which are `Send`, and to nothing else.
unsafe impl<T: Send> Send for WaitList<T> {}
// SAFETY: `&WaitList` lends `&T`.
unsafe impl<T: Send + Sync> Sync for WaitList<T> {}

impl<T> WaitList<T> {
    /// A list that nobody is in.
    pub(crate) const fn new() -> Self {
        Self { waiting: Chain::new(), leaving: Chain::new() }
    }

    /// Whether nobody waits. Who was let go by [`release_all`](Self::release_all) does not.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.oldest.is_none()
    }

    /// Puts an idle waiter behind all others.
    ///
    /// # Panics
    ///
    /// If the waiter is not idle.
    pub(crate) fn push_back(&mut self, waiter: Pin<&mut Waiter<T>>, value: T, waker: Waker) {
        assert!(waiter.is_idle(), "a waiter has one place");
        let list = ptr::from_ref(self);
        let waiter = waiter.as_ref().get_ref();
        let older = self.waiting.newest.replace(NonNull::from(waiter));
        // SAFETY: only its owner looks at this word, and lends the waiter to us exclusively.
        waiter.list.with_mut(|word| unsafe { *word = list });
        let node = Node { older, newer: None, waker: Some(waker), value: Some(value) };
        // SAFETY: an idle node is its owner's, as above. There is nothing in it that would have to be dropped.
        waiter.node.with_mut(|place| unsafe { (*place).write(node) });
        // Relaxed: whoever gets at the node takes the lock first, and the owner is here.
        waiter.state.store(QUEUED, Ordering::Relaxed);
        match older {
            // SAFETY: it is queued, and we have the lock: it is there (Pin) and ours.
            Some(older) => unsafe { with(older, |node| node.newer = Some(waiter.into())) },
            None => self.waiting.oldest = Some(waiter.into()),
        }
    }

    /// What the oldest waiter carries.
    #[inline]
    pub(crate) fn front(&self) -> Option<&T> {
        // SAFETY: it is queued, and we have the lock, and lend it no longer than that.
        self.waiting.oldest.map(|oldest| unsafe { value(oldest) })
    }

    /// What the oldest waiter carries, to be changed before it is released.
    #[inline]
    pub(crate) fn front_mut(&mut self) -> Option<&mut T> {
        // SAFETY: as above, and `&mut self`.
        self.waiting.oldest.map(|oldest| unsafe { value_mut(oldest) })
    }

    /// Releases the oldest waiter, which keeps its value. Wake it when the lock is released.
    #[inline]
    #[must_use = "who is released has to be woken"]
    pub(crate) fn pop_front(&mut self) -> Option<Waker> {
        self.waiting.release()
    }

    /// What everybody who waits carries, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let mut next = self.waiting.oldest;
        std::iter::from_fn(move || {
            let this = next?;
            // SAFETY: all in the chain are queued, and we have the lock for as long as `self` is lent.
            unsafe {
                next = with(this, |node| node.newer);
                Some(value(this))
            }
        })
    }

    /// Shows what everybody who waits carries, oldest first, to be changed. For as many as there are, the
    /// lock is held.
    pub(crate) fn for_each_mut(&mut self, mut each: impl FnMut(&mut T)) {
        let mut next = self.waiting.oldest;
        while let Some(this) = next {
            // SAFETY: all in the chain are queued, and we have the lock. One loan at a time.
            unsafe {
                next = with(this, |node| node.newer);
                each(value_mut(this));
            }
        }
    }

    /// Lets go everybody who waits now, in one step: nobody who comes later is among them, and none of
    /// them is found by [`pop_front`](Self::pop_front) any more. They are still queued, and have to be
    /// released by [`release_leaving`](Self::release_leaving), as many at a time as there is room for.
    pub(crate) fn release_all(&mut self) {
        let waiting = mem::replace(&mut self.waiting, Chain::new());
        let Some(oldest) = waiting.oldest else { return };
        match self.leaving.newest {
            Some(last) => {
                // SAFETY: both are queued, and we have the lock.
                unsafe {
                    with(last, |node| node.newer = Some(oldest));
                    with(oldest, |node| node.older = Some(last));
                }
                self.leaving.newest = waiting.newest;
            }
            None => self.leaving = waiting,
        }
    }

    /// Releases those who were let go, oldest first, until they or the room in the batch are used up.
    /// `last_word` may change what they carry.
    pub(crate) fn release_leaving(
        &mut self,
        batch: &mut WakeBatch,
        mut last_word: impl FnMut(&mut T),
    ) {
        while !batch.is_full()
            && let Some(oldest) = self.leaving.oldest
        {
            // SAFETY: it is queued, and we have the lock.
            last_word(unsafe { value_mut(oldest) });
            batch.extend(self.leaving.release());
        }
    }

    /// Whether a waiter in this list would be woken through another waker than `waker`.
    pub(crate) fn has_other_waker(&self, waiter: Pin<&mut Waiter<T>>, waker: &Waker) -> bool {
        let Some(waiter) = self.find(waiter) else { return false };
        // SAFETY: it is queued here, and we have the lock.
        unsafe { with(waiter, |node| !node.waker.as_ref().is_some_and(|old| old.will_wake(waker))) }
    }

    /// Has a waiter in this list woken through another waker. Gives back the one that is of no use now, to
    /// be dropped when the lock is released (D8).
    #[must_use = "to be dropped outside the lock"]
    pub(crate) fn replace_waker(
        &mut self,
        waiter: Pin<&mut Waiter<T>>,
        waker: Waker,
    ) -> Option<Waker> {
        match self.find(waiter) {
            // SAFETY: it is queued here, and we have the lock.
            Some(waiter) => unsafe { with(waiter, |node| node.waker.replace(waker)) },
            None => Some(waker),
        }
    }

    /// Takes a waiter out, wherever it stands, in constant time. It is idle then.
    ///
    /// # Panics
    ///
    /// If it is in another list.
    pub(crate) fn remove(&mut self, mut waiter: Pin<&mut Waiter<T>>) -> Left<T> {
        let Some(found) = self.find(waiter.as_mut()) else {
            return waiter.take_released().map_or(Left::Nothing, Left::Released);
        };
        // SAFETY: it is queued here, so its neighbours are, and we have the lock.
        unsafe {
            let (older, newer) = with(found, |node| (node.older.take(), node.newer.take()));
            let chain = if self.leaving.oldest == Some(found) || self.leaving.newest == Some(found)
            {
                &mut self.leaving
            } else {
                // Or it is no end of either: then the chain is not touched.
                &mut self.waiting
            };
            match older {
                Some(older) => with(older, |node| node.newer = newer),
                None => chain.oldest = newer,
            }
            match newer {
                Some(newer) => with(newer, |node| node.older = older),
                None => chain.newest = older,
            }
            let left = with(found, |node| node.value.take().zip(node.waker.take()));
            // Relaxed: only the owner looks for it.
            found.as_ref().state.store(IDLE, Ordering::Relaxed);
            let (value, waker) = left.expect("who is queued carries both");
            Left::Queued(value, waker)
        }
    }

    /// The node of a waiter that is in this list.
    fn find(&self, waiter: Pin<&mut Waiter<T>>) -> Link<T> {
        if !waiter.is_queued() {
            return None;
        }
        let waiter = waiter.as_ref().get_ref();
        // SAFETY: only its owner, who is here, writes this word.
        let list = waiter.list.with(|word| unsafe { *word });
        assert!(ptr::eq(list, self), "a waiter that is in another list");
        Some(NonNull::from(waiter))
    }
}

impl<T> Chain<T> {
    const fn new() -> Self {
        Self { oldest: None, newest: None }
    }

    /// Takes the oldest out and gives it back to its owner, who may free it from that moment on.
    #[inline]
    fn release(&mut self) -> Option<Waker> {
        let released = self.oldest?;
        // SAFETY: all in the chain are queued, and we have the lock.
        unsafe {
            let (newer, waker) = with(released, |node| (node.newer.take(), node.waker.take()));
            self.oldest = newer;
            match newer {
                Some(newer) => with(newer, |node| node.older = None),
                None => self.newest = None,
            }
            // Release: pairs with the Acquire in `Waiter::take_released`. The node is not ours any more.
            released.as_ref().state.store(RELEASED, Ordering::Release);
            waker
        }
    }
}

/// Lends a node for a moment.
///
/// # Safety
///
/// The node is queued, and so written, and the caller has the lock of its list.
#[inline(always)]
unsafe fn with<T, R>(waiter: NonNull<Waiter<T>>, look: impl FnOnce(&mut Node<T>) -> R) -> R {
    // SAFETY: it is queued, so its owner, who pinned it, cannot free it without the lock; and while we
    // have that, the node is ours. The reference ends with the closure, which gets no other.
    unsafe { waiter.as_ref().node.with_mut(|node| look((*node).assume_init_mut())) }
}

/// What a node carries.
///
/// # Safety
///
/// As for [`with`], for as long as the loan lasts; and nobody lends it to change it meanwhile.
unsafe fn value<'a, T>(waiter: NonNull<Waiter<T>>) -> &'a T {
    // SAFETY: as for `with`.
    let node = unsafe { waiter.as_ref().node.with(|node| (*node).assume_init_ref()) };
    node.value.as_ref().expect("who is queued carries something")
}

/// What a node carries, to be changed.
///
/// # Safety
///
/// As for [`with`], for as long as the loan lasts; and nobody else lends it meanwhile.
unsafe fn value_mut<'a, T>(waiter: NonNull<Waiter<T>>) -> &'a mut T {
    // SAFETY: as for `with`.
    let node = unsafe { waiter.as_ref().node.with_mut(|node| (*node).assume_init_mut()) };
    node.value.as_mut().expect("who is queued carries something")
}

impl<T> fmt::Debug for WaitList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitList").field("waiting", &self.iter().count()).finish_non_exhaustive()
    }
}
