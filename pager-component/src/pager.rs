//! The exports `pager`, `transaction` and the functions around them.

use alloc::rc::{Rc, Weak};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;

use pagebox_core::{Access, Error, Pager, ProtectedId, Transaction};

use crate::Component;
use crate::runtime::trap;
use crate::store::HostStore;
use crate::wit::exports::pagebox::pager::pager as wit;
use crate::wit::pagebox::pager::page_store::{Extent, PageView, Store, ViewAccess};

/// A pager, and what may be done with the bytes of its regular pages. This is
/// the only strong reference to it, so that closing it ends its transactions.
pub(crate) struct OpenPager(Rc<RefCell<Pager<HostStore>>>, ViewAccess);

/// A transaction, and the pager that it is of.
pub(crate) struct OpenTransaction {
    pager: Weak<RefCell<Pager<HostStore>>>,
    transaction: RefCell<Transaction<PageView>>,
}

fn opened(pager: Pager<HostStore>, access: ViewAccess) -> wit::Pager {
    wit::Pager::new(OpenPager(Rc::new(RefCell::new(pager)), access))
}

fn closed() -> wit::Error {
    wit::Error::Other(Some("the pager is closed".into()))
}

fn plain(ids: Vec<ProtectedId>) -> Vec<u64> {
    ids.into_iter().map(|id| id.0).collect()
}

impl OpenTransaction {
    fn with<R>(
        &self,
        f: impl FnOnce(&mut Pager<HostStore>, &mut Transaction<PageView>) -> Result<R, Error>,
    ) -> Result<R, wit::Error> {
        let pager = self.pager.upgrade().ok_or_else(closed)?;
        let done = f(&mut pager.borrow_mut(), &mut self.transaction.borrow_mut());
        Ok(done?)
    }
}

impl wit::Guest for Component {
    type Pager = OpenPager;
    type Transaction = OpenTransaction;

    fn commit(tx: wit::Transaction) -> Result<wit::CommitInfo, wit::Error> {
        let OpenTransaction { pager, transaction } = tx.into_inner();
        let pager = pager.upgrade().ok_or_else(closed)?;
        let done = pager.borrow_mut().commit(transaction.into_inner());
        Ok(done?.into())
    }

    fn create(store: Store, page_count: u64) -> Result<wit::Pager, wit::Error> {
        let pager = Pager::create(HostStore::new(store)?, page_count)?;
        Ok(opened(pager, ViewAccess::ReadWrite))
    }

    fn open(store: Store, access: wit::Access) -> Result<wit::Pager, wit::Error> {
        let (access, views) = match access {
            wit::Access::Read => (Access::Read, ViewAccess::Read),
            wit::Access::Write => (Access::Write, ViewAccess::ReadWrite),
        };
        Ok(opened(Pager::open(HostStore::new(store)?, access)?, views))
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
        error.in_words()
    }
}

impl wit::GuestPager for OpenPager {
    fn stats(&self) -> wit::Stats {
        self.0.borrow().stats().into()
    }

    fn is_current(&self) -> Result<bool, wit::Error> {
        Ok(self.0.borrow().is_current()?)
    }

    fn locate(&self, id: u64) -> Result<u64, wit::Error> {
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
        let page = pager.locate(id)?;
        pager.store().view(page, self.1)
    }

    fn view_protected(&self, id: u64) -> Result<PageView, wit::Error> {
        let mut pager = self.0.borrow_mut();
        let page = pager.verify_protected(ProtectedId(id))?.page;
        // It changes by a commit alone.
        pager.store().view(page, ViewAccess::Read)
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

    fn begin(&self) -> Result<wit::Transaction, wit::Error> {
        let transaction = RefCell::new(self.0.borrow().begin()?);
        let pager = Rc::downgrade(&self.0);
        Ok(wit::Transaction::new(OpenTransaction {
            pager,
            transaction,
        }))
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

    fn free_protected(&self, ids: Vec<u64>) -> Result<(), wit::Error> {
        let ids: Vec<_> = ids.into_iter().map(ProtectedId).collect();
        self.with(|pager, tx| pager.free_protected(tx, &ids))
    }

    fn stage(&self, id: u64) -> Result<PageView, wit::Error> {
        self.with(|pager, tx| Ok(pager.stage(tx, ProtectedId(id))?.share()))
    }

    fn stage_blank(&self, id: u64) -> Result<PageView, wit::Error> {
        self.with(|pager, tx| Ok(pager.stage_blank(tx, ProtectedId(id))?.share()))
    }
}
