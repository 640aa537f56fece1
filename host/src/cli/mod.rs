//! The command line: what can be typed, and where it goes.
//!
//! Page data goes to standard output and comes from standard input; everything
//! else is for people, or JSON with `--json`. Errors are one line on standard
//! error. Exit codes: 0 done; 1 the request cannot be done; 2 usage; 3 the file
//! is corrupt or no page file; 4 the system failed.

mod check;
mod component;
mod create;
mod data;
mod demo;
mod dump;
mod failure;
mod generate;
mod info;
mod list;
mod map;
mod output;
mod pages;
mod repair;
mod run;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use pagebox::inspect::Summary;
use pagebox::{Engine, Error, Inspector};

use failure::Failure;
use output::Output;

/// What every command comes to.
type Outcome = Result<(), Failure>;

const AFTER_HELP: &str = "\
Examples:
  pagebox create data.pages --page-size 4096
  pagebox alloc data.pages --count 3
  echo hello | pagebox write data.pages 3
  pagebox read data.pages 3 --len 6
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
    Repair(repair::Repair),
    Map(map::Map),
    Demo(demo::Demo),
    Run(run::Run),
    Component(component::Component),
    Completions(generate::Completions),
    Man(generate::Man),
}

/// The file that a command is about.
#[derive(Args, Debug)]
struct File {
    /// The page file
    #[arg(value_name = "FILE")]
    path: PathBuf,
}

/// Runs the program.
pub(crate) fn main() -> ExitCode {
    let command = Cli::parse().command;
    let mut output = Output::new();
    let outcome = run(&command, &mut output);
    let printed = output.flush().map_err(Failure::from);
    match outcome.and(printed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(command: &Command, output: &mut Output) -> Outcome {
    match command {
        Command::Create(command) => command.run(output),
        Command::Info(command) => command.run(output),
        Command::Alloc(command) => command.run(output),
        Command::Free(command) => command.run(output),
        Command::Read(command) => command.run(output),
        Command::Write(command) => command.run(output),
        Command::List(command) => command.run(output),
        Command::Check(command) => command.run(output),
        Command::Repair(command) => command.run(output),
        Command::Map(command) => command.run(output),
        Command::Demo(command) => command.run(output),
        Command::Run(command) => command.run(output),
        Command::Component(command) => command.run(output),
        Command::Completions(command) => command.run(output),
        Command::Man(command) => command.run(output),
    }
}

/// Asks something about a file, whatever state it is in, if it is a page file.
/// The answer is of one state, also where somebody else writes to the file:
/// `f` is called again if it changed meanwhile.
fn inspect<R>(
    path: &Path,
    mut f: impl FnMut(&mut Inspector) -> Result<R, Error>,
) -> Result<(Summary, R), Failure> {
    let look = |inspector: &mut Inspector| {
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
