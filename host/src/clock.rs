//! The clock by which the time of guests is measured: a thread that moves it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wasmtime::EngineWeak;

use crate::owner::Owner;

/// How many ticks of the clock a call may take.
pub(crate) const TICKS: u64 = 8;

/// The ticks so far.
pub(crate) type Clock = Arc<AtomicU64>;

/// The thread that moves a clock, and with it the epochs of engines. It ends
/// when this is dropped.
pub(crate) struct Ticking {
    clock: Clock,
    engines: Arc<Mutex<Vec<EngineWeak>>>,
    /// None only once it is dropped.
    alive: Option<Sender<()>>,
    owner: Owner,
}

impl Ticking {
    /// `TICKS` ticks in `time`.
    pub(crate) fn start(engine: &wasmtime::Engine, time: Duration) -> std::io::Result<Self> {
        let (alive, receiver) = mpsc::channel();
        let clock = Clock::default();
        let engines = Arc::new(Mutex::new(vec![engine.weak()]));
        let (all, ticks) = (engines.clone(), clock.clone());
        let period = time / u32::try_from(TICKS).unwrap_or(u32::MAX);
        // No thread is to do nothing else.
        let period = period.max(Duration::from_millis(1));
        std::thread::Builder::new()
            .name("pagebox-clock".into())
            .spawn(move || {
                while receiver.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
                    ticks.fetch_add(1, Ordering::Relaxed);
                    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
                    let alive = all.iter().filter_map(EngineWeak::upgrade);
                    alive.for_each(|engine| engine.increment_epoch());
                }
            })?;
        Ok(Self {
            clock,
            engines,
            alive: Some(alive),
            owner: Owner::here(),
        })
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whose it is. In a child that was forked there is no such thread.
    pub(crate) fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Interrupts the guests of another engine too.
    pub(crate) fn add(&self, engine: &wasmtime::Engine) {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.push(engine.weak());
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        // Nobody ticks in a child that was forked, and to tell a thread that is
        // not there may be to wait for it.
        if !self.owner.is_here() {
            std::mem::forget(self.alive.take());
        }
    }
}
