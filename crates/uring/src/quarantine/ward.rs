//! What is watched, and what is kept.

use super::{Lent, Memory, Quarantine, Violation, When};
use crate::cell::Key;
use crate::op::Operation;
use crate::sys;
use filch_atomic::sync::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fmt, mem, slice};

/// How much is kept: so many buffers, and so many bytes.
const MOST_KEPT: usize = 256;
const MOST_BYTES: usize = 8 << 20;

/// What is in memory that nobody has written to yet.
const BLANK: &[u8; PERIOD] = &pattern(0x5a);
/// And in what nobody may use any more.
const POISON: &[u8; PERIOD] = &pattern(0xa5);

/// A pattern's length: each byte is another one.
const PERIOD: usize = 256;

const fn pattern(first: u8) -> [u8; PERIOD] {
    let mut bytes = [0; PERIOD];
    let mut place = 0;
    while place < PERIOD {
        // An odd factor: the numbers come in another order, and zeroes nowhere in a row.
        bytes[place] = first.wrapping_add((place as u8).wrapping_mul(151));
        place += 1;
    }
    bytes
}

/// One driver's.
pub(crate) struct Ward {
    quarantine: Quarantine,
    /// `std`'s: nothing is decided by it.
    violations: AtomicU64,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// What the buffers of operations in flight looked like, as far as they were initialised.
    lent: HashMap<u64, Box<[Box<[u8]>]>>,
    /// Oldest first.
    kept: VecDeque<Kept>,
    bytes: usize,
    /// The ring is gone: nothing is kept any more.
    closed: bool,
}

/// The buffers of an operation that nobody waits for.
struct Kept {
    operation: &'static str,
    parts: Box<[Part]>,
    /// How long they are together.
    len: usize,
    /// Frees them. Not touched before.
    _memory: Memory,
}

/// One of them.
struct Part {
    at: *mut u8,
    len: usize,
    /// What has to be there; None for the poison.
    copy: Option<Box<[u8]>>,
}

// SAFETY: the pointers lead into the memory that goes with them, which is Send.
unsafe impl Send for Kept {}

impl Ward {
    pub(crate) fn new(quarantine: Quarantine) -> Self {
        Self { quarantine, violations: AtomicU64::new(0), inner: Mutex::new(Inner::default()) }
    }

    /// How often something was found.
    pub(crate) fn violations(&self) -> u64 {
        // Relaxed: a counter orders nothing.
        self.violations.load(Ordering::Relaxed)
    }

    /// An operation is about to be staged.
    ///
    /// # Safety
    ///
    /// `lent` is of the operation `key`, which nobody uses, the kernel included, until this returns.
    pub(crate) unsafe fn lend(&self, key: Key, lent: &[Lent]) {
        let copies = lent.iter().map(|lent| {
            let initialised = if lent.is_filled {
                // SAFETY: it is the buffer's own memory, and may be written to (`IoBufMut`).
                unsafe { fill(lent.at.add(lent.initialised), lent.len - lent.initialised, BLANK) };
                lent.initialised
            } else {
                lent.len
            };
            // SAFETY: so much is initialised.
            Box::from(unsafe { slice::from_raw_parts(lent.at, initialised) })
        });
        let copies = copies.collect();
        self.inner.lock().lent.insert(key.user_data(), copies);
    }

    /// An operation is over, and was taken out of its cell.
    pub(crate) fn look<T: Operation>(&self, key: Key, operation: &mut T, result: i32) {
        // None if it was never staged.
        let Some(copies) = self.inner.lock().lent.remove(&key.user_data()) else { return };
        let lent = all_lent(operation);
        let is_filled = lent.iter().any(|lent| lent.is_filled);
        let reported = if is_filled { usize::try_from(result).unwrap_or(0) } else { 0 };
        // What was reported fills one after the other.
        let (mut begin, mut left) = (0, reported);
        for (part, copy) in lent.iter().zip(&copies) {
            // SAFETY: the kernel is done with the operation, which owns the buffer; `lend` has initialised
            // what was not.
            let bytes = unsafe { slice::from_raw_parts(part.at, part.len) };
            if let Some(at) = changed_beyond(bytes, copy, left) {
                let (operation, when, offset) = (T::NAME, When::Beyond(reported), begin + at);
                return self.tell(&Violation { operation, when, offset, len: length(&lent) });
            }
            begin += part.len;
            left = left.saturating_sub(part.len);
        }
    }

    /// Disposes of an operation that is over, and that nobody waits for, and keeps its buffer for a while.
    pub(crate) fn dispose<T: Operation>(&self, mut operation: T, result: i32) {
        let lent = all_lent(&mut operation);
        // Frees all the rest, descriptors above all.
        let memory = operation.dispose_but_buffer(sys::result(result));
        let Some(memory) = memory else { return };
        let part = |&Lent { at, len, is_own, .. }: &Lent| {
            let copy = if is_own {
                // SAFETY: the memory is ours alone: the kernel is done with the operation, and what is left of
                // that is `memory`, which is not looked at before it is freed.
                unsafe { fill(at, len, POISON) };
                None
            } else {
                // SAFETY: it is initialised, for it was lent to be read from.
                Some(unsafe { slice::from_raw_parts(at, len) }.into())
            };
            Part { at, len, copy }
        };
        let (parts, len) = (lent.iter().map(part).collect(), length(&lent));
        let kept = Kept { operation: T::NAME, parts, len, _memory: memory };
        let released = self.inner.lock().keep(kept);
        self.release(released);
    }

    /// The ring is gone: looks at all that is kept, and keeps nothing from now on.
    pub(crate) fn close(&self) {
        let kept = {
            let mut inner = self.inner.lock();
            inner.closed = true;
            inner.bytes = 0;
            mem::take(&mut inner.kept)
        };
        self.release(kept);
    }

