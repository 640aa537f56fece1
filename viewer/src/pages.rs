//! The screens: each file has one screen's parameters, view, handler and
//! tests; the template of the same name shows it.

pub(crate) mod about;
pub(crate) mod changes;
pub(crate) mod compare_files;
pub(crate) mod crash;
pub(crate) mod diff;
pub(crate) mod directory;
pub(crate) mod files;
pub(crate) mod find;
pub(crate) mod health;
pub(crate) mod live;
pub(crate) mod map;
pub(crate) mod metadata;
pub(crate) mod overview;
pub(crate) mod page;
pub(crate) mod tiles;
pub(crate) mod time;
pub(crate) mod tree;
