//! What SQLite calls: a VFS, and the methods of its files.
//!
//! Facts this file relies on:
//! 1. SQLite calls a VFS with itself, and a file's methods with a file that `open`
//!    made and `close` has not ended; a file by one thread at a time.
//! 2. It passes what its documentation says: names end in a zero byte, a pointer
//!    to a result may be written to, a buffer has as many bytes as it says.
//! 3. A registered VFS, with what hangs on it, is never freed.
//! 4. The default VFS outlives the process's use of SQLite, and its methods are
//!    called with itself.
//! 5. A file has as much memory as the larger of the two VFSs asks for. What the
//!    default VFS opens is its own: its methods are called, not ours.
//! 6. It gives back what it fetched, and before it closes the file; it writes to none
//!    of it.
//!
//! Nothing unwinds into SQLite: a panic is an error of input and output, after
//! which the pager is opened again.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::mem::transmute;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use pagebox::{Access, Engine};
use rusqlite::ffi;

use crate::code;
use crate::database::Database;
use crate::failure::Failure;
use crate::locks::Level;
use crate::options::Options;
use crate::seat::Seat;
use crate::state::Change;

/// The functions of SQLite that are called from here: its own where it is
/// linked, those that it hands to an extension otherwise.
#[derive(Clone, Copy)]
struct Sqlite {
    find: Find,
    register: Register,
    log: Log,
    mprintf: Mprintf,
    parameter: Parameter,
}

type Find = unsafe extern "C" fn(*const c_char) -> *mut ffi::sqlite3_vfs;
type Register = unsafe extern "C" fn(*mut ffi::sqlite3_vfs, c_int) -> c_int;
type Log = unsafe extern "C" fn(c_int, *const c_char, ...);
type Mprintf = unsafe extern "C" fn(*const c_char, ...) -> *mut c_char;
type Parameter = unsafe extern "C" fn(ffi::sqlite3_filename, *const c_char) -> *const c_char;

impl Sqlite {
    /// Those of the SQLite that is linked.
    fn linked() -> Self {
        Self {
            find: ffi::sqlite3_vfs_find,
            register: ffi::sqlite3_vfs_register,
            log: ffi::sqlite3_log,
            mprintf: ffi::sqlite3_mprintf,
            parameter: ffi::sqlite3_uri_parameter,
        }
    }

    /// The value of a parameter of an address.
    ///
    /// # Safety
    /// `name` is one that SQLite passed to `xOpen`.
    unsafe fn parameter(&self, name: ffi::sqlite3_filename, parameter: &CStr) -> Option<String> {
        // SAFETY: as the caller says; what is found ends in a zero byte, and stays as
        // long as the name.
        unsafe {
            let found = (self.parameter)(name, parameter.as_ptr());
            (!found.is_null()).then(|| CStr::from_ptr(found).to_string_lossy().into_owned())
        }
    }

    /// A text that SQLite frees.
    fn text(&self, text: &CStr) -> *mut c_char {
        // SAFETY: the format takes one text, which ends in a zero byte.
        unsafe { (self.mprintf)(c"%s".as_ptr(), text.as_ptr()) }
    }

    /// Those that SQLite hands to an extension: a list of pointers to functions,
    /// to which each version adds at the end. They stand in it where the
    /// structure of `sqlite3ext.h` has them.
    ///
    /// # Safety
    /// `api` is such a list.
    unsafe fn of(api: *const ffi::sqlite3_api_routines) -> Option<Self> {
        const MPRINTF: usize = 69;
        const VFS_FIND: usize = 141;
        const VFS_REGISTER: usize = 142;
        const LOG: usize = 167;
        const URI_PARAMETER: usize = 189;
        let list: *const Option<unsafe extern "C" fn()> = api.cast();
        // SAFETY: each of them is in the list of every version since 3.8, and is
        // a function of that type.
        unsafe {
            Some(Self {
                find: transmute::<unsafe extern "C" fn(), Find>((*list.add(VFS_FIND))?),
                register: transmute::<unsafe extern "C" fn(), Register>((*list.add(VFS_REGISTER))?),
                log: transmute::<unsafe extern "C" fn(), Log>((*list.add(LOG))?),
                mprintf: transmute::<unsafe extern "C" fn(), Mprintf>((*list.add(MPRINTF))?),
                parameter: transmute::<unsafe extern "C" fn(), Parameter>(
                    (*list.add(URI_PARAMETER))?,
                ),
            })
        }
    }
}

