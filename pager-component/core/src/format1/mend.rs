//! Mending a file on request, in place: hand in a copy. What proves itself is
//! kept: protected pages whose bytes have their checksum, and every page that
//! may be a caller's regular one. Of these both trees are built anew. Nothing is
//! invented, and what is lost is said.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use pagebox_store::{Change, StoreError};

use super::entry::{Entry, in_node};
use super::error::{Damage, Error, Operation};
use super::file::File;
use super::leaf::{self, Kind};
use super::loss::{action, loss};
use super::medium::Medium;
use super::mend_snapshots::Held;
use super::pages::{Changing, Pages};
use super::plan::{fold_space, height_byte};
use super::recover::recover;
use super::rewrite::{Level, Node, fold};
use super::slots;
use super::snapshots::{NewTable, Rewritten, Snapshots};
use super::tree::{Tree, Which};
use super::unfolded::Unfolded;
use crate::action::Action;
use crate::bitmap::Overlay;
use crate::codec::wide;
use crate::finding::{self, Severity};
use crate::ids::Side;
use crate::read::read_page;
use crate::verify::{Looks, explained};

/// Mends the file in a store. A sound file stays as it is.
///
/// # Errors
/// [`Error::Damaged`], where there is no root to go by; [`Error::Full`];
/// [`Error::GenerationsExhausted`]; as [`File::open`]. [`Error::Store`], too,
/// where the medium does not give something: that is not given up.
pub(crate) fn mend<S: Medium>(store: &mut S) -> Result<Vec<Action>, Error> {
    let decision = recover(store, None)?;
    let (is_rotten, is_damaged) = (decision.header_is_rotten, decision.damage.is_some());
    let mut file = File::of(decision);
    let mut actions = if is_damaged || has_errors(&mut file, store)? {
        file.rebuild(store)?
    } else {
        Vec::new()
    };
    if is_rotten {
        // Both roots say what the header is to say, before it is written.
        file.settle(store)?;
        file.write_header(store)?;
        let text = "the header was written again, as the root records repeat it";
        actions.push(action(false, Some(0), None, text.to_string()));
    }
    Ok(actions)
}

/// Whether a check finds anything to mend.
///
/// # Errors
/// [`Error::Store`], where the medium does not give all that is to be checked.
fn has_errors<S: Medium>(file: &mut File, store: &S) -> Result<bool, Error> {
    let mut next = Some(0);
    while let Some(cursor) = next {
        let part = file.check_part(store, cursor);
        let mut findings = part.findings.into_iter();
        if let Some(error) = findings.find(|found| found.kind.severity() == Severity::Error) {
            if error.kind != finding::UNREADABLE {
                return Ok(true);
            }
            let page = error.page.unwrap_or(0);
            return Err(Error::reading(page)(StoreError::io(error.message)));
        }
        next = part.next;
    }
    Ok(false)
}

/// Is told of each entry of level 0, and of each node that is lost: its level and
/// index, its entry, and what is wrong with it.
type Visit<'a> = dyn FnMut((u32, u64), &Entry, Option<&str>) + 'a;

/// The most pages that are kept because it is not known whether they are free:
/// one by one they must be held in memory.
const KEPT_MAX: u64 = 1 << 22;

/// What of a file proves itself.
#[derive(Default)]
struct Salvage {
    /// Protected pages, by id.
    stored: BTreeMap<u64, Entry>,
    /// Their pages.
    named: Overlay,
    /// Pages that may be a caller's.
    regular: Overlay,
    /// Snapshots.
    held: Held,
    actions: Vec<Action>,
}