    /// Where what is kept is. For tests, which play a kernel that writes late.
    pub(crate) fn kept(&self) -> Vec<(*mut u8, usize)> {
        let inner = self.inner.lock();
        let parts = inner.kept.iter().flat_map(|kept| &kept.parts);
        parts.map(|part| (part.at, part.len)).collect()
    }

    /// Looks a last time, and frees. Under no lock: a user's destructors run (D8).
    fn release(&self, kept: impl IntoIterator<Item = Kept>) {
        for kept in kept {
            let Kept { operation, len, .. } = kept;
            if let Some(offset) = kept.changed() {
                self.tell(&Violation { operation, when: When::Late, offset, len });
            }
        }
    }

    fn tell(&self, violation: &Violation) {
        // Relaxed: a counter orders nothing.
        self.violations.fetch_add(1, Ordering::Relaxed);
        (self.quarantine.0)(violation);
    }
}

impl Inner {
    /// Takes one in; gives those that were there for long enough.
    fn keep(&mut self, kept: Kept) -> Vec<Kept> {
        self.bytes += kept.len;
        self.kept.push_back(kept);
        let mut released = Vec::new();
        while self.closed || self.kept.len() > MOST_KEPT || self.bytes > MOST_BYTES {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.len;
            released.push(oldest);
        }
        released
    }
}

impl Kept {
    /// Where, in all of them one after the other, something is not as it was left.
    fn changed(&self) -> Option<usize> {
        let mut begin = 0;
        self.parts.iter().find_map(|part| {
            // SAFETY: the memory is there, initialised (`Ward::dispose`), and nobody else's.
            let bytes = unsafe { slice::from_raw_parts(part.at, part.len) };
            let changed = match &part.copy {
                Some(copy) => first_difference(bytes, copy),
                None => not_as(bytes, POISON, 0),
            };
            let changed = changed.map(|at| begin + at);
            begin += part.len;
            changed
        })
    }
}

/// The buffers of an operation.
fn all_lent<T: Operation>(operation: &mut T) -> Vec<Lent> {
    let mut all = Vec::new();
    operation.lent(&mut |lent| all.push(lent));
    all
}

/// How long they are together.
fn length(lent: &[Lent]) -> usize {
    lent.iter().fold(0, |sum, lent| sum.saturating_add(lent.len))
}

/// Where a buffer, of which `reported` bytes were written, was changed beyond them. Before that its beginning was as
/// `copy`, and all the rest blank.
fn changed_beyond(bytes: &[u8], copy: &[u8], reported: usize) -> Option<usize> {
    let (before, blank) = bytes.split_at(copy.len());
    let begin = reported.min(before.len());
    let changed = first_difference(&before[begin..], &copy[begin..]).map(|at| begin + at);
    changed.or_else(|| {
        let begin = reported.saturating_sub(before.len()).min(blank.len());
        not_as(&blank[begin..], BLANK, begin).map(|at| before.len() + begin + at)
    })
}

/// Fills memory with a pattern, from its first byte.
///
/// # Safety
///
/// It may be written to.
unsafe fn fill(at: *mut u8, len: usize, pattern: &[u8; PERIOD]) {
    for begin in (0..len).step_by(PERIOD) {
        let part = PERIOD.min(len - begin);
        // SAFETY: within the memory (the caller's promise), and the pattern is no part of it.
        unsafe { at.add(begin).copy_from_nonoverlapping(pattern.as_ptr(), part) };
    }
}

/// Where bytes are not a pattern's, of which they are those from its `skip`th.
fn not_as(bytes: &[u8], pattern: &[u8; PERIOD], skip: usize) -> Option<usize> {
    let skip = skip % PERIOD;
    let (head, rest) = bytes.split_at(bytes.len().min(PERIOD - skip));
    if let Some(at) = first_difference(head, &pattern[skip..]) {
        return Some(at);
    }
    let mut chunks = rest.chunks(PERIOD).enumerate();
    chunks.find_map(|(number, chunk)| {
        first_difference(chunk, pattern).map(|at| head.len() + number * PERIOD + at)
    })
}

/// Where `bytes` are not as `expected`, which may be longer.
fn first_difference(bytes: &[u8], expected: &[u8]) -> Option<usize> {
    // As a whole first: that is fast.
    if bytes == &expected[..bytes.len()] {
        return None;
    }
    bytes.iter().zip(expected).position(|(byte, expected)| byte != expected)
}

impl Drop for Ward {
    fn drop(&mut self) {
        // Of a driver that was not shut down.
        self.close();
    }
}

impl fmt::Debug for Ward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = self.inner.lock();
        f.debug_struct("Ward")
            .field("lent", &inner.lent.len())
            .field("kept", &inner.kept.len())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(filch_loom)))]
mod tests {
    use super::{BLANK, POISON, fill, not_as};

    #[test]
    fn each_change_is_found() {
        for len in [0, 1, 255, 256, 257, 1000] {
            let mut bytes = vec![0; len];
            // SAFETY: its own.
            unsafe { fill(bytes.as_mut_ptr(), len, POISON) };
            for skip in [0, 1, 100, 256, 300].map(|skip: usize| skip.min(len)) {
                assert_eq!(not_as(&bytes[skip..], POISON, skip), None, "{len} {skip}");
                for at in skip..len {
                    bytes[at] ^= 1;
                    assert_eq!(not_as(&bytes[skip..], POISON, skip), Some(at - skip));
                    bytes[at] ^= 1;
                }
            }
        }
        assert!((0..256).all(|place| BLANK[place] != POISON[place]));
    }
}
