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
        Some(IoBufMut::as_mut_ptr(self))
    }
}

// SAFETY: as above; the part up to its capacity is its own, also where it shares an allocation with others.
unsafe impl IoBufMut for BytesMut {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        // A pointer that came from the initialised bytes alone would not be one to the others: of an empty buffer
        // all of the memory is spare.
        let len = Self::len(self);
        // SAFETY: no byte is claimed.
        unsafe { self.set_len(0) };
        let at = self.spare_capacity_mut().as_mut_ptr().cast();
        // SAFETY: as it was: nothing was written, nor moved.
        unsafe { self.set_len(len) };
        at
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
