//! `pagebox backup`.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use pagebox::{Engine, Error};

use super::output::{number, plural, shown, size};
use super::progress::Progress;
use super::{Failure, File, Outcome, Output, Wait};

/// Back up a file to a copy, which gets what changed
///
/// The first time it makes the copy; after that it writes to it what changed, in one
/// transaction, so that after a crash the copy is this backup or the one before.
/// Every page has the same number in the copy, which is a page file like any other;
/// a snapshot in it says which generation it holds. A file that is in use can be
/// backed up from a snapshot. Regular pages are in no snapshot: they are copied as
/// they are.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox backup data.pages backup.pages
  pagebox snapshot create data.pages now
  pagebox backup data.pages backup.pages --snapshot now
  pagebox backup data.pages backup.pages --check")]
pub(crate) struct Backup {
    #[command(flatten)]
    file: File,
    /// The copy: a backup of this file, or a file that is not there yet
    #[arg(value_name = "COPY")]
    copy: PathBuf,
    /// Back up this snapshot, which others may use the file beside
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    snapshot: Option<String>,
    /// Only compare the two, and verify all of the copy
    #[arg(long)]
    check: bool,
}

impl Backup {
    pub(crate) fn run(&self, output: &mut Output, wait: Wait) -> Outcome {
        output.require()?;
        if self.check {
            return self.compare(output, wait);
        }
        let path = &self.file.path;
        let start = Instant::now();
        let backup = {
            let progress = Progress::new("backing up");
            self.with(wait, |engine, snapshot| {
                engine.backup(path, snapshot, &self.copy, |done, total| {
                    progress.show(done, total);
                })
            })?
        };
        output.done("the backup was made all the same");
        let did = if backup.is_new { "made" } else { "updated" };
        let bytes = u128::from(backup.written_pages) * backup.page_size as u128;
        write!(
            output,
            "{did} {}: generation {}, {} of {} written ({})",
            shown(&self.copy),
            number(backup.generation),
            number(backup.written_pages),
            plural(backup.pages, "page"),
            size(bytes)
        )?;
        if backup.freed_pages > 0 {
            write!(output, ", {} freed", number(backup.freed_pages))?;
        }
        let millis = start.elapsed().as_millis().max(1);
        writeln!(output, ", {} a second", size(bytes * 1000 / millis))?;
        Ok(())
    }

    fn compare(&self, output: &mut Output, wait: Wait) -> Outcome {
        let path = &self.file.path;
        let differing = {
            let progress = Progress::new("comparing");
            self.with(wait, |engine, snapshot| {
                engine.compare_backup(path, snapshot, &self.copy, |done, total| {
                    progress.show(done, total);
                })
            })?
        };
        if differing > 0 {
            let text = format!(
                "{} {} in {}",
                plural(differing, "page"),
                if differing == 1 { "differs" } else { "differ" },
                shown(&self.copy)
            );
            return Err(Failure::Request {
                path: path.clone(),
                text,
            });
        }
        writeln!(output, "OK: {} is the same", shown(&self.copy))?;
        Ok(())
    }

    fn with<R>(
        &self,
        wait: Wait,
        mut f: impl FnMut(&Engine, Option<&str>) -> Result<R, Error>,
    ) -> Result<R, Failure> {
        let snapshot = self.snapshot.as_deref();
        Engine::new()
            .and_then(|engine| wait.wait(|| f(&engine, snapshot)))
            .map_err(Failure::of(&self.file.path))
    }
}
