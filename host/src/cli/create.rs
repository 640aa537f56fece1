//! `pagebox create`.

use std::io::Write;

use clap::Args;
use pagebox::{Engine, Format, NewFile, PageSize};

use super::output::{plural, shown};
use super::units;
use super::{Failure, File, Outcome, Output};

/// Make a new page file
///
/// After a crash there is no file of that name, or the whole of it. A file that
/// exists already stays as it is.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox create data.pages
  pagebox create big.pages --page-size 64KiB --pages 10000
  pagebox create old.pages --format 0")]
pub(crate) struct Create {
    #[command(flatten)]
    file: File,
    /// Bytes in a page: a power of two from 1024 to 1048576; KiB and MiB are
    /// understood
    #[arg(long, value_name = "BYTES", default_value = "4096", value_parser = page_size)]
    page_size: PageSize,
    /// Room for at least so many pages, the pager's own ones included; the fewest
    /// that there can be, unless given. They take room on the disk at once, so that
    /// a full disk is no surprise later
    #[arg(long, value_name = "N")]
    pages: Option<u64>,
    /// The format: 1, for files of any size and commits with one sync, or 0, which
    /// mappedpages reads and writes too
    #[arg(long, value_name = "FORMAT", default_value_t)]
    format: Format,
}

impl Create {
    fn new_file(&self) -> NewFile {
        NewFile {
            format: self.format,
            page_count: self.pages.unwrap_or(0),
        }
    }

    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        let path = &self.file.path;
        output.require()?;
        let pager = Engine::new()
            .and_then(|engine| engine.create_with(path, self.page_size, self.new_file()))
            .map_err(Failure::of(path))?;
        output.done("the file was made all the same");
        let stats = pager.stats().map_err(Failure::of(path))?;
        let pages = plural(stats.page_count, "page");
        let bytes = plural(stats.page_size.into(), "byte");
        let format = self.format;
        writeln!(
            output,
            "made {}: format {format}, {pages} of {bytes}",
            shown(path)
        )?;
        Ok(())
    }
}

fn page_size(text: &str) -> Result<PageSize, String> {
    let bytes = u32::try_from(units::bytes(text)?).map_err(|_| "it must be at most 1048576")?;
    PageSize::from_bytes(bytes).map_err(|error| error.to_string())
}
