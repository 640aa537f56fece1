//! Compaction: how short a file becomes, what stands in the way, and what it costs.
//! That it loses nothing through random work and crashes is in `twin`, `crash` and
//! `kill`.

use std::collections::BTreeSet;

use pagebox_core::changes::{Change, Changes};
use pagebox_core::format1::{Error, File, Layout, Shape};
use pagebox_core::{Access, Compacted, Format, NewFile, Obstacle, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageBuffer, PageSize, PageStore};
use pagebox_tests::counting::CountingStore;
use pagebox_tests::decode1::State;
use pagebox_tests::rng::Rng;

use super::scene::{
    MEDIUM, SMALL, Scene, agree, byte, expect_sound, file_of, layout, shows, state_of, write,
};

fn free(ids: impl IntoIterator<Item = u64>) -> Changes<PageBuffer> {
    let mut changes = Changes::default();
    for id in ids {
        changes.protected.insert(ProtectedId(id), Change::Free);
    }
    changes
}

/// Steps until the last one: that, and the pages that all of them moved.
pub(crate) fn compact<S: PageStore>(
    file: &mut File,
    store: &mut S,
    target: u64,
    limit: usize,
) -> Result<(Compacted, u64), Error> {
    let mut moved = 0;
    for _ in 0..10_000 {
        let step = file.compact(store, target, limit)?;
        moved += step.moved;
        if step.is_done {
            return Ok((step, moved));
        }
    }
    panic!("it does not end");
}

/// Pages that a state uses, the reserved ones apart.
fn used(state: &State) -> BTreeSet<u64> {
    let all = [state.all_data(), state.all_nodes()];
    let mut used: BTreeSet<u64> = all.into_iter().flatten().collect();
    used.extend(&state.tables);
    used.extend(&state.regular);
    used
}

/// The fewest pages that have the room for so many, and what freeing takes.
fn fewest(layout: &Layout, state: &State) -> u64 {
    let taken = state.used() + 2 * (u64::from(state.heights[0]) + 1) + state.tables.len() as u64;
    let mut count = layout.floor();
    while layout.round(count) != count || layout.reserved(count) + taken > count {
        count += 1;
    }
    count
}

#[test]
fn file_shrinks_to_what_it_holds() {
    for limit in [1, 7, 1000] {
        let (mut store, mut file) = file_of(SMALL, 200);
        file.commit(&mut store, &free(0..170)).unwrap();
        let long = file.stats().page_count;
        let (done, moved) = compact(&mut file, &mut store, 0, limit).unwrap();
        let state = state_of(&store, SMALL).unwrap();
        assert_eq!(done.obstacle, Some(Obstacle::Contents));
        assert_eq!(done.page_count, fewest(&Layout::regular(SMALL), &state));
        assert!(done.page_count < long / 3 && moved >= 30);
        assert_eq!(store.geometry().page_count, done.page_count);
        expect_sound(&mut file, &store, SMALL).unwrap();
        let mut anew = File::open_shaped(&store, SMALL).unwrap();
        for file in [&mut file, &mut anew] {
            agree(file, &store, &state).unwrap();
            assert!((170..200).all(|id| byte(file, &store, id) == 1));
        }
        // Again: there is nothing to do, and nothing is done.
        let before = store.bytes().to_vec();
        let (again, moved) = compact(&mut file, &mut store, 0, limit).unwrap();
        assert_eq!((again, moved), (done, 0));
        assert!(before == store.bytes());
        // What is freed needs no growth; what is written may.
        let short = store.geometry().page_count;
        file.commit(&mut store, &free([180])).unwrap();
        assert_eq!(store.geometry().page_count, short);
        file.commit(&mut store, &write(SMALL, 181..200, 3)).unwrap();
        assert!((181..200).all(|id| byte(&mut file, &store, id) == 3));
        state_of(&store, SMALL).unwrap();
    }
}

/// A file gets as short as it is asked to be, and no shorter.
#[test]
fn target_is_met_exactly() {
    let layout = Layout::regular(SMALL);
    for target in [90, 96, 97, 98, 99, 100, 150] {
        let (mut store, mut file) = file_of(SMALL, 200);
        file.commit(&mut store, &free(30..200)).unwrap();
        let (done, _) = compact(&mut file, &mut store, target, 9).unwrap();
        assert_eq!(done.obstacle, None);
        assert_eq!(done.page_count, layout.round_up(target));
        assert_eq!(store.geometry().page_count, done.page_count);
        state_of(&store, SMALL).unwrap();
    }
}

