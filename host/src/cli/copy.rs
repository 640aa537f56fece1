//! `pagebox copy`.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use pagebox::Engine;

use super::output::{WARNING, shown, size};
use super::progress::Progress;
use super::{Failure, File, Outcome, Output, Wait};

/// Copy a file, even one that is in use
///
/// What `cp` makes of a file that a program is changing is a mixture of states;
/// this copy has one committed state, wholly. Its holes stay holes, and nobody
/// may read it who may not read the file. After a crash there is no copy, or
/// the whole of it. A damaged file is copied as it is, and the exit code is 3.
///
/// Between files and stores on object storage, both ways, the copy is read back
/// and compared.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox copy data.pages backup.pages
  pagebox copy data.pages backup.pages --wait 60
  pagebox copy data.pages slatedb+s3://bucket/data")]
pub(crate) struct Copy {
    #[command(flatten)]
    file: File,
    /// The copy, a file or the address of a store; there must be no such one yet
    #[arg(value_name = "OUTPUT")]
    output: PathBuf,
}

impl Copy {
    pub(crate) fn run(&self, output: &mut Output, wait: Wait) -> Outcome {
        let path = &self.file.path;
        output.require()?;
        let copied = {
            let progress = Progress::new("copying");
            Engine::new()
                .and_then(|engine| {
                    wait.wait(|| {
                        engine.copy_with_progress(path, &self.output, |done, total| {
                            progress.show(done, total);
                        })
                    })
                })
                .map_err(Failure::of(path))?
        };
        let copy = shown(&self.output);
        output.done("the copy was made all the same");
        let bytes = size(copied.bytes.into());
        writeln!(output, "made {copy}: a copy of {} ({bytes})", shown(path))?;
        let Some(damage) = copied.damage else {
            return Ok(());
        };
        let style = output.style(WARNING);
        writeln!(
            output,
            "{style}damaged{style:#}, as the file is: {damage}: `pagebox check` shows the \
             evidence, `pagebox repair` makes a mended copy"
        )?;
        Err(Failure::Damage)
    }
}
