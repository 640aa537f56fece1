//! The store on object storage. With nothing installed: in memory, through an object
//! store that counts, waits, fails and lies as it is told.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod budget;
mod contract;
mod days;
mod faults;
mod fencing;
mod file;
mod tricky;
