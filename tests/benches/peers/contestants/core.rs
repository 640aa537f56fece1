//! pagebox without its sandbox: the same core, compiled natively, over the same
//! store. What it and `pagebox` differ by is what the sandbox costs.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use pagebox::{MmapStore, PageSize, Store};
use pagebox_core::{Access, Format, NewFile, Pager, ProtectedId};

use super::{Defers, Pages, Protects, Records, adding, content, copying};

/// Over any store, with pages of any size.
pub(crate) struct CoreIn<S>(RefCell<Pager<S>>);

impl<S: Store> CoreIn<S> {
    /// An empty file of at least `page_count` pages.
    pub(crate) fn create(store: S, page_count: u64) -> Self {
        let new = NewFile {
            format: Format::One,
            page_count,
            uuid: *b"not drawn at all",
        };
        Self(RefCell::new(
            Pager::create_as(store, &new).expect("a new file"),
        ))
    }

    /// Allocates the pages that a contest begins with.
    fn fill(&mut self, records: u64, pages: u64) {
        let core = self.0.get_mut();
        let mut transaction = core.begin().expect("a transaction");
        let ids = core.alloc_protected(&mut transaction, records as u32);
        for id in ids.expect("protected pages") {
            let buffer = core.stage(&mut transaction, id).expect("a buffer");
            buffer.copy_from_slice(&content(id.0, 0));
        }
        core.commit(transaction).expect("a commit");
        for page in self.alloc(pages as u32) {
            let core = self.0.get_mut();
            let bytes = core.store_mut().page_mut(page).expect("the page");
            let bytes = bytes.expect("the store has its pages in memory");
            bytes.copy_from_slice(&content(page, 0));
        }
        self.0.get_mut().sync().expect("a sync");
    }

    fn overwrite(&mut self, changes: &[(u64, &[u8])]) {
        let core = self.0.get_mut();
        let mut transaction = core.begin().expect("a transaction");
        for &(record, bytes) in changes {
            let id = ProtectedId(record);
            let buffer = core.stage_blank(&mut transaction, id).expect("a buffer");
            buffer.copy_from_slice(bytes);
        }
        core.commit(transaction).expect("a commit");
    }

    fn visit(&self, records: &[u64], mut f: impl FnMut(&[u8])) {
        let mut core = self.0.borrow_mut();
        for record in records {
            let id = ProtectedId(*record);
            let location = core.locate_protected(id).expect("the page");
            let page = location.page.expect("a page that was written");
            f(core.store().page(page).expect("the page"));
        }
    }

    fn alloc(&mut self, count: u32) -> Vec<u64> {
        let core = self.0.get_mut();
        let mut transaction = core.begin().expect("a transaction");
        let pages = core.alloc(&mut transaction, count).expect("pages");
        core.commit(transaction).expect("a commit");
        pages
    }

    fn free(&mut self, pages: &[u64]) {
        let core = self.0.get_mut();
        let mut transaction = core.begin().expect("a transaction");
        core.free(&mut transaction, pages).expect("pages to free");
        core.commit(transaction).expect("a commit");
    }

    fn visit_pages(&self, pages: &[u64], mut f: impl FnMut(&[u8])) {
        let mut core = self.0.borrow_mut();
        for &page in pages {
            core.locate(page).expect("the page");
            f(core.store().page(page).expect("the page"));
        }
    }

    fn iterate(&self) -> (u64, u64) {
        let mut core = self.0.borrow_mut();
        let regular = core.allocated(0, usize::MAX).expect("pages");
        let protected = core.protected(ProtectedId(0), usize::MAX).expect("pages");
        let regular = regular.iter().map(|run| run.count).sum();
        (regular, protected.len() as u64)
    }

    fn regular(&self) -> Vec<u64> {
        let runs = self.0.borrow_mut().allocated(0, usize::MAX).expect("pages");
        let pages = runs.iter().flat_map(|run| run.first..run.first + run.count);
        pages.collect()
    }

    fn write_and_sync(&mut self, page: u64, bytes: &[u8]) {
        let core = self.0.get_mut();
        core.locate(page).expect("the page");
        let target = core.store_mut().page_mut(page).expect("the page");
        target.expect("in memory").copy_from_slice(bytes);
        core.sync().expect("a sync");
    }

    fn reopened(self) -> Self {
        let store = self.0.into_inner().close();
        let core = Pager::open(store, Access::Write).expect("the store opens again");
        Self(RefCell::new(core))
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
        let core = Pager::open(store, Access::Write).expect("the file opens");
        let inner = CoreIn(RefCell::new(core));
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

impl Defers for Core {
    fn defer(&mut self, record: u64, bytes: &[u8]) {
        let core = self.inner.0.get_mut();
        let mut transaction = core.begin().expect("a transaction");
        let id = ProtectedId(record);
        let buffer = core.stage_blank(&mut transaction, id).expect("a buffer");
        buffer.copy_from_slice(bytes);
        core.commit_deferred(transaction).expect("a commit");
    }

    fn make_durable(&mut self) {
        self.inner.0.get_mut().sync().expect("a sync");
    }

    fn reopen_records(self: Box<Self>) -> Box<dyn Records> {
        Box::new(self.reopened())
    }
}

impl Protects for Core {
    fn protect(&mut self) -> u64 {
        let core = self.inner.0.get_mut();
        let mut transaction = core.begin().expect("a transaction");
        let ids = core.alloc_protected(&mut transaction, 1).expect("a page");
        core.commit(transaction).expect("a commit");
        ids[0].0
    }

    fn unprotect(&mut self, id: u64) {
        let core = self.inner.0.get_mut();
        let mut transaction = core.begin().expect("a transaction");
        let freed = core.free_protected(&mut transaction, &[ProtectedId(id)]);
        freed.expect("a page to free");
        core.commit(transaction).expect("a commit");
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
