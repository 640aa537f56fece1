//! The VFS as a loadable extension: for the SQLite of another program.
//!
//! ```text
//! sqlite> .load target/release/examples/libpagebox_vfs
//! sqlite> .open file:data.pages?vfs=pagebox
//! ```

use std::ffi::{c_char, c_int};

use rusqlite::ffi::{sqlite3, sqlite3_api_routines};

/// What SQLite calls first in an extension.
///
/// # Safety
/// SQLite calls it, with its functions.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_extension_init(
    _: *mut sqlite3,
    _: *mut *mut c_char,
    api: *const sqlite3_api_routines,
) -> c_int {
    // SAFETY: they are passed on as they are.
    unsafe { pagebox_sqlite::extension(api) }
}
