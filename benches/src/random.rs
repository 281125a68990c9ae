//! Numbers that look random and are the same for every contender.

/// A xorshift generator.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The sequence number `seed`.
    pub fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number.
    fn bits(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0 to one less than `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit
    }

    /// A number from 0 to 1, 1 excluded.
    pub fn fraction(&mut self) -> f64 {
        // 53 bits, which is what the mantissa holds.
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_fill_their_range() {
        let mut random = Random::new(1);
        let fractions: Vec<_> = (0..10_000).map(|_| random.fraction()).collect();
        let mean = fractions.iter().sum::<f64>() / fractions.len() as f64;
        assert!((0.48..0.52).contains(&mean), "{mean}");
        assert!(fractions.iter().all(|it| (0.0..1.0).contains(it)));
        assert!(fractions.iter().any(|it| *it < 0.01) && fractions.iter().any(|it| *it > 0.99));
    }

    #[test]
    fn sequences_differ_and_repeat() {
        let first = |seed| Random::new(seed).below(1 << 40);
        assert_ne!(first(0), first(1));
        assert_eq!(first(5), first(5));
    }
}
