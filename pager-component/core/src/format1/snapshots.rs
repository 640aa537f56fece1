//! [`Snapshots`]: the snapshots of a file, read from their table newest first, as
//! far as they are asked for, and kept in memory.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use super::check::{self, Newer};
use super::entry::Entry;
use super::error::Error;
use super::medium::Medium;
use super::record::Record;
use super::shape::Shape;
use super::table::{Snapshot, TablePage, room};
use super::tree::Reader;
use crate::checksum::xxh3;
use crate::codec::wide;

/// The most snapshots of a file: all may have to be in memory at once.
pub(super) const SNAPSHOTS_MAX: usize = (1 << 15) - 1;

/// The snapshots of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    /// Pages of the table that were read, newest first, and what names them.
    pages: Vec<(Entry, TablePage)>,
    /// What names the next older page; none: all were read.
    rest: Option<Entry>,
}

/// Reads the page of the table that an entry names.
pub(super) fn read<S: Medium>(
    reader: &Reader<'_, S>,
    entry: &Entry,
    newer: &Newer,
) -> Result<TablePage, Error> {
    let page = entry.number;
    let corrupt = |fault| Error::Corrupt { page, fault };
    check::table_entry(reader.layout, reader.page_count, entry, newer).map_err(corrupt)?;
    let shape = reader.layout.shape();
    let mut bytes = vec![0; shape.page_size.bytes()];
    let done = reader.store.read(page, 0, &mut bytes);
    done.map_err(Error::reading(page))?;
    if xxh3(&bytes) != entry.checksum {
        return Err(corrupt("its checksum is wrong"));
    }
    let table = TablePage::decode(shape, &bytes).map_err(corrupt)?;
    check::table(reader.layout, reader.page_count, entry, &table, newer).map_err(corrupt)?;
    Ok(table)
}

impl Snapshots {
    /// Those of a record.
    pub(super) fn of(record: &Record) -> Self {
        Self {
            pages: Vec::new(),
            rest: record.snapshots,
        }
    }

    /// Reads one page more; whether there was one.
    fn read_on<S: Medium>(
        &mut self,
        reader: &Reader<'_, S>,
        record: &Record,
    ) -> Result<bool, Error> {
        let Some(entry) = self.rest else {
            return Ok(false);
        };
        let newer = match self.pages.last() {
            Some((entry, page)) => Newer::after(entry, page),
            None => Newer::root(record),
        };
        let page = read(reader, &entry, &newer)?;
        if self.count() + page.snapshots.len() > SNAPSHOTS_MAX {
            let fault = "there are more snapshots than a file can have";
            let page = entry.number;
            return Err(Error::Corrupt { page, fault });
        }
        self.rest = page.older;
        self.pages.push((entry, page));
        Ok(true)
    }

    /// The newest one.
    pub(super) fn newest<S: Medium>(
        &mut self,
        reader: &Reader<'_, S>,
        record: &Record,
    ) -> Result<Option<&Snapshot>, Error> {
        if self.pages.is_empty() {
            self.read_on(reader, record)?;
        }
        Ok(self.last())
    }

    /// Reads all that were not read yet.
    pub(super) fn read_all<S: Medium>(
        &mut self,
        reader: &Reader<'_, S>,
        record: &Record,
    ) -> Result<(), Error> {
        if self.rest.is_none() {
            return Ok(());
        }
        while self.read_on(reader, record)? {}
        let mut names = BTreeSet::new();
        for (entry, page) in &self.pages {
            for snapshot in &page.snapshots {
                if !names.insert(&snapshot.name) {
                    let (page, fault) = (entry.number, "two snapshots have one name");
                    *self = Self::of(record);
                    return Err(Error::Corrupt { page, fault });
                }
            }
        }
        Ok(())
    }

    /// What names the page of the table that was not read yet.
    pub(super) fn next_older(&self) -> Option<Entry> {
        self.rest
    }

    /// How many were read.
    pub(super) fn count(&self) -> usize {
        let pages = self.pages.iter();
        pages.map(|(_, page)| page.snapshots.len()).sum()
    }

    /// Pages of the table that were read.
    pub(super) fn table_pages(&self) -> Vec<u64> {
        let pages = self.pages.iter();
        pages.map(|(entry, _)| entry.number).collect()
    }

    /// How many pages of the table were read.
    pub(super) fn pages_len(&self) -> u64 {
        wide(self.pages.len())
    }

    /// The newest one, of a table that was read.
    pub(super) fn last(&self) -> Option<&Snapshot> {
        self.pages
            .first()
            .and_then(|(_, page)| page.snapshots.last())
    }

