//! A piece of a file: what a client asks for, and what it checks.

use xxhash_rust::xxh3::xxh3_128;

/// The length of every piece of a file but the last, in bytes. So every answer is small, however large
/// the file.
pub(crate) const PIECE: usize = 64 * 1024;

/// What is known of some bytes of a file since they were read first.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Where it begins in the file, in bytes.
    pub(crate) offset: u64,
    /// How many bytes it has. An empty file has one piece, which is empty.
    pub(crate) len: usize,
    hash: u128,
}

impl Piece {
    pub(crate) fn new(offset: u64, bytes: &[u8]) -> Self {
        Self { offset, len: bytes.len(), hash: xxh3_128(bytes) }
    }

    /// Whether these are its bytes: all of them, each of them, in order.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() == self.len && xxh3_128(bytes) == self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_bit_is_noticed_wherever_it_is() {
        let right: Vec<u8> = (0..500u32).map(|n| (n * 7) as u8).collect();
        let piece = Piece::new(0, &right);
        assert!(piece.is(&right));
        for at in 0..right.len() {
            for bit in 0..8 {
                let mut wrong = right.clone();
                wrong[at] ^= 1 << bit;
                assert!(!piece.is(&wrong), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn missing_added_and_swapped_bytes_are_noticed() {
        let piece = Piece::new(0, b"filch");
        assert!(piece.is(b"filch"));
        for wrong in ["", "filc", "filch\0", "flich", "hclif"] {
            assert!(!piece.is(wrong.as_bytes()), "{wrong}");
        }
        assert!(Piece::new(0, b"").is(b""));
        assert!(!Piece::new(0, b"").is(b"\0"));
    }
}
