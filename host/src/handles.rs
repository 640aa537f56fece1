//! What stands for stores and views where guests hold handles of them.

/// What a `store` of the WIT stands for in a [`Resource`].
///
/// [`Resource`]: wasmtime::component::Resource
#[derive(Debug)]
pub enum StoreHandle {}

/// What a `page-view` of the WIT stands for in a [`Resource`].
///
/// [`Resource`]: wasmtime::component::Resource
#[derive(Debug)]
pub enum ViewHandle {}
