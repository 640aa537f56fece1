//! A page file at a path, or an image of one in memory, looked at through the
//! sandbox.

use std::{
    cmp::Ordering,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    time::Instant,
};

use pagebox::{Access, Engine, Error, Inspector, Pager, ProtectedId};

use crate::{
    image::Image,
    inspect::{Entry, FindingsPart, FreeSpace, PageInfo, PageKind, Structure, Summary, Tile},
    look::{Look, LookError, Owner, Target},
    past::{Change, Located, Snapshot},
    text,
};

/// A page file, found anew by its path each time it is opened. It is read by
/// positioned reads, never locked, never written.
pub(crate) struct PageFile {
    engine: Engine,
    path: PathBuf,
}

impl PageFile {
    /// The file at a path. It is opened when somebody looks at it.
    pub(crate) fn new(engine: &Engine, path: &Path) -> Self {
        Self {
            engine: engine.clone(),
            path: path.to_owned(),
        }
    }
}

impl Target for PageFile {
    fn open(&self) -> Result<Box<dyn Look>, LookError> {
        let inspector = self
            .engine
            .inspect(&self.path)
            .map_err(|error| failed(&self.path, error))?;
        Ok(Box::new(Sandboxed {
            engine: self.engine.clone(),
            inspector,
            path: self.path.clone(),
            image: None,
        }))
    }

    fn identity(&self) -> Result<u64, LookError> {
        // A store shows the state of its opening: it is what it was.
        if pagebox::is_address(&self.path) {
            return Ok(0);
        }
        let metadata = fs::metadata(&self.path).map_err(|source| {
            let path = self.path.clone();
            let error = match source.kind() {
                io::ErrorKind::NotFound => Error::NotFound { path },
                _ => Error::Io {
                    operation: "look at",
                    path,
                    source: source.into(),
                },
            };
            failed(&self.path, error)
        })?;
        let mut hasher = DefaultHasher::new();
        metadata.len().hash(&mut hasher);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            (metadata.dev(), metadata.ino()).hash(&mut hasher);
        }
        Ok(hasher.finish())
    }
}

/// A look at an image, which errors call by this name.
pub(crate) fn look_at(
    engine: &Engine,
    image: Image,
    name: &str,
) -> Result<Box<dyn Look>, LookError> {
    let path = PathBuf::from(name);
    let inspector = engine.inspect_store(image.clone());
    Ok(Box::new(Sandboxed {
        engine: engine.clone(),
        inspector: inspector.map_err(|error| failed(&path, error))?,
        path,
        image: Some(image),
    }))
}

/// The sandbox's inspector, as a look. That it runs in one is not to be seen
/// from outside this file.
struct Sandboxed {
    engine: Engine,
    inspector: Inspector,
    /// Where the file is; of an image, what it is called.
    path: PathBuf,
    image: Option<Image>,
}

impl Sandboxed {
    /// Asks a pager, which knows how states differ. It takes no lock and never
    /// writes.
    fn ask<R>(&self, mut ask: impl FnMut(&Pager) -> Result<R, Error>) -> Result<R, LookError> {
        let answer = match &self.image {
            Some(image) => {
                let pager = self.engine.open_store(image.clone(), Access::Read);
                pager.and_then(|pager| ask(&pager))
            }
            None => self.engine.read_with(&self.path, ask),
        };
        answer.map_err(|error| failed(&self.path, error))
    }

    /// Bytes past the last whole page, which no store has.
    fn tail(&self, position: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.read(true);
        // A FIFO that took the file's place is not waited for.
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
        }
        let mut file = options.open(&self.path)?;
        file.seek(SeekFrom::Start(position))?;
        file.read_exact(bytes)
    }
}

impl Look for Sandboxed {
    fn summary(&mut self) -> Result<Summary, LookError> {
        self.inspector
            .summary()
            .map_err(|error| failed(&self.path, error))
    }

    fn page_kinds(&mut self) -> Result<Vec<PageKind>, LookError> {
        self.inspector
            .page_kinds()
            .map_err(|error| failed(&self.path, error))
    }

    fn kinds(&mut self, first: u64, count: u32) -> Result<Vec<u8>, LookError> {
        self.inspector
            .kinds(first, count)
            .map_err(|error| failed(&self.path, error))
    }

    fn tiles(
        &mut self,
        first: u64,
        pages_per_tile: u64,
        count: u32,
    ) -> Result<Vec<Tile>, LookError> {
        self.inspector
            .tiles(first, pages_per_tile, count)
            .map_err(|error| failed(&self.path, error))
    }

    fn free_space(&mut self) -> Result<FreeSpace, LookError> {
        self.inspector
            .free_space()
            .map_err(|error| failed(&self.path, error))
    }

