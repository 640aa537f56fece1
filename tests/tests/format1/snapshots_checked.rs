//! A check of snapshots: what is damaged in them is found, in one part or in many.
//! That it finds nothing in sound files is in `twin`.

use std::collections::BTreeSet;

use pagebox_core::ProtectedId;
use pagebox_core::changes::{Change, Changes};
use pagebox_core::finding::{Finding, Severity};
use pagebox_core::format1::{File, Kind};
use pagebox_store::MemoryStore;
use pagebox_tests::decode1::{Snapshot, State};

use super::hostile::Crafted;
use super::scene::{MEDIUM, expect_sound, file_of, findings, page, state_of};

/// A file with two snapshots, and what was changed since each: of the last changes
/// the ids are in deltas.
fn file() -> (MemoryStore, State) {
    let (mut store, mut file) = file_of(MEDIUM, 60);
    for (name, byte) in [("a", 2), ("b", 3)] {
        file.create_snapshot(&mut store, name, 0).unwrap();
        let mut changes = Changes::default();
        for id in 10..16 {
            let bytes = page(MEDIUM, byte);
            changes
                .protected
                .insert(ProtectedId(id), Change::Write(bytes));
        }
        file.commit(&mut store, &changes).unwrap();
    }
    let state = state_of(&store, MEDIUM).unwrap();
    assert!(state.deltas.count() > 0);
    (store, state)
}

/// What is found wrong in a file, by pages and kinds of findings; the same if it
/// is opened in any way.
fn found(store: &MemoryStore) -> Vec<Finding> {
    let mut file = File::open_shaped(store, MEDIUM).unwrap();
    findings(&mut file, store).0
}

fn pages_of(snapshot: &Snapshot) -> BTreeSet<u64> {
    let stored = snapshot.protected.values();
    stored.map(|it| it.page).filter(|&page| page != 0).collect()
}

/// Pages of protected ones, and nodes, that only this snapshot has.
fn alone(state: &State, at: usize) -> [u64; 2] {
    let others = || {
        let snapshots = state.snapshots.iter().enumerate();
        snapshots.filter(move |(other, _)| *other != at)
    };
    let now: BTreeSet<u64> = state.protected.values().map(|it| it.page).collect();
    let snapshot = &state.snapshots[at];
    let data = pages_of(snapshot).into_iter().find(|page| {
        !now.contains(page) && others().all(|(_, other)| !pages_of(other).contains(page))
    });
    let is_others = |page: &u64| others().any(|(_, other)| other.nodes.contains(page));
    let mut nodes = snapshot.nodes.iter();
    let node = nodes.find(|page| !state.nodes.contains(page) && !is_others(page));
    [data.unwrap(), node.copied().unwrap_or(0)]
}

#[test]
fn rotten_page_of_a_snapshot_is_found() {
    let (store, state) = file();
    assert_eq!(found(&store), []);
    let [data, node] = alone(&state, 0);
    // Its tree is the one that deltas are laid over.
    let [newest, _] = alone(&state, 1);
    let table = *state.tables.first().unwrap();
    for (page, kind) in [
        (data, "protected-checksum"),
        (newest, "protected-checksum"),
        (node, "node"),
        (table, "snapshots"),
    ] {
        let mut store = store.clone();
        store.page_mut(page).unwrap()[700] ^= 1;
        if kind == "snapshots" || page == newest {
            store.page_mut(page).unwrap()[130] ^= 1;
        }
        let found = found(&store);
        let errors: Vec<_> = found.iter().filter(|it| it.page == Some(page)).collect();
        let is_error = |it: &&Finding| it.kind.severity() == Severity::Error;
        assert!(
            errors.iter().all(is_error) && errors.iter().any(|it| it.kind.id() == kind),
            "page {page} as {kind}: {found:#?}"
        );
        // By its own root, too.
        let mut file = File::open_shaped(&store, MEDIUM).unwrap();
        for (at, name) in ["a", "b"].into_iter().enumerate() {
            let Ok(root) = file.root_of(&store, name) else {
                continue;
            };
            let mut then = File::open_at_shaped(&store, &root, Some(MEDIUM)).unwrap();
            let (found, _) = findings(&mut then, &store);
            let has_it = [data, node].contains(&page) && at == 0 || page == newest && at == 1;
            assert_eq!(!found.is_empty(), has_it, "{name}, page {page}: {found:#?}");
        }
    }
}

#[test]
fn what_space_says_otherwise_of_a_snapshot_is_found() {
    let (store, state) = file();
    let [data, node] = alone(&state, 0);
    let table = *state.tables.first().unwrap();
    let reached = state.reached(&super::scene::numbers(MEDIUM));
    let groups: BTreeSet<u64> = state.all_data().iter().map(|page| page / 64).collect();
    let free = (0..state.page_count)
        .filter(|page| groups.contains(&(page / 64)))
        .find(|page| !state.reserved.contains(page) && !reached.contains(page))
        .unwrap();
    for (page, kinds, finding) in [
        (data, [Kind::Regular, Kind::Node, Kind::Free], "page-use"),
        (
            node,
            [Kind::Regular, Kind::Protected, Kind::Free],
            "page-use",
        ),
        (table, [Kind::Regular, Kind::Node, Kind::Free], "page-use"),
        (
            free,
            [Kind::Protected, Kind::Node, Kind::Snapshots],
            "unnamed-pages",
        ),
    ] {
        for kind in kinds {
            let mut crafted = Crafted::of(&store, file_layout());
            crafted.mark(page, kind);
            crafted.seal(true);
            let found = found(&crafted.store);
            assert!(
                found.iter().any(|it| it.kind.id() == finding
                    && (it.page == Some(page) || finding == "unnamed-pages")),
                "page {page} as {kind:?}: {found:#?}"
            );
        }
    }
}

fn file_layout() -> pagebox_core::format1::Layout {
    pagebox_core::format1::Layout::regular(MEDIUM)
}

/// More nodes than one part looks at, of a snapshot and of what is now.
#[test]
fn check_of_a_large_snapshot_has_parts() {
    let (mut store, mut file) = file_of(MEDIUM, 1500);
    file.create_snapshot(&mut store, "a", 0).unwrap();
    let mut changes = Changes::default();
    for id in 0..1500 {
        let bytes = page(MEDIUM, 2);
        changes
            .protected
            .insert(ProtectedId(id), Change::Write(bytes));
    }
    file.commit(&mut store, &changes).unwrap();
    let (_, before) = findings(&mut file, &store);
    file.create_snapshot(&mut store, "b", 0).unwrap();
    let (found, parts) = findings(&mut file, &store);
    assert_eq!(found, []);
    assert!(
        parts > 300 && parts.abs_diff(before) < 5,
        "{parts}, {before}"
    );
    expect_sound(&mut file, &store, MEDIUM).unwrap();
    // Each of them is looked at.
    let state = state_of(&store, MEDIUM).unwrap();
    for (&id, stored) in state.snapshots[0].protected.iter().step_by(97) {
        let mut store = store.clone();
        store.page_mut(stored.page).unwrap()[5] ^= 1;
        let (found, _) = findings(&mut file, &store);
        let pages: Vec<_> = found.iter().map(|it| it.page).collect();
        assert_eq!(pages, [Some(stored.page)], "id {id}: {found:#?}");
    }
}
