//! [`Reader`]: the two trees, read from the medium as far as they are asked
//! for. Each node is checked against its entry before it is believed.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::cache::{Cache, Place};
use super::check;
use super::deltas::Deltas;
pub(super) use super::entry::Entry;
pub(super) use super::entry::in_node;
pub(super) use super::entry::{Tree, Which};
use super::error::Error;
use super::layout::Layout;
use super::medium::Medium;
use crate::checksum::xxh3;

/// What [`Reader::seek`] looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seek {
    /// A key whose entry is not full; an absent one is not.
    Room,
    /// A key whose entry is present.
    Present,
}

/// What was found past nodes that cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// The first key that is sought, as far as nodes could be read.
    At(u64),
    /// No key that the tree reaches.
    Nowhere,
    /// None below this key; further was not looked, since too much was passed.
    NotBelow(u64),
}

/// The most nodes that one look passes over: whoever wrote the file may have
/// named a bad one from everywhere.
const PASSED_MAX: usize = 64;

/// A node that could not be read or believed.
pub(super) struct Fault {
    pub(super) page: u64,
    pub(super) text: String,
    /// The medium did not give it: it may be as committed.
    pub(super) is_unread: bool,
}

impl Fault {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Corrupt { page, fault } => Self {
                page: *page,
                text: (*fault).into(),
                is_unread: false,
            },
            error => Self {
                page: error.page().unwrap_or(0),
                text: format!("{error}"),
                is_unread: error.is_of_medium(),
            },
        }
    }
}

/// What SPACE has of a group.
pub(super) enum LeafSpan {
    /// Its leaf.
    Read(Arc<[u8]>),
    /// No leaf: all is free but what is reserved.
    Absent,
    /// A leaf, or a node above it, that cannot be believed.
    Unknown,
}

/// Reads nodes and leaves of one state of a file.
pub(super) struct Reader<'a, S> {
    pub(super) store: &'a S,
    pub(super) layout: &'a Layout,
    /// Of the state.
    pub(super) page_count: u64,
    pub(super) deltas: &'a Deltas,
    pub(super) cache: &'a mut Cache,
}

