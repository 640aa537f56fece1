//! `--record`: what a command writes, kept as a trace.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use pagebox::{Access, Engine, Error, Pager, Recording, RecordingStore, Store};

use super::output::shown;
use super::streams::complain;
use super::{Failure, Wait};

/// Where what is written is kept.
#[derive(Args, Debug)]
pub(super) struct Record {
    /// Record each write and sync to this new file: pagebox-viewer shows what a
    /// crash at any moment of it can leave
    #[arg(long, value_name = "TRACE")]
    record: Option<PathBuf>,
}

impl Record {
    /// Opens a file, changes it, and records that where it is asked for. Opening
    /// it is a part of that: it makes durable what it found.
    pub(super) fn change<R>(
        &self,
        path: &Path,
        wait: Wait,
        work: impl FnOnce(&mut Pager) -> Result<R, Error>,
    ) -> Result<R, Failure> {
        let engine = Engine::new().map_err(Failure::of(path))?;
        let opened = wait.open(&engine, path);
        let mut pager = opened.map_err(Failure::of(path))?;
        let Some(trace) = &self.record else {
            return work(&mut pager).map_err(Failure::of(path));
        };
        let (store, tape) = Tape::start(trace, pager.close())?;
        let opened = engine.open_store(store, Access::Write);
        let mut pager = opened.map_err(Failure::of(path))?;
        let done = work(&mut pager).map_err(Failure::of(path))?;
        tape.end();
        Ok(done)
    }
}

/// A trace that is being made.
pub(super) struct Tape {
    path: PathBuf,
    recording: Recording,
}

impl Tape {
    /// Makes the file, and records to it what `store` is asked to do from now on.
    /// Where that fails there is no such file.
    pub(super) fn start(
        path: &Path,
        store: Box<dyn Store>,
    ) -> Result<(RecordingStore, Self), Failure> {
        let request = |text| Failure::Request {
            path: path.to_owned(),
            text,
        };
        let file =
            File::create_new(path).map_err(|error| request(format!("cannot make it: {error}")))?;
        match RecordingStore::new(store, WholeRecords { file, len: 0 }) {
            Ok((store, recording)) => {
                let path = path.to_owned();
                Ok((store, Self { path, recording }))
            }
            Err(error) => {
                remove(path);
                Err(request(format!("nothing was changed: {error}")))
            }
        }
    }

    /// Ends it, and says if it is not whole: what was recorded is done all the
    /// same.
    pub(super) fn end(self) {
        if let Err(error) = self.recording.end() {
            let path = shown(&self.path);
            complain(format_args!("{path}: the trace is not whole: {error}"));
        }
    }

    /// Removes the file: what was to be recorded was not begun.
    #[cfg(feature = "run")]
    pub(super) fn discard(self) {
        remove(&self.path);
    }
}

/// A file that has each write whole or not at all: a full disk leaves a trace of
/// all before.
struct WholeRecords {
    file: File,
    len: u64,
}

impl Write for WholeRecords {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.file.write_all(bytes) {
            // Where that fails too, what is left says where it is cut off.
            let _ = self.file.set_len(self.len);
            return Err(error);
        }
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Removes what is no trace. Where it stays, it is a file too many.
fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}
