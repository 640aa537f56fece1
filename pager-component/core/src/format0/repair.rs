//! Mending a damaged file in place, on request: hand in a copy.
//!
//! What can be proven good is kept, nothing is invented, and what is lost is
//! said. The rules:
//!
//! | Damage | What is done |
//! |---|---|
//! | a crash | page 0 is written as recovery decided |
//! | the metadata that counts | every page that could be in use is kept as allocated |
//! | the file is cut off | the missing pages are given up |
//! | the list of directory blocks | blocks that prove themselves are kept in their places |
//! | the copy of a block that counts | the other copy is used; of it, slots whose bytes prove themselves |
//! | both copies, or the reference | the block is replaced by an empty one |
//! | a block newer than page 0 | it is kept, and said to be of another commit |
//! | a slot | it is freed |
//! | the bytes of a protected page | it is freed |

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use pagebox_store::{Algorithm, Change, Checksum, PageSize, PageStore};

use super::commit::{self, Images};
use super::directory::{DirectoryCopy, Slot};
use super::metadata::{self, Metadata, MetadataImage};
use super::plan::next_generation;
use super::read::{directory_copy, metadata_page};
use super::recovery::{Decision, is_newer, low32, recover};
use super::slots::{Block, Directory};
use super::state::{Root, Sound, State};
use super::superblock::{self, BlockRef, block_count, block_pages, block_side};
use super::{Limits, MIN_PAGE_COUNT, RESERVED_PAGES, findings, reserve};
use crate::action::Action;
use crate::allocation::AllocationMap;
use crate::bitmap::Bitmap;
use crate::error::{Error, Operation};
use crate::finding::Severity;
use crate::ids::{ProtectedId, Side};
use crate::kinds::PageKind;
use crate::read::{page_checksum, read_page};
use crate::reasoning::{Explain, Verdict};
use crate::verify::{Looks, explained, flip_in, protected_page};

/// Mends the file in a store; see the module's table. A sound file stays as it
/// is. Durable when it returns.
///
/// # Errors
/// [`Error::Identity`], [`Error::PageSizeMismatch`]: nothing to mend.
/// [`Error::Corrupt`]: nothing can be proven. [`Error::Full`]: no room for a
/// replacement. [`Error::GenerationsExhausted`]. [`Error::Store`].
pub(crate) fn mend<S: PageStore>(store: &mut S) -> Result<Vec<Action>, Error> {
    let decision = match recover(store, Explain::No) {
        Ok(decision) => Some(decision),
        Err(Error::Corrupt { .. }) => None,
        Err(error) => return Err(error),
    };
    if let Some(Decision {
        state: State::Sound(sound),
        verdict,
        ..
    }) = &decision
        && is_intact(store, sound)
    {
        return settle(store, *verdict, sound);
    }
    let mut salvage = Salvage::new(store, decision.as_ref().map(|found| &found.state))?;
    for finding in decision.iter().flat_map(|found| &found.findings) {
        if finding.kind == findings::DIRECTORY_NEWER {
            let text = format!(
                "{}: the protected pages in it are kept where their bytes agree, and are of later commits than the others",
                finding.message
            );
            salvage.note(true, finding.page, None, &text);
        }
    }
    salvage.lengthen(store)?;
    salvage.take_blocks(store)?;
    salvage.take_slots(store)?;
    salvage.give_up_unclaimed();
    salvage.write(store)
}

/// Whether the bytes of every protected page agree with their checksum, or at
/// least were never committed.
fn is_intact<S: PageStore>(store: &S, sound: &Sound) -> bool {
    sound.directory.slots(ProtectedId(0)).all(|(id, slot)| {
        let found = protected_page(store, &slot.listed(id), &mut Looks::one());
        found.is_none_or(|found| found.kind.severity() < Severity::Error)
    })
}

fn settle<S: PageStore>(
    store: &mut S,
    verdict: Verdict,
    sound: &Sound,
) -> Result<Vec<Action>, Error> {
    let text = match verdict {
        Verdict::Clean | Verdict::Damaged => return Ok(Vec::new()),
        Verdict::RolledBack => "an unfinished commit was rolled back",
        Verdict::RolledForward => "a commit that was torn in its last write was completed",
    };
    commit::settle(store, &Images::of(sound))?;
    Ok(alloc::vec![Action {
        lost: false,
        page: Some(0),
        protected: None,
        text: text.into()
    }])
}

