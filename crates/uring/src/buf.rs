//! Buffers that can be lent to the kernel.

mod aligned;
#[cfg(feature = "bytes")]
mod bytes;
pub(crate) mod many;
mod slice;

pub use aligned::AlignedBuf;
pub use many::{IoBufs, IoBufsMut};
pub use slice::Slice;

use std::ops::RangeBounds;

/// A buffer that an operation owns while the kernel reads from it.
///
/// The methods must not panic: [`Operation::entry`](crate::Operation::entry) calls them.
///
/// # Safety
///
/// The bytes at `as_ptr() .. as_ptr() + len()` are initialised, and stay at that address, unchanged,
/// while the value is moved about, until it is dropped or used mutably.
pub unsafe trait IoBuf: Send + Sized + 'static {
    /// Where it begins.
    fn as_ptr(&self) -> *const u8;

    /// How many initialised bytes there are.
    fn len(&self) -> usize;

    /// An empty stand-in, given back instead of a buffer that is lost to the kernel (D7).
    fn stand_in() -> Self;

    /// Where it begins, if its memory belongs to the value alone and may be written to, whatever: for who
    /// watches over what the kernel has done with ([`quarantine`](crate::quarantine)).
    fn own(&mut self) -> Option<*mut u8> {
        None
    }

    /// Whether there is not one initialised byte.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The initialised bytes.
    fn as_slice(&self) -> &[u8] {
        // SAFETY: the trait's promise.
        unsafe { std::slice::from_raw_parts(self.as_ptr(), self.len()) }
    }

    /// A part of it, by byte positions. For reading into, the part may lie beyond `len`.
    ///
    /// # Panics
    ///
    /// If the range begins after its end.
    fn slice(self, range: impl RangeBounds<usize>) -> Slice<Self> {
        Slice::new(self, range)
    }
}

/// A buffer that an operation owns while the kernel writes into it.
///
/// # Safety
///
/// The memory at `as_mut_ptr() .. as_mut_ptr() + capacity()` belongs to the value alone, may be written
/// to, and stays at that address while the value is moved about. Where there are initialised bytes,
/// `as_mut_ptr` and [`IoBuf::as_ptr`] are the same address.
pub unsafe trait IoBufMut: IoBuf {
    /// Where it begins.
    fn as_mut_ptr(&mut self) -> *mut u8;

    /// How many bytes may be written.
    fn capacity(&self) -> usize;

    /// Says that at least `len` bytes from the beginning are initialised now. Never makes it shorter.
    ///
    /// # Safety
    ///
    /// They are, and `len` is at most [`capacity`](Self::capacity).
    unsafe fn set_init(&mut self, len: usize);
}

// SAFETY: a vector's memory is on the heap, and so it stays where it is.
unsafe impl IoBuf for Vec<u8> {
    fn as_ptr(&self) -> *const u8 {
        Self::as_ptr(self)
    }

    fn len(&self) -> usize {
        Self::len(self)
    }

    fn stand_in() -> Self {
        Self::new()
    }

    fn own(&mut self) -> Option<*mut u8> {
        Some(self.as_mut_ptr())
    }
}

// SAFETY: as above; the spare capacity is the vector's own.
unsafe impl IoBufMut for Vec<u8> {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        Self::as_mut_ptr(self)
    }

    fn capacity(&self) -> usize {
        Self::capacity(self)
    }

    unsafe fn set_init(&mut self, len: usize) {
        if len > self.len() {
            // SAFETY: the caller's promise.
            unsafe { self.set_len(len) };
        }
    }
}

// SAFETY: a box's memory stays where it is.
unsafe impl IoBuf for Box<[u8]> {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(self)
    }

    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn stand_in() -> Self {
        Self::default()
    }

    fn own(&mut self) -> Option<*mut u8> {
        Some(<[u8]>::as_mut_ptr(self))
    }
}

// SAFETY: as above; all of it is initialised.
unsafe impl IoBufMut for Box<[u8]> {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        <[u8]>::as_mut_ptr(self)
    }

    fn capacity(&self) -> usize {
        <[u8]>::len(self)
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= <[u8]>::len(self), "more than was lent");
    }
}

// SAFETY: a box's memory stays where it is.
unsafe impl<const N: usize> IoBuf for Box<[u8; N]> {
    fn as_ptr(&self) -> *const u8 {
        (**self).as_ptr()
    }

    fn len(&self) -> usize {
        N
    }

    fn stand_in() -> Self {
        // By way of a vector: an array may be too large for the stack.
        vec![0; N].into_boxed_slice().try_into().expect("N bytes")
    }

    fn own(&mut self) -> Option<*mut u8> {
        Some((**self).as_mut_ptr())
    }
}

// SAFETY: as above; all of it is initialised.
unsafe impl<const N: usize> IoBufMut for Box<[u8; N]> {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        (**self).as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        N
    }

    unsafe fn set_init(&mut self, len: usize) {
        debug_assert!(len <= N, "more than was lent");
    }
}

// SAFETY: it is never freed and never changes.
unsafe impl IoBuf for &'static [u8] {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(self)
    }

    fn len(&self) -> usize {
        <[u8]>::len(self)
    }

    fn stand_in() -> Self {
        &[]
    }
}

