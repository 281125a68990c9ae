//! What threads share of one driver's cells: the chunks, the common free list, the inbox.

use super::{Handle, Key, OpCell, word};
use crate::Operation;
use crate::counters::{Counters, Counts};
use crate::driver::unpark_for_mail;
use crate::quarantine::{Quarantine, Ward};
use crate::rescue::{CqLock, Rescuers};
use crate::ring::View;
use crate::wake::Wake;
use filch_atomic::Inbox;
use filch_atomic::sync::atomic::{AtomicPtr, Ordering};
use filch_atomic::sync::{Arc, Mutex};
use std::sync::OnceLock;
use std::task::Waker;
use std::{fmt, ptr};

/// Cells in the first chunk; each later one doubles the total. A model has few.
const FIRST_CHUNK: u32 = if cfg!(filch_loom) { 1 } else { 64 };
/// With a first chunk of 64 this is room for 2^30 cells, which no machine has the memory for.
const CHUNKS: usize = if cfg!(filch_loom) { 3 } else { 24 };
const _: () = assert!(!crate::rescue::is_own(chunk_first(CHUNKS) as u64), "an index tells");

/// A message to the owner of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Stage this operation: another thread filled its cell.
    Submit(Key),
    /// The same, but its future has no other driver to go to should this one's thread be stuck.
    SubmitHere(Key),
    /// Ask the kernel to stop this operation, if it still runs.
    Cancel(Key),
}

/// One driver's cells, and what other threads need to reach their owner. It outlives the driver for as
/// long as any operation or [`Remote`](crate::Remote) is left.
pub struct Home {
    chunks: [AtomicPtr<OpCell>; CHUNKS],
    common: Mutex<Common>,
    /// Messages to the owner.
    pub inbox: Inbox<Message>,
    pub(crate) wake: Wake,
    /// The ring's completions, while it is up.
    pub(crate) cq: CqLock<std::sync::Arc<View>>,
    pub(crate) rescuers: Rescuers,
    pub(crate) counters: Counters,
    /// Whoever watches over buffers.
    pub(crate) ward: Option<std::sync::Arc<Ward>>,
    /// Who hears of messages: see [`Remote::tell_of_mail`](crate::Remote::tell_of_mail).
    pub(crate) postman: OnceLock<Postman>,
}

/// Hears of each message to a driver before its thread is woken for it.
pub(crate) type Postman = Box<dyn Fn() + Send + Sync>;

/// What is under the lock: for threads that do not own the ring.
struct Common {
    free: Vec<u32>,
    /// How many chunks there are.
    grown: u32,
    /// Cells in use, as far as non-owners know: what they took less what they gave back. The owner
    /// keeps its own count; the sum of both is the truth.
    live: isize,
    /// No more submissions: the driver is going or gone.
    closed: bool,
    /// After the owner went: the home keeps itself for the cells still in use.
    kept: Option<Arc<Home>>,
}

impl Home {
    pub(crate) fn new(wake: Wake, quarantine: Option<Quarantine>) -> Arc<Self> {
        Arc::new(Self {
            chunks: std::array::from_fn(|_| AtomicPtr::new(ptr::null_mut())),
            common: Mutex::new(Common {
                free: Vec::new(),
                grown: 0,
                live: 0,
                closed: false,
                kept: None,
            }),
            inbox: Inbox::new(),
            wake,
            cq: CqLock::new(),
            rescuers: Rescuers::new(),
            counters: Counters::default(),
            ward: quarantine.map(|quarantine| std::sync::Arc::new(Ward::new(quarantine))),
            postman: OnceLock::new(),
        })
    }

    /// A home for models: nobody sleeps, so nobody is woken.
    #[cfg(filch_loom)]
    pub fn for_model() -> Arc<Self> {
        Self::new(Wake::for_model(None), None)
    }

    /// The same of an owner that sleeps: `bell` is woken where its ring would be, whether it sleeps or not.
    #[cfg(filch_loom)]
    pub fn for_model_of_a_sleeper(bell: Waker) -> Arc<Self> {
        Self::new(Wake::for_model(Some(bell)), None)
    }

    /// For models in which an operation was lost: the home that kept itself for its cell goes after all.
    #[cfg(filch_loom)]
    pub fn end_of_model(&self) {
        let kept = self.common.lock().kept.take();
        drop(kept);
    }

