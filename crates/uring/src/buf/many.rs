//! Several buffers in one operation.

use super::{IoBuf, IoBufMut};
use std::array;

/// As many buffers as the kernel takes in one call. Of more, those behind are left out.
const MOST: usize = libc::UIO_MAXIOV as usize;

/// Several buffers, one after the other, that an operation owns while the kernel reads from them.
///
/// The methods must not panic: [`Operation::entry`](crate::Operation::entry) calls them.
///
/// # Safety
///
/// For each address and length that [`parts`](Self::parts) gives, what [`IoBuf`] promises.
pub unsafe trait IoBufs: Send + Sized + 'static {
    /// Gives `put` the address and the length of each, in order.
    fn parts(&self, put: &mut dyn FnMut(*const u8, usize));

    /// An empty stand-in, given back instead of buffers that are lost to the kernel (D7).
    fn stand_in() -> Self;

    /// Gives `put` for each, in the same order, what [`IoBuf::own`] says.
    fn own_parts(&mut self, _put: &mut dyn FnMut(Option<*mut u8>)) {}
}

/// Several buffers, one after the other, that an operation owns while the kernel writes into them.
///
/// The methods must not panic, as above.
///
/// # Safety
///
/// For each address and capacity that [`parts_mut`](Self::parts_mut) gives, what [`IoBufMut`] promises.
pub unsafe trait IoBufsMut: Send + Sized + 'static {
    /// Gives `put` the address and the capacity of each, in order.
    fn parts_mut(&mut self, put: &mut dyn FnMut(*mut u8, usize));

    /// Says that `len` bytes, from the beginning of the first buffer on, are initialised now.
    ///
    /// # Safety
    ///
    /// They are, and `len` is at most what all have room for.
    unsafe fn set_filled(&mut self, len: usize);

    /// An empty stand-in, as above.
    fn stand_in() -> Self;

    /// Gives `put` for each, in the same order, how many bytes of it are initialised, from its beginning: for who
    /// watches over what the kernel has done with ([`quarantine`](crate::quarantine)), which leaves alone those that it
    /// is not told this of.
    fn initialised_parts(&self, _put: &mut dyn FnMut(usize)) {}
}

// SAFETY: each is an `IoBuf`, whose bytes stay where they are also when the vector is moved.
unsafe impl<B: IoBuf> IoBufs for Vec<B> {
    fn parts(&self, put: &mut dyn FnMut(*const u8, usize)) {
        self.iter().for_each(|buf| put(buf.as_ptr(), buf.len()));
    }

    fn stand_in() -> Self {
        Self::new()
    }

    fn own_parts(&mut self, put: &mut dyn FnMut(Option<*mut u8>)) {
        self.iter_mut().for_each(|buf| put(buf.own()));
    }
}

// SAFETY: as above.
unsafe impl<B: IoBuf, const N: usize> IoBufs for [B; N] {
    fn parts(&self, put: &mut dyn FnMut(*const u8, usize)) {
        self.iter().for_each(|buf| put(buf.as_ptr(), buf.len()));
    }

    fn stand_in() -> Self {
        array::from_fn(|_| B::stand_in())
    }

    fn own_parts(&mut self, put: &mut dyn FnMut(Option<*mut u8>)) {
        self.iter_mut().for_each(|buf| put(buf.own()));
    }
}

/// A head and a body, say, which need not be of one type.
// SAFETY: as above.
unsafe impl<A: IoBuf, B: IoBuf> IoBufs for (A, B) {
    fn parts(&self, put: &mut dyn FnMut(*const u8, usize)) {
        put(self.0.as_ptr(), self.0.len());
        put(self.1.as_ptr(), self.1.len());
    }

    fn stand_in() -> Self {
        (A::stand_in(), B::stand_in())
    }

    fn own_parts(&mut self, put: &mut dyn FnMut(Option<*mut u8>)) {
        put(self.0.own());
        put(self.1.own());
    }
}

// SAFETY: as above.
unsafe impl<B: IoBufMut> IoBufsMut for Vec<B> {
    fn parts_mut(&mut self, put: &mut dyn FnMut(*mut u8, usize)) {
        self.iter_mut().for_each(|buf| put(buf.as_mut_ptr(), buf.capacity()));
    }

    unsafe fn set_filled(&mut self, mut len: usize) {
        for buf in self {
            // SAFETY: the caller's promise.
            len -= unsafe { fill(buf, len) };
        }
    }

