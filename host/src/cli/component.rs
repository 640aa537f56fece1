//! `pagebox component`.

use std::io::{IsTerminal, Write, stdout};
use std::path::PathBuf;

use clap::Args;

use super::{Failure, Outcome, Output};

/// Print the pager component, for hosts in other languages
///
/// It is WebAssembly that imports `pagebox:pager/page-store` and nothing else.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox component > pager.wasm")]
pub(crate) struct Component {}

impl Component {
    #[expect(clippy::unused_self, reason = "as all commands")]
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        if stdout().is_terminal() {
            return Err(Failure::Request {
                path: PathBuf::from("component"),
                text: "it is not for terminals: `pagebox component > pager.wasm`".into(),
            });
        }
        output.write_all(pagebox::COMPONENT)?;
        Ok(())
    }
}