/// What hangs on a VFS.
struct Vfs {
    sqlite: Sqlite,
    default: *mut ffi::sqlite3_vfs,
    options: Options,
    name: CString,
    /// The open databases.
    databases: Mutex<Databases>,
    next: AtomicU64,
}

/// By their paths, whether they may be written to, and the snapshots that they show.
type Databases = HashMap<(PathBuf, bool, Option<String>), Weak<Database>>;

/// SQLite's file: what `open` makes of its memory.
#[repr(C)]
struct Opened {
    base: ffi::sqlite3_file,
    connection: *mut Connection,
}

/// One opening of a database.
struct Connection {
    vfs: &'static Vfs,
    database: Arc<Database>,
    seat: Seat,
}

pub(crate) fn register(options: Options, name: &str) -> rusqlite::Result<()> {
    let sqlite = Sqlite::linked();
    let name = CString::new(name)?;
    // SAFETY: the name ends in a zero byte (2).
    if !unsafe { (sqlite.find)(name.as_ptr()) }.is_null() {
        return Err(failed(
            ffi::SQLITE_MISUSE,
            "there is a VFS of that name already",
        ));
    }
    match add(sqlite, options, name) {
        ffi::SQLITE_OK => Ok(()),
        code => Err(failed(code, "SQLite did not take the VFS")),
    }
}

fn failed(code: c_int, why: &str) -> rusqlite::Error {
    rusqlite::Error::SqliteFailure(ffi::Error::new(code), Some(why.into()))
}

/// Makes the VFS `pagebox` known to the SQLite that loads an extension: what is
/// left to do for the extension's entry point, whose result this is.
///
/// # Safety
/// `api` is what SQLite called the entry point with.
pub unsafe fn extension(api: *const ffi::sqlite3_api_routines) -> c_int {
    guard(|| {
        // SAFETY: SQLite passes its functions, as the caller says.
        let Some(sqlite) = (unsafe { Sqlite::of(api) }) else {
            return ffi::SQLITE_ERROR;
        };
        let find = sqlite.find;
        let name = c"pagebox";
        // SAFETY: the name ends in a zero byte (2).
        if unsafe { find(name.as_ptr()) }.is_null() {
            let Ok(engine) = Engine::new() else {
                return ffi::SQLITE_ERROR;
            };
            let code = add(sqlite, Options::new(&engine), name.into());
            if code != ffi::SQLITE_OK {
                return code;
            }
        }
        // The VFS is there after the connection that loaded it.
        ffi::SQLITE_OK_LOAD_PERMANENTLY
    })
}

/// Registers a VFS.
fn add(sqlite: Sqlite, options: Options, name: CString) -> c_int {
    // SAFETY: no name asks for the default VFS.
    let default = unsafe { (sqlite.find)(ptr::null()) };
    if default.is_null() {
        return ffi::SQLITE_ERROR;
    }
    // SAFETY: SQLite's VFS stays where it is (4).
    let (file, path) = unsafe { ((*default).szOsFile, (*default).mxPathname) };
    let own = c_int::try_from(size_of::<Opened>()).unwrap_or(c_int::MAX);
    // They stay for good (3).
    let vfs: &'static Vfs = Box::leak(Box::new(Vfs {
        sqlite,
        default,
        options,
        name,
        databases: Mutex::default(),
        next: AtomicU64::new(0),
    }));
    let registered = Box::leak(Box::new(ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: file.max(own),
        mxPathname: path,
        pNext: ptr::null_mut(),
        zName: vfs.name.as_ptr(),
        pAppData: ptr::from_ref(vfs).cast_mut().cast(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: Some(dl_open),
        xDlError: Some(dl_error),
        xDlSym: Some(dl_sym),
        xDlClose: Some(dl_close),
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(get_last_error),
        xCurrentTimeInt64: Some(current_time_int64),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    }));
    // SAFETY: it is a whole VFS, and stays for good (3).
    unsafe { (sqlite.register)(registered, 0) }
}