    /// Those that were read, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Snapshot> {
        let pages = self.pages.iter().rev();
        pages.flat_map(|(_, page)| &page.snapshots)
    }

    /// The table with another snapshot, all of it read: the pages of it that have
    /// to be written, oldest first, without what names the one before.
    pub(super) fn with(&self, shape: Shape, new: Snapshot) -> Rewritten {
        let is_new_page = self
            .pages
            .first()
            .is_none_or(|(_, page)| page.snapshots.len() >= room(shape));
        let replaced = usize::from(!is_new_page);
        let kept = self.pages.iter().take(replaced);
        let mut snapshots: Vec<Snapshot> = kept
            .flat_map(|(_, page)| page.snapshots.iter().cloned())
            .collect();
        snapshots.push(new);
        self.rewritten(replaced, shape, &snapshots)
    }

    /// The table without the snapshot of an id, all of it read, in the same way.
    pub(super) fn without(&self, shape: Shape, id: u64) -> Rewritten {
        let has_it = |(_, page): &(Entry, TablePage)| page.snapshots.iter().any(|it| it.id == id);
        let replaced = self.pages.iter().position(has_it).map_or(0, |at| at + 1);
        let snapshots: Vec<Snapshot> = self
            .pages
            .iter()
            .take(replaced)
            .rev()
            .flat_map(|(_, page)| &page.snapshots)
            .filter(|snapshot| snapshot.id != id)
            .cloned()
            .collect();
        self.rewritten(replaced, shape, &snapshots)
    }

    /// The table with none of its pages at `cut` or above, all of it read; none: it
    /// has none there.
    pub(super) fn below(&self, shape: Shape, cut: u64) -> Option<Rewritten> {
        let is_above = |(entry, _): &(Entry, TablePage)| entry.number >= cut;
        // Each names the one before it.
        let replaced = self.pages.iter().rposition(is_above)? + 1;
        let mut pages = Vec::new();
        for (_, page) in self.pages.iter().take(replaced).rev() {
            pages.extend(page.snapshots.iter().cloned());
        }
        Some(self.rewritten(replaced, shape, &pages))
    }

    /// A table of these snapshots, oldest first, all of it new.
    pub(super) fn table_of(shape: Shape, snapshots: &[Snapshot]) -> Rewritten {
        Self::default().rewritten(0, shape, snapshots)
    }

    fn rewritten(&self, replaced: usize, shape: Shape, snapshots: &[Snapshot]) -> Rewritten {
        let entries = self.pages.iter().map(|(entry, _)| *entry);
        Rewritten {
            replaced: entries.take(replaced).collect(),
            kept: self.pages.iter().skip(replaced).cloned().collect(),
            new: snapshots.chunks(room(shape)).map(<[_]>::to_vec).collect(),
        }
    }
}

/// A table that changes.
#[derive(Clone, Debug)]
pub(super) struct Rewritten {
    /// Pages that it does not need any more.
    pub(super) replaced: Vec<Entry>,
    /// Those that stay: the older ones.
    kept: Vec<(Entry, TablePage)>,
    /// What stands in the new ones, oldest first.
    new: Vec<Vec<Snapshot>>,
}

/// A page of the table that is to be written.
#[derive(Debug)]
pub(super) struct NewTable {
    pub(super) page: u64,
    pub(super) bytes: Vec<u8>,
}

impl Rewritten {
    /// How many pages are written.
    pub(super) fn len(&self) -> u64 {
        wide(self.new.len())
    }

    /// The table, and its new pages, whose places `place` finds.
    pub(super) fn lay_out(
        self,
        shape: Shape,
        birth: u64,
        mut place: impl FnMut() -> Result<u64, Error>,
    ) -> Result<(Snapshots, Vec<NewTable>), Error> {
        let mut pages = self.kept;
        let mut written = Vec::new();
        for snapshots in self.new {
            let table = TablePage {
                older: pages.first().map(|(entry, _)| *entry),
                snapshots,
            };
            let (page, bytes) = (place()?, table.encode(shape));
            let entry = Entry {
                number: page,
                checksum: xxh3(&bytes),
                ..Entry::zeros(birth)
            };
            written.push(NewTable { page, bytes });
            pages.insert(0, (entry, table));
        }
        Ok((Snapshots { pages, rest: None }, written))
    }
}

impl Snapshots {
    /// What names the newest page of the table.
    pub(super) fn root(&self) -> Option<Entry> {
        self.pages.first().map(|(entry, _)| *entry).or(self.rest)
    }
}
