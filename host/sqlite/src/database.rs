//! [`Database`]: what SQLite takes for a file, as pages of a pager.
//!
//! The bytes of the file are those of the protected pages 0, 1, 2 and so on, as
//! many as there are. What is written or cut off is pending in a transaction of
//! the pager until SQLite says that it is complete, and seen by who reads; only
//! who has SQLite's exclusive lock writes, so nobody else reads meanwhile.
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
use std::fs::{self, File, OpenOptions, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::{io, iter};

use pagebox::report::Check;
use pagebox::{Access, Error, NewFile, PageSize, Pager, ProtectedId, Suspended, Transaction};
use rusqlite::ffi::SQLITE_IOERR;

use crate::code;
use crate::locks::{Busy, Id, Level, Locks};
use crate::options::Options;

/// Why SQLite is not given what it asks for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Somebody else's lock is in the way.
    Busy,
    /// The file ends there; what is missing reads as zeros.
    Short,
    /// The transaction cannot be done and is gone, though what failed might be
    /// tried again.
    Aborted(Error),
    /// Commits that were not durable yet were lost, and connections may have
    /// seen them.
    Lost,
    /// The pager's error.
    Pager(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Pager(error)
    }
}

impl From<Busy> for Failure {
    fn from(_: Busy) -> Self {
        Self::Busy
    }
}

type Result<T, E = Failure> = std::result::Result<T, E>;

/// A database, that all connections of a process to it share.
pub(crate) struct Database {
    path: PathBuf,
    access: Access,
    locks: Mutex<Locks>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    /// None: the file is empty.
    pager: Option<Pager>,
    /// Whether the pager's file has another name yet.
    is_unpublished: bool,
    /// Held while an empty file is being written: nobody else makes one.
    placeholder: Option<File>,
    pending: Option<Suspended>,
    /// Protected pages, as pending, and as committed.
    length: u64,
    committed: u64,
    /// What SQLite said that the length will be.
    hint: u64,
    /// It is in a batch, and whether something was pending before that.
    batch: Option<bool>,
    health: Health,
    can_defer: bool,
    generation: u64,
    debt: Debt,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Health {
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
enum Debt {
    #[default]
    None,
    /// A transaction that SQLite has not done with.
    Complete,
    /// Those that it takes for done.
    Done,
}

impl Database {
    pub(crate) fn new(path: PathBuf, access: Access) -> Self {
        Self {
            path,
            access,
            locks: Mutex::default(),
            state: RwLock::default(),
        }
    }

    /// What may be done with it.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    fn locks(&self) -> MutexGuard<'_, Locks> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic in here poisons a lock, and never leaves half of a change: what
    /// is pending was taken out, and is gone.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection to a higher level.
    pub(crate) fn lock(
        &self,
        options: &Options,
        id: Id,
        level: &mut Level,
        wish: Level,
    ) -> Result<()> {
        let before = *level;
        self.locks().lock(id, level, wish)?;
        let found = match (before, wish) {
            (Level::None, Level::Shared) => self.find(options),
            (_, Level::Reserved | Level::Exclusive) => self.claim(options),
            _ => Ok(()),
        };
        if found.is_err() && before < Level::Reserved {
            self.locks().unlock(id, level, before);
        }
        found
    }

    /// Takes a connection to a lower level. What it left unfinished is dropped.
    pub(crate) fn unlock(&self, id: Id, level: &mut Level, wish: Level) {
        if *level > Level::Shared && wish <= Level::Shared {
            let mut state = self.state_mut();
            state.drop_pending(&self.path);
            state.placeholder = None;
        }
        self.locks().unlock(id, level, wish);
    }

    /// What the pager's own check finds in the file, for people.
    pub(crate) fn check(&self, options: &Options) -> Result<String> {
        let check = Check::of_file(&options.engine, &self.path, |_, _| {})?;
        let findings: Vec<_> = check
            .findings
            .iter()
            .map(|it| it.message.as_str())
            .collect();
        Ok(if findings.is_empty() {
            "ok".into()
        } else {
            findings.join("\n")
        })
    }

    /// Whether somebody means to write.
    pub(crate) fn is_reserved(&self) -> bool {
        // A pager that may write keeps other processes out.
        self.locks().is_reserved() || self.access == Access::Read && is_locked(&self.path)
    }

    /// Finds the committed state.
    fn find(&self, options: &Options) -> Result<()> {
        {
            let state = self.state();
            let is_sound = state.health == Health::Sound;
            if self.access == Access::Write && state.pager.is_some() && is_sound {
                return Ok(());
            }
        }
        let mut state = self.state_mut();
        state.mend()?;
        if let Some(pager) = &mut state.pager {
            if !pager.is_current()? {
                pager.reopen()?;
                state.measure()?;
            }
            return Ok(());
        }
        let opened = match &options.open {
            Some(open) => open(&self.path, self.access)?,
            None if is_empty(&self.path)? => return Ok(()),
            None if self.access == Access::Write => options.engine.open(&self.path)?,
            None => options.engine.open_read_only(&self.path)?,
        };
        state.pager = Some(opened);
        state.measure()
    }

    /// Makes sure that nobody else writes.
    fn claim(&self, options: &Options) -> Result<()> {
        if self.access == Access::Read {
            return Err(Error::ReadOnly.into());
        }
        let mut state = self.state_mut();
        if state.pager.is_some() || state.placeholder.is_some() || options.open.is_some() {
            return Ok(());
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.path)
            .map_err(|source| io_error("open", &self.path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Failure::Busy),
            Err(TryLockError::Error(source)) => {
                return Err(io_error("lock", &self.path, source).into());
            }
        }
        // Whoever made a page file of it meanwhile had that lock before.
        if !is_empty(&self.path)? {
            return Err(Failure::Busy);
        }
        state.placeholder = Some(file);
        Ok(())
    }

    /// Bytes in the file.
    pub(crate) fn size(&self) -> Result<u64> {
        let state = self.usable()?;
        let page = state.pager.as_ref().map_or(0, |it| it.page_size().bytes());
        Ok(state.length * page as u64)
    }

    /// The state, once it can be used.
    fn usable(&self) -> Result<RwLockReadGuard<'_, State>> {
        {
            let state = self.state();
            if state.health == Health::Sound {
                return Ok(state);
            }
        }
        self.state_mut().mend()?;
        Ok(self.state())
    }

    /// Reads bytes.
    pub(crate) fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        {
            let state = self.usable()?;
            if state.pending.is_none() {
                match state.read(offset, bytes) {
                    Err(Failure::Pager(error)) if code::is_down(&error) => {}
                    result => return result,
                }
            }
        }
        let mut state = self.state_mut();
        if state.pending.is_some() {
            return state.read_pending(offset, bytes);
        }
        state.distrust();
        state.mend()?;
        state.read(offset, bytes)
    }