/// What comes of a panic.
fn guard(f: impl FnOnce() -> c_int) -> c_int {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or(ffi::SQLITE_IOERR)
}

impl Vfs {
    /// # Safety
    /// `vfs` is one that was registered here.
    unsafe fn of(vfs: *mut ffi::sqlite3_vfs) -> &'static Self {
        // SAFETY: it is never freed (3).
        unsafe { &*(*vfs).pAppData.cast() }
    }

    fn databases(&self) -> MutexGuard<'_, Databases> {
        self.databases
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to a database, that may do as much as the flags ask for and
    /// the file allows.
    fn connect(
        &'static self,
        path: PathBuf,
        snapshot: Option<String>,
        flags: c_int,
    ) -> Result<Connection, c_int> {
        let access = if snapshot.is_some() {
            // What was is not changed.
            File::open(&path).map_err(|_| ffi::SQLITE_CANTOPEN)?;
            Access::Read
        } else if self.options.open.is_some() {
            wish(flags)
        } else {
            allowed(&path, flags).map_err(|_| ffi::SQLITE_CANTOPEN)?
        };
        let mut databases = self.databases();
        databases.retain(|_, it| it.strong_count() > 0);
        let key = (path.clone(), access == Access::Write, snapshot.clone());
        let open = databases.get(&key).and_then(Weak::upgrade);
        let open = open.filter(|it| !it.is_replaced());
        let database = open.unwrap_or_else(|| {
            let database = Arc::new(Database::new(path, access, snapshot));
            databases.insert(key, Arc::downgrade(&database));
            database
        });
        Ok(Connection {
            vfs: self,
            database,
            seat: Seat::new(self.next.fetch_add(1, Ordering::Relaxed)),
        })
    }
}

/// What flags ask for.
fn wish(flags: c_int) -> Access {
    if flags & ffi::SQLITE_OPEN_READWRITE == 0 {
        Access::Read
    } else {
        Access::Write
    }
}

/// What flags ask for and a file allows. A new one is made as an empty file.
fn allowed(path: &Path, flags: c_int) -> std::io::Result<Access> {
    if wish(flags) == Access::Read {
        return File::open(path).map(|_| Access::Read);
    }
    let is_new = flags & ffi::SQLITE_OPEN_CREATE != 0;
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(is_new)
        .create_new(is_new && flags & ffi::SQLITE_OPEN_EXCLUSIVE != 0)
        .open(path);
    match opened {
        Ok(_) => Ok(Access::Write),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            File::open(path).map(|_| Access::Read)
        }
        Err(error) => Err(error),
    }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: it is ours (1).
    let this = unsafe { Vfs::of(vfs) };
    if name.is_null() || flags & ffi::SQLITE_OPEN_MAIN_DB == 0 {
        // SAFETY: it is called with itself (4), and with memory enough (5).
        return unsafe {
            match (*this.default).xOpen {
                Some(open) => open(this.default, name, file, flags, out),
                None => ffi::SQLITE_CANTOPEN,
            }
        };
    }
    let file: *mut Opened = file.cast();
    // SAFETY: the memory is for a file of ours (5). Without methods SQLite closes
    // nothing.
    unsafe { (*file).base.pMethods = ptr::null() };
    guard(|| {
        // SAFETY: names end in a zero byte (2).
        let path = path(unsafe { CStr::from_ptr(name) });
        // SAFETY: SQLite passed it.
        let snapshot = unsafe { this.sqlite.parameter(name, c"snapshot") };
        let connection = match this.connect(path, snapshot, flags) {
            Ok(connection) => connection,
            Err(code) => return code,
        };
        let granted = match connection.database.access() {
            Access::Read => flags & !ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_READONLY,
            Access::Write => flags,
        };
        let opened = Opened {
            base: ffi::sqlite3_file {
                pMethods: &raw const METHODS,
            },
            connection: Box::into_raw(Box::new(connection)),
        };
        // SAFETY: the memory is for a file of ours (5), and the flags may be
        // written to where they are asked for (2).
        unsafe {
            file.write(opened);
            if !out.is_null() {
                *out = granted;
            }
        }
        ffi::SQLITE_OK
    })
}

#[cfg(unix)]
fn path(name: &CStr) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(name.to_bytes()))
}

