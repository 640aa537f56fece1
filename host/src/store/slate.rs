//! Stores on object storage, as stores of a pager.

use pagebox_slatedb::{SlateReader, SlateStore, SlateView};
use pagebox_store::StoreError;

use super::Store;

impl Store for SlateStore {
    fn viewer(&self) -> Option<Box<dyn Store>> {
        Some(Box::new(self.view()))
    }

    fn viewers(&self) -> usize {
        self.views()
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        Ok(Self::reopen(self)?)
    }
}

impl Store for SlateReader {
    fn viewer(&self) -> Option<Box<dyn Store>> {
        Some(Box::new(self.again()))
    }
}

impl Store for SlateView {}
