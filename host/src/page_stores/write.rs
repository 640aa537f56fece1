//! `store.write`, defined by hand: the pages that a guest writes are taken from
//! its memory where they lie, instead of being copied into a vector first.

use std::sync::Arc;

use pagebox_store::{PageBuffer, StoreError, Then};
use wasmtime::component::{ComponentType, Lift, Linker, Resource, WasmList};
use wasmtime::{AsContext, Result, StoreContext, StoreContextMut};

use super::views::{Bytes, Views};
use super::{PageStoreView, Right, Taken, gone, shared, wit};
use crate::handles::{StoreHandle, ViewHandle};

/// `change` of the WIT, with the guest's bytes in place.
#[derive(ComponentType, Lift)]
#[component(variant)]
enum Change {
    #[component(name = "sealed")]
    Sealed(SealedPage),
    #[component(name = "staged")]
    Staged(StagedPage),
    #[component(name = "zero")]
    Zero(u64),
    #[component(name = "reset")]
    Reset(Extent),
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct SealedPage {
    page: u64,
    bytes: WasmList<u8>,
    start: u32,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct StagedPage {
    page: u64,
    view: Resource<ViewHandle>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Extent {
    first: u64,
    count: u64,
}

type Arguments = (Resource<StoreHandle>, Vec<Change>, bool);
type Answer = Result<(), wit::StoreError>;

/// Takes the place of the generated definition.
pub(super) fn add_to_linker<T: PageStoreView>(linker: &mut Linker<T>) -> Result<()> {
    linker.allow_shadowing(true);
    let added = linker
        .instance("pagebox:pager/page-store@0.1.0")
        .and_then(|mut instance| instance.func_wrap("[method]store.write", write));
    linker.allow_shadowing(false);
    added
}

fn write<T: PageStoreView>(
    mut context: StoreContextMut<'_, T>,
    (store, changes, then_sync): Arguments,
) -> Result<(Answer,)> {
    let then = if then_sync {
        Then::Sync
    } else {
        Then::Continue
    };
    let right = match (changes.is_empty(), then_sync) {
        (false, _) => Right::Write,
        (true, true) => Right::Sync,
        // It does nothing.
        (true, false) => return Ok((Ok(()),)),
    };
    context
        .data_mut()
        .page_stores()
        .require(store.rep(), right)?;
    // The guest's memory and what is written to are both in the context: the
    // latter is taken out meanwhile.
    let taken = context.data_mut().page_stores().take(store.rep())?;
    let mut out = Out { context, taken };
    let Taken {
        handle,
        store,
        views,
        ..
    } = &mut out.taken;
    let store = Arc::get_mut(store).ok_or_else(shared)?;
    let page_size = store.geometry().page_size.bytes();
    let natives: Result<Vec<_>> = changes
        .iter()
        .map(|change| native(change, out.context.as_context(), views, page_size))
        .collect();
    let natives: Result<Vec<_>, _> = natives?.into_iter().collect();
    let answer = match natives {
        Ok(natives) => {
            let written = store.write(&natives, then);
            let refused = [StoreError::OutOfBounds, StoreError::ReadOnly];
            let changed =
                !natives.is_empty() && written.as_ref().err().is_none_or(|e| !refused.contains(e));
            drop(natives);
            if changed {
                views.end_pages(*handle);
            }
            written.map_err(Into::into)
        }
        Err(error) => Err(error),
    };
    if then_sync && answer.is_ok() {
        out.context.data_mut().page_stores().meter.sync_is_done();
    }
    Ok((answer,))
}

/// What was taken out, which goes back when this is dropped: a store that
/// panics is still its owner's.
struct Out<'c, T: PageStoreView> {
    context: StoreContextMut<'c, T>,
    taken: Taken,
}

impl<T: PageStoreView> Drop for Out<'_, T> {
    fn drop(&mut self) {
        let stores = self.context.data_mut().page_stores();
        stores.put_back(&mut self.taken);
    }
}

/// A change as stores take it.
fn native<'a, T: 'static>(
    change: &Change,
    context: StoreContext<'a, T>,
    views: &'a Views,
    page_size: usize,
) -> Result<Result<pagebox_store::Change<'a, PageBuffer>, wit::StoreError>> {
    use pagebox_store::Change as Native;
    Ok(Ok(match change {
        Change::Sealed(sealed) => Native::Sealed {
            page: sealed.page,
            bytes: sealed.bytes.as_le_slice(context),
            start: sealed.start,
        },
        Change::Staged(staged) => {
            match views.find(staged.view.rep()).ok_or_else(gone)?.1 {
                Bytes::Private(buffer) if buffer.len() == page_size => Native::Staged {
                    page: staged.page,
                    buffer,
                },
                // Of a store with other pages.
                Bytes::Private(_) => return Ok(Err(wit::StoreError::OutOfBounds)),
                Bytes::Page { .. } | Bytes::Shared(_) | Bytes::Ended => {
                    let text = "only a view that stage made can be written".to_owned();
                    return Ok(Err(wit::StoreError::Other(Some(text))));
                }
            }
        }
        Change::Zero(page) => Native::Zero { page: *page },
        Change::Reset(extent) => Native::Reset {
            first: extent.first,
            count: extent.count,
        },
    }))
}