    fn stand_in() -> Self {
        Self::new()
    }

    fn initialised_parts(&self, put: &mut dyn FnMut(usize)) {
        self.iter().for_each(|buf| put(buf.len()));
    }
}

// SAFETY: as above.
unsafe impl<B: IoBufMut, const N: usize> IoBufsMut for [B; N] {
    fn parts_mut(&mut self, put: &mut dyn FnMut(*mut u8, usize)) {
        self.iter_mut().for_each(|buf| put(buf.as_mut_ptr(), buf.capacity()));
    }

    unsafe fn set_filled(&mut self, mut len: usize) {
        for buf in self {
            // SAFETY: the caller's promise.
            len -= unsafe { fill(buf, len) };
        }
    }

    fn stand_in() -> Self {
        array::from_fn(|_| B::stand_in())
    }

    fn initialised_parts(&self, put: &mut dyn FnMut(usize)) {
        self.iter().for_each(|buf| put(buf.len()));
    }
}

// SAFETY: as above.
unsafe impl<A: IoBufMut, B: IoBufMut> IoBufsMut for (A, B) {
    fn parts_mut(&mut self, put: &mut dyn FnMut(*mut u8, usize)) {
        put(self.0.as_mut_ptr(), self.0.capacity());
        put(self.1.as_mut_ptr(), self.1.capacity());
    }

    unsafe fn set_filled(&mut self, len: usize) {
        // SAFETY: the caller's promise.
        let rest = len - unsafe { fill(&mut self.0, len) };
        // SAFETY: as above.
        unsafe { fill(&mut self.1, rest) };
    }

    fn stand_in() -> Self {
        (A::stand_in(), B::stand_in())
    }

    fn initialised_parts(&self, put: &mut dyn FnMut(usize)) {
        put(self.0.len());
        put(self.1.len());
    }
}

/// Says of a buffer that as many of `len` bytes as it has room for are initialised; gives their number.
///
/// # Safety
///
/// They are.
unsafe fn fill<B: IoBufMut>(buf: &mut B, len: usize) -> usize {
    let here = len.min(buf.capacity());
    // SAFETY: the caller's promise.
    unsafe { buf.set_init(here) };
    here
}

/// Where the kernel is told that each is, but for those that are empty.
pub(crate) fn to_read<B: IoBufs>(bufs: &B) -> Vec<libc::iovec> {
    let mut all = Vec::new();
    bufs.parts(&mut |at, len| push(&mut all, at.cast_mut(), len));
    all
}

/// Where the kernel is told that each is, but for those without room, for at most `most` bytes.
pub(crate) fn to_fill<B: IoBufsMut>(bufs: &mut B, mut most: usize) -> Vec<libc::iovec> {
    let mut all = Vec::new();
    bufs.parts_mut(&mut |at, len| {
        let len = len.min(most);
        most -= len;
        push(&mut all, at, len);
    });
    all
}

fn push(all: &mut Vec<libc::iovec>, at: *mut u8, iov_len: usize) {
    if iov_len > 0 && all.len() < MOST {
        all.push(libc::iovec { iov_base: at.cast(), iov_len });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_empty_are_left_out() {
        let bufs = vec![vec![1u8, 2], Vec::new(), vec![3]];
        let lens: Vec<_> = to_read(&bufs).iter().map(|part| part.iov_len).collect();
        assert_eq!(lens, [2, 1]);
        let mut bufs = vec![Vec::new(), Vec::with_capacity(4), Vec::with_capacity(8)];
        let lens: Vec<_> = to_fill(&mut bufs, 6).iter().map(|part| part.iov_len).collect();
        assert_eq!(lens, [4, 2]);
        assert_eq!(to_read(&vec![vec![0u8]; 2000]).len(), MOST);
    }

    #[test]
    fn what_was_written_fills_one_after_the_other() {
        let mut bufs = vec![Vec::new(), Vec::with_capacity(4), Vec::with_capacity(4)];
        let parts = to_fill(&mut bufs, usize::MAX);
        for (part, bytes) in parts.iter().zip(["abcd", "ef"]) {
            // SAFETY: there is room for four bytes.
            unsafe { part.iov_base.cast::<u8>().copy_from(bytes.as_ptr(), bytes.len()) };
        }
        // SAFETY: they were just written.
        unsafe { bufs.set_filled(6) };
        assert_eq!(bufs, [&b""[..], b"abcd", b"ef"]);
    }
}
