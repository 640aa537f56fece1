//! What a pager tells of a page file: [`Stats`], [`ProtectedPage`],
//! [`CommitInfo`].

use serde::Serialize;

use crate::ids::ProtectedId;
use crate::wit::exports::pagebox::pager::pager as wit;

/// Figures of a page file, in pages unless said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes in a page.
    pub page_size: u32,
    /// Pages that the file accounts for.
    pub page_count: u64,
    /// The most pages that the format can account for.
    pub page_limit: u64,
    /// Pages that can be allocated without growth.
    pub free_pages: u64,
    /// Allocated regular pages.
    pub regular_pages: u64,
    /// Protected pages; each takes two physical ones.
    pub protected_pages: u64,
    /// Protected pages that the directory has room for without growth.
    pub protected_capacity: u64,
    /// The most protected pages that the directory can name.
    pub protected_limit: u64,
    /// Pages that are neither free nor regular.
    pub internal_pages: u64,
    /// The commit counter. It only grows.
    pub generation: u64,
}

/// A protected page in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProtectedPage {
    /// Its id.
    pub id: ProtectedId,
    /// The physical page that holds its bytes.
    pub active_page: u64,
    /// The physical page that the next write goes to.
    pub shadow_page: u64,
    /// How often it was written.
    pub generation: u64,
    /// The CRC-32 of its bytes, as committed.
    pub checksum: u32,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CommitInfo {
    /// The generation that is durable now.
    pub generation: u64,
    /// Pages that the file accounts for now.
    pub page_count: u64,
}

impl From<wit::Stats> for Stats {
    fn from(stats: wit::Stats) -> Self {
        Self {
            page_size: stats.page_size,
            page_count: stats.page_count,
            page_limit: stats.page_limit,
            free_pages: stats.free_pages,
            regular_pages: stats.regular_pages,
            protected_pages: stats.protected_pages,
            protected_capacity: stats.protected_capacity,
            protected_limit: stats.protected_limit,
            internal_pages: stats.internal_pages,
            generation: stats.generation,
        }
    }
}

impl From<wit::ProtectedPage> for ProtectedPage {
    fn from(page: wit::ProtectedPage) -> Self {
        Self {
            id: ProtectedId::new(page.id),
            active_page: page.active_page,
            shadow_page: page.shadow_page,
            generation: page.generation,
            checksum: page.checksum,
        }
    }
}

impl From<wit::CommitInfo> for CommitInfo {
    fn from(info: wit::CommitInfo) -> Self {
        Self {
            generation: info.generation,
            page_count: info.page_count,
        }
    }
}
