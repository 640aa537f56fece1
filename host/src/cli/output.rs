//! Standard output, and how names and numbers are written there.

use std::fmt;
use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};
use std::path::Path;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use serde::Serialize;

/// Standard output, in large pieces. A reader who has seen enough and went away
/// is no error: what follows goes nowhere.
pub(crate) struct Output {
    stream: BufWriter<StdoutLock<'static>>,
    colour: bool,
    closed: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        let stdout = io::stdout();
        let colour = AutoStream::choice(&stdout) != ColorChoice::Never;
        Self {
            stream: BufWriter::with_capacity(1 << 16, stdout.lock()),
            colour,
            closed: false,
        }
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

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.closed {
            match self.stream.write(bytes) {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.closed = true,
                result => return result,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.closed {
            match self.stream.flush() {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => self.closed = true,
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
    path.display().to_string().chars().map(printable).collect()
}

/// A character, or the replacement character where it would steer a terminal.
fn printable(char: char) -> char {
    if char.is_control() || matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
        char::REPLACEMENT_CHARACTER
    } else {
        char
    }
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
