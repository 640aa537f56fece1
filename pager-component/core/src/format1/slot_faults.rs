//! Why a root slot holds no record, for people: the bytes that show it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_store::SECTOR;

use super::medium::Medium;
use super::record::{self, PIECE, RecordFault, SUM, SUMMED};
use super::shape::Shape;
use super::slots;
use crate::checksum::xxh3;
use crate::codec::{narrow, part, u64_at, u128_at, wide};
use crate::flip::Flip;
use crate::ids::Side;
use crate::verify::{FLIP_EVIDENCE, Looks, explained};

/// Bytes of a root slot that show whose it is: magic, length, checksum and
/// generation.
pub(super) const EVIDENCE: usize = 40;

/// Runs of sectors that are told one by one.
const RUNS: usize = 4;

/// What is wrong with a slot, and which bytes of it show it.
pub(super) struct Shown {
    pub(super) text: String,
    pub(super) at: usize,
    pub(super) len: usize,
}

/// The sectors of a record that fails since they are of several generations.
pub(super) struct Stamps {
    /// Of all sectors.
    pub(super) stamps: Vec<u64>,
    /// Of most of them.
    pub(super) most: u64,
}

impl Stamps {
    /// Of the blocks of a record, or of what is taken for one.
    pub(super) fn of(blocks: &[u8]) -> Self {
        let stamps: Vec<u64> = record::stamps(blocks).collect();
        // A record of a mebibyte has 2048 sectors, and few have more than eight.
        let times = |stamp: u64| stamps.iter().filter(|&&other| other == stamp).count();
        // Of equals the first one: the generation stands in its sector.
        let most = stamps.iter().rev().copied();
        let most = most.max_by_key(|&stamp| times(stamp)).unwrap_or(0);
        Self { stamps, most }
    }

    /// Sectors in a row that have another stamp than most: the first one, one past
    /// the last, and the stamp.
    fn others(&self) -> Vec<(usize, usize, u64)> {
        let mut runs: Vec<(usize, usize, u64)> = Vec::new();
        for (sector, &stamp) in self.stamps.iter().enumerate() {
            if stamp == self.most {
                continue;
            }
            match runs.last_mut() {
                Some((_, end, of)) if (*end, *of) == (sector, stamp) => *end += 1,
                _ => runs.push((sector, sector + 1, stamp)),
            }
        }
        runs
    }
}

/// The bytes of a record in a slot: as many as it says, or else as the shortest
/// one has.
pub(super) fn blocks(slot: &[u8]) -> &[u8] {
    if slot.len() < record::BLOCK {
        return slot;
    }
    let len = record::len_of(slot, slot.len()).unwrap_or(record::BLOCK);
    part(slot, 0, len.min(slot.len()))
}

/// Why a slot holds no record.
#[cold]
#[inline(never)]
pub(super) fn explain<S: Medium>(
    store: &S,
    shape: Shape,
    side: Side,
    fault: RecordFault,
    looks: &mut Looks,
) -> Shown {
    let slot = slots::slot_bytes(store, shape.unit(), side);
    let slot = slot.ok().flatten().unwrap_or_default();
    let blocks = blocks(&slot);
    match fault {
        RecordFault::Torn if blocks.len() >= record::BLOCK => torn(blocks),
        RecordFault::Checksum if blocks.len() >= record::BLOCK => checksum(blocks, looks),
        fault => Shown {
            text: fault.to_string(),
            at: 0,
            len: EVIDENCE,
        },
    }
}

/// Which sectors are of which generation.
#[cold]
#[inline(never)]
fn torn(blocks: &[u8]) -> Shown {
    let stamps = Stamps::of(blocks);
    let others = stamps.others();
    let Some(&(first, ..)) = others.first() else {
        // They are equal, and the checksum holds.
        return Shown {
            text: format!(
                "its sectors have stamp {}, its generation is {}",
                stamps.most,
                u64_at(blocks, 32)
            ),
            at: PIECE,
            len: 8,
        };
    };
    let runs = others.iter().take(RUNS).map(|&(from, end, stamp)| {
        let (from, to) = (from * SECTOR, end * SECTOR - 1);
        format!("bytes {from} to {to} have stamp {stamp}, ")
    });
    let runs: String = runs.collect();
    let more = if others.len() > RUNS {
        "more have others, "
    } else {
        ""
    };
    let text = format!(
        "its sectors are of several generations: {runs}{more}the others {}",
        stamps.most
    );
    Shown {
        text,
        at: first * SECTOR + PIECE,
        len: 8,
    }
}

/// Which checksum it should have, and the bit that explains it.
#[cold]
#[inline(never)]
fn checksum(blocks: &[u8], looks: &mut Looks) -> Shown {
    let (stored, computed) = checksums(blocks);
    let payload = record::payload(blocks);
    let summed = part(&payload, SUMMED, payload.len() - SUMMED);
    // Where they are in the slot, not in what is summed.
    let flip = match looks.explain(summed, stored) {
        Some(Flip::Bytes { byte, bit }) => {
            let byte = wide(record::position(SUMMED + narrow(byte)));
            Some(Flip::Bytes { byte, bit })
        }
        flip => flip,
    };
    let (at, len) = match flip {
        Some(Flip::Bytes { byte, .. }) => (narrow(byte), FLIP_EVIDENCE),
        Some(Flip::Checksum { bit }) => (SUM + usize::from(bit / 8), 1),
        None => (SUM, 16),
    };
    Shown {
        text: format!(
            "its checksum is {computed:#034x}, not {stored:#034x} as it says{}",
            explained(flip)
        ),
        at,
        len,
    }
}

/// The checksum that a record says it has, and the one of its bytes.
pub(super) fn checksums(blocks: &[u8]) -> (u128, u128) {
    let payload = record::payload(blocks);
    let summed = part(&payload, SUMMED, payload.len() - SUMMED);
    (u128_at(&payload, SUM), xxh3(summed))
}