#[cfg(not(unix))]
fn path(name: &CStr) -> PathBuf {
    PathBuf::from(name.to_string_lossy().into_owned())
}

/// A method of the VFS that is the default one's.
macro_rules! forward {
    ($name:ident, $method:ident, ($($arg:ident: $type:ty),*) $(-> $result:ty, $missing:expr)?) => {
        unsafe extern "C" fn $name(vfs: *mut ffi::sqlite3_vfs $(, $arg: $type)*) $(-> $result)? {
            // SAFETY: it is ours (1); the default one's is called with itself
            // (4), and with what SQLite passed (2).
            unsafe {
                let default = Vfs::of(vfs).default;
                match (*default).$method {
                    Some(method) => method(default $(, $arg)*),
                    None => ($($missing)?),
                }
            }
        }
    };
}

type Symbol = unsafe extern "C" fn(*mut ffi::sqlite3_vfs, *mut c_void, *const c_char);

forward!(delete, xDelete, (name: *const c_char, sync: c_int) -> c_int, ffi::SQLITE_IOERR);
forward!(access, xAccess, (name: *const c_char, flags: c_int, out: *mut c_int) -> c_int, ffi::SQLITE_IOERR);
forward!(full_pathname, xFullPathname, (name: *const c_char, len: c_int, out: *mut c_char) -> c_int, ffi::SQLITE_IOERR);
forward!(dl_open, xDlOpen, (name: *const c_char) -> *mut c_void, ptr::null_mut());
forward!(dl_error, xDlError, (len: c_int, out: *mut c_char));
forward!(dl_sym, xDlSym, (library: *mut c_void, name: *const c_char) -> Option<Symbol>, None);
forward!(dl_close, xDlClose, (library: *mut c_void));
forward!(randomness, xRandomness, (len: c_int, out: *mut c_char) -> c_int, 0);
forward!(sleep, xSleep, (microseconds: c_int) -> c_int, 0);
forward!(current_time, xCurrentTime, (out: *mut f64) -> c_int, ffi::SQLITE_ERROR);
forward!(get_last_error, xGetLastError, (len: c_int, out: *mut c_char) -> c_int, 0);
forward!(current_time_int64, xCurrentTimeInt64, (out: *mut ffi::sqlite3_int64) -> c_int, ffi::SQLITE_ERROR);

/// SQLite's WAL needs memory that processes share, and would be one more file:
/// without its methods SQLite does not offer it but to who locks exclusively.
static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 3,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: Some(fetch),
    xUnfetch: Some(unfetch),
};

/// Does something with the connection of a file, and tells SQLite what came of
/// it.
///
/// # Safety
/// `file` is one that `open` made and `close` has not ended.
unsafe fn with(
    file: *mut ffi::sqlite3_file,
    f: impl FnOnce(&mut Connection) -> Result<(), Failure>,
) -> c_int {
    // SAFETY: `open` put it there, and nobody else uses it meanwhile (1).
    let connection = unsafe { &mut *(*file.cast::<Opened>()).connection };
    let done = catch_unwind(AssertUnwindSafe(|| f(connection)));
    let (code, words) = match done {
        Ok(Ok(())) => return ffi::SQLITE_OK,
        Ok(Err(Failure::Busy)) => return ffi::SQLITE_BUSY,
        Ok(Err(Failure::Overtaken)) => return ffi::SQLITE_BUSY_SNAPSHOT,
        Ok(Err(Failure::Short)) => return ffi::SQLITE_IOERR_SHORT_READ,
        Ok(Err(Failure::Pager(error))) => (code::of(&error), error.to_string()),
        Ok(Err(Failure::Aborted(error))) => (ffi::SQLITE_ABORT_ROLLBACK, error.to_string()),
        Ok(Err(Failure::Lost)) => (
            ffi::SQLITE_IOERR,
            "commits that were not durable are lost: close all connections".into(),
        ),
        Err(_) => {
            connection.database.distrust();
            (ffi::SQLITE_IOERR, "it panicked".into())
        }
    };
    if let Ok(words) = CString::new(words) {
        // SAFETY: the format takes one text, which ends in a zero byte.
        unsafe { (connection.vfs.sqlite.log)(code, c"pagebox: %s".as_ptr(), words.as_ptr()) };
    }
    code
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let file: *mut Opened = file.cast();
    guard(|| {
        // SAFETY: `open` made it of a box, and it is used no more (1).
        let mut connection = unsafe { Box::from_raw((*file).connection) };
        let vfs = connection.vfs;
        let Connection { database, seat, .. } = &mut *connection;
        database.unlock(seat, Level::None);
        // The last one closes the pager. Nobody opens the database meanwhile, who
        // would find it locked.
        let databases = vfs.databases();
        drop(connection);
        drop(databases);
        ffi::SQLITE_OK
    })
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    len: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is ours (1).
    unsafe {
        with(file, |connection| {
            // SAFETY: SQLite's buffer has that many bytes (2).
            let bytes = std::slice::from_raw_parts_mut(to.cast(), size(len));
            let offset = offset.cast_unsigned();
            let Connection {
                vfs,
                database,
                seat,
            } = connection;
            match seat.level() {
                Level::None => database.peek(&vfs.options, offset, bytes),
                _ => database.read(seat, offset, bytes),
            }
        })
    }
}

