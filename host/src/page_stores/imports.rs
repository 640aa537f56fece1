//! The import `page-store`, as guests call it.

use pagebox_store::StoreError;
use wasmtime::component::Resource;
use wasmtime::{Result, format_err};

use super::views::{Bytes, ended, range};
use super::{OWN, PageStores, Right, gone};
use crate::Store;
use crate::handles::{StoreHandle, ViewHandle};
use crate::wit::pagebox::pager::page_store as wit;

impl wit::Host for PageStores {}

impl wit::HostPageView for PageStores {
    fn read(
        &mut self,
        this: Resource<ViewHandle>,
        offset: u32,
        len: u32,
    ) -> Result<Result<Vec<u8>, wit::StoreError>> {
        let (store, bytes) = self.views.find(this.rep()).ok_or_else(gone)?;
        // Before the memory is asked for.
        let page_size = match bytes {
            Bytes::Page { .. } => {
                self.read_store(store, |store, _| store.geometry().page_size.bytes())?
            }
            Bytes::Private(buffer) => buffer.len(),
            Bytes::Shared(_) | Bytes::Ended => return Ok(Err(ended().into())),
        };
        if range(page_size, offset, len as usize).is_err() {
            return Ok(Err(wit::StoreError::OutOfBounds));
        }
        let mut bytes = vec![0; len as usize];
        let read = self.read_view(&this, offset, &mut bytes);
        Ok(read.map(|()| bytes).map_err(Into::into))
    }

    fn write(
        &mut self,
        this: Resource<ViewHandle>,
        offset: u32,
        bytes: Vec<u8>,
    ) -> Result<Result<(), wit::StoreError>> {
        let (store, view) = self.views.find(this.rep()).ok_or_else(gone)?;
        if let Bytes::Page {
            access: wit::ViewAccess::ReadWrite,
            ..
        } = view
        {
            self.require(store, Right::Write)?;
        }
        Ok(self.write_view(&this, offset, &bytes).map_err(Into::into))
    }

    fn checksum(
        &mut self,
        this: Resource<ViewHandle>,
        algorithm: wit::Algorithm,
    ) -> Result<Result<wit::Checksum, wit::StoreError>> {
        let algorithm = algorithm.into();
        let (store, view) = self.views.find(this.rep()).ok_or_else(gone)?;
        match view {
            Bytes::Page { page, .. } => {
                let page = *page;
                let sum = self.read_store(store, |store, _| store.checksum(page, algorithm))?;
                Ok(self.noted(sum.map(Into::into)))
            }
            Bytes::Private(buffer) => Ok(Ok(buffer.checksum(algorithm).into())),
            Bytes::Shared(_) | Bytes::Ended => Ok(Err(ended().into())),
        }
    }

    fn share(&mut self, this: Resource<ViewHandle>) -> Result<Resource<ViewHandle>> {
        self.views
            .share(this.rep())?
            .ok_or_else(|| format_err!("it holds too many handles of views"))
    }

    fn drop(&mut self, this: Resource<ViewHandle>) -> Result<()> {
        self.drop_view(&this);
        Ok(())
    }
}

impl wit::HostStore for PageStores {
    fn geometry(&mut self, this: Resource<StoreHandle>) -> Result<wit::Geometry> {
        self.read_store(this.rep(), |store, _| store.geometry().into())
    }

    fn read(
        &mut self,
        this: Resource<StoreHandle>,
        page: u64,
        offset: u32,
        len: u32,
    ) -> Result<Result<Vec<u8>, wit::StoreError>> {
        let read = self.read_store(this.rep(), |store, _| read(store, page, offset, len))?;
        Ok(self.noted(read))
    }

    fn checksums(
        &mut self,
        this: Resource<StoreHandle>,
        pages: Vec<u64>,
        algorithm: wit::Algorithm,
    ) -> Result<Result<Vec<wit::Checksum>, wit::StoreError>> {
        let algorithm = algorithm.into();
        let sums = self.read_store(this.rep(), |store, _| {
            let sums = pages.iter().map(|&page| store.checksum(page, algorithm));
            sums.map(|sum| sum.map(Into::into)).collect()
        })?;
        Ok(self.noted(sums))
    }

    fn view(
        &mut self,
        this: Resource<StoreHandle>,
        page: u64,
        access: wit::ViewAccess,
    ) -> Result<Result<Resource<ViewHandle>, wit::StoreError>> {
        if page >= self.read_store(this.rep(), |store, _| store.geometry().page_count)? {
            return Ok(Err(wit::StoreError::OutOfBounds));
        }
        self.views.push(this.rep(), Bytes::Page { page, access })
    }

    fn stage(
        &mut self,
        this: Resource<StoreHandle>,
        source: Option<u64>,
    ) -> Result<Result<Resource<ViewHandle>, wit::StoreError>> {
        match self.read_store(this.rep(), |store, views| views.stage(store, source))? {
            Ok(buffer) => self.views.push(this.rep(), Bytes::Private(buffer)),
            Err(error) => Ok(self.noted(Err(error))),
        }
    }

    fn write(
        &mut self,
        _: Resource<StoreHandle>,
        _: Vec<wit::Change>,
    ) -> Result<Result<(), wit::StoreError>> {
        // See `write`, which takes the place of this one in every linker.
        Err(format_err!("add the import with pagebox::add_to_linker"))
    }

    fn grow(
        &mut self,
        this: Resource<StoreHandle>,
        page_count: u64,
    ) -> Result<Result<wit::Geometry, wit::StoreError>> {
        self.require(this.rep(), Right::Write)?;
        let len_max = match this.rep() {
            OWN => self.own.len_max,
            _ => u64::MAX,
        };
        let grown = self.change_store(this.rep(), |store, _| {
            let page_size = u64::from(store.geometry().page_size.bytes_u32());
            if page_count
                .checked_mul(page_size)
                .is_none_or(|len| len > len_max)
            {
                return Err(StoreError::InsufficientSpace);
            }
            store.grow(page_count).map(Into::into)
        })?;
        Ok(self.noted(grown))
    }

    fn truncate(
        &mut self,
        this: Resource<StoreHandle>,
        page_count: u64,
    ) -> Result<Result<wit::Geometry, wit::StoreError>> {
        self.require(this.rep(), Right::Write)?;
        let cut = self.change_store(this.rep(), |store, views| {
            let cut = store.truncate(page_count);
            // Also where it failed: some may be gone.
            views.end_pages(this.rep(), store.geometry().page_count);
            cut.map(Into::into)
        })?;
        Ok(self.noted(cut))
    }

    fn drop(&mut self, this: Resource<StoreHandle>) -> Result<()> {
        self.remove(&this);
        Ok(())
    }
}

fn read(store: &dyn Store, page: u64, offset: u32, len: u32) -> Result<Vec<u8>, StoreError> {
    // Before the memory is asked for.
    range(store.geometry().page_size.bytes(), offset, len as usize)?;
    let mut bytes = vec![0; len as usize];
    store.read(page, offset, &mut bytes)?;
    Ok(bytes)
}
