//! Lines for whoever reads them. That nobody does, or that there is no room
//! for them, stops nothing: what the program is for is in the browser.

use std::{
    fmt::Display,
    io::{self, Write},
};

/// A line on standard output.
pub(crate) fn line(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// What went wrong, on standard error.
pub(crate) fn problem(text: impl Display) {
    let _ = writeln!(io::stderr(), "error: {text}");
}
