//! R6: from a decided page 0 to a [`State`], with everything that it names
//! checked: in range, allocated, owned once, valid.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_store::{PageSize, PageStore};

use super::{Candidate, is_newer};
use crate::allocation::AllocationMap;
use crate::bitmap::Bitmap;
use crate::codec;
use crate::error::Error;
use crate::finding::{self, Finding, Severity, cut_off};
use crate::format0::directory::{DirectoryCopy, Slot, offset, slot_offset};
use crate::format0::metadata::{self, Metadata};
use crate::format0::read::{directory_copy, raw_tag};
use crate::format0::slots::{Block, Directory};
use crate::format0::state::{Remains, Root, Sound, State};
use crate::format0::superblock::{BlockRef, Identity, block_offset};
use crate::format0::{Limits, RESERVED_PAGES, findings, reserve};
use crate::ids::Side;
use crate::kinds::PageKind;
use crate::read::read_page;
use crate::reasoning::Log;
use crate::verify::{at_flip, explained};

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
            findings::DIRECTORY_SECTION | findings::BLOCK_COUNT | findings::BLOCK_REFERENCE
        )
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
    let root = Root {
        page_size,
        identity,
        side: candidate.side,
        tagged: candidate.tagged,
        generation: metadata.map_or(0, |metadata| metadata.generation),
        highest_generation,
    };
    let allocation = owners.allocation;
    Ok(match (metadata, directory) {
        (Some(_), Some(directory)) if damage == 0 => {
            let sound = Sound {
                root,
                allocation,
                directory,
            };
            sound.assert_consistent();
            State::Sound(sound)
        }
        (metadata, directory) => {
            assert!(damage > 0, "a part is lost, and nothing was found");
            State::Damaged(Remains {
                root,
                is_metadata_whole: metadata.is_some(),
                allocation,
                directory,
            })
        }
    })
}

fn check_length<S: PageStore>(store: &S, metadata: &Metadata, log: &mut Log) {
    let geometry = store.geometry();
    let (file_pages, page_count) = (geometry.page_count, metadata.page_count());
    if file_pages < page_count {
        let used = metadata.used.count(file_pages, page_count);
        let free = page_count - file_pages - used;
        let kind = match used {
            0 => finding::FILE_ENDS_IN_FREE_PAGES,
            _ => finding::FILE_TOO_SHORT,
        };
        let message = cut_off(geometry.byte_count(), file_pages, page_count, (free, used));
        log.find(Finding::new(kind, Some(file_pages), message));
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
        let mut finding =
            Finding::new(findings::FREE_COUNT, Some(metadata::page_of(side)), message)
                .with_evidence(&stored, 0, 8);
        finding.offset = codec::offset(metadata::offset::FREE_COUNT);
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
        let claimed = owners.claim_pair(place.pages, [PageKind::DIRECTORY; 2]);
        if let Err(why) = &claimed {
            let message = format!(
                "directory block {index} names pages {} and {}: {why}",
                place.pages[0], place.pages[1]
            );
            let mut finding = Finding::new(findings::BLOCK_REFERENCE, Some(0), message);
            finding.offset = codec::offset(block_offset(index));
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
    let limits = Limits::of(page_size);
    let mut suspect = BTreeMap::new();
    for (index, block) in blocks.iter().enumerate() {
        let Some(copy) = &block.copy else { continue };
        for slot in 0..copy.capacity() {
            let Err(why) = check_slot(copy, slot, owners) else {
                continue;
            };
            let id = limits.id(index, slot);
            let page = block.place.active.of(block.place.pages);
            let message =
                format!("slot {slot} of directory block {index} (protected page {id}): {why}");
            log.find(
                Finding::new(findings::SLOT, Some(page), message).with_evidence(
                    copy.bytes(),
                    slot_offset(slot),
                    offset::SLOT_LEN,
                ),
            );
            suspect.insert(id, why);
        }
    }
    Ok(Directory::new(limits, blocks, suspect))
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
            Finding::new(findings::DIRECTORY_NEWER, page, message).with_evidence(
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
        Ok(Some(Slot { pages, active, .. })) => {
            let mut kinds = [PageKind::PROTECTED_SHADOW; 2];
            *active.of_mut(&mut kinds) = PageKind::PROTECTED_ACTIVE;
            owners.claim_pair(pages, kinds)
        }
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
        let finding = Finding::new(findings::DIRECTORY_COPY, Some(page), message);
        log.find(with_other(store, page_size, index, place, finding)?);
        return Ok(None);
    };
    let fault = match DirectoryCopy::parse(bytes.clone(), page_size) {
        Ok(copy) => return Ok(Some(copy)),
        Err(fault) => fault,
    };
    let flip = log.looks.take().then(|| fault.flip(&bytes)).flatten();
    let message = format!(
        "copy {side} of directory block {index} cannot be believed: {fault}{}",
        explained(flip)
    );
    let finding = Finding::new(findings::DIRECTORY_COPY, Some(page), message);
    let finding = at_flip(finding.with_evidence(&bytes, 0, 8), &bytes, flip);
    log.find(with_other(store, page_size, index, place, finding)?);
    Ok(None)
}

/// What is wrong with the copy of a block that counts: it depends on the other one
/// what that comes to.
fn with_other<S: PageStore>(
    store: &S,
    page_size: PageSize,
    index: usize,
    place: BlockRef,
    finding: Finding,
) -> Result<Finding, Error> {
    let side = place.active.other();
    let page = side.of(place.pages);
    if directory_copy(store, page)?.is_some() {
        return Ok(finding);
    }
    let is_there = page < store.geometry().page_count;
    let other = if is_there {
        "cannot be believed either"
    } else {
        "is missing, too"
    };
    let limits = Limits::of(page_size);
    let first = limits.id(index, 0).0;
    let last = first + limits.slots_per_block - 1;
    let message = format!(
        "{}; copy {side}, in page {page}, {other}: those of the protected pages {first} to {last} that there are cannot be found",
        finding.message
    );
    Ok(Finding {
        kind: findings::DIRECTORY_LOST,
        message,
        ..finding
    })
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
        reserve(&mut allocation);
        Self { allocation }
    }

    /// Takes both pages of a pair, or says why not.
    fn claim_pair(
        &mut self,
        [page_a, page_b]: [u64; 2],
        [kind_a, kind_b]: [PageKind; 2],
    ) -> Result<(), String> {
        if page_a == page_b {
            return Err(format!("both copies lie in page {page_a}"));
        }
        self.check(page_a)?;
        self.check(page_b)?;
        self.allocation.set(page_a, kind_a);
        self.allocation.set(page_b, kind_b);
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
            PageKind::REGULAR => Ok(()),
            PageKind::FREE => Err(format!("page {page} is not allocated")),
            _ => Err(format!("page {page} belongs to something else too")),
        }
    }
}
