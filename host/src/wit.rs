//! The contract, in Rust: generated from the WIT, for embedders that run the
//! component in an engine of their own.
//!
//! What is generated follows wasmtime's bindings generator, and changes with
//! it. The stable interface is the rest of this crate.
#![expect(
    missing_docs,
    reason = "generated; the WIT has prose for what needs it"
)]

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
