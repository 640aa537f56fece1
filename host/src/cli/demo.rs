//! `pagebox demo`: a small mixed workload through the sandbox, and what it
//! leaves in the file.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Args;
use pagebox::{COMPONENT, Engine, Error, PageId, PageSize, report};

use super::map::Drawing;
use super::output::{QUIET, size};
use super::{Failure, Outcome, Output, Shown, check, info, inspect, map};

/// Make a file, run a small mixed workload on it, show and check it
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox demo
  pagebox demo demo.pages")]
pub(crate) struct Demo {
    /// The file to make and keep; a temporary one unless given
    #[arg(value_name = "FILE")]
    path: Option<PathBuf>,
}

/// The folder of a temporary file, for as long as it is there.
static FOLDER: Mutex<Option<tempfile::TempDir>> = Mutex::new(None);

/// How often a folder is removed in which something appears meanwhile.
const ATTEMPTS: u32 = 100;

/// Removes the temporary file of a demo, if there is one.
pub(crate) fn remove_temporary_folder() {
    let folder = FOLDER.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(folder) = folder.map(tempfile::TempDir::keep) else {
        return;
    };
    // A demo that is interrupted may be making its file at this moment.
    for _ in 0..ATTEMPTS {
        if std::fs::remove_dir_all(&folder).is_ok() || !folder.exists() {
            break;
        }
    }
}

impl Demo {
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        if let Some(path) = &self.path {
            output.require()?;
            return demo(path, output);
        }
        let temporary = std::env::temp_dir();
        let mut kept = FOLDER.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::Builder::new()
            .prefix("pagebox-")
            .tempdir()
            .map_err(|source| {
                let operation = "make a folder in";
                Failure::of(&temporary)(Error::Io {
                    operation,
                    path: temporary.clone(),
                    source: source.into(),
                })
            })?;
        let path = folder.path().join("demo.pages");
        *kept = Some(folder);
        drop(kept);
        let done = demo(&path, output);
        remove_temporary_folder();
        done?;
        writeln!(
            output,
            "\nThe file was a temporary one: `pagebox demo FILE` keeps it."
        )?;
        writeln!(output, "`pagebox --help` lists what else there is.")?;
        Ok(())
    }
}

fn demo(path: &Path, output: &mut Output) -> Outcome {
    let component = size(COMPONENT.len() as u128);
    writeln!(
        output,
        "The logic of a page file in a sandbox: {component} of WebAssembly that can"
    )?;
    writeln!(
        output,
        "reach the pages of this one file, and nothing else.\n"
    )?;

    let mut steps = Steps { output, path };
    let engine = steps.step("start the sandbox's engine", Engine::new)?;
    let mut pager = steps.step("create a file with room for 128 pages of 4 KiB", || {
        engine.create_with(path, PageSize::KIB_4, 128)
    })?;
    let regular = steps.step("allocate 60 regular pages: one commit", || {
        pager.alloc_many(60)
    })?;
    steps.step("fill them in place, sync", || {
        for id in &regular {
            pager.page_mut(*id)?.copy_from_slice(&content(id.get(), 1));
        }
        pager.sync()
    })?;
    let protected = steps.step(
        "allocate 12 protected pages, write them: one commit",
        || {
            let mut tx = pager.begin()?;
            let ids = tx.alloc_protected_many(12)?;
            for id in &ids {
                tx.write(*id)?.copy_from_slice(&content(id.get(), 2));
            }
            tx.commit()?;
            Ok(ids)
        },
    )?;
    let is_kept = |id: &PageId| id.get().pow(3) % 41 < 26;
    let (kept, freed): (Vec<PageId>, Vec<PageId>) = regular.into_iter().partition(is_kept);
    let (rewritten, unchanged) = protected.split_at(4);
    steps.step(
        "free some pages, rewrite 4 protected ones: one commit",
        || {
            let mut tx = pager.begin()?;
            tx.free_many(&freed)?;
            for id in rewritten {
                tx.write(*id)?.copy_from_slice(&content(id.get(), 3));
            }
            tx.commit()
        },
    )?;
    steps.step("begin a transaction, free all, think better of it", || {
        let mut tx = pager.begin()?;
        tx.free_many(&kept)?;
        tx.free_protected_many(&protected)
    })?;
    drop(pager);
    let pager = steps.step("close the file, open it again, recover", || {
        engine.open(path)
    })?;
    steps.step("compare all bytes with what was written", || {
        for id in &kept {
            compare(id.get(), 1, pager.page(*id)?)?;
        }
        for id in rewritten {
            compare(id.get(), 3, pager.protected_page(*id)?)?;
        }
        for id in unchanged {
            compare(id.get(), 2, pager.protected_page(*id)?)?;
        }
        Ok(())
    })?;
    drop(pager);

    writeln!(output)?;
    let (summary, (drawing, known)) = inspect(path, &Shown::default(), |inspector| {
        let drawing = Drawing::of(inspector, None)?;
        Ok((drawing, report::Info::of(inspector)?))
    })?;
    info::print(output, path, &summary, &known, &Shown::default())?;
    writeln!(output)?;
    map::print(output, path, &summary, &drawing)?;
    writeln!(output)?;
    let found = check::check(path, None)?;
    check::print(output, path, &found)?;
    if found.errors > 0 {
        Err(Failure::Damage)
    } else {
        Ok(())
    }
}

/// What a page is to hold.
fn content(id: u64, version: u8) -> Vec<u8> {
    let id = id.to_le_bytes();
    (0..PageSize::KIB_4.bytes())
        .map(|at| id[at % id.len()] ^ version)
        .collect()
}

/// That a page holds what was written to it.
fn compare(id: u64, version: u8, bytes: &[u8]) -> Result<(), Error> {
    if bytes == content(id, version) {
        Ok(())
    } else {
        Err(Error::Other(format!(
            "page {id} does not hold what was written"
        )))
    }
}

/// Tells what is done, and how long it takes.
struct Steps<'a> {
    output: &'a mut Output,
    path: &'a Path,
}

impl Steps<'_> {
    fn step<R>(
        &mut self,
        what: &str,
        work: impl FnOnce() -> Result<R, Error>,
    ) -> Result<R, Failure> {
        let start = Instant::now();
        let result = work().map_err(Failure::of(self.path))?;
        let time = start.elapsed().as_secs_f64() * 1e3;
        let quiet = self.output.style(QUIET);
        writeln!(self.output, "  {what:<62} {quiet}{time:>8.2} ms{quiet:#}")?;
        Ok(result)
    }
}
