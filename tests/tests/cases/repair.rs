//! Repair: of natural damage it keeps every page that can be proven good, says
//! what is lost, and invents nothing.

use std::collections::{BTreeMap, BTreeSet};

use pagebox_core::Pager;
use pagebox_core::repair::Action;
use pagebox_store::{MemoryStore, SECTOR};
use pagebox_tests::decode::{Kind, State};
use pagebox_tests::examine::{Repaired, examine};
use pagebox_tests::figures;
use pagebox_tests::model::Model;
use pagebox_tests::rng::Rng;
use pagebox_tests::workload::Workload;

use crate::{P, SIZE};

/// A file that was in use for a while.
struct File {
    bytes: Vec<u8>,
    state: State,
    /// The checksums that each protected page ever had.
    history: BTreeMap<u64, BTreeSet<u32>>,
}

impl File {
    fn new(seed: u64, steps: usize) -> Self {
        let mut pager = Pager::create(MemoryStore::new(SIZE), 0).unwrap();
        let mut model = Model::new(P);
        let mut workload = Workload::new(seed);
        let mut history: BTreeMap<u64, BTreeSet<u32>> = BTreeMap::new();
        let said = |pager: &Pager<MemoryStore>| State::of(pager.store().bytes(), P);
        for _ in 0..steps {
            model.run(&mut pager, &workload.step()).unwrap();
            for (id, slot) in said(&pager).protected {
                history.entry(id).or_default().insert(slot.checksum);
            }
        }
        let state = said(&pager);
        Self {
            bytes: pager.close().bytes().to_vec(),
            state,
            history,
        }
    }

    /// What repair made of the file with some damage; nothing, where it says
    /// that there is nothing to mend.
    fn mended(&self, damaged: &[u8], context: &str) -> Option<Repaired> {
        let repaired = examine(damaged, SIZE).repaired.ok()?;
        let state = State::of(&repaired.bytes, P);
        let lost: Vec<&Action> = repaired
            .actions
            .iter()
            .filter(|action| action.lost)
            .collect();
        let context = format!("{context}; {:#?}", repaired.actions);

        // Nothing is invented.
        for (id, crc) in &repaired.shown.protected {
            let known = self.history.get(id).is_some_and(|ever| ever.contains(crc));
            assert!(
                known,
                "protected page {id} has bytes that it never had; {context}"
            );
        }
        // What is missing is named, by its id or by its block.
        for id in self.state.protected.keys() {
            let is_named = lost.iter().any(|action| {
                action.protected.map(|it| it.0) == Some(*id)
                    || action.text.contains("directory block")
            });
            let is_kept = repaired.shown.protected.contains_key(id);
            assert!(
                is_kept || is_named,
                "protected page {id} is missing; {context}"
            );
        }
        // Regular pages have no checksum: those that are there stay.
        let shown = repaired.shown.regular.as_ref().unwrap();
        let file_pages = (damaged.len() / P) as u64;
        for page in self
            .state
            .regular()
            .into_iter()
            .filter(|&page| page < file_pages)
        {
            let is_named = lost.iter().any(|action| {
                action.page == Some(page) || action.text.contains("pages that became regular since")
            });
            assert!(
                shown.contains(&page) || is_named,
                "regular page {page} is lost; {context}"
            );
            assert!(
                state.allocated[page as usize],
                "regular page {page} is free; {context}"
            );
        }
        Some(repaired)
    }
}

#[test]
fn damage_to_one_page_loses_what_is_in_it_and_says_so() {
    let mut tried = 0;
    for seed in 0..12 {
        let file = File::new(seed, 80);
        let mut rng = Rng::new(seed);
        for page in 0..file.state.page_count {
            for sectors in [0..1, 1..2, 0..2] {
                let mut damaged = file.bytes.clone();
                let range = page as usize * P + sectors.start * SECTOR
                    ..page as usize * P + sectors.end * SECTOR;
                rng.fill(&mut damaged[range]);
                let kind = file.state.kind(page);
                let context = format!("seed {seed}, page {page}, {kind:?}, sectors {sectors:?}");
                let repaired = file.mended(&damaged, &context);
                tried += 1;
                // What is lost is in the page; without the first sector it is
                // no page file.
                let counts = file.state.reaches(page);
                match kind {
                    Kind::Superblock if sectors.start == 0 => assert!(repaired.is_none()),
                    Kind::Regular | Kind::Free | Kind::ProtectedShadow => {
                        assert_eq!(repaired.unwrap().bytes, damaged, "{context}");
                    }
                    Kind::ProtectedActive => {
                        let kept = repaired.unwrap().shown.protected.len();
                        assert_eq!(kept + 1, file.state.protected.len(), "{context}");
                    }
                    _ if !counts => {
                        let lost = repaired.unwrap().actions.iter().any(|action| action.lost);
                        assert!(!lost, "{context}");
                    }
                    _ => assert!(repaired.is_some(), "{context}"),
                }
            }
        }
    }
    figures::print(&format!(
        "{tried} files with a damaged page mended: nothing invented"
    ));
}

