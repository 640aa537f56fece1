//! How the rooms of each crate lie: nothing imports what imports it.

mod core;
mod host;
mod viewer;
