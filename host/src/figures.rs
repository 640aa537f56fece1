//! What a pager tells of a page file: [`Stats`], [`ProtectedPage`],
//! [`CommitInfo`].

use pagebox_store::Checksum;
use serde::{Serialize, Serializer};

use crate::ids::ProtectedId;
use crate::wit::exports::pagebox::pager::pager as wit;

/// How often figures are asked for that are still being counted: far more often
/// than any file needs, and so often for one that does not say.
pub(crate) const COUNTS_MAX: u32 = 1 << 10;

/// Figures of a page file, in pages unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// The format: `0.2`.
    pub format: String,
    /// What can be done with the file besides what every format can.
    pub capabilities: Vec<String>,
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
    /// Protected pages.
    pub protected_pages: u64,
    /// Protected pages that the directory has room for without growth.
    pub protected_capacity: u64,
    /// The most protected pages that the directory can name.
    pub protected_limit: u64,
    /// Pages that are neither free nor regular.
    pub internal_pages: u64,
    /// The commit counter. It only grows.
    pub generation: u64,
    /// Those of the internal pages that were freed and are still read, by views
    /// or by the state that is durable: they can be allocated when that is over.
    pub held_pages: u64,
    /// The oldest generation that a [`View`](crate::View) reads. One that was
    /// forgotten keeps pages.
    pub oldest_view: Option<u64>,
}

/// A protected page in a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProtectedPage {
    /// Its id.
    pub id: ProtectedId,
    /// The physical page that holds its bytes; none: they are zeros.
    pub page: Option<u64>,
    /// Changes with every write of the page.
    pub generation: u64,
    /// Of its bytes, as committed.
    #[serde(serialize_with = "as_text")]
    pub checksum: Checksum,
}

fn as_text<S: Serializer>(checksum: &Checksum, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(checksum)
}

/// What a commit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CommitInfo {
    /// The generation that is committed now.
    pub generation: u64,
    /// The generation that is durable now: that one, or an earlier one if
    /// commits since were [deferred](crate::Transaction::commit_deferred).
    pub durable: u64,
    /// Pages that the file accounts for now.
    pub page_count: u64,
}

impl Stats {
    /// What the pager says; none where it does not say all.
    pub(crate) fn of(stats: wit::Stats) -> Option<Self> {
        Some(Self {
            format: stats.format,
            capabilities: stats.capabilities,
            page_size: stats.page_size,
            page_count: stats.page_count?,
            page_limit: stats.page_limit,
            free_pages: stats.free_pages?,
            regular_pages: stats.regular_pages?,
            protected_pages: stats.protected_pages?,
            protected_capacity: stats.protected_capacity?,
            protected_limit: stats.protected_limit,
            internal_pages: stats.internal_pages?,
            generation: stats.generation?,
            held_pages: stats.held_pages,
            oldest_view: stats.oldest_view,
        })
    }
}

impl From<wit::ProtectedPage> for ProtectedPage {
    fn from(page: wit::ProtectedPage) -> Self {
        Self {
            id: ProtectedId::new(page.id),
            page: page.location.page,
            generation: page.location.generation,
            checksum: page.location.checksum.into(),
        }
    }
}

impl From<wit::CommitInfo> for CommitInfo {
    fn from(info: wit::CommitInfo) -> Self {
        Self {
            generation: info.generation,
            durable: info.durable,
            page_count: info.page_count,
        }
    }
}
