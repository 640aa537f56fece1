//! The exports `pager`, `transaction` and the functions around them.

use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use pagebox_core::{
    Access, Error, Format, NewFile, Operation, Pager, ProtectedId, Transaction, View,
};

use crate::Component;
use crate::convert::compacted;
use crate::runtime::trap;
use crate::store::{Buffer, HostStore};
use crate::wit::exports::pagebox::pager::pager as wit;
use crate::wit::pagebox::pager::page_store::{Extent, PageView, Store, ViewAccess};
use crate::words;

const DURABLE: wit::Durability = wit::Durability::Durable;

/// A pager, and what may be done with the bytes of its regular pages. This is
/// the only strong reference to it, so that closing it ends its transactions.
pub(crate) struct OpenPager(Rc<RefCell<Pager<HostStore>>>, ViewAccess);

/// A transaction, and the pager that it is of.
pub(crate) struct OpenTransaction {
    pager: Weak<RefCell<Pager<HostStore>>>,
    transaction: RefCell<Transaction<Buffer>>,
}

/// A view, and the pager that it is of.
pub(crate) struct OpenView {
    pager: Weak<RefCell<Pager<HostStore>>>,
    view: RefCell<View>,
}

fn opened(pager: Pager<HostStore>, access: ViewAccess) -> wit::Pager {
    wit::Pager::new(OpenPager(Rc::new(RefCell::new(pager)), access))
}

fn plain(ids: Vec<ProtectedId>) -> Vec<u64> {
    ids.into_iter().map(|id| id.0).collect()
}

fn named(ids: Vec<u64>) -> Vec<ProtectedId> {
    ids.into_iter().map(ProtectedId).collect()
}

/// The buffers of the host, if their checksums are those of the file.
fn held(
    pager: &Pager<HostStore>,
    pages: Vec<wit::HeldPage>,
) -> Result<Vec<(ProtectedId, Buffer)>, Error> {
    let algorithm = pager.algorithm();
    let pages = pages.into_iter().map(|page| {
        let checksum: pagebox_store::Checksum = page.checksum.into();
        if checksum.algorithm == algorithm {
            Ok((ProtectedId(page.id), Buffer::Held(page.buffer, checksum)))
        } else {
            Err(Error::NotSupported)
        }
    });
    pages.collect()
}

impl OpenTransaction {
    fn with<R>(
        &self,
        f: impl FnOnce(&mut Pager<HostStore>, &mut Transaction<Buffer>) -> Result<R, Error>,
    ) -> Result<R, wit::Error> {
        let pager = self.pager.upgrade().ok_or(wit::Error::Closed)?;
        let done = f(&mut pager.borrow_mut(), &mut self.transaction.borrow_mut());
        Ok(done?)
    }
}

impl OpenView {
    fn with<R>(
        &self,
        f: impl FnOnce(&mut View, &HostStore) -> Result<R, Error>,
    ) -> Result<R, wit::Error> {
        let pager = self.pager.upgrade().ok_or(wit::Error::Closed)?;
        let done = f(&mut self.view.borrow_mut(), pager.borrow().store());
        Ok(done?)
    }
}

fn new_file(file: wit::NewFile) -> Result<NewFile, Error> {
    let (low, high) = file.uuid;
    Ok(NewFile {
        format: match file.format {
            0 => Format::Zero,
            1 => Format::One,
            _ => return Err(Error::NotSupported),
        },
        page_count: file.page_count,
        uuid: (u128::from(high) << 64 | u128::from(low)).to_le_bytes(),
    })
}

/// Another handle on pending bytes.
fn shared(buffer: &Buffer) -> Result<PageView, Error> {
    match buffer {
        Buffer::View(view) => Ok(view.share()),
        // The host has them itself.
        Buffer::Held(..) => Err(Error::NotSupported),
    }
}

/// The bytes of a protected page, which change by a commit alone.
fn protected_view(store: &HostStore, page: Option<u64>) -> Result<PageView, Error> {
    // There are zeros that no page holds, so there is nothing to view.
    let page = page.ok_or(Error::NotSupported)?;
    let view = store.view(page, ViewAccess::Read);
    view.map_err(Error::store(Operation::Read { page }))
}

