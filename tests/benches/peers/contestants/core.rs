//! pagebox without its sandbox: the same core, compiled natively, over the same
//! store. What it and `pagebox` differ by is what the sandbox costs.

use std::path::{Path, PathBuf};

use pagebox::{MmapStore, PageSize, Store};
use pagebox_core::{Access, Pager, ProtectedId};

use super::{Pages, Records, adding, content, copying};

/// Over any store, with pages of any size.
pub(crate) struct CoreIn<S>(Pager<S>);

impl<S: Store> CoreIn<S> {
    /// An empty file of at least `page_count` pages.
    pub(crate) fn create(store: S, page_count: u64) -> Self {
        Self(Pager::create(store, page_count).expect("a new file"))
    }

    /// Allocates the pages that a contest begins with.
    fn fill(&mut self, records: u64, pages: u64) {
        let mut transaction = self.0.begin().expect("a transaction");
        let ids = self.0.alloc_protected(&mut transaction, records as u32);
        for id in ids.expect("protected pages") {
            let buffer = self.0.stage(&mut transaction, id).expect("a buffer");
            buffer.copy_from_slice(&content(id.0, 0));
        }
        self.0.commit(transaction).expect("a commit");
        for page in self.alloc(pages as u32) {
            let bytes = self.0.store_mut().page_mut(page).expect("the page");
            let bytes = bytes.expect("the store has its pages in memory");
            bytes.copy_from_slice(&content(page, 0));
        }
        self.0.sync().expect("a sync");
    }

    fn page(&self, page: u64) -> &[u8] {
        self.0.store().page(page).expect("the page")
    }

    fn overwrite(&mut self, changes: &[(u64, &[u8])]) {
        let mut transaction = self.0.begin().expect("a transaction");
        for &(record, bytes) in changes {
            let id = ProtectedId(record);
            let buffer = self.0.stage(&mut transaction, id).expect("a buffer");
            buffer.copy_from_slice(bytes);
        }
        self.0.commit(transaction).expect("a commit");
    }

    fn visit(&self, records: &[u64], mut f: impl FnMut(&[u8])) {
        for record in records {
            let id = ProtectedId(*record);
            let location = self.0.locate_protected(id).expect("the page");
            f(self.page(location.page));
        }
    }

    fn alloc(&mut self, count: u32) -> Vec<u64> {
        let mut transaction = self.0.begin().expect("a transaction");
        let pages = self.0.alloc(&mut transaction, count).expect("pages");
        self.0.commit(transaction).expect("a commit");
        pages
    }

    fn free(&mut self, pages: &[u64]) {
        let mut transaction = self.0.begin().expect("a transaction");
        self.0.free(&mut transaction, pages).expect("pages to free");
        self.0.commit(transaction).expect("a commit");
    }

    fn visit_pages(&self, pages: &[u64], mut f: impl FnMut(&[u8])) {
        for page in pages {
            f(self.page(self.0.locate(*page).expect("the page")));
        }
    }

    fn iterate(&self) -> (u64, u64) {
        let regular = self.0.allocated(0, usize::MAX).expect("pages");
        let protected = self.0.protected(ProtectedId(0)).expect("pages");
        let regular = regular
            .iter()
            .flat_map(|run| run.first..run.first + run.count);
        (regular.count() as u64, protected.count() as u64)
    }

    fn regular(&self) -> Vec<u64> {
        let runs = self.0.allocated(0, usize::MAX).expect("pages");
        let pages = runs.iter().flat_map(|run| run.first..run.first + run.count);
        pages.collect()
    }

    fn write_and_sync(&mut self, page: u64, bytes: &[u8]) {
        let page = self.0.locate(page).expect("the page");
        let target = self.0.store_mut().page_mut(page).expect("the page");
        target.expect("in memory").copy_from_slice(bytes);
        self.0.sync().expect("a sync");
    }

    fn reopened(self) -> Self {
        Self(Pager::open(self.0.close(), Access::Write).expect("the store opens again"))
    }
}

impl<S: Store> Pages for CoreIn<S> {
    fn alloc(&mut self, count: u32) -> Vec<u64> {
        self.alloc(count)
    }

    fn free(&mut self, pages: &[u64]) {
        self.free(pages);
    }

    fn alloc_one(&mut self) -> u64 {
        self.alloc(1)[0]
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
        self.iterate()
    }

    fn regular(&self) -> Vec<u64> {
        self.regular()
    }

    fn write_and_sync(&mut self, page: u64, bytes: &[u8]) {
        self.write_and_sync(page, bytes);
    }

    fn reopen_pages(self: Box<Self>) -> Box<dyn Pages> {
        Box::new(self.reopened())
    }
}

/// In a mapped file.
pub(crate) struct Core {
    inner: CoreIn<MmapStore>,
    path: PathBuf,
}

impl Core {
    pub(crate) fn create(folder: &Path, page_count: u64, records: u64, pages: u64) -> Self {
        let path = folder.join("pagebox-core");
        std::fs::File::create_new(&path).expect("a new file");
        let store = MmapStore::open(&path, PageSize::KIB_4).expect("the file can be mapped");
        let mut inner = CoreIn::create(store, page_count);
        inner.fill(records, pages);
        Self { inner, path }.reopened()
    }

    pub(crate) fn open(path: PathBuf) -> Self {
        let store = MmapStore::open(&path, PageSize::KIB_4).expect("the file can be mapped");
        let inner = CoreIn(Pager::open(store, Access::Write).expect("the file opens"));
        Self { inner, path }
    }

    fn reopened(self) -> Self {
        let Self { inner, path } = self;
        drop(inner);
        Self::open(path)
    }

    /// Where its file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Records for Core {
    fn overwrite(&mut self, changes: &[(u64, &[u8])]) {
        self.inner.overwrite(changes);
    }

    fn sum(&self, records: &[u64]) -> u64 {
        let mut total = 0;
        self.inner.visit(records, adding(&mut total));
        total
    }

    fn copy(&self, records: &[u64], buffer: &mut [u8]) {
        self.inner.visit(records, copying(buffer));
    }

    fn reopen(self: Box<Self>) -> Box<dyn Records> {
        Box::new(self.reopened())
    }
}

impl Pages for Core {
    fn alloc(&mut self, count: u32) -> Vec<u64> {
        self.inner.alloc(count)
    }

    fn free(&mut self, pages: &[u64]) {
        self.inner.free(pages);
    }

    fn alloc_one(&mut self) -> u64 {
        self.inner.alloc(1)[0]
    }

    fn sum_pages(&self, pages: &[u64]) -> u64 {
        let mut total = 0;
        self.inner.visit_pages(pages, adding(&mut total));
        total
    }

    fn copy_pages(&self, pages: &[u64], buffer: &mut [u8]) {
        self.inner.visit_pages(pages, copying(buffer));
    }

    fn iterate(&self) -> (u64, u64) {
        self.inner.iterate()
    }

    fn regular(&self) -> Vec<u64> {
        self.inner.regular()
    }

    fn write_and_sync(&mut self, page: u64, bytes: &[u8]) {
        self.inner.write_and_sync(page, bytes);
    }

    fn reopen_pages(self: Box<Self>) -> Box<dyn Pages> {
        Box::new(self.reopened())
    }
}
