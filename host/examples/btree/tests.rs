//! The tree against a map of the standard library.
#![expect(clippy::cast_possible_truncation, reason = "numbers below small ends")]

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use pagebox::{Engine, MemoryStore, PageSize, Pager};

use crate::node::{Node, longest};
use crate::tree::{Error, Pages, Tree};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// `SplitMix64`.
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    fn bytes(&mut self, longest: u64) -> Vec<u8> {
        let len = self.below(longest + 1);
        (0..len).map(|_| b'a' + self.below(4) as u8).collect()
    }
}

/// Small pages, for a deep tree.
const SIZE: PageSize = PageSize::KIB_1;

fn pager() -> (Pager, Tree) {
    let engine = Engine::new().expect("an engine");
    let mut pager = engine
        .create_store(MemoryStore::new(SIZE), 0)
        .expect("a file");
    let mut tx = pager.begin().expect("a transaction");
    let tree = Tree::create(&mut tx).expect("a tree");
    tx.commit().expect("a commit");
    (pager, tree)
}

fn listed(tree: Tree, pages: &impl Pages, from: &[u8]) -> Map {
    let mut map = Map::new();
    let mut last: Option<Vec<u8>> = None;
    tree.walk(pages, from, &mut |key, value| {
        assert!(last.as_deref().is_none_or(|last| last < key), "{key:?}");
        last = Some(key.to_vec());
        map.insert(key.to_vec(), value.to_vec());
        ControlFlow::Continue(())
    })
    .expect("a walk");
    map
}

#[test]
fn tree_is_a_map_whatever_is_committed_and_rolled_back() {
    let (mut pager, tree) = pager();
    let (mut map, mut rng) = (Map::new(), Rng(7));
    let longest = longest(SIZE.bytes()) as u64;
    let (mut most, mut least) = (0, usize::MAX);
    for round in 0..400 {
        let before = pager.view().expect("a view");
        let (mut tx, mut changed) = (pager.begin().expect("a transaction"), map.clone());
        // It grows for a hundred rounds, and shrinks for the next.
        let puts = if round / 100 % 2 == 0 { 8 } else { 1 };
        for _ in 0..rng.below(40) {
            let most = if rng.below(50) == 0 { longest } else { 6 };
            let key = rng.bytes(most);
            if rng.below(10) < puts {
                let value = rng.bytes(longest - key.len() as u64);
                tree.put(&mut tx, &key, &value).expect("a put");
                changed.insert(key, value);
            } else {
                // One that is there, more often than not.
                let next = changed.range(key.clone()..).next();
                let key = next.filter(|_| puts < 8).map_or(key, |next| next.0.clone());
                let removed = tree.remove(&mut tx, &key).expect("a removal");
                assert_eq!(removed, changed.remove(&key).is_some(), "{key:?}");
            }
        }
        assert!(
            listed(tree, &tx, b"") == changed,
            "round {round}: as it would be"
        );
        if rng.below(4) == 0 {
            drop(tx);
        } else {
            tx.commit().expect("a commit");
            assert!(
                listed(tree, &before, b"") == map,
                "round {round}: as it was"
            );
            map = changed;
        }
        assert!(listed(tree, &pager, b"") == map, "round {round}");
        let from = rng.bytes(3);
        assert!(listed(tree, &pager, &from).iter().eq(map.range(from..)));
        let key = rng.bytes(6);
        assert_eq!(
            tree.get(&pager, &key).expect("a look"),
            map.get(&key).cloned()
        );
        let reached = tree.check(&pager).expect("a sound tree");
        let there = pager.protected_pages().map(|page| page.expect("a page").id);
        assert!(
            there.eq(reached.iter().copied()),
            "round {round}: no page is lost"
        );
        most = most.max(reached.len());
        if round > 200 {
            least = least.min(reached.len());
        }
    }
    assert!(most > 100 && least == 1, "from {least} to {most} nodes");
}

#[test]
fn emptied_tree_is_one_page() {
    let (mut pager, tree) = pager();
    let mut tx = pager.begin().expect("a transaction");
    for number in 0..2_000_u32 {
        tree.put(&mut tx, &number.to_be_bytes(), &[7; 40])
            .expect("a put");
    }
    for number in 0..2_000_u32 {
        assert!(
            tree.remove(&mut tx, &number.to_be_bytes())
                .expect("a removal")
        );
    }
    tx.commit().expect("a commit");
    assert_eq!(pager.stats().expect("figures").protected_pages, 1);
    assert!(listed(tree, &pager, b"").is_empty());
}

#[test]
fn what_is_too_long_is_refused() {
    let (mut pager, tree) = pager();
    let longest = longest(SIZE.bytes());
    let mut tx = pager.begin().expect("a transaction");
    tree.put(&mut tx, &vec![1; longest], b"")
        .expect("it has room");
    let refused = tree.put(&mut tx, &vec![1; longest], b"1");
    assert!(matches!(refused, Err(Error::TooLong { .. })));
}

#[test]
fn commands_work_on_a_file_beside_its_writer() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("fruit.pages");
    let file = file.to_str().expect("a name");
    let run = |args: &[&str]| crate::run(&[&[file], args].concat());
    for (key, value) in [("apple", "red"), ("pear", "green")] {
        run(&["put", key, value]).expect("a put");
    }
    let writer = Engine::new().and_then(|engine| engine.open(file));
    let writer = writer.expect("a writer");
    let locked = run(&["put", "plum", "blue"]).expect_err("somebody writes");
    assert!(locked.to_string().contains("in use"), "{locked}");
    run(&["get", "apple"]).expect("it is there");
    run(&["list"]).expect("a list");
    drop(writer);
    run(&["remove", "apple"]).expect("it was there");
    run(&["remove", "apple"]).expect_err("it is gone");
    run(&["get", "apple"]).expect_err("it is gone");
    run(&["check"]).expect("a sound tree");
    run(&["eat", "pear"]).expect_err("no such command");
}

/// Another program's pages, whose checksums are right.
#[test]
fn no_bytes_of_a_page_are_a_panic() {
    let mut rng = Rng(1);
    let mut page = vec![0; SIZE.bytes()];
    for _ in 0..20_000 {
        let at = rng.below(SIZE.bytes() as u64) as usize;
        page[at] = rng.below(256) as u8;
        page[0] = b"LB"[rng.below(2) as usize];
        page[1] = 0;
        page[2..4].copy_from_slice(&(rng.below(20) as u16).to_le_bytes());
        if let Some(node) = Node::decode(&page) {
            assert!(node.len() <= page.len());
        }
    }
    let (mut pager, tree) = pager();
    let mut tx = pager.begin().expect("a transaction");
    tx.write(tree.0).expect("the root")[0] = b'X';
    assert!(matches!(tree.get(&tx, b"key"), Err(Error::NoNode(id, _)) if id == tree.0));
}
