//! What templates do to values before they write them.
#![expect(
    unreachable_pub,
    clippy::inline_always,
    clippy::unnecessary_wraps,
    clippy::unused_self,
    reason = "the macro of askama has ways of its own"
)]

use std::fmt::{Display, LowerHex};

use askama::Values;

use crate::text;

/// A number with its thousands apart.
#[askama::filter_fn]
pub(crate) fn n(value: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(text::grouped(&value.to_string()))
}

/// A text with its numbers' thousands apart.
#[askama::filter_fn]
pub(crate) fn thousands(value: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(text::with_thousands(&value.to_string()))
}

/// A number as `0x1f`.
#[askama::filter_fn]
pub(crate) fn hex(value: impl LowerHex, _: &dyn Values) -> askama::Result<String> {
    Ok(format!("{value:#x}"))
}

/// Bytes as `4d 50 50 47`.
#[askama::filter_fn]
pub(crate) fn bytes(value: impl AsRef<[u8]>, _: &dyn Values) -> askama::Result<String> {
    Ok(text::hex(value.as_ref()))
}

/// A name of the interface in words: `protected-active` as `protected active`.
#[askama::filter_fn]
pub(crate) fn said(value: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(value.to_string().replace('-', " "))
}

/// A sentence of the interface with a capital letter and a full stop.
#[askama::filter_fn]
pub(crate) fn sentence(value: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(text::sentence(&value.to_string()))
}
