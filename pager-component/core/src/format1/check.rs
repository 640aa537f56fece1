//! What must hold of a node, a leaf and a root, besides its checksum: so that
//! whoever made it, no walk leaves the file, runs in a circle or takes a page
//! that is the file's own.

use super::entry::{self, Entry};
use super::layout::Layout;
use super::leaf::{self, Kind};
use super::record::Record;
use super::shape::ENTRY_LEN;
use super::table::TablePage;
use super::tree::Which;
use crate::codec::wide;

/// Checks the node or leaf at (`level`, `index`) that `named` describes, in a
/// file of `page_count` pages.
pub(super) fn node(
    layout: &Layout,
    page_count: u64,
    which: Which,
    (level, index): (u32, u64),
    named: &Entry,
    node: &[u8],
) -> Result<(), &'static str> {
    if which == Which::Space && level == 0 {
        return leaf(layout, page_count, index, named, node);
    }
    let shape = layout.shape();
    let [mut present, mut full, mut used] = [0_u64; 3];
    for place in 0..shape.fan() {
        let entry = entry::decode(node, place * ENTRY_LEN)
            .map_err(|_| "an entry has bytes that no entry has")?;
        let Some(entry) = entry else { continue };
        let child = (index << shape.fan_log2) + wide(place);
        self::entry(layout, page_count, which, (level - 1, child), &entry)?;
        if entry.birth > named.birth {
            return Err("an entry is younger than its node");
        }
        present += 1;
        full += u64::from(entry.full);
        used += entry.number;
    }
    if present == 0 {
        return Err("a node has no entries");
    }
    if named.full != (full == wide(shape.fan())) {
        return Err("it is not as full as is said of it");
    }
    if which == Which::Space && used != named.number {
        return Err("it has not as many used pages as is said of it");
    }
    Ok(())
}

/// Checks an entry by itself.
pub(super) fn entry(
    layout: &Layout,
    page_count: u64,
    which: Which,
    (level, index): (u32, u64),
    entry: &Entry,
) -> Result<(), &'static str> {
    let key = layout.shape().first_key(level, index);
    match which {
        Which::Map => {
            if key >= layout.shape().id_limit() {
                return Err("an entry is of an id that can't be");
            }
            if level == 0 && !entry.full {
                return Err("the entry of a page is not full");
            }
            if level == 0 && entry.number == 0 {
                return if entry.checksum == 0 {
                    Ok(())
                } else {
                    Err("a page of zeros has a checksum")
                };
            }
            if entry.number >= page_count {
                return Err("an entry names a page past the page count");
            }
            if layout.is_reserved(entry.number) {
                return Err("an entry names a page of the file's own");
            }
        }
        Which::Space => {
            if key >= layout.groups(page_count) {
                return Err("an entry is of a group past the page count");
            }
            if entry.number > page_count {
                return Err("an entry counts more pages than there are");
            }
        }
    }
    Ok(())
}

fn leaf(
    layout: &Layout,
    page_count: u64,
    group: u64,
    named: &Entry,
    bytes: &[u8],
) -> Result<(), &'static str> {
    let shape = layout.shape();
    if !leaf::is_known(bytes, shape) {
        return Err("a page is of a kind that is not known here");
    }
    let start = layout.group_start(group);
    let mut reserved = 0;
    for page in layout.reserved_in(group) {
        reserved += 1;
        if leaf::kind(bytes, page - start) != Kind::Reserved {
            return Err("a page of the file's own is not marked");
        }
    }
    if leaf::count_of(bytes, shape, Kind::Reserved) != reserved {
        return Err("a page that is not the file's own is marked as that");
    }
    // Only the last group can have any, and none of them is reserved.
    let past = page_count.saturating_sub(start);
    if leaf::next_taken(bytes, past, shape.group_len()).is_some() {
        return Err("a page past the page count is used");
    }
    if leaf::count(bytes, shape) != (named.number, named.full) {
        return Err("it has not as many used pages as is said of it");
    }
    Ok(())
}

/// What the older pages of the table of snapshots come after.
pub(super) struct Newer {
    /// No page is younger.
    birth: u64,
    /// No snapshot has a higher id, or is of a later generation.
    id: u64,
    generation: u64,
    /// None has a higher tree, which never gets lower.
    height: u8,
}

impl Newer {
    /// Before all pages: what changes them folds.
    pub(super) fn root(record: &Record) -> Self {
        Self {
            birth: record.base,
            id: record.last_snapshot,
            generation: record.base,
            height: record.map_height,
        }
    }

