//! [`Driver`]: where futures run for callers that know none, each within a deadline.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::timeout;

use crate::Error;

/// Threads of a store's own: one may wait for a disk or be busy with a compaction
/// while the other talks to the server.
const THREADS: usize = 2;

/// A runtime of a store's own. Calls wait for it in their own thread, also where
/// that thread belongs to another runtime.
pub(crate) struct Driver {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
    timeout: Duration,
}

impl Driver {
    pub(crate) fn new(timeout: Duration) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("pagebox-slatedb")
            .enable_all()
            .build()
            .map_err(|error| Error::Other(format!("no threads for a store: {error}")))?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
            timeout,
        })
    }

    /// What a future comes to, if it does so in time.
    pub(crate) fn call<T>(
        &self,
        future: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        // The future starts tasks and timers: they belong to the store's runtime.
        let _guard = self.handle.enter();
        let within = async { timeout(self.timeout, future).await };
        wait(within).unwrap_or(Err(Error::NoAnswer(self.timeout)))
    }

    /// Lets a future run beside.
    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(future);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Waiting for its tasks would block, and panic inside another runtime.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future in this thread. A runtime's own `block_on` panics in a thread
/// of another one, and others refuse to be nested.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
