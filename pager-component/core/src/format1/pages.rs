//! [`Pages`]: what pages became since the last fold, laid over the leaves of
//! SPACE, which are as of then; and [`Changing`]: what a commit makes of them.
//!
//! A page that is freed while somebody still reads it, the durable state or a
//! view, is in [`Limbo`]: nobody takes it before the last of them is gone.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::differ::{Differences, Sides};
use super::error::Error;
use super::layout::Layout;
use super::leaf::{self, Kind, in_words};
use super::limbo::{Freed, Limbo};
use super::medium::Medium;
use super::nibbles::Nibbles;
use super::pins::Readers;
use super::record::Record;
use super::rewrite::{Level, Node, next_side};
use super::tree::{Entry, Reader, Seek, Tree, Which, page_of};
use crate::bitmap::Overlay;
use crate::checksum::xxh3;
use crate::codec::{narrow, put, u64_at};

/// What pages became since the last fold.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    /// Used pages, of the whole file.
    used: u64,
    /// What these pages are, whatever their leaves say.
    kinds: Nibbles,
    /// Those of them that are free.
    freed: Overlay,
    /// Pages that are free, here or in their leaves, and not to be taken.
    limbo: Limbo,
    /// No page below is free.
    lowest: u64,
}

impl Pages {
    /// Those of a file without deltas.
    pub(super) fn folded(space: &Tree) -> Self {
        Self {
            used: space.root.map_or(0, |root| root.number),
            ..Self::default()
        }
    }

    /// The same after a fold: the leaves say all but what is in limbo.
    pub(super) fn fold(&mut self, space: &Tree) {
        *self = Self {
            limbo: core::mem::take(&mut self.limbo),
            ..Self::folded(space)
        };
    }

    /// What the deltas of a record make of its leaves. What is not younger than its
    /// newest snapshot is that one's.
    ///
    /// # Errors
    /// [`Error::Corrupt`], for deltas that do not fit the trees, too;
    /// [`Error::Store`].
    pub(super) fn replay<S: Medium>(
        reader: &mut Reader<'_, S>,
        record: &Record,
        newest_snapshot: u64,
    ) -> Result<Self, Error> {
        let (map, space) = (record.map_tree(), record.space_tree());
        let deltas = &record.deltas;
        let mut folded = Self::folded(&space);
        let mut pages = Changing::of(&folded);
        // First the frees: a page that a changed id had may be another's now.
        for &id in deltas.ids.keys() {
            let old = reader.entry(&map, 0, id)?;
            if let Some(old) = old.filter(|old| old.number != 0 && old.birth > newest_snapshot) {
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
                (true, Kind::Free) => pages.take(reader, &space, page, Kind::Regular)?,
                (false, Kind::Regular) => {
                    pages.free(reader, &space, page, Kind::Regular)?;
                }
                (true, Kind::Regular) | (false, _) => {}
                (true, _) => return Err(misfit(page)),
            }
        }
        let changes = pages.changes;
        if changes.used == record.used {
            folded.apply(&changes);
            Ok(folded)
        } else {
            let fault = "the root record counts other used pages";
            Err(Error::Corrupt { page: 0, fault })
        }
    }

    /// What MAP alone says, where nothing is known of SPACE: its nodes, and pages
    /// of protected ones.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`].
    pub(super) fn of_map<S: Medium>(
        reader: &mut Reader<'_, S>,
        record: &Record,
    ) -> Result<Self, Error> {
        let map = record.map_tree();
        let nothing = Tree { root: None, ..map };
        let mut pages = Self::default();
        let mut seen = Overlay::default();
        let mut walk = Differences::of(reader, &map, &nothing, Sides::First)?;
        while let Some(pair) = walk.next() {
            let Some(entry) = pair.first else { continue };
            let page = entry.number;
            if pair.level == 0 {
                if page != 0 && !record.deltas.ids.contains_key(&pair.index) {
                    pages.kinds.insert(page, Kind::Protected);
                }
                continue;
            }
            if !seen.insert(page) {
                let fault = "two entries name it";
                return Err(Error::Corrupt { page, fault });
            }
            pages.kinds.insert(page, Kind::Node);
            walk.below(reader, &pair)?;
        }
        let stored = record.deltas.ids.values().flatten();
        for page in stored.map(|entry| entry.number).filter(|&page| page != 0) {
            pages.kinds.insert(page, Kind::Protected);
        }
        Ok(pages)
    }

