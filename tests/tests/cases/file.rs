//! The file that the cases are made from, and how it is damaged.

use pagebox_core::{Pager, ProtectedId};
use pagebox_store::MemoryStore;
use pagebox_tests::craft;
use pagebox_tests::decode::State;
use pagebox_tests::examine::Shown;

use crate::{P, SIZE};

/// A file with a little of everything: 2 directory blocks, freed pages, pages
/// that were written several times.
#[derive(Clone)]
pub(crate) struct File {
    pub(crate) bytes: Vec<u8>,
    pub(crate) state: State,
}

/// Which checksum is put right after a change.
#[derive(Clone, Copy)]
pub(crate) enum Seal {
    None,
    Page,
    Section,
}

impl File {
    pub(crate) fn new() -> Self {
        let mut pager = Pager::create(MemoryStore::new(SIZE), 0).unwrap();
        let mut transaction = pager.begin().unwrap();
        pager.alloc(&mut transaction, 8).unwrap();
        pager.alloc_protected(&mut transaction, 36).unwrap();
        pager.commit(transaction).unwrap();
        let mut transaction = pager.begin().unwrap();
        pager.free(&mut transaction, &[4, 6]).unwrap();
        pager
            .free_protected(&mut transaction, &[ProtectedId(3), ProtectedId(34)])
            .unwrap();
        for id in [0, 1, 2, 33, 35] {
            pager
                .stage(&mut transaction, ProtectedId(id))
                .unwrap()
                .fill(id as u8 + 1);
        }
        pager.commit(transaction).unwrap();
        let mut transaction = pager.begin().unwrap();
        pager.stage(&mut transaction, ProtectedId(0)).unwrap()[0] = 9;
        pager.commit(transaction).unwrap();
        Self::of(pager.close().bytes().to_vec())
    }

    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        let state = State::of(&bytes, P);
        Self { bytes, state }
    }

    /// What of it may be lost is not for this to say: all that it shows.
    pub(crate) fn shown(&self) -> Shown {
        let protected = self
            .state
            .protected
            .iter()
            .map(|(&id, slot)| (id, slot.checksum));
        Shown {
            regular: Some(self.state.regular()),
            protected: protected.collect(),
            ..Shown::default()
        }
    }

    /// The file with some bytes of a page replaced.
    pub(crate) fn with(&self, page: u64, offset: usize, bytes: &[u8], seal: Seal) -> Vec<u8> {
        let mut file = self.bytes.clone();
        let whole = &mut file[page as usize * P..][..P];
        whole[offset..offset + bytes.len()].copy_from_slice(bytes);
        match seal {
            Seal::None => {}
            Seal::Page => craft::seal_page(whole),
            Seal::Section => craft::seal_section(whole),
        }
        file
    }

    /// The metadata page that counts.
    pub(crate) fn metadata(&self) -> u64 {
        1 + self.state.side as u64
    }

    /// The copy of a directory block that counts.
    pub(crate) fn copy(&self, block: usize) -> u64 {
        let block = &self.state.blocks[block];
        block.page[block.active]
    }
}
