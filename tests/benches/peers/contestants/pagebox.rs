//! pagebox as its users have it: through the sandbox.

use std::path::{Path, PathBuf};

use pagebox::{Engine, Format, NewFile, PageId, PageSize, Pager, ProtectedId, Store};

use super::{Defers, Name, Pages, Protects, Records, adding, content, copying};

pub(crate) struct Pagebox {
    pager: Pager,
    engine: Engine,
    /// Where its file is; none: it is in a store of another kind.
    path: Option<PathBuf>,
}

impl Pagebox {
    /// A file of at least `page_count` pages, with `records` protected and
    /// `pages` regular ones.
    pub(crate) fn create(
        engine: &Engine,
        format: Format,
        folder: &Path,
        page_count: u64,
        records: u64,
        pages: u64,
    ) -> Self {
        let name = match format {
            Format::Zero => Name::PageboxZero,
            _ => Name::Pagebox,
        };
        let path = folder.join(name.text());
        let new = NewFile { format, page_count };
        let pager = engine.create_with(&path, PageSize::KIB_4, new);
        fill(&mut pager.expect("a new file"), records, pages);
        Self::open(engine, path)
    }

    /// An empty file of at least `page_count` pages, in a store of any kind.
    pub(crate) fn create_in(
        engine: &Engine,
        format: Format,
        store: impl Store,
        page_count: u64,
    ) -> Self {
        let pager = engine.create_store(store, NewFile { format, page_count });
        Self {
            pager: pager.expect("a new file"),
            engine: engine.clone(),
            path: None,
        }
    }

    pub(crate) fn open(engine: &Engine, path: PathBuf) -> Self {
        Self {
            pager: engine.open(&path).expect("the file opens"),
            engine: engine.clone(),
            path: Some(path),
        }
    }

    /// Where its file is.
    pub(crate) fn path(&self) -> &Path {
        self.path.as_deref().expect("it is in a file")
    }

    fn reopened(mut self) -> Self {
        let Some(path) = self.path else {
            self.pager.reopen().expect("the store opens again");
            return self;
        };
        drop(self.pager);
        Self::open(&self.engine, path)
    }

    fn visit(&self, records: &[u64], mut f: impl FnMut(&[u8])) {
        for record in records {
            f(self
                .pager
                .protected_page(ProtectedId::new(*record))
                .expect("the page"));
        }
    }

    fn visit_pages(&self, pages: &[u64], mut f: impl FnMut(&[u8])) {
        for page in pages {
            f(self.pager.page(PageId::new(*page)).expect("the page"));
        }
    }
}

/// Allocates the pages that a contest begins with.
fn fill(pager: &mut Pager, records: u64, pages: u64) {
    let mut tx = pager.begin().expect("a transaction");
    let ids = tx.alloc_protected_many(records as u32);
    for id in ids.expect("protected pages") {
        let buffer = tx.write(id).expect("a buffer");
        buffer.copy_from_slice(&content(id.get(), 0));
    }
    let ids = tx.alloc_many(pages as u32).expect("pages");
    tx.commit().expect("a commit");
    for id in ids {
        let bytes = pager.page_mut(id).expect("the page");
        bytes.copy_from_slice(&content(id.get(), 0));
    }
    pager.sync().expect("a sync");
}

impl Defers for Pagebox {
    fn defer(&mut self, record: u64, bytes: &[u8]) {
        let mut tx = self.pager.begin().expect("a transaction");
        let replaced = tx.replace(ProtectedId::new(record), bytes);
        replaced.expect("the page is there");
        tx.commit_deferred().expect("a commit");
    }

    fn make_durable(&mut self) {
        self.pager.sync().expect("a sync");
    }

    fn reopen_records(self: Box<Self>) -> Box<dyn Records> {
        Box::new(self.reopened())
    }
}

impl Protects for Pagebox {
    fn protect(&mut self) -> u64 {
        self.pager.alloc_protected().expect("a page").get()
    }

    fn unprotect(&mut self, id: u64) {
        let id = ProtectedId::new(id);
        self.pager.free_protected(id).expect("a page to free");
    }
}

impl Records for Pagebox {
    fn overwrite(&mut self, changes: &[(u64, &[u8])]) {
        let mut tx = self.pager.begin().expect("a transaction");
        for &(record, bytes) in changes {
            tx.replace(ProtectedId::new(record), bytes).expect("a page");
        }
        tx.commit().expect("a commit");
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
        Box::new(self.reopened())
    }
}

impl Pages for Pagebox {
    fn alloc(&mut self, count: u32) -> Vec<u64> {
        let ids = self.pager.alloc_many(count).expect("pages");
        ids.into_iter().map(PageId::get).collect()
    }

    fn free(&mut self, pages: &[u64]) {
        let ids: Vec<PageId> = pages.iter().copied().map(PageId::new).collect();
        self.pager.free_many(&ids).expect("pages to free");
    }

    fn alloc_one(&mut self) -> u64 {
        self.pager.alloc().expect("a page").get()
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
        let regular = self.pager.regular_pages().map(|page| page.expect("a page"));
        let protected = self.pager.protected_pages();
        let protected = protected.map(|page| page.expect("a page"));
        (regular.count() as u64, protected.count() as u64)
    }

    fn regular(&self) -> Vec<u64> {
        let pages = self.pager.regular_pages();
        pages.map(|page| page.expect("a page").get()).collect()
    }

    fn write_and_sync(&mut self, page: u64, bytes: &[u8]) {
        let target = self.pager.page_mut(PageId::new(page)).expect("the page");
        target.copy_from_slice(bytes);
        self.pager.sync().expect("a sync");
    }

    fn reopen_pages(self: Box<Self>) -> Box<dyn Pages> {
        Box::new(self.reopened())
    }
}
