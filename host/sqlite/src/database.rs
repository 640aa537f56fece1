//! [`Database`]: what SQLite takes for a file, as pages of a pager.
//!
//! The bytes of the file are those of the protected pages 0, 1, 2 and so on, as
//! many as there are. What is written or cut off is pending in a transaction of
//! the pager until SQLite says that it is complete, and seen by who writes: who
//! reads meanwhile has a view of the state before ([`Shown`]), or waits.
//!
//! What becomes of pages is in [`State`]; here is who may do what with it.

use std::fs::{OpenOptions, TryLockError};
use std::path::PathBuf;
use std::sync::{
    Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::Duration;

use pagebox::report::Check;
use pagebox::{Access, Error};

use crate::code;
use crate::failure::{Failure, Result, retryable};
use crate::locks::{Level, Readers};
use crate::names::{Known, identity, io_error, is_empty, is_locked};
use crate::options::Options;
use crate::seat::{IN_VAIN, Seat, Table};
use crate::shown::{Shown, Still};
use crate::state::{self, Change, Debt, Health, State};

/// How long one who means to read waits for a writer that is done and is about to say
/// so. One that locks exclusively never does.
const END: Duration = Duration::from_millis(50);

/// A database, that all connections of a process to it share.
pub(crate) struct Database {
    path: PathBuf,
    access: Access,
    /// That of its pager, or of the snapshot that it shows.
    file: Known,
    /// What it shows; none: the committed state.
    snapshot: Option<String>,
    table: Mutex<Table>,
    /// Somebody has ended to write.
    ended: Condvar,
    /// Locked before `table`, where both are.
    state: RwLock<State>,
}

impl Database {
    pub(crate) fn new(path: PathBuf, access: Access, snapshot: Option<String>) -> Self {
        let file = Known::default();
        Self {
            path,
            access,
            file: file.clone(),
            snapshot,
            table: Mutex::default(),
            ended: Condvar::new(),
            state: RwLock::new(State {
                file,
                ..State::default()
            }),
        }
    }

    /// Whether its name is another file's by now, or nobody's: who has it open
    /// goes on with the file that it was, and nobody else is to.
    pub(crate) fn is_replaced(&self) -> bool {
        let file = self.file.get();
        file.is_some_and(|it| identity(&self.path) != Some(it))
    }

    /// What may be done with it.
    pub(crate) fn access(&self) -> Access {
        self.access
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic in here poisons a lock, and never leaves half of a change: what
    /// is pending was taken out, and is gone.
    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection to a higher level. It may have company: others that have the
    /// database open.
    pub(crate) fn lock(
        &self,
        options: &Options,
        seat: &mut Seat,
        wish: Level,
        has_company: bool,
    ) -> Result<()> {
        let before = seat.level;
        if before >= wish {
            return Ok(());
        }
        let prepares = has_company && !seat.keeps;
        if prepares && before > Level::Shared {
            // Some may have come since it began to write.
            self.prepare_for_readers(false);
        }
        self.enter(seat, wish)?;
        let found = match (before, wish) {
            (Level::None, Level::Shared) => self.find(options, seat),
            (_, Level::Reserved | Level::Exclusive) => self.claim(options, seat, before),
            _ => Ok(()),
        };
        if found.is_err() && before < Level::Reserved {
            let mut table = self.table();
            table.locks.unlock(seat.id, &mut seat.level, before);
            if before == Level::Shared {
                // As it found them.
                table.is_over = false;
                seat.turn_to(table.shown.clone());
            } else {
                table.count_keeper(seat, false);
            }
        } else if prepares && (before, wish) == (Level::Shared, Level::Reserved) {
            self.prepare_for_readers(true);
        }
        found
    }

    /// Takes the lock, among the connections of the process.
    fn enter(&self, seat: &mut Seat, wish: Level) -> Result<()> {
        let mut table = self.table();
        let before = seat.level;
        if before == Level::None && table.is_over {
            let waited = self
                .ended
                .wait_timeout_while(table, END, |table| table.is_over);
            table = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if before == Level::Shared && wish > before && !seat.shown.is(&table.shown) {
            return Err(Failure::Overtaken);
        }
        // Rolling a journal back, before which nobody is to read.
        let is_rolling_back = (before, wish) == (Level::Shared, Level::Exclusive);
        let readers = match table.readers() {
            Readers::OnViews if is_rolling_back => Readers::OnPages,
            readers => readers,
        };
        let Table { locks, shown, .. } = &mut *table;
        locks.lock(seat.id, &mut seat.level, wish, readers)?;
        // Who writes reads what is pending.
        seat.turn_to(match wish {
            Level::Shared => shown.clone(),
            _ => Shown::default(),
        });
        table.is_over |= is_rolling_back;
        table.count_keeper(seat, true);
        Ok(())
    }

    /// Keeps the state as it is for those that read while this connection writes, and
    /// where it begins to, for those that are expected.
    fn prepare_for_readers(&self, begins: bool) {
        let shown = {
            let mut table = self.table();
            let are_expected = begins && table.expected.at_writer();
            let are_there = are_expected || table.locks.has_other_readers();
            are_there.then(|| table.shown.clone())
        };
        let Some(shown) = shown.filter(|it| it.still().is_none()) else {
            return;
        };
        // Whoever reads pages is done with that first.
        let state = self.state_mut();
        if let Some(still) = state.still() {
            shown.keep(still);
        }
    }

    /// Has the pager opened again where it has to be, which no view may outlive: one
    /// that nobody reads is dropped.
    fn mend(&self, state: &mut State) -> Result<()> {
        if state.health == Health::Broken {
            let mut table = self.table();
            if table.shown.is_unread() {
                table.shown = Shown::default();
            }
        }
        state.mend()
    }

    /// Takes a connection to a lower level. What it left unfinished is dropped.
    pub(crate) fn unlock(&self, seat: &mut Seat, wish: Level) {
        let ends = seat.level > Level::Shared && wish <= Level::Shared;
        let mut is_as_before = false;
        if ends {
            let mut state = self.state_mut();
            state.drop_pending(&self.path);
            state.placeholder = None;
            is_as_before = state.health == Health::Sound && seat.began == Some(state.generation);
        }
        let mut table = self.table();
        if ends {
            // Without a view nobody has read beside it: who does now reads the pages.
            if !is_as_before && table.shown.still().is_some() {
                table.shown = Shown::default();
            }
            seat.turn_to(table.shown.clone());
            table.is_over = false;
            self.ended.notify_all();
        }
        if seat.level == Level::Shared && wish == Level::None && seat.began.is_none() {
            table.expected.saw_reader();
        }
        table.locks.unlock(seat.id, &mut seat.level, wish);
        if wish == Level::None {
            seat.began = None;
            seat.turn_to(Shown::default());
            table.count_keeper(seat, false);
        }
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

    /// The names of the file's snapshots, oldest first, a line each.
    pub(crate) fn snapshots(&self, options: &Options) -> Result<String> {
        let snapshots = options
            .engine
            .read_with(&self.path, pagebox::Pager::snapshots)?;
        let names: Vec<_> = snapshots.into_iter().map(|it| it.name).collect();
        Ok(names.join("\n"))
    }

    /// Changes the page file, for a connection that is in no transaction that writes.
    pub(crate) fn change(
        &self,
        options: &Options,
        seat: &mut Seat,
        change: Change<'_>,
    ) -> Result<String> {
        let before = seat.level;
        if before > Level::Shared {
            let text = match change {
                Change::Compact => "the file cannot be made shorter within a transaction",
                _ => "a snapshot cannot be changed within a transaction",
            };
            return Err(Error::Other(text.into()).into());
        }
        for wish in [Level::Shared, Level::Reserved] {
            if seat.level < wish {
                let locked = self.lock(options, seat, wish, false);
                if locked.is_err() {
                    self.unlock(seat, before);
                    locked?;
                }
            }
        }
        let done = {
            let mut state = self.state_mut();
            let done = state.change(change);
            // What SQLite sees is as it was: those who read go on to.
            seat.began = Some(state.generation);
            done
        };
        self.unlock(seat, before);
        done
    }

    /// Whether somebody means to write.
    pub(crate) fn is_reserved(&self) -> bool {
        // A pager that may write keeps other processes out.
        // A journal that somebody left says nothing of what a snapshot has.
        self.table().locks.is_reserved()
            || self.snapshot.is_some()
            || self.access == Access::Read && is_locked(&self.path)
    }

    /// Finds the committed state.
    fn find(&self, options: &Options, seat: &Seat) -> Result<()> {
        if seat.still().is_some() {
            return Ok(());
        }
        {
            let state = self.state();
            let is_sound = state.health == Health::Sound;
            if self.access == Access::Write && state.pager.is_some() && is_sound {
                return Ok(());
            }
        }
        let mut state = self.state_mut();
        // Where it is another one afterwards, it is not known which was opened.
        let file = identity(&self.path).filter(|_| options.open.is_none());
        let file = |path| file.filter(|it| identity(path) == Some(*it));
        if let Some(name) = &self.snapshot {
            if seat.still().is_none() {
                let snapshot = options.engine.open_snapshot(&self.path, name)?;
                self.file.set(file(&self.path));
                seat.shown.keep(Still::new(snapshot)?);
            }
            return Ok(());
        }
        self.mend(&mut state)?;
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
        self.file.set(file(&self.path));
        state.measure()
    }

    /// Makes sure that nobody else writes.
    fn claim(&self, options: &Options, seat: &mut Seat, before: Level) -> Result<()> {
        if self.access == Access::Read {
            return Err(Error::ReadOnly.into());
        }
        let mut state = self.state_mut();
        if before <= Level::Shared {
            seat.began = Some(state.generation);
        }
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
    pub(crate) fn size(&self, seat: &Seat) -> Result<u64> {
        if let Some(still) = seat.still() {
            return Ok(still.size());
        }
        let state = self.usable()?;
        // Somebody may have begun to write before that.
        Ok(match seat.still() {
            Some(still) => still.size(),
            None => state.length * state.page_bytes() as u64,
        })
    }

    /// The state, once it can be used.
    fn usable(&self) -> Result<RwLockReadGuard<'_, State>> {
        {
            let state = self.state();
            if state.health == Health::Sound {
                return Ok(state);
            }
        }
        self.mend(&mut self.state_mut())?;
        Ok(self.state())
    }

    /// Reads for a connection that has no lock: SQLite asks so for the size of the pages
    /// when it opens a file. Nothing is kept open for it, and what cannot be read is
    /// said to be missing: SQLite reads it again once it has its lock.
    pub(crate) fn peek(&self, options: &Options, offset: u64, bytes: &mut [u8]) -> Result<()> {
        let mut seat = Seat::default();
        seat.turn_to(self.table().shown.clone());
        if seat.still().is_some() || options.open.is_some() || self.state().pager.is_some() {
            return self.read(&seat, offset, bytes);
        }
        let found = options.engine.read_with(&self.path, |pager| {
            let length = pager.stats()?.protected_pages;
            let page = pager.page_size();
            Ok(state::read(
                page,
                length,
                offset,
                bytes,
                |id, within, part| pager.read_protected(id, within, part),
            ))
        });
        if !matches!(found, Ok(Ok(()))) {
            bytes.fill(0);
            return Err(Failure::Short);
        }
        Ok(())
    }

    /// Reads bytes.
    pub(crate) fn read(&self, seat: &Seat, offset: u64, bytes: &mut [u8]) -> Result<()> {
        if let Some(still) = seat.still() {
            return still.read(offset, bytes);
        }
        {
            let state = self.usable()?;
            // Somebody may have begun to write before that.
            if let Some(still) = seat.still() {
                return still.read(offset, bytes);
            }
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
        self.mend(&mut state)?;
        state.read(offset, bytes)
    }

    /// Lends bytes, for as long as the seat has pages that are not [given
    /// back](Seat::give_back). None: they are to be read.
    pub(crate) fn lend<'a>(&self, seat: &'a mut Seat, offset: u64, len: usize) -> Option<&'a [u8]> {
        if seat.level != Level::Shared || offset + len as u64 > seat.lendable {
            return None;
        }
        if seat.still().is_none() {
            seat.in_vain += 1;
            if seat.in_vain != IN_VAIN {
                return None;
            }
            // Nobody has written since it began to read: who does would have made one,
            // or waited.
            let still = self.state().still()?;
            seat.shown.keep(still);
        }
        let lent = seat.shown.still()?.lend(offset, len)?;
        seat.lent += 1;
        Some(lent)
    }

    /// Writes bytes.
    pub(crate) fn write(&self, options: &Options, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut state = self.state_mut();
        self.mend(&mut state)?;
        if state.pager.is_none() {
            state.create(options, &self.path, bytes.len())?;
        }
        let result = state.write(offset, bytes);
        retryable(state.batch, result)
    }

    /// Cuts the file off, or lengthens it with zeros.
    pub(crate) fn truncate(&self, size: u64) -> Result<()> {
        let mut state = self.state_mut();
        self.mend(&mut state)?;
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
        self.mend(&mut state)?;
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
        self.mend(&mut state)?;
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
        let finished = state.commit(&self.path, is_durable);
        drop(state);
        self.table().is_over = true;
        finished
    }
}
