//! [`SharedPager`]: one pager for many threads and tasks.
//!
//! Readers share the pager. What changes it is asked of one thread, the
//! committer, which commits together what waits at the same time. Nobody waits
//! for a moment that may bring more company: a group is what came while the
//! last one was on its way to the disk.

mod committer;
mod promise;
mod request;
#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use crate::shared::committer::Queue;
use crate::shared::promise::Promise;
use crate::shared::request::{Exclusive, InTransaction, Request};
use crate::{Error, Pager, Transaction};

#[cfg(feature = "async")]
pub use promise::Pending;

/// A [`Pager`] that threads and tasks share. Clones are handles on the same
/// pager; the file is closed when the last one is dropped, after all that was
/// asked for is done.
///
/// Requests that wait at the same time are committed together, in two syncs,
/// and each gets its own result. One that fails leaves no trace and does not
/// touch the others.
///
/// ```
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// # let engine = pagebox::Engine::new()?;
/// let pager = pagebox::SharedPager::new(engine.create(&path, pagebox::PageSize::KIB_4)?)?;
/// std::thread::scope(|scope| {
///     for n in 0..8 {
///         let pager = pager.clone();
///         scope.spawn(move || {
///             pager.transact(move |tx| {
///                 let id = tx.alloc_protected()?;
///                 tx.write(id)?[0] = n;
///                 Ok(id)
///             })
///         });
///     }
/// });
/// assert_eq!(pager.read().stats()?.protected_pages, 8);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct SharedPager(Arc<Handle>);

/// What the handles share.
#[derive(Debug)]
struct Handle {
    pager: Arc<RwLock<Pager>>,
    queue: Arc<Queue>,
    committer: Option<JoinHandle<()>>,
}

/// A pager to be read, by any number of threads at once. Nothing is committed
/// as long as one lives.
#[derive(Debug)]
pub struct ReadGuard<'s>(RwLockReadGuard<'s, Pager>);

impl Deref for ReadGuard<'_> {
    type Target = Pager;

    fn deref(&self) -> &Pager {
        &self.0
    }
}

impl SharedPager {
    /// Shares a pager, and starts the thread that commits.
    ///
    /// # Errors
    /// [`Error::Other`] if the system starts no thread.
    pub fn new(pager: Pager) -> Result<Self, Error> {
        let pager = Arc::new(RwLock::new(pager));
        let queue = Arc::new(Queue::default());
        let committer = std::thread::Builder::new()
            .name("pagebox-committer".into())
            .spawn({
                let (pager, queue) = (pager.clone(), queue.clone());
                move || committer::run(&pager, &queue)
            })
            .map_err(|error| Error::Other(format!("no thread can be started: {error}")))?;
        Ok(Self(Arc::new(Handle {
            pager,
            queue,
            committer: Some(committer),
        })))
    }

    /// The pager, to be read. Waits for the commit that is under way, if there
    /// is one.
    pub fn read(&self) -> ReadGuard<'_> {
        let guard = self.0.pager.read();
        ReadGuard(guard.unwrap_or_else(PoisonError::into_inner))
    }

    /// The same without waiting; none: there is a commit under way.
    pub fn try_read(&self) -> Option<ReadGuard<'_>> {
        match self.0.pager.try_read() {
            Ok(guard) => Some(ReadGuard(guard)),
            Err(std::sync::TryLockError::Poisoned(guard)) => Some(ReadGuard(guard.into_inner())),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }

    /// Makes changes durable: all that `f` makes or, if it fails, none. They
    /// may be committed together with those of others, of which `f` may see
    /// the pages that they wrote before.
    ///
    /// `f` may be called again, where others' changes had to be undone: it
    /// should do nothing but use the transaction.
    ///
    /// # Errors
    /// What `f` returns, and the errors of [`Transaction::commit`]. If a group
    /// fails to commit, all in it get the same error.
    ///
    /// # Panics
    /// If `f` does: what it did is undone.
    pub fn transact<R, F>(&self, f: F) -> Result<R, Error>
    where
        R: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<R, Error> + Send + 'static,
    {
        self.submit_transaction(f).wait()
    }

    /// Does something with the pager that nobody else may do anything with
    /// meanwhile: change regular pages in place, sync, reopen.
    ///
    /// # Panics
    /// If `f` does.
    pub fn with<R, F>(&self, f: F) -> R
    where
        R: Send + 'static,
        F: FnOnce(&mut Pager) -> R + Send + 'static,
    {
        self.submit_exclusive(f).wait()
    }

    /// [`transact`](Self::transact) for tasks. The request is made when this
    /// is called; dropping the future does not take it back. It needs no
    /// particular runtime, and polling it never blocks.
    #[cfg(feature = "async")]
    pub fn transact_async<R, F>(&self, f: F) -> Pending<Result<R, Error>>
    where
        R: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<R, Error> + Send + 'static,
    {
        Pending::new(self.submit_transaction(f))
    }

    /// [`with`](Self::with) for tasks, on the same terms as
    /// [`transact_async`](Self::transact_async).
    #[cfg(feature = "async")]
    pub fn with_async<R, F>(&self, f: F) -> Pending<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Pager) -> R + Send + 'static,
    {
        Pending::new(self.submit_exclusive(f))
    }

    fn submit_transaction<R, F>(&self, f: F) -> Promise<Result<R, Error>>
    where
        R: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<R, Error> + Send + 'static,
    {
        let (request, promise) = InTransaction::new(f);
        self.0.queue.push(Request::Transaction(Box::new(request)));
        promise
    }

    fn submit_exclusive<R, F>(&self, f: F) -> Promise<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Pager) -> R + Send + 'static,
    {
        let (request, promise) = Exclusive::new(f);
        self.0.queue.push(Request::Exclusive(Box::new(request)));
        promise
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(committer) = self.committer.take() {
            // The last handle may have been in a request.
            if committer.thread().id() != std::thread::current().id() {
                let _ = committer.join();
            }
        }
    }
}