impl File {
    /// Builds both trees anew.
    fn rebuild<S: Medium>(&mut self, store: &mut S) -> Result<Vec<Action>, Error> {
        let layout = self.layout;
        let shape = layout.shape();
        let generation = self
            .highest
            .checked_add(1)
            .ok_or(Error::GenerationsExhausted)?;
        let page_count = layout.round(self.record.page_count.min(store.geometry().page_count));
        let mut salvage = Salvage::default();
        self.salvage_protected(store, page_count, &mut salvage)?;
        salvage.held = self.salvage_snapshots(
            store,
            page_count,
            &salvage.stored,
            &salvage.named,
            &mut salvage.actions,
        )?;
        self.salvage_regular(store, page_count, &mut salvage)?;

        let highest = salvage.stored.last_key_value().map_or(0, |(&id, _)| id);
        // No tree gets lower, and that of a snapshot was not higher.
        let heights = salvage.held.snapshots.iter();
        let heights = heights.map(|snapshot| u32::from(snapshot.map_height));
        let height = heights.fold(shape.height_for(1, highest), u32::max);
        self.record.deltas = super::deltas::Deltas::default();
        (self.record.map, self.record.space) = (None, None);
        (self.record.map_height, self.record.space_height) = (1, 0);
        self.record.page_count = page_count;
        self.record.protected = wide(salvage.stored.len());
        self.cache = super::cache::Cache::default();
        let map = self.record.map_tree();
        let ids = salvage.stored.keys().copied();
        let nodes = Unfolded::default().nodes_with(shape, &map, height, ids);
        let held = &salvage.held;
        let tables = Snapshots::table_of(shape, &held.snapshots);
        let of_snapshots = held.data.len() + held.nodes.len() + tables.len();
        self.record.used = salvage.named.len() + salvage.regular.len() + of_snapshots;
        self.record.page_count = self.room_for(store, nodes)?;

        let (nodes, tables) = self.trees(store, &salvage, tables, height, generation)?;
        self.record.generation = generation;
        self.record.base = generation;
        self.record.proven = generation;
        self.write_anew(store, &nodes, &tables)?;
        let text = format!(
            "both trees were built anew of what proves itself: {} protected pages, {} regular ones and {} snapshots",
            salvage.stored.len(),
            salvage.regular.len(),
            salvage.held.snapshots.len()
        );
        salvage.actions.push(action(false, None, None, text));
        Ok(salvage.actions)
    }

    /// The page count that has room for so many nodes; grows the file for it.
    fn room_for<S: Medium>(&self, store: &mut S, nodes: u64) -> Result<u64, Error> {
        let layout = self.layout;
        let limit = layout.shape().page_limit();
        let mut page_count = self.record.page_count;
        while layout.reserved(page_count) + self.record.used + nodes > page_count {
            let missing = layout.reserved(page_count) + self.record.used + nodes - page_count;
            page_count = layout.round_up(page_count.saturating_add(missing));
            if page_count > limit {
                return Err(Error::Full { limit });
            }
        }
        if page_count > store.geometry().page_count {
            store
                .grow(page_count)
                .map_err(Error::store(Operation::Grow { page_count }))?;
        }
        Ok(page_count)
    }

    /// The nodes of both trees, and the pages of the table of snapshots.
    fn trees<S: Medium>(
        &mut self,
        store: &S,
        salvage: &Salvage,
        tables: Rewritten,
        height: u32,
        generation: u64,
    ) -> Result<(Vec<Node>, Vec<NewTable>), Error> {
        let layout = self.layout;
        let page_count = self.record.page_count;
        let (map, space) = (self.record.map_tree(), self.record.space_tree());
        let nothing = Pages::folded(&space);
        let mut pages = Changing::of(&nothing);
        let mut reader = self.reader(store);
        let mut free = (0..page_count).filter(|&page| {
            !layout.is_reserved(page)
                && !salvage.named.contains(page)
                && !salvage.regular.contains(page)
                && !salvage.held.contains(page)
        });
        let entries: Level = salvage
            .stored
            .iter()
            .map(|(&id, &entry)| (id, Some(entry)))
            .collect();
        let map = fold(&mut reader, &map, height, entries, &[], generation, |_| {
            free.next().ok_or(Error::Full { limit: page_count })
        })?;
        let place = || free.next().ok_or(Error::Full { limit: page_count });
        let (snapshots, tables) = tables.lay_out(layout.shape(), generation, place)?;
        let held = &salvage.held;
        for (pages_of, kind) in [
            (&salvage.named, Kind::Protected),
            (&held.data, Kind::Protected),
            (&held.nodes, Kind::Node),
            (&salvage.regular, Kind::Regular),
        ] {
            for page in pages_of.iter() {
                pages.take(&mut reader, &space, page, kind)?;
            }
        }
        for table in &tables {
            pages.take(&mut reader, &space, table.page, Kind::Snapshots)?;
        }
        for node in &map.nodes {
            pages.take(&mut reader, &space, node.page, Kind::Node)?;
        }
        let used = pages.used();
        let folded = fold_space(&mut reader, &space, &pages, generation)?;
        self.record.map = map.tree.root;
        self.record.map_height = height_byte(map.tree.height);
        self.record.space = folded.tree.root;
        self.record.space_height = height_byte(folded.tree.height);
        self.record.used = used;
        self.record.snapshots = snapshots.root();
        let nodes = map.nodes.into_iter().chain(folded.nodes).collect();
        Ok((nodes, tables))
    }

