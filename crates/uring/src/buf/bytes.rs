//! The buffers of the `bytes` crate.

use super::{IoBuf, IoBufMut};
use bytes::{Bytes, BytesMut};

// SAFETY: shared memory that nobody changes; the value only points to it, so it stays where it is.
unsafe impl IoBuf for Bytes {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(self)
    }

    fn len(&self) -> usize {
        Self::len(self)
    }

    fn stand_in() -> Self {
        Self::new()
    }
}

// SAFETY: memory on the heap, to which the value points.
unsafe impl IoBuf for BytesMut {
    fn as_ptr(&self) -> *const u8 {
        <[u8]>::as_ptr(self)
    }

    fn len(&self) -> usize {
        Self::len(self)
    }

    fn stand_in() -> Self {
        Self::new()
    }

    fn own(&mut self) -> Option<*mut u8> {
        Some(<[u8]>::as_mut_ptr(self))
    }
}

// SAFETY: as above; the part up to its capacity is its own, also where it shares an allocation with others.
unsafe impl IoBufMut for BytesMut {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        <[u8]>::as_mut_ptr(self)
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
