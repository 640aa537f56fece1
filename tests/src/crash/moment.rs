//! [`Moment`]: a medium at the moment at which the power goes, and the images
//! that this can leave.

use pagebox_store::crash::{Disk, Page, Survivors};

use super::CrashStore;
use crate::rng::Rng;

/// The medium as it was at one moment.
#[derive(Clone, Debug)]
pub struct Moment {
    /// How many syncs the store had seen.
    pub syncs: u64,
    /// What was going on, for people.
    pub during: &'static str,
    pub(super) disk: Disk,
}

impl Moment {
    /// What a process that is started now finds, if this one is killed. The
    /// writes are as durable as they were.
    pub fn killed(&self) -> CrashStore {
        CrashStore::from_disk(self.disk.clone())
    }

    /// What a power loss leaves that nothing in doubt survives.
    pub fn durable(&self) -> CrashStore {
        self.left(self.disk.durable())
    }

    /// How many images a power loss can leave.
    pub fn image_count(&self) -> u64 {
        self.disk.image_count()
    }

    /// Calls `try_image` with what a power loss can leave: with every image if
    /// there are at most `limit`, else with `limit` of them, chosen by `rng`.
    /// Returns how many.
    pub fn images(
        &self,
        limit: u64,
        rng: &mut Rng,
        mut try_image: impl FnMut(CrashStore, &Survivors),
    ) -> u64 {
        self.disk
            .images(limit, &mut |end| rng.below(end), |pages, survivors| {
                try_image(self.left(pages), survivors);
            })
    }

    /// A medium with what a power loss left.
    fn left(&self, pages: Vec<Page>) -> CrashStore {
        let mut disk = Disk::new(self.disk.geometry().page_size, pages);
        if self.disk.keeps_order() {
            disk.keep_order();
        }
        CrashStore::from_disk(disk)
    }
}
