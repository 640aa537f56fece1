//! [`File`]: an open page file of one of the formats. Its verbs are the list of
//! what a format owes; each is one `match`.
//!
//! A verb that looks something up is given the store: a format need not have in
//! memory what it is asked for.

use alloc::vec::Vec;

use pagebox_store::{Algorithm, PageSize, PageStore};

use crate::changes::Changes;
use crate::error::Error;
use crate::facts::{
    ChangedPage, CheckPart, CommitInfo, Compacted, Durability, Location, NewFile, ProtectedPage,
    SnapshotInfo, Stats, Wish,
};
use crate::finding::Finding;
use crate::format0;
use crate::format1;
use crate::identity::Format;
use crate::ids::{Extent, ProtectedId};
use crate::kinds::PageKind;
use crate::page_map::{FreeRuns, Kinds};
use crate::pin::Pin;
use crate::structure::{Entry, LastCommit, Reference, Structure};

/// An open page file.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one for each open file, and it stays where it is"
)]
pub enum File {
    /// Of format 0.
    Zero(format0::File),
    /// Of format 1.
    One(format1::File),
}

impl File {
    /// Makes a new file in an empty store.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Full`], [`Error::Store`].
    pub fn create<S: PageStore>(store: &mut S, new: &NewFile) -> Result<Self, Error> {
        expect_empty(store)?;
        Ok(match new.format {
            Format::Zero => Self::Zero(format0::File::create(store, new.page_count)?),
            Format::One => Self::One(format1::File::create(store, new.uuid, new.page_count)?),
        })
    }

    /// Makes a new file in an empty store around regular pages: those of a file
    /// of another format, whose numbers stay. It has about as many pages as that
    /// one, as far as the format can.
    ///
    /// # Errors
    /// As [`File::create`]; [`Error::NotRegular`] for the first page that the
    /// format needs for itself, [`Error::OutOfRange`] for the first that it
    /// cannot have.
    pub fn create_around<S: PageStore>(
        store: &mut S,
        new: &NewFile,
        regular: &[Extent],
    ) -> Result<Self, Error> {
        expect_empty(store)?;
        let (uuid, pages) = (new.uuid, new.page_count);
        Ok(match new.format {
            Format::Zero => Self::Zero(format0::File::create_around(store, pages, regular)?),
            Format::One => Self::One(format1::File::create_around(store, uuid, pages, regular)?),
        })
    }

    /// Makes what recovery chose durable, so that it can be served and built on.
    /// What is in the page cache only is synced first.
    ///
    /// # Errors
    /// [`Error::Store`].
    ///
    /// # Panics
    /// For a damaged file.
    pub fn settle<S: PageStore>(&mut self, store: &mut S) -> Result<(), Error> {
        match self {
            Self::Zero(file) => file.settle(store),
            Self::One(file) => Ok(file.settle(store)?),
        }
    }

    /// Commits changes: all of them, or none.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::GenerationsExhausted`], [`Error::Corrupt`],
    /// [`Error::Store`]; [`Error::NotSupported`] for a deferred commit in a format
    /// that has none.
    ///
    /// # Panics
    /// For a file that is not settled, and for changes that do not fit it.
    pub fn commit<S: PageStore>(
        &mut self,
        store: &mut S,
        changes: &Changes<S::Buffer>,
        durability: Durability,
    ) -> Result<(), Error> {
        match (self, durability) {
            (Self::Zero(_), Durability::Deferred) => Err(Error::NotSupported),
            (Self::Zero(_), Durability::Durable) if changes.is_empty() => Ok(()),
            (Self::Zero(file), Durability::Durable) => file.commit(store, changes),
            (Self::One(file), _) => Ok(file.commit_as(store, changes, durability).map(drop)?),
        }
    }

    /// Makes deferred commits durable; whether there were any.
    ///
    /// # Errors
    /// As [`File::commit`].
    pub fn flush<S: PageStore>(&mut self, store: &mut S) -> Result<bool, Error> {
        match self {
            Self::Zero(_) => Ok(false),
            Self::One(file) => Ok(file.flush(store)?),
        }
    }

