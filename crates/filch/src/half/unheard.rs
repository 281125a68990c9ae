//! What was written, and nobody was told of.

use std::mem;
use std::ops::Range;

/// What a write has written whose future was dropped, or whose poll was told to wait. Kept until somebody
/// asks, or the next write begins.
#[derive(Default)]
pub(crate) struct Unheard {
    buffer: Vec<u8>,
    /// The part of the buffer that was written and not told.
    left: Range<usize>,
}

impl Unheard {
    /// Takes note of how a write ended, with its buffer.
    pub(crate) fn note(&mut self, buffer: Vec<u8>, written: usize) {
        *self = Self { buffer, left: 0..written };
    }

    /// How much was written. Told once.
    pub(crate) fn take(&mut self) -> usize {
        mem::take(&mut self.left).len()
    }

    /// Tells nobody any more, and gives the buffer, for its memory.
    pub(crate) fn forget(&mut self) -> Vec<u8> {
        self.left = 0..0;
        mem::take(&mut self.buffer)
    }
}

#[cfg(any(feature = "futures-io", feature = "tokio-io"))]
impl Unheard {
    /// Tells a caller who offers `bufs` how many of its bytes are written already: as long as they are
    /// the same. If they are others, they come after what was written, and that is told to nobody.
    pub(crate) fn tell(&mut self, bufs: &[std::io::IoSlice<'_>]) -> Option<usize> {
        // Where there is a count alone, the bytes were handed over, and whatever is offered now is other.
        let Some(mut rest) = self.buffer.get(self.left.clone()) else {
            self.left = 0..0;
            return None;
        };
        for buf in bufs {
            let both = rest.len().min(buf.len());
            if rest[..both] != buf[..both] {
                self.left = 0..0;
                return None;
            }
            rest = &rest[both..];
        }
        let told = self.left.len() - rest.len();
        self.left.start += told;
        (told > 0).then_some(told)
    }
}

#[cfg(all(test, any(feature = "futures-io", feature = "tokio-io")))]
mod tests {
    use super::Unheard;
    use std::io::IoSlice;

    fn unheard(written: &[u8]) -> Unheard {
        let mut unheard = Unheard::default();
        unheard.note([written, b"not written"].concat(), written.len());
        unheard
    }

    fn tell(unheard: &mut Unheard, offered: &[&str]) -> Option<usize> {
        let bufs: Vec<_> = offered.iter().map(|part| IoSlice::new(part.as_bytes())).collect();
        unheard.tell(&bufs)
    }

    #[test]
    fn who_offers_the_same_again_is_told() {
        assert_eq!(tell(&mut unheard(b"abc"), &["abc"]), Some(3));
        assert_eq!(tell(&mut unheard(b"abc"), &["abcdef"]), Some(3));
        assert_eq!(tell(&mut unheard(b"abc"), &["", "ab", "", "cdef"]), Some(3));
        // In smaller pieces, too.
        let mut written = unheard(b"abcde");
        assert_eq!(tell(&mut written, &["ab"]), Some(2));
        assert_eq!(tell(&mut written, &["c", "d"]), Some(2));
        assert_eq!(tell(&mut written, &["ef"]), Some(1));
        assert_eq!(tell(&mut written, &["f"]), None);
    }

    #[test]
    fn who_offers_something_else_is_not() {
        for other in [&["x"][..], &["abx"], &["ab", "x"], &[]] {
            let mut written = unheard(b"abc");
            assert_eq!(tell(&mut written, other), None, "{other:?}");
        }
        let mut written = unheard(b"abc");
        assert_eq!(tell(&mut written, &["x"]), None);
        assert_eq!(tell(&mut written, &["abc"]), None, "that comes after the other");
        let mut written = unheard(b"abc");
        assert_eq!((written.take(), written.take()), (3, 0));
        assert_eq!(tell(&mut written, &["abc"]), None, "that was told before");
    }
}