    /// Writes nodes, then both roots.
    fn write_anew<S: Medium>(
        &mut self,
        store: &mut S,
        nodes: &[Node],
        tables: &[NewTable],
    ) -> Result<(), Error> {
        self.blocks = self.record.encode();
        let shape = self.layout.shape();
        let roots = Side::BOTH.map(|side| slots::pages(shape, side, &self.blocks));
        let mut batch: Vec<Change<'_, S::Buffer>> = nodes
            .iter()
            .map(|node| Change::Bytes {
                page: node.page,
                bytes: &node.bytes,
            })
            .chain(tables.iter().map(|table| Change::Bytes {
                page: table.page,
                bytes: &table.bytes,
            }))
            .collect();
        batch.push(Change::Sync);
        for root in &roots {
            batch.extend(slots::changes(root));
        }
        batch.push(Change::Sync);
        let done = store.write(&batch);
        self.or_poison(Operation::WriteRepaired, done)?;
        self.rebuilt();
        Ok(())
    }

    /// Protected pages whose bytes have their checksum.
    fn salvage_protected<S: Medium>(
        &mut self,
        store: &S,
        page_count: u64,
        found: &mut Salvage,
    ) -> Result<(), Error> {
        let map = self.record.map_tree();
        let shape = self.layout.shape();
        let mut entries = BTreeMap::new();
        self.walk(store, &map, &mut |(level, index), entry, fault| {
            match fault {
                None => drop(entries.insert(index, *entry)),
                Some(fault) => {
                    let text = format!(
                        "a node of MAP is lost, and with it the protected pages {} to {}, as far as there were any: {fault}",
                        shape.first_key(level, index),
                        shape.first_key(level, index + 1) - 1
                    );
                    found.actions.push(action(true, Some(entry.number), None, text));
                }
            }
        })?;
        for (&id, changed) in &self.record.deltas.ids {
            match changed {
                Some(entry) => entries.insert(id, *entry),
                None => entries.remove(&id),
            };
        }
        let mut looks = Looks::default();
        for (id, entry) in entries {
            let page = entry.number;
            if page == 0 {
                found.stored.insert(id, entry);
                continue;
            }
            let fault = if page >= page_count {
                Some("its page is past the end of the file")
            } else if store.page_checksum(page).map_err(Error::reading(page))? != entry.checksum {
                Some("its bytes are not the ones that were committed")
            } else if !found.named.insert(page) {
                Some("another one has its page")
            } else {
                None
            };
            match fault {
                None => drop(found.stored.insert(id, entry)),
                Some(fault) => {
                    let bytes = read_page(store, page).ok().flatten();
                    let flip = bytes.and_then(|bytes| looks.explain(&bytes, entry.checksum));
                    let text = format!(
                        "protected page {id} was given up: {fault}{}",
                        explained(flip)
                    );
                    found.actions.push(action(true, Some(page), Some(id), text));
                }
            }
        }
        Ok(())
    }