impl<S: Medium> Reader<'_, S> {
    /// The node or leaf that the entry (`level`, `index`) names.
    pub(super) fn node(
        &mut self,
        which: Which,
        level: u32,
        index: u64,
        entry: &Entry,
    ) -> Result<Arc<[u8]>, Error> {
        let page = page_of(self.layout, which, level, index, entry);
        let place = Place {
            page,
            map_level: (which == Which::Map).then_some(level),
        };
        if let Some(node) = self.cache.get(place, entry) {
            return Ok(node);
        }
        let mut node = vec![0; self.layout.shape().page_size.bytes()];
        self.store
            .read(page, 0, &mut node)
            .map_err(Error::reading(page))?;
        if xxh3(&node) != entry.checksum {
            let fault = "its checksum is wrong";
            return Err(Error::Corrupt { page, fault });
        }
        check::node(
            self.layout,
            self.page_count,
            which,
            (level, index),
            entry,
            &node,
        )
        .map_err(|fault| Error::Corrupt { page, fault })?;
        let node = Arc::from(node);
        self.cache.put(place, *entry, Arc::clone(&node));
        Ok(node)
    }

    /// The entry (`level`, `index`) of a tree.
    pub(super) fn entry(
        &mut self,
        tree: &Tree,
        level: u32,
        index: u64,
    ) -> Result<Option<Entry>, Error> {
        let shape = self.layout.shape();
        if level > tree.height || shape.index_of(tree.height - level, index) != 0 {
            return Ok(None);
        }
        let mut entry = tree.root;
        for above in (level..tree.height).rev() {
            let Some(named) = entry else { return Ok(None) };
            let child = shape.index_of(above - level, index);
            let node = self.node(tree.which, above + 1, child >> shape.fan_log2, &named)?;
            entry = in_node(&node, shape.place_of(child));
        }
        Ok(entry)
    }

    /// The leaf of a group as of the last fold; none: it is absent.
    pub(super) fn leaf(&mut self, space: &Tree, group: u64) -> Result<Option<Arc<[u8]>>, Error> {
        if let Some(last) = self.cache.last_leaf(space, group) {
            return Ok(last.bytes.clone());
        }
        let leaf = match self.entry(space, 0, group)? {
            Some(entry) => Some(self.node(Which::Space, 0, group, &entry)?),
            None => None,
        };
        self.cache.put_last_leaf(space, group, leaf.clone());
        Ok(leaf)
    }

    /// What is stored for a protected id now.
    pub(super) fn stored(&mut self, map: &Tree, id: u64) -> Result<Option<Entry>, Error> {
        match self.deltas.ids.get(&id) {
            Some(changed) => Ok(*changed),
            None => self.entry(map, 0, id),
        }
    }

    /// What is stored now for the ids below a node of the lowest level.
    pub(super) fn stored_below(
        &mut self,
        map: &Tree,
        index: u64,
    ) -> Result<Vec<(u64, Entry)>, Error> {
        let node = match self.entry(map, 1, index)? {
            Some(entry) => Some(self.node(Which::Map, 1, index, &entry)?),
            None => None,
        };
        let shape = self.layout.shape();
        let ids = (0..shape.fan()).zip(shape.first_key(1, index)..);
        Ok(ids
            .filter_map(|(place, id)| {
                let entry = match self.deltas.ids.get(&id) {
                    Some(changed) => *changed,
                    None => node.as_ref().and_then(|node| in_node(node, place)),
                };
                Some((id, entry?))
            })
            .collect())
    }

    /// The first key from `from` on that is sought; none: no key that the tree
    /// reaches. A few nodes are read, however large the tree is.
    pub(super) fn seek(
        &mut self,
        tree: &Tree,
        from: u64,
        seek: Seek,
    ) -> Result<Option<u64>, Error> {
        let fail = &mut |_, error| Err(error);
        self.seek_below(tree, (tree.height, 0), tree.root, from, seek, fail)
    }

    /// As [`Reader::seek`]; what cannot be read is told of, and passed over, as
    /// long as that is not too much.
    pub(super) fn seek_past(
        &mut self,
        tree: &Tree,
        from: u64,
        seek: Seek,
        faults: &mut Vec<Fault>,
    ) -> Sought {
        let mut passed = 0;
        let mut next = from;
        let pass = &mut |past, error| {
            faults.push(Fault::of(&error));
            passed += 1;
            next = past;
            if passed < PASSED_MAX {
                Ok(())
            } else {
                Err(error)
            }
        };
        let found = self.seek_below(tree, (tree.height, 0), tree.root, from, seek, pass);
        match found {
            Ok(Some(key)) => Sought::At(key),
            Ok(None) => Sought::Nowhere,
            Err(_) => Sought::NotBelow(next),
        }
    }

    /// What the tree of SPACE knows of a group, and the group up to which it
    /// knows the same.
    pub(super) fn leaf_span(&mut self, space: &Tree, group: u64) -> (LeafSpan, u64) {
        let shape = self.layout.shape();
        let (mut level, mut index, mut entry) = (space.height, 0, space.root);
        if shape.index_of(level, group) != 0 {
            return (LeafSpan::Absent, u64::MAX);
        }
        loop {
            let end = shape.first_key(level, index + 1);
            let Some(named) = entry else {
                return (LeafSpan::Absent, end);
            };
            match self.node(Which::Space, level, index, &named) {
                Ok(leaf) if level == 0 => return (LeafSpan::Read(leaf), end),
                Ok(node) => {
                    level -= 1;
                    index = shape.index_of(level, group);
                    let place = shape.place_of(index);
                    entry = in_node(&node, place);
                    // Its neighbours that are absent, too.
                    let absent =
                        (place..shape.fan()).take_while(|&it| in_node(&node, it).is_none());
                    let absent = crate::codec::wide(absent.count());
                    if absent > 0 {
                        return (LeafSpan::Absent, shape.first_key(level, index + absent));
                    }
                }
                Err(_) => return (LeafSpan::Unknown, end),
            }
        }
    }

    fn seek_below(
        &mut self,
        tree: &Tree,
        (level, index): (u32, u64),
        entry: Option<Entry>,
        from: u64,
        seek: Seek,
        on_fault: &mut dyn FnMut(u64, Error) -> Result<(), Error>,
    ) -> Result<Option<u64>, Error> {
        let shape = self.layout.shape();
        let start = shape.first_key(level, index);
        if from >= shape.first_key(level, index + 1) {
            return Ok(None);
        }
        let entry = match (seek, entry) {
            (Seek::Room, None) => return Ok(Some(from.max(start))),
            (Seek::Present, None) => return Ok(None),
            (Seek::Room, Some(entry)) if entry.full => return Ok(None),
            (_, Some(entry)) => entry,
        };
        if level == 0 {
            return Ok(Some(index));
        }
        let node = match self.node(tree.which, level, index, &entry) {
            Ok(node) => node,
            Err(error) => {
                let past = shape.first_key(level, index + 1);
                return on_fault(past, error).map(|()| None);
            }
        };
        let first = shape.place_of(shape.index_of(level - 1, from.max(start)));
        for (place, child) in
            (first..shape.fan()).zip((index << shape.fan_log2) + crate::codec::wide(first)..)
        {
            let entry = in_node(&node, place);
            let below = (level - 1, child);
            let found = self.seek_below(tree, below, entry, from, seek, on_fault)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// The page of the node or leaf that an entry names.
pub(super) fn page_of(layout: &Layout, which: Which, level: u32, index: u64, entry: &Entry) -> u64 {
    match which {
        Which::Map => entry.number,
        Which::Space => layout.home(level, index, entry.side),
    }
}
