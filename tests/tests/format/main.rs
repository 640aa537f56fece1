//! The format's bytes, and the pure maps.

mod bytes;
mod maps;
