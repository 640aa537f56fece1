//! Backups: a page file that holds one state of another one, and is brought up to
//! date by what changed.
//!
//! | Where | What is done |
//! |---|---|
//! | no such copy | a new file around the same regular pages, then all protected pages; it gets its name when all of it is durable |
//! | a copy with the same regular pages | regular pages whose bytes differ, in place; then one transaction of all protected pages that differ |
//! | another copy, or too much for a transaction | a new file, which takes the copy's name |
//!
//! What differs is told by the checksums that both files have of their protected
//! pages: only those that differ are read. A snapshot in the copy says which
//! generation it holds.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::format::Format;
use crate::ids::{PageId, ProtectedId};
use crate::new_file::NewFile;
use crate::os::{self, Locked};
use crate::pager::{Access, Pager};
use crate::runtime::Runtime;
use crate::steady::{Attempt, steadily};
use crate::store::{MmapStore, ReadOnlyStore};
use crate::unpublished::Unpublished;
use crate::upgrade::{copy_protected, open, open_file, runs};
use crate::view::View;
use crate::wit::pagebox::pager::page_store::Extent;
use crate::{Error, PageStore};

/// What a backup came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Backup {
    /// Bytes in a page.
    pub page_size: usize,
    /// The generation that the copy holds now.
    pub generation: u64,
    /// Whether the copy is a new file.
    pub is_new: bool,
    /// Regular and protected pages that it has.
    pub pages: u64,
    /// Those that were written to it.
    pub written_pages: u64,
    /// Protected pages that were freed in it.
    pub freed_pages: u64,
}

/// How the snapshots are called that backups leave in their copies.
const MARK: &str = "backup of generation ";

/// What is backed up.
pub(crate) struct Source<'s> {
    /// The state of the protected pages.
    pub(crate) protected: &'s Pager,
    pub(crate) generation: u64,
    pub(crate) uuid: (u64, u64),
    pub(crate) page_count: u64,
    pub(crate) regular: Vec<Extent>,
    /// Reads a regular page.
    pub(crate) read: &'s Read<'s>,
}

/// Fills bytes with those of a page.
type Read<'s> = dyn Fn(u64, &mut [u8]) -> Result<(), Error> + 's;

impl Source<'_> {
    fn regular_pages(&self) -> impl Iterator<Item = u64> + '_ {
        self.regular
            .iter()
            .flat_map(|run| run.first..run.first + run.count)
    }
}

/// The number of the file, which its backups have as well.
fn uuid_of(pager: &Pager) -> Result<(u64, u64), Error> {
    pager.uuid()?.ok_or_else(|| {
        Error::Other("files of format 0 have no backups: copy or upgrade them".into())
    })
}