    /// What the driver did so far.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = self.counters.read();
        let (handled, submitted) = self.rescuers.counts();
        counts.signals_handled = handled;
        counts.submitted += submitted;
        counts.completed += counts.rescued;
        counts.violations = self.ward.as_ref().map_or(0, |ward| ward.violations());
        counts
    }

    /// The cell at `index`, which some allocation gave out.
    pub(super) fn cell(&self, index: u32) -> &OpCell {
        let (chunk, offset) = locate(index);
        // Acquire: pairs with the Release in `grow`.
        let cells = self.chunks[chunk].load(Ordering::Acquire);
        assert!(!cells.is_null(), "cell {index} was never given out");
        // SAFETY: the chunk has `chunk_len(chunk)` cells, `offset` is below that, and chunks live as
        // long as the home.
        unsafe { &*cells.add(offset) }
    }

    /// Whether anybody has left the owner something to do that it has not read yet.
    pub fn has_mail(&self) -> bool {
        !self.inbox.is_empty() || self.rescuers.has_requests()
    }

    /// Fills a cell from a thread that does not own the ring and leaves the owner a message to stage
    /// it: `message` of its key. Gives the operation back if the driver no longer takes any.
    pub fn submit<T: Operation>(
        &self,
        operation: T,
        waker: Waker,
        message: fn(Key) -> Message,
    ) -> Result<Handle<T>, T> {
        let mut common = self.common.lock();
        if common.closed {
            return Err(operation);
        }
        let index = match common.free.pop() {
            Some(index) => index,
            None => {
                let new = self.grow(&mut common);
                common.free.extend(new.rev());
                common.free.pop().expect("a chunk has cells")
            }
        };
        common.live += 1;
        let cell = self.cell(index);
        // SAFETY: the index was in the free list, and is out of it now.
        let key = unsafe { cell.fill(index, word::COMMON, operation, waker) };
        // Under the lock: after `close` no submission comes, so the owner's last look at its inbox
        // finds them all. No code of a user's runs here.
        self.inbox.push(message(key));
        drop(common);
        Ok(Handle::new(self, cell, key))
    }

    /// Leaves the owner a message to stage an operation that was not begun, for nobody. False, and nothing has
    /// happened, if the driver no longer takes any.
    ///
    /// # Safety
    ///
    /// As for [`OpCell::refill_unheard`]; `cell` is the one at `index`.
    pub(super) unsafe fn submit_again(&self, cell: &OpCell, index: u32) -> bool {
        let common = self.common.lock();
        if common.closed {
            return false;
        }
        // SAFETY: the caller's promise.
        let key = unsafe { cell.refill_unheard(index) };
        // Under the lock: as in `submit`, and because cell and home may be gone when the owner has it.
        // They are not before it has the lock, for the cell came from the common list.
        self.inbox.push(Message::SubmitHere(key));
        unpark_for_mail(self);
        true
    }

    /// Ends submissions by other threads. The owner empties its inbox after this.
    pub fn close(&self) {
        self.common.lock().closed = true;
    }

    /// Whether the driver takes no more submissions.
    pub fn is_closed(&self) -> bool {
        self.common.lock().closed
    }

    /// How far the operation of this key is: with the kernel side, or completed, or replaced by a later
    /// one. Of one that was never submitted, what the owner reads stays true, because nobody else
    /// completes it (but that `Wanted` may become `Dropped`). One that the kernel has may be completed by
    /// a rescuer at any moment, and its cell freed and filled again: only `Over` stays true.
    pub(super) fn state(&self, key: Key) -> State {
        // Acquire: pairs with the Releases in `OpCell::fill` and `OpCell::empty`.
        let word = self.cell(key.index()).word.load(Ordering::Acquire);
        let over = word::CLAIMED | word::DONE | word::LOST | word::FREE;
        let to_end = word & word::TO_END != 0;
        if word::generation(word) != key.generation() || word & over != 0 {
            State::Over
        } else if word & word::DROPPED != 0 {
            State::Dropped { to_end }
        } else {
            State::Wanted { to_end }
        }
    }

    /// Whether the operation is with the kernel side still. See [`state`](Self::state) for how long that
    /// may be relied on.
    pub fn is_running(&self, key: Key) -> bool {
        self.state(key) != State::Over
    }

    /// Whether the operation is with the kernel side still, and its future waits for it.
    pub(crate) fn is_wanted(&self, key: Key) -> bool {
        matches!(self.state(key), State::Wanted { .. })
    }

    /// As [`Owner::is_unwanted`](super::Owner::is_unwanted).
    pub(crate) fn is_unwanted(&self, key: Key) -> bool {
        matches!(self.state(key), State::Dropped { to_end: false })
    }

    /// Gives an operation back to its future, which begins it elsewhere; as
    /// [`OpCell::return_unbegun`].
    ///
    /// # Safety
    ///
    /// The caller holds the lock of the inbox, has seen `key`'s [`Message::Submit`] there, and takes it out
    /// if this returns true.
    pub(crate) unsafe fn return_unbegun(&self, key: Key, wakers: &mut Vec<Waker>) -> bool {
        // SAFETY: the caller's promise: nobody else finds the submission meanwhile.
        unsafe { self.cell(key.index()).return_unbegun(wakers) }
    }

    /// Completes an operation on a thread that does not own the ring, for an owner that is stuck. Wakes
    /// its future or disposes of the result; user code runs (D8).
    ///
    /// # Safety
    ///
    /// `key`'s final CQE was reaped by the caller, or its submission taken out of the inbox; and
    /// the caller holds a reference to this home.
    pub unsafe fn complete(&self, key: Key, result: i32) {
        // SAFETY: the caller's promise.
        unsafe { self.cell(key.index()).complete(self, None, key.index(), result) };
    }

    /// How many cells there are, in use or not.
    #[cfg(all(test, not(filch_loom)))]
    pub(crate) fn cells(&self) -> u32 {
        chunk_first(self.common.lock().grown as usize)
    }

    /// Takes a cell back from a thread that does not own the ring. What it returns may be the last
    /// reference to the home: the caller drops it when it refers to neither home nor cell any more.
    #[must_use]
    pub(super) fn give_back(&self, index: u32) -> Option<Arc<Home>> {
        let mut common = self.common.lock();
        common.free.push(index);
        common.live -= 1;
        if common.live == 0 { common.kept.take() } else { None }
    }

    /// The owner takes the whole common free list, or a new chunk if that is empty.
    pub(super) fn refill(&self, free: &mut Vec<u32>) {
        let mut common = self.common.lock();
        if common.free.is_empty() {
            free.extend(self.grow(&mut common).rev());
        } else {
            free.append(&mut common.free);
        }
    }

    /// The owner goes; `live` is its own count of cells in use. If there are any, the home keeps
    /// itself until the last of them is given back.
    pub(super) fn retire(home: &Arc<Self>, live: isize) {
        let mut common = home.common.lock();
        debug_assert!(common.closed && common.kept.is_none());
        common.live += live;
        if common.live > 0 {
            common.kept = Some(home.clone());
        }
    }

    /// How many operations are not over, roughly.
    pub(crate) fn running(&self) -> usize {
        let mut running = 0;
        self.for_each_used(|_, word| {
            running += usize::from(word & (word::CLAIMED | word::DONE | word::LOST) == 0);
        });
        running
    }

    /// Shows the index and the word of each cell in use.
    pub(super) fn for_each_used(&self, mut each: impl FnMut(u32, u64)) {
        let grown = self.common.lock().grown;
        for chunk in 0..grown as usize {
            let first = chunk_first(chunk);
            for index in first..first + chunk_len(chunk) {
                // Acquire: pairs with the Releases in `OpCell::fill` and `OpCell::empty`.
                let word = self.cell(index).word.load(Ordering::Acquire);
                if word & word::FREE == 0 {
                    each(index, word);
                }
            }
        }
    }

    /// Makes one more chunk; gives the indices of its cells.
    fn grow(&self, common: &mut Common) -> std::ops::Range<u32> {
        let chunk = common.grown as usize;
        assert!(chunk < CHUNKS, "more operations in flight than a driver can number");
        let cells: Box<[OpCell]> = (0..chunk_len(chunk)).map(|_| OpCell::new()).collect();
        // Release: pairs with the Acquire in `cell`.
        self.chunks[chunk].store(Box::into_raw(cells).cast(), Ordering::Release);
        common.grown += 1;
        chunk_first(chunk)..chunk_first(chunk) + chunk_len(chunk)
    }
}

