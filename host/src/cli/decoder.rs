//! `--decoder`: loading what knows the pages of a program, and what it says of one.

use std::io::{self, Write as _};
use std::path::Path;

use pagebox::decode::{Decode, Decoded, Field, Target};

use super::output::{ERROR, QUIET, legible, number};
use super::{Failure, Output};

/// Reads and compiles a decoder.
#[cfg(feature = "compile")]
pub(crate) fn load(path: &Path) -> Result<impl Decode + use<>, Failure> {
    use std::time::Duration;

    use pagebox::{Limits, decode::Decoder};

    let wasm = std::fs::read(path).map_err(Failure::reading(path))?;
    let mut limits = Limits::default();
    // How long it may compute at each page. It is asked about many.
    limits.time = Duration::from_secs(1);
    Decoder::new(&wasm, limits).map_err(Failure::of(path))
}

/// Decoders are compiled when they are loaded: that takes a compiler.
#[cfg(not(feature = "compile"))]
pub(crate) fn load(path: &Path) -> Result<impl Decode + use<>, Failure> {
    enum Absent {}

    impl Decode for Absent {
        fn name(&self) -> &str {
            match *self {}
        }

        fn decode(
            &self,
            _: &[u8],
            _: pagebox::decode::At,
        ) -> Result<Option<Decoded>, pagebox::Error> {
            match *self {}
        }
    }

    Err::<Absent, _>(Failure::Request {
        path: path.to_owned(),
        text: "this pagebox was built without `run`, whose compiler decoders need: \
               `cargo install --path host --features run` builds one with it"
            .into(),
    })
}

/// Writes what a decoder makes of a page: its fields in the order of their bytes.
pub(crate) fn print(output: &mut Output, decoded: &Decoded) -> io::Result<()> {
    let kind = legible(&decoded.kind);
    writeln!(output, "{} ({kind})", legible(&decoded.title))?;
    if !decoded.summary.is_empty() {
        writeln!(output, "{}", legible(&decoded.summary))?;
    }
    let mut fields: Vec<&Field> = decoded.fields.iter().collect();
    fields.sort_by_key(|field| field.offset);
    let names = fields
        .iter()
        .map(|field| legible(&field.name).chars().count());
    let width = names.max().unwrap_or(0).min(32);
    for field in fields {
        let place = match field.len {
            0 => String::new(),
            len => format!("{} + {}", number(field.offset.into()), number(len.into())),
        };
        let (name, value) = (legible(&field.name), legible(&field.value));
        write!(output, "{place:>14}  {name:<width$}  {value}")?;
        match field.refers_to {
            Some(Target::Page(page)) => write!(output, " -> page {}", number(page))?,
            Some(Target::Protected(id)) => write!(output, " -> protected page {}", number(id))?,
            None => {}
        }
        if !field.meaning.is_empty() {
            let quiet = output.style(QUIET);
            write!(output, "  {quiet}{}{quiet:#}", legible(&field.meaning))?;
        }
        if !field.problem.is_empty() {
            let style = output.style(ERROR);
            write!(output, "  {style}{}{style:#}", legible(&field.problem))?;
        }
        writeln!(output)?;
    }
    Ok(())
}
