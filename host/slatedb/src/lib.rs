//! A page store on object storage: [`SlateDB`](slatedb) over any S3, Azure or Google
//! bucket, a folder, or memory.
//!
//! [`SlateStore`] is the writer, of which there is one at a time; [`SlateReader`]
//! looks at the state that it finds at opening, writes nothing, and needs no right
//! to write. Both implement [`PageStore`](pagebox_store::PageStore) and know
//! nothing of what the pages mean.
//!
//! What a bucket holds, under a prefix that is the store's name:
//! - A database of `SlateDB`, in `manifest/`, `wal/`, `compacted/` and `compactions/`.
//!   The key `p` and a page's number, 64 bits big-endian, has the page's bytes; a page
//!   without a key is zeros. The key `g` has what a store is: see `keys.rs`.
//! - `pagebox/writer`, the courtesy record: who writes, and since when.
//!
//! Facts this crate relies on:
//! 1. A batch is never split, and batches become durable in the order in which they
//!    were written: so what is durable is always a prefix, and `order` costs nothing.
//! 2. `flush` puts what was written since the last one as one object, created only
//!    where there is none: one PUT a sync, whatever it covers.
//! 3. Whoever opens to write raises the epoch, which fences the one before: its next
//!    PUT of that kind finds the name taken. No clock has a part in that.
//!
//! ```
//! use pagebox_slatedb::{Bucket, Options, SlateReader, SlateStore};
//! use pagebox_store::{Change, PageSize, PageStore};
//!
//! let bucket = Bucket::in_memory("example");
//! let mut store = SlateStore::create(&bucket, PageSize::KIB_4, &Options::default())?;
//! store.grow(2)?;
//! store.write(&[Change::Bytes { page: 1, bytes: &[7; 4096] }, Change::Sync])?;
//! let mut byte = [0];
//! SlateReader::open(&bucket, &Options::default())?.read(1, 9, &mut byte)?;
//! assert_eq!(byte, [7]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod address;
mod ahead;
mod bucket;
mod driver;
mod error;
mod keys;
mod options;
mod pages;
mod reader;
mod record;
mod writer;

pub use address::Address;
pub use bucket::Bucket;
pub use error::Error;
pub use options::Options;
pub use pages::SlateView;
pub use reader::SlateReader;
pub use record::Writer;
pub use slatedb::object_store;
pub use writer::SlateStore;
