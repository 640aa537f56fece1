//! `pagebox diff`: what changed between two states.

use std::io::{self, Write};

use clap::Args;
use pagebox::{ChangedPage, Engine, Error, Pager, ProtectedId, View};
use serde::Serialize;

use super::output::{ERROR, GOOD, NOTE, STRONG, number, plural};
use super::{Failure, File, Outcome, Output};

/// Show which protected pages changed since a snapshot
///
/// Compares two snapshots, or a snapshot with the committed state: the ids of
/// protected pages that were added, removed and changed, and how many of their
/// bytes. What both have in common is not read, so that it takes as long as much
/// changed. Takes no lock. The exit code is 0, whether there are differences or
/// not.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox diff data.pages monday
  pagebox diff data.pages monday tuesday
  pagebox diff data.pages monday --json")]
pub(crate) struct Diff {
    #[command(flatten)]
    file: File,
    /// The snapshot to compare with
    #[arg(value_name = "BEFORE", allow_hyphen_values = true)]
    before: String,
    /// Another snapshot; the committed state unless given
    #[arg(value_name = "AFTER", allow_hyphen_values = true)]
    after: Option<String>,
    /// JSON, for programs
    #[arg(long)]
    json: bool,
}

/// A page that differs.
#[derive(Debug, Serialize)]
struct Difference {
    id: ProtectedId,
    /// `added`, `removed` or `changed`.
    change: &'static str,
    /// How many of its bytes are others; of a page that is in one state only, all.
    bytes: usize,
    /// The first and the last of them.
    first: usize,
    last: usize,
}

impl Diff {
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        let path = &self.file.path;
        let differences = Engine::new()
            .and_then(|engine| engine.read_with(path, |pager| self.differences(pager)))
            .map_err(Failure::of(path))?;
        if self.json {
            output.json(&differences)?;
        } else {
            print(output, &differences)?;
        }
        Ok(())
    }

    fn differences(&self, pager: &Pager) -> Result<Vec<Difference>, Error> {
        let after = self.after.as_deref();
        let states = States {
            pager,
            before: pager.snapshot(&self.before)?,
            after: after.map(|name| pager.snapshot(name)).transpose()?,
        };
        let changes = pager.changes(Some(&self.before), after);
        changes.map(|page| states.compare(&page?)).collect()
    }
}

/// Two states to read from.
struct States<'p> {
    pager: &'p Pager,
    before: View,
    /// None: the committed state.
    after: Option<View>,
}

impl States<'_> {
    fn compare(&self, page: &ChangedPage) -> Result<Difference, Error> {
        let mut bytes = [const { Vec::new() }; 2];
        let len = self.pager.page_size().bytes();
        if page.before.is_some() {
            bytes[0] = vec![0; len];
            self.before.read_protected(page.id, 0, &mut bytes[0])?;
        }
        if page.after.is_some() {
            bytes[1] = vec![0; len];
            match &self.after {
                Some(after) => after.read_protected(page.id, 0, &mut bytes[1])?,
                None => self.pager.read_protected(page.id, 0, &mut bytes[1])?,
            }
        }
        let [before, after] = bytes;
        let all = 0..len;
        let others: Vec<usize> = all.filter(|&at| before.get(at) != after.get(at)).collect();
        Ok(Difference {
            id: page.id,
            change: match (page.before, page.after) {
                (None, _) => "added",
                (_, None) => "removed",
                _ => "changed",
            },
            bytes: others.len(),
            first: others.first().copied().unwrap_or(0),
            last: others.last().copied().unwrap_or(0),
        })
    }
}

fn print(output: &mut Output, differences: &[Difference]) -> io::Result<()> {
    for difference in differences {
        let (sign, style) = match difference.change {
            "added" => ('+', GOOD),
            "removed" => ('-', ERROR),
            _ => ('~', NOTE),
        };
        let style = output.style(style);
        write!(output, "{style}{sign}{style:#} {:>8}", difference.id)?;
        if difference.change == "changed" {
            write!(
                output,
                "  {} from {} to {}",
                plural(difference.bytes as u64, "byte"),
                difference.first,
                difference.last
            )?;
        }
        writeln!(output)?;
    }
    let count = |change| {
        let of_it = differences.iter().filter(|it| it.change == change);
        number(of_it.count() as u64)
    };
    let style = output.style(STRONG);
    writeln!(
        output,
        "{style}{}{style:#}: {} added, {} removed, {} changed",
        plural(differences.len() as u64, "difference"),
        count("added"),
        count("removed"),
        count("changed")
    )
}
