//! [`Engine`]: the front door. It finds the file, and hands it to a pager, an
//! inspector or whoever copies or mends it.

use std::path::Path;
use std::sync::Arc;

use pagebox_store::PageSize;
use wasmtime::component::Component;

use crate::address::{self, expect_file, is_address};
use crate::copy::Copied;
use crate::first_pages::page_size;
use crate::format::Format;
use crate::inspect::Inspector;
use crate::limits::Limits;
use crate::new_file::NewFile;
use crate::os::{self, Locked};
use crate::pager::{Access, Pager};
use crate::repair::RepairAction;
use crate::runtime::Runtime;
use crate::steady::{Attempt, steadily};
use crate::store::{MmapStore, ReadOnlyStore};
use crate::unpublished::Unpublished;
use crate::upgrade::Upgraded;
use crate::view::View;
use crate::{Backup, Error, Store, backup, copy, repair, transfer, upgrade};

/// The component, compiled and linked. Cheap to clone; every pager and
/// inspector runs in an instance of its own.
///
/// It belongs to the process that made it, and is of no use in a child that was
/// forked since: its clock runs in the parent only. The child makes its own.
///
/// ```
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// let engine = pagebox::Engine::new()?;
/// let mut pager = engine.create(&path, pagebox::PageSize::KIB_4)?;
/// let id = pager.alloc()?;
/// // Others may look at a file that is open to be changed; it is locked only
/// // against those who would change it too.
/// let mut bytes = [1; 8];
/// engine.open_read_only(&path)?.read(id, 0, &mut bytes)?;
/// assert_eq!(bytes, [0; 8]);
/// assert!(matches!(engine.open(&path), Err(pagebox::Error::Locked { .. })));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Engine(Arc<Runtime>);

impl Engine {
    /// The embedded component, within the default [`Limits`].
    ///
    /// # Errors
    /// [`Error::Sandbox`] where this machine cannot run it.
    pub fn new() -> Result<Self, Error> {
        Self::with_limits(Limits::default())
    }

    /// The embedded component, within `limits`.
    ///
    /// # Errors
    /// As [`new`](Self::new), and [`Error::Other`] for a [`Limits::time`] of
    /// zero.
    pub fn with_limits(limits: Limits) -> Result<Self, Error> {
        Runtime::embedded(limits).map(Self)
    }

    /// Another component that exports the same, compiled here and now.
    ///
    /// # Errors
    /// [`Error::Sandbox`] if it is no such component.
    #[cfg(feature = "compile")]
    pub fn with_component(wasm: &[u8], limits: Limits) -> Result<Self, Error> {
        Runtime::given(wasm, limits).map(Self)
    }

    /// Makes a page file of [format 1](crate::Format::One) and opens it to write.
    /// After a crash in here there is no file of that name, or the whole of it.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Store`], [`Error::Io`].
    pub fn create(&self, path: impl AsRef<Path>, page_size: PageSize) -> Result<Pager, Error> {
        self.create_with(path, page_size, NewFile::default())
    }

    /// The same of a format of the caller's choice, and with room for at least
    /// so many pages; of format 1 where `new` is a number of pages.
    ///
    /// ```
    /// # fn main() -> Result<(), pagebox::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("data.pages");
    /// use pagebox::{Engine, Format, NewFile, PageSize};
    ///
    /// // One for `mappedpages` 0.2 to open.
    /// let new = NewFile { format: Format::Zero, page_count: 1000 };
    /// let pager = Engine::new()?.create_with(&path, PageSize::KIB_4, new)?;
    /// assert_eq!(pager.stats()?.format, "0.2");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create), and [`Error::Full`].
    pub fn create_with(
        &self,
        path: impl AsRef<Path>,
        page_size: PageSize,
        new: impl Into<NewFile>,
    ) -> Result<Pager, Error> {
        let path = path.as_ref();
        if is_address(path) {
            let store = address::create(path, page_size)?;
            return Pager::create(&self.0, self.0.sandbox()?, store, new.into());
        }
        let (file, unpublished) = Unpublished::create(path)?;
        let store = MmapStore::new(file, path, page_size)?;
        let pager = self.create_store(store, new)?;
        unpublished.publish()?;
        Ok(pager)
    }

