//! A look, as a decoder's walk over all pages of a file needs it.

use pagebox::PagesToDecode;

use crate::{
    inspect::{Finding, Found},
    look::{Look, LookError},
    text,
};

/// The pages of a look.
pub(crate) struct Pages<'l>(pub(crate) &'l mut dyn Look);

impl PagesToDecode for Pages<'_> {
    type Error = LookError;

    fn page_size(&mut self) -> Result<usize, LookError> {
        let bytes = self.0.summary()?.page_size;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    fn code_of(&mut self, kind: &str) -> Result<Option<u8>, LookError> {
        let kinds = self.0.page_kinds()?;
        let found = kinds.iter().find(|each| each.name == kind);
        Ok(found.map(|found| found.code))
    }

    fn kinds(&mut self, first: u64, count: u32) -> Result<Vec<u8>, LookError> {
        self.0.kinds(first, count)
    }

    fn protected(&mut self, start: u64, limit: u32) -> Result<Vec<(u64, Option<u64>)>, LookError> {
        let entries = self.0.directory(start, limit, false)?.into_iter();
        Ok(entries.map(|entry| (entry.id, entry.page)).collect())
    }

    fn bytes(&mut self, page: u64) -> Result<Option<Vec<u8>>, LookError> {
        let page_size = self.0.summary()?.page_size;
        let bytes = self.0.bytes(page, 0, page_size)?;
        // Fewer: the file ends within the page.
        Ok(Some(bytes).filter(|bytes| u32::try_from(bytes.len()) == Ok(page_size)))
    }
}

/// A finding of a decoder, with nothing invisible in it.
pub(crate) fn finding(found: Found) -> Finding {
    Finding {
        id: found.id,
        severity: found.severity,
        page: found.page,
        offset: found.offset,
        evidence: found.evidence,
        message: text::visible(&found.message),
        meaning: text::visible(&found.meaning),
        remedy: found.remedy,
    }
}
