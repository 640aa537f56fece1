//! Calls of a pager's sandbox, and what is not believed of its answers.

use std::sync::PoisonError;

use wasmtime::component::ResourceAny;

use super::{Access, Pager};
use crate::Error;
use crate::cache::Cache;
use crate::home::Home;
use crate::page_stores::{PageStores, Right};
use crate::sandbox::{Data, Sandbox, nonsense};
use crate::wit::PagerComponent;
use crate::wit::exports::pagebox::pager::pager as wit;

/// What an export of the component answers.
pub(crate) type Answer<R> = wasmtime::Result<Result<R, wit::Error>>;

impl Pager {
    /// That this is the process that opened it. A child that was forked would
    /// wait for threads that it does not have, and change what is not its own.
    #[inline]
    pub(crate) fn expect_own(&self) -> Result<(), Error> {
        if self.owner.is_here() {
            Ok(())
        } else {
            Err(Error::Forked)
        }
    }

    /// Asks the sandbox something. It can read the store meanwhile, as others
    /// can, and change nothing.
    pub(crate) fn ask<R>(
        &self,
        operation: &'static str,
        f: impl FnOnce(&wit::Guest, &mut wasmtime::Store<Data>, ResourceAny) -> Answer<R>,
    ) -> Result<R, Error> {
        self.expect_own()?;
        let mut sandbox = self.sandbox.lock().unwrap_or_else(PoisonError::into_inner);
        sandbox.drop_all(self.dropped_pins.take());
        let mut store = self.store.shared();
        let handle = self.handle;
        while_sound(&self.cache, || {
            call(
                &mut sandbox,
                &mut store,
                Right::Read,
                operation,
                |exports, store| f(exports, store, handle),
            )
        })
    }

    /// Lets the sandbox do something to the store, which nobody else reads.
    pub(crate) fn lend<R>(
        &mut self,
        operation: &'static str,
        right: Right,
        f: impl FnOnce(&wit::Guest, &mut wasmtime::Store<Data>, ResourceAny) -> Answer<R>,
    ) -> Result<R, Error> {
        self.expect_own()?;
        let Self {
            store,
            cache,
            sandbox,
            handle,
            unsure,
            dropped_pins,
            ..
        } = self;
        let sandbox = sandbox.get_mut().unwrap_or_else(PoisonError::into_inner);
        sandbox.drop_all(dropped_pins.take());
        let done = while_sound(cache, || {
            call(sandbox, store, right, operation, |exports, store| {
                f(exports, store, *handle)
            })
        });
        *unsure |= done.as_ref().is_err_and(Error::is_system);
        done
    }

    /// The error for an answer that cannot be: the end of the sandbox that gave
    /// it.
    pub(crate) fn distrust(&self, operation: &'static str, cause: impl Into<String>) -> Error {
        let mut sandbox = self.sandbox.lock().unwrap_or_else(PoisonError::into_inner);
        sandbox.distrust();
        self.cache.clear();
        nonsense(operation, cause)
    }

    /// That a page which the sandbox names can be a caller's.
    pub(crate) fn expect_page(&self, operation: &'static str, page: u64) -> Result<(), Error> {
        let page_count = self.store.get().geometry().page_count;
        if page == 0 {
            Err(self.distrust(operation, "it gave page 0 away, which is the pager's own"))
        } else if self.access == Access::Write && page >= page_count {
            // A damaged file, which can be read only, may name such pages: to
            // read them is an error of the store.
            let cause = format!("it named page {page} of a store of {page_count} pages");
            Err(self.distrust(operation, cause))
        } else {
            Ok(())
        }
    }

    /// The stores of the sandbox, for the views that it hands out.
    pub(crate) fn stores(&mut self) -> &mut PageStores {
        let sandbox = self
            .sandbox
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        sandbox.stores()
    }
}

/// Calls an export of the pager's.
fn call<R>(
    sandbox: &mut Sandbox<PagerComponent>,
    store: &mut Home,
    right: Right,
    operation: &'static str,
    f: impl FnOnce(&wit::Guest, &mut wasmtime::Store<Data>) -> Answer<R>,
) -> Result<R, Error> {
    sandbox.ask_with(store, right, operation, |world, store| {
        f(world.pagebox_pager_pager(), store)
    })
}

/// Calls the sandbox, and clears the cache where that is poisoned or gone
/// afterwards: whoever reads is to be told. So it is where a panic comes out of
/// the store.
fn while_sound<R>(cache: &Cache, call: impl FnOnce() -> Result<R, Error>) -> Result<R, Error> {
    let doubt = Doubt(cache);
    let result = call();
    if !result.as_ref().is_err_and(Error::is_system) {
        std::mem::forget(doubt);
    }
    result
}

/// Clears a cache when it is dropped.
struct Doubt<'c>(&'c Cache);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.0.clear();
    }
}