    /// Pages in limbo.
    pub(super) fn limbo_len(&self) -> u64 {
        self.limbo.len()
    }

    /// Keeps what a commit freed from being taken, as long as it is read.
    pub(super) fn hold(&mut self, readers: &Readers<'_>, freed: &[Freed]) {
        for &freed in freed {
            self.limbo.hold(readers, freed);
        }
    }

    /// The same of a regular page that the durable state has.
    pub(super) fn hold_regular(&mut self, page: u64) {
        self.limbo.hold_regular(page);
    }

    /// Another state is durable than the one that held regular pages.
    pub(super) fn release_regular(&mut self) {
        let released = self.limbo.release_regular();
        self.lower(&released);
    }

    /// Lets be taken what nobody reads any more.
    pub(super) fn release(&mut self, readers: &Readers<'_>) {
        let released = self.limbo.release(readers);
        self.lower(&released);
    }

    fn lower(&mut self, released: &[u64]) {
        let lowest = released.iter().copied().min();
        self.lowest = lowest.map_or(self.lowest, |page| page.min(self.lowest));
    }

    /// What a page is.
    pub(super) fn kind<S: Medium>(
        &self,
        reader: &mut Reader<'_, S>,
        space: &Tree,
        page: u64,
    ) -> Result<Kind, Error> {
        match self.kinds.get(page) {
            _ if self.limbo.contains(page) => Ok(Kind::Limbo),
            Some(kind) => Ok(kind),
            None => in_leaf(reader, space, page),
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
        leaf_under(reader, space, group, &[&self.kinds])
    }

    /// Whether a page that its leaf calls free is so still, and can be taken.
    pub(super) fn leaves_free(&self, page: u64) -> bool {
        self.kinds.get(page).is_none_or(|kind| kind == Kind::Free) && !self.limbo.contains(page)
    }

    /// Which of the sixteen pages of a word from `first` on are free, as bits.
    pub(super) fn free_word<S: Medium>(
        &self,
        reader: &mut Reader<'_, S>,
        space: &Tree,
        first: u64,
    ) -> Result<u64, Error> {
        let layout = reader.layout;
        let group = layout.group_of(first);
        let in_leaf = match reader.leaf(space, group)? {
            Some(leaf) => {
                let place = first - layout.group_start(group);
                u64_at(&leaf, narrow(place / 2))
            }
            None => leaf::absent_word(layout, first),
        };
        let free = self.kinds.word(first / leaf::WORD).free_over(in_leaf);
        Ok(leaf::packed(free) & !self.limbo.sixteen(first))
    }

    /// The first page from `page` on that became something.
    pub(super) fn next_changed(&self, page: u64) -> Option<u64> {
        self.kinds.next(page)
    }

    /// The first page from `page` on that became free.
    pub(super) fn next_freed(&self, page: u64) -> Option<u64> {
        self.freed.next(page)
    }

    /// No page below is free, as far as is known.
    pub(super) fn lowest(&self) -> u64 {
        self.lowest
    }

    /// No page below this was found to be free.
    pub(super) fn raise_lowest(&mut self, page: u64) {
        self.lowest = self.lowest.max(page);
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

    /// Makes what a commit did to pages part of what they are.
    pub(super) fn apply(&mut self, changes: &PageChanges) {
        self.used = changes.used;
        self.raise_lowest(changes.lowest);
        for (page, kind) in changes.kinds.iter() {
            self.kinds.insert(page, kind);
            if kind == Kind::Free {
                self.freed.insert(page);
                self.lowest = self.lowest.min(page);
            } else {
                self.freed.remove(page);
            }
        }
    }
}

/// What a commit did to pages.
#[derive(Debug, Default)]
pub(super) struct PageChanges {
    used: u64,
    kinds: Nibbles,
    /// No page below is free, unless the commit frees it.
    lowest: u64,
}

/// What a commit makes of pages, laid over what they are.
#[derive(Debug)]
pub(super) struct Changing<'a> {
    before: &'a Pages,
    changes: PageChanges,
}

impl<'a> Changing<'a> {
    pub(super) fn of(before: &'a Pages) -> Self {
        Self {
            before,
            changes: PageChanges {
                used: before.used,
                kinds: Nibbles::default(),
                lowest: 0,
            },
        }
    }

