//! The fold of one tree: its changed nodes anew, bottom up.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::entry::{self, Entry, in_node};
use super::error::Error;
use super::medium::Medium;
use super::shape::{ENTRY_LEN, Shape};
use super::tree::{Reader, Tree, Which, page_of};
use crate::checksum::xxh3;
use crate::codec::wide;

/// A node or leaf that is to be written.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) which: Which,
    pub(super) level: u32,
    /// Where it is to be written.
    pub(super) page: u64,
    /// What names it.
    pub(super) entry: Entry,
    pub(super) bytes: Arc<[u8]>,
}

/// A tree after its fold.
#[derive(Debug)]
pub(super) struct Folded {
    pub(super) tree: Tree,
    pub(super) nodes: Vec<Node>,
    /// The nodes that these replace: of MAP, each has a page that is free now.
    pub(super) replaced: Vec<Entry>,
}

/// Entries of one level, by index; none: absent.
pub(super) type Level = BTreeMap<u64, Option<Entry>>;

/// Writes the nodes above changed entries of level 0, and nodes that are `touched`,
/// each by its level and index, in a tree that becomes `height` high. `place` finds the page for a node of MAP; those of SPACE go to
/// the other side of their homes.
pub(super) fn fold<S: Medium>(
    reader: &mut Reader<'_, S>,
    tree: &Tree,
    height: u32,
    changed: Level,
    touched: &[(u32, u64)],
    birth: u64,
    mut place: impl FnMut(&mut Reader<'_, S>) -> Result<u64, Error>,
) -> Result<Folded, Error> {
    let shape = reader.layout.shape();
    let mut folded = Folded {
        tree: Tree { height, ..*tree },
        nodes: Vec::new(),
        replaced: Vec::new(),
    };
    let mut changed = changed;
    for level in 1..=height {
        let mut above = Level::new();
        let mut nodes = by_node(shape, tree, level, height, changed);
        for (_, index) in touched.iter().filter(|(of, _)| *of == level) {
            nodes.entry(*index).or_default();
        }
        for (index, entries) in nodes {
            let old = reader.entry(tree, level, index)?;
            let mut bytes = match &old {
                Some(old) => reader.node(tree.which, level, index, old)?.to_vec(),
                None => vec![0; shape.page_size.bytes()],
            };
            for (child, entry) in entries {
                let at = shape.place_of(child) * ENTRY_LEN;
                entry::encode(&mut bytes, at, entry.as_ref());
            }
            if let (Which::Map, Some(old)) = (tree.which, &old) {
                folded.replaced.push(*old);
            }
            let Some(mut entry) = describe(shape, tree.which, &bytes, old.as_ref(), birth) else {
                above.insert(index, None);
                continue;
            };
            if tree.which == Which::Map {
                entry.number = place(reader)?;
            }
            folded.nodes.push(Node {
                which: tree.which,
                level,
                page: page_of(reader.layout, tree.which, level, index, &entry),
                entry,
                bytes: bytes.into(),
            });
            above.insert(index, Some(entry));
        }
        changed = above;
    }
    if let Some(root) = changed.remove(&0) {
        folded.tree.root = root;
    }
    Ok(folded)
}

/// SPACE without what it says of the groups from `end` on, which have no used pages:
/// the nodes on the way to the last group that is left, bottom up.
pub(super) fn cut<S: Medium>(
    reader: &mut Reader<'_, S>,
    space: &Tree,
    end: u64,
    birth: u64,
) -> Result<Folded, Error> {
    let shape = reader.layout.shape();
    let last = end.saturating_sub(1);
    let mut folded = Folded {
        tree: *space,
        nodes: Vec::new(),
        replaced: Vec::new(),
    };
    // What becomes of the entry below on that way; none: it stays.
    let mut below: Option<Option<Entry>> = None;
    for level in 1..=space.height {
        let index = shape.index_of(level, last);
        let changed = below.take();
        let Some(old) = reader.entry(space, level, index)? else {
            continue;
        };
        let node = reader.node(space.which, level, index, &old)?;
        let place = shape.place_of(shape.index_of(level - 1, last));
        let mut bytes = node.to_vec();
        if let Some(entry) = changed {
            entry::encode(&mut bytes, place * ENTRY_LEN, entry.as_ref());
        }
        for past in place + 1..shape.fan() {
            entry::encode(&mut bytes, past * ENTRY_LEN, None);
        }
        if *bytes == *node {
            continue;
        }
        let entry = describe(shape, space.which, &bytes, Some(&old), birth);
        if let Some(entry) = entry {
            folded.nodes.push(Node {
                which: space.which,
                level,
                page: page_of(reader.layout, space.which, level, index, &entry),
                entry,
                bytes: bytes.into(),
            });
        }
        below = Some(entry);
    }
    if let Some(root) = below {
        folded.tree.root = root;
    }
    Ok(folded)
}

/// The changed entries of a level below each node that has any. A new root has
/// the old one as its first entry.
fn by_node(
    shape: Shape,
    tree: &Tree,
    level: u32,
    height: u32,
    changed: Level,
) -> BTreeMap<u64, Level> {
    let mut nodes: BTreeMap<u64, Level> = BTreeMap::new();
    if level == tree.height + 1 && level <= height && tree.root.is_some() {
        nodes.entry(0).or_default().insert(0, tree.root);
    }
    for (index, entry) in changed {
        let node = nodes.entry(index >> shape.fan_log2).or_default();
        node.insert(index, entry);
    }
    nodes
}

/// What is to be said of a node with these bytes, but for its page; none: it
/// has no entries, so it is no node.
fn describe(
    shape: Shape,
    which: Which,
    bytes: &[u8],
    old: Option<&Entry>,
    birth: u64,
) -> Option<Entry> {
    let [mut present, mut full, mut used] = [0_u64; 3];
    for entry in (0..shape.fan()).filter_map(|place| in_node(bytes, place)) {
        present += 1;
        full += u64::from(entry.full);
        used += entry.number;
    }
    (present > 0).then(|| Entry {
        number: if which == Which::Space { used } else { 0 },
        full: full == wide(shape.fan()),
        side: next_side(which, old),
        birth,
        checksum: xxh3(bytes),
    })
}

/// The side that a node of SPACE is written to.
pub(super) fn next_side(which: Which, old: Option<&Entry>) -> crate::ids::Side {
    match (which, old) {
        (Which::Space, Some(old)) => old.side.other(),
        _ => crate::ids::Side::A,
    }
}
