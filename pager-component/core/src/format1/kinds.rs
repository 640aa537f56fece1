//! What each page is, read from SPACE as far as it is asked for. What cannot be
//! read is said to be unknown.

use super::error::Error;
use super::file::{File, Scope};
use super::layout::{Layout, NAMED};
use super::leaf::{self, Kind, in_words, reserved_kind};
use super::medium::Medium;
use super::tree::LeafSpan;
use crate::codec::wide;
use crate::kinds::PageKind;
use crate::page_map::FreeRuns;

/// Leaves that regular pages are counted in by the first call. Whoever opens a
/// file asks for its figures, which is to take as long whatever its size.
const LEAVES_AT_FIRST: usize = 2;

/// The same of each further call.
const LEAVES_A_CALL: usize = 1024;

/// The first place from a place on that is sought.
type Next<'a> = dyn Fn(u64) -> Option<u64> + 'a;

impl File {
    /// What a page below the page count is.
    pub(crate) fn page_kind<S: Medium>(&mut self, store: &S, page: u64) -> PageKind {
        let space = self.record.space_tree();
        let found = self
            .paged(store)
            .and_then(|(mut reader, pages)| pages.kind(&mut reader, &space, page));
        found.map_or(PageKind::UNKNOWN, |kind| {
            self.seen(in_words(self.layout.shape(), page, kind))
        })
    }

    /// What is said of a page that SPACE, or what stands in its place, calls free.
    fn seen(&self, kind: PageKind) -> PageKind {
        match (self.scope, kind) {
            (Scope::Protected, PageKind::FREE) => PageKind::OTHER,
            _ => kind,
        }
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
        let shape = layout.shape();
        let scope = self.scope;
        let f = &mut |kind, count| match (scope, kind) {
            (Scope::Protected, PageKind::FREE) => f(PageKind::OTHER, count),
            _ => f(kind, count),
        };
        let end = end.min(self.record.page_count);
        let mut from = first;
        while from < end {
            let group = layout.group_of(from);
            let (leaf, span_end) = self.span(store, group, end);
            let is_whole = span_end - from == shape.group_len();
            match &leaf {
                LeafSpan::Read(bytes) if is_whole => count_leaf(&layout, group, bytes, f),
                LeafSpan::Read(bytes) => {
                    let start = layout.group_start(group);
                    for page in from..span_end {
                        f(in_words(shape, page, leaf::kind(bytes, page - start)), 1);
                    }
                }
                LeafSpan::Absent | LeafSpan::Unknown => {
                    // What is the file's own has its place, whatever is known.
                    let head_end = shape.head().clamp(from, span_end);
                    for page in from..head_end {
                        f(reserved_kind(shape, page), 1);
                    }
                    let homes = layout.reserved_below(span_end) - layout.reserved_below(head_end);
                    f(PageKind::SPACE, homes);
                    let kind = match leaf {
                        LeafSpan::Unknown => PageKind::UNKNOWN,
                        _ => PageKind::FREE,
                    };
                    f(kind, span_end - head_end - homes);
                }
            }
            from = span_end;
        }
    }

    /// The first run of free pages from page `from` on, below the page count and
    /// before `end`, and those like it that follow.
    pub(crate) fn free_run<S: Medium>(
        &mut self,
        store: &S,
        from: u64,
        end: u64,
    ) -> Option<FreeRuns> {
        if self.scope == Scope::Protected {
            return None;
        }
        let layout = self.layout;
        let limit = self.record.page_count.min(end);
        let mut from = from;
        // Where the run begins that goes on to `from`.
        let mut first = None;
        while from < limit {
            let group = layout.group_of(from);
            let (leaf, span_end) = self.span(store, group, limit);
            let start = layout.group_start(group);
            if let (LeafSpan::Absent, None) = (&leaf, first)
                && let Some(runs) = absent_runs(&layout, from, span_end)
            {
                return Some(runs);
            }
            let end = match leaf {
                LeafSpan::Unknown => span_end,
                _ => span_end.min(start + layout.shape().group_len()),
            };
            let leaf = match leaf {
                LeafSpan::Absent => LeafSpan::Read(leaf::absent(&layout, group).into()),
                leaf => leaf,
            };
            let (next_free, next_taken): (&Next, &Next) = match &leaf {
                LeafSpan::Read(bytes) => (
                    &|place| leaf::next_free(bytes, place, end - start),
                    &|place| leaf::next_taken(bytes, place, end - start),
                ),
                _ => (&|_| None, &Some),
            };
            let begin = match first {
                Some(_) => Some(from),
                None => next_free(from - start).map(|place| start + place),
            };
            if let Some(begin) = begin {
                let first = *first.get_or_insert(begin);
                if let Some(place) = next_taken(begin - start) {
                    return Some(FreeRuns::one(first, start + place));
                }
            }
            from = end;
        }
        first.map(|first| FreeRuns::one(first, limit))
    }