impl OpenPager {
    /// A transaction of one operation.
    fn transact<R>(
        &self,
        durability: wit::Durability,
        f: impl FnOnce(&mut Pager<HostStore>, &mut Transaction<Buffer>) -> Result<R, Error>,
    ) -> Result<(R, wit::CommitInfo), wit::Error> {
        let mut pager = self.0.borrow_mut();
        let mut transaction = pager.begin()?;
        let done = f(&mut pager, &mut transaction)?;
        Ok((
            done,
            pager.commit_as(transaction, durability.into())?.into(),
        ))
    }

    /// What the component commits by itself, and what is committed then.
    fn done(
        &self,
        f: impl FnOnce(&mut Pager<HostStore>) -> Result<u64, Error>,
    ) -> Result<wit::Done, wit::Error> {
        let mut pager = self.0.borrow_mut();
        let pages = f(&mut pager)?;
        let info = pager.committed().into();
        Ok(wit::Done { pages, info })
    }

    /// A view that is dropped with its pager at the latest.
    fn viewed(&self, view: View) -> wit::View {
        let pager = Rc::downgrade(&self.0);
        let view = RefCell::new(view);
        wit::View::new(OpenView { pager, view })
    }

    /// A transaction that allocates one page.
    fn transact_id(
        &self,
        f: impl FnOnce(&mut Pager<HostStore>, &mut Transaction<Buffer>) -> Result<Option<u64>, Error>,
    ) -> Result<wit::Allocated, wit::Error> {
        match self.transact(DURABLE, f)? {
            (Some(id), info) => Ok(wit::Allocated { id, info }),
            // One was asked for.
            (None, _) => trap(),
        }
    }
}

impl wit::Guest for Component {
    type Pager = OpenPager;
    type Transaction = OpenTransaction;
    type View = OpenView;

    fn commit(
        tx: wit::Transaction,
        durability: wit::Durability,
    ) -> Result<wit::CommitInfo, wit::Error> {
        let OpenTransaction { pager, transaction } = tx.into_inner();
        let pager = pager.upgrade().ok_or(wit::Error::Closed)?;
        let transaction = transaction.into_inner();
        let done = pager.borrow_mut().commit_as(transaction, durability.into());
        Ok(done?.into())
    }

    fn create(store: Store, file: wit::NewFile) -> Result<wit::Pager, wit::Error> {
        let new = new_file(file)?;
        let pager = Pager::create_as(HostStore::new(store)?, &new)?;
        Ok(opened(pager, ViewAccess::ReadWrite))
    }

    fn create_around(
        store: Store,
        file: wit::NewFile,
        regular: Vec<Extent>,
    ) -> Result<wit::Pager, wit::Error> {
        let new = new_file(file)?;
        let regular: Vec<_> = regular.into_iter().map(Into::into).collect();
        let pager = Pager::create_around(HostStore::new(store)?, &new, &regular)?;
        Ok(opened(pager, ViewAccess::ReadWrite))
    }

    fn open(store: Store, access: wit::Access) -> Result<wit::Pager, wit::Error> {
        let (access, views) = match access {
            wit::Access::Read => (Access::Read, ViewAccess::Read),
            wit::Access::Write => (Access::Write, ViewAccess::ReadWrite),
        };
        Ok(opened(Pager::open(HostStore::new(store)?, access)?, views))
    }

    fn open_at(store: Store, root: Vec<u8>) -> Result<wit::Pager, wit::Error> {
        let pager = Pager::open_at(HostStore::new(store)?, &root)?;
        Ok(opened(pager, ViewAccess::Read))
    }

    fn close(pager: wit::Pager) -> Store {
        match Rc::into_inner(pager.into_inner::<OpenPager>().0) {
            Some(pager) => pager.into_inner().close().into_inner(),
            // Transactions hold it no longer than their calls.
            None => trap(),
        }
    }

    fn page_size(head: Vec<u8>) -> Result<u32, wit::Error> {
        Ok(pagebox_core::page_size(&head)?.bytes_u32())
    }

