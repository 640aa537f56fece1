//! The pager, natively, over stores in memory.

mod beside_writer;
mod costs;
mod limits;
mod transactions;
mod workloads;

use pagebox_core::{Error, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageSize, PageStore};
use pagebox_tests::decode::{Image, State, decode};

fn new_pager(page_size: PageSize) -> Pager<MemoryStore> {
    Pager::create(MemoryStore::new(page_size), 0).unwrap()
}

fn image(pager: &Pager<MemoryStore>) -> Image<'_> {
    let store = pager.store();
    Image {
        bytes: store.bytes(),
        page_size: store.geometry().page_size.bytes(),
    }
}

fn said(pager: &Pager<MemoryStore>) -> State {
    decode(&image(pager)).unwrap()
}

fn alloc<S: PageStore>(pager: &mut Pager<S>, count: u32) -> Result<Vec<u64>, Error> {
    let mut transaction = pager.begin()?;
    let pages = pager.alloc(&mut transaction, count)?;
    pager.commit(transaction)?;
    Ok(pages)
}

fn alloc_protected<S: PageStore>(
    pager: &mut Pager<S>,
    count: u32,
) -> Result<Vec<ProtectedId>, Error> {
    let mut transaction = pager.begin()?;
    let ids = pager.alloc_protected(&mut transaction, count)?;
    pager.commit(transaction)?;
    Ok(ids)
}
