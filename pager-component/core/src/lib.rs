//! The pager: fixed-size pages of one store, allocated, freed and changed
//! atomically and durably. No I/O but through [`pagebox_store::PageStore`], no
//! clock, no unsafe code.
//!
//! | Room | Knows |
//! |---|---|
//! | `codec`, [`checksum`], [`bitmap`], [`kinds`], [`allocation`] | bytes, sums, pure maps |
//! | [`flip`], `flip_xxh3` | which bit a failing checksum points at |
//! | [`changes`], [`facts`] | what is asked of a file, and what it answers; no format |
//! | [`format0`] | the format of `mappedpages`, complete in itself |
//! | [`format1`] | ours, complete in itself |
//! | [`file`](mod@file) | the formats behind one list of verbs |
//! | [`recovery`] | which format it is, and which state counts, at open; writes nothing |
//! | [`transaction`] | alloc, free and stage on pending changes |
//! | [`pager`] | the facade and its phases |
//! | [`inspect`], [`check`], [`page_map`], [`structure`], [`finding`] | looking, without changing |
//! | [`repair`] | mending, on request |
//!
//! Only [`file`](mod@file), [`recovery`] and [`repair`] name a format; a format
//! names nothing that stands above it.
//!
//! What holds throughout: nothing that the durable state reaches is ever
//! written, page 0 of format 0 apart; memory changes after the medium did; what is read
//! from a file is parsed into types before it is believed. Bad bytes are never
//! a panic; a wrong decision of our own always is, before anything is written:
//! the file is then as of the last commit.
//!
//! What only says what is wrong with damaged files is marked as cold and inlined
//! nowhere: the component has a limit of a mebibyte.
//!
//! # Example
//! ```
//! use pagebox_core::{Access, Format, NewFile, Pager};
//! use pagebox_store::{MemoryStore, PageSize};
//!
//! let uuid = *b"drawn at random "; // by the caller: here is no randomness
//! let new = NewFile { format: Format::One, page_count: 0, uuid };
//! let mut pager = Pager::create_as(MemoryStore::new(PageSize::KIB_4), &new)?;
//! let mut tx = pager.begin()?;
//! let ids = pager.alloc_protected(&mut tx, 1)?;
//! pager.stage(&mut tx, ids[0])?[..5].copy_from_slice(b"hello");
//! pager.commit(tx)?;
//!
//! let mut pager = Pager::open(pager.close(), Access::Read)?;
//! let page = pager.verify_protected(ids[0])?.page.unwrap();
//! assert_eq!(pager.store().page(page).unwrap()[..5], *b"hello");
//! # Ok::<(), pagebox_core::Error>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod action;
pub mod allocation;
pub mod bitmap;
pub mod changes;
pub mod check;
pub mod checksum;
mod codec;
mod error;
pub mod facts;
pub mod file;
pub mod finding;
pub mod flip;
mod flip_xxh3;
pub mod format0;
pub mod format1;
pub mod identity;
mod ids;
pub mod inspect;
pub mod kinds;
pub mod page_map;
pub mod pager;
mod pin;
mod read;
mod reasoning;
pub mod recovery;
pub mod repair;
pub mod structure;
pub mod transaction;
mod verified;
mod verify;
mod view;

pub use error::{Error, Operation};
pub use facts::{
    ChangedPage, CommitInfo, Compacted, Durability, Location, NewFile, Obstacle, ProtectedPage,
    SnapshotInfo, Stats,
};
pub use identity::Format;
pub use ids::{Extent, ProtectedId, Side};
pub use pager::{Access, Pager};
pub use pin::Pin;
pub use recovery::page_size;
pub use transaction::Transaction;
pub use view::View;
