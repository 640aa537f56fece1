//! The program `pagebox`, started as a user would start it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commands;
mod damage;
mod errors;
#[cfg(unix)]
mod hardened;
mod looks;
mod peer;
mod readme;
mod run;