/// Where a directory block is said to be, and which copy counts, if that is
/// known.
type Place = ([u64; 2], Option<Side>);

/// What is kept of a damaged file.
struct Salvage {
    page_size: PageSize,
    identity: superblock::Identity,
    /// What each page is used for; pages are claimed as their owners are kept.
    allocation: AllocationMap,
    /// Pages that the directory named before, kept or not.
    was_internal: Bitmap,
    /// Pages that were taken for a directory block of which nothing proves
    /// itself: they may be somebody else's.
    unproven: Vec<u64>,
    /// Above every generation on the medium.
    generation: u64,
    /// Where the directory blocks are said to be, and which copy counts.
    places: Vec<Place>,
    blocks: Vec<Block>,
    /// Blocks whose copy that counts has changed.
    changed: Vec<bool>,
    /// Blocks whose copy is surely the newest: pages that it names are its own.
    newest: Vec<bool>,
    actions: Vec<Action>,
}

impl Salvage {
    fn new<S: PageStore>(store: &S, state: Option<&State>) -> Result<Self, Error> {
        let page_size = store.geometry().page_size;
        // It was there when the file was looked at; a file can be cut off.
        let page0 = read_page(store, 0)?.ok_or_else(|| Error::Corrupt {
            page: 0,
            detail: String::from("it is not there any more"),
        })?;
        let copies = [
            metadata_page(store, Side::A)?.parsed.ok(),
            metadata_page(store, Side::B)?.parsed.ok(),
        ];
        let identity = crate::codec::array_at(&page0, 0);
        let mut actions = Vec::new();
        let known = state.and_then(State::allocation);
        let used = match known {
            Some(allocation) => allocation.used().clone(),
            None => hold_everything(store, &copies, &mut actions),
        };
        let used = cut_to_file(store, used, &mut actions);
        let places = if let Some(directory) = state.and_then(State::directory) {
            directory
                .places()
                .iter()
                .map(|place| (place.pages, Some(place.active)))
                .collect()
        } else {
            let text = "the list of directory blocks in page 0 was rebuilt from the blocks that prove themselves";
            note(&mut actions, false, Some(0), None, text);
            places_in(store, &page0, page_size)?
        };
        let highest = copies.iter().flatten().map(|copy| copy.generation).max();
        let mut allocation = AllocationMap::from_used(used);
        reserve(&mut allocation);
        Ok(Self {
            page_size,
            identity,
            was_internal: Bitmap::new(allocation.page_count()),
            unproven: Vec::new(),
            allocation,
            generation: highest.unwrap_or(0),
            places,
            blocks: Vec::new(),
            changed: Vec::new(),
            newest: Vec::new(),
            actions,
        })
    }

    fn note(&mut self, lost: bool, page: Option<u64>, id: Option<ProtectedId>, text: &str) {
        note(&mut self.actions, lost, page, id, text);
    }

    /// Keeps the directory blocks that prove themselves; the others become
    /// empty, in their places, so that ids stay what they were.
    fn take_blocks<S: PageStore>(&mut self, store: &mut S) -> Result<(), Error> {
        for (index, (pages, active)) in core::mem::take(&mut self.places).into_iter().enumerate() {
            let claimed = self.claim(pages);
            let copies = [read_copy(store, pages[0])?, read_copy(store, pages[1])?];
            let tags = copies
                .each_ref()
                .map(|copy| copy.as_ref().map_or(0, DirectoryCopy::tag));
            let chosen = claimed.then(|| choose(&copies, active)).flatten();
            let Some(side) = chosen else {
                if claimed {
                    self.unproven.extend(pages);
                }
                self.lose_block(store, index)?;
                continue;
            };
            if active.is_some_and(|active| active != side) {
                let text = format!(
                    "directory block {index} went back to copy {side}, since the copy that counted cannot be believed: what changed in it with the last commit is lost, and pages that became regular since may be taken for its own"
                );
                self.note(true, Some(side.of(pages)), None, &text);
            }
            let [copy_a, copy_b] = copies;
            let copy = match side {
                Side::A => copy_a,
                Side::B => copy_b,
            };
            self.blocks.push(Block {
                place: BlockRef {
                    pages,
                    active: side,
                },
                tags,
                copy,
            });
            self.changed.push(false);
            self.newest.push(active == Some(side));
        }
        Ok(())
    }