    /// Regular pages, and those of which it is not known that they are not.
    fn salvage_regular<S: Medium>(
        &mut self,
        store: &S,
        page_count: u64,
        found: &mut Salvage,
    ) -> Result<(), Error> {
        let layout = self.layout;
        let shape = layout.shape();
        let space = self.record.space_tree();
        let mut leaves = Vec::new();
        let mut lost = Vec::new();
        self.walk(
            store,
            &space,
            &mut |(level, index), entry, fault| match fault {
                None => leaves.push((index, *entry)),
                Some(fault) => lost.push((level, index, fault.to_string())),
            },
        )?;
        let keep = |page: u64, found: &mut Salvage| {
            let is_other = found.named.contains(page) || found.held.contains(page);
            if page < page_count && !layout.is_reserved(page) && !is_other {
                found.regular.insert(page);
            }
        };
        let mut past_the_end = 0;
        for (group, entry) in leaves {
            let leaf = self.reader(store).node(Which::Space, 0, group, &entry);
            let leaf = match leaf {
                Ok(leaf) => leaf,
                Err(error) => {
                    lost.push((0, group, loss(error)?));
                    continue;
                }
            };
            let start = layout.group_start(group);
            for place in leaf::places_of(&leaf, shape, Kind::Regular) {
                let page = start + place;
                keep(page, found);
                past_the_end += u64::from(page >= page_count);
            }
        }
        let mut kept = 0;
        for (level, index, fault) in lost {
            let first = layout.group_start(shape.first_key(level, index));
            // The last entry of a node may reach further than a number can.
            let end = shape
                .first_key(level, index + 1)
                .min(layout.groups(page_count));
            let end = layout.group_start(end).min(page_count);
            kept += end.saturating_sub(first);
            if kept > KEPT_MAX {
                return Err(Error::Damaged(Damage::Unsound {
                    generation: self.record.generation,
                    page: 0,
                    fault: "of too many pages it is not known whether they are free",
                }));
            }
            (first..end).for_each(|page| keep(page, found));
            let text = format!(
                "it is not known which of the pages {first} to {} are free: all are kept: {fault}",
                end.saturating_sub(1)
            );
            found.actions.push(action(false, Some(first), None, text));
        }
        for (&page, &is_regular) in &self.record.deltas.regular {
            if is_regular {
                keep(page, found);
                past_the_end += u64::from(page >= page_count);
            } else {
                found.regular.remove(page);
            }
        }
        if past_the_end > 0 {
            let text = format!("{past_the_end} regular pages lay past the end of the file");
            found.actions.push(action(true, None, None, text));
        }
        Ok(())
    }

    /// Visits a tree, as far as it can be read. A node of MAP is followed from the
    /// first entry that names it.
    fn walk<S: Medium>(&mut self, store: &S, tree: &Tree, f: &mut Visit<'_>) -> Result<(), Error> {
        let shape = self.layout.shape();
        let mut open: Vec<(u32, u64, Entry)> = tree
            .root
            .map(|root| (tree.height, 0, root))
            .into_iter()
            .collect();
        let mut named = Overlay::default();
        while let Some((level, index, entry)) = open.pop() {
            if level == 0 {
                f((0, index), &entry, None);
                continue;
            }
            if tree.which == Which::Map && !named.insert(entry.number) {
                f((level, index), &entry, Some("another entry names it"));
                continue;
            }
            match self.reader(store).node(tree.which, level, index, &entry) {
                Ok(node) => {
                    let first = index << shape.fan_log2;
                    open.extend((0..shape.fan()).zip(first..).filter_map(|(place, child)| {
                        Some((level - 1, child, in_node(&node, place)?))
                    }));
                }
                Err(error) => f((level, index), &entry, Some(&loss(error)?)),
            }
        }
        Ok(())
    }

    fn write_header<S: Medium>(&mut self, store: &mut S) -> Result<(), Error> {
        let page = slots::whole(self.layout.shape(), &self.record.header.encode());
        let changes: [Change<'_, S::Buffer>; 2] = [
            Change::Bytes {
                page: 0,
                bytes: &page,
            },
            Change::Sync,
        ];
        let done = store.write(&changes);
        self.or_poison(Operation::WriteRepaired, done)
    }
}
