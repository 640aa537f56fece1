//! [`State`]: all that is known of a file's committed contents. Pure.
//!
//! Of a [`Sound`] file both maps are whole: it can be changed. What is left of a
//! damaged one, [`Remains`], is only read.

use alloc::format;
use alloc::string::{String, ToString};

use pagebox_store::PageSize;

use super::directory::Slot;
use super::slots::Directory;
use super::superblock::{Head, Identity, low15};
use super::{Limits, RESERVED_PAGES, metadata};
use crate::allocation::AllocationMap;
use crate::error::Error;
use crate::ids::{ProtectedId, Side};
use crate::kinds::PageKind;

/// What page 0 and the metadata say besides the two maps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Root {
    /// The size of a page.
    pub(super) page_size: PageSize,
    /// Magic, version and page size, as the file has them.
    pub(super) identity: Identity,
    /// The metadata side that counts.
    pub(super) side: Side,
    /// Whether page 0 carries a tag: not where the peer wrote it last.
    pub(super) tagged: bool,
    /// The generation of the metadata that counts; 0 where that is lost.
    pub(super) generation: u64,
    /// The highest generation of either copy of the metadata.
    pub(super) highest_generation: u64,
}

impl Root {
    /// What the format allows for this page size.
    pub(super) fn limits(&self) -> Limits {
        Limits::of(self.page_size)
    }

    /// The head of page 0 for it.
    pub(super) fn head(&self) -> Head {
        Head {
            identity: self.identity,
            side: self.side,
            tag: self.tagged.then_some(low15(self.generation)),
        }
    }
}

/// The committed contents of a sound file.
#[derive(Clone, Debug)]
pub struct Sound {
    pub(super) root: Root,
    /// What each page is.
    pub(super) allocation: AllocationMap,
    /// Where the protected pages are.
    pub(super) directory: Directory,
}

impl Sound {
    /// Fails where an invariant does not hold.
    ///
    /// # Panics
    /// See there: what was decided is wrong, and must not go on.
    pub(super) fn assert_consistent(&self) {
        self.allocation.assert_consistent();
        let of_pairs = |kind_a, kind_b, pairs| {
            self.allocation.count(kind_a) + self.allocation.count(kind_b) == 2 * pairs
        };
        let blocks = self.directory.blocks().len() as u64;
        assert!(
            of_pairs(PageKind::DIRECTORY, PageKind::DIRECTORY, 2 * blocks)
                && of_pairs(
                    PageKind::PROTECTED_ACTIVE,
                    PageKind::PROTECTED_SHADOW,
                    self.directory.count()
                )
                && self.allocation.internal()
                    == RESERVED_PAGES + 2 * blocks + 2 * self.directory.count(),
            "internal pages are the reserved, the directory's and the protected ones"
        );
    }
}

/// What is left of a damaged file.
#[derive(Clone, Debug)]
pub struct Remains {
    pub(super) root: Root,
    /// Whether the metadata that counts could be believed.
    pub(super) is_metadata_whole: bool,
    /// What each page is. Without metadata: of each page of the file, as far as
    /// the directory says.
    pub(super) allocation: AllocationMap,
    /// None: the section of page 0 that names its blocks is lost.
    pub(super) directory: Option<Directory>,
}

/// The committed contents of a file.
#[derive(Clone, Debug)]
pub enum State {
    /// All of it.
    Sound(Sound),
    /// What is left of it.
    Damaged(Remains),
}

impl State {
    /// What page 0 and the metadata say.
    pub(super) fn root(&self) -> &Root {
        match self {
            Self::Sound(sound) => &sound.root,
            Self::Damaged(remains) => &remains.root,
        }
    }

    /// What each page is, where that is known.
    pub(super) fn allocation(&self) -> Option<&AllocationMap> {
        match self {
            Self::Sound(sound) => Some(&sound.allocation),
            Self::Damaged(remains) => {
                Some(&remains.allocation).filter(|_| remains.is_metadata_whole)
            }
        }
    }

