//! [`Options`]: how databases are to be kept.

use std::path::Path;

use pagebox::{Access, Engine, Error, Format, Pager};

use crate::vfs;

/// How databases are to be kept.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Databases that `mappedpages` can read too.
/// let engine = pagebox::Engine::new()?;
/// pagebox_sqlite::Options::new(&engine)
///     .format(pagebox::Format::Zero)
///     .register("pagebox-0")?;
/// # Ok(()) }
/// ```
pub struct Options {
    pub(crate) engine: Engine,
    pub(crate) format: Format,
    pub(crate) open: Option<Open>,
}

/// How the pager of a name is opened.
pub(crate) type Open = Box<dyn Fn(&Path, Access) -> Result<Pager, Error> + Send + Sync>;

impl Options {
    /// Databases in page files of format 1.
    pub fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            format: Format::default(),
            open: None,
        }
    }

    /// The format of new files. Those that there are keep theirs.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Databases that are no files: `open` has the pager of a name, which is an
    /// absolute path to SQLite. It is called when a database is first read, and
    /// again after its last connection was closed. SQLite makes no journal where
    /// there is no file of that name: `pragma journal_mode = memory` needs none.
    #[must_use]
    pub fn open_with(
        mut self,
        open: impl Fn(&Path, Access) -> Result<Pager, Error> + Send + Sync + 'static,
    ) -> Self {
        self.open = Some(Box::new(open));
        self
    }

    /// Makes a VFS of this name known to SQLite, for as long as the process
    /// lives.
    ///
    /// # Errors
    /// There is a VFS of that name already.
    pub fn register(self, name: &str) -> rusqlite::Result<()> {
        vfs::register(self, name)
    }
}
