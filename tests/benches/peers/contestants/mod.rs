//! Who takes part. Each keeps *records*, which are replaced durably and whole:
//! protected pages where there are such, a value of 4 KiB elsewhere. Some
//! also hand out *pages*.

mod core;
mod floor;
mod lmdb;
mod pagebox;
mod peer;
mod redb;

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub(crate) use self::core::{Core, CoreIn};
pub(crate) use self::floor::Floor;
pub(crate) use self::lmdb::Lmdb;
pub(crate) use self::pagebox::Pagebox;
pub(crate) use self::peer::Peer;
pub(crate) use self::redb::Redb;

/// Bytes in a page and in a record.
pub(crate) const PAGE: usize = 4096;

/// Who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Name {
    /// Through the sandbox, in format 1.
    Pagebox,
    /// Through the sandbox, in the peer's format.
    #[serde(rename = "pagebox-0")]
    PageboxZero,
    /// The same code without a sandbox, over the same store, in format 1.
    PageboxCore,
    /// The peer.
    Mappedpages,
    Redb,
    Lmdb,
    /// What the medium takes at the least.
    Floor,
}

impl Name {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Pagebox => "pagebox",
            Self::PageboxZero => "pagebox-0",
            Self::PageboxCore => "pagebox-core",
            Self::Mappedpages => "mappedpages",
            Self::Redb => "redb",
            Self::Lmdb => "lmdb",
            Self::Floor => "floor",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Keeps records.
pub(crate) trait Records {
    /// Replaces records, durably; in one transaction where there are any.
    fn overwrite(&mut self, changes: &[(u64, &[u8])]);

    /// Reads the first 8 bytes of each record and adds them up.
    fn sum(&self, records: &[u64]) -> u64;

    /// Copies each record into the buffer, one after the other.
    fn copy(&self, records: &[u64], buffer: &mut [u8]);

    /// Closes the file and opens it anew.
    fn reopen(self: Box<Self>) -> Box<dyn Records>;
}

/// Replaces records without a sync.
pub(crate) trait Defers {
    /// Replaces a record: it is durable after the next call of the other.
    fn defer(&mut self, record: u64, bytes: &[u8]);

    /// Makes all that was replaced durable.
    fn make_durable(&mut self);

    /// Closes the file and opens it anew.
    fn reopen_records(self: Box<Self>) -> Box<dyn Records>;
}

/// Hands out protected pages.
pub(crate) trait Protects {
    /// Allocates a protected page, durably.
    fn protect(&mut self) -> u64;

    /// Frees one, durably.
    fn unprotect(&mut self, id: u64);
}

/// Hands out pages of 4 KiB unless it says otherwise.
pub(crate) trait Pages {
    /// Allocates pages, durably, in one commit.
    fn alloc(&mut self, count: u32) -> Vec<u64>;

    /// Frees pages, durably, in one commit.
    fn free(&mut self, pages: &[u64]);

    /// Allocates a page, durably.
    fn alloc_one(&mut self) -> u64;

    /// As [`Records::sum`], of regular pages.
    fn sum_pages(&self, pages: &[u64]) -> u64;

    /// As [`Records::copy`], of regular pages.
    fn copy_pages(&self, pages: &[u64], buffer: &mut [u8]);

    /// Counts regular and protected pages, one by one.
    fn iterate(&self) -> (u64, u64);

    /// The regular pages, ascending.
    fn regular(&self) -> Vec<u64>;

    /// Replaces a page in place, then makes that durable.
    fn write_and_sync(&mut self, page: u64, bytes: &[u8]);

    /// Closes the file and opens it anew.
    fn reopen_pages(self: Box<Self>) -> Box<dyn Pages>;
}

/// Takes turns with others.
pub(crate) type Lane<C> = (Name, Box<C>);

/// A record's bytes: what it is, which version, and a pattern that fills it.
pub(crate) fn content(record: u64, version: u64) -> Vec<u8> {
    let mut bytes = vec![(record ^ version) as u8 | 1; PAGE];
    bytes[..8].copy_from_slice(&record.to_le_bytes());
    bytes[8..16].copy_from_slice(&version.to_le_bytes());
    bytes
}

/// What adds up the first 8 bytes of the pages that it is shown.
fn adding(total: &mut u64) -> impl FnMut(&[u8]) {
    |page| {
        let (first, _) = page.split_first_chunk().expect("a page has 8 bytes");
        *total = total.wrapping_add(u64::from_le_bytes(*first));
    }
}

/// What copies the pages that it is shown.
fn copying(buffer: &mut [u8]) -> impl FnMut(&[u8]) {
    |page| {
        buffer.copy_from_slice(page);
        std::hint::black_box(&*buffer);
    }
}

/// Copies a file in one large write: the kernel then caches it in large folios.
pub(crate) fn copy_in_one_write(source: &Path, target: &Path) {
    let bytes = std::fs::read(source).expect("the file can be read");
    std::fs::write(target, bytes).expect("the copy can be written");
    let copy = std::fs::File::open(target).expect("the copy is there");
    copy.sync_all().expect("the copy can be synced");
}
