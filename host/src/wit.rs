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

use self::pagebox::pager::page_store;

wasmtime::component::bindgen!({
    world: "pager-component",
    path: "../wit",
    imports: { default: trappable },
    with: {
        "pagebox:pager/page-store.store": crate::page_stores::StoreHandle,
        "pagebox:pager/page-store.page-view": crate::page_stores::ViewHandle,
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
