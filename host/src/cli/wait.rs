//! `--wait`: files that somebody else has open to write.

use std::time::{Duration, Instant};

use clap::Args;
use pagebox::Error;

use super::units::seconds;

/// How long a command waits.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// Wait for a file that is in use, this long at most; 0: not at all
    #[arg(long = "wait", value_name = "SECONDS", default_value = "2")]
    #[arg(global = true, value_parser = seconds)]
    time: Duration,
}

/// From one attempt to the next: short ones first, for short commands.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);

impl Wait {
    /// Does what needs a file, and again while that is in use.
    pub(crate) fn wait<R>(self, mut work: impl FnMut() -> Result<R, Error>) -> Result<R, Error> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match work() {
                Err(Error::Locked { .. } | Error::Busy) if start.elapsed() < self.time => {
                    std::thread::sleep(pause.min(self.time.saturating_sub(start.elapsed())));
                    pause = (pause * 2).min(LAST_PAUSE);
                }
                result => return result,
            }
        }
    }
}
