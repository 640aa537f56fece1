//! Iterators over the pages of a file. They ask the sandbox for many at a time.

use std::ops::Range;
use std::vec;

use crate::Error;
use crate::figures::ProtectedPage;
use crate::ids::PageId;
use crate::pager::Pager;
use crate::wit::exports::pagebox::pager::pager::ProtectedPage as Page;
use crate::wit::pagebox::pager::page_store::Extent;

/// How many runs or pages are asked for at once.
const BATCH: u32 = 1024;

const UNORDERED: &str = "it does not list them in ascending order";
const TOO_MANY: &str = "it lists more than it was asked for";

impl Pager {
    /// The regular pages, in ascending order; of a file that is too short,
    /// those that are there.
    pub fn regular_pages(&self) -> RegularPages<'_> {
        RegularPages::new(self)
    }

    /// The protected pages, in ascending order of their ids.
    pub fn protected_pages(&self) -> ProtectedPages<'_> {
        ProtectedPages::new(self)
    }
}

/// The regular pages of a file, in ascending order: see
/// [`Pager::regular_pages`]. After an error it ends.
#[derive(Debug)]
pub struct RegularPages<'p> {
    pager: &'p Pager,
    runs: vec::IntoIter<Extent>,
    run: Range<u64>,
    /// Where the next batch starts; none: there is none.
    next: Option<u64>,
}

impl<'p> RegularPages<'p> {
    fn new(pager: &'p Pager) -> Self {
        Self {
            pager,
            runs: Vec::new().into_iter(),
            run: 0..0,
            next: Some(0),
        }
    }

    /// Goes on to the next run; false: there is none.
    fn advance(&mut self) -> Result<bool, Error> {
        const OPERATION: &str = "listing regular pages";
        let Some(start) = self.next else {
            return Ok(false);
        };
        self.pager.expect_own()?;
        if self.runs.len() == 0 {
            let runs = self.pager.ask(OPERATION, |exports, store, pager| {
                exports.pager().call_allocated(store, pager, start, BATCH)
            })?;
            if runs.len() > BATCH as usize {
                return Err(self.pager.distrust(OPERATION, TOO_MANY));
            }
            self.runs = runs.into_iter();
        }
        let Some(run) = self.runs.next() else {
            self.next = None;
            return Ok(false);
        };
        let end = run.first.checked_add(run.count);
        let (Some(end), true) = (end, run.first >= start && run.count > 0) else {
            return Err(self.pager.distrust(OPERATION, UNORDERED));
        };
        self.pager.expect_page(OPERATION, run.first)?;
        self.pager.expect_page(OPERATION, end - 1)?;
        self.run = run.first..end.min(self.pager.geometry().page_count);
        self.next = Some(end);
        Ok(true)
    }
}

impl Iterator for RegularPages<'_> {
    type Item = Result<PageId, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(page) = self.run.next() {
                return Some(Ok(PageId::new(page)));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.next = None;
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The protected pages of a file, in ascending order of their ids: see
/// [`Pager::protected_pages`]. After an error it ends.
#[derive(Debug)]
pub struct ProtectedPages<'p> {
    pager: &'p Pager,
    pages: vec::IntoIter<Page>,
    /// The least id that may come next; none: there is none.
    next: Option<u64>,
    /// How many there may be at most: a byte of the file for each at least,
    /// and be the file too short.
    left: u64,
}

impl<'p> ProtectedPages<'p> {
    fn new(pager: &'p Pager) -> Self {
        Self {
            pager,
            pages: Vec::new().into_iter(),
            next: Some(0),
            left: pager.geometry().byte_count(),
        }
    }

    fn advance(&mut self) -> Result<Option<ProtectedPage>, Error> {
        let Some(start) = self.next else {
            return Ok(None);
        };
        self.pager.expect_own()?;
        if self.pages.len() == 0 {
            self.pages = self.batch(start)?.into_iter();
        }
        let page = self.pages.next();
        self.next = page.as_ref().and_then(|page| page.id.checked_add(1));
        Ok(page.map(Into::into))
    }

    /// The pages from an id on, checked.
    fn batch(&mut self, start: u64) -> Result<Vec<Page>, Error> {
        const OPERATION: &str = "listing protected pages";
        let pages = self.pager.ask(OPERATION, |exports, store, pager| {
            exports.pager().call_protected(store, pager, start, BATCH)
        })?;
        if pages.len() > BATCH as usize {
            return Err(self.pager.distrust(OPERATION, TOO_MANY));
        }
        if pages.first().is_some_and(|page| page.id < start)
            || !pages.is_sorted_by(|one, next| one.id < next.id)
        {
            return Err(self.pager.distrust(OPERATION, UNORDERED));
        }
        let named = || pages.iter().filter_map(|page| page.location.page);
        for page in named().min().into_iter().chain(named().max()) {
            self.pager.expect_page(OPERATION, page)?;
        }
        let Some(left) = self.left.checked_sub(pages.len() as u64) else {
            let cause = "it lists more of them than there can be";
            return Err(self.pager.distrust(OPERATION, cause));
        };
        self.left = left;
        Ok(pages)
    }
}

impl Iterator for ProtectedPages<'_> {
    type Item = Result<ProtectedPage, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let result = self.advance();
        if result.is_err() {
            self.next = None;
        }
        result.transpose()
    }
}