    /// Writes bytes.
    pub(crate) fn write(&self, options: &Options, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut state = self.state_mut();
        state.mend()?;
        if state.pager.is_none() {
            state.create(options, &self.path, bytes.len())?;
        }
        let result = state.write(offset, bytes);
        retryable(state.batch, result)
    }

    /// Cuts the file off, or lengthens it with zeros.
    pub(crate) fn truncate(&self, size: u64) -> Result<()> {
        let mut state = self.state_mut();
        state.mend()?;
        if state.pager.is_none() && size == 0 {
            return Ok(());
        }
        state.truncate(size)
    }

    /// Hears how many bytes the file will have.
    pub(crate) fn expect_size(&self, size: u64) {
        let mut state = self.state_mut();
        if let Some(pager) = &state.pager {
            state.hint = size.div_ceil(pager.page_size().bytes() as u64);
        }
    }

    /// What is written from here to [`commit_batch`](Self::commit_batch) is
    /// committed there.
    pub(crate) fn begin_batch(&self) {
        let mut state = self.state_mut();
        state.batch = Some(state.pending.is_some());
    }

    pub(crate) fn commit_batch(&self) -> Result<()> {
        let mut state = self.state_mut();
        let batch = state.batch.take();
        let result = state.commit(&self.path, true);
        retryable(batch, result)
    }

    /// SQLite gives a batch up, with what was written before it.
    pub(crate) fn roll_batch_back(&self) {
        let mut state = self.state_mut();
        state.drop_pending(&self.path);
    }