    fn lose_block<S: PageStore>(&mut self, store: &mut S, index: usize) -> Result<(), Error> {
        let limits = Limits::of(self.page_size);
        let first = limits.id(index, 0).0;
        let text = format!(
            "directory block {index} cannot be believed: protected pages {first} to {} are lost, as far as there were any",
            first + limits.slots_per_block - 1
        );
        self.note(true, None, None, &text);
        let pages = [
            self.take_free(store, PageKind::DIRECTORY)?,
            self.take_free(store, PageKind::DIRECTORY)?,
        ];
        let place = BlockRef {
            pages,
            active: Side::A,
        };
        let copy = Some(DirectoryCopy::new(self.page_size));
        self.blocks.push(Block {
            place,
            tags: [0; 2],
            copy,
        });
        self.changed.push(true);
        self.newest.push(true);
        Ok(())
    }

    /// Keeps the slots whose pages are theirs alone and whose bytes agree.
    fn take_slots<S: PageStore>(&mut self, store: &mut S) -> Result<(), Error> {
        let limits = Limits::of(self.page_size);
        for index in 0..self.blocks.len() {
            let Some(mut copy) = self
                .blocks
                .get_mut(index)
                .and_then(|block| block.copy.take())
            else {
                continue;
            };
            let is_newest = self.newest.get(index) == Some(&true);
            for slot in 0..copy.capacity() {
                let id = limits.id(index, slot);
                let kept = match copy.slot(slot) {
                    Ok(None) => continue,
                    Ok(Some(found)) => self.keep(store, id, found, is_newest)?,
                    Err(fault) => {
                        self.note(
                            true,
                            None,
                            Some(id),
                            &format!("protected page {id} is lost: {fault}"),
                        );
                        None
                    }
                };
                if copy.slot(slot) != Ok(kept) {
                    copy.set_slot(slot, kept.as_ref());
                    if let Some(changed) = self.changed.get_mut(index) {
                        *changed = true;
                    }
                }
            }
            if let Some(block) = self.blocks.get_mut(index) {
                block.copy = Some(copy);
            }
        }
        Ok(())
    }

    /// The slot as it can be kept; none: its page is lost.
    fn keep<S: PageStore>(
        &mut self,
        store: &mut S,
        id: ProtectedId,
        mut slot: Slot,
        is_newest: bool,
    ) -> Result<Option<Slot>, Error> {
        let (active, shadow) = (slot.active_page(), slot.shadow_page());
        if is_newest {
            // Else they may have been freed since, and be regular now.
            for page in slot.pages {
                self.was_internal.set(page, true);
            }
        }
        if !self.is_unclaimed(active) {
            let text = format!(
                "protected page {id} is lost: page {active}, which should hold it, cannot be its own"
            );
            self.note(true, Some(active), Some(id), &text);
            return Ok(None);
        }
        let actual = page_checksum(store, active, Algorithm::Crc32)?;
        if actual != Checksum::crc32(slot.checksum) && !slot.location().is_unproven() {
            let text = format!(
                "protected page {id} is lost: the checksum of page {active} is {actual}, not {:#010x}{}",
                slot.checksum,
                explained(flip_in(
                    self.page_size,
                    Checksum::crc32(slot.checksum),
                    actual
                ))
            );
            self.note(true, Some(active), Some(id), &text);
            return Ok(None);
        }
        self.allocation.set(active, PageKind::PROTECTED_ACTIVE);
        if self.is_unclaimed(shadow) {
            self.allocation.set(shadow, PageKind::PROTECTED_SHADOW);
        } else {
            let page = self.take_free(store, PageKind::PROTECTED_SHADOW)?;
            *slot.active.other().of_mut(&mut slot.pages) = page;
            let text = format!(
                "protected page {id} got page {page} for its next write: page {shadow} cannot be its own"
            );
            self.note(false, Some(page), Some(id), &text);
        }
        Ok(Some(slot))
    }

