//! Snapshots fill a store: what finds no room says so and changes nothing, and
//! any snapshot can be dropped then.

use pagebox_core::ProtectedId;
use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1::{Error, File, Layout, Shape};
use pagebox_store::{MemoryStore, PageBuffer};
use pagebox_tests::rng::Rng;

use super::scene::{TINY, expect_sound, file_of, page, state_of, with_deltas};

/// Ids that are written; all others are new ones.
const IDS: u64 = 20;

/// What is done until there is no room for it.
const VERBS: u64 = 5;
const ALL_BUT_WRITES: u64 = 0b11001;

fn one(id: u64, change: Change<PageBuffer>) -> Changes<PageBuffer> {
    let mut changes = Changes::default();
    changes.protected.insert(ProtectedId(id), change);
    changes
}

/// Does something that takes pages.
fn take(
    file: &mut File,
    store: &mut MemoryStore,
    shape: Shape,
    (verb, round): (u64, u64),
    defers: bool,
) -> Result<(), Error> {
    let bytes = page(shape, round as u8);
    let changes = match verb {
        0 => {
            let name = round.to_string();
            return file.create_snapshot(store, &name, 0).map(drop);
        }
        1 | 2 => one(round * 7 % IDS, Change::Write(bytes)),
        3 => {
            let id = file.find_free_id(store, ProtectedId(0))?;
            one(id.0, Change::New(Some(bytes)))
        }
        _ => {
            let mut changes = Changes::default();
            changes.allocated.insert(file.find_free(store, 0)?);
            changes
        }
    };
    if defers {
        file.commit_deferred(store, &changes).map(drop)
    } else {
        file.commit(store, &changes).map(drop)
    }
}

/// Takes until nothing can be taken any more; `likely` at first more than the rest.
fn fill(file: &mut File, store: &mut MemoryStore, shape: Shape, rng: &mut Rng, likely: u64) {
    let defers = rng.chance(1, 2);
    let (mut refused, mut written) = (0_u64, 0);
    for round in 0.. {
        let verb = match refused {
            0 if rng.chance(19, 20) => likely,
            _ => rng.below(VERBS),
        };
        let before = (file.stats(), store.bytes().to_vec());
        let is_deferred = defers && rng.chance(3, 4);
        let done = take(file, store, shape, (verb, round), is_deferred);
        match done {
            Ok(()) => refused &= !(1 << verb),
            Err(Error::Full { .. } | Error::NoFreeId { .. }) => {
                refused |= 1 << verb;
                let is_pending = before.0.durable < before.0.generation;
                assert!(
                    is_pending || file.stats() == before.0 && *store.bytes() == *before.1,
                    "it is full, and something changed"
                );
            }
            Err(error) => panic!("{error}"),
        }
        // What was written since the newest snapshot can be written again.
        if refused & ALL_BUT_WRITES == ALL_BUT_WRITES {
            written += 1;
            if written > 3 * IDS {
                return;
            }
        }
        assert!(round < 9000, "it is never full");
    }
}

#[test]
fn snapshots_of_a_full_store_are_dropped_in_any_order() {
    let mut most = 0;
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let deltas = *rng.pick(&[0, 48, 400, usize::MAX]);
        let shape = with_deltas(Layout::regular(TINY), deltas).shape();
        let (mut store, mut file) = file_of(shape, IDS);
        // Some have many pages of their table, some few snapshots.
        let likely = seed % 3;
        fill(&mut file, &mut store, shape, &mut rng, likely);
        let names = |file: &mut File, store: &MemoryStore| -> Vec<String> {
            let found = file.snapshots(store).unwrap();
            found.into_iter().map(|it| it.name).collect()
        };
        most = most.max(names(&mut file, &store).len());
        for order in 0..4 {
            let (mut store, mut file) = (store.clone(), file.clone());
            if order == 3 {
                file = File::open_shaped(&store, shape).unwrap();
            }
            let mut left = names(&mut file, &store);
            while !left.is_empty() {
                let at = match order {
                    0 => 0,
                    1 => left.len() - 1,
                    _ => rng.below(left.len() as u64) as usize,
                };
                let name = left.remove(at);
                let done = file.delete_snapshot(&mut store, &name);
                done.unwrap_or_else(|error| panic!("{error}: seed {seed}, {order}, {name}"));
                assert_eq!(names(&mut file, &store), left);
                if left.len() % 8 == 0 {
                    state_of(&store, shape).unwrap();
                    expect_sound(&mut file, &store, shape).unwrap();
                }
            }
            // And there is room again.
            file.create_snapshot(&mut store, "one", 0).unwrap();
        }
    }
    assert!(most > 60, "{most}");
}

/// A process that read only the newest page of the table keeps the room, too.
#[test]
fn room_to_drop_is_kept_by_whoever_opens_the_file() {
    let shape = with_deltas(Layout::regular(TINY), 0).shape();
    let (mut store, mut file) = file_of(shape, IDS);
    for number in 0..120 {
        file.create_snapshot(&mut store, &number.to_string(), 0)
            .unwrap();
    }
    let mut file = File::open_shaped(&store, shape).unwrap();
    for verb in [1, 3, 4] {
        for round in 0..300 {
            match take(&mut file, &mut store, shape, (verb, round), false) {
                Ok(()) => {}
                Err(Error::Full { .. } | Error::NoFreeId { .. }) => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    for number in 0..120 {
        file.delete_snapshot(&mut store, &number.to_string())
            .unwrap();
    }
    state_of(&store, shape).unwrap();
}
