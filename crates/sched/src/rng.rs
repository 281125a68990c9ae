//! The one place where the scheduler draws at random.

use std::cell::Cell;

/// A small generator for choices that need no secrecy: where to begin to steal. Seeded by the builder,
/// so that a deterministic run repeats.
#[derive(Debug)]
pub(crate) struct Rng {
    state: Cell<u64>,
}

impl Rng {
    /// A generator whose draws follow from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: Cell::new(seed) }
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&self, bound: usize) -> usize {
        // Multiply-shift in place of a division; the bias is of no matter for so small a bound.
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }

    /// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
    fn next(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.state.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn repeats_and_covers() {
        let draw = |seed| {
            let rng = Rng::new(seed);
            (0..1_000).map(|_| rng.below(5)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!((0..5).all(|face| draw(3).contains(&face)));
    }
}
