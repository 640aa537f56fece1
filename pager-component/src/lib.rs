//! The component: `pagebox-core` behind the WIT. It converts between the two
//! and decides nothing.
//!
//! It imports `page-store` and nothing else: no WASI, hence no `std`.
#![cfg(target_family = "wasm")]
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod convert;
mod inspect;
mod pager;
mod repair;
mod runtime;
mod store;
mod words;

/// What the exports hang on.
struct Component;

/// The contract, in Rust.
mod wit {
    #![expect(unsafe_code, clippy::pedantic, reason = "generated")]

    use super::Component;

    wit_bindgen::generate!({
        world: "pager-component",
        path: "wit",
        ownership: Borrowing { duplicate_if_necessary: false },
        additional_derives: [PartialEq],
        additional_derives_ignore: ["staged-page", "change"],
    });

    export!(Component);
}