    /// Nothing that is kept here is to be believed after a panic.
    pub(crate) fn distrust(&self) {
        self.state_mut().distrust();
    }

    /// All is written: it may be synced next.
    pub(crate) fn complete(&self) -> Result<()> {
        let mut state = self.state_mut();
        state.mend()?;
        let is_durable = state.is_unpublished || !state.can_defer;
        let is_written = state.pending.is_some();
        state.commit(&self.path, is_durable)?;
        if is_written && !is_durable {
            state.debt = state.debt.max(Debt::Complete);
        }
        Ok(())
    }

    /// Makes all durable that is complete.
    pub(crate) fn sync(&self) -> Result<()> {
        let mut state = self.state_mut();
        state.mend()?;
        state.commit(&self.path, true)
    }

    /// SQLite's transaction is done. It may have cut the file off after it was
    /// durable, which need not be.
    pub(crate) fn finish(&self) -> Result<()> {
        let mut state = self.state_mut();
        if state.debt == Debt::Complete {
            state.debt = Debt::Done;
        }
        let is_durable = !state.can_defer;
        state.commit(&self.path, is_durable)
    }
}

impl State {
    /// Nothing is asked of an empty file that would need a pager.
    fn pager(&mut self) -> Result<&mut Pager> {
        self.pager.as_mut().ok_or_else(|| Error::Poisoned.into())
    }

    /// Has the pager opened again before it is used.
    fn distrust(&mut self) {
        if self.health == Health::Sound {
            self.health = Health::Broken;
        }
    }

    /// Opens the pager again where it has to be.
    fn mend(&mut self) -> Result<()> {
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
    fn measure(&mut self) -> Result<()> {
        let stats = self.pager()?.stats()?;
        let mut capabilities = stats.capabilities.iter();
        self.can_defer = capabilities.any(|it| it == "deferred-commits");
        self.generation = stats.generation;
        self.committed = stats.protected_pages;
        self.length = self.committed;
        Ok(())
    }

    /// Makes the pager of an empty file, of which SQLite writes a page first.
    fn create(&mut self, options: &Options, path: &Path, page: usize) -> Result<()> {
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

    fn read_pending(&mut self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let length = self.length;
        let page = self.pager()?.page_size();
        self.pend(|transaction| {
            Ok(read(page, length, offset, bytes, |id, within, part| {
                transaction.read_at(id, within, part)
            }))
        })?
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let Some(pager) = &self.pager else {
            bytes.fill(0);
            return Err(Failure::Short);
        };
        let page = pager.page_size();
        read(page, self.length, offset, bytes, |id, within, part| {
            pager.read_protected(id, within, part)
        })
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
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

    fn truncate(&mut self, size: u64) -> Result<()> {
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
    fn commit(&mut self, path: &Path, is_durable: bool) -> Result<()> {
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
    fn drop_pending(&mut self, path: &Path) {
        self.pending = None;
        self.length = self.committed;
        self.hint = 0;
        self.batch = None;
        if self.is_unpublished {
            self.pager = None;
            (self.length, self.committed) = (0, 0);
            self.is_unpublished = false;
            self.health = Health::Sound;
            // The next who makes one removes it too.
            let _ = remove(&beside(path));
        }
    }
}

/// In a batch SQLite tries again what failed by an error of the system, but not
/// what it had written before that: then there is no other try.
fn retryable<R>(batch: Option<bool>, result: Result<R>) -> Result<R> {
    match result {
        Err(Failure::Pager(error))
            if batch == Some(true) && code::of(&error) & 0xFF == SQLITE_IOERR =>
        {
            Err(Failure::Aborted(error))
        }
        result => result,
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
fn read(
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

/// Where a new file is until it has something in it.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-new");
    name.into()
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", path, error))
        }
        _ => Ok(()),
    }
}

/// Makes the names in the folder of a file durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

/// Whether there is nothing in a file yet.
fn is_empty(path: &Path) -> Result<bool, Error> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(metadata.is_file() && metadata.len() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(io_error("open", path, error)),
    }
}

/// Whether somebody has a file open to write.
fn is_locked(path: &Path) -> bool {
    File::open(path)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn io_error(operation: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io {
        operation,
        path: path.to_owned(),
        source: source.into(),
    }
}
