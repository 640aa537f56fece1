//! The contract, in Rust: generated from the WIT, for embedders that run the
//! component in an engine of their own.
//!
//! [`PagerComponent`] is for engines whose guests run until they are done. A
//! store whose guests yield, by fuel or by epochs, refuses its calls; the same in
//! futures is the module `yielding`, with the feature of that name. Both import
//! what [`add_to_linker`](crate::add_to_linker) adds.
//!
//! What is generated follows wasmtime's bindings generator, and changes with
//! it. The stable interface is the rest of this crate.
#![expect(
    missing_docs,
    reason = "generated; the WIT has prose for what needs it"
)]

use pagebox_store::{Algorithm, Checksum, Geometry, IoError, StoreError};
use wasmtime::component::{Component, ComponentExportIndex, Func, Instance};
use wasmtime::{AsContextMut, format_err};

use self::exports::pagebox::pager::pager as exported;
use self::pagebox::pager::page_store;

wasmtime::component::bindgen!({
    world: "pager-component",
    path: "wit",
    imports: { default: trappable },
    with: {
        "pagebox:pager/page-store.store": crate::handles::StoreHandle,
        "pagebox:pager/page-store.page-view": crate::handles::ViewHandle,
    },
});

/// The contract for engines whose guests yield to others, by
/// [`fuel_async_yield_interval`] or [`epoch_deadline_async_yield_and_update`]:
/// each call is a future, for any executor. `host/examples/yielding_engine.rs`
/// has two guests take turns.
///
/// Only the component's own work yields. Its calls of a [`Store`](crate::Store),
/// syncs among them, run until they are done: an executor that must not wait for a
/// disk polls such a guest where waiting does no harm.
///
/// A future that is dropped before it is done leaves its instance of no use, as a
/// trap does, and the medium as a crash there would: open that again in another
/// instance.
///
/// [`fuel_async_yield_interval`]: wasmtime::Store::fuel_async_yield_interval
/// [`epoch_deadline_async_yield_and_update`]: wasmtime::Store::epoch_deadline_async_yield_and_update
#[cfg(feature = "yielding")]
pub mod yielding {
    wasmtime::component::bindgen!({
        world: "pager-component",
        path: "wit",
        exports: { default: async },
        with: { "pagebox:pager/page-store": super::pagebox::pager::page_store },
    });
}

/// The same for the inspector alone, whose results become JSON.
pub(crate) mod inspecting {
    wasmtime::component::bindgen!({
        inline: "
            package pagebox:host;
            world inspecting {
                import pagebox:pager/page-store@0.2.0;
                export pagebox:pager/inspect@0.2.0;
            }
        ",
        path: "wit",
        with: { "pagebox:pager/page-store": super::pagebox::pager::page_store },
        additional_derives: [Clone, PartialEq, serde::Serialize],
    });
}

/// What an inspector is driven by: its own exports, and the functions of the
/// pager's that say what pages its store is to have, or why that is not known.
pub(crate) struct Inspecting {
    pub(crate) exports: inspecting::Inspecting,
    page_size: Func,
    describe: Func,
}

/// Where a component has the functions of an [`Inspecting`] that are not the
/// inspector's.
pub(crate) struct Places {
    page_size: ComponentExportIndex,
    describe: ComponentExportIndex,
}

impl Places {
    pub(crate) fn find(component: &Component) -> wasmtime::Result<Self> {
        let pager = component
            .get_export_index(None, "pagebox:pager/pager@0.2.0")
            .ok_or_else(|| format_err!("it exports no pager"))?;
        let find = |name| {
            component
                .get_export_index(Some(&pager), name)
                .ok_or_else(|| no_function(name))
        };
        Ok(Self {
            page_size: find("page-size")?,
            describe: find("describe")?,
        })
    }
}

impl Inspecting {
    pub(crate) fn new(
        mut store: impl AsContextMut,
        instance: &Instance,
        places: &Places,
    ) -> wasmtime::Result<Self> {
        Ok(Self {
            exports: inspecting::Inspecting::new(&mut store, instance)?,
            page_size: instance
                .get_func(&mut store, places.page_size)
                .ok_or_else(|| no_function("page-size"))?,
            describe: instance
                .get_func(&mut store, places.describe)
                .ok_or_else(|| no_function("describe"))?,
        })
    }
}

fn no_function(name: &str) -> wasmtime::Error {
    format_err!("it exports no function `{name}`")
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

/// Exports that put an error into words.
pub(crate) trait Describes {
    fn call_describe(
        &self,
        store: impl AsContextMut,
        error: exported::Error,
    ) -> wasmtime::Result<String>;
}

impl Describes for PagerComponent {
    fn call_describe(
        &self,
        store: impl AsContextMut,
        error: exported::Error,
    ) -> wasmtime::Result<String> {
        self.pagebox_pager_pager().call_describe(store, error)
    }
}

impl Describes for Inspecting {
    fn call_describe(
        &self,
        mut store: impl AsContextMut,
        error: exported::Error,
    ) -> wasmtime::Result<String> {
        let function = self
            .describe
            .typed::<(exported::Error,), (String,)>(&store)?;
        let (text,) = function.call(&mut store, (error,))?;
        Ok(text)
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
            StoreError::Fenced => Self::Fenced,
            StoreError::Io(IoError { text, .. }) => Self::Io(text),
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
            page_store::StoreError::Fenced => Self::Fenced,
            page_store::StoreError::Io(text) => Self::Io(IoError { code: None, text }),
            page_store::StoreError::Other(text) => Self::Other(text),
        }
    }
}

impl From<page_store::Algorithm> for Algorithm {
    fn from(algorithm: page_store::Algorithm) -> Self {
        match algorithm {
            page_store::Algorithm::Crc32 => Self::Crc32,
            page_store::Algorithm::Xxh3 => Self::Xxh3,
        }
    }
}

impl From<page_store::Checksum> for Checksum {
    fn from(checksum: page_store::Checksum) -> Self {
        Self {
            algorithm: checksum.algorithm.into(),
            value: u128::from(checksum.high) << 64 | u128::from(checksum.low),
        }
    }
}

impl From<Checksum> for page_store::Checksum {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a sum")]
    fn from(checksum: Checksum) -> Self {
        Self {
            algorithm: match checksum.algorithm {
                Algorithm::Crc32 => page_store::Algorithm::Crc32,
                Algorithm::Xxh3 => page_store::Algorithm::Xxh3,
            },
            low: checksum.value as u64,
            high: (checksum.value >> 64) as u64,
        }
    }
}
