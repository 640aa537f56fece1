//! [`State`]: the pages of a database, committed and pending.
//!
//! 1. All that is pending is one transaction, and becomes durable at once.
//! 2. A commit that fails leaves nothing pending. SQLite does all of it again, or
//!    rolls it back.
//! 3. Where the pager has to be opened again, that is done before the next read
//!    or write: so what SQLite reads then is a state that was committed.
//! 4. A database that was never written is an empty file, as with SQLite's own
//!    VFS. Its pager is made when the size of its pages is known, with the first
//!    write, in a file beside it, which takes its name once it holds a commit.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::iter;
use std::ops::Range;
use std::path::Path;

use pagebox::{Error, NewFile, Obstacle, PageSize, Pager, ProtectedId, Suspended, Transaction};

use crate::code;
use crate::failure::{Failure, Result};
use crate::names::{Known, beside, identity, io_error, remove, sync_folder};
use crate::options::Options;
use crate::shown::Still;

/// The pager of a database, and what is pending.
#[derive(Default)]
pub(crate) struct State {
    /// None: the file is empty.
    pub(crate) pager: Option<Pager>,
    /// Whether the pager's file has another name yet.
    pub(crate) is_unpublished: bool,
    /// Held while an empty file is being written: nobody else makes one.
    pub(crate) placeholder: Option<File>,
    /// The file of the pager.
    pub(crate) file: Known,
    pub(crate) pending: Option<Suspended>,
    /// Protected pages, as pending, and as committed.
    pub(crate) length: u64,
    pub(crate) committed: u64,
    /// What SQLite said that the length will be.
    pub(crate) hint: u64,
    /// It is in a batch, and whether something was pending before that.
    pub(crate) batch: Option<bool>,
    pub(crate) health: Health,
    pub(crate) can_defer: bool,
    pub(crate) generation: u64,
    pub(crate) debt: Debt,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Health {
    #[default]
    Sound,
    /// The pager has to be opened again.
    Broken,
    /// Commits that SQLite took for done are gone, and a connection may keep what
    /// it read of them: it would not see that others take their place.
    Lost,
}

/// What is committed and not durable, but for a file that was only cut off.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Debt {
    #[default]
    None,
    /// A transaction that SQLite has not done with.
    Complete,
    /// Those that it takes for done.
    Done,
}