    /// What each page is, as far as something says: where it is not known whose
    /// a page is that is in use, it is of an unknown kind.
    pub(super) fn kinds(&self) -> AllocationMap {
        let (mut kinds, is_known) = match self {
            Self::Sound(sound) => (sound.allocation.clone(), true),
            Self::Damaged(remains) => {
                let is_known = remains.is_metadata_whole && self.tells_owners();
                (remains.allocation.clone(), is_known)
            }
        };
        if !is_known {
            kinds.rename_regular(PageKind::UNKNOWN);
        }
        kinds
    }

    /// The directory, where it is known.
    pub fn directory(&self) -> Option<&Directory> {
        match self {
            Self::Sound(sound) => Some(&sound.directory),
            Self::Damaged(remains) => remains.directory.as_ref(),
        }
    }

    /// The generation, where it is known.
    pub fn generation(&self) -> Option<u64> {
        self.allocation().map(|_| self.root().generation)
    }

    /// Whether page 0 carries a tag: not where `mappedpages` wrote it last.
    pub fn is_tagged(&self) -> bool {
        self.root().tagged
    }

    /// Pages that the file accounts for, where that is known.
    pub(super) fn page_count(&self) -> Option<u64> {
        self.allocation().map(AllocationMap::page_count)
    }

    /// Whether the directory says of every page that it has whose it is.
    pub(super) fn tells_owners(&self) -> bool {
        self.directory().is_some_and(Directory::is_whole)
    }

    /// The allocation map, for an operation that cannot do without.
    pub(super) fn expect_allocation(&self) -> Result<&AllocationMap, Error> {
        self.allocation().ok_or_else(|| {
            let side = self.root().side;
            Error::Corrupt {
                page: metadata::page_of(side),
                detail: format!("metadata {side} cannot be believed"),
            }
        })
    }

    /// The directory, for an operation that cannot do without.
    pub(super) fn expect_directory(&self) -> Result<&Directory, Error> {
        self.directory().ok_or_else(|| Error::Corrupt {
            page: 0,
            detail: "the directory section cannot be believed".to_string(),
        })
    }

    /// Checks that a page is an allocated regular one.
    pub(super) fn regular(&self, page: u64) -> Result<(), Error> {
        let allocation = self.expect_allocation()?;
        let page_count = allocation.page_count();
        if page >= page_count {
            return Err(Error::OutOfRange { page, page_count });
        }
        match allocation.get(page) {
            PageKind::REGULAR => Ok(()),
            PageKind::FREE => Err(Error::NotAllocated { page }),
            kind => Err(Error::NotRegular { page, kind }),
        }
    }

    /// The slot of a protected page.
    pub(super) fn protected(&self, id: ProtectedId) -> Result<Slot, Error> {
        let directory = self.expect_directory()?;
        directory.slot(id).ok_or_else(|| no_slot(directory, id))
    }

    /// The protected page that a page belongs to. Looks at the whole directory:
    /// for people.
    pub(super) fn owner(&self, page: u64) -> Option<ProtectedId> {
        let mut slots = self.directory()?.slots(ProtectedId(0));
        let found = slots.find(|(_, slot)| slot.pages.contains(&page));
        found.map(|(id, _)| id)
    }
}

/// Why an id has no slot that can be believed.
#[cold]
fn no_slot(directory: &Directory, id: ProtectedId) -> Error {
    let (block, slot) = directory.place(id);
    let corrupt = |page, detail: String| Error::Corrupt { page, detail };
    let Some(block) = directory.blocks().get(block) else {
        return Error::NotProtected { id };
    };
    let page = block.place.active.of(block.place.pages);
    if block.copy.is_none() {
        let detail = format!("the directory block of protected page {id} cannot be believed");
        return corrupt(page, detail);
    }
    match directory.suspicion(id) {
        Some(why) => corrupt(page, format!("slot {slot} (protected page {id}): {why}")),
        None => Error::NotProtected { id },
    }
}
