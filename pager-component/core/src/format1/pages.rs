//! [`Pages`]: what pages became since the last fold, laid over the leaves of
//! SPACE, which are as of then.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::error::Error;
use super::leaf::{self, Kind, in_words};
use super::medium::Medium;
use super::record::Record;
use super::rewrite::{Level, Node, next_side};
use super::tree::{Entry, Reader, Seek, Tree, Which, page_of};
use crate::checksum::xxh3;

/// What pages became since the last fold.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    /// Used pages, of the whole file.
    used: u64,
    /// What these pages are, whatever their leaves say.
    kinds: BTreeMap<u64, Kind>,
}

impl Pages {
    /// Those of a file without deltas.
    pub(super) fn folded(space: &Tree) -> Self {
        Self {
            used: space.root.map_or(0, |root| root.number),
            kinds: BTreeMap::new(),
        }
    }

    /// What the deltas of a record make of its leaves.
    ///
    /// # Errors
    /// [`Error::Corrupt`], for deltas that do not fit the trees, too;
    /// [`Error::Store`].
    pub(super) fn replay<S: Medium>(
        reader: &mut Reader<'_, S>,
        record: &Record,
    ) -> Result<Self, Error> {
        let (map, space) = (record.map_tree(), record.space_tree());
        let deltas = &record.deltas;
        let mut pages = Self::folded(&space);
        // First the frees: a page that a changed id had may be another's now.
        for &id in deltas.ids.keys() {
            let old = reader.entry(&map, 0, id)?;
            if let Some(old) = old.filter(|old| old.number != 0) {
                pages.free(reader, &space, old.number, Kind::Protected)?;
            }
        }
        let misfit = |page| Error::Corrupt {
            page,
            fault: "a delta names it, and it is something else",
        };
        let stored = deltas.ids.values().flatten();
        for page in stored.map(|entry| entry.number).filter(|&page| page != 0) {
            // A regular page that was freed, and then taken.
            let was_regular = pages.kind(reader, &space, page)? == Kind::Regular;
            if was_regular && deltas.regular.get(&page) == Some(&false) {
                pages.free(reader, &space, page, Kind::Regular)?;
            }
            let taken = pages.take(reader, &space, page, Kind::Protected);
            taken.map_err(|error| match error {
                Error::NotFree { page } => misfit(page),
                error => error,
            })?;
        }
        for (&page, &is_regular) in &deltas.regular {
            match (is_regular, pages.kind(reader, &space, page)?) {
                (true, kind) if kind.is_free() => {
                    pages.take(reader, &space, page, Kind::Regular)?;
                }
                (false, Kind::Regular) => pages.free(reader, &space, page, Kind::Regular)?,
                (true, Kind::Regular) | (false, _) => {}
                (true, _) => return Err(misfit(page)),
            }
        }
        if pages.used == record.used {
            Ok(pages)
        } else {
            let fault = "the root record counts other used pages";
            Err(Error::Corrupt { page: 0, fault })
        }
    }

    /// Used pages, of the whole file.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// What a page is.
    pub(super) fn kind<S: Medium>(
        &self,
        reader: &mut Reader<'_, S>,
        space: &Tree,
        page: u64,
    ) -> Result<Kind, Error> {
        if let Some(&kind) = self.kinds.get(&page) {
            return Ok(kind);
        }
        let layout = reader.layout;
        let group = layout.group_of(page);
        match reader.leaf(space, group)? {
            Some(leaf) => Ok(leaf::kind(&leaf, page - layout.group_start(group))),
            None if layout.is_reserved(page) => Ok(Kind::Reserved),
            None => Ok(Kind::Free),
        }
    }

