//! `pagebox info`.

use std::io::{self, Write};
use std::path::Path;

use clap::Args;
use pagebox::inspect::{Step, Summary};
use pagebox::report;

use super::output::{GOOD, NOTE, STRONG, WARNING, hex, number, percent, plural, shown, size};
use super::{File, Outcome, Output, Shown, inspect};

/// Show the figures of a file, and what recovery decides about it
///
/// Takes no lock, and works on damaged files as far as their bytes allow.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox info data.pages
  pagebox info data.pages --json")]
pub(crate) struct Info {
    #[command(flatten)]
    file: File,
    #[command(flatten)]
    shown: Shown,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

impl Info {
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        let (summary, info) = inspect(&self.file.path, &self.shown, report::Info::of)?;
        if self.json {
            output.json(&info)?;
        } else {
            print(output, &self.file.path, &summary, &info, &self.shown)?;
        }
        Ok(())
    }
}

/// Writes a summary for people.
pub(crate) fn print(
    output: &mut Output,
    path: &Path,
    summary: &Summary,
    info: &report::Info,
    state: &Shown,
) -> io::Result<()> {
    let pages = |count: u64| size(u128::from(count) * u128::from(summary.page_size));
    let known = |count: Option<u64>| count.map_or_else(|| UNKNOWN.to_owned(), number);
    let style = output.style(STRONG);
    writeln!(output, "{style}{}{style:#}\n", shown(path))?;
    if let Some(name) = &state.snapshot {
        output.row("snapshot", name)?;
    }
    output.row("format", &summary.format)?;
    output.row("page size", plural(summary.page_size.into(), "byte"))?;
    match summary.page_count {
        Some(count) => output.row(
            "page count",
            format_args!("{} ({})", number(count), pages(count)),
        )?,
        None => output.row("page count", UNKNOWN)?,
    }
    output.row("in the file", in_the_file(summary))?;
    print_pages(output, summary, info, state)?;
    output.row("generation", known(summary.generation))?;
    if !info.roots.is_empty() {
        output.row("counts", info.roots.join(", "))?;
    }
    output.row(
        "limits",
        format_args!(
            "{} ({}), {}",
            plural(summary.page_limit, "page"),
            pages(summary.page_limit),
            plural(summary.protected_limit, "protected page")
        ),
    )?;
    print_recovery(output, summary)
}

/// What pages there are of each sort; of a snapshot only protected ones are known.
fn print_pages(
    output: &mut Output,
    summary: &Summary,
    info: &report::Info,
    state: &Shown,
) -> io::Result<()> {
    let known = |count: Option<u64>| count.map_or_else(|| UNKNOWN.to_owned(), number);
    if state.snapshot.is_some() {
        // What else there is, nobody knows of it.
        return output.row("protected", known(summary.protected_pages));
    }
    match (summary.free_pages, summary.page_count) {
        (Some(free), Some(count)) => output.row(
            "free",
            format_args!(
                "{} ({}){}",
                number(free),
                percent(free, count),
                scattered(info)
            ),
        )?,
        _ => output.row("free", UNKNOWN)?,
    }
    output.row("regular", known(summary.regular_pages))?;
    output.row(
        "protected",
        format_args!("{}{}", known(summary.protected_pages), room(summary)),
    )?;
    output.row(
        "internal",
        format_args!(
            "{}: the pager's own, and those of protected pages",
            known(summary.internal_pages)
        ),
    )?;
    output.row("snapshots", known(summary.snapshots))
}

/// How the free pages lie, to go on with.
fn scattered(info: &report::Info) -> String {
    match (info.free_runs, info.longest_free_run) {
        (Some(runs @ 1..), Some(longest)) => format!(
            ", in {}, the longest of {}",
            plural(runs, "run"),
            plural(longest, "page")
        ),
        _ => String::new(),
    }
}

/// How many protected pages more there is room for without growth, to go on with.
fn room(summary: &Summary) -> String {
    let (Some(count), Some(capacity), Some(free)) = (
        summary.protected_pages,
        summary.protected_capacity,
        summary.free_pages,
    ) else {
        return String::new();
    };
    let left = capacity.saturating_sub(count);
    // In format 0 each takes two pages, and a slot of the directory, which grows by a
    // block where it has none left.
    let pairs = summary.format.starts_with("0.").then_some(free / 2);
    match pairs {
        Some(pairs) if pairs <= left => format!(", room for {} more", number(pairs)),
        Some(_) => format!(", slots for {} more", number(left)),
        None => format!(", room for {} more", number(left)),
    }
}

/// In place of a figure that the file's bytes do not say.
const UNKNOWN: &str = "not known";

fn in_the_file(summary: &Summary) -> String {
    let pages = number(summary.file_pages);
    match summary.tail {
        0 => pages,
        tail => format!("{pages}, and {} of another", plural(tail.into(), "byte")),
    }
}

fn print_recovery(output: &mut Output, summary: &Summary) -> io::Result<()> {
    let recovery = &summary.recovery;
    let style = output.style(match recovery.verdict.as_str() {
        "clean" => GOOD,
        "rolled-back" | "rolled-forward" => NOTE,
        _ => WARNING,
    });
    let verdict = format!("{style}{}{style:#}", recovery.verdict);
    output.row(
        "recovery",
        format_args!("{verdict}: {}", recovery.explanation),
    )?;
    if recovery.verdict != "clean" {
        for step in &recovery.steps {
            output.row("", step_text(step))?;
        }
    }
    Ok(())
}

fn step_text(step: &Step) -> String {
    let Step {
        rule,
        text,
        page,
        offset,
        evidence,
    } = step;
    match page {
        Some(page) if !evidence.is_empty() => {
            format!(
                "{rule}  {text} (page {page}, offset {offset}: {})",
                hex(evidence)
            )
        }
        Some(page) => format!("{rule}  {text} (page {page})"),
        None => format!("{rule}  {text}"),
    }
}
