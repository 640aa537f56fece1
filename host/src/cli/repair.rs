//! `pagebox repair`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use pagebox::Engine;

use super::output::{ERROR, GOOD, plural, shown};
use super::{Failure, File, Outcome, Output, Wait};

/// Make a mended copy of a damaged file
///
/// All that can be proven good is kept, nothing is invented, and what was lost
/// is said. The file itself stays as it is. A sound file is copied exactly.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox repair data.pages --output mended.pages
  pagebox check mended.pages")]
pub(crate) struct Repair {
    #[command(flatten)]
    file: File,
    /// The copy; there must be no such file yet
    #[arg(long, short, value_name = "COPY", allow_hyphen_values = true)]
    output: PathBuf,
}

impl Repair {
    pub(crate) fn run(&self, output: &mut Output, wait: Wait) -> Outcome {
        let path = &self.file.path;
        output.require()?;
        let actions = Engine::new()
            .and_then(|engine| wait.wait(|| engine.repair(path, &self.output)))
            .map_err(Failure::of(path))?;
        output.done("the copy was made all the same");
        let (good, bad) = (output.style(GOOD), output.style(ERROR));
        for action in &actions {
            if action.lost {
                writeln!(output, "{bad}lost{bad:#}    {}", action.text)?;
            } else {
                writeln!(output, "{good}mended{good:#}  {}", action.text)?;
            }
        }
        let copy = shown(&self.output);
        let lost = actions.iter().filter(|action| action.lost).count() as u64;
        match (actions.len(), lost) {
            (0, _) => writeln!(output, "{copy}: an exact copy, there was nothing to mend")?,
            (_, 0) => writeln!(output, "{copy}: mended, nothing was lost")?,
            _ => writeln!(output, "{copy}: mended, {} not kept", plural(lost, "thing"))?,
        }
        Ok(())
    }
}