/// What a pragma changes of the page file, and of nothing that SQLite sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// Makes the snapshot of this name.
    Create(&'a str),
    /// Deletes it.
    Delete(&'a str),
    /// Makes the file as short as can be.
    Compact,
}

impl<'a> Change<'a> {
    /// What a pragma asks for, with its value.
    pub(crate) fn of(pragma: &str, value: Option<&'a str>) -> Option<Self> {
        match (pragma, value) {
            ("pagebox_snapshot", Some(name)) => Some(Self::Create(name)),
            ("pagebox_delete_snapshot", Some(name)) => Some(Self::Delete(name)),
            ("pagebox_compact", None) => Some(Self::Compact),
            _ => None,
        }
    }
}

impl State {
    /// Nothing is asked of an empty file that would need a pager.
    fn pager(&mut self) -> Result<&mut Pager> {
        self.pager.as_mut().ok_or_else(|| Error::Poisoned.into())
    }

    /// Has the pager opened again before it is used.
    pub(crate) fn distrust(&mut self) {
        if self.health == Health::Sound {
            self.health = Health::Broken;
        }
    }

    /// Opens the pager again where it has to be.
    pub(crate) fn mend(&mut self) -> Result<()> {
        if self.health == Health::Broken {
            let before = self.generation;
            self.pager()?.reopen()?;
            self.pending = None;
            self.measure()?;
            let is_lost = self.debt == Debt::Done && self.generation < before;
            self.debt = Debt::None;
            self.health = if is_lost { Health::Lost } else { Health::Sound };
        }
        match self.health {
            Health::Lost => Err(Failure::Lost),
            _ => Ok(()),
        }
    }

    /// Finds out how long the committed file is, and what can be done with it.
    pub(crate) fn measure(&mut self) -> Result<()> {
        let stats = self.pager()?.stats()?;
        let mut capabilities = stats.capabilities.iter();
        self.can_defer = capabilities.any(|it| it == "deferred-commits");
        self.generation = stats.generation;
        self.committed = stats.protected_pages;
        self.length = self.committed;
        Ok(())
    }

    /// The committed state as one that stays; none where it cannot be had: the format
    /// or the store has no views, or the pager is down.
    pub(crate) fn still(&self) -> Option<Still> {
        let is_sound = self.health == Health::Sound && self.pending.is_none();
        let pager = self.pager.as_ref().filter(|_| is_sound)?;
        pager.view().ok().and_then(|view| Still::new(view).ok())
    }

    /// Bytes in a page; 0 where there is none.
    pub(crate) fn page_bytes(&self) -> usize {
        let pager = self.pager.as_ref();
        pager.map_or(0, |pager| pager.page_size().bytes())
    }

    /// Changes the page file: what there is to be said of it.
    pub(crate) fn change(&mut self, change: Change<'_>) -> Result<String> {
        self.mend()?;
        let Some(pager) = &mut self.pager else {
            return Err(Error::Other("the database is empty".into()).into());
        };
        match done(pager, change) {
            Ok((generation, answer)) => {
                self.generation = self.generation.max(generation);
                // What was deferred is durable with it.
                self.debt = Debt::None;
                Ok(answer)
            }
            Err(error) => {
                if code::asks_to_reopen(&error) {
                    self.distrust();
                }
                Err(error.into())
            }
        }
    }

    /// Makes the pager of an empty file, of which SQLite writes a page first.
    pub(crate) fn create(&mut self, options: &Options, path: &Path, page: usize) -> Result<()> {
        // SQLite has smaller pages than a pager.
        let size = u32::try_from(page)
            .ok()
            .and_then(|page| PageSize::from_bytes(page.max(PageSize::KIB_1.bytes_u32())).ok())
            .ok_or_else(|| Error::Other(format!("no page has {page} bytes")))?;
        let beside = beside(path);
        remove(&beside)?;
        let new = NewFile {
            format: options.format,
            page_count: 0,
        };
        self.pager = Some(options.engine.create_with(&beside, size, new)?);
        self.is_unpublished = true;
        let rights = fs::metadata(path).map(|metadata| metadata.permissions());
        rights
            .and_then(|rights| fs::set_permissions(&beside, rights))
            .map_err(|source| io_error("set the rights of", &beside, source))?;
        self.measure()
    }

    /// Gives a new file its name.
    fn publish(&mut self, path: &Path) -> Result<()> {
        let beside = beside(path);
        self.file.set(identity(&beside));
        fs::rename(&beside, path)
            .and_then(|()| sync_folder(path))
            .map_err(|source| io_error("name", &beside, source))?;
        self.is_unpublished = false;
        Ok(())
    }

    /// Does something in the transaction that is pending, which an error does
    /// not end.
    fn pend<R>(&mut self, f: impl FnOnce(&mut Transaction<'_>) -> Result<R, Error>) -> Result<R> {
        let pending = match self.pending.take() {
            Some(pending) => pending,
            None => self.begin()?,
        };
        let mut transaction = self.pager()?.resume(pending)?;
        let result = f(&mut transaction);
        self.pending = Some(transaction.suspend());
        Ok(result?)
    }

    /// Begins a transaction. A pager may be down since its last commit, which was
    /// durable, so that nobody was told.
    fn begin(&mut self) -> Result<Suspended> {
        match self.pager()?.begin() {
            Ok(transaction) => return Ok(transaction.suspend()),
            Err(error) if code::is_down(&error) => {}
            Err(error) => return Err(error.into()),
        }
        self.distrust();
        self.mend()?;
        Ok(self.pager()?.begin()?.suspend())
    }

    pub(crate) fn read_pending(&mut self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let length = self.length;
        let page = self.pager()?.page_size();
        self.pend(|transaction| {
            Ok(read(page, length, offset, bytes, |id, within, part| {
                transaction.read_at(id, within, part)
            }))
        })?
    }

    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let Some(pager) = &self.pager else {
            bytes.fill(0);
            return Err(Failure::Short);
        };
        let page = pager.page_size();
        read(page, self.length, offset, bytes, |id, within, part| {
            pager.read_protected(id, within, part)
        })
    }

    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        let page = self.pager()?.page_size();
        let end = (offset + bytes.len() as u64).div_ceil(page.bytes() as u64);
        if end > self.length {
            self.resize(end.max(self.hint))?;
        }
        // Rolling a journal back writes what was there. Where that is there still,
        // because what it undoes was never committed, it takes no room: a full
        // medium must not stand in its way.
        let may_be_there = self.batch.is_none();
        let mut now = vec![0; if may_be_there { page.bytes() } else { 0 }];
        self.pend(|transaction| {
            for (id, within, part) in parts(page, offset, bytes.len()) {
                let bytes = &bytes[part];
                let now = &mut now[..if may_be_there { bytes.len() } else { 0 }];
                if may_be_there && transaction.read_at(id, within, now).is_ok() && now == bytes {
                    continue;
                }
                if bytes.len() == page.bytes() {
                    transaction.replace(id, bytes)?;
                } else {
                    transaction.write(id)?[within..within + bytes.len()].copy_from_slice(bytes);
                }
            }
            Ok(())
        })
    }

    pub(crate) fn truncate(&mut self, size: u64) -> Result<()> {
        let page = self.pager()?.page_size();
        self.resize(size.div_ceil(page.bytes() as u64))
    }

    /// Makes it so many pages.
    fn resize(&mut self, length: u64) -> Result<()> {
        let ids = |range: Range<u64>| range.map(ProtectedId::new).collect::<Vec<_>>();
        let now = self.length;
        match length.cmp(&now) {
            Ordering::Less => self.pend(|it| it.free_protected_many(&ids(length..now)))?,
            Ordering::Equal => {}
            Ordering::Greater => self.pend(|it| it.claim_protected(&ids(now..length)))?,
        }
        self.length = length;
        Ok(())
    }

    /// Commits what is pending, and syncs what was not synced before.
    pub(crate) fn commit(&mut self, path: &Path, is_durable: bool) -> Result<()> {
        let result = self.try_commit(is_durable);
        if let Err(Failure::Pager(error)) = &result {
            if code::asks_to_reopen(error) {
                self.distrust();
            }
            self.drop_pending(path);
        } else if result.is_ok() && self.is_unpublished && self.committed > 0 {
            let published = self.publish(path);
            if published.is_err() {
                self.drop_pending(path);
            }
            return published;
        }
        result
    }

    fn try_commit(&mut self, is_durable: bool) -> Result<()> {
        self.hint = 0;
        if let Some(pending) = self.pending.take() {
            let transaction = self.pager()?.resume(pending)?;
            let info = if is_durable {
                transaction.commit()?
            } else {
                transaction.commit_deferred()?
            };
            self.generation = info.generation;
            self.committed = self.length;
        } else if is_durable && self.debt > Debt::None {
            self.pager()?.sync()?;
        }
        if is_durable {
            self.debt = Debt::None;
        }
        Ok(())
    }

    /// Drops what is pending, and a file that nothing was committed to.
    pub(crate) fn drop_pending(&mut self, path: &Path) {
        self.pending = None;
        self.length = self.committed;
        self.hint = 0;
        self.batch = None;
        if self.is_unpublished {
            self.pager = None;
            self.file.set(None);
            (self.length, self.committed) = (0, 0);
            self.is_unpublished = false;
            self.health = Health::Sound;
            // The next who makes one removes it too.
            let _ = remove(&beside(path));
        }
    }
}