    /// The committed state, to be read from as long as the pin lives.
    ///
    /// # Errors
    /// [`Error::NotSupported`] in a format that has no views.
    pub fn view(&mut self) -> Result<(Self, Pin), Error> {
        match self {
            Self::Zero(_) => Err(Error::NotSupported),
            Self::One(file) => {
                let (file, pin) = file.view()?;
                Ok((Self::One(file), pin))
            }
        }
    }

    /// The root of the committed state, with which [`File::open_at`] reads it;
    /// empty in a format that has no views.
    pub fn root(&self) -> Vec<u8> {
        match self {
            Self::Zero(_) => Vec::new(),
            Self::One(file) => file.root(),
        }
    }

    /// Opens a file to read the state of a view.
    ///
    /// # Errors
    /// [`Error::Identity`], [`Error::PageSizeMismatch`], [`Error::Damaged`],
    /// [`Error::Store`].
    pub fn open_at<S: PageStore>(store: &S, root: &[u8]) -> Result<Self, Error> {
        Ok(Self::One(format1::File::open_at(store, root)?))
    }

    /// The generation of the snapshot that it reads by its root alone.
    pub fn shown_snapshot(&self) -> Option<u64> {
        match self {
            Self::Zero(_) => None,
            Self::One(file) => file.shown_snapshot(),
        }
    }

    /// Its snapshots, oldest first; of a format that has none, no snapshots.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`].
    pub fn snapshots<S: PageStore>(&mut self, store: &S) -> Result<Vec<SnapshotInfo>, Error> {
        match self {
            Self::Zero(_) => Ok(Vec::new()),
            Self::One(file) => {
                let snapshots = file.snapshots(store)?.into_iter();
                Ok(snapshots.map(Into::into).collect())
            }
        }
    }

    /// Gives the committed state a name, durably. `time` is in nanoseconds since
    /// 1970.
    ///
    /// # Errors
    /// [`Error::NotSupported`] in a format that has no snapshots;
    /// [`Error::SnapshotName`], [`Error::IsSnapshot`],
    /// [`Error::TooManySnapshots`]; as [`File::commit`].
    pub fn create_snapshot<S: PageStore>(
        &mut self,
        store: &mut S,
        name: &str,
        time: u64,
    ) -> Result<SnapshotInfo, Error> {
        match self {
            Self::Zero(_) => Err(Error::NotSupported),
            Self::One(file) => Ok(file.create_snapshot(store, name, time)?.into()),
        }
    }

    /// Drops a snapshot, durably: how many pages that frees.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; as [`File::commit`].
    pub fn delete_snapshot<S: PageStore>(
        &mut self,
        store: &mut S,
        name: &str,
    ) -> Result<u64, Error> {
        match self {
            Self::Zero(_) => Err(Error::NoSnapshot),
            Self::One(file) => Ok(file.delete_snapshot(store, name)?),
        }
    }

    /// Gives every protected page the bytes that it had in a snapshot, durably: how
    /// many protected pages change.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], [`Error::TooMany`], [`Error::ChecksumMismatch`]; as
    /// [`File::commit`].
    pub fn restore<S: PageStore>(&mut self, store: &mut S, name: &str) -> Result<u64, Error> {
        match self {
            Self::Zero(_) => Err(Error::NoSnapshot),
            Self::One(file) => Ok(file.restore(store, name)?),
        }
    }

    /// One step of making the file as short as `target` pages, or as can be, which
    /// moves `limit` pages at most: see
    /// [`compact`](crate::Pager::compact).
    ///
    /// # Errors
    /// [`Error::NotSupported`] where the format does not; as [`File::commit`].
    pub fn compact<S: PageStore>(
        &mut self,
        store: &mut S,
        target: u64,
        limit: usize,
    ) -> Result<Compacted, Error> {
        match self {
            Self::Zero(_) => Err(Error::NotSupported),
            Self::One(file) => Ok(file.compact(store, target, limit)?),
        }
    }

