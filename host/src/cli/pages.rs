//! `pagebox alloc` and `pagebox free`.

use std::io::Write;

use clap::Args;
use pagebox::{PageId, ProtectedId};

use super::output::{plural, runs};
use super::record::Record;
use super::{Failure, File, Outcome, Output, Wait};

/// Allocate pages; print their ids
///
/// All of them in one commit, durable when the ids are printed, one a line. The
/// pages read as zeros. Nothing is allocated where it is known before that the
/// ids cannot be printed; where that shows only then, the error names them.
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
    #[command(flatten)]
    record: Record,
}

impl Alloc {
    pub(crate) fn run(&self, output: &mut Output, wait: Wait) -> Outcome {
        // Ids that nobody gets to know are pages that are lost.
        output.require_reader()?;
        let ids = self.alloc(wait)?;
        let all = runs(&ids).collect::<Vec<_>>().join(" ");
        output.done(format!("allocated all the same: {all}"));
        for id in ids {
            writeln!(output, "{id}")?;
        }
        Ok(())
    }

    fn alloc(&self, wait: Wait) -> Result<Vec<u64>, Failure> {
        self.record.change(&self.file.path, wait, |pager| {
            let mut tx = pager.begin()?;
            let ids = if self.protected {
                let ids = tx.alloc_protected_many(self.count)?;
                ids.into_iter().map(ProtectedId::get).collect()
            } else {
                let ids = tx.alloc_many(self.count)?;
                ids.into_iter().map(PageId::get).collect()
            };
            tx.commit()?;
            Ok(ids)
        })
    }
}

/// Free pages, all or nothing
///
/// All of them in one commit. If one of them cannot be freed none is.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox free data.pages 15 16 17
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
    #[command(flatten)]
    record: Record,
}

impl Free {
    pub(crate) fn run(&self, output: &mut Output, wait: Wait) -> Outcome {
        output.require()?;
        self.free(wait)?;
        output.done("they are free all the same");
        let kind = if self.protected {
            "protected page"
        } else {
            "page"
        };
        writeln!(output, "freed {}", plural(self.ids.len() as u64, kind))?;
        Ok(())
    }

    fn free(&self, wait: Wait) -> Result<(), Failure> {
        self.record.change(&self.file.path, wait, |pager| {
            let mut tx = pager.begin()?;
            if self.protected {
                let ids = self.ids.iter().copied().map(ProtectedId::new);
                tx.free_protected_many(&ids.collect::<Vec<_>>())?;
            } else {
                let ids = self.ids.iter().copied().map(PageId::new);
                tx.free_many(&ids.collect::<Vec<_>>())?;
            }
            tx.commit()?;
            Ok(())
        })
    }
}
