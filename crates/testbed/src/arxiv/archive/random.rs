//! Pseudo-random numbers that are the same on every machine and in every version (`SplitMix64`).

/// A source of numbers.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of 0 to `limit` - 1.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        let below = self.next() % u64::from(limit.max(1));
        u32::try_from(below).unwrap_or(0)
    }

    /// One of a list, which is not empty.
    pub(super) fn choose<T: Copy>(&mut self, list: &[T]) -> T {
        let length = u32::try_from(list.len()).unwrap_or(u32::MAX);
        list[self.below(length) as usize]
    }
}

/// A number for a text, another one for another seed.
pub(super) fn mixed(seed: u64, text: &str) -> u64 {
    let folded = text.bytes().fold(Random::new(seed).next(), |mixed, byte| {
        (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Random::new(folded).next()
}
