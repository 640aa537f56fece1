//! The check: every finding of a file, in parts of bounded work. Reads only.
//!
//! | Cursor | Part |
//! |---|---|
//! | 0 | what recovery found, and the shape of the file |
//! | after | the format's own structures, and the bytes of the protected pages |

use alloc::format;
use alloc::vec::Vec;

use pagebox_store::PageStore;

use crate::error::Error;
use crate::facts::CheckPart;
use crate::finding::{self, Finding};
use crate::identity::IdentityFault;
use crate::read::read_page;
use crate::recovery::Recovery;

/// A part of the check; 0 first, then what `next` says. Past the last nothing is
/// found.
pub fn part<S: PageStore>(
    store: &S,
    outcome: &mut Result<Recovery, Error>,
    cursor: u64,
) -> CheckPart {
    let recovery = match outcome {
        Ok(recovery) => recovery,
        Err(error) => {
            let of_error = (cursor == 0).then(|| of_error(store, error));
            return CheckPart {
                findings: of_error.into_iter().collect(),
                next: None,
                done: 1,
                total: 1,
            };
        }
    };
    let Some(own) = cursor.checked_sub(1) else {
        let total = recovery.file.check_total(store) + 1;
        return CheckPart {
            findings: shape(store, recovery),
            next: (total > 1).then_some(1),
            done: 1,
            total,
        };
    };
    let part = recovery.file.check_part(store, own);
    CheckPart {
        findings: part.findings,
        next: part.next.map(|next| next.saturating_add(1)),
        done: part.done.saturating_add(1),
        total: part.total.saturating_add(1),
    }
}

/// Why nothing at all can be said of a file.
fn of_error<S: PageStore>(store: &S, error: &Error) -> Finding {
    if let Error::Damaged { findings } = error
        && let Some(finding) = findings.first()
    {
        return finding.clone();
    }
    let kind = match error {
        Error::Identity(IdentityFault::Version { .. }) => finding::UNSUPPORTED_VERSION,
        Error::Identity(_) => finding::NOT_A_PAGE_FILE,
        Error::PageSizeMismatch { .. } => finding::PAGE_SIZE,
        Error::Corrupt { .. } => finding::SUPERBLOCK_HEAD,
        _ => finding::UNREADABLE,
    };
    let finding = Finding::new(kind, Some(0), format!("{error}"));
    match read_page(store, 0) {
        Ok(Some(page)) => finding.with_evidence(&page, 0, 20),
        _ => finding,
    }
}

fn shape<S: PageStore>(store: &S, recovery: &Recovery) -> Vec<Finding> {
    let mut findings = recovery.findings.clone();
    let geometry = store.geometry();
    let page_count = recovery.file.page_count();
    if geometry.tail != 0 {
        let message = format!(
            "the file ends in {} bytes of a page, after {} whole ones",
            geometry.tail, geometry.page_count
        );
        findings.push(Finding::new(finding::TAIL, None, message));
    }
    if let Some(page_count) = page_count
        && geometry.page_count > page_count
    {
        let message = format!(
            "the file has {} pages, and accounts for {page_count}",
            geometry.page_count
        );
        findings.push(Finding::new(finding::SLACK, Some(page_count), message));
    }
    findings
}
