//! What each page is, read from SPACE as far as it is asked for. What cannot be
//! read is said to be unknown.

use super::file::File;
use super::layout::{Layout, NAMED};
use super::leaf::{self, Kind, in_words, reserved_kind};
use super::medium::Medium;
use super::tree::LeafSpan;
use crate::codec::wide;
use crate::kinds::PageKind;
use crate::page_map::FreeRuns;

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
        let shape = layout.shape();
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

    /// The first run of free pages from page `from` on, below the page count,
    /// and those like it that follow.
    pub(crate) fn free_run<S: Medium>(&mut self, store: &S, from: u64) -> Option<FreeRuns> {
        let layout = self.layout;
        let page_count = self.record.page_count;
        let mut from = from;
        // Where the run begins that goes on to `from`.
        let mut first = None;
        while from < page_count {
            let group = layout.group_of(from);
            let (leaf, span_end) = self.span(store, group, page_count);
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
        first.map(|first| FreeRuns::one(first, page_count))
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
    f(PageKind::UNKNOWN, count(Kind::Snapshots));
    let head = if group == 0 { shape.head() } else { 0 };
    for page in 0..head {
        f(reserved_kind(shape, page), 1);
    }
    f(PageKind::SPACE, count(Kind::Reserved) - head);
}
