//! Compaction: making a page file shorter, in steps.

use std::fmt;

use serde::Serialize;

use crate::Error;
use crate::ids::PageId;
use crate::page_stores::Right;
use crate::pager::Pager;
use crate::wit::exports::pagebox::pager::pager as wit;

const COMPACTING: &str = "compacting the file";

/// Bytes of pages that one step moves at most, unless one page has more: what
/// others wait for.
const STEP: usize = 4 << 20;

/// What a compaction came to, or a step of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Compacted {
    /// Pages that were moved.
    pub moved: u64,
    /// Used pages that are still to be moved, as far as is known.
    pub left: u64,
    /// Pages that the file has now.
    pub page_count: u64,
    /// Whether there is nothing more to be done.
    pub is_done: bool,
    /// Why the file gets no shorter than it does; none: it gets as short as it was
    /// asked to be.
    pub obstacle: Option<Obstacle>,
}

/// What stands in the way of a shorter file. Its words say the way out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Obstacle {
    /// The pages that it has take that much.
    Contents,
    /// A regular page: its number is its id, so it is not moved.
    Regular {
        /// Which.
        page: PageId,
    },
    /// A page of a snapshot: those are not moved.
    Snapshot {
        /// Which physical page.
        page: u64,
        /// The newest snapshot that has it; none: that was not found out.
        name: Option<String>,
    },
    /// A [`View`](crate::View): what it reads stays.
    View {
        /// The oldest generation that a view reads.
        generation: u64,
    },
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contents => {
                f.write_str("what it holds takes that much: free pages, or delete snapshots")
            }
            Self::Regular { page } => write!(
                f,
                "regular page {page} is not moved, since its number is its id: free it, or \
                 copy it to one further down"
            ),
            Self::Snapshot { page, name } => {
                write!(f, "page {page} is of ")?;
                match name {
                    Some(name) => write!(f, "snapshot {name}: delete that")?,
                    None => f.write_str("a snapshot: delete some")?,
                }
                f.write_str(", and there may be others")
            }
            Self::View { generation } => {
                write!(
                    f,
                    "a view of generation {generation} reads it still: drop it"
                )
            }
        }
    }
}

impl From<wit::Obstacle> for Obstacle {
    fn from(obstacle: wit::Obstacle) -> Self {
        match obstacle {
            wit::Obstacle::Contents => Self::Contents,
            wit::Obstacle::Regular(page) => Self::Regular {
                page: PageId::new(page),
            },
            wit::Obstacle::Snapshot(wit::SnapshotPage { page, name }) => {
                Self::Snapshot { page, name }
            }
            wit::Obstacle::View(generation) => Self::View { generation },
        }
    }
}

/// Making files shorter: of format 1 only.
///
/// ```
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// let mut pager = pagebox::Engine::new()?.create(&path, pagebox::PageSize::KIB_4)?;
/// let mut tx = pager.begin()?;
/// let ids = tx.alloc_protected_many(1000)?;
/// for id in &ids {
///     tx.write(*id)?[0] = 1;
/// }
/// tx.commit()?;
/// let mut tx = pager.begin()?;
/// tx.free_protected_many(&ids[..990])?;
/// tx.commit()?;
/// let long = std::fs::metadata(&path).unwrap().len();
/// pager.compact(0)?;
/// assert!(std::fs::metadata(&path).unwrap().len() < long / 10);
/// assert_eq!(pager.protected_page(ids[999])?[0], 1);
/// # Ok(()) }
/// ```
impl Pager {
    /// Makes the file as short as `page_count` pages, or as short as can be: 0 for
    /// that. Protected pages keep their ids and move to free places further down;
    /// then the end of the file is given back. Every step is a durable commit, so
    /// that a crash loses nothing, and leaves the file as short as it was by then.
    /// The file never grows for it.
    ///
    /// Regular pages stay where they are, since their numbers are their ids, and so
    /// do pages of snapshots; and a [`View`](crate::View) that lives keeps the whole
    /// end: [`Compacted::obstacle`] says what stands in the way. To do it while
    /// nobody waits, a step at a time, there is [`compact_step`](Self::compact_step).
    ///
    /// # Errors
    /// [`Error::Other`] for a file of format 0; [`Error::ChecksumMismatch`] for a
    /// page that cannot be moved, with nothing of it changed; as
    /// [`Transaction::commit`](crate::Transaction::commit).
    pub fn compact(&mut self, page_count: u64) -> Result<Compacted, Error> {
        self.compact_with_progress(page_count, |_, _| ())
    }

    /// As [`compact`](Self::compact); `progress` is called with the pages that were
    /// moved and those that there are to be moved, which may become more.
    ///
    /// # Errors
    /// As there.
    pub fn compact_with_progress(
        &mut self,
        page_count: u64,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Compacted, Error> {
        // Each moves a page, but for some that look.
        let steps_max = self.committed().page_count.saturating_mul(4).max(1000);
        let mut moved = 0;
        for _ in 0..steps_max {
            let step = self.compact_step(page_count)?;
            moved += step.moved;
            progress(moved, moved.saturating_add(step.left));
            if step.is_done {
                return Ok(Compacted { moved, ..step });
            }
        }
        Err(self.distrust(COMPACTING, "it does not end"))
    }

    /// One step of [`compact`](Self::compact): it moves 4 MiB of pages at most, in a
    /// durable commit; the last one gives the end of the file back. Call it until it
    /// says that [it is done](Compacted::is_done); what else is committed may come
    /// between.
    ///
    /// ```
    /// # fn main() -> Result<(), pagebox::Error> {
    /// # let mut pager = pagebox::Engine::new()?.create_store(
    /// #     pagebox::MemoryStore::new(pagebox::PageSize::KIB_4),
    /// #     pagebox::NewFile::default(),
    /// # )?;
    /// // In a program's idle time.
    /// while !pager.compact_step(0)?.is_done {}
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub fn compact_step(&mut self, page_count: u64) -> Result<Compacted, Error> {
        self.expect_writable()?;
        if !self.can_compact() {
            return Err(Error::Other(
                "the format cannot give space back: upgrade the file to format 1".into(),
            ));
        }
        let before = self.committed();
        let page_size = self.page_size().bytes();
        let limit = u32::try_from((STEP / page_size).max(1)).unwrap_or(1);
        let step = self.lend(COMPACTING, Right::Write, |exports, store, pager| {
            let exports = exports.pager();
            exports.call_compact(store, pager, page_count, limit)
        });
        // Any protected page may be elsewhere, also after a failure.
        self.cache().clear();
        let step = step?;
        let info = self.expect_durable(before, step.info)?;
        Ok(Compacted {
            moved: step.moved,
            left: step.left,
            page_count: info.page_count,
            is_done: step.done,
            obstacle: step.obstacle.map(Into::into),
        })
    }
}
