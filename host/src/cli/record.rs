//! `--record`: what a command writes, kept as a trace.

use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use pagebox::{Access, Engine, Error, Pager, RecordingStore, StoreError};

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
        let file = File::create_new(trace).map_err(|error| Failure::Request {
            path: trace.clone(),
            text: format!("cannot make it: {error}"),
        })?;
        let recorded = RecordingStore::new(pager.close(), file);
        let (store, recording) = recorded.map_err(|error| {
            // A part of a trace is of no use; where it stays, it is a file too many.
            let _ = std::fs::remove_file(trace);
            not_whole(trace, &error)
        })?;
        let opened = engine.open_store(store, Access::Write);
        let mut pager = opened.map_err(Failure::of(path))?;
        let done = work(&mut pager).map_err(Failure::of(path))?;
        if let Err(error) = recording.end() {
            // What was asked for is done, and has to be told.
            let trace = shown(trace);
            complain(format_args!("{trace}: the trace is not whole: {error}"));
        }
        Ok(done)
    }
}

fn not_whole(trace: &Path, error: &StoreError) -> Failure {
    Failure::Request {
        path: trace.to_owned(),
        text: format!("nothing was changed: {error}"),
    }
}
