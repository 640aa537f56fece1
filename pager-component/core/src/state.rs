//! [`State`]: all that is known of a file's committed contents. Pure.
//!
//! Of a sound file both parts are there. Of a damaged one a part that cannot be
//! believed is missing, and the file is only read.

use alloc::format;
use alloc::string::ToString;

use pagebox_store::PageSize;

use crate::allocation::{AllocationMap, Use};
use crate::directory::Directory;
use crate::error::Error;
use crate::format::directory::Slot;
use crate::format::superblock::{Head, Identity, low15};
use crate::format::{Limits, RESERVED_PAGES, metadata};
use crate::ids::{ProtectedId, Side};
use crate::kinds::PageKind;

/// The committed contents of a file.
#[derive(Clone, Debug)]
pub struct State {
    /// The size of a page.
    pub page_size: PageSize,
    /// Magic, version and page size, as the file has them.
    pub identity: Identity,
    /// The metadata side that counts.
    pub side: Side,
    /// Whether page 0 carries a tag: not where the peer wrote it last.
    pub tagged: bool,
    /// The generation of the metadata that counts; 0 where that is missing.
    pub generation: u64,
    /// The highest generation of either copy of the metadata.
    pub highest_generation: u64,
    /// What each page is used for.
    pub allocation: Option<AllocationMap>,
    /// Where the protected pages are.
    pub directory: Option<Directory>,
}

impl State {
    /// What the format allows for this page size.
    pub fn limits(&self) -> Limits {
        Limits::of(self.page_size)
    }

    /// Pages that the file accounts for; 0 where that is not known.
    pub fn page_count(&self) -> u64 {
        self.allocation
            .as_ref()
            .map_or(0, AllocationMap::page_count)
    }

    /// The head of page 0 for this state.
    pub fn head(&self) -> Head {
        Head {
            identity: self.identity,
            side: self.side,
            tag: self.tagged.then_some(low15(self.generation)),
        }
    }

    /// The allocation map.
    pub fn allocation(&self) -> Result<&AllocationMap, Error> {
        self.allocation.as_ref().ok_or_else(|| Error::Corrupt {
            page: metadata::page_of(self.side),
            detail: format!("metadata {} cannot be believed", self.side),
        })
    }

    /// The directory.
    pub fn directory(&self) -> Result<&Directory, Error> {
        self.directory.as_ref().ok_or_else(|| Error::Corrupt {
            page: 0,
            detail: "the directory section cannot be believed".to_string(),
        })
    }

    /// Checks that a page is an allocated regular one.
    pub fn regular(&self, page: u64) -> Result<(), Error> {
        let allocation = self.allocation()?;
        let page_count = allocation.page_count();
        if page >= page_count {
            return Err(Error::OutOfRange { page, page_count });
        }
        match allocation.get(page) {
            Use::REGULAR => Ok(()),
            Use::FREE => Err(Error::NotAllocated { page }),
            _ => Err(Error::NotRegular {
                page,
                kind: self.internal_kind(page),
            }),
        }
    }

    /// The slot of a protected page.
    pub fn protected(&self, id: ProtectedId) -> Result<Slot, Error> {
        let directory = self.directory()?;
        if let Some(slot) = directory.slot(id) {
            return Ok(slot);
        }
        let (block, slot) = directory.place(id);
        match directory.blocks().get(block) {
            Some(block) if block.copy.is_none() => Err(Error::Corrupt {
                page: block.place.active.of(block.place.pages),
                detail: format!("the directory block of protected page {id} cannot be believed"),
            }),
            Some(block) => match directory.suspicion(id) {
                Some(why) => Err(Error::Corrupt {
                    page: block.place.active.of(block.place.pages),
                    detail: format!("slot {slot} (protected page {id}): {why}"),
                }),
                None => Err(Error::NotProtected { id }),
            },
            None => Err(Error::NotProtected { id }),
        }
    }

    /// What an internal page is, and the protected page that it belongs to.
    /// Looks at the whole directory: for errors and for people.
    pub fn owner(&self, page: u64) -> (PageKind, Option<ProtectedId>) {
        match page {
            0 => return (PageKind::SUPERBLOCK, None),
            1..RESERVED_PAGES => return (PageKind::METADATA, None),
            _ => {}
        }
        let Some(directory) = &self.directory else {
            return (PageKind::UNKNOWN, None);
        };
        if directory
            .blocks()
            .iter()
            .any(|block| block.place.pages.contains(&page))
        {
            return (PageKind::DIRECTORY, None);
        }
        let found = directory
            .slots(ProtectedId(0))
            .find(|(_, slot)| slot.pages.contains(&page));
        match found {
            Some((id, slot)) if slot.active_page() == page => {
                (PageKind::PROTECTED_ACTIVE, Some(id))
            }
            Some((id, _)) => (PageKind::PROTECTED_SHADOW, Some(id)),
            None => (PageKind::UNKNOWN, None),
        }
    }

    fn internal_kind(&self, page: u64) -> PageKind {
        self.owner(page).0
    }

    /// Fails where an invariant does not hold.
    ///
    /// # Panics
    /// See there: what was decided is wrong, and must not go on.
    pub fn assert_consistent(&self) {
        if let (Some(allocation), Some(directory)) = (&self.allocation, &self.directory) {
            allocation.assert_consistent();
            assert_eq!(
                allocation.count(Use::INTERNAL),
                RESERVED_PAGES + 2 * directory.blocks().len() as u64 + 2 * directory.count(),
                "internal pages are the reserved, the directory's and the protected ones"
            );
        }
    }
}