#[test]
fn damage_to_several_pages_loses_what_is_in_them_and_says_so() {
    for seed in 0..400 {
        let file = File::new(seed % 20, 60);
        let mut rng = Rng::new(seed);
        let mut damaged = file.bytes.clone();
        let mut pages = Vec::new();
        for _ in 0..rng.between(2, 5) {
            let page = match rng.below(2) {
                0 => *rng.pick(&internal(&file.state)),
                _ => rng.between(1, file.state.page_count - 1),
            };
            pages.push(page);
            let start = page as usize * P + rng.below(2) as usize * SECTOR;
            rng.fill(&mut damaged[start..start + SECTOR]);
        }
        file.mended(&damaged, &format!("seed {seed}, pages {pages:?}"));
    }
}

/// Metadata and directory pages.
fn internal(state: &State) -> Vec<u64> {
    let blocks = state.blocks.iter().flat_map(|block| block.page);
    [1, 2].into_iter().chain(blocks).collect()
}

#[test]
fn a_file_that_was_cut_off_keeps_what_is_left() {
    for seed in 0..6 {
        let file = File::new(seed, 80);
        for left in 1..file.state.page_count {
            let cut = &file.bytes[..left as usize * P];
            let context = format!("seed {seed}, {left} pages left");
            let repaired = file.mended(cut, &context).expect(&context);
            for (id, slot) in &file.state.protected {
                let all_there = slot.active_page() < left
                    && file
                        .state
                        .blocks
                        .iter()
                        .all(|block| block.page.iter().all(|&it| it < left));
                let is_kept = repaired.shown.protected.contains_key(id);
                assert!(
                    is_kept || !all_there,
                    "protected page {id}; seed {seed}, {left} left"
                );
            }
        }
    }
}

/// The older copy of a directory block names pages that were freed since, and
/// that a regular page may have now.
#[test]
fn going_back_to_an_older_directory_copy_takes_no_regular_page() {
    for is_overwritten in [false, true] {
        let mut pager = Pager::create(MemoryStore::new(SIZE), 0).unwrap();
        let mut transaction = pager.begin().unwrap();
        let ids = pager.alloc_protected(&mut transaction, 2).unwrap();
        pager.commit(transaction).unwrap();
        let listed = pager.protected(ids[0], 1).unwrap()[0];
        let own = [listed.location.page.unwrap(), listed.next.unwrap()];
        let mut transaction = pager.begin().unwrap();
        pager.free_protected(&mut transaction, &[ids[0]]).unwrap();
        pager.commit(transaction).unwrap();
        let mut transaction = pager.begin().unwrap();
        let pages = pager.alloc(&mut transaction, 2).unwrap();
        pager.commit(transaction).unwrap();
        assert_eq!(pages, own);
        if is_overwritten {
            for &page in &pages {
                pager.store_mut().page_mut(page).unwrap().fill(7);
            }
        }
        let bytes = pager.close().bytes().to_vec();
        let state = State::of(&bytes, P);
        let block = &state.blocks[0];
        let mut damaged = bytes.clone();
        damaged[block.page[block.active] as usize * P + 100] ^= 1;
        let history = [0, 1].map(|id| (id, BTreeSet::from([crc32fast::hash(&[0; P])])));
        let file = File {
            bytes,
            state,
            history: history.into(),
        };
        let repaired = file
            .mended(&damaged, &format!("overwritten: {is_overwritten}"))
            .unwrap();
        assert!(repaired.shown.protected.contains_key(&1));
        let came_back = repaired.shown.protected.contains_key(&0);
        assert_eq!(came_back, !is_overwritten, "its bytes decide");
    }
}

/// Nothing in them proves that they were its own: they may be somebody else's.
#[test]
fn the_pages_of_a_lost_directory_block_are_given_to_nobody() {
    let file = crate::file::File::new();
    let pages = file.state.blocks[0].page;
    let mut bytes = file.bytes.clone();
    for page in pages {
        bytes[page as usize * P + 40] ^= 1;
    }
    let repaired = examine(&bytes, SIZE).repaired.unwrap();
    let state = State::of(&repaired.bytes, P);
    for page in pages {
        assert_eq!(state.kind(page), Kind::Regular, "{:#?}", repaired.actions);
    }
}