    fn structures(&mut self, start: u32, limit: u32) -> Result<Vec<Structure>, LookError> {
        self.inspector
            .structures(start, limit)
            .map_err(|error| failed(&self.path, error))
    }

    fn directory(&mut self, start: u64, limit: u32, verify: bool) -> Result<Vec<Entry>, LookError> {
        self.inspector
            .directory(start, limit, verify)
            .map_err(|error| failed(&self.path, error))
    }

    fn page(&mut self, page: u64) -> Result<Option<PageInfo>, LookError> {
        self.inspector
            .page(page)
            .map_err(|error| failed(&self.path, error))
    }

    fn findings(&mut self, cursor: u64) -> Result<FindingsPart, LookError> {
        self.inspector
            .findings(cursor)
            .map_err(|error| failed(&self.path, error))
    }

    fn bytes(&mut self, page: u64, offset: u32, len: u32) -> Result<Vec<u8>, LookError> {
        let geometry = self.inspector.geometry();
        let page_size = u32::try_from(geometry.page_size.bytes()).unwrap_or(u32::MAX);
        let end = match page.cmp(&geometry.page_count) {
            Ordering::Less => page_size,
            Ordering::Equal => geometry.tail,
            Ordering::Greater => 0,
        };
        let len = len.min(end.saturating_sub(offset));
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        if bytes.is_empty() {
            return Ok(bytes);
        }
        if page < geometry.page_count {
            self.inspector
                .read(page, offset, &mut bytes)
                .map_err(|error| failed(&self.path, error))?;
        } else {
            let position = page
                .saturating_mul(u64::from(page_size))
                .saturating_add(u64::from(offset));
            self.tail(position, &mut bytes).map_err(|source| {
                let path = self.path.clone();
                let operation = "read";
                let error = Error::Io {
                    operation,
                    path,
                    source: source.into(),
                };
                failed(&self.path, error)
            })?;
        }
        Ok(bytes)
    }

    fn snapshots(&mut self) -> Result<Vec<Snapshot>, LookError> {
        let snapshots = self.inspector.snapshots();
        let snapshots = snapshots.map_err(|error| failed(&self.path, error))?;
        Ok(snapshots.into_iter().map(Into::into).collect())
    }

    fn show_snapshot(&mut self, name: &str) -> Result<(), LookError> {
        self.inspector
            .show_snapshot(name)
            .map_err(|error| failed(&self.path, error))
    }

    fn is_current(&mut self) -> Result<bool, LookError> {
        self.inspector
            .is_current()
            .map_err(|error| failed(&self.path, error))
    }

    fn snapshot_pages(&mut self, names: &[String], until: Instant) -> Result<Vec<u64>, LookError> {
        self.ask(|pager| {
            names
                .iter()
                .take_while(|_| Instant::now() < until)
                .map(|name| pager.snapshot_pages(name))
                .collect()
        })
    }

    fn changes(
        &mut self,
        [before, after]: [Option<&str>; 2],
        limit: usize,
    ) -> Result<Vec<Change>, LookError> {
        self.ask(|pager| {
            let changes = pager.changes(before, after).take(limit);
            changes.map(|page| page.map(Into::into)).collect()
        })
    }

    fn located(&mut self, id: u64, names: &[String]) -> Result<Vec<Option<Located>>, LookError> {
        let id = ProtectedId::new(id);
        self.ask(|pager| {
            let located = names
                .iter()
                .map(|name| match pager.snapshot(name)?.locate(id) {
                    Ok(page) => Ok(Some(page.into())),
                    Err(Error::NotProtected { .. }) => Ok(None),
                    Err(error) => Err(error),
                });
            located.collect()
        })
    }

    fn owner_in(&mut self, name: &str, page: u64, limit: usize) -> Result<Owner, LookError> {
        self.ask(|pager| {
            let mut owner = Owner::default();
            for each in pager.snapshot(name)?.protected_pages().take(limit) {
                let each = each?;
                owner.looked_at += 1;
                if each.page == Some(page) {
                    owner.found = Some((each.id.get(), each.into()));
                    break;
                }
            }
            Ok(owner)
        })
    }
}

/// What failed, of the file by its name: where it lies is not for everybody.
fn failed(path: &Path, error: Error) -> LookError {
    let name = text::name_of(path);
    let message = error.to_string().replace(&*path.to_string_lossy(), &name);
    let kind = match error {
        Error::Sandbox { .. } | Error::SandboxGone => return LookError::Sandbox(message),
        Error::Busy | Error::Changed => return LookError::Changing,
        Error::NoSnapshot(name) => return LookError::NoSnapshot(name),
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::Io { source, .. } => source.kind(),
        _ => io::ErrorKind::Other,
    };
    LookError::File { kind, message }
}
