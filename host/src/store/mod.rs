//! [`Store`]: what a pager keeps its pages in. Five come with the crate, and
//! any other type can be one.

mod ahead;
mod file;
mod holes;
mod map;
mod mmap;
mod page_set;
mod positioned;
mod read_only;
mod recording;
#[cfg(feature = "slatedb")]
mod slate;
mod viewer;

pub use mmap::MmapStore;
pub use positioned::FileStore;
pub use read_only::ReadOnlyStore;
pub use recording::{Recording, RecordingStore};

use std::any::Any;

use pagebox_store::{Change, MemoryStore, PageBuffer, PageStore, StoreError, bounds};

/// A medium of fixed-size pages that a [`Pager`](crate::Pager) can be opened
/// on: [`PageStore`], with buffers in this process, and shared by threads.
///
/// Each method may be left out, by `impl Store for MyStore {}`: its pages can
/// then be copied by [`read`](crate::Pager::read), [`write`](crate::Pager::write)
/// and [`read_protected`](crate::Pager::read_protected), but not be lent as
/// slices: [`page`](crate::Pager::page), [`page_mut`](crate::Pager::page_mut)
/// and [`protected_page`](crate::Pager::protected_page) fail with
/// [`Error::NotLendable`](crate::Error::NotLendable). In everything else a pager
/// works alike on all of them, on one in memory too:
///
/// ```
/// # fn main() -> Result<(), pagebox::Error> {
/// use pagebox::{Engine, MemoryStore, PageSize};
///
/// let mut pager = Engine::new()?.create_store(MemoryStore::new(PageSize::KIB_4), 0)?;
/// let id = pager.alloc()?;
/// pager.write(id, 0, b"hello")?;
/// # Ok(()) }
/// ```
///
/// A boxed store can be had back as what it was: coerce it to `Box<dyn Any>`
/// and downcast that.
pub trait Store: PageStore<Buffer = PageBuffer> + Any + Send + Sync {
    /// The bytes of a page; none: there is no such page, or the store does not
    /// have it in memory. Every read of a page comes by here.
    fn page(&self, page: u64) -> Option<&[u8]> {
        let _ = page;
        None
    }

    /// Another handle on the same medium, to read from while somebody else
    /// writes to it. None: nobody else does.
    fn reader(&self) -> Option<Box<dyn Store>> {
        None
    }

    /// The store as it is now, to be read while this one goes on to be changed:
    /// what a [`View`](crate::View) reads from. What it is asked for is not
    /// changed as long as the view lives, so that it may be the same medium, or a
    /// copy. None: the store has no such reader, and its pager no views.
    fn viewer(&self) -> Option<Box<dyn Store>> {
        None
    }

    /// How many such readers there are of the same medium. A file is not opened
    /// to write as long as there is one: nobody would keep what it reads.
    fn viewers(&self) -> usize {
        0
    }

    /// After a change that failed: makes it known again what the medium holds, where
    /// that takes more than a read.
    ///
    /// # Errors
    /// [`StoreError::Fenced`], [`StoreError::Io`]; the store stays as it was.
    fn reopen(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// The bytes of a page to be changed in place, where the store has them in
    /// memory. What is written is durable after a later sync.
    ///
    /// # Errors
    /// [`StoreError::OutOfBounds`], [`StoreError::ReadOnly`],
    /// [`StoreError::InsufficientSpace`], [`StoreError::Io`].
    fn page_mut(&mut self, page: u64) -> Result<Option<&mut [u8]>, StoreError> {
        let _ = page;
        Ok(None)
    }
}

impl Store for MemoryStore {
    fn page(&self, page: u64) -> Option<&[u8]> {
        Self::page(self, page).ok()
    }

    fn viewer(&self) -> Option<Box<dyn Store>> {
        Some(Box::new(self.clone()))
    }

    fn page_mut(&mut self, page: u64) -> Result<Option<&mut [u8]>, StoreError> {
        Self::page_mut(self, page).map(Some)
    }
}

/// Replaces bytes of a page, in place where the store can.
pub(crate) fn write_at(
    store: &mut dyn Store,
    page: u64,
    offset: u32,
    bytes: &[u8],
) -> Result<(), StoreError> {
    bounds(store.geometry(), page, offset, bytes.len())?;
    let start = offset as usize;
    if bytes.is_empty() {
        return Ok(());
    }
    if let Some(target) = store.page_mut(page)? {
        target[start..start + bytes.len()].copy_from_slice(bytes);
        return Ok(());
    }
    let mut buffer = store.stage(Some(page))?;
    buffer[start..start + bytes.len()].copy_from_slice(bytes);
    store.write(&[Change::Staged {
        page,
        buffer: &buffer,
    }])
}
