//! [`Model`]: what a page file should hold, kept in the plainest way.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::DerefMut;
use std::rc::Rc;

use pagebox_core::{Error, Pager, ProtectedId, Transaction};
use pagebox_store::{Algorithm, Checksum, PageStore};

use crate::decode::Pages;
use crate::shown::Shown;
use crate::workload::{Change, Step};

/// The bytes of a page.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    bytes: Rc<[u8]>,
    crc32: u32,
}

impl Content {
    fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.into(),
            crc32: crc32fast::hash(bytes),
        }
    }

    /// A page of zeros.
    pub fn zeros(page_size: usize) -> Self {
        Self::new(&vec![0; page_size])
    }

    /// Their CRC-32.
    pub fn crc32(&self) -> u32 {
        self.crc32
    }

    /// Puts bytes into the page.
    fn put(&mut self, offset: usize, bytes: &[u8]) {
        let mut page = self.bytes.to_vec();
        page[offset..offset + bytes.len()].copy_from_slice(bytes);
        *self = Self::new(&page);
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.crc32)
    }
}

/// A regular page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Regular {
    /// What it shows; none where a crash left something.
    pub content: Option<Content>,
    /// Whether that is durable.
    pub is_settled: bool,
}

/// What a page file should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    page_size: usize,
    /// The regular pages.
    pub regular: BTreeMap<u64, Regular>,
    /// The protected pages.
    pub protected: BTreeMap<u64, Content>,
}

/// A store whose regular pages a test can write in place.
pub trait RegularPages {
    /// Writes a part of a page.
    fn put(&mut self, page: u64, offset: usize, bytes: &[u8]);
}