    /// Opens a page file to change it, and locks it. Its page size is found in
    /// the file. What counts is synced, and its root is written again: so what
    /// the pager shows is durable, whatever happened before.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Locked`],
    /// [`Error::NotAPageFile`], [`Error::UnsupportedVersion`],
    /// [`Error::Damaged`], [`Error::Corrupt`], [`Error::Store`],
    /// [`Error::Io`].
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Pager, Error> {
        let path = path.as_ref();
        if is_address(path) {
            return Ok(self.open_address(path, false)?.0);
        }
        let file = Locked::open(path, true)?;
        let mut sandbox = self.0.sandbox()?;
        let page_size = page_size(&mut sandbox, file.file(), path)?;
        let store = MmapStore::new(file, path, page_size)?;
        Pager::open(&self.0, sandbox, Box::new(store), Access::Write)
    }

    /// Opens a store on object storage by its address to change it:
    /// `slatedb+s3://BUCKET/PREFIX`, and others that the feature `slatedb` lists. All
    /// that takes the path of a file takes an address too; this one takes nothing
    /// else.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::Held`] where somebody has it open;
    /// [`Error::Other`] for what is no address, and without that feature.
    pub fn open_url(&self, address: &str) -> Result<Pager, Error> {
        let path = Path::new(address);
        if !is_address(path) {
            let text = "this is no address, which begins with `slatedb+`: `open` opens files";
            return Err(Error::Other(text.into()));
        }
        self.open(path)
    }

