//! `pagebox list`.

use std::io::{self, Write};

use clap::Args;
use pagebox::PageId;
use pagebox::report::{Listing, Protected};

use super::output::{QUIET, STRONG, WARNING, plural, runs, shown};
use super::streams::complain;
use super::{File, Outcome, Output, Shown, inspect};

/// List the regular and the protected pages
///
/// Takes no lock, and works on damaged files as far as their bytes allow.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox list data.pages
  pagebox list data.pages --json")]
pub(crate) struct List {
    #[command(flatten)]
    file: File,
    #[command(flatten)]
    shown: Shown,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

impl List {
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        let path = &self.file.path;
        let (summary, listing) = inspect(path, &self.shown, Listing::of)?;
        if self.json {
            output.json(&listing)?;
        } else {
            print_regular(output, &listing.regular)?;
            print_protected(output, &listing.protected)?;
        }
        if summary.recovery.verdict == "damaged" {
            output.flush()?;
            complain(format_args!(
                "{}: the file is damaged, there may be more: `pagebox check` shows the evidence",
                shown(path)
            ));
        }
        Ok(())
    }
}

fn print_regular(output: &mut Output, pages: &[PageId]) -> io::Result<()> {
    let style = output.style(STRONG);
    writeln!(
        output,
        "{style}{}{style:#}",
        plural(pages.len() as u64, "regular page")
    )?;
    let width = Output::width();
    let mut line = String::new();
    let numbers: Vec<u64> = pages.iter().map(|id| id.get()).collect();
    for text in runs(&numbers) {
        if !line.is_empty() && line.len() + text.len() + 3 > width {
            writeln!(output, "  {line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&text);
    }
    if !line.is_empty() {
        writeln!(output, "  {line}")?;
    }
    Ok(())
}

fn print_protected(output: &mut Output, pages: &[Protected]) -> io::Result<()> {
    let style = output.style(STRONG);
    writeln!(
        output,
        "{style}{}{style:#}",
        plural(pages.len() as u64, "protected page")
    )?;
    if pages.is_empty() {
        return Ok(());
    }
    let quiet = output.style(QUIET);
    writeln!(
        output,
        "{quiet}{:>8}  {:>12}  {:>12}  {:>10}{quiet:#}",
        "id", "page", "other pages", "generation"
    )?;
    let warning = output.style(WARNING);
    for page in pages {
        let Protected {
            id,
            page,
            others,
            generation,
            problem,
            ..
        } = page;
        let place = page.map_or_else(|| "zeros".to_owned(), |page| page.to_string());
        let others: Vec<_> = others.iter().map(u64::to_string).collect();
        let others = others.join(" ");
        write!(
            output,
            "{id:>8}  {place:>12}  {others:>12}  {generation:>10}"
        )?;
        if !problem.is_empty() {
            write!(output, "  {warning}{problem}{warning:#}")?;
        }
        writeln!(output)?;
    }
    Ok(())
}
