//! The peer, as its own documentation uses it.

use std::fs::File;
use std::path::{Path, PathBuf};

use mappedpages::{PageId, Pager, ProtectedPageId};

use super::{PAGE, Pages, Records, adding, content, copying};

pub(crate) struct Peer {
    pager: Pager<PAGE>,
    path: PathBuf,
    /// It offers no sync of regular pages: this handle's covers its map.
    file: File,
}

impl Peer {
    /// A file of `records` protected and then `pages` regular pages.
    pub(crate) fn create(folder: &Path, records: u64, pages: u64) -> Self {
        let path = folder.join("mappedpages");
        let mut pager = Pager::<PAGE>::create(&path).expect("a new file");
        for record in 0..records {
            let id = pager.alloc_protected().expect("a page");
            assert_eq!(id.0, record, "ids count up");
            let mut writer = id.get_mut(&mut pager).expect("a writer");
            let page = writer.page_mut().as_bytes_mut();
            page.copy_from_slice(&content(record, 0));
            writer.commit().expect("a commit");
        }
        for id in pager.alloc_bulk(pages as usize).expect("pages") {
            let page = id.get_mut(&mut pager).expect("the page");
            page.as_bytes_mut().copy_from_slice(&content(id.0, 0));
        }
        drop(pager);
        Self::open(path)
    }

    pub(crate) fn open(path: PathBuf) -> Self {
        let file = File::open(&path).expect("the file is there");
        file.sync_all().expect("a sync");
        Self {
            pager: Pager::open(&path).expect("the file opens"),
            path,
            file,
        }
    }

    /// Where its file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn visit(&self, records: &[u64], mut f: impl FnMut(&[u8])) {
        for record in records {
            let page = ProtectedPageId::<PAGE>(*record).get(&self.pager);
            f(page.expect("the page").as_bytes());
        }
    }

    fn visit_pages(&self, pages: &[u64], mut f: impl FnMut(&[u8])) {
        for page in pages {
            let page = PageId::<PAGE>(*page).get(&self.pager);
            f(page.expect("the page").as_bytes());
        }
    }
}

impl Records for Peer {
    fn overwrite(&mut self, changes: &[(u64, &[u8])]) {
        for &(record, bytes) in changes {
            let id = ProtectedPageId::<PAGE>(record);
            let mut writer = id.get_mut(&mut self.pager).expect("a writer");
            writer.page_mut().as_bytes_mut().copy_from_slice(bytes);
            writer.commit().expect("a commit");
        }
    }

    fn sum(&self, records: &[u64]) -> u64 {
        let mut total = 0;
        self.visit(records, adding(&mut total));
        total
    }

    fn copy(&self, records: &[u64], buffer: &mut [u8]) {
        self.visit(records, copying(buffer));
    }

    fn reopen(self: Box<Self>) -> Box<dyn Records> {
        let path = self.path.clone();
        drop(self);
        Box::new(Self::open(path))
    }
}

impl Pages for Peer {
    fn alloc(&mut self, count: u32) -> Vec<u64> {
        let ids = self.pager.alloc_bulk(count as usize).expect("pages");
        ids.into_iter().map(|id| id.0).collect()
    }

    fn free(&mut self, pages: &[u64]) {
        if let [page] = pages {
            self.pager.free(PageId(*page)).expect("a page to free");
        } else {
            let ids = pages.iter().copied().map(PageId).collect();
            self.pager.free_bulk(ids).expect("pages to free");
        }
    }

    fn alloc_one(&mut self) -> u64 {
        self.pager.alloc().expect("a page").0
    }

    fn sum_pages(&self, pages: &[u64]) -> u64 {
        let mut total = 0;
        self.visit_pages(pages, adding(&mut total));
        total
    }

    fn copy_pages(&self, pages: &[u64], buffer: &mut [u8]) {
        self.visit_pages(pages, copying(buffer));
    }

    fn iterate(&self) -> (u64, u64) {
        let regular = self.pager.iter_allocated_pages().count();
        let protected = self.pager.iter_allocated_protected_pages().count();
        (regular as u64, protected as u64)
    }

    fn regular(&self) -> Vec<u64> {
        self.pager.iter_allocated_pages().map(|id| id.0).collect()
    }

    fn write_and_sync(&mut self, page: u64, bytes: &[u8]) {
        let page = PageId::<PAGE>(page).get_mut(&mut self.pager);
        page.expect("the page")
            .as_bytes_mut()
            .copy_from_slice(bytes);
        self.file.sync_data().expect("a sync");
    }

    fn reopen_pages(self: Box<Self>) -> Box<dyn Pages> {
        let path = self.path.clone();
        drop(self);
        Box::new(Self::open(path))
    }
}