    /// How many pages a snapshot has that nothing else has.
    ///
    /// # Errors
    /// [`Error::NoSnapshot`], [`Error::Corrupt`], [`Error::Store`].
    pub fn held_alone<S: PageStore>(&mut self, store: &S, name: &str) -> Result<u64, Error> {
        match self {
            Self::Zero(_) => Err(Error::NoSnapshot),
            Self::One(file) => Ok(file.held_alone(store, name)?),
        }
    }

    /// A snapshot, to be read from as long as the pin lives.
    ///
    /// # Errors
    /// As [`File::held_alone`].
    pub fn view_snapshot<S: PageStore>(
        &mut self,
        store: &S,
        name: &str,
    ) -> Result<(Self, Pin), Error> {
        match self {
            Self::Zero(_) => Err(Error::NoSnapshot),
            Self::One(file) => {
                let (file, pin) = file.view_snapshot(store, name)?;
                Ok((Self::One(file), pin))
            }
        }
    }

    /// The root of a snapshot, with which [`File::open_at`] reads it.
    ///
    /// # Errors
    /// As [`File::held_alone`].
    pub fn root_of<S: PageStore>(&mut self, store: &S, name: &str) -> Result<Vec<u8>, Error> {
        match self {
            Self::Zero(_) => Err(Error::NoSnapshot),
            Self::One(file) => Ok(file.root_of(store, name)?),
        }
    }

    /// The protected pages from id `from` on that two snapshots have otherwise, in
    /// ascending order, at most `limit`. None: the committed state.
    ///
    /// # Errors
    /// As [`File::held_alone`]; [`Error::NotSupported`] in a format that has none.
    pub fn changes_between<S: PageStore>(
        &mut self,
        store: &S,
        states: [Option<&str>; 2],
        from: ProtectedId,
        limit: usize,
    ) -> Result<Vec<ChangedPage>, Error> {
        match self {
            Self::Zero(_) => Err(Error::NotSupported),
            Self::One(file) => Ok(file.changes_between(store, states, from, limit)?),
        }
    }

