//! The kit that the tests of pagebox are made of: stores that crash, fail and
//! count; an independent reader of the format; a naive model of a page file;
//! and the program that we test against, in a process of its own.

pub mod counting;
pub mod craft;
pub mod craft1;
pub mod crash;
pub mod decode;
pub mod decode1;
pub mod examine;
pub mod examine1;
pub mod failing;
pub mod figures;
pub mod guests;
pub mod legal;
pub mod model;
pub mod modules;
pub mod mutate;
pub mod mutate1;
pub mod peer;
pub mod peer_sim;
pub mod rng;
pub mod scratch;
pub mod shown;
pub mod sparse;
pub mod specimens;
pub mod upgrade;
pub mod workload;
