//! Other languages, with their real tools: programs that use page files, hosts
//! that embed the component, and the guide that leads to both.
//!
//! The tools are large. `.ci/install-languages` installs them; where they are
//! missing, these tests say so in one line and pass, unless
//! `PAGEBOX_REQUIRE_LANGUAGES=1`.

mod contract;
#[cfg(feature = "compile")]
mod decoders;
mod guide;
mod hosts;
mod javascript;
mod misbehaving;
mod misuse;
mod package;
mod programs;
mod states;
mod table;
mod tools;
mod views;