    /// What the checksums of its protected pages are.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Zero(_) => Algorithm::Crc32,
            Self::One(_) => Algorithm::Xxh3,
        }
    }

    /// What the last commit came to.
    pub fn committed(&self) -> CommitInfo {
        match self {
            Self::Zero(file) => file.committed(),
            Self::One(file) => file.committed(),
        }
    }

    /// Whether it is known what is durable after this error of a verb that
    /// writes, or of a sync: nothing was written yet.
    pub fn leaves_ready(&self, error: &Error) -> bool {
        match self {
            Self::Zero(_) => format0::File::leaves_ready(error),
            Self::One(file) => file.leaves_ready(error),
        }
    }

    /// Its figures. Where they are not in memory they are read.
    pub fn stats<S: PageStore>(&mut self, store: &S) -> Stats {
        match self {
            Self::Zero(file) => file.stats(),
            Self::One(file) => file.figures(store),
        }
    }

    /// Pages that the file accounts for; none: it is not known.
    pub fn page_count(&self) -> Option<u64> {
        match self {
            Self::Zero(file) => file.page_count(),
            Self::One(file) => Some(file.committed().page_count),
        }
    }

    /// The figures of a file of which nothing is known but its page size, and its
    /// format perhaps.
    pub fn unknown_stats(format: Option<Format>, page_size: PageSize) -> Stats {
        match format {
            Some(Format::Zero) => format0::File::unknown_stats(page_size),
            Some(Format::One) => format1::File::unknown_stats(page_size),
            // Some numbers have to stand for what is not known.
            None => Stats {
                format: "",
                ..format0::File::unknown_stats(page_size)
            },
        }
    }

    /// Checks that `page` is an allocated regular page.
    ///
    /// # Errors
    /// [`Error::OutOfRange`], [`Error::NotAllocated`], [`Error::NotRegular`],
    /// [`Error::Corrupt`], [`Error::Store`].
    pub fn regular<S: PageStore>(&mut self, store: &S, page: u64) -> Result<(), Error> {
        match self {
            Self::Zero(file) => file.regular(page),
            Self::One(file) => Ok(file.regular(store, page)?),
        }
    }

    /// Regular pages in ascending runs from page `start` on, at most `limit`
    /// runs; none: there are no more.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`].
    pub fn runs<S: PageStore>(
        &mut self,
        store: &S,
        start: u64,
        limit: usize,
    ) -> Result<Vec<Extent>, Error> {
        match self {
            Self::Zero(file) => file.runs(start, limit),
            Self::One(file) => Ok(file.runs_from(store, start, limit)?),
        }
    }

    /// Where a protected page's committed bytes are, not verified.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Corrupt`], [`Error::Store`].
    pub fn locate<S: PageStore>(&mut self, store: &S, id: ProtectedId) -> Result<Location, Error> {
        match self {
            Self::Zero(file) => file.locate(id),
            Self::One(file) => {
                let location = file.locate(store, id)?;
                Ok(file.in_words(location))
            }
        }
    }

    /// Protected pages in ascending order from id `start` on, at most `limit`.
    /// Those that cannot be believed are left out.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`].
    pub fn protected<S: PageStore>(
        &mut self,
        store: &S,
        start: ProtectedId,
        limit: usize,
    ) -> Result<Vec<ProtectedPage>, Error> {
        match self {
            Self::Zero(file) => file.protected(start, limit),
            Self::One(file) => {
                let found = file.protected(store, start, limit)?.into_iter();
                Ok(found
                    .map(|(id, location)| ProtectedPage {
                        id,
                        location: file.in_words(location),
                        next: None,
                    })
                    .collect())
            }
        }
    }

    /// The lowest free page from `start` on; past the end all are free.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Corrupt`], [`Error::Store`].
    pub fn find_free<S: PageStore>(&mut self, store: &S, start: u64) -> Result<u64, Error> {
        match self {
            Self::Zero(file) => file.find_free(start),
            Self::One(file) => Ok(file.find_free(store, start)?),
        }
    }

    /// Which of the 64 pages from `64 * word` on are free, as bits. Pages past
    /// the end are, as far as the format can have them.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`].
    pub fn free_word<S: PageStore>(&mut self, store: &S, word: u64) -> Result<u64, Error> {
        match self {
            Self::Zero(file) => file.free_word(word),
            Self::One(file) => Ok(file.free_word(store, word)?),
        }
    }

    /// The lowest free protected id from `start` on.
    ///
    /// # Errors
    /// [`Error::DirectoryFull`], [`Error::Corrupt`], [`Error::Store`].
    pub fn find_free_id<S: PageStore>(
        &mut self,
        store: &S,
        start: ProtectedId,
    ) -> Result<ProtectedId, Error> {
        match self {
            Self::Zero(file) => file.find_free_id(start),
            Self::One(file) => Ok(file.find_free_id(store, start)?),
        }
    }

    /// Checks that there is room for all that a transaction allocates.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::DirectoryFull`].
    pub fn expect_room(&self, wish: &Wish) -> Result<(), Error> {
        match self {
            Self::Zero(file) => file.expect_room(wish),
            Self::One(file) => Ok(file.expect_room(wish)?),
        }
    }

    /// How many steps a check of its structures and protected pages has.
    pub fn check_total<S: PageStore>(&mut self, store: &S) -> u64 {
        match self {
            Self::Zero(file) => file.check_total(),
            Self::One(file) => file.check_total(store),
        }
    }

    /// A part of that check, of bounded work: 0 first, then what `next` says.
    pub fn check_part<S: PageStore>(&mut self, store: &S, cursor: u64) -> CheckPart {
        match self {
            Self::Zero(file) => file.check_part(store, cursor),
            Self::One(file) => file.check_part(store, cursor),
        }
    }

    /// What that check finds in a page, where that can be found with bounded work;
    /// but for the bytes of the committed protected ones.
    pub fn page_findings<S: PageStore>(&mut self, store: &S, page: u64) -> Vec<Finding> {
        match self {
            Self::Zero(file) => file.page_findings(store, page),
            Self::One(file) => file.page_findings(store, page),
        }
    }

    /// What a page is.
    pub fn kind<S: PageStore>(&mut self, store: &S, page: u64) -> PageKind {
        match self {
            Self::Zero(file) => file.kinds().kind(page),
            Self::One(file) => file.page_kind(store, page),
        }
    }

    /// Calls `f` with each kind that pages of `first..end` may have, and how
    /// many of them do.
    pub fn count_kinds<S: PageStore>(
        &mut self,
        store: &S,
        first: u64,
        end: u64,
        f: &mut dyn FnMut(PageKind, u64),
    ) {
        match self {
            Self::Zero(file) => file.kinds().count(first, end, f),
            Self::One(file) => file.count_kinds(store, first, end, f),
        }
    }

    /// The first run of free pages from page `from` on and before `end`, and others
    /// like it that follow, where that is known.
    pub fn free_run<S: PageStore>(&mut self, store: &S, from: u64, end: u64) -> Option<FreeRuns> {
        match self {
            Self::Zero(file) => file.kinds().free_run(from, end),
            Self::One(file) => file.free_run(store, from, end),
        }
    }

    /// What the last commit changed, as far as the file tells.
    pub fn last_commit<S: PageStore>(&self, store: &S) -> Option<LastCommit> {
        match self {
            Self::Zero(file) => file.last_commit(store),
            // Both roots say the same once a commit is done, and what it freed
            // leaves no trace.
            Self::One(_) => None,
        }
    }

    /// The structures that describe the file: roots first, then all copies
    /// of the parts of the directory from the `start`-th part on, of at most
    /// `limit` parts.
    pub fn structures<S: PageStore>(
        &mut self,
        store: &S,
        start: usize,
        limit: usize,
    ) -> Vec<Structure> {
        match self {
            Self::Zero(file) => file.structures(store, start, limit),
            Self::One(file) => file.structures(store, start, limit),
        }
    }

    /// What lies in a page with these bytes, if anything that the pager made.
    pub fn structures_in<S: PageStore>(
        &mut self,
        store: &S,
        page: u64,
        bytes: &[u8],
    ) -> Vec<Structure> {
        match self {
            Self::Zero(file) => file.structures_in(page, bytes),
            Self::One(file) => file.structures_in(store, page, bytes),
        }
    }

    /// The protected page that a page belongs to.
    pub fn owner<S: PageStore>(&mut self, store: &S, page: u64) -> Option<ProtectedId> {
        match self {
            Self::Zero(file) => file.owner(page),
            Self::One(file) => file.owner(store, page),
        }
    }

    /// Who names a page.
    pub fn references<S: PageStore>(&mut self, store: &S, page: u64) -> Vec<Reference> {
        match self {
            Self::Zero(file) => file.references(page),
            Self::One(file) => file.references(store, page),
        }
    }

    /// Protected pages from id `start` on, and where the directory has them.
    pub fn entries<S: PageStore>(
        &mut self,
        store: &S,
        start: ProtectedId,
        limit: usize,
    ) -> Vec<Entry> {
        match self {
            Self::Zero(file) => file.entries(start, limit),
            Self::One(file) => file.entries(store, start, limit),
        }
    }
}

fn expect_empty<S: PageStore>(store: &S) -> Result<(), Error> {
    let geometry = store.geometry();
    if geometry.page_count == 0 && geometry.tail == 0 {
        Ok(())
    } else {
        Err(Error::NotEmpty {
            page_count: geometry.page_count,
        })
    }
}

/// A file's pages as they are asked for.
pub struct FileKinds<'a, S> {
    /// The file.
    pub file: &'a mut File,
    /// Its store.
    pub store: &'a S,
}

impl<S: PageStore> Kinds for FileKinds<'_, S> {
    fn kind(&mut self, page: u64) -> PageKind {
        self.file.kind(self.store, page)
    }

    fn count(&mut self, first: u64, end: u64, f: &mut dyn FnMut(PageKind, u64)) {
        self.file.count_kinds(self.store, first, end, f);
    }

    fn free_run(&mut self, from: u64, end: u64) -> Option<FreeRuns> {
        self.file.free_run(self.store, from, end)
    }
}
