//! Checking what recovery does not look at: the copies of directory blocks that
//! do not count, a block a part; then the bytes of the protected pages.

use alloc::format;
use alloc::vec::Vec;

use pagebox_store::PageStore;

use super::directory::DirectoryCopy;
use super::file::File;
use super::findings;
use super::slots::Directory;
use crate::codec::{narrow, wide};
use crate::facts::CheckPart;
use crate::finding::Finding;
use crate::ids::ProtectedId;
use crate::read::read_page;
use crate::verify::{Looks, at_flip, explained, protected_page, unreadable};

/// Ids whose pages one part looks at.
const IDS_PER_PART: u64 = 64;

impl File {
    pub(crate) fn check_total(&self) -> u64 {
        let ids = self.state.directory().map_or(0, Directory::capacity);
        self.block_count() + ids.div_ceil(IDS_PER_PART)
    }

    fn block_count(&self) -> u64 {
        let directory = self.state.directory();
        directory.map_or(0, |directory| directory.blocks().len() as u64)
    }

    /// A part of the check: a block of the directory, or the bytes of protected
    /// pages, [`IDS_PER_PART`] ids at a time.
    pub(crate) fn check_part<S: PageStore>(&self, store: &S, cursor: u64) -> CheckPart {
        let total = self.check_total();
        let findings = match cursor.checked_sub(self.block_count()) {
            None => self.check_block(store, cursor),
            Some(part) => self.check_pages(store, part.saturating_mul(IDS_PER_PART)),
        };
        let done = cursor.saturating_add(1).min(total);
        CheckPart {
            findings,
            next: (done < total).then_some(done),
            done,
            total,
        }
    }

    fn check_pages<S: PageStore>(&self, store: &S, start: u64) -> Vec<Finding> {
        let end = start.saturating_add(IDS_PER_PART);
        let pages = self.protected(ProtectedId(start), narrow(IDS_PER_PART));
        let pages = pages.unwrap_or_default().into_iter();
        pages
            .take_while(|page| page.id.0 < end)
            .filter_map(|page| protected_page(store, &page, &mut Looks::one()))
            .collect()
    }

    /// What a check finds in a page beyond what recovery did, but for the bytes of
    /// protected ones.
    pub(crate) fn page_findings<S: PageStore>(&self, store: &S, page: u64) -> Vec<Finding> {
        let directory = self.state.directory();
        let blocks = directory.map_or(&[][..], |directory| directory.blocks());
        let place = blocks.iter().position(|block| {
            let place = block.place;
            place.active.other().of(place.pages) == page
        });
        place.map_or_else(Vec::new, |index| self.check_block(store, wide(index)))
    }

    fn check_block<S: PageStore>(&self, store: &S, index: u64) -> Vec<Finding> {
        let blocks = self.state.directory().map(Directory::blocks);
        let block = blocks.and_then(|blocks| blocks.get(usize::try_from(index).ok()?));
        let Some(block) = block else {
            return Vec::new();
        };
        let side = block.place.active.other();
        let page = side.of(block.place.pages);
        let bytes = match read_page(store, page) {
            Ok(Some(bytes)) => bytes,
            // Past the end of the file: recovery has said so.
            Ok(None) => return Vec::new(),
            Err(error) => return alloc::vec![unreadable(page, &error)],
        };
        let Err(fault) = DirectoryCopy::parse(bytes.clone(), store.geometry().page_size) else {
            return Vec::new();
        };
        let flip = fault.flip(&bytes);
        let message = format!(
            "copy {side} of directory block {index}, which does not count, is not valid: {fault}{}",
            explained(flip)
        );
        let finding = Finding::new(findings::DIRECTORY_OTHER, Some(page), message);
        let finding = finding.with_evidence(&bytes, 0, 8);
        alloc::vec![at_flip(finding, &bytes, flip)]
    }
}
