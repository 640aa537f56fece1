//! R6: from a decided page 0 to a [`State`], with everything that it names
//! checked: in range, allocated, owned once, valid.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_store::{PageSize, PageStore};

use super::read::{raw_tag, read_page};
use super::{Candidate, Log, is_newer};
use crate::allocation::{AllocationMap, Use};
use crate::bitmap::Bitmap;
use crate::directory::{Block, Directory};
use crate::error::Error;
use crate::finding::{Finding, FindingKind, Severity};
use crate::format::directory::{DirectoryCopy, Slot, offset, slot_offset};
use crate::format::metadata::{self, Metadata};
use crate::format::superblock::{BlockRef, Identity, block_offset};
use crate::format::{Limits, RESERVED_PAGES};
use crate::ids::{ProtectedId, Side};
use crate::state::State;

/// What was decided.
pub(super) struct Inputs<'a> {
    pub(super) page_size: PageSize,
    pub(super) identity: Identity,
    pub(super) candidate: Candidate,
    /// The metadata that counts, where it can be believed.
    pub(super) metadata: Option<&'a Metadata>,
    pub(super) highest_generation: u64,
}

pub(super) fn build<S: PageStore>(
    store: &S,
    inputs: Inputs<'_>,
    log: &mut Log,
) -> Result<State, Error> {
    let Inputs {
        page_size,
        identity,
        candidate,
        metadata,
        highest_generation,
    } = inputs;
    let section_is_lost = log.findings.iter().any(|finding| {
        matches!(
            finding.kind,
            FindingKind::DirectorySection | FindingKind::BlockCount
        ) || (finding.kind == FindingKind::BlockReference)
    });
    if let Some(metadata) = metadata {
        check_length(store, metadata, log);
        check_free_count(candidate.side, metadata, log);
    }
    let mut owners = Owners::new(store, metadata);
    // The peer writes no tags.
    let written_by = metadata
        .filter(|_| candidate.tagged)
        .map(|metadata| metadata.generation);
    let directory = if section_is_lost {
        None
    } else {
        Some(build_directory(
            store,
            page_size,
            &candidate.blocks,
            written_by,
            &mut owners,
            log,
        )?)
    };
    let damage = log
        .findings
        .iter()
        .filter(|finding| finding.kind.severity() == Severity::Error)
        .count();
    log.step("R6", None, || match damage {
        0 => "everything that is named is in range, allocated, owned once and valid".to_string(),
        1 => "one of the findings is damage".to_string(),
        _ => format!("{damage} of the findings are damage"),
    });
    let state = State {
        page_size,
        identity,
        side: candidate.side,
        tagged: candidate.tagged,
        generation: metadata.map_or(0, |metadata| metadata.generation),
        highest_generation,
        allocation: metadata.map(|_| owners.allocation),
        directory,
    };
    if damage == 0 {
        state.assert_consistent();
    }
    Ok(state)
}

fn check_length<S: PageStore>(store: &S, metadata: &Metadata, log: &mut Log) {
    let file_pages = store.geometry().page_count;
    let page_count = metadata.page_count();
    if file_pages < page_count {
        let message = format!(
            "the file has {file_pages} whole pages, its metadata says {page_count}: {} are missing",
            page_count - file_pages
        );
        log.find(Finding::new(FindingKind::FileTooShort, None, message));
    }
}

fn check_free_count(side: Side, metadata: &Metadata, log: &mut Log) {
    let free = metadata.used.len() - metadata.used.ones();
    if free != metadata.stored_free_count {
        let message = format!(
            "metadata {side} says {} pages are free, its bitmap says {free}",
            metadata.stored_free_count
        );
        let stored = metadata.stored_free_count.to_le_bytes();
        let mut finding = Finding::new(
            FindingKind::FreeCount,
            Some(metadata::page_of(side)),
            message,
        )
        .with_evidence(&stored, 0, 8);
        finding.offset = u32::try_from(metadata::offset::FREE_COUNT).unwrap_or(0);
        log.find(finding);
    }
}

