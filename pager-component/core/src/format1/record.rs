//! The root record: which state of the file this is.
//!
//! Its payload is cut into pieces of 504 bytes, each followed by the generation
//! as a *stamp*, so that every sector says whose it is.

use alloc::vec;
use alloc::vec::Vec;

use pagebox_store::{PageSize, SECTOR};

use super::deltas::{self, Deltas};
use super::entry::{self, Entry, Tree, Which};
use super::header::{Header, decode_homes, encode_homes};
pub use super::shape::{BLOCK, PIECE};
use super::shape::{BLOCK_PAYLOAD, DELTAS};
use crate::checksum::xxh3;
use crate::codec::{array_at, narrow, offset, part, put, u8_at, u32_at, u64_at, u128_at, wide};

const MAGIC: [u8; 8] = *b"PBOXROOT";

/// Where the payload has its checksum, and what it is of begins.
pub(super) const SUM: usize = 16;
pub(super) const SUMMED: usize = 32;

/// A root record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it repeats of the header.
    pub header: Header,
    /// The commit that wrote it.
    pub generation: u64,
    /// The last fold.
    pub base: u64,
    /// All that was born up to here was durable before this was written.
    pub proven: u64,
    /// Pages that the file accounts for.
    pub page_count: u64,
    /// Pages of any kind but free, limbo and reserved.
    pub used: u64,
    /// Protected ids.
    pub protected: u64,
    /// The last id that a snapshot was given.
    pub last_snapshot: u64,
    /// Height of MAP: 1 at least.
    pub map_height: u8,
    /// Height of SPACE.
    pub space_height: u8,
    /// Root entry of MAP, as of the last fold.
    pub map: Option<Entry>,
    /// Root entry of SPACE, as of the last fold.
    pub space: Option<Entry>,
    /// Entry of the newest page of the table of snapshots.
    pub snapshots: Option<Entry>,
    /// What changed since the last fold.
    pub deltas: Deltas,
}

/// Why bytes are no valid root record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordFault {
    /// They begin otherwise.
    #[error("it does not begin with PBOXROOT")]
    Magic,
    /// No record is so long.
    #[error("no record has {0} bytes")]
    Length(u64),
    /// A sector is of another generation: it is torn.
    #[error("its sectors are of several generations")]
    Torn,
    /// The checksum is not that of the bytes.
    #[error("its checksum is wrong")]
    Checksum,
    /// The checksum is right, and a number can't be.
    #[error("its {0} can't be")]
    Field(&'static str),
    /// It says otherwise than the header.
    #[error("it is of another file than the header")]
    OtherFile,
}

/// Bytes of the slot that a record with this first sector takes; none: it is no
/// record.
pub fn len_of(first: &[u8], unit: usize) -> Result<usize, RecordFault> {
    if array_at(first, 0) != MAGIC {
        return Err(RecordFault::Magic);
    }
    let length = u64_at(first, 8);
    let blocks = length / wide(BLOCK_PAYLOAD);
    if blocks == 0 || !length.is_multiple_of(wide(BLOCK_PAYLOAD)) || blocks > wide(unit / BLOCK) {
        return Err(RecordFault::Length(length));
    }
    Ok(narrow(blocks) * BLOCK)
}

/// Where a byte of the payload stands in the slot.
pub(super) const fn position(at: usize) -> usize {
    at / PIECE * SECTOR + at % PIECE
}

/// The stamps of all whole sectors.
pub fn stamps(slot: &[u8]) -> impl Iterator<Item = u64> + '_ {
    slot.chunks_exact(SECTOR)
        .map(|sector| u64_at(sector, PIECE))
}

/// The payload of blocks, in one piece.
pub(super) fn payload(blocks: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(blocks.len());
    for sector in blocks.chunks_exact(SECTOR) {
        payload.extend_from_slice(part(sector, 0, PIECE));
    }
    payload
}

impl Record {
    /// The record, but for what changed since the last fold.
    pub(super) fn without_deltas(&self) -> Self {
        Self {
            deltas: Deltas::default(),
            ..*self
        }
    }

