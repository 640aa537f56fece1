//! `pagebox check`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use pagebox::Engine;
use pagebox::inspect::Severity;
use pagebox::report::{self, Decoding, Found};

use super::output::{ERROR, GOOD, NOTE, QUIET, WARNING, hex, legible, number, plural, shown};
use super::progress::Progress;
use super::{Failure, File, Outcome, Output, Shown};

/// Check all of a file; say what is wrong
///
/// Takes no lock and changes nothing. The exit code is 3 where there is damage,
/// and where a decoder finds something wrong or fails.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox check data.pages
  pagebox check data.pages --json
  pagebox check messages.pages --decoder queue_decoder.wasm")]
pub(crate) struct Check {
    #[command(flatten)]
    file: File,
    #[command(flatten)]
    shown: Shown,
    /// Ask this page decoder, a WebAssembly component of the world `page-decoder`,
    /// what is wrong in the pages of your program
    #[arg(long, value_name = "DECODER.wasm")]
    decoder: Option<PathBuf>,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        let path = &self.file.path;
        let snapshot = self.shown.snapshot.as_deref();
        let check = match &self.decoder {
            None => check(path, snapshot)?,
            Some(decoder) => decoded(path, snapshot, decoder)?,
        };
        if self.json {
            output.json(&check)?;
        } else {
            print(output, path, &check)?;
        }
        if check.is_sound() {
            Ok(())
        } else {
            Err(Failure::Damage)
        }
    }
}

/// Checks a file, and asks a decoder about its pages.
fn decoded(path: &Path, snapshot: Option<&str>, decoder: &Path) -> Result<report::Check, Failure> {
    let decoder = super::decoder::load(decoder)?;
    let mut found = check(path, snapshot)?;
    let progress = Progress::new("decoding");
    Engine::new()
        .and_then(|engine| {
            found.decode(&engine, path, snapshot, &decoder, |done, total| {
                progress.show(done, total);
            })
        })
        .map_err(Failure::of(path))?;
    Ok(found)
}

/// Checks a file, with a progress bar on a terminal where it takes a while.
pub(crate) fn check(path: &Path, snapshot: Option<&str>) -> Result<report::Check, Failure> {
    let progress = Progress::new("checking");
    Engine::new()
        .and_then(|engine| {
            report::Check::of_state(&engine, path, snapshot, |done, total| {
                progress.show(done, total);
            })
        })
        .map_err(Failure::of(path))
}

/// Writes what was found for people: by severity, then by kind.
pub(crate) fn print(output: &mut Output, path: &Path, check: &report::Check) -> io::Result<()> {
    let name = shown(path);
    let pages = plural(check.pages, "page");
    for severity in [Severity::Error, Severity::Warning, Severity::Info] {
        let mut found: Vec<_> = check
            .findings
            .iter()
            .filter(|found| found.severity == severity)
            .collect();
        // A stable sort: of one kind they stay in the order of the file.
        found.sort_by_key(|found| &found.id);
        for alike in found.chunk_by(|one, next| one.id == next.id) {
            print_alike(output, alike)?;
        }
    }
    if let Some(decoded) = &check.decoded {
        print_decoded(output, decoded)?;
    }
    if check.is_sound() {
        let style = output.style(GOOD);
        write!(output, "{style}OK{style:#}: {name}: {pages} checked")?;
    } else {
        let style = output.style(ERROR);
        write!(output, "{style}NOT OK{style:#}: {name}: {pages} checked")?;
    }
    let counts = [
        (check.errors, "error"),
        (check.warnings, "warning"),
        (check.infos, "note"),
    ];
    for (count, thing) in counts.into_iter().filter(|(count, _)| *count > 0) {
        write!(output, ", {}", plural(count as u64, thing))?;
    }
    if check.findings.is_empty() {
        write!(output, ", nothing found")?;
    }
    writeln!(output)
}

/// Writes findings of one kind: where each of them is, then what they mean.
fn print_alike(output: &mut Output, alike: &[&Found]) -> io::Result<()> {
    let [first, ..] = alike else { return Ok(()) };
    let (style, word) = match first.severity {
        Severity::Error => (ERROR, "error"),
        Severity::Warning => (WARNING, "warning"),
        Severity::Info => (NOTE, "note"),
    };
    let (style, quiet) = (output.style(style), output.style(QUIET));
    writeln!(output, "{style}{word}{style:#} {}", first.id)?;
    for found in alike {
        match found.page {
            Some(page) => write!(output, "  page {page}, offset {}: ", found.offset)?,
            None => write!(output, "  ")?,
        }
        writeln!(output, "{}", legible(&found.message))?;
        if !found.evidence.is_empty() {
            writeln!(
                output,
                "    {quiet}bytes{quiet:#}   {}",
                hex(&found.evidence)
            )?;
        }
    }
    let meaning = legible(&first.meaning);
    writeln!(output, "    {quiet}meaning{quiet:#} {meaning}")?;
    writeln!(output, "    {quiet}remedy{quiet:#}  {}\n", first.remedy)
}

/// What a decoder made of the pages, in a line: how many of each kind.
fn print_decoded(output: &mut Output, decoded: &Decoding) -> io::Result<()> {
    let style = output.style(QUIET);
    let pages = plural(decoded.pages, "page");
    let (name, known) = (legible(&decoded.decoder), number(decoded.known));
    write!(
        output,
        "{style}decoder{style:#} {name}: knows {known} of {pages}"
    )?;
    for (place, each) in decoded.kinds.iter().enumerate() {
        let before = if place == 0 { ": " } else { ", " };
        let (count, kind) = (number(each.count), legible(&each.kind));
        write!(output, "{before}{count} {kind}")?;
    }
    if decoded.given_up {
        write!(
            output,
            "; not asked about the rest, since it failed too often"
        )?;
    }
    writeln!(output)
}
