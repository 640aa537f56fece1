//! [`View`]: a committed state that stays readable while commits go on.
//!
//! A view is a pager of its own, in an instance of its own, on a store of its
//! own: so it waits for nobody. It is opened at the root that the pager which it
//! is of gives, and that pager's instance holds a pin for it. Who drops a view
//! cannot wait for that instance, which may be in a commit: the pin goes to a
//! list, and is dropped with the next call.

use pagebox_store::PageSize;
use wasmtime::component::ResourceAny;

use crate::Error;
use crate::dropped::Dropped;
use crate::figures::ProtectedPage;
use crate::ids::ProtectedId;
use crate::iter::ProtectedPages;
use crate::owner::Owner;
use crate::pager::{Answer, Pager};
use crate::sandbox::Data;
use crate::wit::exports::pagebox::pager::pager as wit;

const OPERATION: &str = "making a view";

/// The protected pages of one committed state, made by [`Pager::view`] and
/// [`Pager::snapshot`]. Commits
/// go on, and growth: nothing writes to what it reads before it is dropped, so
/// its bytes are lent without a copy, and no read waits for a commit, whatever
/// thread it is in.
///
/// Regular pages are changed in place, so no view has them.
///
/// ```
/// # fn main() -> Result<(), pagebox::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("data.pages");
/// let mut pager = pagebox::Engine::new()?.create(&path, pagebox::PageSize::KIB_4)?;
/// let id = pager.alloc_protected()?;
/// let view = pager.view()?;
/// let reader = std::thread::spawn(move || view.protected_page(id).map(|bytes| bytes[0]));
/// let mut tx = pager.begin()?;
/// tx.write(id)?[0] = 1;
/// tx.commit()?;
/// assert_eq!(reader.join().unwrap()?, 0);
/// assert_eq!(pager.protected_page(id)?[0], 1);
/// # Ok(()) }
/// ```
///
/// It reads what a [deferred](crate::Transaction::commit_deferred) commit left
/// as well, and goes on to do so when its pager is poisoned, closed or dropped.
/// Until it is dropped it keeps pages that commits have freed
/// ([`Stats::held_pages`](crate::Stats::held_pages)), and the lock of the file,
/// which nobody can open to write meanwhile, nor [reopen](Pager::reopen). Making
/// one takes longer than opening a file does: keep it for more than one read, or
/// read the pager itself.
#[derive(Debug)]
pub struct View {
    // Before the pin: the pages are kept until nobody can read them any more.
    pager: Pager,
    generation: u64,
    /// None: nothing keeps it but the name of a snapshot.
    _pin: Option<Pin>,
}

/// Keeps what a view reads, in the instance of the pager that it is of.
#[derive(Debug)]
struct Pin {
    handle: ResourceAny,
    dropped: Dropped,
    owner: Owner,
}

impl Drop for Pin {
    /// A child that was forked has nothing to drop, and a thread that it does not
    /// have may hold the list for ever.
    fn drop(&mut self) {
        if self.owner.is_here() {
            self.dropped.add(self.handle);
        }
    }
}

impl Pager {
    /// The committed state as it is now, to be read while commits go on.
    ///
    /// # Errors
    /// [`Error::ReadOnly`]: a pager that was opened to read keeps nothing;
    /// [`Error::Other`] where the format has no views, as format 0, or the store
    /// has no second reader ([`Store::viewer`](crate::Store::viewer));
    /// [`Error::Poisoned`], [`Error::Sandbox`], [`Error::Store`].
    pub fn view(&self) -> Result<View, Error> {
        self.expect_writable()?;
        if !self.has_views() {
            return Err(Error::Other("the format has no views".into()));
        }
        let view = self.pinned(OPERATION, |exports, store, pager| {
            exports.pager().call_pin(store, pager)
        })?;
        if view.generation != self.committed().generation {
            let cause = format!("it made a view of generation {}", view.generation);
            return Err(self.distrust(OPERATION, cause));
        }
        Ok(view)
    }

    /// A state that `pin` pins in the sandbox.
    pub(crate) fn pinned(
        &self,
        operation: &'static str,
        pin: impl FnOnce(&wit::Guest, &mut wasmtime::Store<Data>, ResourceAny) -> Answer<ResourceAny>,
    ) -> Result<View, Error> {
        let handle = self.ask(operation, pin)?;
        let pin = Pin {
            handle,
            dropped: self.dropped_pins().clone(),
            owner: Owner::here(),
        };
        let (generation, root) = self.ask(operation, |exports, store, _| {
            let view = exports.view();
            let generation = view.call_generation(&mut *store, handle)?;
            Ok(Ok((generation, view.call_root(store, handle)?)))
        })?;
        Ok(View {
            pager: self.open_at(&root)?,
            generation,
            _pin: Some(pin),
        })
    }
}

impl View {
    /// The state of a snapshot that nothing keeps but its name.
    pub(crate) fn unpinned(pager: Pager) -> Self {
        Self {
            generation: pager.committed().generation,
            pager,
            _pin: None,
        }
    }

    /// The generation that it reads.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The pager that reads it.
    pub(crate) fn pager(&self) -> &Pager {
        &self.pager
    }

    /// The size of its pages.
    pub fn page_size(&self) -> PageSize {
        self.pager.page_size()
    }

    /// How many protected pages it has.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Store`], [`Error::Sandbox`].
    pub fn protected_count(&self) -> Result<u64, Error> {
        self.pager.protected_count()
    }

    /// The bytes of a protected page, verified against their checksum when first
    /// asked for.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::ChecksumMismatch`],
    /// [`Error::Corrupt`]; [`Error::NotLendable`] where the store can only be
    /// copied from; [`Error::Store`].
    #[inline]
    pub fn protected_page(&self, id: ProtectedId) -> Result<&[u8], Error> {
        self.pager.protected_page(id)
    }

    /// Copies bytes of a protected page, from `offset` on.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::ChecksumMismatch`],
    /// [`Error::Corrupt`], [`Error::PastPageEnd`], [`Error::Store`].
    pub fn read_protected(
        &self,
        id: ProtectedId,
        offset: usize,
        bytes: &mut [u8],
    ) -> Result<(), Error> {
        self.pager.read_protected(id, offset, bytes)
    }

    /// Where a protected page is, and what its bytes are to be; they are not
    /// verified.
    ///
    /// # Errors
    /// [`Error::NotProtected`], [`Error::Corrupt`], [`Error::Store`].
    pub fn locate(&self, id: ProtectedId) -> Result<ProtectedPage, Error> {
        let location = self.pager.locate_protected(id)?;
        let id = id.get();
        Ok(wit::ProtectedPage { id, location }.into())
    }

    /// The protected pages, in ascending order of their ids.
    pub fn protected_pages(&self) -> ProtectedPages<'_> {
        self.pager.protected_pages()
    }
}