// SAFETY: it is never freed and never changes.
unsafe impl IoBuf for &'static str {
    fn as_ptr(&self) -> *const u8 {
        str::as_ptr(self)
    }

    fn len(&self) -> usize {
        str::len(self)
    }

    fn stand_in() -> Self {
        ""
    }
}

// SAFETY: a string's memory is on the heap.
unsafe impl IoBuf for String {
    fn as_ptr(&self) -> *const u8 {
        str::as_ptr(self)
    }

    fn len(&self) -> usize {
        Self::len(self)
    }

    fn stand_in() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_cut_off_where_the_buffer_ends() {
        let part = vec![1u8, 2, 3, 4].slice(1..3);
        assert_eq!(part.as_slice(), [2, 3]);
        assert_eq!(vec![1u8, 2].slice(1..9).as_slice(), [2]);
        assert_eq!(vec![1u8, 2].slice(5..9).as_slice(), []);
        assert_eq!(vec![1u8, 2].slice(..=0).as_slice(), [1]);
        let boxed: Box<[u8]> = vec![0; 8].into();
        assert_eq!(boxed.slice(6..).capacity(), 2);
    }

    #[test]
    fn reading_into_a_slice_fills_the_gap_before_it() {
        let mut part = Vec::<u8>::with_capacity(16).slice(4..8);
        assert_eq!((part.len(), part.capacity()), (0, 4));
        // SAFETY: within the capacity, and written before it is declared initialised.
        unsafe {
            part.as_mut_ptr().write(7);
            part.set_init(1);
        }
        assert_eq!(part.into_inner(), [0, 0, 0, 0, 7]);
    }

    /// What the kernel does with a buffer, and then what the user does.
    fn is_written_and_read<B: IoBufMut>(mut buffer: B, room: usize) {
        assert_eq!(buffer.capacity(), room);
        // SAFETY: within the capacity, and written before it is declared initialised.
        unsafe {
            buffer.as_mut_ptr().write_bytes(7, room);
            buffer.set_init(room);
        }
        is_read(buffer, &vec![7; room]);
    }

    fn is_read<B: IoBuf>(buffer: B, expected: &[u8]) {
        assert_eq!((buffer.as_slice(), buffer.len()), (expected, expected.len()));
        assert_eq!(buffer.is_empty(), expected.is_empty());
        let stand_in = B::stand_in();
        assert_eq!(stand_in.as_slice().len(), stand_in.len());
    }

    #[test]
    fn every_kind_of_buffer_is_written_and_read() {
        for room in [0, 1, 64] {
            let mut vec = Vec::<u8>::new();
            vec.reserve_exact(room);
            is_written_and_read(vec, room);
            is_written_and_read(vec![0; room].into_boxed_slice(), room);
            is_written_and_read(vec![0; room + 9].into_boxed_slice().slice(4..4 + room), room);
        }
        is_written_and_read(Box::new([0; 0]), 0);
        is_written_and_read(Box::new([0; 64]), 64);
        is_read(&b"bytes"[..], b"bytes");
        is_read("text", b"text");
        is_read("text".to_owned(), b"text");
        is_read("text".slice(1..3), b"ex");
    }

    #[cfg(feature = "bytes")]
    #[test]
    fn bytes_are_read_and_bytes_mut_written_to() {
        is_read(::bytes::Bytes::from_static(b"bytes"), b"bytes");
        is_read(::bytes::Bytes::from(vec![1, 2, 3]).slice(1..), &[2, 3]);
        let mut buffer = ::bytes::BytesMut::with_capacity(64);
        let room = buffer.capacity();
        is_written_and_read(::bytes::BytesMut::with_capacity(64), 64);
        buffer.extend_from_slice(b"there");
        // What is split off has its own part of the memory, and no more.
        let rest = buffer.split_off(2);
        is_read(buffer, b"th");
        is_written_and_read(rest, room - 2);
    }

    #[test]
    fn an_array_larger_than_the_stack_has_a_stand_in() {
        assert_eq!(<Box<[u8; 64 << 20]>>::stand_in().len(), 64 << 20);
    }

    #[test]
    fn a_slice_beyond_everything_is_empty() {
        for begin in [9, 1 << 40, usize::MAX] {
            let mut part = vec![1u8; 8].slice(begin..);
            // Where a wrapped address would be nowhere, or null.
            let null = (part.get_ref().as_ptr() as usize).wrapping_neg();
            assert_eq!((part.len(), part.as_slice(), part.capacity()), (0, &[][..], 0));
            assert_eq!(part.as_ptr(), part.get_ref()[8..].as_ptr());
            assert_eq!(part.as_mut_ptr().cast_const(), part.get_ref()[8..].as_ptr());
            let mut part = part.into_inner().slice(null..);
            assert!(!part.as_ptr().is_null() && !part.as_mut_ptr().is_null());
        }
    }

    #[test]
    fn set_init_never_shortens() {
        let mut buffer = vec![1u8; 8];
        // SAFETY: they are initialised.
        unsafe { buffer.set_init(3) };
        assert_eq!(buffer.len(), 8);
    }

    #[test]
    #[should_panic(expected = "begins at 3 and ends at 2")]
    #[expect(clippy::reversed_empty_ranges)]
    fn a_slice_does_not_end_before_it_begins() {
        let _ = vec![0u8; 8].slice(3..2);
    }
}