    /// The same by a path or an address, ending whoever has a store open: its next
    /// commit is fenced. Says whom it ended. A file is opened as ever.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn take_over(&self, path: impl AsRef<Path>) -> Result<(Pager, Option<String>), Error> {
        let path = path.as_ref();
        if is_address(path) {
            return self.open_address(path, true);
        }
        Ok((self.open(path)?, None))
    }

    fn open_address(&self, path: &Path, take_over: bool) -> Result<(Pager, Option<String>), Error> {
        let (store, ended) = address::open(path, take_over)?;
        let pager = Pager::open(&self.0, self.0.sandbox()?, store, Access::Write)?;
        Ok((pager, ended))
    }

    /// Opens a page file to look at it: no lock, no write. Works on damaged
    /// files as far as their bytes prove themselves.
    ///
    /// The pager shows the state that it found at opening. Another process may
    /// be writing to the file: what was found is one of its committed states
    /// all the same, and once that is being overwritten, reads of protected
    /// pages are [`Error::Changed`], never a mixture.
    /// [`read_with`](Self::read_with) spares a caller that. Its pages are copied with
    /// [`Pager::read`] and [`Pager::read_protected`]; regular pages are read as
    /// they are now.
    ///
    /// # Errors
    /// As [`open`](Self::open), [`Error::Locked`] and [`Error::Damaged`] apart;
    /// [`Error::Busy`].
    pub fn open_read_only(&self, path: impl AsRef<Path>) -> Result<Pager, Error> {
        let path = path.as_ref();
        steadily(|| self.try_read_only(path).map(Attempt::Steady))
    }

    fn try_read_only(&self, path: &Path) -> Result<Pager, Error> {
        if is_address(path) {
            let store = address::look(path)?;
            return Pager::open(&self.0, self.0.sandbox()?, store, Access::Read);
        }
        let file = os::open(path, false)?;
        let mut sandbox = self.0.sandbox()?;
        let page_size = page_size(&mut sandbox, &file, path)?;
        let store = ReadOnlyStore::new(file, path, page_size)?;
        Pager::open(&self.0, sandbox, Box::new(store), Access::Read)
    }

    /// Reads a file that others may be writing to: what `f` returns is of one
    /// committed state. `f` is called again, with a pager opened anew, where
    /// the file changed meanwhile; it should do nothing but read.
    ///
    /// ```
    /// # fn main() -> Result<(), pagebox::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("data.pages");
    /// let engine = pagebox::Engine::new()?;
    /// let mut writer = engine.create(&path, pagebox::PageSize::KIB_4)?;
    /// let ids = [writer.alloc_protected()?, writer.alloc_protected()?];
    /// let bytes = engine.read_with(&path, |pager| {
    ///     let mut bytes = [[1; 8]; 2];
    ///     pager.read_protected(ids[0], 0, &mut bytes[0])?;
    ///     pager.read_protected(ids[1], 0, &mut bytes[1])?;
    ///     Ok(bytes)
    /// })?;
    /// assert_eq!(bytes, [[0; 8]; 2]);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What `f` returns, and the errors of
    /// [`open_read_only`](Self::open_read_only).
    pub fn read_with<R>(
        &self,
        path: impl AsRef<Path>,
        mut f: impl FnMut(&Pager) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let path = path.as_ref();
        steadily(|| {
            let pager = self.try_read_only(path)?;
            let answer = f(&pager);
            // What could not be read of a file that changed may be there now.
            Ok(if pager.is_current()? {
                Attempt::Steady(answer?)
            } else {
                Attempt::Changed
            })
        })
    }

    /// Opens a snapshot of a page file to read it, without a lock. Somebody else may
    /// go on to commit without a pause: what a snapshot names does not change, and
    /// all that is read is verified. Where it is deleted meanwhile, what is not found
    /// any more is [`Error::Changed`].
    ///
    /// # Errors
    /// [`Error::NoSnapshot`]; those of [`open_read_only`](Self::open_read_only).
    pub fn open_snapshot(&self, path: impl AsRef<Path>, name: &str) -> Result<View, Error> {
        let path = path.as_ref();
        steadily(|| {
            let snapshot = self.try_read_only(path)?.snapshot(name)?;
            Ok(Attempt::Steady(snapshot))
        })
    }

    /// Makes a page file in an empty store; where `new` is a number, one of format
    /// 1 with at least so many pages.
    ///
    /// # Errors
    /// [`Error::Other`] where the store is not empty, [`Error::Full`],
    /// [`Error::Store`].
    pub fn create_store(
        &self,
        store: impl Store + 'static,
        new: impl Into<NewFile>,
    ) -> Result<Pager, Error> {
        Pager::create(&self.0, self.0.sandbox()?, Box::new(store), new.into())
    }

    /// Opens the page file in a store.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`Error::PageSizeMismatch`].
    pub fn open_store(&self, store: impl Store + 'static, access: Access) -> Result<Pager, Error> {
        Pager::open(&self.0, self.0.sandbox()?, Box::new(store), access)
    }

    /// Looks at any file, without a lock and without a write. Another process
    /// may be writing to it: what is found at first is one of its committed
    /// states, and [`Inspector::is_current`] says how long it is.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Io`],
    /// [`Error::Busy`]. What is wrong with the bytes is in the inspector's
    /// results.
    pub fn inspect(&self, path: impl AsRef<Path>) -> Result<Inspector, Error> {
        self.inspect_with(path, |_| Ok(()))
            .map(|(inspector, ())| inspector)
    }

    /// Asks something about a file that others may be writing to: what `f`
    /// returns is of one committed state. `f` is called again, with a new
    /// inspector, where the file changed meanwhile. The inspector that was asked
    /// last comes with the answer.
    ///
    /// # Errors
    /// What `f` returns, and the errors of [`inspect`](Self::inspect).
    pub fn inspect_with<R>(
        &self,
        path: impl AsRef<Path>,
        mut f: impl FnMut(&mut Inspector) -> Result<R, Error>,
    ) -> Result<(Inspector, R), Error> {
        let path = path.as_ref();
        steadily(|| {
            let mut inspector = self.try_inspect(path)?;
            let answer = f(&mut inspector);
            Ok(if inspector.is_current()? {
                Attempt::Steady((inspector, answer?))
            } else {
                Attempt::Changed
            })
        })
    }

    fn try_inspect(&self, path: &Path) -> Result<Inspector, Error> {
        if is_address(path) {
            return Inspector::new(self.0.inspecting()?, address::look(path)?);
        }
        let file = os::open(path, false)?;
        let mut sandbox = self.0.inspecting()?;
        let page_size = match page_size(&mut sandbox, &file, path) {
            Err(error) if !error.is_corrupt() => return Err(error),
            // Of something that is no page file any size shows the bytes.
            found => found.unwrap_or(PageSize::KIB_4),
        };
        let store = ReadOnlyStore::new(file, path, page_size)?;
        Inspector::new(sandbox, Box::new(store))
    }

    /// Looks at whatever is in a store.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn inspect_store(&self, store: impl Store + 'static) -> Result<Inspector, Error> {
        Inspector::new(self.0.inspecting()?, Box::new(store))
    }

    /// Copies a page file, though somebody may be at work on it: the copy has
    /// one committed state, wholly. Nobody can change the file meanwhile if
    /// nobody has it open to write; else it is copied again when something was
    /// committed meanwhile.
    ///
    /// Regular pages, which no commit guards, are copied as they are, each at
    /// a moment of its own. Holes stay holes, and nobody may read the copy who
    /// may not read the file. A damaged file is copied as it is. After a crash
    /// in here there is no file of the copy's name, or the whole of it. Either of
    /// both may be the address of a store on object storage; such a copy is read back
    /// and compared.
    ///
    /// ```
    /// # fn main() -> Result<(), pagebox::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let (path, copy) = (folder.path().join("data.pages"), folder.path().join("copy.pages"));
    /// let engine = pagebox::Engine::new()?;
    /// let mut pager = engine.create(&path, pagebox::PageSize::KIB_4)?;
    /// let id = pager.alloc_protected()?;
    /// let copied = engine.copy(&path, &copy)?; // the pager has it open meanwhile
    /// assert_eq!(copied.damage, None);
    /// assert!(engine.open(&copy)?.protected_page(id)?.iter().all(|byte| *byte == 0));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::NotAPageFile`],
    /// [`Error::UnsupportedVersion`], [`Error::Exists`] for `output`,
    /// [`Error::Busy`] where commits leave no time for a copy, [`Error::Io`].
    pub fn copy(&self, path: impl AsRef<Path>, output: impl AsRef<Path>) -> Result<Copied, Error> {
        self.copy_with_progress(path, output, |_, _| {})
    }

    /// The same; `progress` is told how many bytes are done, and of how many,
    /// as it goes.
    ///
    /// # Errors
    /// As [`copy`](Self::copy).
    pub fn copy_with_progress(
        &self,
        path: impl AsRef<Path>,
        output: impl AsRef<Path>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Copied, Error> {
        let (path, output) = (path.as_ref(), output.as_ref());
        if is_address(path) || is_address(output) {
            return transfer::copy(&|path| self.inspect(path), path, output, &mut progress);
        }
        copy::copy(&self.0, path, output, &mut progress)
    }

    /// Backs up a page file to `copy`, another page file with the same pages under
    /// the same numbers: makes it, or brings it up to date by what changed. The copy
    /// changes in one transaction, or a new file takes its name: after a crash it
    /// holds this backup or the one before. A snapshot in it says which generation
    /// it is of.
    ///
    /// Nobody may have the file open to write, unless a snapshot of it is named:
    /// then others go on to use it. Whoever has it open calls
    /// [`Pager::backup`]. Regular pages, which are in no snapshot and in no
    /// transaction, are compared and copied as they are.
    ///
    /// All that is read of the file is verified. `progress` is told how many pages
    /// are done, and of how many, as it goes.
    ///
    /// ```
    /// # fn main() -> Result<(), pagebox::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let (path, copy) = (folder.path().join("data.pages"), folder.path().join("copy.pages"));
    /// let engine = pagebox::Engine::new()?;
    /// let mut pager = engine.create(&path, pagebox::PageSize::KIB_4)?;
    /// let id = pager.alloc_protected()?;
    /// pager.create_snapshot("now")?;
    /// engine.backup(&path, Some("now"), &copy, |_, _| {})?;
    /// let mut tx = pager.begin()?;
    /// tx.write(id)?[0] = 1;
    /// tx.commit()?;
    /// let backup = pager.backup(&copy, |_, _| {})?;
    /// assert_eq!((backup.is_new, backup.written_pages), (false, 1));
    /// assert_eq!(engine.open(&copy)?.protected_page(id)?[0], 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::NotAPageFile`],
    /// [`Error::Damaged`], [`Error::NoSnapshot`]; [`Error::Locked`] for either
    /// file; [`Error::NotACopy`], [`Error::CopyIsAhead`]; [`Error::Other`] for a
    /// file of format 0, [`Error::Store`], [`Error::Io`].
    pub fn backup(
        &self,
        path: impl AsRef<Path>,
        snapshot: Option<&str>,
        copy: impl AsRef<Path>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Backup, Error> {
        let (path, copy) = (path.as_ref(), copy.as_ref());
        expect_file(path).and_then(|()| expect_file(copy))?;
        backup::backup(&self.0, path, snapshot, copy, &mut progress)
    }

    /// Compares a backup with what it was made of: how many pages differ. All of
    /// the copy is verified.
    ///
    /// # Errors
    /// As [`backup`](Self::backup); [`Error::ChecksumMismatch`].
    pub fn compare_backup(
        &self,
        path: impl AsRef<Path>,
        snapshot: Option<&str>,
        copy: impl AsRef<Path>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<u64, Error> {
        let (path, copy) = (path.as_ref(), copy.as_ref());
        expect_file(path).and_then(|()| expect_file(copy))?;
        backup::compare(&self.0, path, snapshot, copy, &mut progress)
    }

    /// Makes a mended copy of a damaged file. The file itself stays as it is,
    /// and is locked meanwhile. The result says what was done and what was
    /// lost; it is empty for a sound file, whose copy is exact.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Locked`],
    /// [`Error::Exists`] for `output`; [`Error::NotAPageFile`],
    /// [`Error::UnsupportedVersion`] and [`Error::Corrupt`], where nothing can
    /// be proven; [`Error::Store`], [`Error::Io`].
    pub fn repair(
        &self,
        path: impl AsRef<Path>,
        output: impl AsRef<Path>,
    ) -> Result<Vec<RepairAction>, Error> {
        let (path, output) = (path.as_ref(), output.as_ref());
        expect_file(path).and_then(|()| expect_file(output))?;
        repair::repair(&self.0, path, output)
    }

    /// Makes a copy of a page file in another format: every regular page and
    /// every protected page under the number that it has. The file itself stays
    /// as it is, and is locked meanwhile. After a crash in here there is no file
    /// of the copy's name, or the whole of it.
    ///
    /// ```
    /// # fn main() -> Result<(), pagebox::Error> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let (path, copy) = (folder.path().join("old.pages"), folder.path().join("new.pages"));
    /// use pagebox::{Engine, Format, NewFile, PageSize};
    ///
    /// let engine = Engine::new()?;
    /// let old = NewFile { format: Format::Zero, page_count: 0 };
    /// let mut pager = engine.create_with(&path, PageSize::KIB_4, old)?;
    /// let id = pager.alloc()?;
    /// pager.page_mut(id)?.fill(0xAB);
    /// drop(pager);
    /// engine.upgrade(&path, &copy, Format::One)?;
    /// let pager = engine.open(&copy)?;
    /// assert_eq!(pager.stats()?.format, "1.0");
    /// assert_eq!(pager.page(id)?[0], 0xAB);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotAFile`], [`Error::Locked`],
    /// [`Error::NotAPageFile`], [`Error::UnsupportedVersion`];
    /// [`Error::Damaged`] and [`Error::Corrupt`], where the file has to be
    /// [repaired](Self::repair) first; [`Error::SameFormat`];
    /// [`Error::NoPlace`] and [`Error::Full`], where the format cannot hold it;
    /// [`Error::Exists`] for `output`; [`Error::Store`], [`Error::Io`].
    pub fn upgrade(
        &self,
        path: impl AsRef<Path>,
        output: impl AsRef<Path>,
        format: Format,
    ) -> Result<Upgraded, Error> {
        self.upgrade_with_progress(path, output, format, |_, _| {})
    }

    /// The same; `progress` is told how many pages are done, and of how many, as
    /// it goes.
    ///
    /// # Errors
    /// As [`upgrade`](Self::upgrade).
    pub fn upgrade_with_progress(
        &self,
        path: impl AsRef<Path>,
        output: impl AsRef<Path>,
        format: Format,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Upgraded, Error> {
        let (path, output) = (path.as_ref(), output.as_ref());
        expect_file(path).and_then(|()| expect_file(output))?;
        upgrade::upgrade(&self.0, path, output, format, &mut progress)
    }

    /// The engine that the component runs in, for programs that add guests of
    /// their own. It interrupts guests by epochs: a store of such a program
    /// needs a deadline, or its guests end at once.
    pub fn wasmtime(&self) -> &wasmtime::Engine {
        self.0.wasmtime()
    }

    /// The compiled component.
    pub fn component(&self) -> &Component {
        self.0.component()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("limits", self.0.limits())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    /// Looking at a file took two: the page size was found by one of its own.
    #[test]
    fn each_way_in_takes_one_instance() {
        let engine = Engine::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.pages");
        let instances = |way_in: &dyn Fn()| {
            engine.0.instances.store(0, Ordering::Relaxed);
            way_in();
            engine.0.instances.load(Ordering::Relaxed)
        };
        let create = || drop(engine.create(&path, PageSize::KIB_4).unwrap());
        assert_eq!(instances(&create), 1);
        assert_eq!(instances(&|| drop(engine.open(&path).unwrap())), 1);
        assert_eq!(
            instances(&|| drop(engine.open_read_only(&path).unwrap())),
            1
        );
        assert_eq!(instances(&|| drop(engine.inspect(&path).unwrap())), 1);
        let mend = || drop(engine.repair(&path, path.with_extension("mended")).unwrap());
        assert_eq!(instances(&mend), 1);
    }

    /// What is no page file is looked at too, in pages of a size that somebody
    /// has to choose.
    #[test]
    fn file_that_announces_no_page_size_is_looked_at_by_the_same_instance() {
        let engine = Engine::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, [b'a'; 10_000]).unwrap();
        let mut inspector = engine.inspect(&path).unwrap();
        assert_eq!(inspector.geometry().page_size, PageSize::KIB_4);
        assert_eq!(inspector.summary().unwrap().file_pages, 2);
        assert_eq!(engine.0.instances.load(Ordering::Relaxed), 1);
    }
}