    fn describe(error: wit::Error) -> String {
        words::describe(&error)
    }
}

impl wit::GuestPager for OpenPager {
    fn stats(&self) -> wit::Stats {
        self.0.borrow_mut().stats().into()
    }

    fn is_current(&self) -> Result<bool, wit::Error> {
        Ok(self.0.borrow().is_current()?)
    }

    fn locate(&self, id: u64) -> Result<(), wit::Error> {
        Ok(self.0.borrow_mut().locate(id)?)
    }

    fn locate_protected(&self, id: u64) -> Result<wit::Location, wit::Error> {
        Ok(self
            .0
            .borrow_mut()
            .locate_protected(ProtectedId(id))?
            .into())
    }

    fn view(&self, id: u64) -> Result<PageView, wit::Error> {
        let mut pager = self.0.borrow_mut();
        pager.locate(id)?;
        let view = pager.store().view(id, self.1);
        Ok(view.map_err(Error::store(Operation::Read { page: id }))?)
    }

    fn view_protected(&self, id: u64) -> Result<PageView, wit::Error> {
        let mut pager = self.0.borrow_mut();
        let page = pager.verify_protected(ProtectedId(id))?.page;
        Ok(protected_view(pager.store(), page)?)
    }

    fn allocated(&self, start: u64, limit: u32) -> Result<Vec<Extent>, wit::Error> {
        let runs = self.0.borrow_mut().allocated(start, limit as usize)?;
        Ok(runs.into_iter().map(Into::into).collect())
    }

    fn protected(&self, start: u64, limit: u32) -> Result<Vec<wit::ProtectedPage>, wit::Error> {
        let mut pager = self.0.borrow_mut();
        let pages = pager.protected(ProtectedId(start), limit as usize)?;
        Ok(pages.into_iter().map(Into::into).collect())
    }

    fn sync(&self) -> Result<(), wit::Error> {
        Ok(self.0.borrow_mut().sync()?)
    }

    fn pin(&self) -> Result<wit::View, wit::Error> {
        let view = self.0.borrow_mut().view()?;
        Ok(self.viewed(view))
    }

    fn snapshots(&self) -> Result<Vec<wit::Snapshot>, wit::Error> {
        let snapshots = self.0.borrow_mut().snapshots()?;
        Ok(snapshots.into_iter().map(Into::into).collect())
    }

    fn create_snapshot(&self, name: String, time: u64) -> Result<wit::CommitInfo, wit::Error> {
        let mut pager = self.0.borrow_mut();
        pager.create_snapshot(&name, time)?;
        Ok(pager.committed().into())
    }

    fn delete_snapshot(&self, name: String) -> Result<wit::Done, wit::Error> {
        self.done(|pager| pager.delete_snapshot(&name))
    }

    fn restore_snapshot(&self, name: String) -> Result<wit::Done, wit::Error> {
        self.done(|pager| pager.restore(&name))
    }

    fn compact(&self, page_count: u64, limit: u32) -> Result<wit::Compacted, wit::Error> {
        let mut pager = self.0.borrow_mut();
        let step = pager.compact(page_count, limit as usize)?;
        Ok(compacted(step, pager.committed()))
    }

    fn snapshot_pages(&self, name: String) -> Result<u64, wit::Error> {
        Ok(self.0.borrow_mut().held_alone(&name)?)
    }

    fn pin_snapshot(&self, name: String) -> Result<wit::View, wit::Error> {
        let view = self.0.borrow_mut().view_snapshot(&name)?;
        Ok(self.viewed(view))
    }

    fn snapshot_root(&self, name: String) -> Result<Vec<u8>, wit::Error> {
        Ok(self.0.borrow_mut().root_of(&name)?)
    }

    fn changes(
        &self,
        before: Option<String>,
        after: Option<String>,
        start: u64,
        limit: u32,
    ) -> Result<Vec<wit::ChangedPage>, wit::Error> {
        let states = [before.as_deref(), after.as_deref()];
        let mut pager = self.0.borrow_mut();
        let pages = pager.changes_between(states, ProtectedId(start), limit as usize)?;
        Ok(pages.into_iter().map(Into::into).collect())
    }

