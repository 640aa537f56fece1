//! [`Mirror`]: what a page file should hold, kept in the plainest way while the
//! steps of a workload are done to the pager in the sandbox. It is to the
//! library what `pagebox_tests::model` is to the native core, and picks the
//! same pages.

use std::collections::{BTreeMap, BTreeSet};

use pagebox::{Error, PageId, PageSize, Pager, ProtectedId, Transaction};
use pagebox_tests::workload::{Change, Step};

type Pages<I> = BTreeMap<I, Vec<u8>>;

/// What a page file should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mirror {
    page_size: usize,
    regular: Pages<PageId>,
    protected: Pages<ProtectedId>,
}

impl Mirror {
    /// Of a new file.
    pub(crate) fn new(page_size: PageSize) -> Self {
        Self {
            page_size: page_size.bytes(),
            regular: Pages::new(),
            protected: Pages::new(),
        }
    }

    /// Does something to a pager and to the mirror, which stays as it was where
    /// that fails.
    pub(crate) fn run(&mut self, pager: &mut Pager, step: &Step) -> Result<(), Error> {
        match step {
            Step::Commit(changes) => {
                let mut transaction = pager.begin()?;
                let pending = self.after(&mut transaction, changes)?;
                transaction.commit()?;
                *self = pending;
            }
            Step::Defer(changes) => {
                let mut transaction = pager.begin()?;
                let pending = self.after(&mut transaction, changes)?;
                transaction.commit_deferred()?;
                *self = pending;
            }
            Step::RollBack(changes) => {
                let mut transaction = pager.begin()?;
                self.after(&mut transaction, changes)?;
                transaction.rollback();
            }
            Step::Write(pick, part) => {
                let Some(page) = picked(&self.regular, *pick) else {
                    return Ok(());
                };
                let (offset, bytes) = part.bytes(self.page_size);
                pager.write(page, offset, &bytes)?;
                put(&mut self.regular, &page, offset, &bytes);
            }
            Step::Sync => pager.sync()?,
        }
        Ok(())
    }

    /// What the file holds once a transaction with these changes is committed.
    fn after(&self, transaction: &mut Transaction<'_>, changes: &[Change]) -> Result<Self, Error> {
        let mut after = self.clone();
        let zeros = || vec![0; self.page_size];
        for change in changes {
            match change {
                Change::Alloc(count) => {
                    for page in transaction.alloc_many(*count)? {
                        let before = after.regular.insert(page, zeros());
                        assert_eq!(before, None, "page {page} is in use");
                    }
                }
                Change::AllocProtected(count) => {
                    for id in transaction.alloc_protected_many(*count)? {
                        let before = after.protected.insert(id, zeros());
                        assert_eq!(before, None, "id {id} is in use");
                    }
                }
                Change::Free(picks) => {
                    let pages = picked_once(&after.regular, picks);
                    transaction.free_many(&pages)?;
                    after.regular.retain(|page, _| !pages.contains(page));
                }
                Change::FreeProtected(picks) => {
                    let ids = picked_once(&after.protected, picks);
                    transaction.free_protected_many(&ids)?;
                    after.protected.retain(|id, _| !ids.contains(id));
                }
                Change::Write(pick, part) => {
                    let Some(id) = picked(&after.protected, *pick) else {
                        continue;
                    };
                    let staged = transaction.write(id)?;
                    assert!(
                        staged == after.protected[&id],
                        "{id} starts from other bytes"
                    );
                    let (offset, bytes) = part.bytes(self.page_size);
                    staged[offset..offset + bytes.len()].copy_from_slice(&bytes);
                    put(&mut after.protected, &id, offset, &bytes);
                }
            }
        }
        Ok(after)
    }

    /// That a pager shows this and nothing else, and that no page is two
    /// owners'.
    pub(crate) fn check(&self, pager: &Pager) -> Result<(), String> {
        let text = |error: Error| error.to_string();
        let mut owned = BTreeSet::from([0, 1, 2]);
        let mut bytes = vec![0; self.page_size];
        let regular: Result<Vec<_>, _> = pager.regular_pages().collect();
        let regular = regular.map_err(text)?;
        if !regular.iter().eq(self.regular.keys()) {
            let expected = self.regular.keys();
            return Err(format!("regular pages {regular:?} instead of {expected:?}"));
        }
        for (page, content) in &self.regular {
            pager.read(*page, 0, &mut bytes).map_err(text)?;
            if bytes != *content || !owned.insert(page.get()) {
                return Err(format!("regular page {page} holds other bytes"));
            }
        }
        let protected: Result<Vec<_>, _> = pager.protected_pages().collect();
        let protected = protected.map_err(text)?;
        if !protected.iter().map(|it| &it.id).eq(self.protected.keys()) {
            let expected = self.protected.keys();
            return Err(format!("protected {protected:?} instead of {expected:?}"));
        }
        for it in protected {
            pager.read_protected(it.id, 0, &mut bytes).map_err(text)?;
            if bytes != self.protected[&it.id] {
                return Err(format!("protected page {} holds other bytes", it.id));
            }
            if it.page.is_some_and(|page| !owned.insert(page)) {
                return Err(format!("a page of {it:?} is somebody else's too"));
            }
        }
        let stats = pager.stats().map_err(text)?;
        let counts = (stats.regular_pages, stats.protected_pages);
        let expected = (self.regular.len() as u64, self.protected.len() as u64);
        if counts != expected {
            return Err(format!("counts {counts:?} instead of {expected:?}"));
        }
        Ok(())
    }
}

fn put<I: Ord>(pages: &mut Pages<I>, page: &I, offset: usize, bytes: &[u8]) {
    let page = pages.get_mut(page).unwrap();
    page[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn picked<I: Copy>(from: &Pages<I>, pick: u64) -> Option<I> {
    let nth = pick.checked_rem(from.len() as u64)?;
    from.keys().nth(usize::try_from(nth).unwrap()).copied()
}

fn picked_once<I: Copy + PartialEq>(from: &Pages<I>, picks: &[u64]) -> Vec<I> {
    let mut ids = Vec::new();
    for pick in picks {
        ids.extend(picked(from, *pick).filter(|id| !ids.contains(id)));
    }
    ids
}