/// How far an operation is; `to_end`: not to be given up with its future.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Not done, and its future waits.
    Wanted { to_end: bool },
    /// Not done, and its future is gone.
    Dropped { to_end: bool },
    /// Done, or the cell holds another operation by now.
    Over,
}

const fn chunk_len(chunk: usize) -> u32 {
    FIRST_CHUNK << chunk
}

const fn chunk_first(chunk: usize) -> u32 {
    chunk_len(chunk) - FIRST_CHUNK
}

/// Which chunk, and where in it. Chunk sizes are powers of two, so it is a matter of leading zeros.
const fn locate(index: u32) -> (usize, usize) {
    let shifted = index + FIRST_CHUNK;
    let chunk = shifted.ilog2() - FIRST_CHUNK.ilog2();
    (chunk as usize, (shifted - (FIRST_CHUNK << chunk)) as usize)
}

impl Drop for Home {
    fn drop(&mut self) {
        for (chunk, cells) in self.chunks.iter().enumerate() {
            // Relaxed: `&mut self`.
            let cells = cells.load(Ordering::Relaxed);
            if !cells.is_null() {
                let cells = ptr::slice_from_raw_parts_mut(cells, chunk_len(chunk) as usize);
                // SAFETY: `grow` leaked this box. No cell is in use (while there is an owner it
                // holds the home, after that the home keeps itself), so none holds a value.
                drop(unsafe { Box::from_raw(cells) });
            }
        }
    }
}

impl fmt::Debug for Home {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Home").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(filch_loom)))]
mod tests {
    use super::{FIRST_CHUNK, chunk_first, chunk_len, locate};

    #[test]
    fn every_index_has_one_place() {
        let mut expected = (0, 0);
        for index in 0..10 * FIRST_CHUNK {
            assert_eq!(locate(index), expected, "index {index}");
            assert_eq!(chunk_first(expected.0) as usize + expected.1, index as usize);
            expected.1 += 1;
            if expected.1 == chunk_len(expected.0) as usize {
                expected = (expected.0 + 1, 0);
            }
        }
    }
}
