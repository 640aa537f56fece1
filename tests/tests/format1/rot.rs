//! Bits flip: never a wrong state, and what was acknowledged is never rolled
//! back without a word.

use std::collections::BTreeMap;

use pagebox_core::ProtectedId;
use pagebox_core::checksum::xxh3;
use pagebox_core::format1::{Error, File, Verdict};
use pagebox_store::{MemoryStore, PageStore};
use pagebox_tests::crash::Record;
use pagebox_tests::figures;
use pagebox_tests::rng::Rng;

use super::scene::{Model, Scene, layout};

/// Flips that all files together get, unless `PAGEBOX_FLIPS` says how many.
const FLIPS: u64 = 100_000;

/// What the file gives; none of an id: an error.
fn shown(file: &mut File, store: &MemoryStore) -> Option<BTreeMap<u64, Option<u128>>> {
    let ids = file.protected(store, ProtectedId(0), usize::MAX).ok()?;
    let mut bytes = vec![0; store.geometry().page_size.bytes()];
    let mut shown = BTreeMap::new();
    for (id, _) in ids {
        let read = match file.read(store, id, &mut bytes) {
            Ok(_) => Some(xxh3(&bytes)),
            Err(Error::ChecksumMismatch { .. }) => None,
            Err(error) => panic!("{error}"),
        };
        shown.insert(id.0, read);
    }
    Some(shown)
}

fn is_shown(model: &Model, shown: &BTreeMap<u64, Option<u128>>) -> bool {
    shown.keys().eq(model.protected.keys())
        && shown
            .iter()
            .all(|(id, sum)| sum.is_none_or(|sum| model.protected[id] == sum))
}

#[test]
fn flipped_bits_never_show_a_wrong_state() {
    let goal = match std::env::var("PAGEBOX_FLIPS") {
        Ok(count) => count.parse().expect("PAGEBOX_FLIPS is a number"),
        Err(_) => FLIPS,
    };
    let mut flips = 0;
    let mut refused = 0;
    let mut rng = Rng::new(9);
    let mut seed = 0;
    while flips < goal {
        seed += 1;
        let mut scene = Scene::on_crash_store(layout(seed), seed);
        for _ in 0..8 {
            scene.step().unwrap();
        }
        // One of a finished file, or of one that crashed in its last commit.
        let before = scene.model.clone();
        let acknowledged = seed % 3 != 0;
        let mut image = scene.store.bytes();
        if !acknowledged {
            scene.store.record(Record::Syncs);
            scene.step().unwrap();
            let moments = scene.store.take_moments();
            image = moments[moments.len() - 1].killed().bytes();
        }
        let page_size = scene.layout.shape().page_size;
        let mut store = MemoryStore::from_bytes(page_size, image);
        let head = scene.layout.shape().head() * page_size.bytes() as u64;
        for _ in 0..4000 {
            let bytes = store.bytes().len() as u64;
            let at = match rng.below(3) {
                0 => rng.below(head),
                _ => rng.below(bytes),
            } as usize;
            let bit = 1 << rng.below(8);
            store.bytes_mut()[at] ^= bit;
            match File::open_shaped(&store, scene.layout.shape()) {
                Ok(mut file) => match shown(&mut file, &store) {
                    Some(shown) => {
                        let is_after = is_shown(&scene.model, &shown);
                        let is_before = is_shown(&before, &shown);
                        assert!(
                            is_after || (!acknowledged && is_before),
                            "byte {at}, seed {seed}"
                        );
                        let verdict = file.verdict();
                        assert!(!acknowledged || verdict != Verdict::RolledBack, "byte {at}");
                    }
                    None => refused += 1,
                },
                Err(_) => refused += 1,
            }
            store.bytes_mut()[at] ^= bit;
            flips += 1;
        }
    }
    figures::print(&format!(
        "format 1: {flips} flipped bits, no wrong state: {refused} files refused in whole or part"
    ));
}

/// A commit that was acknowledged, and whose page rots: an error, not the state
/// before.
#[test]
fn rotten_page_of_an_acknowledged_commit_is_an_error_and_no_rollback() {
    let mut scene = Scene::on_crash_store(layout(0), 3);
    for _ in 0..6 {
        scene.step().unwrap();
    }
    let page_size = scene.layout.shape().page_size;
    let bytes = scene.store.bytes();
    for &id in scene.model.protected.keys() {
        let mut store = MemoryStore::from_bytes(page_size, bytes.clone());
        let mut file = File::open_shaped(&store, scene.layout.shape()).unwrap();
        let Some(page) = file.locate(&store, ProtectedId(id)).unwrap().page else {
            continue;
        };
        store.page_mut(page).unwrap()[99] ^= 1;
        let mut file = File::open_shaped(&store, scene.layout.shape()).unwrap();
        assert_eq!(file.verdict(), Verdict::Acknowledged);
        let mut bytes = vec![0; page_size.bytes()];
        let read = file.read(&store, ProtectedId(id), &mut bytes);
        assert!(
            matches!(read, Err(Error::ChecksumMismatch { .. })),
            "{read:?}"
        );
    }
}
