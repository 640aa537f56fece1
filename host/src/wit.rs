//! The contract, in Rust: generated from the WIT, for embedders that run the
//! component in an engine of their own.
//!
//! What is generated follows wasmtime's bindings generator, and changes with
//! it. The stable interface is the rest of this crate.
#![expect(
    missing_docs,
    reason = "generated; the WIT has prose for what needs it"
)]

use pagebox_store::{Geometry, StoreError};
use wasmtime::component::{Component, ComponentExportIndex, Func, Instance};
use wasmtime::{AsContextMut, format_err};

use self::exports::pagebox::pager::pager as exported;
use self::pagebox::pager::page_store;

wasmtime::component::bindgen!({
    world: "pager-component",
    path: "../wit",
    imports: { default: trappable },
    with: {
        "pagebox:pager/page-store.store": crate::handles::StoreHandle,
        "pagebox:pager/page-store.page-view": crate::handles::ViewHandle,
    },
});

/// The same for the inspector alone, whose results become JSON.
pub(crate) mod inspecting {
    wasmtime::component::bindgen!({
        inline: "
            package pagebox:host;
            world inspecting {
                import pagebox:pager/page-store@0.1.0;
                export pagebox:pager/inspect@0.1.0;
            }
        ",
        path: "../wit",
        with: { "pagebox:pager/page-store": super::pagebox::pager::page_store },
        additional_derives: [Clone, PartialEq, serde::Serialize],
    });
}

/// What an inspector is driven by: its own exports, and the one function of the
/// pager's that says what pages its store is to have.
pub(crate) struct Inspecting {
    pub(crate) exports: inspecting::Inspecting,
    page_size: Func,
}

impl Inspecting {
    /// Where a component has the function `page-size`.
    pub(crate) fn find_page_size(component: &Component) -> wasmtime::Result<ComponentExportIndex> {
        component
            .get_export_index(None, "pagebox:pager/pager@0.1.0")
            .and_then(|pager| component.get_export_index(Some(&pager), "page-size"))
            .ok_or_else(no_page_size)
    }

    pub(crate) fn new(
        mut store: impl AsContextMut,
        instance: &Instance,
        page_size: &ComponentExportIndex,
    ) -> wasmtime::Result<Self> {
        Ok(Self {
            exports: inspecting::Inspecting::new(&mut store, instance)?,
            page_size: instance
                .get_func(&mut store, page_size)
                .ok_or_else(no_page_size)?,
        })
    }
}

fn no_page_size() -> wasmtime::Error {
    format_err!("it exports no function `page-size`")
}

/// Exports that tell the page size of a file by its first bytes.
pub(crate) trait TellsPageSize {
    fn call_page_size(
        &self,
        store: impl AsContextMut,
        head: &[u8],
    ) -> wasmtime::Result<Result<u32, exported::Error>>;
}

impl TellsPageSize for PagerComponent {
    fn call_page_size(
        &self,
        store: impl AsContextMut,
        head: &[u8],
    ) -> wasmtime::Result<Result<u32, exported::Error>> {
        self.pagebox_pager_pager().call_page_size(store, head)
    }
}

impl TellsPageSize for Inspecting {
    fn call_page_size(
        &self,
        mut store: impl AsContextMut,
        head: &[u8],
    ) -> wasmtime::Result<Result<u32, exported::Error>> {
        let function = self
            .page_size
            .typed::<(&[u8],), (Result<u32, exported::Error>,)>(&store)?;
        let (page_size,) = function.call(&mut store, (head,))?;
        Ok(page_size)
    }
}

impl From<Geometry> for page_store::Geometry {
    fn from(geometry: Geometry) -> Self {
        Self {
            page_size: geometry.page_size.bytes_u32(),
            page_count: geometry.page_count,
            tail: geometry.tail,
        }
    }
}

impl From<StoreError> for page_store::StoreError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::OutOfBounds => Self::OutOfBounds,
            StoreError::InsufficientSpace => Self::InsufficientSpace,
            StoreError::ReadOnly => Self::ReadOnly,
            StoreError::Io(text) => Self::Io(text),
            StoreError::Other(text) => Self::Other(text),
            error => Self::Other(Some(error.to_string())),
        }
    }
}

impl From<page_store::StoreError> for StoreError {
    fn from(error: page_store::StoreError) -> Self {
        match error {
            page_store::StoreError::OutOfBounds => Self::OutOfBounds,
            page_store::StoreError::InsufficientSpace => Self::InsufficientSpace,
            page_store::StoreError::ReadOnly => Self::ReadOnly,
            page_store::StoreError::Io(text) => Self::Io(text),
            page_store::StoreError::Other(text) => Self::Other(text),
        }
    }
}