    /// After this page.
    pub(super) fn after(entry: &Entry, page: &TablePage) -> Self {
        let oldest = page.snapshots.first();
        Self {
            birth: entry.birth,
            id: oldest.map_or(0, |oldest| oldest.id.saturating_sub(1)),
            generation: oldest.map_or(0, |oldest| oldest.generation.saturating_sub(1)),
            height: oldest.map_or(0, |oldest| oldest.map_height),
        }
    }
}

/// Checks what names a page of the table of snapshots.
pub(super) fn table_entry(
    layout: &Layout,
    page_count: u64,
    entry: &Entry,
    newer: &Newer,
) -> Result<(), &'static str> {
    if entry.number >= page_count {
        Err("an entry names a page past the page count")
    } else if layout.is_reserved(entry.number) {
        Err("an entry names a page of the file's own")
    } else if entry.birth > newer.birth {
        Err("a page of the table of snapshots is younger than what names it")
    } else {
        Ok(())
    }
}

/// Checks the snapshots of a page of their table, which `named` describes.
pub(super) fn table(
    layout: &Layout,
    page_count: u64,
    named: &Entry,
    page: &TablePage,
    newer: &Newer,
) -> Result<(), &'static str> {
    let (mut id, mut generation, mut above) = (newer.id, newer.generation, newer.height);
    if (page.snapshots.iter()).any(|snapshot| snapshot.generation > named.birth) {
        return Err("a page of the table of snapshots is older than they are");
    }
    for snapshot in page.snapshots.iter().rev() {
        if snapshot.id > id || snapshot.generation > generation {
            return Err("the snapshots are not in order");
        }
        // The first one has id 1, and a file begins with generation 1.
        let (Some(below), Some(before)) = (
            snapshot.id.checked_sub(1),
            snapshot.generation.checked_sub(1),
        ) else {
            return Err("no snapshot has id 0, or generation 0");
        };
        if snapshot.map_height > above {
            return Err("the tree of a snapshot is higher than what came after it");
        }
        (id, generation, above) = (below, before, snapshot.map_height);
        let Some(root) = &snapshot.map else { continue };
        let height = snapshot.map_height.into();
        entry(layout, page_count, Which::Map, (height, 0), root)?;
        if root.birth > snapshot.generation {
            return Err("a tree is younger than its snapshot");
        }
    }
    Ok(())
}

/// Checks each of the deltas by itself.
fn deltas(layout: &Layout, record: &Record) -> Result<(), &'static str> {
    for (&id, changed) in &record.deltas.ids {
        if id >= layout.shape().id_limit() {
            return Err("a delta is of an id that can't be");
        }
        let Some(changed) = changed else { continue };
        entry(layout, record.page_count, Which::Map, (0, id), changed)?;
        if changed.birth <= record.base || changed.birth > record.generation {
            return Err("a delta was not born since the fold");
        }
    }
    for &page in record.deltas.regular.keys() {
        if page >= record.page_count || layout.is_reserved(page) {
            return Err("a delta is of a page that is never a caller's");
        }
    }
    Ok(())
}

/// What [`root`] says of a file that was cut off.
pub(super) const TOO_SHORT: &str = "the file is shorter than its page count";

/// Checks what a root record says, in a store of `stored` pages.
pub(super) fn root(layout: &Layout, stored: u64, record: &Record) -> Result<(), &'static str> {
    let shape = layout.shape();
    let page_count = record.page_count;
    if page_count > stored {
        return Err(TOO_SHORT);
    }
    if page_count > shape.page_limit() || layout.round(page_count) != page_count {
        return Err("no file has so many pages");
    }
    if record.base > record.generation || record.proven > record.generation {
        return Err("it names a generation after its own");
    }
    let heights = [
        (u32::from(record.map_height), 1, shape.map_levels()),
        (u32::from(record.space_height), 0, shape.space_levels()),
    ];
    if heights
        .iter()
        .any(|(height, least, most)| !(least..=most).contains(&height))
    {
        return Err("no tree is so high");
    }
    let roots = [
        (Which::Map, record.map_height, record.map),
        (Which::Space, record.space_height, record.space),
    ];
    for (which, height, root) in roots {
        let Some(root) = root else { continue };
        entry(layout, page_count, which, (height.into(), 0), &root)?;
        if root.birth > record.base {
            return Err("a tree is younger than its fold");
        }
    }
    if let Some(newest) = &record.snapshots {
        table_entry(layout, page_count, newest, &Newer::root(record))?;
    }
    deltas(layout, record)?;
    let changes = wide(record.deltas.ids.len() + record.deltas.regular.len());
    let folded = record.space.map_or(0, |root| root.number);
    if record.used.abs_diff(folded) > changes
        || layout.reserved(page_count).saturating_add(record.used) > page_count
    {
        return Err("its count of used pages can't be");
    }
    if record.protected > shape.id_limit() {
        return Err("it counts what can't be there");
    }
    Ok(())
}
