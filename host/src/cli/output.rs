//! Standard output, and how names and numbers are written there.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use pagebox::shown_address;
use serde::Serialize;

use super::streams::Stream;
use super::system::Standard;

/// Standard output, in large pieces. A reader who has seen enough and went away
/// is no error: what follows goes nowhere.
pub(crate) struct Output {
    stream: BufWriter<Stream>,
    colour: bool,
    closed: bool,
    /// What is written is needed: a reader who goes away is an error.
    needed: bool,
    done: Option<String>,
}

impl Output {
    pub(crate) fn new() -> Self {
        let colour = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
        Self {
            stream: BufWriter::with_capacity(1 << 16, Stream::new(Standard::Output)),
            colour,
            closed: false,
            needed: false,
            done: None,
        }
    }

    /// Whether colours are wanted.
    pub(crate) fn colour(&self) -> bool {
        self.colour
    }

    /// That it can be written, as far as that is known before: for commands
    /// that change something, to be asked before they do.
    pub(crate) fn require(&self) -> io::Result<()> {
        self.stream.get_ref().require_writable(self.needed)
    }

    /// The same for what must not be lost: that nobody reads it is an error
    /// from now on.
    pub(crate) fn require_reader(&mut self) -> io::Result<()> {
        self.needed = true;
        self.require()
    }

    /// Notes what has been done, and stays so, if no more can be written.
    pub(crate) fn done(&mut self, what: impl Into<String>) {
        self.done = Some(what.into());
    }

    /// What was noted last.
    pub(crate) fn what_is_done(&self) -> Option<&str> {
        self.done.as_deref()
    }

    /// A style, or none where colours are not wanted.
    pub(crate) fn style(&self, style: Style) -> Style {
        if self.colour { style } else { Style::new() }
    }

    /// Columns that a line may take.
    pub(crate) fn width() -> usize {
        terminal_size::terminal_size_of(io::stdout()).map_or(80, |(width, _)| width.0.into())
    }

    /// A value as JSON, in a line.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self, value)?;
        writeln!(self)
    }

    /// A line of a table: a name, and what there is to say.
    pub(crate) fn row(&mut self, name: &str, value: impl fmt::Display) -> io::Result<()> {
        let style = self.style(QUIET);
        writeln!(self, "{style}{name:<14}{style:#}{value}")
    }
}

impl Output {
    fn may_miss(&self, error: &io::Error) -> bool {
        error.kind() == ErrorKind::BrokenPipe && !self.needed
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.closed {
            match self.stream.write(bytes) {
                Err(error) if self.may_miss(&error) => self.closed = true,
                result => return result,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.closed {
            match self.stream.flush() {
                Err(error) if self.may_miss(&error) => self.closed = true,
                result => return result,
            }
        }
        Ok(())
    }
}

/// What matters most.
pub(crate) const STRONG: Style = Style::new().bold();
/// What only leads the eye.
pub(crate) const QUIET: Style = Style::new().dimmed();
/// All is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Something to know.
pub(crate) const NOTE: Style = AnsiColor::Cyan.on_default().bold();
/// Something unproven.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Damage.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();

/// A path in one line, whatever is in its name.
pub(crate) fn shown(path: &Path) -> String {
    if path.as_os_str().is_empty() {
        return "a file without a name".into();
    }
    if let Some(address) = shown_address(path) {
        return legible(&address);
    }
    legible(&path.display().to_string())
}

/// A text of others, with nothing in it that would steer a terminal.
pub(crate) fn legible(text: &str) -> String {
    text.chars().map(printable).collect()
}

/// A character, or the replacement character where it would steer a terminal.
fn printable(char: char) -> char {
    if char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
        char::REPLACEMENT_CHARACTER
    } else {
        char
    }
}

/// Ascending numbers as runs: `3-5`, `7`.
pub(crate) fn runs(numbers: &[u64]) -> impl Iterator<Item = String> {
    numbers
        .chunk_by(|number, next| number + 1 == *next)
        .map(|run| match run {
            [first, .., last] => format!("{first}-{last}"),
            _ => run[0].to_string(),
        })
}

/// A number with its thousands apart: `32,544`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 page`, `2 pages`.
pub(crate) fn plural(count: u64, thing: &str) -> String {
    format!(
        "{} {thing}{}",
        number(count),
        if count == 1 { "" } else { "s" }
    )
}

/// Bytes in the unit that suits them: `4 KiB`, `127.1 MiB`.
pub(crate) fn size(bytes: u128) -> String {
    let mut unit = "bytes";
    let mut divisor = 1;
    for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        if bytes / divisor < 1024 {
            break;
        }
        (unit, divisor) = (next, divisor * 1024);
    }
    let tenths = bytes % divisor * 10 / divisor;
    match tenths {
        0 => format!("{} {unit}", bytes / divisor),
        _ => format!("{}.{tenths} {unit}", bytes / divisor),
    }
}

/// A part of a whole in percent: `62.5 %`.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let whole = u128::from(whole.max(1));
    let tenths = (u128::from(part) * 1000 + whole / 2) / whole;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// Bytes in hexadecimal: `00 1f`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect::<Vec<_>>()
        .join(" ")
}
