//! The word of a cell: its generation in the upper half, its state in the lower.
//!
//! One word, so that one load tells both *which* operation the cell holds and how far it is.

/// The completer has taken what was in the waker slot; the future keeps its hands off it.
pub(super) const CLAIMED: u64 = 1 << 0;
/// The result is in the cell; the kernel side is through with it.
pub(super) const DONE: u64 = 1 << 1;
/// The future is gone; the completer disposes of result and payload.
pub(super) const DROPPED: u64 = 1 << 2;
/// The driver is gone and the kernel was not done: no result will come, the cell is never reused.
pub(super) const LOST: u64 = 1 << 3;
/// There is a waker in the slot.
pub(super) const WAKER: u64 = 1 << 4;
/// Nobody uses the cell.
pub(super) const FREE: u64 = 1 << 5;
/// The cell came from the common free list, and goes back there.
pub(super) const COMMON: u64 = 1 << 6;

/// The operation is not given up with its future. Of the operation, not of how far it is; in the word, so
/// that whoever has only a key can ask without a look into a cell that may be freed meanwhile.
pub(super) const TO_END: u64 = 1 << 7;

/// Which operation: a cell and the generation of its use. It travels as the SQE's `user_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

impl Key {
    pub(super) const fn new(index: u32, generation: u32) -> Self {
        Self(index as u64 | (generation as u64) << 32)
    }

    /// The key that was sent as `user_data`.
    pub const fn from_user_data(user_data: u64) -> Self {
        Self(user_data)
    }

    /// The value for the SQE.
    pub const fn user_data(self) -> u64 {
        self.0
    }

    /// Which cell.
    pub const fn index(self) -> u32 {
        self.0 as u32
    }

    /// Which use of it.
    pub const fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

pub(super) const fn generation(word: u64) -> u32 {
    (word >> 32) as u32
}

/// The state bits alone.
pub(super) const fn state(word: u64) -> u64 {
    word & 0xffff_ffff
}

pub(super) const fn filled(generation: u32) -> u64 {
    (generation as u64) << 32
}

pub(super) const fn free(generation: u32) -> u64 {
    (generation as u64) << 32 | FREE
}
