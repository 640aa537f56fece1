//! The check: every finding of a file, in steps of bounded work. Reads only.
//!
//! | Cursor | Step |
//! |---|---|
//! | 0 | what recovery found, and the shape of the file |
//! | 1 to n | the format's own structures, in n steps |
//! | after | the bytes of the protected pages, [`IDS_PER_STEP`] ids a step |

use alloc::format;
use alloc::vec::Vec;

use pagebox_store::PageStore;

use crate::codec::narrow;
use crate::error::Error;
use crate::file::File;
use crate::finding::{self, Finding};
use crate::identity::IdentityFault;
use crate::ids::ProtectedId;
use crate::read::read_page;
use crate::recovery::Recovery;
use crate::verify::protected_page;

/// Ids whose pages one step looks at.
pub const IDS_PER_STEP: u64 = 64;

/// How many steps a check has.
pub fn steps(outcome: &Result<Recovery, Error>) -> u64 {
    outcome.as_ref().map_or(1, |recovery| {
        let ids = recovery.file.id_end();
        1 + recovery.file.check_steps() + ids.div_ceil(IDS_PER_STEP)
    })
}

/// The findings of one step; none past the last.
pub fn step<S: PageStore>(
    store: &S,
    outcome: &mut Result<Recovery, Error>,
    cursor: u64,
) -> Vec<Finding> {
    let recovery = match outcome {
        Ok(recovery) => recovery,
        Err(error) if cursor == 0 => return alloc::vec![of_error(store, error)],
        Err(_) => return Vec::new(),
    };
    let own = recovery.file.check_steps();
    match cursor {
        0 => shape(store, recovery),
        _ if cursor <= own => recovery.file.check_step(store, cursor - 1),
        _ => protected_pages(
            store,
            &mut recovery.file,
            (cursor - 1 - own).saturating_mul(IDS_PER_STEP),
        ),
    }
}

/// Why nothing at all can be said of a file.
fn of_error<S: PageStore>(store: &S, error: &Error) -> Finding {
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
    let page_count = recovery.file.stats().page_count;
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
            "the file has {} pages, its metadata accounts for {page_count}",
            geometry.page_count
        );
        findings.push(Finding::new(finding::SLACK, Some(page_count), message));
    }
    findings
}

fn protected_pages<S: PageStore>(store: &S, file: &mut File, start: u64) -> Vec<Finding> {
    let end = start.saturating_add(IDS_PER_STEP);
    let pages = file.protected(store, ProtectedId(start), narrow(IDS_PER_STEP));
    let pages = pages.unwrap_or_default().into_iter();
    pages
        .take_while(|page| page.id.0 < end)
        .filter_map(|page| protected_page(store, &page))
        .collect()
}
