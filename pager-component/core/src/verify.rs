//! Whether the bytes of a protected page are those that were committed.

use alloc::format;

use pagebox_store::PageStore;

use crate::error::Error;
use crate::facts::ProtectedPage;
use crate::finding::{self, Finding};
use crate::read::{page_checksum, read_page};

/// What is wrong with the bytes of a protected page.
pub(crate) fn protected_page<S: PageStore>(store: &S, of: &ProtectedPage) -> Option<Finding> {
    let ProtectedPage { id, location, .. } = of;
    // Without a page they are zeros, which nothing can spoil.
    let page = location.page?;
    let actual = match page_checksum(store, page, location.checksum.algorithm) {
        Ok(actual) if actual == location.checksum => return None,
        Ok(actual) => actual,
        Err(error) => {
            let message = format!("protected page {id} cannot be read: {error}");
            return Some(Finding {
                message,
                ..unreadable(page, &error)
            });
        }
    };
    let kind = if location.is_unproven() {
        finding::PROTECTED_UNPROVEN
    } else {
        finding::PROTECTED_CHECKSUM
    };
    let message = format!(
        "protected page {id}: the checksum of page {page} is {actual}, not {} as committed",
        location.checksum
    );
    let finding = Finding::new(kind, Some(page), message);
    Some(match read_page(store, page) {
        Ok(Some(bytes)) => finding.with_evidence(&bytes, 0, 16),
        _ => finding,
    })
}

/// A page that the medium did not give.
pub(crate) fn unreadable(page: u64, error: &Error) -> Finding {
    Finding::new(finding::UNREADABLE, Some(page), format!("{error}"))
}
