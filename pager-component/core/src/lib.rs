//! The pager: fixed-size pages of one store, allocated, freed and changed
//! atomically and durably. No I/O but through [`pagebox_store::PageStore`], no
//! clock, no unsafe code.
//!
//! | Room | Knows |
//! |---|---|
//! | [`format`] | bytes to types and back |
//! | [`bitmap`], [`allocation`], [`directory`] | pure maps |
//! | [`flip`] | which bit a failing checksum points at |
//! | [`state`] | all that is known of a file's committed contents |
//! | [`transaction`] | pending changes, as a value |
//! | [`recovery`] | which state counts, at open; writes nothing |
//! | `plan`, `commit` | the protocol: what a commit will do; doing it, the only one that writes |
//! | [`pager`] | the facade and its phases |
//! | [`inspect`], [`check`], [`page_map`] | looking, without changing |
//! | [`repair`] | mending, on request |
//! | [`format1`] | format 1, complete in itself; nobody uses it yet |
//!
//! What holds throughout: nothing that the durable state reaches is ever
//! written, page 0 apart; memory changes after the medium did; what is read
//! from a file is parsed into types before it is believed. Bad bytes are never
//! a panic; a wrong decision of our own always is, before anything is written:
//! the file is then as of the last commit.
//!
//! # Example
//! ```
//! use pagebox_core::{Access, Pager};
//! use pagebox_store::{MemoryStore, PageSize};
//!
//! let mut pager = Pager::create(MemoryStore::new(PageSize::KIB_4), 0)?;
//! let mut tx = pager.begin()?;
//! let ids = pager.alloc_protected(&mut tx, 1)?;
//! pager.stage(&mut tx, ids[0])?[..5].copy_from_slice(b"hello");
//! pager.commit(tx)?;
//!
//! let mut pager = Pager::open(pager.close(), Access::Read)?;
//! let page = pager.verify_protected(ids[0])?.page;
//! assert_eq!(pager.store().page(page).unwrap()[..5], *b"hello");
//! # Ok::<(), pagebox_core::Error>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod allocation;
pub mod bitmap;
pub mod check;
mod commit;
pub mod directory;
mod error;
pub mod finding;
pub mod flip;
pub mod format;
pub mod format1;
mod ids;
pub mod inspect;
pub mod kinds;
pub mod page_map;
pub mod pager;
mod plan;
pub mod recovery;
pub mod repair;
pub mod state;
pub mod transaction;

pub use error::{Error, Operation};
pub use ids::{Extent, ProtectedId, Side};
pub use pager::{Access, CommitInfo, Location, Pager, ProtectedPage, Stats};
pub use transaction::Transaction;

use format::superblock;
use pagebox_store::PageSize;

/// The page size that the first bytes of a page file announce: at least 20, or
/// all that there are.
///
/// # Errors
/// [`Error::Identity`].
pub fn page_size(head: &[u8]) -> Result<PageSize, Error> {
    superblock::identify(head).map_err(Error::Identity)
}
