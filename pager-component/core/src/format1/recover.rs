//! Recovery: which root counts. Reads only.
//!
//! | Slots | Which counts |
//! |---|---|
//! | equal | that one; acknowledged, so nothing is verified |
//! | different | the newer, if what it reaches and was born after its *proven* is as committed; else the older, rolled back |
//! | one is invalid | the other, verified; if it fails: damage |
//!
//! An acknowledged state whose pages fail is damage, never a rollback.

use alloc::vec::Vec;

use super::cache::Cache;
use super::check::{self, Newer};
use super::entry::{Entry, in_node};
use super::error::{Damage, Error, Short};
use super::header::Header;
use super::layout::Layout;
use super::medium::Medium;
use super::record::{Record, RecordFault};
use super::shape::Shape;
use super::slots::{self, Found, Slot};
use super::snapshots;
use super::tree::{Reader, Tree, Which, page_of};
use crate::bitmap::Overlay;
use crate::checksum::Xxh3;
use crate::ids::Side;

/// How the last commit ended, as far as the medium tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both roots are equal: the commit was acknowledged.
    Acknowledged,
    /// The newer of two roots counts: its commit is complete. Whether it was
    /// acknowledged is not known.
    Complete,
    /// One root counts, the other one is no root: that commit, or its second
    /// root, was not finished.
    OneRoot,
    /// The older of two roots counts: the newer commit was not finished.
    RolledBack,
}

/// A stamp so far above the newest record is rot.
const STAMP_AHEAD_MAX: u64 = 1 << 20;

/// Which root counts.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) layout: Layout,
    pub(super) header_is_rotten: bool,
    pub(super) verdict: Verdict,
    /// The slot that the record stands in.
    pub(super) side: Side,
    pub(super) chosen: Found,
    /// The highest stamp.
    pub(super) highest: u64,
    pub(super) verified: Verified,
    /// The slots, A and B: the generation of a valid record, or why there is
    /// none.
    pub(super) slots: [Result<u64, RecordFault>; 2],
    /// Why the newer of two roots does not count.
    pub(super) rejected: Option<Damage>,
    /// Why nothing may be built on what was chosen: no crash can have left it.
    pub(super) damage: Option<Damage>,
}

/// What was verified of a record.
#[derive(Debug, Default)]
pub(super) struct Verified {
    /// The nodes that were read.
    pub(super) cache: Cache,
    /// Pages that it reaches and that were born after its *proven*, with their
    /// checksums.
    pub(super) unproven: Vec<(u64, Xxh3)>,
}

/// The header of the file in a store, whether it is rotten, and where the file
/// has what; in a shape if it has another than that of its page size.
pub(super) fn lay_out<S: Medium>(
    store: &S,
    shape: Option<Shape>,
) -> Result<(Header, bool, Layout), Error> {
    let (header, is_rotten) = slots::identify(store)?;
    let page_size = store.geometry().page_size;
    if header.page_size != page_size {
        return Err(Error::PageSizeMismatch {
            file: header.page_size,
            store: page_size,
        });
    }
    let shape = shape.unwrap_or(Shape::of(header.page_size));
    let layout = Layout::new(shape, header.homes).ok_or(Error::Damaged(Damage::Homes))?;
    Ok((header, is_rotten, layout))
}