/// A page of a tree that was emptied in between, and one that is not there any more.
#[test]
fn regular_page_stands_in_the_way_and_is_named() {
    let (mut store, mut file) = file_of(SMALL, 150);
    let mut changes = Changes::default();
    let page = file.find_free(&store, 130).unwrap();
    changes.allocated.insert(page);
    file.commit(&mut store, &changes).unwrap();
    store.page_mut(page).unwrap().fill(7);
    file.commit(&mut store, &free(10..150)).unwrap();
    let (done, _) = compact(&mut file, &mut store, 0, 50).unwrap();
    assert_eq!(done.obstacle, Some(Obstacle::Regular { page }));
    assert_eq!(done.page_count, Layout::regular(SMALL).round_up(page + 1));
    assert!(store.page(page).unwrap().iter().all(|&byte| byte == 7));
    let mut changes = Changes::default();
    changes.freed.insert(page);
    file.commit(&mut store, &changes).unwrap();
    let (done, _) = compact(&mut file, &mut store, 0, 50).unwrap();
    assert_eq!(done.obstacle, Some(Obstacle::Contents));
    assert!(done.page_count < page);
}

#[test]
fn snapshot_stands_in_the_way_and_is_named() {
    let (mut store, mut file) = file_of(MEDIUM, 200);
    file.commit(&mut store, &free(0..170)).unwrap();
    for name in ["one", "two"] {
        file.create_snapshot(&mut store, name, 0).unwrap();
    }
    file.commit(&mut store, &free(180..200)).unwrap();
    for expected in ["two", "one"] {
        let (done, _) = compact(&mut file, &mut store, 0, 50).unwrap();
        let Some(Obstacle::Snapshot { page, name }) = done.obstacle else {
            panic!("{done:?}");
        };
        assert_eq!(name.as_deref(), Some(expected));
        assert_eq!(done.page_count, Layout::regular(MEDIUM).round_up(page + 1));
        let state = state_of(&store, MEDIUM).unwrap();
        let holder = &state.snapshots[state.snapshots.len() - 1];
        let mut data = holder.protected.values();
        assert!(holder.nodes.contains(&page) || data.any(|stored| stored.page == page));
        file.delete_snapshot(&mut store, expected).unwrap();
    }
    let (done, _) = compact(&mut file, &mut store, 0, 50).unwrap();
    assert_eq!(done.obstacle, Some(Obstacle::Contents));
}

/// What a view reads stays where it is, and the end with it; what it does not read
/// moves all the same.
#[test]
fn view_keeps_the_end_as_long_as_it_lives() {
    let (mut store, mut file) = file_of(SMALL, 150);
    file.commit(&mut store, &free(0..100)).unwrap();
    let (mut view, pin) = file.view().unwrap();
    file.commit(&mut store, &free(100..140)).unwrap();
    let long = file.stats().page_count;
    let (done, moved) = compact(&mut file, &mut store, 0, 50).unwrap();
    let generation = pin.generation();
    assert_eq!(done.obstacle, Some(Obstacle::View { generation }));
    assert_eq!((done.page_count, store.geometry().page_count), (long, long));
    assert!(moved >= 10);
    assert!((100..150).all(|id| byte(&mut view, &store, id) == 1));
    drop(pin);
    let (done, _) = compact(&mut file, &mut store, 0, 50).unwrap();
    assert_eq!(done.obstacle, Some(Obstacle::Contents));
    assert!(done.page_count < long / 2);
}

/// One commit and one sync a step; at its end two syncs more. It never grows.
#[test]
fn step_costs_one_sync_and_writes_what_it_moves() {
    let (store, mut file) = file_of(SMALL, 150);
    let (mut store, counter) = CountingStore::new(store);
    file.commit(&mut store, &free(0..130)).unwrap();
    counter.take();
    let mut generation = file.stats().generation;
    let mut steps = 0;
    loop {
        let step = file.compact(&mut store, 0, 4).unwrap();
        let counts = counter.take();
        assert_eq!(counts.grows, 0);
        let commits = file.stats().generation - generation;
        generation = file.stats().generation;
        if step.is_done {
            // The commit with the smaller page count, and both slots.
            assert_eq!((commits, counts.syncs), (1, 2), "{counts:?}");
            break;
        }
        steps += u64::from(step.moved > 0);
        // The first one folds before it, and the last one looks once more.
        assert_eq!(commits, counts.syncs);
        assert!(commits <= 2, "{commits}");
        assert!(counts.pages <= 60, "{counts:?}");
    }
    assert!(steps >= 5);
}

