//! The check: every finding of a file, in steps of bounded work. Reads only.
//!
//! | Cursor | Step |
//! |---|---|
//! | 0 | what recovery found, and the shape of the file |
//! | 1 to n | the inactive copy of a directory block, for each of n blocks |
//! | after | the bytes of the protected pages, [`SLOTS_PER_STEP`] ids a step |

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use pagebox_store::{PageSize, PageStore};

use crate::error::Error;
use crate::finding::{Finding, FindingKind};
use crate::flip::{self, Flip};
use crate::format::directory::{DirectoryCopy, Slot};
use crate::format::superblock::IdentityFault;
use crate::ids::ProtectedId;
use crate::pager::{is_unproven, page_checksum};
use crate::recovery::{Recovery, read_page};
use crate::state::State;

/// Ids whose pages one step looks at.
pub const SLOTS_PER_STEP: u64 = 64;

/// How many steps a check has.
pub fn steps(outcome: &Result<Recovery, Error>) -> u64 {
    let directory = outcome
        .as_ref()
        .ok()
        .and_then(|recovery| recovery.state.directory.as_ref());
    directory.map_or(1, |directory| {
        1 + directory.blocks().len() as u64 + directory.capacity().div_ceil(SLOTS_PER_STEP)
    })
}

/// The findings of one step; none past the last.
pub fn step<S: PageStore>(
    store: &S,
    outcome: &Result<Recovery, Error>,
    cursor: u64,
) -> Vec<Finding> {
    let recovery = match outcome {
        Ok(recovery) => recovery,
        Err(error) if cursor == 0 => return alloc::vec![of_error(store, error)],
        Err(_) => return Vec::new(),
    };
    let blocks = recovery
        .state
        .directory
        .as_ref()
        .map_or(0, |directory| directory.blocks().len() as u64);
    match cursor {
        0 => shape(store, recovery),
        _ if cursor <= blocks => other_copy(store, &recovery.state, cursor - 1),
        _ => protected_pages(
            store,
            &recovery.state,
            (cursor - 1 - blocks).saturating_mul(SLOTS_PER_STEP),
        ),
    }
}

/// Why nothing at all can be said of a file.
fn of_error<S: PageStore>(store: &S, error: &Error) -> Finding {
    let kind = match error {
        Error::Identity(IdentityFault::Version { .. }) => FindingKind::UnsupportedVersion,
        Error::Identity(_) => FindingKind::NotAPageFile,
        Error::PageSizeMismatch { .. } => FindingKind::PageSize,
        Error::Corrupt { .. } => FindingKind::SuperblockHead,
        _ => FindingKind::Unreadable,
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
    let page_count = recovery.state.page_count();
    if geometry.tail != 0 {
        let message = format!(
            "the file ends in {} bytes of a page, after {} whole ones",
            geometry.tail, geometry.page_count
        );
        findings.push(Finding::new(FindingKind::Tail, None, message));
    }
    if page_count != 0 && geometry.page_count > page_count {
        let message = format!(
            "the file has {} pages, its metadata accounts for {page_count}",
            geometry.page_count
        );
        findings.push(Finding::new(FindingKind::Slack, Some(page_count), message));
    }
    findings
}

fn other_copy<S: PageStore>(store: &S, state: &State, index: u64) -> Vec<Finding> {
    let block = state
        .directory
        .as_ref()
        .and_then(|directory| directory.blocks().get(usize::try_from(index).ok()?));
    let Some(block) = block else {
        return Vec::new();
    };
    let side = block.place.active.other();
    let page = side.of(block.place.pages);
    let bytes = match read_page(store, page) {
        Ok(Some(bytes)) => bytes,
        // Past the end of the file: recovery has said so.
        Ok(None) => return Vec::new(),
        Err(error) => return alloc::vec![unreadable(page, &error)],
    };
    let head = crate::finding::evidence(&bytes, 0, 8);
    match DirectoryCopy::parse(bytes, state.page_size) {
        Ok(_) => Vec::new(),
        Err(fault) => {
            let message = format!(
                "copy {side} of directory block {index}, which does not count, is not valid: {fault}"
            );
            alloc::vec![
                Finding::new(FindingKind::DirectoryOther, Some(page), message)
                    .with_evidence(&head, 0, 8)
            ]
        }
    }
}

fn protected_pages<S: PageStore>(store: &S, state: &State, start: u64) -> Vec<Finding> {
    let Some(directory) = &state.directory else {
        return Vec::new();
    };
    directory
        .slots(ProtectedId(start))
        .take_while(|(id, _)| id.0 < start.saturating_add(SLOTS_PER_STEP))
        .filter_map(|(id, slot)| protected_page(store, state, id, &slot))
        .collect()
}

/// What is wrong with the bytes of a protected page.
pub(crate) fn protected_page<S: PageStore>(
    store: &S,
    state: &State,
    id: ProtectedId,
    slot: &Slot,
) -> Option<Finding> {
    let page = slot.active_page();
    let actual = match page_checksum(store, state.page_size, page) {
        Ok(actual) if actual == slot.checksum => return None,
        Ok(actual) => actual,
        Err(error) => {
            let message = format!("protected page {id} cannot be read: {error}");
            return Some(Finding {
                message,
                ..unreadable(page, &error)
            });
        }
    };
    let kind = if is_unproven(slot.generation) {
        FindingKind::ProtectedUnproven
    } else {
        FindingKind::ProtectedChecksum
    };
    let flip = flip_in(state.page_size, slot.checksum, actual);
    let message = format!(
        "protected page {id}: the checksum of page {page} is {actual:#010x}, not {:#010x} as committed{}",
        slot.checksum,
        explained(flip)
    );
    let at = match flip {
        Some(Flip::Bytes { byte, .. }) => usize::try_from(byte).unwrap_or(0),
        _ => 0,
    };
    let finding = Finding::new(kind, Some(page), message);
    Some(match read_page(store, page) {
        Ok(Some(bytes)) => finding.with_evidence(&bytes, at, 16),
        _ => finding,
    })
}

/// The one bit of a page that explains its checksum.
pub(crate) fn flip_in(page_size: PageSize, expected: u32, actual: u32) -> Option<Flip> {
    flip::one_bit(u64::from(page_size.bytes_u32()) * 8, expected, actual)
}

/// What one flipped bit has to do with it, to end a sentence; empty where that
/// is nothing.
pub(crate) fn explained(flip: Option<Flip>) -> String {
    flip.map_or_else(String::new, |flip| format!("; {flip}"))
}

fn unreadable(page: u64, error: &Error) -> Finding {
    Finding::new(FindingKind::Unreadable, Some(page), format!("{error}"))
}
