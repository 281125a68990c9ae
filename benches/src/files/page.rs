//! A buffer that every contender can read into, also around the page cache.

use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

/// 4 KiB on the heap, at an address that is a multiple of 4 KiB. It is always full.
#[derive(Debug)]
pub struct Page(Box<Aligned>);

#[derive(Debug)]
#[repr(align(4096))]
struct Aligned([u8; Page::SIZE]);

impl Page {
    /// Its size, in bytes.
    pub const SIZE: usize = 4096;

    /// One that is all zeroes.
    pub fn new() -> Self {
        Self(Box::new(Aligned([0; Self::SIZE])))
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Page {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.0
    }
}

impl DerefMut for Page {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0.0
    }
}

// SAFETY: its memory is on the heap, is the box's alone, and all of it is initialised always. So it is with the others.
unsafe impl filch::io::IoBuf for Page {
    fn as_ptr(&self) -> *const u8 {
        self.0.0.as_ptr()
    }

    fn len(&self) -> usize {
        Self::SIZE
    }

    fn stand_in() -> Self {
        Self::new()
    }
}

// SAFETY: as above.
unsafe impl filch::io::IoBufMut for Page {
    fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.0.as_mut_ptr()
    }

    fn capacity(&self) -> usize {
        Self::SIZE
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

// SAFETY: as above.
unsafe impl monoio::buf::IoBuf for Page {
    fn read_ptr(&self) -> *const u8 {
        self.0.0.as_ptr()
    }

    fn bytes_init(&self) -> usize {
        Self::SIZE
    }
}

// SAFETY: as above.
unsafe impl monoio::buf::IoBufMut for Page {
    fn write_ptr(&mut self) -> *mut u8 {
        self.0.0.as_mut_ptr()
    }

    fn bytes_total(&mut self) -> usize {
        Self::SIZE
    }

    unsafe fn set_init(&mut self, _: usize) {}
}

impl compio::buf::IoBuf for Page {
    fn as_init(&self) -> &[u8] {
        self
    }
}

impl compio::buf::SetLen for Page {
    unsafe fn set_len(&mut self, _: usize) {}
}

impl compio::buf::IoBufMut for Page {
    fn as_uninit(&mut self) -> &mut [MaybeUninit<u8>] {
        let at = self.0.0.as_mut_ptr().cast();
        // SAFETY: so many bytes are there; compio makes none of them uninitialised, since `as_init` gives them out.
        unsafe { std::slice::from_raw_parts_mut(at, Self::SIZE) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_aligned_and_full() {
        let pages: Vec<_> = (0..10).map(|_| Page::new()).collect();
        for page in &pages {
            assert!(page.as_ptr().addr().is_multiple_of(Page::SIZE));
            assert_eq!(page[..], [0; Page::SIZE]);
        }
    }
}