/// The parts of pages that so many bytes from an offset on are in: each with
/// where it begins in its page, and which of the bytes it is.
fn parts(
    page: PageSize,
    offset: u64,
    len: usize,
) -> impl Iterator<Item = (ProtectedId, usize, Range<usize>)> {
    let page = page.bytes();
    let mut done = 0;
    iter::from_fn(move || {
        let at = offset + done as u64;
        // Less than a page.
        let within = usize::try_from(at % page as u64).unwrap_or_default();
        let part = done..len.min(done + page - within);
        let id = ProtectedId::new(at / page as u64);
        done = part.end;
        (!part.is_empty()).then_some((id, within, part))
    })
}

/// Reads bytes of a file of so many pages.
pub(crate) fn read(
    page: PageSize,
    length: u64,
    offset: u64,
    bytes: &mut [u8],
    mut read: impl FnMut(ProtectedId, usize, &mut [u8]) -> Result<(), Error>,
) -> Result<()> {
    let there = (length * page.bytes() as u64).saturating_sub(offset);
    let len = usize::try_from(there).map_or(bytes.len(), |there| there.min(bytes.len()));
    let (bytes, missing) = bytes.split_at_mut(len);
    for (id, within, part) in parts(page, offset, len) {
        read(id, within, &mut bytes[part])?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    missing.fill(0);
    Err(Failure::Short)
}

/// Makes a change: the generation that is committed then, and what is answered.
fn done(pager: &mut Pager, change: Change<'_>) -> Result<(u64, String), Error> {
    let answer = match change {
        Change::Create(name) => {
            pager.create_snapshot(name)?;
            name.to_owned()
        }
        Change::Delete(name) => {
            pager.delete_snapshot(name)?;
            name.to_owned()
        }
        Change::Compact => {
            let before = pager.stats()?.page_count;
            let done = pager.compact(0)?;
            let freed = before.saturating_sub(done.page_count);
            let text = format!("{freed} pages given back, {} left", done.page_count);
            match done.obstacle {
                None | Some(Obstacle::Contents) => text,
                Some(obstacle) => format!("{text}: {obstacle}"),
            }
        }
    };
    Ok((pager.stats()?.generation, answer))
}
