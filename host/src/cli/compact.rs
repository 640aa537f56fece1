//! `pagebox compact`.

use std::io::Write;

use clap::Args;
use pagebox::{Compacted, Engine, Obstacle};

use super::output::{NOTE, number, plural, shown, size};
use super::progress::Progress;
use super::units::bytes;
use super::{Failure, File, Outcome, Output, Wait};

/// Make a file shorter; give the space that it does not need back
///
/// Protected pages move to free places further down and keep their ids; then the end
/// of the file is cut off. It works in place, in small commits: whatever happens, the
/// file is whole, and the next call goes on. Regular pages are not moved, since their
/// numbers are their ids, and neither are pages of snapshots: what stands in the way
/// is named. Files of format 0 stay as long as they are: `pagebox upgrade` makes a copy
/// that can get shorter.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox compact data.pages
  pagebox compact data.pages --to 64MiB")]
pub(crate) struct Compact {
    #[command(flatten)]
    file: File,
    /// Stop where the file is this short; as short as can be unless given
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    to: Option<u64>,
}

impl Compact {
    pub(crate) fn run(&self, output: &mut Output, wait: Wait) -> Outcome {
        let path = &self.file.path;
        output.require()?;
        let mut pager = Engine::new()
            .and_then(|engine| wait.open(&engine, path))
            .map_err(Failure::of(path))?;
        let page_size = pager.page_size().bytes() as u64;
        let stats = pager.stats().map_err(Failure::of(path))?;
        let before = stats.page_count;
        let done = {
            let progress = Progress::new("compacting");
            let target = self.to.map_or(0, |to| to / page_size);
            pager
                .compact_with_progress(target, |done, total| progress.show(done, total))
                .map_err(Failure::of(path))?
        };
        if let Some(text) = self.missed(&done, before, page_size) {
            return Err(Failure::Request {
                path: path.clone(),
                text,
            });
        }
        output.done("it was made shorter all the same");
        let in_bytes = |pages: u64| size(u128::from(pages) * u128::from(page_size));
        let page_count = done.page_count;
        writeln!(
            output,
            "{}: {} given back, {} moved; it has {} ({}) now",
            shown(path),
            in_bytes(before.saturating_sub(page_count)),
            plural(done.moved, "page"),
            plural(page_count, "page"),
            in_bytes(page_count)
        )?;
        if let Some(obstacle) = &done.obstacle
            && *obstacle != Obstacle::Contents
        {
            let style = output.style(NOTE);
            writeln!(output, "{style}note{style:#}: {obstacle}")?;
        }
        Ok(())
    }

    /// Where a length was asked for that was not met: what stands in the way.
    fn missed(&self, done: &Compacted, before: u64, page_size: u64) -> Option<String> {
        let [before, now] = [before, done.page_count].map(|pages| pages.saturating_mul(page_size));
        let asked = self.to.filter(|to| now > *to)?;
        let [before, now, asked] = [before, now, asked].map(number);
        let why = match &done.obstacle {
            Some(obstacle) => obstacle.to_string(),
            None => "no file with pages of this size is shorter".into(),
        };
        Some(format!(
            "it had {before} bytes and has {now} now, not {asked}: {why}"
        ))
    }
}
