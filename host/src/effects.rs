//! [`Effects`]: what a commit comes to for those who look things up, and how the
//! translation cache learns of it.

use std::collections::BTreeSet;

use crate::Error;
use crate::figures::CommitInfo;
use crate::pager::Pager;
use crate::wit::exports::pagebox::pager::pager as wit;

pub(crate) const ALLOCATING: &str = "allocating pages";
pub(crate) const COMMITTING: &str = "committing";

/// What a commit changes.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// Regular pages that it allocates.
    pub(crate) allocated: Vec<u64>,
    /// Regular pages that it frees.
    pub(crate) freed: Vec<u64>,
    /// Protected pages that are somewhere else afterwards, or nowhere.
    pub(crate) moved: Vec<u64>,
    /// The protected ids that there must be room for.
    pub(crate) protected_end: u64,
}

impl Effects {
    /// That regular pages which the sandbox gives away are as many as were asked
    /// for, and can be given away.
    pub(crate) fn expect_regular(pager: &mut Pager, count: u32, ids: &[u64]) -> Result<(), Error> {
        Self::expect_ids(pager, count, ids)?;
        // Those past the store's end are there once this is committed.
        if ids.first() == Some(&0) {
            pager.expect_page(ALLOCATING, 0)?;
        }
        let cache = pager.cache();
        let in_use = |id: u64| cache.is_regular(id) || cache.holder(id).is_some();
        if let Some(id) = ids.iter().find(|id| in_use(**id)) {
            let cause = format!("it gave page {id} away, which is in use");
            return Err(pager.distrust(ALLOCATING, cause));
        }
        Ok(())
    }

    /// The same of protected ids. Those that are `dropped` were freed before.
    pub(crate) fn expect_protected(
        pager: &mut Pager,
        count: u32,
        ids: &[u64],
        dropped: &BTreeSet<u64>,
    ) -> Result<(), Error> {
        Self::expect_ids(pager, count, ids)?;
        let cache = pager.cache();
        let in_use = |id: &u64| cache.protected(*id).is_some() && !dropped.contains(id);
        if let Some(id) = ids.iter().find(|id| in_use(id)) {
            let cause = format!("it gave protected page {id} away, which is in use");
            return Err(pager.distrust(ALLOCATING, cause));
        }
        Ok(())
    }

    /// That there are as many ids as were asked for, in ascending order.
    fn expect_ids(pager: &Pager, count: u32, ids: &[u64]) -> Result<(), Error> {
        let cause = if ids.len() != count as usize {
            format!("it allocated {} pages instead of {count}", ids.len())
        } else if !ids.is_sorted_by(|one, next| one < next) {
            "it does not allocate in ascending order".into()
        } else {
            return Ok(());
        };
        Err(pager.distrust(ALLOCATING, cause))
    }

    /// That no page was given away twice.
    pub(crate) fn expect_once(&mut self, pager: &Pager) -> Result<(), Error> {
        self.allocated.sort_unstable();
        let mut pairs = self.allocated.windows(2);
        match pairs.find(|pair| pair[0] == pair[1]) {
            None => Ok(()),
            Some(pair) => {
                let cause = format!("it gave page {} away twice", pair[0]);
                Err(pager.distrust(ALLOCATING, cause))
            }
        }
    }

    /// They are committed.
    pub(crate) fn apply(
        self,
        pager: &mut Pager,
        info: wit::CommitInfo,
    ) -> Result<CommitInfo, Error> {
        // First what is not so any more: whatever fails from here on, nothing
        // that was changed is shown as it was.
        let cache = pager.cache();
        cache.change_regular(&[], &self.freed);
        self.moved.iter().for_each(|id| cache.drop_protected(*id));
        let page_count = pager.geometry().page_count;
        let last = self.allocated.last();
        let end = last.map_or(0, |last| last.saturating_add(1));
        if info.page_count > page_count || end > info.page_count {
            let cause = format!(
                "it accounts for {} pages, gave away {end} of them, and its store has {page_count}",
                info.page_count
            );
            return Err(pager.distrust(COMMITTING, cause));
        }
        if info.durable > info.generation {
            let cause = format!(
                "generation {} is durable, and it committed {}",
                info.durable, info.generation
            );
            return Err(pager.distrust(COMMITTING, cause));
        }
        pager.grow_cache(info.page_count, self.protected_end);
        pager.cache().change_regular(&self.allocated, &[]);
        Ok(pager.set_committed(info.into()))
    }
}
