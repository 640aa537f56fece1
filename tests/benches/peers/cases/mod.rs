//! The cases. Each file runs one or a few, over every medium that it is about,
//! and asserts that what was written is there after a reopen.

mod alloc;
mod churn;
mod deferred;
mod growth;
mod iterate;
mod open;
mod overwrite;
mod protect;
mod read;
mod shared;
mod write_sync;

use std::path::PathBuf;

use pagebox::Engine;

use crate::measure::{Medium, Row, with_ratios};

pub(crate) use open::{CHILD, child};

/// What the cases share.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    /// Few rounds: a test of the harness, not of the times.
    pub(crate) quick: bool,
    /// Folders to work in.
    pub(crate) media: Vec<(Medium, PathBuf)>,
    pub(crate) rows: Vec<Row>,
}

/// Cases that are run together, and their name.
type Group = (&'static str, fn(&mut Bench));

/// All cases by the name of their group, which is a part of theirs.
pub(crate) const GROUPS: [Group; 12] = [
    ("overwrite", overwrite::run),
    ("deferred", deferred::run),
    ("protect", protect::run),
    ("alloc", alloc::run),
    ("alloc-cpu", alloc::run_cpu),
    ("churn", churn::run),
    ("read", read::run),
    ("iterate", iterate::run),
    ("open", open::run),
    ("write-sync", write_sync::run),
    ("growth", growth::run),
    ("shared", shared::run),
];

impl Bench {
    /// `full` rounds, or a few.
    pub(crate) fn rounds(&self, full: u64) -> u64 {
        if self.quick { full.div_ceil(50) } else { full }
    }

    /// Does something in a new folder of every medium.
    fn on_media(&mut self, mut f: impl FnMut(&mut Self, Medium, PathBuf)) {
        for (medium, folder) in self.media.clone() {
            let folder = tempfile::tempdir_in(folder).expect("a folder to work in");
            f(self, medium, folder.path().to_owned());
        }
    }

    /// Does something in a new folder in memory; where there is none, on disk.
    fn in_memory(&mut self, f: impl FnOnce(&mut Self, Medium, PathBuf)) {
        let media = &self.media;
        let in_memory = media.iter().find(|(medium, _)| *medium == Medium::Tmpfs);
        let (medium, folder) = in_memory.unwrap_or(&media[0]);
        let (medium, folder) = (*medium, tempfile::tempdir_in(folder));
        let folder = folder.expect("a folder to work in");
        f(self, medium, folder.path().to_owned());
    }

    /// Takes down the results of one case.
    fn add(&mut self, rows: Vec<Row>) {
        crate::report::progress(&rows);
        self.rows.extend(with_ratios(rows));
    }
}