impl RegularPages for pagebox_store::MemoryStore {
    fn put(&mut self, page: u64, offset: usize, bytes: &[u8]) {
        let page = self.page_mut(page).expect("a regular page is in the store");
        page[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
}

impl RegularPages for crate::crash::CrashStore {
    fn put(&mut self, page: u64, offset: usize, bytes: &[u8]) {
        self.write_bytes(page, offset, bytes);
    }
}

impl Model {
    /// Of a new file.
    pub fn new(page_size: usize) -> Self {
        Self {
            page_size,
            regular: BTreeMap::new(),
            protected: BTreeMap::new(),
        }
    }

    /// Of a file that somebody else wrote, all of it durable. What the peer
    /// allocated and did not sync in time counts as zeros.
    pub fn of(shown: &Shown, pages: &impl Pages) -> Self {
        let content = |page| Content::new(pages.page(page));
        let regular = |page| Regular {
            content: Some(content(page)),
            is_settled: true,
        };
        Self {
            page_size: shown.page_size,
            regular: shown
                .regular
                .iter()
                .map(|&page| (page, regular(page)))
                .collect(),
            protected: shown
                .protected
                .iter()
                .map(|(&id, shown_page)| {
                    let zeros = || Content::zeros(shown.page_size);
                    let content = shown_page.page.map_or_else(zeros, content);
                    let checksum = Checksum::of(shown_page.checksum.algorithm, &content.bytes);
                    if checksum != shown_page.checksum && shown_page.generation == 0 {
                        (id, zeros())
                    } else {
                        (id, content)
                    }
                })
                .collect(),
        }
    }

    /// Does something to a pager and to the model.
    ///
    /// An error is the commit's: then the model is as before. That it is right
    /// is for the caller to say.
    pub fn run<S>(&mut self, pager: &mut Pager<S>, step: &Step) -> Result<(), Error>
    where
        S: PageStore<Buffer: DerefMut<Target = [u8]>> + RegularPages,
    {
        match step {
            Step::Commit(changes) => {
                let (transaction, pending) = self.pending(pager, changes)?;
                pager.commit(transaction)?;
                *self = pending;
                self.settle();
            }
            Step::Defer(changes) => {
                let (transaction, pending) = self.pending(pager, changes)?;
                let info = pager.commit_deferred(transaction)?;
                *self = pending;
                if info.durable == info.generation {
                    self.settle();
                }
            }
            Step::RollBack(changes) => drop(self.pending(pager, changes)?),
            Step::Write(pick, part) => {
                let Some(page) = picked(&self.regular, *pick) else {
                    return Ok(());
                };
                let (offset, bytes) = part.bytes(self.page_size);
                pager.store_mut().put(page, offset, &bytes);
                let regular = self
                    .regular
                    .get_mut(&page)
                    .expect("it was picked from there");
                regular.is_settled = bytes.is_empty() && regular.is_settled;
                match &mut regular.content {
                    Some(content) => content.put(offset, &bytes),
                    None if bytes.len() == self.page_size => {
                        regular.content = Some(Content::new(&bytes));
                    }
                    None => {}
                }
            }
            Step::Sync => {
                pager.sync()?;
                self.settle();
            }
        }
        Ok(())
    }

    /// A transaction with these changes, and what the file holds if it is
    /// committed.
    pub fn pending<S: PageStore<Buffer: DerefMut<Target = [u8]>>>(
        &self,
        pager: &mut Pager<S>,
        changes: &[Change],
    ) -> Result<(Transaction<S::Buffer>, Self), Error> {
        let mut transaction = pager.begin()?;
        let mut pending = self.clone();
        for change in changes {
            pending.change(pager, &mut transaction, change)?;
        }
        Ok((transaction, pending))
    }

    fn change<S: PageStore<Buffer: DerefMut<Target = [u8]>>>(
        &mut self,
        pager: &mut Pager<S>,
        transaction: &mut Transaction<S::Buffer>,
        change: &Change,
    ) -> Result<(), Error> {
        let zeros = Content::zeros(self.page_size);
        match change {
            Change::Alloc(count) => {
                let pages = pager.alloc(transaction, *count)?;
                assert_eq!(pages.len(), *count as usize);
                for page in pages {
                    let new = Regular {
                        content: Some(zeros.clone()),
                        is_settled: false,
                    };
                    assert_eq!(
                        self.regular.insert(page, new),
                        None,
                        "page {page} is in use"
                    );
                }
            }
            Change::AllocProtected(count) => {
                let ids = pager.alloc_protected(transaction, *count)?;
                assert_eq!(ids.len(), *count as usize);
                for ProtectedId(id) in ids {
                    assert_eq!(
                        self.protected.insert(id, zeros.clone()),
                        None,
                        "id {id} is in use"
                    );
                }
            }
            Change::Free(picks) => {
                let pages = picked_once(&self.regular, picks);
                pager.free(transaction, &pages)?;
                self.regular.retain(|page, _| !pages.contains(page));
            }
            Change::FreeProtected(picks) => {
                let ids = picked_once(&self.protected, picks);
                let named: Vec<_> = ids.iter().copied().map(ProtectedId).collect();
                pager.free_protected(transaction, &named)?;
                self.protected.retain(|id, _| !ids.contains(id));
            }
            Change::Write(pick, part) => {
                let Some(id) = picked(&self.protected, *pick) else {
                    return Ok(());
                };
                let staged = pager.stage(transaction, ProtectedId(id))?;
                let content = self
                    .protected
                    .get_mut(&id)
                    .expect("it was picked from there");
                assert!(
                    staged[..] == content.bytes[..],
                    "staging {id} starts from other bytes"
                );
                let (offset, bytes) = part.bytes(self.page_size);
                staged[offset..offset + bytes.len()].copy_from_slice(&bytes);
                content.put(offset, &bytes);
            }
        }
        Ok(())
    }

    /// All that regular pages show became durable: what was written, and the
    /// zeros that a page is allocated with.
    fn settle(&mut self) {
        for regular in self.regular.values_mut() {
            regular.is_settled |= regular.content.is_some();
        }
    }

    /// After a power loss: what was not durable is not known.
    pub fn lose_power(&mut self) {
        for regular in self
            .regular
            .values_mut()
            .filter(|regular| !regular.is_settled)
        {
            regular.content = None;
        }
    }

    /// What a pager shows is what it should. Bytes that are not known are not
    /// compared.
    pub fn check<S: PageStore>(&self, pager: &mut Pager<S>) -> Result<(), String> {
        let shown = regular_pages(pager, 3)?;
        if !shown.iter().eq(self.regular.keys()) {
            return Err(format!(
                "regular pages {shown:?} instead of {:?}",
                self.regular.keys()
            ));
        }
        let protected: Vec<_> = match pager.protected(ProtectedId(0), usize::MAX) {
            Ok(protected) => protected.iter().map(|it| it.id).collect(),
            Err(error) => return Err(error.to_string()),
        };
        if !protected.iter().map(|id| &id.0).eq(self.protected.keys()) {
            return Err(format!(
                "protected {protected:?} instead of {:?}",
                self.protected.keys()
            ));
        }
        for (&page, regular) in &self.regular {
            pager.locate(page).map_err(|error| error.to_string())?;
            if let Some(content) = &regular.content {
                expect_bytes(pager, page, content, &format!("regular page {page}"))?;
            }
        }
        for (&id, content) in &self.protected {
            let found = pager
                .verify_protected(ProtectedId(id))
                .map_err(|it| it.to_string())?;
            let what = format!("protected page {id}");
            match found.page {
                Some(page) => expect_bytes(pager, page, content, &what)?,
                None if *content == Content::zeros(self.page_size) => {}
                None => return Err(format!("{what} shows zeros instead of {content:?}")),
            }
        }
        let stats = pager.stats();
        let counts = (stats.regular_pages, stats.protected_pages);
        let expected = (
            Some(self.regular.len() as u64),
            Some(self.protected.len() as u64),
        );
        if counts != expected {
            return Err(format!("counts {counts:?} instead of {expected:?}"));
        }
        let parts = [stats.free_pages, stats.regular_pages, stats.internal_pages];
        if parts.into_iter().sum::<Option<u64>>() != stats.page_count {
            return Err(format!("the figures do not sum up: {stats:?}"));
        }
        Ok(())
    }

    /// What the independent reader says is what it should be.
    pub fn check_shown(&self, shown: &Shown, pages: &impl Pages) -> Result<(), String> {
        let mut said = Self::of(shown, pages);
        for (page, regular) in &mut said.regular {
            if let Some(known) = self.regular.get(page) {
                regular.is_settled = known.is_settled;
                if known.content.is_none() {
                    regular.content = None;
                }
            }
        }
        if said == *self {
            Ok(())
        } else {
            Err(format!("{said:?} instead of {self:?}"))
        }
    }
}

/// The regular pages that a pager shows, `limit` runs at a time.
pub fn regular_pages<S: PageStore>(pager: &mut Pager<S>, limit: usize) -> Result<Vec<u64>, String> {
    let mut pages = Vec::new();
    loop {
        let start = pages.last().map_or(0, |page| page + 1);
        let runs = pager
            .allocated(start, limit)
            .map_err(|error| error.to_string())?;
        if runs.is_empty() {
            return Ok(pages);
        }
        for run in runs {
            pages.extend(run.first..run.first + run.count);
        }
    }
}

fn expect_bytes<S: PageStore>(
    pager: &Pager<S>,
    page: u64,
    content: &Content,
    what: &str,
) -> Result<(), String> {
    let store = pager.store();
    match store.checksum(page, Algorithm::Crc32) {
        Ok(found) if found == Checksum::crc32(content.crc32) => Ok(()),
        found => Err(format!(
            "{what}, in page {page}: {found:?} instead of {content:?}"
        )),
    }
}

fn picked<T>(from: &BTreeMap<u64, T>, pick: u64) -> Option<u64> {
    let nth = pick.checked_rem(from.len() as u64)?;
    from.keys().nth(nth as usize).copied()
}

fn picked_once<T>(from: &BTreeMap<u64, T>, picks: &[u64]) -> Vec<u64> {
    let mut ids = Vec::new();
    for &pick in picks {
        ids.extend(picked(from, pick).filter(|id| !ids.contains(id)));
    }
    ids
}
