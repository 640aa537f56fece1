//! The table of snapshots: states of MAP that have a name. A page of it, bytes to
//! types and back.
//!
//! | Page | newest first; each names the one before it |
//! |---|---|
//! | 0..32 | entry {page, birth, checksum} of the next older page; absent: the last |
//! | 32..40, 40..128 | number of snapshots in this page (1 to P / 128 - 1), zero |
//! | 128 + 128k.. | snapshot k of this page, oldest first |
//!
//! | Snapshot | |
//! |---|---|
//! | 0..8, 8..16, 16..24 | id, generation, time: nanoseconds since 1970, the caller's |
//! | 24, 25, 26..32 | height of MAP, length of the name, zero |
//! | 32..64 | root entry of MAP |
//! | 64..128 | name, UTF-8 |

use alloc::string::String;
use alloc::vec::Vec;

use super::entry::{self, Entry, Tree, Which};
use super::shape::{ENTRY_LEN, Shape};
use crate::codec::{narrow, offset, part, put, u8_at, u64_at, wide};

/// Bytes of a snapshot, and of what stands before the first one.
pub(super) const SNAPSHOT_LEN: usize = 128;

/// Bytes of a name.
pub const NAME_MAX: usize = 64;

/// Where the name stands in a snapshot.
const NAME_AT: usize = SNAPSHOT_LEN - NAME_MAX;

/// A state of MAP that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// A number that no other snapshot of the file has, or had.
    pub id: u64,
    /// The state that it is.
    pub generation: u64,
    /// When it was made, in nanoseconds since 1970, as its maker said.
    pub time: u64,
    /// Height of MAP.
    pub(super) map_height: u8,
    /// Root entry of MAP.
    pub(super) map: Option<Entry>,
    /// What it is called.
    pub name: String,
}

impl Snapshot {
    /// MAP as it was.
    pub(super) fn map_tree(&self) -> Tree {
        Tree {
            which: Which::Map,
            height: self.map_height.into(),
            root: self.map,
        }
    }
}

/// What stands in a page of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TablePage {
    /// What names the next older page; none: this is the oldest.
    pub(super) older: Option<Entry>,
    /// Oldest first: at least one.
    pub(super) snapshots: Vec<Snapshot>,
}

/// How many snapshots a page holds.
pub(super) fn room(shape: Shape) -> usize {
    shape.page_size.bytes() / SNAPSHOT_LEN - 1
}

/// Why a name is none.
pub(super) fn fault_of_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > NAME_MAX {
        Some("it is longer than 64 bytes")
    } else if name.chars().any(char::is_control) {
        Some("it has a control character")
    } else {
        None
    }
}

impl TablePage {
    /// Its bytes: a page.
    pub(super) fn encode(&self, shape: Shape) -> Vec<u8> {
        let mut page = alloc::vec![0; shape.page_size.bytes()];
        entry::encode(&mut page, 0, self.older.as_ref());
        put(&mut page, 32, &wide(self.snapshots.len()).to_le_bytes());
        let places = (SNAPSHOT_LEN..).step_by(SNAPSHOT_LEN);
        for (snapshot, at) in self.snapshots.iter().zip(places) {
            for (number, at) in [snapshot.id, snapshot.generation, snapshot.time]
                .iter()
                .zip((at..).step_by(8))
            {
                put(&mut page, at, &number.to_le_bytes());
            }
            let [name_len, ..] = offset(snapshot.name.len()).to_le_bytes();
            put(&mut page, at + 24, &[snapshot.map_height, name_len]);
            entry::encode(&mut page, at + 32, snapshot.map.as_ref());
            put(&mut page, at + NAME_AT, snapshot.name.as_bytes());
        }
        page
    }

    /// Reads a page whose checksum is right.
    ///
    /// # Errors
    /// What can't be in it.
    pub(super) fn decode(shape: Shape, page: &[u8]) -> Result<Self, &'static str> {
        let older = entry::decode(page, 0).map_err(|_| "an entry has bytes that no entry has")?;
        let count = u64_at(page, 32);
        if count == 0 || count > wide(room(shape)) {
            return Err("no table of snapshots has so many in a page");
        }
        let mut snapshots = Vec::with_capacity(narrow(count));
        for at in (SNAPSHOT_LEN..).step_by(SNAPSHOT_LEN).take(narrow(count)) {
            snapshots.push(snapshot(part(page, at, SNAPSHOT_LEN), shape)?);
        }
        Ok(Self { older, snapshots })
    }
}

fn snapshot(bytes: &[u8], shape: Shape) -> Result<Snapshot, &'static str> {
    let name_len = usize::from(u8_at(bytes, 25));
    if name_len > NAME_MAX {
        return Err("a snapshot has a name that is too long");
    }
    let name = core::str::from_utf8(part(bytes, NAME_AT, name_len))
        .map_err(|_| "a snapshot has a name that is no text")?;
    if fault_of_name(name).is_some() {
        return Err("a snapshot has a name that can't be");
    }
    let map_height = u8_at(bytes, 24);
    if !(1..=shape.map_levels()).contains(&u32::from(map_height)) {
        return Err("no tree is so high");
    }
    const { assert!(32 + ENTRY_LEN == NAME_AT) };
    Ok(Snapshot {
        id: u64_at(bytes, 0),
        generation: u64_at(bytes, 8),
        time: u64_at(bytes, 16),
        map_height,
        map: entry::decode(bytes, 32).map_err(|_| "an entry has bytes that no entry has")?,
        name: name.into(),
    })
}
