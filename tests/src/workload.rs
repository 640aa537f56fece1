//! What a caller can do to a page file, and [`Workload`]: endless steps of it.

use crate::rng::Rng;

/// Bytes for a part of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where they start, and where they end, in 1/65,536 of a page.
    range: (u16, u16),
    seed: u64,
}

impl Part {
    /// A part of a page, or all of it.
    pub fn random(rng: &mut Rng) -> Self {
        let ends = [rng.below(0x1_0000) as u16, rng.below(0x1_0000) as u16];
        let range = match rng.below(4) {
            0 => (0, u16::MAX),
            _ => (ends[0].min(ends[1]), ends[0].max(ends[1])),
        };
        Self {
            range,
            seed: rng.next_u64(),
        }
    }

    /// Where it is in a page, and the bytes.
    pub fn bytes(&self, page_size: usize) -> (usize, Vec<u8>) {
        let at = |of: u16| usize::from(of) * page_size / usize::from(u16::MAX);
        let (start, end) = (at(self.range.0), at(self.range.1));
        let mut bytes = vec![0; end - start];
        Rng::new(self.seed).fill(&mut bytes);
        (start, bytes)
    }
}

/// A change within a transaction. Pages are chosen among those that there are
/// when it is made: `pick` counts through them, round and round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Allocate so many regular pages.
    Alloc(u32),
    /// Free regular pages.
    Free(Vec<u64>),
    /// Allocate so many protected pages.
    AllocProtected(u32),
    /// Free protected pages.
    FreeProtected(Vec<u64>),
    /// Write a part of a protected page.
    Write(u64, Part),
}

/// Something that a caller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Commit these changes.
    Commit(Vec<Change>),
    /// Commit these changes, durable with the next commit or sync.
    Defer(Vec<Change>),
    /// Make these changes, and roll them back.
    RollBack(Vec<Change>),
    /// Write a part of a regular page, in place.
    Write(u64, Part),
    /// Sync.
    Sync,
}

/// Endless steps, the same for the same seed. The file fills and empties again.
#[derive(Clone, Debug)]
pub struct Workload {
    rng: Rng,
    fills: bool,
    /// Of ten commits.
    deferred: u64,
}

impl Workload {
    /// A workload of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            fills: true,
            deferred: 0,
        }
    }

    /// One of whose commits half are deferred: for formats that can.
    pub fn deferring(seed: u64) -> Self {
        Self {
            deferred: 5,
            ..Self::new(seed)
        }
    }

    /// The next step; most are commits.
    pub fn step(&mut self) -> Step {
        if self.rng.chance(1, 60) {
            self.fills = !self.fills;
        }
        match self.rng.below(10) {
            0 => Step::Sync,
            1 | 2 => Step::Write(self.rng.next_u64(), Part::random(&mut self.rng)),
            3 => Step::RollBack(self.changes()),
            _ if self.deferred > 0 && self.rng.below(10) < self.deferred => {
                Step::Defer(self.changes())
            }
            _ => Step::Commit(self.changes()),
        }
    }

    /// The changes of a transaction; half of them have one.
    pub fn changes(&mut self) -> Vec<Change> {
        let count = if self.rng.chance(1, 2) {
            1
        } else {
            self.rng.between(2, 6)
        };
        (0..count).map(|_| self.change()).collect()
    }

    fn change(&mut self) -> Change {
        let tide = if self.fills {
            [0, 0, 0, 3]
        } else {
            [0, 3, 3, 3]
        };
        match self.rng.below(10) {
            0..4 if *self.rng.pick(&tide) == 0 => match self.rng.below(2) {
                0 => Change::Alloc(self.rng.below(6) as u32),
                _ => Change::AllocProtected(self.rng.below(4) as u32),
            },
            0..4 => match self.rng.below(2) {
                0 => Change::Free(self.picks(5)),
                _ => Change::FreeProtected(self.picks(3)),
            },
            _ => Change::Write(self.rng.next_u64(), Part::random(&mut self.rng)),
        }
    }

    fn picks(&mut self, most: u64) -> Vec<u64> {
        (0..self.rng.between(1, most))
            .map(|_| self.rng.next_u64())
            .collect()
    }
}