/// Decides which root of a file counts, in a shape if it has another than that
/// of its page size.
pub(super) fn recover<S: Medium>(store: &S, shape: Option<Shape>) -> Result<Decision, Error> {
    let (header, header_is_rotten, layout) = lay_out(store, shape)?;
    let shape = layout.shape();
    let mut stamps = Vec::new();
    let mut read = |side| -> Result<Result<Found, RecordFault>, Error> {
        let Slot { found, stamps: new } = slots::read(store, shape.unit(), side)?;
        stamps.extend(new);
        match found {
            Ok(found) if found.record.header != header => Ok(Err(RecordFault::OtherFile)),
            found => Ok(found),
        }
    };
    let both = [read(Side::A)?, read(Side::B)?];
    let generation = |found: &Found| found.record.generation;
    let slots = both.each_ref().map(|slot| match slot {
        Ok(found) => Ok(generation(found)),
        Err(fault) => Err(*fault),
    });
    let newest = both.iter().flatten().map(generation).max();
    let limit = newest.unwrap_or(0).saturating_add(STAMP_AHEAD_MAX);
    let highest = stamps
        .into_iter()
        .filter(|&stamp| stamp <= limit)
        .chain(newest)
        .fold(0, u64::max);
    let both = both.map(Result::ok);
    let (choice, damage) = match decide(store, &layout, &both) {
        Ok(choice) => (choice, None),
        Err(Error::Damaged(damage)) => {
            let best = best(&layout, &both).ok_or(Error::Damaged(damage))?;
            (best, Some(damage))
        }
        Err(error) => return Err(error),
    };
    let Choice {
        verdict,
        side,
        verified,
        rejected,
    } = choice;
    let [a, b] = both;
    let chosen = match side {
        Side::A => a,
        Side::B => b,
    };
    // It was chosen of those that are there.
    let chosen = chosen.ok_or(Error::Damaged(Damage::NoRoot))?;
    Ok(Decision {
        layout,
        header_is_rotten,
        verdict,
        side,
        chosen,
        highest,
        verified,
        slots,
        rejected,
        damage,
    })
}

/// Which of the roots counts.
struct Choice {
    verdict: Verdict,
    side: Side,
    verified: Verified,
    rejected: Option<Damage>,
}

/// Of a damaged file, the newest root that can be looked at. What it reaches is
/// believed as far as it proves itself.
fn best(layout: &Layout, both: &[Option<Found>; 2]) -> Option<Choice> {
    let mut best = None;
    for (side, found) in Side::BOTH.into_iter().zip(both) {
        let Some(found) = found else { continue };
        let generation = found.record.generation;
        if check::root(layout, u64::MAX, &found.record).is_ok()
            && best.is_none_or(|(_, known)| generation > known)
        {
            best = Some((side, generation));
        }
    }
    best.map(|(side, _)| Choice {
        verdict: Verdict::OneRoot,
        side,
        verified: Verified::default(),
        rejected: None,
    })
}

fn decide<S: Medium>(
    store: &S,
    layout: &Layout,
    both: &[Option<Found>; 2],
) -> Result<Choice, Error> {
    let verify = |found: &Found| verify(store, layout, &found.record);
    let alone = |side, only| {
        Ok(Choice {
            verdict: Verdict::OneRoot,
            side,
            verified: verify(only)?,
            rejected: None,
        })
    };
    let (a, b) = match both {
        [None, None] => return Err(Error::Damaged(Damage::NoRoot)),
        [Some(only), None] => return alone(Side::A, only),
        [None, Some(only)] => return alone(Side::B, only),
        [Some(a), Some(b)] => (a, b),
    };
    if a.blocks == b.blocks {
        expect_root(store, layout, &a.record)?;
        return Ok(Choice {
            verdict: Verdict::Acknowledged,
            side: Side::A,
            verified: Verified::default(),
            rejected: None,
        });
    }
    if a.record.generation == b.record.generation {
        return Err(Error::Damaged(Damage::TwoRecords));
    }
    let (side, newer, older) = if a.record.generation > b.record.generation {
        (Side::A, a, b)
    } else {
        (Side::B, b, a)
    };
    match verify(newer) {
        Ok(verified) => Ok(Choice {
            verdict: Verdict::Complete,
            side,
            verified,
            rejected: None,
        }),
        // The older one was durable before the newer one was written. If its
        // pages fail too, then this is no crash.
        Err(Error::Damaged(rejected)) => Ok(Choice {
            verdict: Verdict::RolledBack,
            side: side.other(),
            verified: verify(older)?,
            rejected: Some(rejected),
        }),
        Err(error) => Err(error),
    }
}