    fn begin(&self) -> Result<wit::Transaction, wit::Error> {
        let transaction = RefCell::new(self.0.borrow().begin()?);
        let pager = Rc::downgrade(&self.0);
        Ok(wit::Transaction::new(OpenTransaction {
            pager,
            transaction,
        }))
    }

    fn alloc(&self) -> Result<wit::Allocated, wit::Error> {
        self.transact_id(|pager, tx| Ok(pager.alloc(tx, 1)?.pop()))
    }

    fn free(&self, id: u64) -> Result<wit::CommitInfo, wit::Error> {
        Ok(self.transact(DURABLE, |pager, tx| pager.free(tx, &[id]))?.1)
    }

    fn alloc_protected(&self) -> Result<wit::Allocated, wit::Error> {
        self.transact_id(|pager, tx| Ok(pager.alloc_protected(tx, 1)?.pop().map(|id| id.0)))
    }

    fn free_protected(&self, id: u64) -> Result<wit::CommitInfo, wit::Error> {
        let free = |pager: &mut Pager<_>, tx: &mut _| pager.free_protected(tx, &[ProtectedId(id)]);
        Ok(self.transact(DURABLE, free)?.1)
    }

    fn write(
        &self,
        base: u64,
        pages: Vec<wit::HeldPage>,
        durability: wit::Durability,
    ) -> Result<wit::CommitInfo, wit::Error> {
        let write = |pager: &mut Pager<_>, tx: &mut _| {
            if pager.committed().generation != base {
                return Err(Error::StaleTransaction);
            }
            let pages = held(pager, pages)?;
            pager.write(tx, pages)
        };
        Ok(self.transact(durability, write)?.1)
    }
}

impl wit::GuestView for OpenView {
    fn generation(&self) -> u64 {
        self.view.borrow().generation()
    }

    fn root(&self) -> Vec<u8> {
        self.view.borrow().root()
    }

    fn locate_protected(&self, id: u64) -> Result<wit::Location, wit::Error> {
        self.with(|view, store| Ok(view.locate(store, ProtectedId(id))?.into()))
    }

    fn view_protected(&self, id: u64) -> Result<PageView, wit::Error> {
        self.with(|view, store| {
            let page = view.verify(store, ProtectedId(id))?.page;
            protected_view(store, page)
        })
    }

    fn protected(&self, start: u64, limit: u32) -> Result<Vec<wit::ProtectedPage>, wit::Error> {
        self.with(|view, store| {
            let pages = view.protected(store, ProtectedId(start), limit as usize)?;
            Ok(pages.into_iter().map(Into::into).collect())
        })
    }
}

impl wit::GuestTransaction for OpenTransaction {
    fn alloc(&self, count: u32) -> Result<Vec<u64>, wit::Error> {
        self.with(|pager, tx| pager.alloc(tx, count))
    }

    fn free(&self, ids: Vec<u64>) -> Result<(), wit::Error> {
        self.with(|pager, tx| pager.free(tx, &ids))
    }

    fn alloc_protected(&self, count: u32) -> Result<Vec<u64>, wit::Error> {
        self.with(|pager, tx| pager.alloc_protected(tx, count))
            .map(plain)
    }

    fn claim_protected(&self, ids: Vec<u64>) -> Result<(), wit::Error> {
        self.with(|pager, tx| pager.claim_protected(tx, &named(ids)))
    }

    fn free_protected(&self, ids: Vec<u64>) -> Result<(), wit::Error> {
        self.with(|pager, tx| pager.free_protected(tx, &named(ids)))
    }

    fn stage(&self, id: u64) -> Result<PageView, wit::Error> {
        self.with(|pager, tx| shared(pager.stage(tx, ProtectedId(id))?))
    }

    fn stage_blank(&self, id: u64) -> Result<PageView, wit::Error> {
        self.with(|pager, tx| shared(pager.stage_blank(tx, ProtectedId(id))?))
    }

    fn write(&self, pages: Vec<wit::HeldPage>) -> Result<(), wit::Error> {
        self.with(|pager, tx| {
            let pages = held(pager, pages)?;
            pager.write(tx, pages)
        })
    }
}
