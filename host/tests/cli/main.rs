//! The program `pagebox`, started as a user would start it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod addresses;
mod backups;
mod commands;
mod compact;
mod copy;
mod damage;
mod decoders;
mod errors;
#[cfg(unix)]
mod hardened;
#[cfg(unix)]
mod limits;
mod looks;
#[cfg(unix)]
mod names;
mod peer;
mod readme;
#[cfg(feature = "run")]
mod recorded;
mod run;
mod snapshots;
#[cfg(unix)]
mod streams;
mod upgrade;
mod wait;