/// Checks that all that a record reaches and that was born after its *proven*
/// is as it was committed.
///
/// # Errors
/// [`Error::Damaged`], [`Error::Store`].
fn verify<S: Medium>(store: &S, layout: &Layout, record: &Record) -> Result<Verified, Error> {
    expect_root(store, layout, record)?;
    let mut cache = Cache::default();
    let mut walk = Walk {
        reader: Reader {
            store,
            layout,
            page_count: record.page_count,
            deltas: &record.deltas,
            cache: &mut cache,
        },
        proven: record.proven,
        seen: Overlay::default(),
        unproven: Vec::new(),
    };
    let trees = [record.map_tree(), record.space_tree()];
    let [map, _] = &trees;
    let changed = record.deltas.ids.iter();
    let deltas = changed.map(|(&id, entry)| (map, 0, id, entry.as_ref()));
    let roots = trees
        .iter()
        .map(|tree| (tree, tree.height, 0, tree.root.as_ref()));
    for (tree, level, index, entry) in deltas.chain(roots) {
        let done = walk.below(tree, level, index, entry);
        done.map_err(|error| match error {
            Error::Corrupt { page, fault } => unsound(record, page, fault),
            error => error,
        })?;
    }
    walk.tables(record).map_err(|error| match error {
        Error::Corrupt { page, fault } => unsound(record, page, fault),
        error => error,
    })?;
    let unproven = walk.unproven;
    Ok(Verified { cache, unproven })
}

fn expect_root<S: Medium>(store: &S, layout: &Layout, record: &Record) -> Result<(), Error> {
    let geometry = store.geometry();
    check::root(layout, geometry.page_count, record).map_err(|fault| {
        if fault == check::TOO_SHORT {
            return Error::Damaged(Damage::Short(Short {
                bytes: geometry.byte_count(),
                pages: geometry.page_count,
                page_count: record.page_count,
                kinds: None,
            }));
        }
        unsound(record, 0, fault)
    })
}

fn unsound(record: &Record, page: u64, fault: &'static str) -> Error {
    Error::Damaged(Damage::Unsound {
        generation: record.generation,
        page,
        fault,
    })
}

/// A walk over what was born after *proven*.
struct Walk<'a, S> {
    reader: Reader<'a, S>,
    proven: u64,
    /// Pages that MAP named: each is read once, so that entries that share
    /// pages cannot make this long.
    seen: Overlay,
    unproven: Vec<(u64, Xxh3)>,
}

impl<S: Medium> Walk<'_, S> {
    /// The young pages of the table of snapshots: what those reach was durable
    /// before another commit, or is in the trees.
    fn tables(&mut self, record: &Record) -> Result<(), Error> {
        let mut newer = Newer::root(record);
        let mut next = record.snapshots;
        while let Some(entry) = next.filter(|entry| entry.birth > self.proven) {
            let page = entry.number;
            if !self.seen.insert(page) {
                let fault = "two entries name it";
                return Err(Error::Corrupt { page, fault });
            }
            let table = snapshots::read(&self.reader, &entry, &newer)?;
            self.unproven.push((page, entry.checksum));
            newer = Newer::after(&entry, &table);
            next = table.older;
        }
        Ok(())
    }

    fn below(
        &mut self,
        tree: &Tree,
        level: u32,
        index: u64,
        entry: Option<&Entry>,
    ) -> Result<(), Error> {
        let Some(entry) = entry.filter(|entry| entry.birth > self.proven) else {
            return Ok(());
        };
        if tree.which == Which::Map {
            let page = entry.number;
            if level == 0 && page == 0 {
                return Ok(());
            }
            if !self.seen.insert(page) {
                let fault = "two entries name it";
                return Err(Error::Corrupt { page, fault });
            }
            if level == 0 {
                let found = self.reader.store.page_checksum(page);
                return if found.map_err(Error::reading(page))? == entry.checksum {
                    self.unproven.push((page, entry.checksum));
                    Ok(())
                } else {
                    let fault = "its checksum is wrong";
                    Err(Error::Corrupt { page, fault })
                };
            }
        }
        let node = self.reader.node(tree.which, level, index, entry)?;
        let page = page_of(self.reader.layout, tree.which, level, index, entry);
        self.unproven.push((page, entry.checksum));
        if level == 0 {
            return Ok(());
        }
        let shape = self.reader.layout.shape();
        for (place, child) in (0..shape.fan()).zip(index << shape.fan_log2..) {
            self.below(tree, level - 1, child, in_node(&node, place).as_ref())?;
        }
        Ok(())
    }
}
