//! [`Held`]: the pages that a host wants written, by number. Their bytes never go
//! into a guest: it names the number to the store, and learns no more of them
//! than their checksum.

use pagebox_store::PageBuffer;

/// Pages to be written, and where they were.
#[derive(Debug, Default)]
pub(crate) struct Held {
    buffers: Vec<PageBuffer>,
    /// The page that each was written to last.
    pages: Vec<Option<u64>>,
}

impl Held {
    /// Pages by their numbers: 0, 1 and so on.
    pub(crate) fn new(buffers: Vec<PageBuffer>) -> Self {
        Self {
            pages: vec![None; buffers.len()],
            buffers,
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&PageBuffer> {
        self.buffers.get(usize::try_from(number).ok()?)
    }

    /// Notes that pages were written, by number and place.
    pub(super) fn note(&mut self, written: impl Iterator<Item = (u64, u64)>) {
        for (number, page) in written {
            let place = usize::try_from(number).ok();
            if let Some(place) = place.and_then(|number| self.pages.get_mut(number)) {
                *place = Some(page);
            }
        }
    }

    /// The buffers, and where each was written.
    pub(crate) fn into_written(self) -> impl Iterator<Item = (PageBuffer, Option<u64>)> {
        self.buffers.into_iter().zip(self.pages)
    }
}