    /// Pages of directory blocks and slots that were not kept become free,
    /// unless they may be somebody else's: then they stay, as regular ones.
    fn give_up_unclaimed(&mut self) {
        let unclaimed: Vec<u64> = self
            .was_internal
            .iter()
            .filter(|&page| self.allocation.get(page) == PageKind::REGULAR)
            .collect();
        for page in unclaimed {
            self.allocation.set(page, PageKind::FREE);
        }
        for page in core::mem::take(&mut self.unproven) {
            self.allocation.set(page, PageKind::REGULAR);
        }
    }

    /// Takes both pages of a directory block, if they can be its own.
    fn claim(&mut self, pages: [u64; 2]) -> bool {
        let [page_a, page_b] = pages;
        for page in pages {
            self.was_internal.set(page, true);
        }
        let free = page_a != page_b && self.is_unclaimed(page_a) && self.is_unclaimed(page_b);
        if free {
            self.allocation.set(page_a, PageKind::DIRECTORY);
            self.allocation.set(page_b, PageKind::DIRECTORY);
        }
        free
    }

    fn is_unclaimed(&self, page: u64) -> bool {
        page >= RESERVED_PAGES && self.allocation.get(page) == PageKind::REGULAR
    }

    /// A file that was cut off gets the pages that none can be without: they are
    /// taken as those that are there are.
    fn lengthen<S: PageStore>(&self, store: &mut S) -> Result<(), Error> {
        let page_count = self.allocation.page_count();
        if store.geometry().page_count < page_count {
            store
                .grow(page_count)
                .map_err(Error::store(Operation::Grow { page_count }))?;
        }
        Ok(())
    }

    /// A free page, zeroed, growing the file if need be.
    fn take_free<S: PageStore>(&mut self, store: &mut S, kind: PageKind) -> Result<u64, Error> {
        let limit = Limits::of(self.page_size).page_count;
        let page_count = self.allocation.page_count();
        let page = match self.allocation.find_free(RESERVED_PAGES) {
            Some(page) => page,
            None if page_count < limit => {
                let grown = page_count.saturating_mul(2).min(limit);
                store
                    .grow(grown)
                    .map_err(Error::store(Operation::Grow { page_count: grown }))?;
                self.allocation.grow(grown);
                self.was_internal.grow(grown);
                page_count
            }
            None => return Err(Error::Full { limit }),
        };
        self.allocation.set(page, kind);
        store
            .write(&[Change::Zero {
                first: page,
                count: 1,
            }])
            .map_err(Error::store(Operation::WriteRepaired))?;
        Ok(page)
    }

    /// Writes both copies of the metadata, the changed blocks, and page 0.
    fn write<S: PageStore>(mut self, store: &mut S) -> Result<Vec<Action>, Error> {
        let directory = Directory::new(
            Limits::of(self.page_size),
            core::mem::take(&mut self.blocks),
            BTreeMap::new(),
        );
        let mut sound = Sound {
            root: Root {
                page_size: self.page_size,
                identity: self.identity,
                side: Side::A,
                tagged: true,
                generation: self.generation,
                highest_generation: self.generation,
            },
            allocation: self.allocation,
            directory,
        };
        let generation = next_generation(&sound.root, &sound.directory)?;
        sound.root.generation = generation;
        sound.assert_consistent();
        let tag = low32(generation);
        let metadata = MetadataImage::new(self.page_size, generation, sound.allocation.used());
        let mut copies = Vec::new();
        for (block, changed) in sound.directory.blocks().iter().zip(&self.changed) {
            // A tag that page 0 cannot name, see R6, is replaced too.
            let named = block.place.active.of(block.tags);
            let changed = *changed || is_newer(named, generation);
            if let (true, Some(copy)) = (changed, &block.copy) {
                let mut copy = copy.clone();
                copy.set_tag(tag);
                copies.push((block.place, copy));
            }
        }
        let mut changes: Vec<Change<'_, S::Buffer>> = Side::BOTH
            .map(|side| Change::Sealed {
                page: metadata::page_of(side),
                bytes: metadata.bytes(),
                start: 0,
            })
            .into();
        for (place, copy) in &copies {
            let page = place.active.of(place.pages);
            changes.push(Change::Sealed {
                page,
                bytes: copy.bytes(),
                start: 0,
            });
            changes.push(Change::Zero {
                first: place.active.other().of(place.pages),
                count: 1,
            });
        }
        changes.push(Change::Sync);
        store
            .write(&changes)
            .map_err(Error::store(Operation::WriteRepaired))?;
        commit::settle(store, &Images::of(&sound))?;
        note(
            &mut self.actions,
            false,
            Some(0),
            None,
            "page 0 and both copies of the metadata were written anew",
        );
        Ok(self.actions)
    }
}

