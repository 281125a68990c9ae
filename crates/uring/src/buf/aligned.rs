//! A buffer whose place in memory suits a device.

use super::{IoBuf, IoBufMut};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A buffer that begins at an address that is a multiple of its alignment, as reading and writing around the
/// page cache (`O_DIRECT`) asks for. Its capacity is fixed. It derefs to the bytes that it has.
pub struct AlignedBuf {
    at: NonNull<u8>,
    /// Of the memory at `at`; none is allocated for a capacity of 0.
    layout: Layout,
    len: usize,
}

// SAFETY: the memory is the value's own, and plain bytes.
unsafe impl Send for AlignedBuf {}
// SAFETY: as above; by shared reference it is only read.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// The alignment that every device is content with: a page.
    pub const ALIGNMENT: usize = 4096;

    /// An empty buffer with room for `capacity` bytes, rounded up to a multiple of
    /// [`ALIGNMENT`](Self::ALIGNMENT).
    ///
    /// # Panics
    ///
    /// If no memory can be as large.
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_alignment(capacity, Self::ALIGNMENT)
    }

    /// As [`with_capacity`](Self::with_capacity), with another alignment, in bytes.
    ///
    /// # Panics
    ///
    /// If `alignment` is not a power of two, or no memory can be as large.
    pub fn with_alignment(capacity: usize, alignment: usize) -> Self {
        let layout = Layout::from_size_align(capacity, alignment)
            .and_then(|layout| Layout::from_size_align(layout.pad_to_align().size(), alignment))
            .expect("an alignment that is a power of two, and a capacity that memory can have");
        let at = if layout.size() == 0 {
            layout_dangling(layout)
        } else {
            // SAFETY: it is not of size 0.
            let at = unsafe { alloc_zeroed(layout) };
            NonNull::new(at).unwrap_or_else(|| handle_alloc_error(layout))
        };
        Self { at, layout, len: 0 }
    }

    /// A copy of `bytes`, with a capacity that has room for them.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = Self::with_capacity(bytes.len());
        buffer.extend_from_slice(bytes);
        buffer
    }

    /// How many bytes it has room for.
    pub fn capacity(&self) -> usize {
        self.layout.size()
    }

    /// To what its address is aligned, in bytes.
    pub fn alignment(&self) -> usize {
        self.layout.align()
    }

    /// Appends bytes.
    ///
    /// # Panics
    ///
    /// If there is no room for them.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let room = self.capacity() - self.len;
        assert!(bytes.len() <= room, "room for {room} bytes, not for {}", bytes.len());
        let begin = self.len;
        self.len += bytes.len();
        self[begin..].copy_from_slice(bytes);
    }

    /// Gives it another length: shorter, and the bytes behind are not given out any more; or longer, up to the
    /// capacity, and there is what was there before, at first zeroes.
    ///
    /// # Panics
    ///
    /// If it has no room for so many.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.capacity(), "a capacity of {}, not of {len}", self.capacity());
        self.len = len;
    }

    /// Makes it empty.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

/// An address for nothing, aligned.
fn layout_dangling(layout: Layout) -> NonNull<u8> {
    NonNull::new(std::ptr::without_provenance_mut(layout.align())).expect("no alignment is 0")
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.layout.size() > 0 {
            // SAFETY: allocated with this layout, and freed here alone.
            unsafe { dealloc(self.at.as_ptr(), self.layout) };
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: so many bytes are ours, and all of them were initialised when they were allocated.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

// SAFETY: memory on the heap, to which the value points.
unsafe impl IoBuf for AlignedBuf {
    fn as_ptr(&self) -> *const u8 {
        self.at.as_ptr()
    }

    fn len(&self) -> usize {
        self.len
    }

    fn stand_in() -> Self {
        Self::with_capacity(0)
    }

    fn own(&mut self) -> Option<*mut u8> {
        Some(self.at.as_ptr())
    }
}

// SAFETY: as above; up to its capacity it is its own.
unsafe impl IoBufMut for AlignedBuf {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.at.as_ptr()
    }

    fn capacity(&self) -> usize {
        self.layout.size()
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= self.layout.size(), "more than was lent");
        self.len = self.len.max(len);
    }
}

impl Clone for AlignedBuf {
    fn clone(&self) -> Self {
        let mut other = Self::with_alignment(self.capacity(), self.alignment());
        other.extend_from_slice(self);
        other
    }
}

impl fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedBuf")
            .field("len", &self.len)
            .field("capacity", &self.capacity())
            .field("alignment", &self.alignment())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_aligned_and_as_large_as_asked() {
        for alignment in [1, 2, 512, 4096, 1 << 16] {
            for capacity in [0, 1, 511, 512, 4096, 70_000] {
                let mut buffer = AlignedBuf::with_alignment(capacity, alignment);
                assert!(IoBuf::as_ptr(&buffer).addr().is_multiple_of(alignment));
                assert!(IoBufMut::as_mut_ptr(&mut buffer).addr().is_multiple_of(alignment));
                assert_eq!(buffer.capacity(), capacity.next_multiple_of(alignment));
                assert!(buffer.is_empty() && IoBuf::is_empty(&buffer));
                buffer.set_len(capacity);
                assert!(buffer.iter().all(|&byte| byte == 0));
            }
        }
    }

    #[test]
    fn it_keeps_what_is_put_into_it() {
        let mut buffer = AlignedBuf::copy_of(b"one");
        buffer.extend_from_slice(b" two");
        assert_eq!(
            (&buffer[..], buffer.as_slice(), buffer.len()),
            (&b"one two"[..], &b"one two"[..], 7)
        );
        // SAFETY: they were initialised with the memory.
        unsafe { buffer.set_init(3) };
        assert_eq!(buffer.clone().to_vec(), b"one two");
        buffer.clear();
        buffer.set_len(9);
        assert_eq!(&buffer[..], b"one two\0\0");
        assert_eq!(AlignedBuf::stand_in().len(), 0);
    }

    #[test]
    #[should_panic(expected = "room for 4096 bytes, not for 4097")]
    fn it_does_not_grow() {
        AlignedBuf::with_capacity(10).extend_from_slice(&[0; 4097]);
    }
}
