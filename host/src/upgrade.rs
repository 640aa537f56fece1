//! Upgrades: a page file anew in another format, each page under its number.
//!
//! The sandbox makes the new file around the regular pages; what they hold is
//! copied, and the protected pages are committed one batch after the other.
//! Nobody sees the new file before all of it is durable.

use std::fs::File;
use std::iter::once;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use crate::Error;
use crate::first_pages::page_size;
use crate::format::Format;
use crate::ids::ProtectedId;
use crate::inspect::{Inspector, Severity};
use crate::new_file::NewFile;
use crate::os::{self, Locked};
use crate::pager::{Access, Pager};
use crate::runtime::Runtime;
use crate::store::{MmapStore, ReadOnlyStore};
use crate::unpublished::Unpublished;
use crate::wit::pagebox::pager::page_store::Extent;

/// Bytes of protected pages that are committed together.
const BATCH: usize = 4 << 20;

/// What [`Engine::upgrade`](crate::Engine::upgrade) made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Upgraded {
    /// Regular pages, each under the number that it had.
    pub regular_pages: u64,
    /// Protected pages, each under the id that it had.
    pub protected_pages: u64,
    /// Snapshots of the file, which the copy has not.
    pub snapshots_left: u64,
}

pub(crate) fn upgrade(
    runtime: &Arc<Runtime>,
    path: &Path,
    output: &Path,
    format: Format,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Upgraded, Error> {
    // Nobody writes to the file while it is read.
    let locked = Locked::open(path, false)?;
    let from = open(runtime, &locked, path)?;
    let stats = from.stats()?;
    if format.is_named(&stats.format) {
        return Err(Error::SameFormat(format));
    }
    let snapshots = from.snapshots()?;
    let (copy, unpublished) = Unpublished::create_private(output)?;
    os::keep_rights(locked.file(), copy.file())
        .map_err(|source| Error::io("copy to", output, source))?;
    let store = MmapStore::new(copy, output, from.page_size())?;
    let new = NewFile {
        format,
        page_count: stats.page_count,
    };
    let regular = runs(&from)?;
    let sandbox = runtime.sandbox()?;
    let mut to = Pager::create_around(runtime, sandbox, Box::new(store), new, &regular)
        .map_err(|error| no_place(error, format))?;

    let total = stats.regular_pages + stats.protected_pages;
    let mut done = 0;
    let mut advance = |pages: usize| {
        done += pages as u64;
        progress(done, total);
    };
    copy_regular(&from, &mut to, &mut advance)?;
    copy_protected(&from, &mut to, format, &mut advance)?;
    unpublished.publish()?;
    Ok(Upgraded {
        regular_pages: stats.regular_pages,
        protected_pages: stats.protected_pages,
        snapshots_left: snapshots.len() as u64,
    })
}

/// The file, to be read, if it is sound.
pub(crate) fn open(runtime: &Arc<Runtime>, locked: &Locked, path: &Path) -> Result<Pager, Error> {
    open_file(runtime, locked.file(), path)
}

/// The same of a file that somebody may be writing to.
pub(crate) fn open_file(runtime: &Arc<Runtime>, file: &File, path: &Path) -> Result<Pager, Error> {
    let mut sandbox = runtime.sandbox()?;
    let page_size = page_size(&mut sandbox, file, path)?;
    let file = file.try_clone();
    let file = file.map_err(|source| Error::io("open", path, source))?;
    let store = ReadOnlyStore::new(file, path, page_size)?;
    let mut inspector = Inspector::new(runtime.inspecting()?, Box::new(store.clone()))?;
    let recovery = inspector.summary()?.recovery;
    if recovery.verdict == "damaged" {
        let mut found = inspector.findings(0)?.findings.into_iter();
        let error = found.find(|found| found.severity == Severity::Error);
        return Err(Error::Damaged(
            error.map_or(recovery.explanation, |error| error.message),
        ));
    }
    Pager::open(runtime, sandbox, Box::new(store), Access::Read)
}

/// The regular pages of a file.
pub(crate) fn runs(from: &Pager) -> Result<Vec<Extent>, Error> {
    let mut runs: Vec<Extent> = Vec::new();
    for id in from.regular_pages() {
        let page = id?.get();
        match runs.last_mut() {
            Some(run) if run.first + run.count == page => run.count += 1,
            _ => runs.push(Extent {
                first: page,
                count: 1,
            }),
        }
    }
    Ok(runs)
}

/// Why a file cannot be made around regular pages.
fn no_place(error: Error, format: Format) -> Error {
    let (page, reason) = match error {
        Error::NotRegular { page, kind } => (page, format!("there it is the file's own, {kind}")),
        Error::OutOfRange(page) => (page, "no file of that has so many pages".into()),
        error => return error,
    };
    Error::NoPlace {
        page: page.get(),
        is_protected: false,
        format,
        reason,
    }
}

fn copy_regular(from: &Pager, to: &mut Pager, advance: &mut dyn FnMut(usize)) -> Result<(), Error> {
    let mut bytes = vec![0; from.page_size().bytes()];
    for id in from.regular_pages() {
        let id = id?;
        from.read(id, 0, &mut bytes)?;
        // The new page is zeros already.
        if bytes != from.zeros() {
            to.write(id, 0, &bytes)?;
        }
        advance(1);
    }
    to.sync()
}

/// Copies protected pages to a file that has none, in commits.
pub(crate) fn copy_protected(
    from: &Pager,
    to: &mut Pager,
    format: Format,
    advance: &mut dyn FnMut(usize),
) -> Result<(), Error> {
    let ids = || from.protected_pages().map(|page| page.map(|page| page.id));
    let limit = to.stats()?.protected_limit;
    let mut highest = None;
    for id in ids() {
        let id = id?;
        if id.get() >= limit {
            return Err(Error::NoPlace {
                page: id.get(),
                is_protected: true,
                format,
                reason: format!("the ids there end at {limit}"),
            });
        }
        highest = Some(id);
    }
    let Some(highest) = highest else {
        return Ok(());
    };
    // What a format keeps for all ids below the highest has its place before
    // the last pages are taken.
    let rest = ids().filter(|id| !matches!(id, Ok(id) if *id == highest));
    let mut ids = once(Ok(highest)).chain(rest);
    let size = (BATCH.min(to.staged_max()) / from.page_size().bytes()).max(1);
    loop {
        let batch = ids.by_ref().take(size).collect::<Result<Vec<_>, _>>()?;
        if batch.is_empty() {
            return Ok(());
        }
        commit(from, to, &batch)?;
        advance(batch.len());
    }
}

/// Commits protected pages as they are in another file.
fn commit(from: &Pager, to: &mut Pager, ids: &[ProtectedId]) -> Result<(), Error> {
    let mut bytes = vec![0; from.page_size().bytes()];
    let mut tx = to.begin()?;
    tx.claim_protected(ids)?;
    for &id in ids {
        match from.read_protected(id, 0, &mut bytes) {
            Ok(()) if bytes == from.zeros() => {}
            Ok(()) => tx.replace(id, &bytes)?,
            // Another program allocated it, and never made its bytes durable.
            Err(Error::ChecksumMismatch { unproven: true, .. }) => {}
            Err(error @ Error::ChecksumMismatch { .. }) => {
                return Err(Error::Damaged(error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    tx.commit().map(drop)
}