    /// No page below this was found to be free.
    pub(super) fn raise_lowest(&mut self, page: u64) {
        self.changes.lowest = page;
    }

    /// Used pages, of the whole file.
    pub(super) fn used(&self) -> u64 {
        self.changes.used
    }

    pub(super) fn into_changes(self) -> PageChanges {
        self.changes
    }

    fn kind<S: Medium>(
        &self,
        reader: &mut Reader<'_, S>,
        space: &Tree,
        page: u64,
    ) -> Result<Kind, Error> {
        match self.changes.kinds.get(page) {
            Some(kind) => Ok(kind),
            None => self.before.kind(reader, space, page),
        }
    }

    /// Makes something of a free page.
    pub(super) fn take<S: Medium>(
        &mut self,
        reader: &mut Reader<'_, S>,
        space: &Tree,
        page: u64,
        kind: Kind,
    ) -> Result<(), Error> {
        if self.kind(reader, space, page)? != Kind::Free {
            return Err(Error::NotFree { page });
        }
        self.changes.kinds.insert(page, kind);
        self.changes.used += 1;
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
                self.changes.kinds.insert(page, Kind::Free);
                self.changes.used = self.changes.used.saturating_sub(1);
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

    /// The first page from `page` on that became something since the last fold.
    fn next_changed(&self, page: u64) -> Option<u64> {
        let own = self.changes.kinds.next(page);
        own.into_iter().chain(self.before.next_changed(page)).min()
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
            let layers = [&self.before.kinds, &self.changes.kinds];
            let Some(bytes) = leaf_under(reader, space, group, &layers)? else {
                continue;
            };
            let node = leaf_node(layout, group, old.as_ref(), bytes, birth);
            entries.insert(group, Some(node.entry));
            leaves.push(node);
        }
        Ok((leaves, entries))
    }
}

/// A leaf with these bytes, in the place of an old one or as the first.
pub(super) fn leaf_node(
    layout: &Layout,
    group: u64,
    old: Option<&Entry>,
    bytes: Arc<[u8]>,
    birth: u64,
) -> Node {
    let (number, full) = leaf::count(&bytes, layout.shape());
    let entry = Entry {
        number,
        full,
        side: next_side(Which::Space, old),
        birth,
        checksum: xxh3(&bytes),
    };
    Node {
        which: Which::Space,
        level: 0,
        page: page_of(layout, Which::Space, 0, group, &entry),
        entry,
        bytes,
    }
}

/// What the leaf of a page says of it.
fn in_leaf<S: Medium>(reader: &mut Reader<'_, S>, space: &Tree, page: u64) -> Result<Kind, Error> {
    let layout = reader.layout;
    let group = layout.group_of(page);
    Ok(match reader.leaf(space, group)? {
        Some(leaf) => match leaf::kind(&leaf, page - layout.group_start(group)) {
            Kind::Limbo => Kind::Free,
            kind => kind,
        },
        None if layout.is_reserved(page) => Kind::Reserved,
        None => Kind::Free,
    })
}

/// The leaf of a group, with what pages became since laid over it.
fn leaf_under<S: Medium>(
    reader: &mut Reader<'_, S>,
    space: &Tree,
    group: u64,
    layers: &[&Nibbles],
) -> Result<Option<Arc<[u8]>>, Error> {
    let layout = reader.layout;
    let start = layout.group_start(group);
    let first = start / leaf::WORD;
    let end = first + layout.shape().group_len() / leaf::WORD;
    let old = reader.leaf(space, group)?;
    let is_changed = |layer: &&Nibbles| layer.words(first, end).next().is_some();
    if !layers.iter().any(is_changed) {
        return Ok(old);
    }
    let mut bytes = match old {
        Some(old) => old.to_vec(),
        None => leaf::absent(layout, group),
    };
    for layer in layers {
        for (number, word) in layer.words(first, end) {
            let at = narrow(number - first) * 8;
            let word = word.over(u64_at(&bytes, at));
            put(&mut bytes, at, &word.to_le_bytes());
        }
    }
    Ok(Some(bytes.into()))
}
