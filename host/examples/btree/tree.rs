//! A B+-tree in protected pages: keys and values of bytes, in the order of the keys.
//!
//! The root is one page for ever; all others come and go. A transaction of the pager is
//! one of the tree: what it put and removed is durable together, or not at all. A node is
//! freed when it is empty, and not before (Johnson and Shasha, "B-trees with inserts and
//! deletes: why free-at-empty is better than merge-at-half", 1993).

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;

use pagebox::{Pager, ProtectedId, Transaction, View};

use crate::node::{Node, longest};

/// Why the tree cannot do something.
#[derive(Debug)]
pub enum Error {
    /// The pager says no.
    Pages(pagebox::Error),
    /// The pager's page is whole, and what is in it is no part of a tree.
    NoNode(ProtectedId, &'static str),
    /// Key and value have more bytes than a node has room for.
    TooLong { len: usize, longest: usize },
}

impl From<pagebox::Error> for Error {
    fn from(error: pagebox::Error) -> Self {
        Self::Pages(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pages(error) => error.fmt(f),
            Self::NoNode(page, what) => write!(f, "protected page {page} is no node: {what}"),
            Self::TooLong { len, longest } => {
                write!(f, "key and value have {len} bytes, and may have {longest}")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Where pages are read from: what is committed, what will be, or what was.
pub trait Pages {
    /// A protected page's bytes, lent where they can be.
    fn bytes(&self, id: ProtectedId) -> Result<Cow<'_, [u8]>, pagebox::Error>;
}

impl Pages for Pager {
    fn bytes(&self, id: ProtectedId) -> Result<Cow<'_, [u8]>, pagebox::Error> {
        match self.protected_page(id) {
            // Others may write to a file that was opened to read: it is not mapped.
            Err(pagebox::Error::NotLendable) => {
                let mut bytes = vec![0; self.page_size().bytes()];
                self.read_protected(id, 0, &mut bytes)?;
                Ok(bytes.into())
            }
            page => page.map(Cow::from),
        }
    }
}

impl Pages for Transaction<'_> {
    fn bytes(&self, id: ProtectedId) -> Result<Cow<'_, [u8]>, pagebox::Error> {
        self.read(id).map(Cow::from)
    }
}

impl Pages for View {
    fn bytes(&self, id: ProtectedId) -> Result<Cow<'_, [u8]>, pagebox::Error> {
        self.protected_page(id).map(Cow::from)
    }
}

/// What a walk calls for each key and value, until it breaks.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// A tree, by the page of its root.
#[derive(Clone, Copy, Debug)]
pub struct Tree(pub ProtectedId);

impl Tree {
    /// A new tree, which is empty: so is a page of zeros.
    pub fn create(tx: &mut Transaction<'_>) -> Result<Self, Error> {
        Ok(Self(tx.alloc_protected()?))
    }

    /// The value of a key.
    pub fn get(self, pages: &impl Pages, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut at = self.0;
        loop {
            match node(pages, at)? {
                Node::Leaf(entries) => {
                    let found = entries.into_iter().find(|entry| entry.0 == key);
                    return Ok(found.map(|entry| entry.1));
                }
                Node::Branch { keys, children } => at = children[child(&keys, key)],
            }
        }
    }

    /// Calls `visit` for what is there from a key on, in order.
    pub fn walk(self, pages: &impl Pages, from: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        walk(pages, self.0, from, visit).map(drop)
    }

    /// Puts a value under a key, in place of the one that is there.
    pub fn put(self, tx: &mut Transaction<'_>, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let longest = longest(tx.bytes(self.0)?.len());
        let len = key.len() + value.len();
        if len > longest {
            return Err(Error::TooLong { len, longest });
        }
        let Some((between, upper)) = put(tx, self.0, key, value)? else {
            return Ok(());
        };
        // The root stays where it is: its lower half moves.
        let lower = tx.alloc_protected()?;
        let bytes = tx.read(self.0)?.to_vec();
        tx.replace(lower, &bytes)?;
        let root = Node::Branch {
            keys: vec![between],
            children: vec![lower, upper],
        };
        store(tx, self.0, &root)
    }

    /// Removes a key; whether it was there.
    pub fn remove(self, tx: &mut Transaction<'_>, key: &[u8]) -> Result<bool, Error> {
        let removed = remove(tx, self.0, key)?;
        if removed == Removed::All {
            store(tx, self.0, &Node::Leaf(Vec::new()))?;
        }
        // A root with one child becomes that child.
        while let Node::Branch { children, .. } = node(tx, self.0)?
            && let [only] = children[..]
        {
            let bytes = tx.read(only)?.to_vec();
            tx.replace(self.0, &bytes)?;
            tx.free_protected(only)?;
        }
        Ok(removed != Removed::Nothing)
    }