fn note(
    actions: &mut Vec<Action>,
    lost: bool,
    page: Option<u64>,
    protected: Option<ProtectedId>,
    text: &str,
) {
    actions.push(Action {
        lost,
        page,
        protected,
        text: text.into(),
    });
}

/// The copy that counts if it is valid, else the other; where it is not known
/// which counts, the valid one that is not older.
fn choose(copies: &[Option<DirectoryCopy>; 2], active: Option<Side>) -> Option<Side> {
    let [copy_a, copy_b] = copies;
    let is_valid = |side| match side {
        Side::A => copy_a.is_some(),
        Side::B => copy_b.is_some(),
    };
    let first = active.unwrap_or_else(|| {
        let tag = |copy: &Option<DirectoryCopy>| copy.as_ref().map(DirectoryCopy::tag);
        if tag(copy_b) > tag(copy_a) {
            Side::B
        } else {
            Side::A
        }
    });
    [first, first.other()]
        .into_iter()
        .find(|&side| is_valid(side))
}

/// Every page that could be in use, where no bitmap can be believed.
fn hold_everything<S: PageStore>(
    store: &S,
    copies: &[Option<Metadata>; 2],
    actions: &mut Vec<Action>,
) -> Bitmap {
    let geometry = store.geometry();
    let limit = Limits::of(geometry.page_size).page_count;
    let named = copies.iter().flatten().map(Metadata::page_count).max();
    let page_count = named
        .unwrap_or(geometry.page_count)
        .clamp(MIN_PAGE_COUNT, limit);
    let text = format!(
        "it is not known which pages were in use: all {page_count} are kept as allocated, so that none is handed out twice; free those that you do not need"
    );
    note(actions, false, None, None, &text);
    Bitmap::all_ones(page_count)
}

/// Gives up the pages that the file has lost.
fn cut_to_file<S: PageStore>(store: &S, used: Bitmap, actions: &mut Vec<Action>) -> Bitmap {
    let file_pages = store.geometry().page_count;
    if used.len() <= file_pages {
        return used;
    }
    let page_count = file_pages.max(MIN_PAGE_COUNT);
    let lost = used.count(file_pages, used.len());
    let what = match lost {
        0 => String::from("all of them were free"),
        _ => format!("{lost} of them were allocated and are lost"),
    };
    let text = format!(
        "pages {file_pages} to {} are missing from the file: {what}",
        used.len() - 1
    );
    note(actions, lost > 0, Some(file_pages), None, &text);
    let mut kept = Bitmap::from_words(used.words().to_vec(), page_count);
    for page in file_pages.max(RESERVED_PAGES)..page_count {
        kept.set(page, false);
    }
    kept
}

/// The references in page 0 that lead to a directory block, in their places.
fn places_in<S: PageStore>(
    store: &S,
    page0: &[u8],
    page_size: PageSize,
) -> Result<Vec<Place>, Error> {
    let limit = usize::try_from(Limits::of(page_size).blocks).unwrap_or(usize::MAX);
    let (count, known) = match block_count(page0, page_size) {
        Ok(count) => (count, true),
        Err(_) => (limit, false),
    };
    let mut places = Vec::new();
    for index in 0..count {
        let pages = block_pages(page0, index);
        let leads = read_copy(store, pages[0])?.is_some() || read_copy(store, pages[1])?.is_some();
        if !leads && !known {
            break;
        }
        places.push((pages, block_side(page0, index).ok()));
    }
    Ok(places)
}

/// A copy of a directory block, where one can lie.
fn read_copy<S: PageStore>(store: &S, page: u64) -> Result<Option<DirectoryCopy>, Error> {
    if page < RESERVED_PAGES {
        return Ok(None);
    }
    directory_copy(store, page)
}
