//! [`Places`]: finds free pages, each once.
//!
//! It follows the entries of SPACE that are not full, and what was freed since
//! the last fold. Pages past the page count are free in their leaf, or have none;
//! who looks below the page count only says so.

use alloc::sync::Arc;

use super::error::Error;
use super::leaf;
use super::medium::Medium;
use super::pages::Pages;
use super::tree::{Reader, Seek, Tree};
use crate::bitmap::Overlay;

/// Free pages of a committed state, ascending, round the end once.
pub(super) struct Places<'a> {
    space: Tree,
    pages: &'a Pages,
    /// Pages that are taken already.
    taken: &'a Overlay,
    /// No page is given out below this, in this round.
    next: u64,
    end: u64,
    /// Where the second round ends.
    second_end: Option<u64>,
    /// The leaf of the group of `next`, as of the last fold.
    leaf: Option<(u64, Option<Arc<[u8]>>)>,
}

impl<'a> Places<'a> {
    /// From page `from` on, below `end`.
    pub(super) fn ascending(
        space: Tree,
        pages: &'a Pages,
        taken: &'a Overlay,
        from: u64,
        end: u64,
    ) -> Self {
        Self {
            space,
            pages,
            taken,
            next: from,
            end,
            second_end: None,
            leaf: None,
        }
    }

    /// From page `from` on, below `end`, then those below `from`.
    pub(super) fn round(
        space: Tree,
        pages: &'a Pages,
        taken: &'a Overlay,
        from: u64,
        end: u64,
    ) -> Self {
        let from = if from < end { from } else { 0 };
        Self {
            second_end: Some(from),
            ..Self::ascending(space, pages, taken, from, end)
        }
    }

    /// Where it looks next.
    pub(super) fn position(&self) -> u64 {
        self.next
    }

    /// The next free page; none: no more are.
    pub(super) fn take<S: Medium>(
        &mut self,
        reader: &mut Reader<'_, S>,
    ) -> Result<Option<u64>, Error> {
        let layout = reader.layout;
        loop {
            if self.next >= self.end {
                let Some(end) = self.second_end.take() else {
                    return Ok(None);
                };
                (self.next, self.end, self.leaf) = (0, end, None);
                continue;
            }
            let group = layout.group_of(self.next);
            let leaf = match &self.leaf {
                Some((of, leaf)) if *of == group => leaf.clone(),
                _ => {
                    let found = self.group_with_room(reader, group)?;
                    if found != group {
                        self.next = layout.group_start(found);
                        continue;
                    }
                    let leaf = reader.leaf(&self.space, group)?;
                    self.leaf = Some((group, leaf.clone()));
                    leaf
                }
            };
            let start = layout.group_start(group);
            let group_end = start + layout.shape().group_len();
            let end = group_end.min(self.end);
            let mut page = self.next;
            while page < end {
                let by_leaf = match &leaf {
                    Some(leaf) => {
                        leaf::next_free(leaf, page - start, end - start).map(|place| start + place)
                    }
                    None => (page..end).find(|&page| !layout.is_reserved(page)),
                };
                let freed = self.pages.next_freed(page).filter(|&page| page < end);
                let Some(found) = by_leaf.into_iter().chain(freed).min() else {
                    break;
                };
                page = found + 1;
                if self.pages.leaves_free(found) && !self.taken.contains(found) {
                    self.next = page;
                    return Ok(Some(found));
                }
            }
            self.next = group_end;
        }
    }

    /// The first group from `group` on that was not full at the last fold, or
    /// has got a free page since. Those that the tree does not reach are not
    /// full.
    fn group_with_room<S: Medium>(
        &self,
        reader: &mut Reader<'_, S>,
        group: u64,
    ) -> Result<u64, Error> {
        let reached = reader.layout.shape().first_key(self.space.height, 1);
        let found = reader.seek(&self.space, group, Seek::Room)?;
        let freed = self.pages.next_freed(reader.layout.group_start(group));
        let freed = freed.map(|page| reader.layout.group_of(page));
        let found = found.unwrap_or(group.max(reached));
        Ok(freed.map_or(found, |freed| freed.min(found)))
    }
}
