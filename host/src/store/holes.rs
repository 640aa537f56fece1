//! [`Holes`]: pages of which the file has no blocks, wholly or in part.
//!
//! They are not read through a map: a file system in memory needs room even to
//! show the zeros of a hole, and where there is none the reader dies of a bus
//! error. Before one is changed through the map its blocks are reserved.

use std::collections::BTreeMap;
use std::io;
use std::sync::OnceLock;

use pagebox_store::StoreError;

use super::file::{PageFile, space_error};
use super::page_set::PageSet;
use crate::os;

/// Bytes that are reserved at once in a file that has its blocks, though parts
/// of them were never written: to say so page by page would be slow.
const RESERVED_AT_ONCE: u64 = 1 << 20;

/// Pages that are not read through the map.
#[derive(Debug, Default)]
pub(super) struct Holes {
    /// Pages that are reserved at once: more than one would undo what a sparse
    /// file spares.
    reserved_at_once: u64,
    pages: PageSet,
    /// Those of them that may hold more than zeros, and their bytes once
    /// somebody asked for them.
    parts: BTreeMap<u64, OnceLock<Box<[u8]>>>,
}

impl Holes {
    /// The pages of a file that are holes; none: it has no such pages. Whole
    /// ones are blank.
    pub(super) fn find(file: &mut PageFile) -> io::Result<Option<Self>> {
        let geometry = file.geometry();
        let page_size = geometry.page_size.bytes() as u64;
        let bare = file.locked().file();
        let found = os::holes(bare, geometry.page_count * page_size)?;
        if found.is_empty() {
            return Ok(None);
        }
        let mut holes = Self {
            reserved_at_once: if os::is_sparse(&bare.metadata()?) {
                1
            } else {
                (RESERVED_AT_ONCE / page_size).max(1)
            },
            ..Self::default()
        };
        for hole in found {
            // Of pages that it ends in, it is a part.
            let (first, end) = (hole.start.div_ceil(page_size), hole.end / page_size);
            if first < end {
                holes.pages.insert_run(first, end - first);
                file.add_blank(first, end - first);
            }
            for (edge, is_whole) in [
                (hole.start, hole.start % page_size == 0),
                (hole.end, hole.end % page_size == 0),
            ] {
                if !is_whole {
                    holes.doubt(edge / page_size);
                }
            }
        }
        Ok(Some(holes))
    }

    #[inline]
    pub(super) fn contains(&self, page: u64) -> bool {
        self.pages.contains(page)
    }

    /// What is kept takes so many bytes, about.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.pages.memory()
    }

    /// The bytes of one of them.
    #[cold]
    pub(super) fn bytes<'a>(
        &'a self,
        file: &'a PageFile,
        page: u64,
    ) -> Result<&'a [u8], StoreError> {
        let Some(part) = self.parts.get(&page) else {
            return Ok(file.zeros());
        };
        if let Some(bytes) = part.get() {
            return Ok(bytes);
        }
        let mut bytes = vec![0; file.zeros().len()].into_boxed_slice();
        file.read(page, 0, &mut bytes)?;
        Ok(part.get_or_init(|| bytes))
    }

    /// Reserves the blocks of a page, and of holes that follow it: they are
    /// none any more.
    pub(super) fn reserve(&mut self, file: &PageFile, page: u64) -> Result<(), StoreError> {
        let page_size = file.geometry().page_size.bytes() as u64;
        let mut count = 1;
        while count < self.reserved_at_once && self.contains(page + count) {
            count += 1;
        }
        let reserve =
            |count| os::reserve(file.locked().file(), page * page_size, count * page_size);
        if let Err(error) = reserve(count) {
            if count == 1 || !os::is_no_space(&error) {
                return Err(space_error(error));
            }
            count = 1;
            reserve(count).map_err(space_error)?;
        }
        for page in page..page + count {
            self.fill(page);
        }
        Ok(())
    }

    /// Forgets those from a page on: the file ends there.
    pub(super) fn truncate(&mut self, first: u64) {
        self.pages.truncate(first);
        drop(self.parts.split_off(&first));
    }

    /// Notes that a page has its blocks.
    pub(super) fn fill(&mut self, page: u64) {
        if self.pages.remove(page) {
            self.parts.remove(&page);
        }
    }

    /// Notes that zeros were put into a page, by whatever way.
    pub(super) fn zeroed(&mut self, page: u64) {
        // Of one that was all a hole, that may have been nothing to do.
        if self.parts.contains_key(&page) {
            self.fill(page);
        }
    }

    /// Notes that it is not known what a page holds, or whether it is a hole.
    pub(super) fn doubt(&mut self, page: u64) {
        self.pages.insert(page);
        self.parts.insert(page, OnceLock::new());
    }
}