/// Lends bytes: SQLite reads them, and gives them back before it has no lock any more.
unsafe extern "C" fn fetch(
    file: *mut ffi::sqlite3_file,
    offset: ffi::sqlite3_int64,
    len: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: the file is ours (1), and the result may be written to (2). What is lent is
    // a view's, which the seat keeps until all is given back (6).
    unsafe {
        with(file, |connection| {
            let Connection { database, seat, .. } = connection;
            let lent = database.lend(seat, offset.cast_unsigned(), size(len));
            *out = lent.map_or(ptr::null_mut(), |bytes| bytes.as_ptr().cast_mut().cast());
            Ok(())
        })
    }
}

unsafe extern "C" fn unfetch(
    file: *mut ffi::sqlite3_file,
    _: ffi::sqlite3_int64,
    lent: *mut c_void,
) -> c_int {
    // SAFETY: the file is ours (1).
    unsafe {
        with(file, |it| {
            // Without one it says that the map is not to be trusted: a view is.
            if !lent.is_null() {
                it.seat.give_back();
            }
            Ok(())
        })
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    len: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is ours (1).
    unsafe {
        with(file, |connection| {
            // SAFETY: SQLite's buffer has that many bytes (2).
            let bytes = std::slice::from_raw_parts(from.cast(), size(len));
            let Connection { vfs, database, .. } = connection;
            database.write(&vfs.options, offset.cast_unsigned(), bytes)
        })
    }
}

/// A number of bytes, which is never less than zero.
fn size(len: c_int) -> usize {
    usize::try_from(len).unwrap_or(0)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: ffi::sqlite3_int64) -> c_int {
    // SAFETY: the file is ours (1).
    unsafe { with(file, |it| it.database.truncate(size.cast_unsigned())) }
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: the file is ours (1).
    unsafe { with(file, |it| it.database.sync()) }
}

unsafe extern "C" fn file_size(
    file: *mut ffi::sqlite3_file,
    out: *mut ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: the file is ours (1), and the result may be written to (2).
    unsafe {
        with(file, |it| {
            *out = it.database.size(&it.seat)?.cast_signed();
            Ok(())
        })
    }
}

/// Which level SQLite means.
fn level(lock: c_int) -> Level {
    match lock {
        ffi::SQLITE_LOCK_NONE => Level::None,
        ffi::SQLITE_LOCK_SHARED => Level::Shared,
        ffi::SQLITE_LOCK_RESERVED => Level::Reserved,
        _ => Level::Exclusive,
    }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, lock: c_int) -> c_int {
    // SAFETY: the file is ours (1).
    unsafe {
        with(file, |connection| {
            let Connection {
                vfs,
                database,
                seat,
            } = connection;
            let has_company = Arc::strong_count(database) > 1;
            database.lock(&vfs.options, seat, level(lock), has_company)
        })
    }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, lock: c_int) -> c_int {
    // SAFETY: the file is ours (1).
    unsafe {
        with(file, |connection| {
            let Connection { database, seat, .. } = connection;
            database.unlock(seat, level(lock));
            Ok(())
        })
    }
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: the file is ours (1), and the result may be written to (2).
    unsafe {
        with(file, |it| {
            *out = c_int::from(it.database.is_reserved());
            Ok(())
        })
    }
}

unsafe extern "C" fn file_control(
    file: *mut ffi::sqlite3_file,
    op: c_int,
    arg: *mut c_void,
) -> c_int {
    let (mut is_known, mut refused) = (true, false);
    // SAFETY: the file is ours (1), and the argument is what its documentation
    // says (2).
    let code = unsafe {
        with(file, |connection| {
            let Connection {
                vfs,
                database,
                seat,
            } = connection;
            match op {
                ffi::SQLITE_FCNTL_BEGIN_ATOMIC_WRITE => database.begin_batch(),
                ffi::SQLITE_FCNTL_COMMIT_ATOMIC_WRITE => database.commit_batch()?,
                ffi::SQLITE_FCNTL_ROLLBACK_ATOMIC_WRITE => database.roll_batch_back(),
                ffi::SQLITE_FCNTL_SYNC => database.complete()?,
                ffi::SQLITE_FCNTL_COMMIT_PHASETWO => database.finish()?,
                ffi::SQLITE_FCNTL_SIZE_HINT => {
                    let size = *arg.cast::<ffi::sqlite3_int64>();
                    database.expect_size(size.cast_unsigned());
                }
                ffi::SQLITE_FCNTL_LOCKSTATE => *arg.cast::<c_int>() = seat.level() as c_int,
                ffi::SQLITE_FCNTL_HAS_MOVED => {
                    *arg.cast::<c_int>() = c_int::from(database.is_replaced());
                }
                ffi::SQLITE_FCNTL_MMAP_SIZE => {
                    let limit = arg.cast::<ffi::sqlite3_int64>();
                    // Less than nothing asks for what there is.
                    let before = seat.set_lendable(u64::try_from(*limit).ok());
                    *limit = before.cast_signed();
                }
                // Page files have their own steps.
                ffi::SQLITE_FCNTL_CHUNK_SIZE => {}
                ffi::SQLITE_FCNTL_VFSNAME => *arg.cast() = vfs.sqlite.text(&vfs.name),
                ffi::SQLITE_FCNTL_PRAGMA => {
                    // What is answered, the name, its value.
                    let texts: *mut *mut c_char = arg.cast();
                    let text = |text: *mut c_char| {
                        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy())
                    };
                    let pragma = text(*texts.add(1)).map(|it| it.to_ascii_lowercase());
                    let value = text(*texts.add(2));
                    let (pragma, value) = (pragma.as_deref(), value.as_deref());
                    if let (Some("locking_mode"), Some(mode)) = (pragma, value) {
                        seat.keep_locks(mode.eq_ignore_ascii_case("exclusive"));
                    }
                    let change = pragma.and_then(|pragma| Change::of(pragma, value));
                    let answer = match (pragma, value, change) {
                        (Some("pagebox_check"), None, _) => Some(database.check(&vfs.options)?),
                        (Some("pagebox_snapshots"), None, _) => {
                            Some(database.snapshots(&vfs.options)?)
                        }
                        (_, _, Some(change)) => {
                            let changed = database.change(&vfs.options, seat, change);
                            Some(match changed {
                                Ok(answer) => answer,
                                Err(Failure::Pager(error)) if error.is_caller_fault() => {
                                    refused = true;
                                    error.to_string()
                                }
                                Err(failure) => return Err(failure),
                            })
                        }
                        _ => None,
                    };
                    is_known = answer.is_some();
                    if let Some(answer) = answer {
                        *texts = vfs.sqlite.text(&CString::new(answer).unwrap_or_default());
                    }
                }
                _ => is_known = false,
            }
            Ok(())
        })
    };
    match (is_known, refused) {
        (false, _) => ffi::SQLITE_NOTFOUND,
        // SQLite shows the text that was put there.
        (true, true) => ffi::SQLITE_ERROR,
        (true, false) => code,
    }
}

/// What one write of a journal may spoil, which the default VFS writes.
unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4096
}

/// Not that it appends safely or in order: SQLite would believe that of its
/// journal, too.
unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_BATCH_ATOMIC | ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}
