//! `pagebox snapshot`: states that have a name.

use std::fmt::Display;
use std::io::Write;
use std::path::Path;

use clap::{Args, Subcommand};
use pagebox::{Engine, Error, Snapshot};
use serde::Serialize;

use super::output::{QUIET, STRONG, number, plural, shown};
use super::{Failure, File, Outcome, Output, Wait};

/// Keep states of the protected pages under names, and go back to them
///
/// A snapshot is a committed state of all protected pages. Making one copies
/// nothing: what is changed later goes to other pages anyway, and the old ones are
/// kept until the snapshot is deleted. Regular pages are changed in place, so no
/// snapshot has them. Files of format 0 have no snapshots: `pagebox upgrade` makes
/// a copy that can.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox snapshot create data.pages monday
  pagebox snapshot list data.pages
  pagebox read data.pages 0 --protected --snapshot monday
  pagebox diff data.pages monday
  pagebox snapshot restore data.pages monday
  pagebox snapshot delete data.pages monday")]
pub(crate) struct SnapshotCommand {
    #[command(subcommand)]
    action: Action,
}

/// The snapshot that a command is about.
#[derive(Args, Debug)]
struct Named {
    #[command(flatten)]
    file: File,
    /// The snapshot
    #[arg(value_name = "NAME", allow_hyphen_values = true)]
    name: String,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Give the committed state a name
    ///
    /// Durable when it returns. A name has 1 to 64 bytes, and no snapshot of the
    /// file may have it already; a file has at most 32,767 snapshots.
    Create(Named),
    /// List the snapshots, oldest first
    ///
    /// With the pages that each has alone: what deleting it gives back. Takes no
    /// lock.
    List {
        #[command(flatten)]
        file: File,
        /// JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Delete snapshots; give their pages back
    ///
    /// One after the other, each durable when its line is printed.
    Delete {
        #[command(flatten)]
        file: File,
        /// The snapshots
        #[arg(value_name = "NAME", required = true, allow_hyphen_values = true)]
        names: Vec<String>,
    },
    /// Give every protected page the bytes that it had in a snapshot
    ///
    /// In one commit, all or nothing. Protected pages that the snapshot has not
    /// are freed. All snapshots stay, also newer ones; regular pages stay as they
    /// are. To be able to come back, make a snapshot of the present state first.
    Restore(Named),
}

/// A snapshot in a listing.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    snapshot: Snapshot,
    /// Pages that it has alone.
    pages: u64,
}

impl SnapshotCommand {
    pub(crate) fn run(&self, output: &mut Output, wait: Wait) -> Outcome {
        match &self.action {
            Action::Create(named) => create(output, wait, named),
            Action::List { file, json } => list(output, &file.path, *json),
            Action::Delete { file, names } => delete(output, wait, &file.path, names),
            Action::Restore(named) => restore(output, wait, named),
        }
    }
}

fn create(output: &mut Output, wait: Wait, named: &Named) -> Outcome {
    let Named { file, name } = named;
    let path = &file.path;
    output.require()?;
    let snapshot = Engine::new()
        .and_then(|engine| wait.open(&engine, path))
        .and_then(|mut pager| pager.create_snapshot(name))
        .map_err(Failure::of(path))?;
    output.done("the snapshot was made all the same");
    writeln!(
        output,
        "made snapshot {name} of {}: generation {}",
        shown(path),
        number(snapshot.generation)
    )?;
    Ok(())
}

fn list(output: &mut Output, path: &Path, json: bool) -> Outcome {
    let snapshots = Engine::new()
        .and_then(|engine| {
            engine.read_with(path, |pager| {
                let snapshots = pager.snapshots()?.into_iter();
                let listed = snapshots.map(|snapshot| {
                    let pages = pager.snapshot_pages(&snapshot.name)?;
                    Ok(Listed { snapshot, pages })
                });
                listed.collect::<Result<Vec<_>, Error>>()
            })
        })
        .map_err(Failure::of(path))?;
    if json {
        output.json(&snapshots)?;
        return Ok(());
    }
    let style = output.style(STRONG);
    let count = plural(snapshots.len() as u64, "snapshot");
    writeln!(output, "{style}{count}{style:#}")?;
    if snapshots.is_empty() {
        return Ok(());
    }
    let quiet = output.style(QUIET);
    writeln!(
        output,
        "{quiet}{:<20}  {:>12}  {:>14}  name{quiet:#}",
        "made", "generation", "pages alone"
    )?;
    for Listed { snapshot, pages } in &snapshots {
        writeln!(
            output,
            "{:<20}  {:>12}  {:>14}  {}",
            time(snapshot),
            number(snapshot.generation),
            number(*pages),
            snapshot.name
        )?;
    }
    Ok(())
}

/// When a snapshot was made.
fn time(snapshot: &Snapshot) -> impl Display {
    humantime::format_rfc3339_seconds(snapshot.made())
}

fn delete(output: &mut Output, wait: Wait, path: &Path, names: &[String]) -> Outcome {
    output.require()?;
    let mut pager = Engine::new()
        .and_then(|engine| wait.open(&engine, path))
        .map_err(Failure::of(path))?;
    // What cannot be done is said before anything is.
    let snapshots = pager.snapshots().map_err(Failure::of(path))?;
    let missing = |name: &&String| snapshots.iter().all(|it| it.name != **name);
    if let Some(name) = names.iter().find(missing) {
        return Err(Failure::of(path)(Error::NoSnapshot(name.clone())));
    }
    for (number_of, name) in names.iter().enumerate() {
        if names[..number_of].contains(name) {
            continue;
        }
        let pages = pager.delete_snapshot(name).map_err(Failure::of(path))?;
        output.done(format!("snapshot {name} was deleted all the same"));
        let freed = plural(pages, "page");
        writeln!(output, "deleted snapshot {name}: {freed} given back")?;
    }
    Ok(())
}

fn restore(output: &mut Output, wait: Wait, named: &Named) -> Outcome {
    let Named { file, name } = named;
    let path = &file.path;
    output.require()?;
    let changed = Engine::new()
        .and_then(|engine| wait.open(&engine, path))
        .and_then(|mut pager| pager.restore_snapshot(name))
        .map_err(Failure::of(path))?;
    output.done("it was restored all the same");
    let changed = plural(changed, "protected page");
    writeln!(
        output,
        "restored snapshot {name} of {}: {changed} changed",
        shown(path)
    )?;
    Ok(())
}
