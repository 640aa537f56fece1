//! The format's bytes, the pure maps, and what neither takes.

mod bytes;
mod maps;
mod wrong;
