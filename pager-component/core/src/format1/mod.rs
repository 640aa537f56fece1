//! Format 1: one sync a commit, files of any size.
//!
//! All integers are little-endian. P is the page size in bytes, U the larger of
//! P and 4096. A *checksum* is XXH3 with 128 bits and seed 0, its low half
//! first. "Zero" in a table: written as zero and ignored when read. Page numbers
//! and protected ids are below 2^48, a file's length below 2^63.
//!
//! | Place | What |
//! |---|---|
//! | byte 0, one U | the *header*, written once |
//! | byte U, one U | *root slot* A |
//! | byte 2U, one U | root slot B |
//! | from there on | data pages, nodes of MAP, and the fixed *homes* of SPACE ([`layout`]) |
//!
//! The first 3U / P pages are the *head*.
//!
//! | Header | |
//! |---|---|
//! | 0..4 | `PBOX` |
//! | 4, 5, 6..8 | major 1, minor 0, zero |
//! | 8..12, 12..16 | log2 of P, zero |
//! | 16..32 | uuid: drawn when the file is made |
//! | 32..64 | first page of the homes of groups 0, 1, 2, 3: 8 bytes each |
//! | 64..496 | zero |
//! | 496..512 | checksum of 0..496. The rest of the U is zero |
//!
//! Both trees are radix trees over one kind of node: P / 32 *entries*.
//!
//! | Entry | |
//! |---|---|
//! | 0..8 | bits 0 to 47 the *number*; bit 48 present, 49 full, 50 side (of SPACE: 0 is A); others zero |
//! | 8..16 | *birth*: the generation that wrote what is named |
//! | 16..32 | checksum of what is named |
//!
//! An absent entry is 32 bytes of zeros. The *level* of an entry is the height
//! of what it names; the root entry stands in the root record.
//!
//! - **MAP**: protected id to page. Level 0: the number is the page, or 0 for
//!   one that reads as zeros. A changed node goes to a free page.
//! - **SPACE**: group of 2P pages to *leaf*, a nibble a page ([`leaf::Kind`]),
//!   the low nibble for the even one. The number counts the used pages below. A
//!   changed node goes to the other side of its home.
//!
//! | Payload of a root record | |
//! |---|---|
//! | 0..8 | `PBOXROOT` |
//! | 8..16 | length of the payload: a multiple of 4032 |
//! | 16..32 | checksum of 32..length |
//! | 32..40 | generation |
//! | 40..48 | base: generation of the last fold |
//! | 48..56 | *proven*: all that was born up to here was durable before |
//! | 56..64 | page count |
//! | 64..72, 72..80 | used pages; protected ids |
//! | 80..88 | last snapshot id given |
//! | 88, 89, 90, 91..96 | log2 of P, height of MAP, height of SPACE, zero |
//! | 96..100, 100..104, 104..112 | number of deltas, of regular deltas, zero |
//! | 112..128, 128..160 | uuid, homes: as in the header |
//! | 160..192, 192..224 | root entries of MAP and SPACE, as of the last fold |
//! | 224..256 | entry of the newest page of the snapshot table |
//! | 256.. | deltas {id 8, entry 32}, an absent entry for a freed one; regular deltas {page in bits 0 to 47, kind in bits 48 to 55}; then zero. Both ascend |
//!
//! In the slot, every 504 bytes of payload are followed by the generation.
//!
//! *Deltas* say what changed since the last *fold*: a commit that writes the
//! changed nodes of both trees, since a record would not hold the deltas, or to
//! close the file. Other commits write their pages and a record.
//!
//! | File | Knows |
//! |---|---|
//! | [`header`], [`record`], [`entry`], [`deltas`], [`leaf`] | bytes to types and back |
//! | [`shape`], [`layout`] | arithmetic |
//! | `check` | what must hold of what is read |
//! | `cache`, `tree` | the trees, read as far as they are asked for |
//! | `pages`, `nibbles`, `places`, `unfolded` | what the deltas come to: what pages are; which are free; what a fold writes |
//! | `rewrite`, `plan` | what a commit will do |
//! | `file`, `look` | the verbs that write nothing; create, close |
//! | `pending` | what deferred commits did |
//! | `pins`, `limbo` | which generations are read; what is kept for them |
//! | [`table`], `snapshots` | pages of the table of snapshots to types and back; the snapshots of a file |
//! | `snapshot` | taking, dropping, reading and going back to a snapshot |
//! | `differ` | where two states of MAP differ |
//! | `view` | a committed state, to be read while commits go on |
//! | `settle`, `room`, `commit` | all that writes, grows or syncs |
//! | `compact`, `compaction` | making the file shorter, in steps; how far that has come |
//! | `slots`, `recover`, `witness` | which root counts; whether it still does |
//! | `kinds`, `describe`, `describe_root`, `fields`, `naming`, `reasons`, `slot_faults` | looking, in words for people |
//! | `audit`, `snapshot_audit`, `tally`, `rotten`, [`findings`] | the check; of one page, too |
//! | `mend`, `mend_snapshots`, `loss` | mending |
//! | `upgrade` | a new file around the regular pages of another one |
//!
//! # Example
//! ```
//! use pagebox_core::ProtectedId;
//! use pagebox_core::changes::{Change, Changes};
//! use pagebox_core::format1::File;
//! use pagebox_store::{MemoryStore, PageSize, PageStore};
//!
//! let mut store = MemoryStore::new(PageSize::KIB_4);
//! let mut file = File::create(&mut store, *b"drawn at random.", 0)?;
//! let mut bytes = store.stage(None).unwrap();
//! bytes[..5].copy_from_slice(b"hello");
//! let id = file.find_free_id(&store, ProtectedId(0))?;
//! let mut changes = Changes::default();
//! changes.protected.insert(id, Change::New(Some(bytes)));
//! file.commit(&mut store, &changes)?;
//!
//! let mut file = File::open(&store)?;
//! let mut bytes = [0; 4096];
//! file.read(&store, id, &mut bytes)?;
//! assert_eq!(bytes[..5], *b"hello");
//! # Ok::<(), pagebox_core::format1::Error>(())
//! ```
#![deny(clippy::indexing_slicing)]

mod audit;
mod cache;
mod check;
mod commit;
mod compact;
mod compaction;
pub mod deltas;
mod describe;
mod describe_root;
mod differ;
pub mod entry;
mod error;
mod fields;
mod file;
pub mod findings;
pub mod header;
mod kinds;
pub mod layout;
pub mod leaf;
mod limbo;
mod look;
mod loss;
mod medium;
mod mend;
mod mend_snapshots;
mod naming;
mod nibbles;
mod pages;
mod pending;
mod pins;
mod places;
mod plan;
mod reasons;
pub mod record;
mod recover;
mod rewrite;
mod room;
mod rotten;
mod settle;
pub mod shape;
mod slot_faults;
mod slots;
mod snapshot;
mod snapshot_audit;
mod snapshots;
pub mod table;
mod tally;
mod tree;
mod unfolded;
mod upgrade;
mod view;
mod witness;

pub use crate::facts::CommitInfo;
pub use error::{Damage, Error, Operation, Short};
pub use file::{File, Stats};
pub use layout::Layout;
pub use leaf::Kind;
pub use look::{Location, Runs};
pub use medium::Medium;
pub use recover::Verdict;
pub use shape::Shape;
pub use slots::identify;
pub use witness::Witness;

pub(crate) use mend::mend;
pub(crate) use reasons::{Reasons, recover};

/// What the format is called.
pub const NAME: &str = "1.0";
