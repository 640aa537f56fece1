//! SQLite over a page file.
//!
//! [`register`] makes a VFS known to SQLite, by which it keeps its databases in
//! page files. Its commits are the pager's: one sync each, and no journal.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("data.pages");
//! use rusqlite::{Connection, OpenFlags};
//!
//! pagebox_sqlite::register(&pagebox::Engine::new()?)?;
//! let db = Connection::open_with_flags_and_vfs(&path, OpenFlags::default(), "pagebox")?;
//! db.execute_batch("create table t (x); insert into t values (1)")?;
//! # drop(db);
//! # assert!(pagebox::Engine::new()?.open(&path)?.stats()?.protected_pages > 0);
//! # Ok(()) }
//! ```
//!
//! What SQLite writes between two commits is one [`Transaction`] of the pager,
//! set apart from it while SQLite is at work. The bytes of the database are
//! those of the protected pages, in the order of their ids: with pages of the
//! same size, page n of SQLite is protected page n - 1. Journals, where SQLite
//! makes one all the same, and temporary files are left to the default VFS.
//!
//! [`Transaction`]: pagebox::Transaction
#![deny(unsafe_code)]

mod code;
mod database;
mod failure;
mod locks;
mod names;
mod options;
mod seat;
mod shown;
mod state;
#[expect(unsafe_code, reason = "it is what SQLite calls")]
mod vfs;

pub use options::Options;
pub use vfs::extension;

/// Makes the VFS `pagebox` known to SQLite, for as long as the process lives.
/// [`Options`] has what else there is.
///
/// # Errors
/// There is a VFS of that name already.
pub fn register(engine: &pagebox::Engine) -> rusqlite::Result<()> {
    Options::new(engine).register("pagebox")
}
