//! `store.write`, defined by hand: the pages that a guest writes are taken from
//! its memory where they lie, instead of being copied into a vector first.

use std::sync::Arc;

use pagebox_store::{PageBuffer, StoreError};
use wasmtime::component::{ComponentType, Lift, Linker, Resource, WasmList};
use wasmtime::{AsContext, Result, StoreContext, StoreContextMut};

use super::held::Held;
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
    #[component(name = "held")]
    Held(HeldPage),
    #[component(name = "bytes")]
    Bytes(PageBytes),
    #[component(name = "zero")]
    Zero(Extent),
    #[component(name = "order")]
    Order,
    #[component(name = "sync")]
    Sync,
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
struct HeldPage {
    page: u64,
    buffer: u64,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct PageBytes {
    page: u64,
    bytes: WasmList<u8>,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct Extent {
    first: u64,
    count: u64,
}

type Arguments = (Resource<StoreHandle>, Vec<Change>);
type Answer = Result<(), wit::StoreError>;

/// Takes the place of the generated definition.
pub(super) fn add_to_linker<T: PageStoreView>(linker: &mut Linker<T>) -> Result<()> {
    linker.allow_shadowing(true);
    let added = linker
        .instance("pagebox:pager/page-store@0.2.0")
        .and_then(|mut instance| instance.func_wrap("[method]store.write", write));
    linker.allow_shadowing(false);
    added
}

/// What a guest has to be allowed for these changes; none: they do nothing.
fn right(changes: &[Change]) -> Option<Right> {
    let rights = changes.iter().map(|change| match change {
        Change::Order | Change::Sync => Right::Sync,
        _ => Right::Write,
    });
    rights.max()
}

fn write<T: PageStoreView>(
    mut context: StoreContextMut<'_, T>,
    (store, changes): Arguments,
) -> Result<(Answer,)> {
    let Some(right) = right(&changes) else {
        return Ok((Ok(()),));
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
        held,
        ..
    } = &mut out.taken;
    let store = Arc::get_mut(store).ok_or_else(shared)?;
    let sources = Sources {
        views,
        held,
        page_size: store.geometry().page_size.bytes(),
    };
    let mut natives = Vec::with_capacity(changes.len());
    let mut refused = None;
    for change in &changes {
        match native(change, out.context.as_context(), &sources)? {
            Ok(native) => natives.push(native),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
    }
    let answer = if let Some(error) = refused {
        Err(StoreError::from(error))
    } else {
        let written = store.write(&natives);
        drop(natives);
        let changed = right == Right::Write && !written.as_ref().is_err_and(changed_nothing);
        if changed {
            views.end_pages(*handle, 0);
        }
        if written.is_ok() {
            held.note(changes.iter().filter_map(|change| match change {
                Change::Held(of) => Some((of.buffer, of.page)),
                _ => None,
            }));
        }
        written
    };
    let stores = out.context.data_mut().page_stores();
    let answer = stores.noted(answer);
    if answer.is_ok() && changes.iter().any(|it| matches!(it, Change::Sync)) {
        stores.meter.sync_is_done();
    }
    Ok((answer,))
}

fn changed_nothing(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::OutOfBounds | StoreError::ReadOnly | StoreError::Fenced
    )
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

/// Where the bytes of changes come from that are not in the guest's memory.
struct Sources<'a> {
    views: &'a Views,
    held: &'a Held,
    page_size: usize,
}

impl<'a> Sources<'a> {
    /// The bytes of a private buffer.
    fn staged(
        &self,
        view: &Resource<ViewHandle>,
    ) -> Result<Result<&'a PageBuffer, wit::StoreError>> {
        Ok(match self.views.find(view.rep()).ok_or_else(gone)?.1 {
            Bytes::Private(buffer) => self.page(buffer),
            Bytes::Page { .. } | Bytes::Shared(_) | Bytes::Ended => {
                Err(other("only a view that stage made can be written"))
            }
        })
    }

    /// The bytes of a buffer that the host holds.
    fn held(&self, number: u64) -> Result<&'a PageBuffer, wit::StoreError> {
        match self.held.get(number) {
            Some(buffer) => self.page(buffer),
            None => Err(other("the host holds no buffer of this number")),
        }
    }

    /// A buffer, if it is not of a store with other pages.
    fn page(&self, buffer: &'a PageBuffer) -> Result<&'a PageBuffer, wit::StoreError> {
        if buffer.len() == self.page_size {
            Ok(buffer)
        } else {
            Err(wit::StoreError::OutOfBounds)
        }
    }
}

fn other(text: &str) -> wit::StoreError {
    wit::StoreError::Other(Some(text.to_owned()))
}

/// A change as stores take it.
fn native<'a, T: 'static>(
    change: &Change,
    context: StoreContext<'a, T>,
    sources: &Sources<'a>,
) -> Result<Result<pagebox_store::Change<'a, PageBuffer>, wit::StoreError>> {
    use pagebox_store::Change as Native;
    Ok(Ok(match change {
        Change::Sealed(sealed) => Native::Sealed {
            page: sealed.page,
            bytes: sealed.bytes.as_le_slice(context),
            start: sealed.start,
        },
        Change::Staged(staged) => match sources.staged(&staged.view)? {
            Ok(buffer) => Native::Staged {
                page: staged.page,
                buffer,
            },
            Err(error) => return Ok(Err(error)),
        },
        Change::Held(held) => match sources.held(held.buffer) {
            Ok(buffer) => Native::Staged {
                page: held.page,
                buffer,
            },
            Err(error) => return Ok(Err(error)),
        },
        Change::Bytes(bytes) => Native::Bytes {
            page: bytes.page,
            bytes: bytes.bytes.as_le_slice(context),
        },
        Change::Zero(extent) => Native::Zero {
            first: extent.first,
            count: extent.count,
        },
        Change::Order => Native::Order,
        Change::Sync => Native::Sync,
    }))
}
