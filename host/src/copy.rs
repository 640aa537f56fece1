//! Copies of page files: of one committed state, whoever is at work on the file.

use std::fs::File;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::Error;
use crate::first_pages::{head, page_size};
use crate::inspect::Inspector;
use crate::os::{self, Locked};
use crate::report::{Info, Listing};
use crate::runtime::Runtime;
use crate::store::ReadOnlyStore;
use crate::unpublished::Unpublished;

/// How often a file is copied that is changed meanwhile.
const TRIES: u32 = 8;

/// Bytes that are copied at once. After each such piece progress is told.
const PIECE: u64 = 4 << 20;

/// What [`Engine::copy`](crate::Engine::copy) made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Copied {
    /// The length of the file, in bytes.
    pub bytes: u64,
    /// What is wrong with the file, and so with its copy.
    pub damage: Option<String>,
}

pub(crate) fn copy(
    runtime: &Runtime,
    path: &Path,
    output: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Copied, Error> {
    // What is wrong with the file is told first.
    let source = Source::open(path)?;
    page_size(&mut runtime.inspecting()?, source.file(), path)?;
    drop(source);
    let (copy, unpublished) = Unpublished::create_private(output)?;
    let to_copy = |source| Error::io("copy to", output, source);
    for _ in 0..TRIES {
        let source = Source::open(path)?;
        let source = source.file();
        let before = look(runtime, source, path)?;
        copy_bytes(source, copy.file(), progress).map_err(to_copy)?;
        // Of a file that nobody can change too: some programs know no locks.
        if look(runtime, source, path)? != before {
            continue;
        }
        let copied = look(runtime, copy.file(), output)?;
        if copied != before {
            continue;
        }
        os::keep_rights(source, copy.file())
            .and_then(|()| os::sync(copy.file()))
            .map_err(to_copy)?;
        let bytes = copy.file().metadata().map_err(to_copy)?.len();
        unpublished.publish()?;
        return Ok(Copied {
            bytes,
            damage: copied.damage,
        });
    }
    Err(Error::Busy)
}

/// A file to be copied.
enum Source {
    /// Nobody changes it.
    Still(Locked),
    /// Somebody has it open to write.
    Live(File),
}

impl Source {
    fn open(path: &Path) -> Result<Self, Error> {
        match Locked::open(path, false) {
            Ok(locked) => Ok(Self::Still(locked)),
            // In use, or on a file system that locks only what can be written.
            Err(
                Error::Locked { .. }
                | Error::Io {
                    operation: "lock", ..
                },
            ) => os::open(path, false).map(Self::Live),
            Err(error) => Err(error),
        }
    }

    fn file(&self) -> &File {
        match self {
            Self::Still(locked) => locked.file(),
            Self::Live(file) => file,
        }
    }
}

/// The state of a file. As long as it stays the same nothing was committed.
#[derive(Debug, PartialEq, Eq)]
struct State {
    head: Vec<u8>,
    generation: Option<u64>,
    page_count: Option<u64>,
    damage: Option<String>,
    /// Another program's protected writes show in nothing else. Of a damaged
    /// file it may not be had.
    listing: Option<Listing>,
}

fn look(runtime: &Runtime, file: &File, path: &Path) -> Result<State, Error> {
    let head = head(file, path)?;
    let mut sandbox = runtime.inspecting()?;
    let page_size = page_size(&mut sandbox, file, path)?;
    let file = file
        .try_clone()
        .map_err(|source| Error::io("open", path, source))?;
    let store = ReadOnlyStore::new(file, path, page_size)?;
    let mut inspector = Inspector::new(sandbox, Box::new(store))?;
    let info = Info::of(&mut inspector)?;
    let damage = match info.recovery.as_str() {
        "not-a-page-file" => return Err(Error::NotAPageFile(info.explanation)),
        "damaged" => Some(info.explanation),
        _ => None,
    };
    let listing = match Listing::of(&mut inspector) {
        Ok(listing) => Some(listing),
        Err(_) if damage.is_some() => None,
        Err(error) => return Err(error),
    };
    Ok(State {
        head,
        generation: info.generation,
        page_count: info.page_count,
        damage,
        listing,
    })
}

/// Makes `target` the same as `source`, with the same holes.
pub(crate) fn copy_bytes(
    source: &File,
    target: &File,
    progress: &mut dyn FnMut(u64, u64),
) -> io::Result<()> {
    let len = source.metadata()?.len();
    target.set_len(0)?;
    target.set_len(len)?;
    let mut buffer = Vec::new();
    let mut next = 0;
    while let Some((start, end)) = os::next_data(source, next, len)? {
        next = start;
        while next < end {
            let piece = PIECE.min(end - next);
            let direct = os::copy_directly(source, target, next, piece);
            if direct < piece {
                buffer.resize(usize::try_from(piece - direct).unwrap_or(0), 0);
                os::read_at(source, &mut buffer, next + direct)?;
                os::write_at(target, &buffer, next + direct)?;
            }
            next += piece;
            progress(next, len);
        }
    }
    progress(len, len);
    Ok(())
}
