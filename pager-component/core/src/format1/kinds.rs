//! What each page is, read from SPACE as far as it is asked for. What cannot be
//! read is said to be unknown.

use alloc::sync::Arc;

use super::file::File;
use super::layout::Layout;
use super::leaf::{self, Kind, in_words, reserved_kind};
use super::medium::Medium;
use crate::ids::Extent;
use crate::kinds::PageKind;

/// The leaf of a group.
enum Leaf {
    /// It was read.
    Read(Arc<[u8]>),
    /// There is none: all is free but what is reserved.
    Absent,
    /// It cannot be believed.
    Unknown,
}

impl File {
    /// What a page below the page count is.
    pub(crate) fn page_kind<S: Medium>(&mut self, store: &S, page: u64) -> PageKind {
        let space = self.record.space_tree();
        let found = self
            .paged(store)
            .and_then(|(mut reader, pages)| pages.kind(&mut reader, &space, page));
        found.map_or(PageKind::UNKNOWN, |kind| {
            in_words(self.layout.shape(), page, kind)
        })
    }

    /// Calls `f` with each kind that pages of `first..end` have, and how many of
    /// them do.
    pub(crate) fn count_kinds<S: Medium>(
        &mut self,
        store: &S,
        first: u64,
        end: u64,
        f: &mut dyn FnMut(PageKind, u64),
    ) {
        let layout = self.layout;
        let end = end.min(self.record.page_count);
        let mut from = first;
        while from < end {
            let group = layout.group_of(from);
            let group_end = layout.group_start(group + 1).min(end);
            let leaf = self.leaf(store, group);
            let is_whole = group_end - from == layout.shape().group_len();
            match &leaf {
                Leaf::Read(bytes) if is_whole => count_leaf(&layout, group, bytes, f),
                Leaf::Absent if !self.has_odd_homes() => {
                    let own_end = layout.group_start(group) + layout.own(group);
                    let free_from = own_end.clamp(from, group_end);
                    for page in from..free_from {
                        f(reserved_kind(layout.shape(), page), 1);
                    }
                    f(PageKind::FREE, group_end - free_from);
                }
                leaf => (from..group_end).for_each(|page| f(kind_of(&layout, leaf, page), 1)),
            }
            from = group_end;
        }
    }

    /// The first run of free pages from page `from` on, below the page count.
    pub(crate) fn free_run<S: Medium>(&mut self, store: &S, from: u64) -> Option<Extent> {
        let layout = self.layout;
        let page_count = self.record.page_count;
        let mut from = from;
        let mut run: Option<Extent> = None;
        while from < page_count {
            let group = layout.group_of(from);
            let end = layout.group_start(group + 1).min(page_count);
            let leaf = self.leaf(store, group);
            let is_free = |page| kind_of(&layout, &leaf, page) == PageKind::FREE;
            let first = if run.is_some() {
                Some(from)
            } else {
                (from..end).find(|&page| is_free(page))
            };
            let Some(start) = first else {
                from = end;
                continue;
            };
            let stop = (start..end).find(|&page| !is_free(page)).unwrap_or(end);
            let run = run.get_or_insert(Extent {
                first: start,
                count: 0,
            });
            run.count += stop - start;
            if stop < end {
                return Some(*run);
            }
            from = end;
        }
        run
    }

    fn leaf<S: Medium>(&mut self, store: &S, group: u64) -> Leaf {
        let space = self.record.space_tree();
        let found = self
            .paged(store)
            .and_then(|(mut reader, pages)| pages.leaf(&mut reader, &space, group));
        match found {
            Ok(leaf) => leaf.map_or(Leaf::Absent, Leaf::Read),
            Err(_) => Leaf::Unknown,
        }
    }

    fn has_odd_homes(&self) -> bool {
        (0..)
            .zip(self.layout.homes())
            .any(|(group, _)| self.layout.is_odd(group))
    }

    /// Regular pages: counted once, and from then on by each commit. None:
    /// a leaf cannot be believed.
    pub(super) fn regular_pages<S: Medium>(&mut self, store: &S) -> Option<u64> {
        if self.regular.is_none() {
            self.regular = self.count_regular(store);
        }
        self.regular
    }

    fn count_regular<S: Medium>(&mut self, store: &S) -> Option<u64> {
        let space = self.record.space_tree();
        let shape = self.layout.shape();
        let (mut reader, pages) = self.paged(store).ok()?;
        let (mut group, mut regular) = (0, 0);
        while let Some(found) = pages.next_group(&mut reader, &space, group).ok()? {
            let leaf = pages.leaf(&mut reader, &space, found).ok()??;
            regular += leaf::count_of(&leaf, shape, Kind::Regular);
            group = found + 1;
        }
        Some(regular)
    }
}

fn kind_of(layout: &Layout, leaf: &Leaf, page: u64) -> PageKind {
    let kind = match leaf {
        Leaf::Read(bytes) => {
            let group = layout.group_of(page);
            leaf::kind(bytes, page - layout.group_start(group))
        }
        // What is the file's own has its place, whatever a leaf says.
        Leaf::Absent | Leaf::Unknown if layout.is_reserved(page) => Kind::Reserved,
        Leaf::Absent => Kind::Free,
        Leaf::Unknown => return PageKind::UNKNOWN,
    };
    in_words(layout.shape(), page, kind)
}

/// The kinds of a whole group.
fn count_leaf(layout: &Layout, group: u64, leaf: &[u8], f: &mut dyn FnMut(PageKind, u64)) {
    let shape = layout.shape();
    let count = |kind| leaf::count_of(leaf, shape, kind);
    f(PageKind::FREE, count(Kind::Free) + count(Kind::Limbo));
    f(PageKind::REGULAR, count(Kind::Regular));
    f(PageKind::PROTECTED_ACTIVE, count(Kind::Protected));
    f(PageKind::MAP_NODE, count(Kind::Node));
    f(PageKind::UNKNOWN, count(Kind::Snapshots));
    let head = if group == 0 { shape.head() } else { 0 };
    for page in 0..head {
        f(reserved_kind(shape, page), 1);
    }
    f(PageKind::SPACE, count(Kind::Reserved) - head);
}
