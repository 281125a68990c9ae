//! A part of a buffer.

use super::{IoBuf, IoBufMut};
use std::fmt;
use std::ops::{Bound, RangeBounds};

/// A part of a buffer.
///
/// For writing from, the part is cut off at the buffer's initialised length; for reading into, at its
/// capacity, and the bytes before the part should be initialised (a gap is zeroed).
#[derive(Clone, PartialEq, Eq)]
pub struct Slice<B> {
    buffer: B,
    begin: usize,
    end: usize,
}

impl<B: IoBuf> Slice<B> {
    pub(super) fn new(buffer: B, range: impl RangeBounds<usize>) -> Self {
        let begin = match range.start_bound() {
            Bound::Included(&begin) => begin,
            Bound::Excluded(&before) => before.checked_add(1).expect("a range beyond the end"),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&last) => last.checked_add(1).expect("a range beyond the end"),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => usize::MAX,
        };
        assert!(begin <= end, "a slice that begins at {begin} and ends at {end}");
        Self { buffer, begin, end }
    }

    /// The whole buffer.
    pub fn into_inner(self) -> B {
        self.buffer
    }

    /// The whole buffer, by reference.
    pub fn get_ref(&self) -> &B {
        &self.buffer
    }

    /// Where the part begins in the buffer, in bytes.
    pub fn begin(&self) -> usize {
        self.begin
    }

    /// The first position in question, cut off at `limit`.
    fn begin_within(&self, limit: usize) -> usize {
        self.begin.min(limit)
    }

    fn len_within(&self, limit: usize) -> usize {
        self.end.min(limit) - self.begin_within(limit).min(self.end.min(limit))
    }
}

// SAFETY: a part of memory that stays where it is stays where it is; it is cut off at what is
// initialised.
unsafe impl<B: IoBuf> IoBuf for Slice<B> {
    fn as_ptr(&self) -> *const u8 {
        let begin = self.begin_within(self.buffer.len());
        // SAFETY: within the initialised part, or just past it.
        unsafe { self.buffer.as_ptr().add(begin) }
    }

    fn len(&self) -> usize {
        self.len_within(self.buffer.len())
    }

    fn stand_in() -> Self {
        Self { buffer: B::stand_in(), begin: 0, end: 0 }
    }

    fn own(&mut self) -> Option<*mut u8> {
        let begin = self.begin_within(self.buffer.len());
        // SAFETY: as above.
        self.buffer.own().map(|own| unsafe { own.add(begin) })
    }
}

// SAFETY: as above; it is cut off at the capacity.
unsafe impl<B: IoBufMut> IoBufMut for Slice<B> {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        let begin = self.begin_within(self.buffer.capacity());
        // SAFETY: within the buffer, or just past it.
        unsafe { self.buffer.as_mut_ptr().add(begin) }
    }

    fn capacity(&self) -> usize {
        self.len_within(self.buffer.capacity())
    }

    unsafe fn set_init(&mut self, len: usize) {
        if len == 0 {
            return;
        }
        let before = self.buffer.len();
        if before < self.begin {
            // SAFETY: `len > 0` bytes were written at `begin`, so the gap before it is within the
            // capacity; it is the buffer's own memory.
            unsafe {
                self.buffer.as_mut_ptr().add(before).write_bytes(0, self.begin - before);
            }
        }
        // SAFETY: all up to `begin` is initialised now, and `len` more by the caller's promise.
        unsafe { self.buffer.set_init(self.begin + len) };
    }
}

impl<B: fmt::Debug> fmt::Debug for Slice<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}[{}..{}]", self.buffer, self.begin, self.end)
    }
}
