//! `pagebox alloc` and `pagebox free`.

use std::io::Write;

use clap::Args;
use pagebox::{Engine, Error};

use super::output::plural;
use super::{Failure, File, Outcome, Output};

/// Allocate pages; print their ids
///
/// All of them in one commit, durable when the ids are printed, one a line. The
/// pages read as zeros.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox alloc data.pages
  pagebox alloc data.pages --count 100
  id=$(pagebox alloc data.pages --protected)")]
pub(crate) struct Alloc {
    #[command(flatten)]
    file: File,
    /// How many pages
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Protected pages: they change atomically, and are checked when read
    #[arg(long)]
    protected: bool,
}

impl Alloc {
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        let ids = self.alloc().map_err(Failure::of(&self.file.path))?;
        for id in ids {
            writeln!(output, "{id}")?;
        }
        Ok(())
    }

    fn alloc(&self) -> Result<Vec<u64>, Error> {
        let mut pager = Engine::new()?.open(&self.file.path)?;
        let mut tx = pager.begin()?;
        let ids = if self.protected {
            tx.alloc_protected_many(self.count)?
        } else {
            tx.alloc_many(self.count)?
        };
        tx.commit()?;
        Ok(ids)
    }
}

/// Free pages, all or nothing
///
/// All of them in one commit. If one of them cannot be freed none is.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox free data.pages 3 4 5
  pagebox free data.pages --protected 0")]
pub(crate) struct Free {
    #[command(flatten)]
    file: File,
    /// The pages
    #[arg(value_name = "ID", required = true)]
    ids: Vec<u64>,
    /// The ids are those of protected pages
    #[arg(long)]
    protected: bool,
}

impl Free {
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        self.free().map_err(Failure::of(&self.file.path))?;
        let kind = if self.protected {
            "protected page"
        } else {
            "page"
        };
        writeln!(output, "freed {}", plural(self.ids.len() as u64, kind))?;
        Ok(())
    }

    fn free(&self) -> Result<(), Error> {
        let mut pager = Engine::new()?.open(&self.file.path)?;
        let mut tx = pager.begin()?;
        if self.protected {
            tx.free_protected_many(&self.ids)?;
        } else {
            tx.free_many(&self.ids)?;
        }
        tx.commit()?;
        Ok(())
    }
}