/// What a process that was killed left behind the end is given back, too.
#[test]
fn what_lies_behind_the_end_is_given_back() {
    for is_short in [true, false] {
        let (mut store, mut file) = file_of(SMALL, 150);
        if !is_short {
            file.commit(&mut store, &free(0..100)).unwrap();
        }
        compact(&mut file, &mut store, 0, 50).unwrap();
        let page_count = file.stats().page_count;
        store.grow(page_count + 30).unwrap();
        let (_, pin) = file.view().unwrap();
        compact(&mut file, &mut store, 0, 50).unwrap();
        assert_eq!(store.geometry().page_count, page_count + 30);
        drop(pin);
        compact(&mut file, &mut store, 0, 50).unwrap();
        assert_eq!(store.geometry().page_count, page_count);
        state_of(&store, SMALL).unwrap();
    }
}

/// A page that cannot be moved is named, and nothing is lost.
#[test]
fn rotten_page_is_not_moved() {
    let (mut store, mut file) = file_of(SMALL, 150);
    file.commit(&mut store, &free(0..140)).unwrap();
    let id = ProtectedId(147);
    let page = file.locate(&store, id).unwrap().page.unwrap();
    store.page_mut(page).unwrap()[9] ^= 1;
    let error = compact(&mut file, &mut store, 0, 50).unwrap_err();
    assert!(
        matches!(error, Error::ChecksumMismatch { id: of, page: at, .. } if (of, at) == (id, page)),
        "{error}"
    );
    store.page_mut(page).unwrap()[9] ^= 1;
    let (done, _) = compact(&mut file, &mut store, 0, 50).unwrap();
    assert_eq!(done.obstacle, Some(Obstacle::Contents));
    assert!((140..150).all(|id| byte(&mut file, &store, id) == 1));
}

#[test]
fn format_0_says_that_it_cannot() {
    let new = NewFile {
        format: Format::Zero,
        page_count: 0,
        uuid: [0; 16],
    };
    let mut pager = Pager::create_as(MemoryStore::new(PageSize::KIB_4), &new).unwrap();
    assert_eq!(
        pager.compact(0, 8).err(),
        Some(pagebox_core::Error::NotSupported)
    );
    let new = NewFile {
        format: Format::One,
        ..new
    };
    let pager = Pager::create_as(MemoryStore::new(PageSize::KIB_4), &new).unwrap();
    let mut pager = Pager::open(pager.close(), Access::Read).unwrap();
    assert_eq!(
        pager.compact(0, 8).err(),
        Some(pagebox_core::Error::ReadOnly)
    );
}

/// That what stands in the way does, and that nothing else does.
fn expect_true(done: &Compacted, layout: &Layout, state: &State, target: u64, before: u64) {
    let ends_with = |page: u64| assert_eq!(done.page_count, layout.round_up(page + 1));
    let snapshots = &state.snapshots;
    match &done.obstacle {
        None => assert_eq!(done.page_count, layout.round_up(target.min(before))),
        Some(Obstacle::Contents) => {
            let fewest = fewest(layout, state);
            assert!(fewest > layout.round_up(target));
            assert_eq!(done.page_count, fewest.min(before));
        }
        Some(Obstacle::Regular { page }) => {
            assert!(state.regular.contains(page));
            ends_with(*page);
        }
        Some(Obstacle::Snapshot { page, name }) => {
            let mut holders = snapshots.iter().filter(|it| {
                let mut data = it.protected.values();
                it.nodes.contains(page) || data.any(|stored| stored.page == *page)
            });
            let newest = holders.next_back().expect("a snapshot has it");
            assert_eq!(name.as_deref(), Some(&*newest.name));
            ends_with(*page);
        }
        Some(Obstacle::View { .. }) => panic!("there are no views"),
    }
    assert!(
        used(state)
            .last()
            .is_none_or(|&last| last < done.page_count)
    );
}

