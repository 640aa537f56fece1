//! A bar for what takes a while.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error, where that is a terminal, gone when it is dropped.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// `what` is being done: `checking`.
    pub(crate) fn new(what: &str) -> Self {
        // It draws nothing where standard error is no terminal.
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = format!("{what} {{wide_bar}} {{percent:>3}} %, {{eta}} left");
        bar.set_style(ProgressStyle::with_template(&style).unwrap_or(ProgressStyle::default_bar()));
        Self(bar)
    }

    /// So much is done, of so much.
    pub(crate) fn show(&self, done: u64, total: u64) {
        if self.0.elapsed() > Duration::from_millis(200) {
            self.0.set_length(total);
            self.0.set_position(done);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