    /// The blocks of a slot that it takes.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(&self.deltas, &Deltas::default())
    }

    /// As [`Record::encode`], with these deltas and what changed after them.
    pub(super) fn encode_with(&self, deltas: &Deltas, later: &Deltas) -> Vec<u8> {
        let counts = deltas.counts_with(later);
        let blocks = (DELTAS + deltas::encoded_len(counts)).div_ceil(BLOCK_PAYLOAD);
        // The payload in one piece, until its checksum is known.
        let mut slot = vec![0; blocks * BLOCK];
        let (payload, _) = slot.split_at_mut(blocks * BLOCK_PAYLOAD);
        let length = wide(payload.len());
        put(payload, 0, &MAGIC);
        put(payload, 8, &length.to_le_bytes());
        let numbers = [
            self.generation,
            self.base,
            self.proven,
            self.page_count,
            self.used,
            self.protected,
            self.last_snapshot,
        ];
        for (number, at) in numbers.iter().zip((32..).step_by(8)) {
            put(payload, at, &number.to_le_bytes());
        }
        let [log2, ..] = self.header.page_size.log2().to_le_bytes();
        put(payload, 88, &[log2, self.map_height, self.space_height]);
        for (count, at) in counts.into_iter().zip([96, 100]) {
            put(payload, at, &offset(count).to_le_bytes());
        }
        put(payload, 112, &self.header.uuid);
        put(payload, 128, &encode_homes(self.header.homes));
        entry::encode(payload, 160, self.map.as_ref());
        entry::encode(payload, 192, self.space.as_ref());
        entry::encode(payload, 224, self.snapshots.as_ref());
        deltas.encode_with(later, payload, DELTAS);
        let sum = xxh3(part(payload, SUMMED, payload.len() - SUMMED));
        put(payload, SUM, &sum.to_le_bytes());

        // Each piece to its sector, the last first: none is in the way.
        for sector in (0..slot.len() / SECTOR).rev() {
            let piece = sector * PIECE;
            slot.copy_within(piece..piece + PIECE, sector * SECTOR);
            let stamp = self.generation.to_le_bytes();
            put(&mut slot, sector * SECTOR + PIECE, &stamp);
        }
        slot
    }

    /// MAP.
    pub(super) fn map_tree(&self) -> Tree {
        Tree {
            which: Which::Map,
            height: self.map_height.into(),
            root: self.map,
        }
    }

    /// SPACE.
    pub(super) fn space_tree(&self) -> Tree {
        Tree {
            which: Which::Space,
            height: self.space_height.into(),
            root: self.space,
        }
    }

    /// Reads the blocks of a slot, as many as [`len_of`] says.
    pub fn decode(blocks: &[u8]) -> Result<Self, RecordFault> {
        let payload = payload(blocks);
        let mut stamps = stamps(blocks);
        let stamp = stamps.next();
        if stamps.any(|other| Some(other) != stamp) {
            return Err(RecordFault::Torn);
        }
        if u128_at(&payload, SUM) != xxh3(part(&payload, SUMMED, payload.len() - SUMMED)) {
            return Err(RecordFault::Checksum);
        }
        let [
            generation,
            base,
            proven,
            page_count,
            used,
            protected,
            last_snapshot,
        ] = [32, 40, 48, 56, 64, 72, 80].map(|at| u64_at(&payload, at));
        if stamp != Some(generation) {
            return Err(RecordFault::Torn);
        }
        let page_size = PageSize::from_log2(u8_at(&payload, 88).into())
            .map_err(|_| RecordFault::Field("page size"))?;
        let deltas = Deltas::decode(
            part(&payload, DELTAS, payload.len() - DELTAS),
            u32_at(&payload, 96),
            u32_at(&payload, 100),
        );
        let root = |at, field| entry::decode(&payload, at).map_err(|_| RecordFault::Field(field));
        Ok(Self {
            header: Header {
                page_size,
                uuid: array_at(&payload, 112),
                homes: decode_homes(&payload, 128),
            },
            generation,
            base,
            proven,
            page_count,
            used,
            protected,
            last_snapshot,
            map_height: u8_at(&payload, 89),
            space_height: u8_at(&payload, 90),
            map: root(160, "entry of MAP")?,
            space: root(192, "entry of SPACE")?,
            snapshots: root(224, "entry of the table of snapshots")?,
            deltas: deltas.ok_or(RecordFault::Field("list of deltas"))?,
        })
    }
}
