//! [`Differences`]: where two states of MAP differ. What both name in the same
//! place is the same, with all below it, and is not looked into.

use alloc::vec::Vec;

use super::entry::{Entry, Tree, in_node};
use super::error::Error;
use super::medium::Medium;
use super::tree::{Reader, Which};
use crate::bitmap::Overlay;
use crate::codec::wide;

/// A place that two states have otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) level: u32,
    pub(super) index: u64,
    /// What the first one names there.
    pub(super) first: Option<Entry>,
    /// What the second one does.
    pub(super) second: Option<Entry>,
}

impl Pair {
    /// Whether there is something to see in it: what the first state alone has
    /// counts, or what either has.
    fn differs(&self, sides: Sides) -> bool {
        !is_same(self.first.as_ref(), self.second.as_ref())
            && (sides == Sides::Both || self.first.is_some())
    }
}

/// A page that was written once is the same wherever it is named.
fn is_same(first: Option<&Entry>, second: Option<&Entry>) -> bool {
    match (first, second) {
        (None, None) => true,
        (Some(first), Some(second)) => {
            (first.number, first.birth, first.checksum)
                == (second.number, second.birth, second.checksum)
        }
        _ => false,
    }
}

/// Which state's places are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sides {
    /// Those that the first one names something in.
    First,
    /// All.
    Both,
}

/// A walk over the places that two states of MAP have otherwise, each before what
/// is below it, in the order of their ids.
#[derive(Clone, Debug)]
pub(super) struct Differences {
    sides: Sides,
    /// Places to be looked at, the last one first.
    open: Vec<Pair>,
    /// Nodes of either state that were looked into, each once: nodes that share
    /// their children would make this endless.
    first_seen: Overlay,
    second_seen: Overlay,
}

impl Differences {
    /// Of two states.
    pub(super) fn of<S: Medium>(
        reader: &mut Reader<'_, S>,
        first: &Tree,
        second: &Tree,
        sides: Sides,
    ) -> Result<Self, Error> {
        let shape = reader.layout.shape();
        let mut differences = Self {
            sides,
            open: Vec::new(),
            first_seen: Overlay::default(),
            second_seen: Overlay::default(),
        };
        // Of the higher tree, what the lower one does not reach comes last.
        let low = first.height.min(second.height);
        for level in (low..first.height.max(second.height)).rev() {
            for index in (1..wide(shape.fan())).rev() {
                differences.push(Pair {
                    level,
                    index,
                    first: reader.entry(first, level, index)?,
                    second: reader.entry(second, level, index)?,
                });
            }
        }
        differences.push(Pair {
            level: low,
            index: 0,
            first: reader.entry(first, low, 0)?,
            second: reader.entry(second, low, 0)?,
        });
        Ok(differences)
    }

    fn push(&mut self, pair: Pair) {
        if pair.differs(self.sides) {
            self.open.push(pair);
        }
    }

    /// Adds ids that come after all other places: what the first state has of them is
    /// not what the second one has.
    pub(super) fn add_last(&mut self, replaced: &[(u64, Entry)]) {
        let pairs = replaced.iter().rev().map(|&(index, first)| Pair {
            level: 0,
            index,
            first: Some(first),
            second: None,
        });
        drop(self.open.splice(0..0, pairs));
    }

    /// The next place. Whoever wants to see what is below asks for it.
    pub(super) fn next(&mut self) -> Option<Pair> {
        self.open.pop()
    }

    /// Has the places below this one come next.
    ///
    /// # Errors
    /// [`Error::Corrupt`], also where a state names a node twice;
    /// [`Error::Store`].
    pub(super) fn below<S: Medium>(
        &mut self,
        reader: &mut Reader<'_, S>,
        pair: &Pair,
    ) -> Result<(), Error> {
        if pair.level == 0 {
            return Ok(());
        }
        let shape = reader.layout.shape();
        let mut node = |entry: Option<Entry>, seen: &mut Overlay| {
            let Some(entry) = entry else { return Ok(None) };
            if !seen.insert(entry.number) {
                let (page, fault) = (entry.number, "two entries name it");
                return Err(Error::Corrupt { page, fault });
            }
            reader
                .node(Which::Map, pair.level, pair.index, &entry)
                .map(Some)
        };
        let first = node(pair.first, &mut self.first_seen)?;
        let second = node(pair.second, &mut self.second_seen)?;
        for place in (0..shape.fan()).rev() {
            self.push(Pair {
                level: pair.level - 1,
                index: (pair.index << shape.fan_log2) + wide(place),
                first: first.as_ref().and_then(|node| in_node(node, place)),
                second: second.as_ref().and_then(|node| in_node(node, place)),
            });
        }
        Ok(())
    }
}