#[test]
fn any_file_becomes_as_short_as_what_stands_in_the_way_lets_it() {
    let mut seen = [0; 4];
    for seed in 0..160 {
        let layout = layout(seed);
        let shape: Shape = layout.shape();
        let mut rng = Rng::new(seed);
        let mut scene = Scene::new(MemoryStore::new(shape.page_size), layout, seed);
        for _ in 0..3 {
            scene.snapshots_max = *rng.pick(&[0, 3, 3]);
            scene.defers = *rng.pick(&[0, 3]);
            for _ in 0..rng.between(1, 8) {
                scene.step().unwrap();
            }
            scene.fill_and_empty();
            let before = scene.file.stats().page_count;
            let target = *rng.pick(&[0, 0, before / 2, before * 3 / 4]);
            let limit = *rng.pick(&[1, 5, 1000]);
            let (done, _) = compact(&mut scene.file, &mut scene.store, target, limit).unwrap();
            let state = state_of(&scene.store, shape).unwrap();
            scene.model.is(&state).unwrap();
            expect_true(&done, &layout, &state, target, before);
            assert_eq!(scene.store.geometry().page_count, done.page_count);
            shows(&mut scene.file, &scene.store, &scene.model).unwrap();
            agree(&mut scene.file, &scene.store, &state).unwrap();
            expect_sound(&mut scene.file, &scene.store, shape).unwrap();
            seen[match done.obstacle {
                None => 0,
                Some(Obstacle::Contents) => 1,
                Some(Obstacle::Regular { .. }) => 2,
                Some(_) => 3,
            }] += 1;
        }
    }
    assert!(seen.iter().all(|&count| count > 20), "{seen:?}");
}

/// Other commits between the steps: it ends all the same, and names what is there.
#[test]
fn steps_end_beside_other_commits() {
    let (mut seen, mut shorter) = (0, 0);
    for seed in 0..80 {
        let layout = layout(seed);
        let shape = layout.shape();
        let mut rng = Rng::new(seed);
        let mut scene = Scene::new(MemoryStore::new(shape.page_size), layout, seed);
        scene.snapshots_max = *rng.pick(&[0, 2]);
        scene.fill_and_empty();
        let before = scene.file.stats().page_count;
        let mut steps = 0;
        let done = loop {
            let step = scene.file.compact(&mut scene.store, 0, 3).unwrap();
            steps += 1;
            assert!(steps < 2000, "it does not end: {:#?}", scene.log);
            if step.is_done {
                break step;
            }
            if rng.chance(1, 3) {
                scene.defers = *rng.pick(&[0, 4]);
                scene.step().unwrap();
            }
        };
        let state = state_of(&scene.store, shape).unwrap();
        scene.model.is(&state).unwrap();
        agree(&mut scene.file, &scene.store, &state).unwrap();
        expect_sound(&mut scene.file, &scene.store, shape).unwrap();
        match done.obstacle {
            Some(Obstacle::Regular { page }) => assert!(state.regular.contains(&page)),
            Some(Obstacle::Snapshot { page, name }) => {
                let name = name.expect("it is found in small files");
                let holder = state.snapshots.iter().find(|it| it.name == name).unwrap();
                let mut data = holder.protected.values();
                assert!(holder.nodes.contains(&page) || data.any(|stored| stored.page == page));
            }
            Some(Obstacle::Contents) => seen += 1,
            Some(Obstacle::View { .. }) => panic!("there are no views"),
            None => assert_eq!(done.page_count, layout.round_up(0)),
        }
        shorter += u32::from(done.page_count < before);
    }
    assert!(seen > 20 && shorter > 20, "{seen}, {shorter}");
}

/// A snapshot that is taken between two steps has what it has: it is not copied.
#[test]
fn snapshot_that_is_taken_meanwhile_costs_no_page() {
    let (mut store, mut file) = file_of(SMALL, 200);
    file.commit(&mut store, &free(0..150)).unwrap();
    assert!(!file.compact(&mut store, 0, 1).unwrap().is_done);
    file.create_snapshot(&mut store, "one", 0).unwrap();
    let used = file.stats().used_pages;
    let (done, _) = compact(&mut file, &mut store, 0, 9).unwrap();
    assert_eq!(file.stats().used_pages, used);
    assert!(matches!(done.obstacle, Some(Obstacle::Snapshot { .. })));
    state_of(&store, SMALL).unwrap();
}