    /// What is known of a group, and the page, at most `end`, up to which the
    /// same is known.
    fn span<S: Medium>(&mut self, store: &S, group: u64, end: u64) -> (LeafSpan, u64) {
        let space = self.record.space_tree();
        let layout = self.layout;
        let Ok((mut reader, pages)) = self.paged(store) else {
            return (LeafSpan::Unknown, end);
        };
        let changed = pages.next_changed(layout.group_start(group));
        let changed = changed.map_or(u64::MAX, |page| layout.group_of(page));
        let (leaf, next) = if changed == group {
            let leaf = match pages.leaf(&mut reader, &space, group) {
                Ok(leaf) => leaf.map_or(LeafSpan::Absent, LeafSpan::Read),
                Err(_) => LeafSpan::Unknown,
            };
            (leaf, group + 1)
        } else {
            reader.leaf_span(&space, group)
        };
        let next = next.min(changed.max(group + 1));
        let is_past = next > layout.group_of(end);
        let next = if is_past {
            end
        } else {
            layout.group_start(next)
        };
        (leaf, next)
    }

    /// Regular pages: counted by some leaves in each call, and once all are, by
    /// each commit. None: not all are counted yet, or a leaf cannot be believed.
    pub(super) fn regular_pages<S: Medium>(&mut self, store: &S) -> Option<u64> {
        if self.regular.is_none()
            && let Some((group, pages)) = self.counted
        {
            match self.count_regular(store, group, pages) {
                Ok((Some(group), pages)) => self.counted = Some((group, pages)),
                Ok((None, pages)) => self.regular = Some(pages),
                // Another time the medium may give it.
                Err(error) if error.is_of_medium() => {}
                Err(_) => self.counted = None,
            }
        }
        self.regular
    }

    /// Counts on from a group: where to go on, and how many there are.
    fn count_regular<S: Medium>(
        &mut self,
        store: &S,
        group: u64,
        pages: u64,
    ) -> Result<(Option<u64>, u64), Error> {
        let space = self.record.space_tree();
        let shape = self.layout.shape();
        let (mut reader, overlay) = self.paged(store)?;
        let (mut group, mut pages) = (group, pages);
        let leaves = if group == 0 {
            LEAVES_AT_FIRST
        } else {
            LEAVES_A_CALL
        };
        for _ in 0..leaves {
            let Some(found) = overlay.next_group(&mut reader, &space, group)? else {
                return Ok((None, pages));
            };
            if let Some(leaf) = overlay.leaf(&mut reader, &space, found)? {
                pages += leaf::count_of(&leaf, shape, Kind::Regular);
            }
            group = found + 1;
        }
        Ok((Some(group), pages))
    }
}

/// The runs of whole groups in which all is free but their homes, from the start
/// of the first of them on: one in each group, all about as long. None where
/// there are not at least two such groups.
fn absent_runs(layout: &Layout, from: u64, end: u64) -> Option<FreeRuns> {
    let shape = layout.shape();
    let group = layout.group_of(from);
    let groups_end = layout.group_of(end);
    let groups_end = layout
        .next_odd(group)
        .map_or(groups_end, |odd| groups_end.min(odd));
    let times = groups_end.saturating_sub(group);
    // Of two neighbours one has the fewest homes that a group has.
    let longest = shape.group_len() - 2;
    let shortest = shape.group_len() - 2 * (1 + u64::from(shape.space_levels()));
    let are_alike = longest.ilog2() == shortest.ilog2();
    let is_start = from == layout.group_start(group) && group >= wide(NAMED);
    (is_start && are_alike && times >= 2).then(|| FreeRuns {
        first: from + layout.own(group),
        count: longest,
        times,
        next: layout.group_start(groups_end),
    })
}

/// The kinds of a whole group.
fn count_leaf(layout: &Layout, group: u64, leaf: &[u8], f: &mut dyn FnMut(PageKind, u64)) {
    let shape = layout.shape();
    let count = |kind| leaf::count_of(leaf, shape, kind);
    f(PageKind::FREE, count(Kind::Free) + count(Kind::Limbo));
    f(PageKind::REGULAR, count(Kind::Regular));
    f(PageKind::PROTECTED_ACTIVE, count(Kind::Protected));
    f(PageKind::MAP_NODE, count(Kind::Node));
    f(PageKind::SNAPSHOTS, count(Kind::Snapshots));
    let head = if group == 0 { shape.head() } else { 0 };
    for page in 0..head {
        f(reserved_kind(shape, page), 1);
    }
    f(PageKind::SPACE, count(Kind::Reserved) - head);
}
