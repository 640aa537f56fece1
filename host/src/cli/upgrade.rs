//! `pagebox upgrade`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use pagebox::{Engine, Format};

use super::output::{NOTE, plural, shown};
use super::progress::Progress;
use super::{Failure, File, Outcome, Output, Wait};

/// Make a copy of a file in another format
///
/// Every page keeps its number and every protected page its id: a program goes on
/// with the copy where it stopped with the file, which stays as it is. After a
/// crash there is no copy, or the whole of it. A damaged file is refused.
///
/// Every file of format 0 can become one of format 1, unless its pages are smaller
/// than 4 KiB and a regular one lies in its first 12 KiB. Back to format 0 it can
/// go as long as its pages fit: with pages of 4 KiB that format ends at 127 MiB,
/// and it takes two pages for a protected one. The error names the first page that
/// cannot keep its number.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox upgrade old.pages --output new.pages
  pagebox upgrade new.pages --to 0 --output old.pages")]
pub(crate) struct Upgrade {
    #[command(flatten)]
    file: File,
    /// The copy; there must be no such file yet
    #[arg(long, short, value_name = "COPY", allow_hyphen_values = true)]
    output: PathBuf,
    /// The format of the copy: 1, for files of any size, or 0, which mappedpages
    /// reads too
    #[arg(long, value_name = "FORMAT", default_value_t = Format::One)]
    to: Format,
}

impl Upgrade {
    pub(crate) fn run(&self, output: &mut Output, wait: Wait) -> Outcome {
        let path = &self.file.path;
        output.require()?;
        let upgraded = {
            let progress = Progress::new("upgrading");
            Engine::new()
                .and_then(|engine| {
                    wait.wait(|| {
                        engine.upgrade_with_progress(path, &self.output, self.to, |done, total| {
                            progress.show(done, total);
                        })
                    })
                })
                .map_err(Failure::of(path))?
        };
        output.done("the copy was made all the same");
        let (copy, format) = (shown(&self.output), self.to);
        let regular = plural(upgraded.regular_pages, "regular page");
        let protected = plural(upgraded.protected_pages, "protected page");
        writeln!(
            output,
            "made {copy}: {} in format {format}, with {regular} and {protected}",
            shown(path)
        )?;
        if upgraded.snapshots_left > 0 {
            let snapshots = plural(upgraded.snapshots_left, "snapshot");
            let style = output.style(NOTE);
            writeln!(
                output,
                "{style}note{style:#}: {snapshots} of {} stay behind: format {format} has none",
                shown(path)
            )?;
        }
        Ok(())
    }
}
