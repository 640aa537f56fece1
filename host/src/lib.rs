//! Pagebox: crash-consistent page files whose logic runs in a WebAssembly
//! sandbox.
//!
//! A page file is made of pages of one size. *Regular* pages are bare: changed
//! in place, durable after a sync. *Protected* pages change atomically, with a
//! transaction, and are checked against a stored checksum. What a transaction
//! allocates, frees and writes becomes durable together, or not at all. Both are
//! named by numbers, a [`PageId`] and a [`ProtectedId`].
//!
//! A new file is of [format 1](Format::One), unless [`Engine::create_with`] is
//! asked for [format 0](Format::Zero), which `mappedpages` reads and writes too.
//! What opens a file finds out by itself.
//!
//! ```
//! # fn main() -> Result<(), pagebox::Error> {
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("data.pages");
//! let engine = pagebox::Engine::new()?; // the embedded component; cheap to clone
//! let mut pager = engine.create(&path, pagebox::PageSize::KIB_4)?;
//! let id = pager.alloc()?;
//! pager.page_mut(id)?.fill(0xAB); // in place, no copy
//! let protected = pager.alloc_protected()?;
//! let mut tx = pager.begin()?;
//! tx.write(protected)?[..5].copy_from_slice(b"hello"); // starts from the current content
//! let more = tx.alloc_many(100)?;
//! tx.commit()?; // all of it, or none of it
//! let bytes: &[u8] = pager.protected_page(protected)?; // a shared borrow; many at once
//! assert_eq!(&bytes[..5], b"hello");
//! # assert_eq!(more.len(), 100);
//! pager.sync()?; // now the regular page is durable too
//! # Ok(()) }
//! ```
//!
//! The page logic is a component that reaches storage only through a [`Store`]
//! that it is handed: an [`MmapStore`], a [`MemoryStore`], a [`ReadOnlyStore`],
//! or any other type that implements the trait. The component is embedded and
//! compiled ahead of time; with the feature `compile`, a machine that it does
//! not fit compiles it when it starts.
//!
//! # In an engine of one's own
//!
//! Programs that run wasmtime themselves use [`COMPONENT`], [`add_to_linker`] and
//! the bindings in [`wit`]; with the feature `yielding` also where guests yield.
//! What they name of wasmtime has to be of the major version that this crate is
//! built with, since types of another one are other types: [`pagebox::wasmtime`](wasmtime)
//! always is. It has the features that this crate needs; a program that needs more
//! depends on that major version, too, and asks for them there.
//!
//! An engine of any other major version, or another runtime for components, takes
//! the component's bytes ([`COMPONENT`], or what `pagebox component` prints) and the
//! WIT in `wit/`: it generates bindings of its own, and provides a `page-store` of its
//! own, as the hosts in Python and JavaScript do. Nothing else of this crate works
//! there.
//!
//! # Features
//!
//! | Feature | Default | Is for |
//! |---|---|---|
//! | `cli` | yes | the program `pagebox`; a program that embeds the library goes without |
//! | `precompile` | yes | compiling the component while this crate is built, which takes a compiler in its build script. Without it the variable `PAGEBOX_PRECOMPILED` names the folder `precompiled` of a release of this version, whose files must have the sums that the package knows |
//! | `async` | no | requests to a [`SharedPager`] as futures, for any executor |
//! | `yielding` | no | bindings (`wit::yielding`) for engines that yield, with wasmtime's `async` |
//! | `compile` | no | compiling components at run time: page decoders (`decode`), another component, or the embedded one where what was compiled does not fit the machine |
//! | `slatedb` | no | stores on object storage, by their address: what takes a path takes `slatedb+s3://BUCKET/PREFIX` too |
//! | `run` | no | `pagebox run`: programs that use page files, with `cli` and `compile` |
#![deny(unsafe_code)]

mod address;
mod backup;
mod cache;
mod check;
mod clock;
mod compact;
mod config;
mod copy;
pub mod decode;
mod decoding;
mod dropped;
mod effects;
mod engine;
mod error;
mod figures;
mod first_pages;
mod format;
mod handles;
mod home;
mod ids;
pub mod inspect;
mod iter;
mod limits;
mod new_file;
mod os;
mod owner;
mod page_stores;
mod pager;
mod repair;
pub mod report;
mod runtime;
mod sandbox;
mod shared;
mod single;
mod slab;
mod snapshots;
mod steady;
mod store;
mod transaction;
mod transfer;
mod unpublished;
mod upgrade;
mod view;
mod wiped;
pub mod wit;

pub use address::{is_address, shown_address};
pub use backup::Backup;
pub use compact::{Compacted, Obstacle};
pub use copy::Copied;
pub use decoding::{DecodingRun, PagesToDecode};
pub use engine::Engine;
pub use error::{Error, ErrorClass};
pub use figures::{CommitInfo, ProtectedPage, Stats};
pub use format::{Format, UnknownFormat};
pub use handles::{StoreHandle, ViewHandle};
pub use ids::{PageId, ProtectedId};
pub use inspect::Inspector;
pub use iter::{ProtectedPages, RegularPages};
pub use limits::Limits;
pub use new_file::NewFile;
pub use page_stores::{PageStoreView, PageStores, add_to_linker};
/// Stores on object storage.
#[cfg(feature = "slatedb")]
#[doc(no_inline)]
pub use pagebox_slatedb as slatedb;
pub use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, IoError, MemoryStore, PageBuffer, PageSize, PageStore,
    Staged, StoreError, UnsupportedPageSize, bounds, check_changes, crash, seal, trace,
};
pub use pager::{Access, Pager};
pub use repair::RepairAction;
pub use runtime::COMPONENT;
#[cfg(feature = "async")]
pub use shared::Pending;
pub use shared::{ReadGuard, SharedPager};
pub use snapshots::{ChangedPage, ChangedPages, Snapshot};
pub use store::{FileStore, MmapStore, ReadOnlyStore, Recording, RecordingStore, Store};
pub use transaction::{Suspended, Transaction};
pub use unpublished::remove_temporary_files;
pub use upgrade::Upgraded;
pub use view::View;
/// The wasmtime that this crate is built with, whose types [`add_to_linker`],
/// [`wit`] and [`Engine::wasmtime`] use.
#[doc(no_inline)]
pub use wasmtime;

/// The README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;

/// The guide to engines, whose lines run.
#[cfg(doctest)]
#[doc = include_str!("../examples/ENGINE.md")]
pub struct EngineGuide;
