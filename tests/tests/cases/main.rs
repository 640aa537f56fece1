//! Bad files, bad callers, bad disks: the tables of format 0 case by case, the
//! rules that no random workload comes across, mutated files, repair. And what
//! is tested of the sources: the mutants, and how the rooms of each crate
//! lie.

mod damaged;
mod disks;
mod failing;
mod file;
mod hostile;
mod misuse;
mod mutants;
mod repair;
mod rooms;
mod rot;
mod rules;
mod torn;
mod upgrade;

use pagebox_store::PageSize;

/// Small pages: every bit of them can be tried.
const SIZE: PageSize = PageSize::KIB_1;
const P: usize = SIZE.bytes();
