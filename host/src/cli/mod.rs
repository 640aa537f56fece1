//! The command line: what can be typed, and where it goes.
//!
//! Page data goes to standard output and comes from standard input; everything
//! else is for people, or JSON with `--json`. Errors are one line on standard
//! error. Exit codes: 0 done; 1 the request cannot be done; 2 usage; 3 the file
//! is corrupt or no page file; 4 the system failed. Where standard output
//! cannot be written the exit code is 4, whatever else was found.

mod backup;
mod check;
mod compact;
mod component;
mod copy;
mod create;
mod data;
mod decoder;
mod demo;
mod diff;
mod dump;
mod failure;
mod generate;
mod info;
mod list;
mod map;
mod output;
mod pages;
mod progress;
mod record;
mod repair;
mod run;
mod snapshot;
mod streams;
mod system;
mod units;
mod upgrade;
mod wait;

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstream::{AutoStream, ColorChoice};
use clap::{Args, Parser, Subcommand};
use pagebox::inspect::Summary;
use pagebox::{Engine, Error, Inspector};

use failure::Failure;
use output::Output;
use streams::complain_of;
use wait::Wait;

/// What every command comes to.
type Outcome = Result<(), Failure>;

const AFTER_HELP: &str = "\
Examples:
  pagebox create data.pages --page-size 4096
  id=$(pagebox alloc data.pages)
  echo hello | pagebox write data.pages $id
  pagebox read data.pages $id --len 6
  pagebox check data.pages

Exit codes:
  0  done
  1  the request cannot be done: no such page, file exists, file in use, full
  2  usage
  3  the file is corrupt or not a page file
  4  the system failed: input/output, disk full, sandbox";

/// Crash-consistent page files whose logic runs in a sandbox
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    wait: Wait,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Create),
    Info(info::Info),
    Alloc(pages::Alloc),
    Free(pages::Free),
    Read(data::Read),
    Write(data::Write),
    List(list::List),
    Check(check::Check),
    Copy(copy::Copy),
    Backup(backup::Backup),
    Compact(compact::Compact),
    Repair(repair::Repair),
    Upgrade(upgrade::Upgrade),
    Snapshot(snapshot::SnapshotCommand),
    Diff(diff::Diff),
    Map(map::Map),
    Demo(demo::Demo),
    Run(run::Run),
    Component(component::Component),
    Completions(generate::Completions),
    Man(generate::Man),
}

impl Command {
    /// Whether it makes files, which are not to stay behind if it is
    /// interrupted.
    fn makes_files(&self) -> bool {
        matches!(
            self,
            Self::Create(_)
                | Self::Copy(_)
                | Self::Backup(_)
                | Self::Repair(_)
                | Self::Upgrade(_)
                | Self::Demo(_)
        )
    }
}

/// The file that a command is about.
#[derive(Args, Debug)]
struct File {
    /// The page file, or the address of a store on object storage
    #[arg(value_name = "FILE")]
    path: PathBuf,
}

/// The state that a command shows.
#[derive(Args, Debug, Default)]
struct Shown {
    /// Show this snapshot instead of the committed state: its protected pages
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    snapshot: Option<String>,
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    system::ignore_file_size_signal();
    let mut output = Output::new();
    let outcome = match Cli::try_parse() {
        Ok(cli) => run(&cli, &mut output),
        Err(error) if error.use_stderr() => {
            let coloured = AutoStream::choice(&stderr()) != ColorChoice::Never;
            complain_of(&rendered(&error, coloured));
            return ExitCode::from(2);
        }
        // Help, and the version.
        Err(error) => {
            let text = rendered(&error, output.colour());
            output.write_all(text.as_bytes()).map_err(Failure::from)
        }
    };
    let outcome = match (outcome, output.flush()) {
        // Nor was damage told then.
        (Ok(()) | Err(Failure::Damage), Err(error)) => Err(error.into()),
        (outcome, _) => outcome,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(output.what_is_done()),
    }
}

/// What clap has to say.
fn rendered(error: &clap::Error, coloured: bool) -> String {
    let text = error.render();
    if coloured {
        text.ansi().to_string()
    } else {
        text.to_string()
    }
}

fn run(cli: &Cli, output: &mut Output) -> Outcome {
    if cli.command.makes_files() {
        // Before there are threads. Where it cannot be had, a signal may leave
        // something behind.
        let _ = system::end_after(|| {
            pagebox::remove_temporary_files();
            demo::remove_temporary_folder();
        });
    }
    let wait = cli.wait;
    match &cli.command {
        Command::Create(command) => command.run(output),
        Command::Info(command) => command.run(output),
        Command::Alloc(command) => command.run(output, wait),
        Command::Free(command) => command.run(output, wait),
        Command::Read(command) => command.run(output),
        Command::Write(command) => command.run(output, wait),
        Command::List(command) => command.run(output),
        Command::Check(command) => command.run(output),
        Command::Copy(command) => command.run(output, wait),
        Command::Backup(command) => command.run(output, wait),
        Command::Compact(command) => command.run(output, wait),
        Command::Repair(command) => command.run(output, wait),
        Command::Upgrade(command) => command.run(output, wait),
        Command::Snapshot(command) => command.run(output, wait),
        Command::Diff(command) => command.run(output),
        Command::Map(command) => command.run(output),
        Command::Demo(command) => command.run(output),
        Command::Run(command) => command.run(output, wait),
        Command::Component(command) => command.run(output),
        Command::Completions(command) => command.run(output),
        Command::Man(command) => command.run(output),
    }
}

/// Asks something about a file, whatever state it is in, if it is a page file.
/// The answer is of one state, also where somebody else writes to the file:
/// `f` is called again if it changed meanwhile.
/// Where a snapshot is named, it is about that.
fn inspect<R>(
    path: &Path,
    shown: &Shown,
    mut f: impl FnMut(&mut Inspector) -> Result<R, Error>,
) -> Result<(Summary, R), Failure> {
    let look = |inspector: &mut Inspector| {
        if let Some(name) = &shown.snapshot {
            inspector.show_snapshot(name)?;
        }
        let summary = inspector.summary()?;
        match summary.recovery.verdict.as_str() {
            "not-a-page-file" => {
                let text = summary.recovery.explanation;
                let text = text.strip_prefix("not a page file: ").unwrap_or(&text);
                Err(Error::NotAPageFile(text.to_owned()))
            }
            _ => Ok((summary, f(inspector)?)),
        }
    };
    Engine::new()
        .and_then(|engine| engine.inspect_with(path, look))
        .map(|(_, answer)| answer)
        .map_err(Failure::of(path))
}
