//! [`SharedPager`]: one pager for many threads and tasks.
//!
//! Readers share the pager. Of those that change it, the one that finds nobody
//! at work is the committer, on its own thread: it commits what it asks for, and
//! then together what others asked for meanwhile. Nobody waits for a moment that
//! may bring more company: a group is what came while the last one was on its
//! way to the disk.

mod borrowed;
mod committer;
mod contain;
mod door;
mod promise;
mod queue;
mod request;
#[cfg(test)]
mod tests;

use std::ops::Deref;
use std::sync::Arc;
#[cfg(any(test, feature = "async"))]
use std::sync::{Mutex, PoisonError};
#[cfg(any(test, feature = "async"))]
use std::thread::JoinHandle;

use crate::owner::Owner;
use crate::shared::door::{Door, Reading};
use crate::shared::promise::promise;
use crate::shared::queue::Queue;
use crate::shared::request::{InTransaction, Request, call};
use crate::{Error, Pager, Transaction, View};

#[cfg(any(test, feature = "async"))]
use crate::shared::{promise::Promise, request::Exclusive};
#[cfg(feature = "async")]
use crate::shared::{queue::WAITING_MAX, request::is_in_closure};

#[cfg(feature = "async")]
pub use promise::Pending;

/// A [`Pager`] that threads and tasks share. Clones are handles on the same
/// pager; the file is closed when the last one is dropped, after all that was
/// asked for is done.
///
/// Requests that wait at the same time become durable together, with the syncs
/// of one, and each gets its own result. One that fails leaves no trace and does
/// not touch the others. A panic of one is its caller's alone; one that comes out
/// of the store while a group is committed is an error for all in it, after
/// which the pager has to be [reopened](Pager::reopen), by
/// [`with`](Self::with).
///
/// Nothing waits for itself. A thread that holds a [`ReadGuard`] can read again,
/// but what it asks for cannot be done before it drops the guard; what a
/// request's closure asks for cannot be done before the closure returns. Where
/// a call returns a `Result` that is [`Error::WaitsForItself`], else a panic
/// with the same text. What nobody can see from here is a task that holds a
/// guard while it awaits a request, or a thread with a guard that waits for
/// another one which makes a request: drop guards first.
///
/// After a fork it is the parent's: a child gets [`Error::Forked`], by the same
/// rule.
///
/// ```
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// # let engine = pagebox::Engine::new()?;
/// let pager = pagebox::SharedPager::new(engine.create(&path, pagebox::PageSize::KIB_4)?);
/// std::thread::scope(|scope| {
///     for n in 0..8 {
///         let pager = &pager;
///         scope.spawn(move || {
///             pager.transact(|tx| {
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
    door: Arc<Door>,
    queue: Arc<Queue>,
    /// The thread that serves tasks, once there are any.
    #[cfg(any(test, feature = "async"))]
    committer: Mutex<Option<JoinHandle<()>>>,
    owner: Owner,
}

/// A pager to be read, by any number of threads at once. Nothing is committed
/// as long as one lives.
#[derive(Debug)]
pub struct ReadGuard<'s>(Reading<'s>);

impl Deref for ReadGuard<'_> {
    type Target = Pager;

    fn deref(&self) -> &Pager {
        &self.0
    }
}

impl SharedPager {
    /// Shares a pager. No thread is started, but for tasks.
    #[must_use]
    pub fn new(pager: Pager) -> Self {
        let owner = Owner::here();
        Self(Arc::new(Handle {
            door: Arc::new(Door::new(pager, owner.clone())),
            queue: Arc::default(),
            #[cfg(any(test, feature = "async"))]
            committer: Mutex::default(),
            owner,
        }))
    }

