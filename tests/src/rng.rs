//! [`Rng`]: the same numbers from the same seed, on every machine and for ever.

use std::collections::VecDeque;

/// `SplitMix64`: small, quick, and good enough to choose what to try.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
    /// What comes first.
    script: VecDeque<u8>,
}

impl Rng {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            script: VecDeque::new(),
        }
    }

    /// Begins with numbers of 16 bits that a fuzzer chose, so that it can change
    /// one choice and keep the others.
    pub fn scripted(script: &[u8]) -> Self {
        Self {
            state: 0,
            script: script.iter().copied().collect(),
        }
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        if let Some(low) = self.script.pop_front() {
            let high = self.script.pop_front().unwrap_or(0);
            return u64::from(u16::from_le_bytes([low, high]));
        }
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias is below end / 2^64, and nothing here is a lottery.
        self.next_u64() % end
    }

    /// A number from `first` to `last`, both included.
    pub fn between(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// True `numerator` times in `denominator`.
    pub fn chance(&mut self, numerator: u64, denominator: u64) -> bool {
        self.below(denominator) < numerator
    }

    /// One of a non-empty slice.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }

    /// One to `max` different ones of a non-empty slice, in any order.
    pub fn pick_some<T: Copy>(&mut self, from: &[T], max: usize) -> Vec<T> {
        let mut rest = from.to_vec();
        let count = self.between(1, max.min(from.len()) as u64);
        (0..count)
            .map(|_| rest.swap_remove(self.below(rest.len() as u64) as usize))
            .collect()
    }

    /// Random bytes.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// A new seed, for something that draws on its own.
    #[must_use]
    pub fn fork(&mut self) -> Self {
        Self::new(self.next_u64())
    }
}
