//! Checking the structures that recovery does not look at: the copies of
//! directory blocks that do not count. A step a block.

use alloc::format;
use alloc::vec::Vec;

use pagebox_store::PageStore;

use super::directory::DirectoryCopy;
use super::file::File;
use super::findings;
use super::slots::Directory;
use crate::finding::{Finding, evidence};
use crate::read::read_page;
use crate::verify::unreadable;

impl File {
    pub(crate) fn check_steps(&self) -> u64 {
        let directory = self.state.directory();
        directory.map_or(0, |directory| directory.blocks().len() as u64)
    }

    /// Ids of protected pages are below this.
    pub(crate) fn id_end(&self) -> u64 {
        let directory = self.state.directory();
        directory.map_or(0, Directory::capacity)
    }

    pub(crate) fn check_step<S: PageStore>(&self, store: &S, index: u64) -> Vec<Finding> {
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
        let head = evidence(&bytes, 0, 8);
        let Err(fault) = DirectoryCopy::parse(bytes, store.geometry().page_size) else {
            return Vec::new();
        };
        let message = format!(
            "copy {side} of directory block {index}, which does not count, is not valid: {fault}"
        );
        let finding = Finding::new(findings::DIRECTORY_OTHER, Some(page), message);
        alloc::vec![finding.with_evidence(&head, 0, 8)]
    }
}