    /// The pager, to be read. Waits for the commit that is under way, if there
    /// is one, and never for a second one. A thread that has a guard gets
    /// another without waiting.
    ///
    /// # Panics
    /// In the closure of a request while it is served, and in a forked process,
    /// where it would wait for ever.
    pub fn read(&self) -> ReadGuard<'_> {
        self.try_read().unwrap_or_else(|| {
            if let Err(error) = self.0.may_wait() {
                panic!("{error}");
            }
            ReadGuard(self.0.door.read())
        })
    }

    /// The same without waiting; none: there is a commit under way.
    pub fn try_read(&self) -> Option<ReadGuard<'_>> {
        self.0.door.try_read().map(ReadGuard)
    }

    /// The committed state, to be read while commits go on: what
    /// [`Pager::view`] makes. Waits for the commit that is under way, if there is
    /// one; reading the view waits for none.
    ///
    /// # Errors
    /// As [`Pager::view`]; [`Error::WaitsForItself`], [`Error::Forked`].
    pub fn view(&self) -> Result<View, Error> {
        self.0.may_wait()?;
        self.read().view()
    }

    /// Makes changes durable: all that `f` makes or, if it fails, none. They
    /// may become durable together with those of others, which `f` may see.
    ///
    /// Where nobody else is at work, this thread commits, and waits for no
    /// other one; then it commits what others asked for meanwhile, some times
    /// at most, before it hands that on.
    ///
    /// `f` may be called again, where others' changes had to be undone, which a
    /// file of format 0 needs: it should do nothing but use the transaction. It may
    /// borrow, since it is gone when this returns; where requests wait together,
    /// one of their threads calls them all, so that it is [`Send`].
    ///
    /// # Errors
    /// What `f` returns, and the errors of [`Transaction::commit`]. If a group
    /// cannot be made durable, all in it get the same error. [`Error::WaitsForItself`]
    /// and [`Error::Forked`], without calling `f`.
    ///
    /// # Panics
    /// If `f` does: what it did is undone.
    pub fn transact<R, F>(&self, f: F) -> Result<R, Error>
    where
        R: Send,
        F: FnMut(&mut Transaction<'_>) -> Result<R, Error> + Send,
    {
        self.submit_and_wait(f, false)
    }

    /// As [`transact`](Self::transact), but the changes need not be durable when
    /// it returns: everybody sees them, and they are durable with the next
    /// [`transact`](Self::transact) or [`Pager::sync`]. A crash before that
    /// undoes them, and those after them, and nothing else:
    /// [`Transaction::commit_deferred`] says more.
    ///
    /// # Errors
    /// As [`transact`](Self::transact); [`Error::Other`] for a file of format 0,
    /// which has no such commits.
    ///
    /// # Panics
    /// If `f` does: what it did is undone.
    pub fn transact_deferred<R, F>(&self, f: F) -> Result<R, Error>
    where
        R: Send,
        F: FnMut(&mut Transaction<'_>) -> Result<R, Error> + Send,
    {
        if self.0.door.can_defer() {
            self.submit_and_wait(f, true)
        } else {
            Err(Error::Other("the format has no deferred commits".into()))
        }
    }

    fn submit_and_wait<R, F>(&self, f: F, is_deferred: bool) -> Result<R, Error>
    where
        R: Send,
        F: FnMut(&mut Transaction<'_>) -> Result<R, Error> + Send,
    {
        self.0.may_ask()?;
        let Handle { door, queue, .. } = &*self.0;
        let (request, promise) = InTransaction::new(f, is_deferred);
        promise.take_roles();
        borrowed::lend(Box::new(request), |request| {
            let mut request = Some(Request::Transaction(request));
            let role = queue.take_or_add(|| request.take());
            if let (Some(role), Some(request)) = (role, request) {
                role.serve_first(door, request);
            }
            promise.wait_answer(|| queue.role().serve(door))
        })
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Does something with the pager that nobody else may do anything with
    /// meanwhile: change regular pages in place, sync, reopen; or commit
    /// something alone. This thread does it, so that it can borrow:
    ///
    /// ```
    /// # fn main() -> Result<(), pagebox::Error> {
    /// # let engine = pagebox::Engine::new()?;
    /// # let store = pagebox::MemoryStore::new(pagebox::PageSize::KIB_4);
    /// # let pager = pagebox::SharedPager::new(engine.create_store(store, 0)?);
    /// let (name, mut ids) = (String::from("hello"), Vec::new());
    /// pager.with(|pager| {
    ///     let mut tx = pager.begin()?;
    ///     let id = tx.alloc_protected()?;
    ///     tx.write(id)?[..5].copy_from_slice(name.as_bytes());
    ///     ids.push(id);
    ///     tx.commit()
    /// })?;
    /// assert_eq!(&pager.read().protected_page(ids[0])?[..5], b"hello");
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// If `f` does, and where [`try_with`](Self::try_with) has an error.
    pub fn with<R, F>(&self, f: F) -> R
    where
        F: FnOnce(&mut Pager) -> R,
    {
        self.try_with(f).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The same with an error where it could never be done.
    ///
    /// # Errors
    /// [`Error::WaitsForItself`], [`Error::Forked`], without calling `f`.
    ///
    /// # Panics
    /// If `f` does.
    pub fn try_with<R, F>(&self, f: F) -> Result<R, Error>
    where
        F: FnOnce(&mut Pager) -> R,
    {
        self.0.may_ask()?;
        let Handle { door, queue, .. } = &*self.0;
        let (turn, promise) = promise(|error| Err(Box::new(error.to_string())));
        let role = queue.take_or_add(|| Some(Request::Turn(turn)));
        let role = role.unwrap_or_else(|| {
            promise.wait(|| ());
            queue.role()
        });
        let result = {
            let mut pager = door.write();
            call(|| f(&mut pager))
        };
        role.serve_after(door, 1);
        Ok(result.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }

    /// [`transact`](Self::transact) for tasks. The request is made when this
    /// is called; dropping the future does not take it back. It needs no
    /// particular runtime, and polling it never blocks.
    ///
    /// It comes to [`Error::WaitsForItself`] where the closure of a request
    /// calls this, to [`Error::TooManyRequests`] where 65,536 of them wait
    /// already, and to [`Error::Other`] where the system starts no thread that
    /// could do it.
    #[cfg(feature = "async")]
    pub fn transact_async<R, F>(&self, f: F) -> Pending<Result<R, Error>>
    where
        R: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<R, Error> + Send + 'static,
    {
        Pending::new(match self.0.may_add() {
            Ok(()) => self.submit_transaction(f),
            Err(error) => InTransaction::<R, F>::refused(error),
        })
    }

    /// [`with`](Self::with) for tasks, on the same terms as
    /// [`transact_async`](Self::transact_async), whose errors are panics of the
    /// future here.
    #[cfg(feature = "async")]
    pub fn with_async<R, F>(&self, f: F) -> Pending<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Pager) -> R + Send + 'static,
    {
        Pending::new(match self.0.may_add() {
            Ok(()) => self.submit_exclusive(f),
            Err(error) => Exclusive::<R, F>::refused(error),
        })
    }

    /// Makes a request without waiting for it.
    #[cfg(any(test, feature = "async"))]
    fn submit_transaction<R, F>(&self, f: F) -> Promise<Result<R, Error>>
    where
        R: Send + 'static,
        F: FnMut(&mut Transaction<'_>) -> Result<R, Error> + Send + 'static,
    {
        let (request, promise) = InTransaction::new(f, false);
        self.0.queue.add(Request::Transaction(Box::new(request)));
        promise
    }

    /// Makes a request without waiting for it.
    #[cfg(any(test, feature = "async"))]
    fn submit_exclusive<R, F>(&self, f: F) -> Promise<R>
    where
        R: Send + 'static,
        F: FnOnce(&mut Pager) -> R + Send + 'static,
    {
        let (request, promise) = Exclusive::new(f);
        self.0.queue.add(Request::Exclusive(Box::new(request)));
        promise
    }
}

impl Handle {
    /// That this thread can wait for what others do.
    fn may_wait(&self) -> Result<(), Error> {
        if !self.owner.is_here() {
            return Err(Error::Forked);
        }
        if self.queue.is_served_here() {
            let text = "it is made by a request of the same pager, that has to return first";
            return Err(Error::WaitsForItself(text));
        }
        Ok(())
    }

    /// That what this thread asks for can be done while it waits.
    fn may_ask(&self) -> Result<(), Error> {
        self.may_wait()?;
        if self.door.is_inside() {
            let text = "its thread holds the pager to read, and has to drop that guard first";
            return Err(Error::WaitsForItself(text));
        }
        Ok(())
    }

    /// That a request can be added without waiting for it.
    #[cfg(feature = "async")]
    fn may_add(&self) -> Result<(), Error> {
        if !self.owner.is_here() {
            return Err(Error::Forked);
        }
        if is_in_closure() {
            self.may_wait()?;
        }
        self.start_committer()?;
        if self.queue.len() >= WAITING_MAX {
            return Err(Error::TooManyRequests(WAITING_MAX));
        }
        Ok(())
    }

    /// That there is a thread for tasks.
    #[cfg(any(test, feature = "async"))]
    fn start_committer(&self) -> Result<(), Error> {
        let mut committer = self
            .committer
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if committer.is_none() {
            let (door, queue) = (self.door.clone(), self.queue.clone());
            let started = std::thread::Builder::new()
                .name("pagebox-committer".into())
                .spawn(move || queue.run(&door))
                .map_err(|error| Error::Other(format!("no thread can be started: {error}")))?;
            *committer = Some(started);
        }
        Ok(())
    }
}

#[cfg(any(test, feature = "async"))]
impl Drop for Handle {
    fn drop(&mut self) {
        let committer = self
            .committer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let Some(committer) = committer.take() else {
            return;
        };
        if !self.owner.is_here() {
            // There is no such thread here, and the queue may be locked for
            // ever: all this is the parent's.
            std::mem::forget(committer);
            return;
        }
        self.queue.close();
        // The last handle may have been in a request.
        if committer.thread().id() != std::thread::current().id() {
            let _ = committer.join();
        }
    }
}
