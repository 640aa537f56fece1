//! Format 1: bytes against the table, arithmetic against a naive twin, random
//! work against a model, and crashes, kills, failures, rot and hostile files.
//!
//! Shapes with small groups and nodes give small files every level of both
//! trees.

mod arithmetic;
mod bytes;
mod compact;
mod compact_failing;
mod costs;
mod crash;
mod deferred;
mod deltas;
mod explained;
mod failing;
mod hostile;
mod kill;
mod mend;
mod misuse;
mod recovery;
mod rot;
mod scale;
mod scene;
mod snapshots;
mod snapshots_checked;
mod snapshots_failing;
mod snapshots_full;
mod twin;
mod upgrade;
mod views;
