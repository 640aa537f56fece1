//! `pagebox run`: a program that uses page files, in any language, in a
//! sandbox of its own.

#[cfg(feature = "run")]
mod grants;
#[cfg(feature = "run")]
mod limits;
#[cfg(feature = "run")]
mod program;
#[cfg(feature = "run")]
mod recorded;
#[cfg(feature = "run")]
mod wit;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::{Outcome, Output, Wait, units};

/// Run a program that uses page files
///
/// The program is a WebAssembly component of the world `application`, made in
/// any language. It can use the page files that it is granted by name, standard
/// input and output, clocks and random numbers. It sees no paths, folders,
/// environment or network.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox create messages.pages
  pagebox run queue.wasm --store queue=messages.pages -- push hello world
  pagebox run queue.wasm --store queue=messages.pages -- pop
  pagebox run queue.wasm --store queue=messages.pages --record queue=pop.trace -- pop
  pagebox-viewer pop.trace

A program that crashes leaves its page files as of their last commit, and in its
traces all that it wrote.")]
pub(crate) struct Run {
    /// The program
    #[arg(value_name = "APP.wasm")]
    app: PathBuf,
    /// A page file to grant, and the name that the program knows it by; it is
    /// locked while the program runs
    #[arg(long = "store", value_name = "NAME=FILE", value_parser = OsStringValueParser::new().try_map(named))]
    #[arg(allow_hyphen_values = true)]
    stores: Vec<Named>,
    /// A page file to grant for reading only, without a lock
    #[arg(long = "read-only-store", value_name = "NAME=FILE", value_parser = OsStringValueParser::new().try_map(named))]
    #[arg(allow_hyphen_values = true)]
    read_only_stores: Vec<Named>,
    /// Record each write and sync to the page file granted as NAME in this new file,
    /// until the program ends or crashes: pagebox-viewer shows what a power loss at
    /// any moment of it can leave
    #[arg(long = "record", value_name = "NAME=TRACE", value_parser = OsStringValueParser::new().try_map(named_trace))]
    #[arg(allow_hyphen_values = true)]
    records: Vec<Named>,
    /// The most memory that it may have; KiB, MiB and GiB are understood
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = memory)]
    max_memory: usize,
    /// End it after so many seconds; without this it may run for ever
    #[arg(long, value_name = "SECONDS", value_parser = timeout)]
    timeout: Option<Duration>,
    /// Arguments of the program
    #[arg(last = true)]
    args: Vec<String>,
}

/// A file, and the name that a program knows it by.
#[derive(Clone, Debug)]
#[cfg_attr(not(feature = "run"), expect(dead_code, reason = "nothing runs"))]
struct Named {
    name: String,
    path: PathBuf,
}

impl Run {
    #[cfg(feature = "run")]
    pub(crate) fn run(&self, output: &mut Output, wait: Wait) -> Outcome {
        // The program prints to the same stream.
        output.require()?;
        // What it prints comes after what was printed here.
        std::io::Write::flush(output)?;
        program::run(self, wait)
    }

    /// Programs are compiled when they start: that takes a compiler.
    #[cfg(not(feature = "run"))]
    pub(crate) fn run(&self, _: &mut Output, _: Wait) -> Outcome {
        Err(super::Failure::Request {
            path: self.app.clone(),
            text: "this pagebox was built without `run`: \
                   `cargo install --path host --features run` builds one with it"
                .into(),
        })
    }
}

/// Names are text; files are called as they are.
#[expect(clippy::needless_pass_by_value, reason = "as `try_map` calls it")]
fn named(text: OsString) -> Result<Named, &'static str> {
    split(&text).ok_or("a name, = and a file are expected: queue=messages.pages")
}

/// The same, of what is recorded.
#[expect(clippy::needless_pass_by_value, reason = "as `try_map` calls it")]
fn named_trace(text: OsString) -> Result<Named, &'static str> {
    split(&text).ok_or("the name of a store, = and a new file are expected: queue=pop.trace")
}

/// The file is all that follows the first `=`.
fn split(text: &OsStr) -> Option<Named> {
    #[cfg(unix)]
    let (name, path) = {
        use std::os::unix::ffi::OsStrExt;
        let bytes = text.as_bytes();
        let at = bytes.iter().position(|byte| *byte == b'=')?;
        let name = std::str::from_utf8(&bytes[..at]).ok()?;
        (name, OsStr::from_bytes(&bytes[at + 1..]))
    };
    #[cfg(not(unix))]
    let (name, path) = text
        .to_str()?
        .split_once('=')
        .map(|(name, path)| (name, OsStr::new(path)))?;
    (!name.is_empty() && !path.is_empty()).then(|| Named {
        name: name.into(),
        path: path.into(),
    })
}

fn memory(text: &str) -> Result<usize, String> {
    usize::try_from(units::bytes(text)?)
        .map_err(|_| "that is more than this machine can address".into())
}

fn timeout(text: &str) -> Result<Duration, String> {
    match units::seconds(text) {
        Ok(Duration::ZERO) => Err("a number of seconds above 0 is expected".into()),
        time => time,
    }
}