/// Backs up the file at `path`, which somebody may be at work on if it is a
/// snapshot that is backed up.
pub(crate) fn backup(
    runtime: &Arc<Runtime>,
    path: &Path,
    snapshot: Option<&str>,
    copy: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Backup, Error> {
    with_source(runtime, path, snapshot, |source, file| {
        to_copy(runtime, source, Some(file), copy, progress)
    })
}

/// Whether a copy holds what is backed up, all of it verified: how many pages
/// differ.
pub(crate) fn compare(
    runtime: &Arc<Runtime>,
    path: &Path,
    snapshot: Option<&str>,
    copy: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64, Error> {
    with_source(runtime, path, snapshot, |source, _| {
        let locked = Locked::open(copy, false)?;
        let copied = open(runtime, &locked, copy)?;
        expect_same_file(source, &copied, copy)?;
        let len = source.protected.page_size().bytes();
        let (mut one, mut other) = (vec![0; len], vec![0; len]);
        let mut differing = 0;
        let (mut done, total) = (0, copied.stats()?.protected_pages);
        for difference in Differing::of(source.protected, &copied) {
            difference?;
            differing += 1;
        }
        for page in copied.protected_pages() {
            // Its own checksum.
            copied.read_protected(page?.id, 0, &mut other)?;
            done += 1;
            progress(done, total);
        }
        if as_runs(&copied)? == spans(&source.regular) {
            for page in source.regular_pages() {
                (source.read)(page, &mut one)?;
                copied.read(PageId::new(page), 0, &mut other)?;
                differing += u64::from(one != other);
            }
        } else {
            differing += 1;
        }
        Ok(differing)
    })
}

/// Opens what is to be backed up.
fn with_source<R>(
    runtime: &Arc<Runtime>,
    path: &Path,
    snapshot: Option<&str>,
    f: impl FnOnce(&Source<'_>, &File) -> Result<R, Error>,
) -> Result<R, Error> {
    // Nobody writes to the file meanwhile; or somebody does, and a snapshot stays.
    let locked = match Locked::open(path, false) {
        Ok(locked) => Some(locked),
        Err(Error::Locked { .. }) if snapshot.is_some() => None,
        Err(error) => return Err(error),
    };
    let file = match &locked {
        Some(locked) => locked.file().try_clone(),
        None => Ok(os::open(path, false)?),
    };
    let file = file.map_err(|source| Error::io("open", path, source))?;
    let found = steadily(|| {
        let now = open_file(runtime, &file, path)?;
        let regular = runs(&now)?;
        let view = snapshot.map(|name| now.snapshot(name)).transpose()?;
        // All of it is of one root, and was verified: what a commit made of the file
        // meanwhile is an error.
        Ok(Attempt::Steady((now, regular, view)))
    })?;
    let (now, regular, view) = found;
    let clone = file
        .try_clone()
        .map_err(|source| Error::io("open", path, source))?;
    let store = ReadOnlyStore::new(clone, path, now.page_size())?;
    let read = |page, bytes: &mut [u8]| {
        store.read(page, 0, bytes).map_err(|cause| Error::Store {
            operation: format!("reading page {page}"),
            cause,
        })
    };
    let source = Source {
        protected: view.as_ref().map_or(&now, View::pager),
        generation: view
            .as_ref()
            .map_or(now.committed().generation, View::generation),
        uuid: uuid_of(&now)?,
        page_count: now.committed().page_count,
        regular,
        read: &read,
    };
    f(&source, &file)
}

/// Brings a copy up to date, or makes it.
pub(crate) fn to_copy(
    runtime: &Arc<Runtime>,
    source: &Source<'_>,
    rights: Option<&File>,
    copy: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Backup, Error> {
    if copy.symlink_metadata().is_err() {
        let (locked, unpublished) = Unpublished::create_private(copy)?;
        let done = anew(runtime, source, rights, locked, copy, progress)?;
        unpublished.publish()?;
        return Ok(done);
    }
    let locked = Locked::open(copy, true)?;
    let page_size = source.protected.page_size();
    let mut to = Pager::open(
        runtime,
        runtime.sandbox()?,
        Box::new(MmapStore::new(locked, copy, page_size)?),
        Access::Write,
    )?;
    expect_same_file(source, &to, copy)?;
    if as_runs(&to)? == spans(&source.regular)
        && let Some(done) = update(source, &mut to, progress)?
    {
        return Ok(done);
    }
    // It stays locked, and what it is, until the new one takes its name.
    let (locked, unpublished) = Unpublished::replacement(copy)?;
    let done = anew(runtime, source, rights, locked, copy, progress)?;
    unpublished.replace()?;
    Ok(done)
}

/// That a copy is one of this file, and not of a later state.
fn expect_same_file(source: &Source<'_>, copy: &Pager, path: &Path) -> Result<(), Error> {
    let path = || path.to_owned();
    if copy.uuid()? != Some(source.uuid) {
        return Err(Error::NotACopy { path: path() });
    }
    let snapshots = copy.snapshots()?;
    let generation = snapshots.iter().filter_map(|it| marked(&it.name)).max();
    match generation {
        Some(generation) if generation > source.generation => Err(Error::CopyIsAhead {
            path: path(),
            generation,
            source_generation: source.generation,
        }),
        _ => Ok(()),
    }
}

/// The generation that a snapshot of a copy marks.
fn marked(name: &str) -> Option<u64> {
    name.strip_prefix(MARK)?.parse().ok()
}

/// Marks the generation that a copy holds, and forgets what it held before.
fn mark(to: &mut Pager, generation: u64) -> Result<(), Error> {
    let name = format!("{MARK}{generation}");
    let before = to.snapshots()?;
    let is_marked = before.iter().any(|snapshot| snapshot.name == name);
    if !is_marked {
        to.create_snapshot(&name)?;
    }
    for snapshot in before {
        if marked(&snapshot.name).is_some_and(|other| other != generation) {
            to.delete_snapshot(&snapshot.name)?;
        }
    }
    Ok(())
}

/// A whole copy in a file that has no name yet.
fn anew(
    runtime: &Arc<Runtime>,
    source: &Source<'_>,
    rights: Option<&File>,
    copy: Locked,
    path: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Backup, Error> {
    if let Some(file) = rights {
        os::keep_rights(file, copy.file()).map_err(|error| Error::io("copy to", path, error))?;
    }
    let from = source.protected;
    let store = MmapStore::new(copy, path, from.page_size())?;
    let new = NewFile {
        format: Format::One,
        page_count: source.page_count,
    };
    let sandbox = runtime.sandbox()?;
    let regular = &source.regular;
    let new = new.numbered(source.uuid);
    let mut to = Pager::create_numbered(runtime, sandbox, Box::new(store), new, regular)?;
    let protected = from.protected_count()?;
    let regular_pages: u64 = regular.iter().map(|run| run.count).sum();
    let total = protected + regular_pages;
    let mut done = 0;
    let mut advance = |pages: usize| {
        done += pages as u64;
        progress(done, total);
    };
    let mut bytes = vec![0; from.page_size().bytes()];
    for page in source.regular_pages() {
        (source.read)(page, &mut bytes)?;
        // The new page is zeros already.
        if bytes != from.zeros() {
            to.write(PageId::new(page), 0, &bytes)?;
        }
        advance(1);
    }
    to.sync()?;
    copy_protected(from, &mut to, Format::One, &mut advance)?;
    mark(&mut to, source.generation)?;
    Ok(Backup {
        page_size: from.page_size().bytes(),
        generation: source.generation,
        is_new: true,
        pages: total,
        written_pages: total,
        freed_pages: 0,
    })
}

/// Brings a copy with the same regular pages up to date; none: that is too much
/// for a transaction.
fn update(
    source: &Source<'_>,
    to: &mut Pager,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Option<Backup>, Error> {
    let from = source.protected;
    let differing = Differing::of(from, to).collect::<Result<Vec<_>, _>>()?;
    let len = from.page_size().bytes();
    if differing.len().saturating_mul(len) > to.staged_max().min(AT_ONCE_MAX) {
        return Ok(None);
    }
    let (mut one, mut other) = (vec![0; len], vec![0; len]);
    let regular: u64 = source.regular.iter().map(|run| run.count).sum();
    let total = regular + differing.len() as u64;
    let (mut done, mut written, mut freed) = (0, 0, 0);
    let mut advance = || {
        done += 1;
        progress(done, total);
    };
    let mut tx = to.begin()?;
    let new = differing.iter().filter(|it| it.is_new).map(|it| it.id);
    tx.claim_protected(&new.collect::<Vec<_>>())?;
    for &Difference {
        id,
        is_there,
        is_new,
    } in &differing
    {
        if is_there {
            from.read_protected(id, 0, &mut one)?;
            // A new page is zeros already.
            if !is_new || one != from.zeros() {
                tx.replace(id, &one)?;
                written += 1;
            }
        } else {
            tx.free_protected(id)?;
            freed += 1;
        }
        advance();
    }
    // Those are changed in place: last, so that little time passes until the commit.
    let tx = tx.suspend();
    for page in source.regular_pages() {
        (source.read)(page, &mut one)?;
        to.read(PageId::new(page), 0, &mut other)?;
        if one != other {
            to.write(PageId::new(page), 0, &one)?;
            written += 1;
        }
        advance();
    }
    match to.resume(tx)?.commit() {
        // Its one sync is after all that was written.
        Ok(_) => {}
        Err(Error::Full(_)) => return Ok(None),
        Err(error) => return Err(error),
    }
    to.sync()?;
    mark(to, source.generation)?;
    let protected = from.protected_count()?;
    Ok(Some(Backup {
        page_size: len,
        generation: source.generation,
        is_new: false,
        pages: regular + protected,
        written_pages: written,
        freed_pages: freed,
    }))
}

/// Bytes that one transaction of a copy is given at most: they are in memory.
const AT_ONCE_MAX: usize = 1 << 30;

/// The regular pages of a file, as a list of spans.
fn as_runs(pager: &Pager) -> Result<Vec<(u64, u64)>, Error> {
    Ok(spans(&runs(pager)?))
}

fn spans(runs: &[Extent]) -> Vec<(u64, u64)> {
    runs.iter().map(|run| (run.first, run.count)).collect()
}

/// A protected page that two files have otherwise.
#[derive(Clone, Copy, Debug)]
struct Difference {
    id: ProtectedId,
    /// Whether the first file has it, and only that.
    is_there: bool,
    is_new: bool,
}

/// The protected pages that two files have otherwise, by their checksums.
struct Differing<I: Iterator> {
    first: std::iter::Peekable<I>,
    second: std::iter::Peekable<I>,
}

impl<'p> Differing<crate::ProtectedPages<'p>> {
    fn of(first: &'p Pager, second: &'p Pager) -> Self {
        Self {
            first: first.protected_pages().peekable(),
            second: second.protected_pages().peekable(),
        }
    }
}

impl Iterator for Differing<crate::ProtectedPages<'_>> {
    type Item = Result<Difference, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Self { first, second } = self;
        loop {
            let ids = [&mut *first, &mut *second].map(|pages| match pages.peek() {
                Some(Ok(page)) => Some(page.id),
                _ => None,
            });
            // An error is the end.
            for pages in [&mut *first, &mut *second] {
                if let Some(Err(error)) = pages.next_if(Result::is_err) {
                    return Some(Err(error));
                }
            }
            let id = ids.into_iter().flatten().min()?;
            let one = first.next_if(|page| page.as_ref().is_ok_and(|page| page.id == id));
            let other = second.next_if(|page| page.as_ref().is_ok_and(|page| page.id == id));
            let checksums = [&one, &other]
                .map(|page| page.as_ref().and_then(|page| page.as_ref().ok()))
                .map(|page| page.map(|page| page.checksum));
            if checksums[0] != checksums[1] {
                return Some(Ok(Difference {
                    id,
                    is_there: one.is_some(),
                    is_new: other.is_none(),
                }));
            }
        }
    }
}

impl Pager {
    /// Backs up the committed state to `copy`: makes it, or brings it up to date.
    /// What was deferred becomes durable first. The pager can be used for nothing
    /// else meanwhile; [`Engine::backup`](crate::Engine::backup) can from a
    /// [snapshot](Self::create_snapshot).
    ///
    /// # Errors
    /// As [`Engine::backup`](crate::Engine::backup); [`Error::ReadOnly`].
    pub fn backup(
        &mut self,
        copy: impl AsRef<Path>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Backup, Error> {
        self.sync()?;
        let view = self.view()?;
        let this = &*self;
        let read = |page, bytes: &mut [u8]| this.read(PageId::new(page), 0, bytes);
        let source = Source {
            protected: view.pager(),
            generation: view.generation(),
            uuid: uuid_of(this)?,
            page_count: this.committed().page_count,
            regular: runs(this)?,
            read: &read,
        };
        let copy = copy.as_ref();
        // Who may read the file is not known here: its owner alone gets the copy.
        to_copy(this.runtime(), &source, None, copy, &mut progress)
    }
}