    /// The pages of the tree, after a look at all of it: keys in order and between those
    /// of the branches above, each page named once, all leaves at one depth.
    pub fn check(self, pages: &impl Pages) -> Result<BTreeSet<ProtectedId>, Error> {
        let mut checked = Checked::default();
        checked.node(pages, self.0, 0, None, None)?;
        Ok(checked.pages)
    }
}

fn node(pages: &impl Pages, id: ProtectedId) -> Result<Node, Error> {
    Node::decode(&pages.bytes(id)?).ok_or(Error::NoNode(id, "its bytes say something else"))
}

fn store(tx: &mut Transaction<'_>, id: ProtectedId, node: &Node) -> Result<(), Error> {
    node.encode(tx.write(id)?);
    Ok(())
}

/// The child that a key is below.
fn child(keys: &[Vec<u8>], key: &[u8]) -> usize {
    keys.partition_point(|between| &between[..] <= key)
}

fn walk(
    pages: &impl Pages,
    id: ProtectedId,
    from: &[u8],
    visit: &mut Visit<'_>,
) -> Result<ControlFlow<()>, Error> {
    match node(pages, id)? {
        Node::Leaf(entries) => {
            for (key, value) in entries.iter().filter(|entry| &entry.0[..] >= from) {
                if visit(key, value).is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Node::Branch { keys, children } => {
            for at in &children[child(&keys, from)..] {
                if walk(pages, *at, from, visit)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Puts it below a node; if that was split, the key between and the upper half.
fn put(
    tx: &mut Transaction<'_>,
    id: ProtectedId,
    key: &[u8],
    value: &[u8],
) -> Result<Option<(Vec<u8>, ProtectedId)>, Error> {
    let mut node = node(tx, id)?;
    match &mut node {
        Node::Leaf(entries) => match entries.binary_search_by(|entry| entry.0[..].cmp(key)) {
            Ok(at) => entries[at].1 = value.to_vec(),
            Err(at) => entries.insert(at, (key.to_vec(), value.to_vec())),
        },
        Node::Branch { keys, children } => {
            let at = child(keys, key);
            let Some((between, upper)) = put(tx, children[at], key, value)? else {
                return Ok(None);
            };
            keys.insert(at, between);
            children.insert(at + 1, upper);
        }
    }
    if node.len() <= tx.bytes(id)?.len() {
        store(tx, id, &node)?;
        return Ok(None);
    }
    let (between, upper) = node.split();
    let page = tx.alloc_protected()?;
    store(tx, page, &upper)?;
    store(tx, id, &node)?;
    Ok(Some((between, page)))
}

/// What became of a node.
#[derive(PartialEq, Eq)]
enum Removed {
    Nothing,
    AnEntry,
    /// The last thing in it: what it was read from is to be freed.
    All,
}

fn remove(tx: &mut Transaction<'_>, id: ProtectedId, key: &[u8]) -> Result<Removed, Error> {
    let mut node = node(tx, id)?;
    let is_empty = match &mut node {
        Node::Leaf(entries) => {
            let Ok(at) = entries.binary_search_by(|entry| entry.0[..].cmp(key)) else {
                return Ok(Removed::Nothing);
            };
            entries.remove(at);
            entries.is_empty()
        }
        Node::Branch { keys, children } => {
            let at = child(keys, key);
            let removed = remove(tx, children[at], key)?;
            if removed != Removed::All {
                return Ok(removed);
            }
            tx.free_protected(children.remove(at))?;
            if !keys.is_empty() {
                keys.remove(at.saturating_sub(1));
            }
            children.is_empty()
        }
    };
    if is_empty {
        return Ok(Removed::All);
    }
    store(tx, id, &node)?;
    Ok(Removed::AnEntry)
}

#[derive(Default)]
struct Checked {
    pages: BTreeSet<ProtectedId>,
    /// How deep the leaves are.
    depth: Option<usize>,
}

impl Checked {
    /// Keys are not less than `from`, and less than `end`.
    fn node(
        &mut self,
        pages: &impl Pages,
        id: ProtectedId,
        depth: usize,
        from: Option<&[u8]>,
        end: Option<&[u8]>,
    ) -> Result<(), Error> {
        let ensure = |holds, what| {
            if holds {
                Ok(())
            } else {
                Err(Error::NoNode(id, what))
            }
        };
        ensure(self.pages.insert(id), "two branches name it")?;
        let node = node(pages, id)?;
        let keys: Vec<&[u8]> = match &node {
            Node::Leaf(entries) => entries.iter().map(|entry| &entry.0[..]).collect(),
            Node::Branch { keys, .. } => keys.iter().map(|key| &key[..]).collect(),
        };
        let is_ordered = keys.windows(2).all(|pair| pair[0] < pair[1]);
        let is_inside = keys
            .first()
            .is_none_or(|first| from.is_none_or(|from| from <= *first))
            && keys
                .last()
                .is_none_or(|last| end.is_none_or(|end| *last < end));
        ensure(is_ordered, "its keys are not in order")?;
        ensure(is_inside, "its keys are not between those above it")?;
        match &node {
            Node::Leaf(_) => {
                let known = *self.depth.get_or_insert(depth);
                ensure(known == depth, "it is not as deep as other leaves")
            }
            Node::Branch { children, .. } => {
                for (at, child) in children.iter().enumerate() {
                    let from = at.checked_sub(1).map_or(from, |below| Some(keys[below]));
                    let end = keys.get(at).copied().or(end);
                    self.node(pages, *child, depth + 1, from, end)?;
                }
                Ok(())
            }
        }
    }
}