    /// The leaf of a group as it is now; none: all is free but what is
    /// reserved.
    pub(super) fn leaf<S: Medium>(
        &self,
        reader: &mut Reader<'_, S>,
        space: &Tree,
        group: u64,
    ) -> Result<Option<Arc<[u8]>>, Error> {
        let layout = reader.layout;
        let start = layout.group_start(group);
        let mut changed = self
            .kinds
            .range(start..start + layout.shape().group_len())
            .peekable();
        let old = reader.leaf(space, group)?;
        if changed.peek().is_none() {
            return Ok(old);
        }
        let mut bytes = match old {
            Some(old) => old.to_vec(),
            None => leaf::absent(layout, group),
        };
        for (&page, &kind) in changed {
            leaf::set(&mut bytes, page - start, kind);
        }
        Ok(Some(bytes.into()))
    }

    /// The first page from `page` on that became something.
    pub(super) fn next_changed(&self, page: u64) -> Option<u64> {
        self.kinds.range(page..).next().map(|(&page, _)| page)
    }

    /// The first page from `page` on that became free.
    pub(super) fn next_freed(&self, page: u64) -> Option<u64> {
        let mut changed = self.kinds.range(page..);
        let freed = changed.find(|(_, kind)| kind.is_free());
        freed.map(|(&page, _)| page)
    }

    /// The first group from `group` on of which not all is free.
    pub(super) fn next_group<S: Medium>(
        &self,
        reader: &mut Reader<'_, S>,
        space: &Tree,
        group: u64,
    ) -> Result<Option<u64>, Error> {
        let present = reader.seek(space, group, Seek::Present)?;
        let layout = reader.layout;
        let changed = self.next_changed(layout.group_start(group));
        let changed = changed.map(|page| layout.group_of(page));
        Ok(present.into_iter().chain(changed).min())
    }

    /// Makes something of a free page.
    pub(super) fn take<S: Medium>(
        &mut self,
        reader: &mut Reader<'_, S>,
        space: &Tree,
        page: u64,
        kind: Kind,
    ) -> Result<(), Error> {
        if !self.kind(reader, space, page)?.is_free() {
            return Err(Error::NotFree { page });
        }
        self.kinds.insert(page, kind);
        self.used += 1;
        Ok(())
    }

    /// Frees a page of this kind.
    pub(super) fn free<S: Medium>(
        &mut self,
        reader: &mut Reader<'_, S>,
        space: &Tree,
        page: u64,
        kind: Kind,
    ) -> Result<(), Error> {
        match self.kind(reader, space, page)? {
            found if found == kind => {
                self.kinds.insert(page, Kind::Free);
                self.used = self.used.saturating_sub(1);
                Ok(())
            }
            found if kind == Kind::Regular && found.is_free() => Err(Error::NotAllocated { page }),
            found if kind == Kind::Regular => Err(Error::NotRegular {
                page,
                kind: in_words(reader.layout.shape(), page, found),
            }),
            _ => {
                let fault = "MAP names it, and SPACE says that it is something else";
                Err(Error::Corrupt { page, fault })
            }
        }
    }

    /// The leaves that changed, on the other sides of their homes, and the
    /// entries that name them.
    pub(super) fn leaves<S: Medium>(
        &self,
        reader: &mut Reader<'_, S>,
        space: &Tree,
        birth: u64,
    ) -> Result<(Vec<Node>, Level), Error> {
        let layout = reader.layout;
        let mut leaves = Vec::new();
        let mut entries = Level::new();
        let mut next = self.next_changed(0);
        while let Some(page) = next {
            let group = layout.group_of(page);
            next = self.next_changed(layout.group_start(group + 1));
            let old = reader.entry(space, 0, group)?;
            let Some(bytes) = self.leaf(reader, space, group)? else {
                continue;
            };
            let (number, full) = leaf::count(&bytes, layout.shape());
            let entry = Entry {
                number,
                full,
                side: next_side(Which::Space, old.as_ref()),
                birth,
                checksum: xxh3(&bytes),
            };
            leaves.push(Node {
                which: Which::Space,
                level: 0,
                page: page_of(layout, Which::Space, 0, group, &entry),
                entry,
                bytes,
            });
            entries.insert(group, Some(entry));
        }
        Ok((leaves, entries))
    }
}
