//! What a program may use: memory, and time.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use wasmtime::{Engine, ResourceLimiter, bail};

use super::super::output::size;
use super::super::streams::complain;

/// Entries that the tables of a program may have: a few bytes each.
const TABLE: usize = 1 << 20;

/// How long a program that is out of time may stay in a call to the host, such
/// as reading a terminal, which cannot be interrupted.
const GRACE: Duration = Duration::from_secs(1);

/// The memory of all the parts of a program, taken together.
pub(super) struct Memory {
    used: usize,
    allowed: usize,
}

impl Memory {
    pub(super) fn new(allowed: usize) -> Self {
        Self { used: 0, allowed }
    }
}

impl ResourceLimiter for Memory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let used = self.used.saturating_add(desired - current);
        if used > self.allowed {
            let allowed = size(self.allowed as u128);
            bail!("it needs more than {allowed} of memory: `--max-memory` allows more");
        }
        self.used = used;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _: usize,
        desired: usize,
        _: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE)
    }
}

/// Interrupts the programs of an engine when `time` has passed, unless the
/// sender is dropped before. Where the program does not react, `end` ends the
/// process.
pub(super) fn watch(
    engine: &Engine,
    time: Duration,
    end: impl FnOnce() + Send + 'static,
) -> std::io::Result<Sender<()>> {
    let (sender, receiver) = mpsc::channel();
    let engine = engine.clone();
    std::thread::Builder::new()
        .name("pagebox-timeout".into())
        .spawn(move || {
            let passed = |time| receiver.recv_timeout(time) == Err(RecvTimeoutError::Timeout);
            if passed(time) {
                engine.increment_epoch();
                if passed(GRACE) {
                    complain(format_args!("the program was ended: {}", out_of_time(time)));
                    end();
                }
            }
        })?;
    Ok(sender)
}

pub(super) fn out_of_time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    format!("it took longer than {seconds} s: `--timeout` allows more")
}