fn build_directory<S: PageStore>(
    store: &S,
    page_size: PageSize,
    places: &[BlockRef],
    written_by: Option<u64>,
    owners: &mut Owners,
    log: &mut Log,
) -> Result<Directory, Error> {
    // Blocks first: a slot must not claim a page of the directory.
    let mut good = Vec::with_capacity(places.len());
    for (index, place) in places.iter().enumerate() {
        let claimed = owners.claim_pair(place.pages);
        if let Err(why) = &claimed {
            let message = format!(
                "directory block {index} names pages {} and {}: {why}",
                place.pages[0], place.pages[1]
            );
            let mut finding = Finding::new(FindingKind::BlockReference, Some(0), message);
            finding.offset = u32::try_from(block_offset(index)).unwrap_or(0);
            let [page_a, page_b] = place.pages;
            finding.evidence.extend(page_a.to_le_bytes());
            finding.evidence.extend(page_b.to_le_bytes());
            log.find(finding);
        }
        good.push(claimed.is_ok());
    }
    let mut blocks = Vec::with_capacity(places.len());
    for ((index, &place), good) in places.iter().enumerate().zip(good) {
        let copy = if good {
            read_copy(store, page_size, index, place, log)?
        } else {
            None
        };
        let other = place.active.other().of(place.pages);
        let other_tag = raw_tag(store, other)?.unwrap_or(0);
        let tag = copy.as_ref().map_or(0, DirectoryCopy::tag);
        if let (Some(copy), Some(generation)) = (&copy, written_by) {
            check_age(copy, index, place, generation, log);
        }
        let tags = match place.active {
            Side::A => [tag, other_tag],
            Side::B => [other_tag, tag],
        };
        blocks.push(Block { place, tags, copy });
    }
    let slots_per_block = Limits::of(page_size).slots_per_block;
    let mut suspect = BTreeMap::new();
    for (index, block) in blocks.iter().enumerate() {
        let Some(copy) = &block.copy else { continue };
        for slot in 0..copy.capacity() {
            let Err(why) = check_slot(copy, slot, owners) else {
                continue;
            };
            let id = ProtectedId(index as u64 * slots_per_block + slot as u64);
            let page = block.place.active.of(block.place.pages);
            let message =
                format!("slot {slot} of directory block {index} (protected page {id}): {why}");
            log.find(
                Finding::new(FindingKind::Slot, Some(page), message).with_evidence(
                    copy.bytes(),
                    slot_offset(slot),
                    offset::SLOT_LEN,
                ),
            );
            suspect.insert(id, why);
        }
    }
    Ok(Directory::new(slots_per_block, blocks, suspect))
}

/// Page 0 names nothing that was written after it.
fn check_age(copy: &DirectoryCopy, index: usize, place: BlockRef, generation: u64, log: &mut Log) {
    let (side, tag) = (place.active, copy.tag());
    if is_newer(tag, generation) {
        let message = format!(
            "copy {side} of directory block {index} was written by a generation ending in {tag}, after page 0, which is of generation {generation}"
        );
        let page = Some(side.of(place.pages));
        log.find(
            Finding::new(FindingKind::DirectoryNewer, page, message).with_evidence(
                copy.bytes(),
                offset::TAG,
                4,
            ),
        );
    }
}

fn check_slot(copy: &DirectoryCopy, index: usize, owners: &mut Owners) -> Result<(), String> {
    match copy.slot(index) {
        Ok(None) => Ok(()),
        Ok(Some(Slot { pages, .. })) => owners.claim_pair(pages),
        Err(fault) => Err(fault.to_string()),
    }
}

fn read_copy<S: PageStore>(
    store: &S,
    page_size: PageSize,
    index: usize,
    place: BlockRef,
    log: &mut Log,
) -> Result<Option<DirectoryCopy>, Error> {
    let page = place.active.of(place.pages);
    let side = place.active;
    let Some(bytes) = read_page(store, page)? else {
        let message =
            format!("the file ends before copy {side} of directory block {index}, in page {page}");
        log.find(Finding::new(
            FindingKind::DirectoryCopy,
            Some(page),
            message,
        ));
        return Ok(None);
    };
    let head = bytes.iter().take(8).copied().collect::<Vec<u8>>();
    match DirectoryCopy::parse(bytes, page_size) {
        Ok(copy) => Ok(Some(copy)),
        Err(fault) => {
            let message =
                format!("copy {side} of directory block {index} cannot be believed: {fault}");
            log.find(
                Finding::new(FindingKind::DirectoryCopy, Some(page), message)
                    .with_evidence(&head, 0, 8),
            );
            Ok(None)
        }
    }
}

/// Who owns which page: each page once.
struct Owners {
    allocation: AllocationMap,
}

impl Owners {
    /// Without metadata every page of the store may be in use.
    fn new<S: PageStore>(store: &S, metadata: Option<&Metadata>) -> Self {
        let used = metadata.map_or_else(
            || Bitmap::all_ones(store.geometry().page_count),
            |metadata| metadata.used.clone(),
        );
        let mut allocation = AllocationMap::from_used(used);
        // A store of fewer pages is damaged, and says so.
        for page in 0..RESERVED_PAGES.min(allocation.page_count()) {
            allocation.set(page, Use::INTERNAL);
        }
        Self { allocation }
    }

    /// Takes both pages of a pair, or says why not.
    fn claim_pair(&mut self, [page_a, page_b]: [u64; 2]) -> Result<(), String> {
        if page_a == page_b {
            return Err(format!("both copies lie in page {page_a}"));
        }
        self.check(page_a)?;
        self.check(page_b)?;
        self.allocation.set(page_a, Use::INTERNAL);
        self.allocation.set(page_b, Use::INTERNAL);
        Ok(())
    }

    fn check(&self, page: u64) -> Result<(), String> {
        let page_count = self.allocation.page_count();
        if page < RESERVED_PAGES {
            return Err(format!("page {page} is reserved"));
        }
        if page >= page_count {
            return Err(format!("page {page} is past the page count {page_count}"));
        }
        match self.allocation.get(page) {
            Use::REGULAR => Ok(()),
            Use::FREE => Err(format!("page {page} is not allocated")),
            _ => Err(format!("page {page} belongs to something else too")),
        }
    }
}
