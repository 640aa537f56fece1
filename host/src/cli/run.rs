//! `pagebox run`: a program that uses page files, in any language, in a
//! sandbox of its own.

#[cfg(feature = "run")]
mod grants;
#[cfg(feature = "run")]
mod limits;
#[cfg(feature = "run")]
mod program;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Outcome, Output};

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

A program that crashes leaves its page files as of their last commit.")]
pub(crate) struct Run {
    /// The program
    #[arg(value_name = "APP.wasm")]
    app: PathBuf,
    /// A page file to grant, and the name that the program knows it by; it is
    /// locked while the program runs
    #[arg(long = "store", value_name = "NAME=FILE", value_parser = named)]
    stores: Vec<Named>,
    /// A page file to grant for reading only, without a lock
    #[arg(long = "read-only-store", value_name = "NAME=FILE", value_parser = named)]
    read_only_stores: Vec<Named>,
    /// The most memory that it may have; KiB, MiB and GiB are understood
    #[arg(long, value_name = "BYTES", default_value = "512MiB", value_parser = memory)]
    max_memory: usize,
    /// End it after so many seconds; without this it may run for ever
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
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
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        // What the program prints comes after what was printed here.
        std::io::Write::flush(output)?;
        program::run(self)
    }

    /// Programs are compiled when they start: that takes a compiler.
    #[cfg(not(feature = "run"))]
    pub(crate) fn run(&self, _: &mut Output) -> Outcome {
        Err(super::Failure::Request {
            path: self.app.clone(),
            text: "this pagebox was built without `run`: \
                   `cargo install --path host --features run` builds one with it"
                .into(),
        })
    }
}

fn named(text: &str) -> Result<Named, String> {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok(Named {
            name: name.into(),
            path: path.into(),
        }),
        _ => Err("a name, = and a file are expected: queue=messages.pages".into()),
    }
}

fn memory(text: &str) -> Result<usize, String> {
    let (number, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    let shift = match unit {
        "" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err("bytes, or a number with KiB, MiB or GiB are expected".into()),
    };
    let number: usize = number
        .parse()
        .map_err(|_| "a number of bytes is expected".to_owned())?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "that is more than this machine can address".into())
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "a number of seconds above 0 is expected".into())
}
