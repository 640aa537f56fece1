//! Iterators over the pages of a file. They ask the sandbox for many at a time.

use std::ops::Range;
use std::vec;

use crate::figures::ProtectedPage;
use crate::pager::Pager;
use crate::sandbox::nonsense;
use crate::wit::pagebox::pager::page_store::Extent;
use crate::{Error, wit};

/// How many runs or pages are asked for at once.
const BATCH: u32 = 512;

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
    pub(crate) fn new(pager: &'p Pager) -> Self {
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
        if self.runs.len() == 0 {
            let runs = self.pager.ask(OPERATION, |exports, store, pager| {
                exports.pager().call_allocated(store, pager, start, BATCH)
            })?;
            self.runs = runs.into_iter();
        }
        let Some(run) = self.runs.next() else {
            self.next = None;
            return Ok(false);
        };
        match run.first.checked_add(run.count) {
            Some(end) if run.first >= start && run.count > 0 => {
                self.run = run.first..end;
                self.next = Some(end);
                Ok(true)
            }
            _ => Err(nonsense(
                OPERATION,
                "it does not list them in ascending order",
            )),
        }
    }
}

impl Iterator for RegularPages<'_> {
    type Item = Result<u64, Error>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(page) = self.run.next() {
                return Some(Ok(page));
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
    pages: vec::IntoIter<wit::exports::pagebox::pager::pager::ProtectedPage>,
    /// The least id that may come next; none: there is none.
    next: Option<u64>,
}

impl<'p> ProtectedPages<'p> {
    pub(crate) fn new(pager: &'p Pager) -> Self {
        Self {
            pager,
            pages: Vec::new().into_iter(),
            next: Some(0),
        }
    }

    fn advance(&mut self) -> Result<Option<ProtectedPage>, Error> {
        const OPERATION: &str = "listing protected pages";
        let Some(start) = self.next else {
            return Ok(None);
        };
        if self.pages.len() == 0 {
            let pages = self.pager.ask(OPERATION, |exports, store, pager| {
                exports.pager().call_protected(store, pager, start, BATCH)
            })?;
            self.pages = pages.into_iter();
        }
        let Some(page) = self.pages.next() else {
            self.next = None;
            return Ok(None);
        };
        if page.id < start {
            return Err(nonsense(
                OPERATION,
                "it does not list them in ascending order",
            ));
        }
        self.next = page.id.checked_add(1);
        Ok(Some(page.into()))
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
