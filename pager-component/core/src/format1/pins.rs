//! [`Pins`]: the generations that are read besides the committed and the durable
//! one, each until the last of its readers is dropped.

use alloc::collections::BTreeMap;
use alloc::sync::Weak;
use core::sync::atomic::{Ordering, fence};

use crate::pin::Pin;

/// The generations that are pinned.
#[derive(Clone, Debug, Default)]
pub(super) struct Pins(BTreeMap<u64, Weak<u64>>);

impl Pins {
    /// Pins a generation.
    pub(super) fn pin(&mut self, generation: u64) -> Pin {
        let living = self.0.get(&generation).and_then(Weak::upgrade);
        let pin = living.map_or_else(|| Pin::new(generation), Pin::again);
        self.0.insert(generation, pin.downgrade());
        pin
    }

    /// Forgets those whose readers are gone.
    pub(super) fn forget_dropped(&mut self) {
        self.0.retain(|_, pin| pin.strong_count() > 0);
        // What a reader in another thread read, it read before it was gone.
        fence(Ordering::Acquire);
    }

    /// The oldest that was not forgotten.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.0.keys().next().copied()
    }
}

/// Who reads pages that the committed state does not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readers<'a> {
    pub(super) pins: &'a Pins,
    /// The generation of the durable state; none: what is at hand replaces it.
    pub(super) durable: Option<u64>,
}

impl Readers<'_> {
    /// Whether a generation is read.
    pub(super) fn contains(&self, generation: u64) -> bool {
        self.durable == Some(generation) || self.pins.0.contains_key(&generation)
    }

    /// The newest of those that read a page which was born at `birth` and freed
    /// at `freed`.
    pub(super) fn newest(&self, birth: u64, freed: u64) -> Option<u64> {
        if birth >= freed {
            return None;
        }
        let pinned = self.pins.0.range(birth..freed).next_back();
        let pinned = pinned.map(|(&generation, _)| generation);
        let durable = self.durable.filter(|it| (birth..freed).contains(it));
        pinned.max(durable)
    }
}
