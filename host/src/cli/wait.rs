//! `--wait` and `--take-over`: files that somebody else has open to write.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use pagebox::{Engine, Error, Pager};

use super::output::shown;
use super::streams::complain;
use super::units::seconds;

/// How long a command waits.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// Wait for a file that is in use, this long at most; 0: not at all
    #[arg(long = "wait", value_name = "SECONDS", default_value = "2")]
    #[arg(global = true, value_parser = seconds)]
    time: Duration,
    /// End whoever has a store on object storage open, and open it: its next commit
    /// fails. Also where a writer ended without closing it
    #[arg(long, global = true)]
    take_over: bool,
}

/// From one attempt to the next: short ones first, for short commands.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);

impl Wait {
    /// Opens a file or a store to write, when nobody else has it open. Whom it ended
    /// it says on standard error.
    pub(crate) fn open(self, engine: &Engine, path: &Path) -> Result<Pager, Error> {
        if !self.take_over {
            return self.wait(|| engine.open(path));
        }
        let (pager, ended) = self.wait(|| engine.take_over(path))?;
        if let Some(ended) = ended {
            complain(format_args!("{}: taken over from {ended}", shown(path)));
        }
        Ok(pager)
    }

    /// Does what needs a file, and again while that is in use.
    pub(crate) fn wait<R>(self, mut work: impl FnMut() -> Result<R, Error>) -> Result<R, Error> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match work() {
                Err(Error::Locked { .. } | Error::Held { .. } | Error::Busy)
                    if start.elapsed() < self.time =>
                {
                    std::thread::sleep(pause.min(self.time.saturating_sub(start.elapsed())));
                    pause = (pause * 2).min(LAST_PAUSE);
                }
                result => return result,
            }
        }
    }
}
