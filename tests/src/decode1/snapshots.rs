//! The table of snapshots, and what trees of several times have in common.

use std::collections::{BTreeMap, BTreeSet};

use super::{Entry, Reader, Stored, Tree, entry, u64_at};

/// What is kept of a time before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its number, of all that were ever taken.
    pub id: u64,
    /// Whose state it shows.
    pub generation: u64,
    /// When it was taken, in nanoseconds since 1970, as the caller says.
    pub time: u64,
    /// What it is called.
    pub name: String,
    /// The height of its MAP.
    pub height: u8,
    /// Protected pages.
    pub protected: BTreeMap<u64, Stored>,
    /// Pages of the nodes of its MAP.
    pub nodes: BTreeSet<u64>,
}

/// What the table says of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: u64,
    pub(super) generation: u64,
    time: u64,
    height: u8,
    map: Option<Entry>,
    name: String,
}

impl Row {
    /// The snapshot, with what its tree shows.
    pub(super) fn shows(self, tree: Tree) -> Snapshot {
        Snapshot {
            id: self.id,
            generation: self.generation,
            time: self.time,
            name: self.name,
            height: self.height,
            protected: tree.protected,
            nodes: tree.nodes,
        }
    }
}

/// The table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// Oldest first.
    pub(super) rows: Vec<Row>,
    pub(super) pages: BTreeSet<u64>,
}

/// What a root says that no row may be beyond.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// The last id given.
    id: u64,
    /// The generation of the last fold: taking a snapshot folds.
    base: u64,
    /// The height of MAP, which never gets lower.
    height: u8,
}

impl Reader<'_> {
    /// The table, by its pages from the newest to the oldest.
    pub(super) fn table(&self, reserved: &BTreeSet<u64>) -> Result<Table, String> {
        let limits = Limits {
            id: self.root.number(80),
            base: self.root.number(40),
            height: self.root.payload[89],
        };
        let mut table = Table::default();
        let mut parts = Vec::new();
        let mut youngest = limits.base;
        let mut next = entry(&self.root.payload[224..256])?;
        while let Some(named) = next {
            let page = named.number;
            if named.side != 0 {
                return Err(format!("the entry of table page {page}"));
            }
            if named.birth > youngest || named.birth == 0 {
                return Err(format!("table page {page} is of {}", named.birth));
            }
            if reserved.contains(&page) {
                return Err(format!("table page {page} is reserved"));
            }
            if !table.pages.insert(page) {
                return Err(format!("table page {page} is named twice"));
            }
            let (older, rows) = part(self.named(page, &named)?)
                .map_err(|error| format!("table page {page}: {error}"))?;
            if rows.iter().any(|row| row.generation > named.birth) {
                return Err(format!("table page {page} is older than its snapshots"));
            }
            parts.push(rows);
            youngest = named.birth;
            next = older;
        }
        table.rows = parts.into_iter().rev().flatten().collect();
        expect_in_order(&table.rows, limits)?;
        Ok(table)
    }

    /// MAP as each row has it.
    pub(super) fn kept(&self, rows: &[Row]) -> Result<Vec<Tree>, String> {
        let trees = rows.iter().map(|row| {
            let mut tree = Tree::default();
            let root_at = (u32::from(row.height), 0);
            let unchanged = BTreeMap::new();
            self.map(&mut tree, &unchanged, root_at, row.map, row.generation)
                .map_err(|error| format!("snapshot {}: {error}", row.id))?;
            Ok(tree)
        });
        trees.collect()
    }
}

/// What a page of the table says: the next older page, and rows.
fn part(page: &[u8]) -> Result<(Option<Entry>, Vec<Row>), String> {
    let older = entry(&page[..32])?;
    let count = u64_at(page, 32);
    let most = page.len() as u64 / 128 - 1;
    if count == 0 || count > most {
        return Err(format!("{count} snapshots in a page, not 1 to {most}"));
    }
    expect_zero(&page[40..128], "the bytes after the count")?;
    let (rows, rest) = page[128..].split_at(128 * count as usize);
    expect_zero(rest, "the bytes after the last snapshot")?;
    let rows: Result<_, _> = rows.chunks(128).map(row).collect();
    Ok((older, rows?))
}

fn row(bytes: &[u8]) -> Result<Row, String> {
    let id = u64_at(bytes, 0);
    expect_zero(&bytes[26..32], &format!("the bytes before MAP of {id}"))?;
    let len = usize::from(bytes[25]);
    if len == 0 || len > 64 {
        return Err(format!("a name of {len} bytes"));
    }
    let (name, rest) = bytes[64..].split_at(len);
    expect_zero(rest, &format!("the bytes after the name of {id}"))?;
    let name = str::from_utf8(name).map_err(|error| format!("the name of {id}: {error}"))?;
    if name.chars().any(char::is_control) {
        return Err(format!("a control character in the name {name:?}"));
    }
    Ok(Row {
        id,
        generation: u64_at(bytes, 8),
        time: u64_at(bytes, 16),
        height: bytes[24],
        map: entry(&bytes[32..64])?,
        name: name.into(),
    })
}

fn expect_zero(bytes: &[u8], what: &str) -> Result<(), String> {
    if bytes.iter().all(|&byte| byte == 0) {
        Ok(())
    } else {
        Err(format!("{what} are not zero"))
    }
}

/// All rows of a table can be of one file.
fn expect_in_order(rows: &[Row], limits: Limits) -> Result<(), String> {
    let mut names = BTreeSet::new();
    let mut before = (0, 0, 1);
    for row in rows {
        let Row { id, generation, .. } = *row;
        if id <= before.0 || id > limits.id {
            return Err(format!("snapshot {id} after {}", before.0));
        }
        if generation <= before.1 || generation > limits.base {
            return Err(format!("snapshot {id} of generation {generation}"));
        }
        if row.height < before.2 || row.height > limits.height {
            return Err(format!("snapshot {id} has a MAP of height {}", row.height));
        }
        if row.map.is_some_and(|map| map.birth > generation) {
            return Err(format!("snapshot {id} is older than its MAP"));
        }
        if !names.insert(&row.name) {
            return Err(format!("two snapshots {:?}", row.name));
        }
        before = (id, generation, row.height);
    }
    Ok(())
}

/// The kinds of all pages that trees name, oldest first, and those of the table.
///
/// What is written to a page is named at one place, from its birth until it is
/// replaced: by the first tree that is not older, and by all up to some tree.
pub(super) fn named_by_all(
    trees: &[(u64, &Tree)],
    tables: &BTreeSet<u64>,
) -> Result<BTreeMap<u64, u8>, String> {
    let mut pages = BTreeMap::new();
    let entries = trees.iter().flat_map(|(_, tree)| &tree.entries);
    for (at, entry) in entries.filter(|(_, entry)| entry.number != 0) {
        let other = *pages.entry(entry.number).or_insert((at, entry));
        if other != (at, entry) {
            return Err(format!(
                "page {} is named twice: {other:?}, {entry:?} at {at:?}",
                entry.number
            ));
        }
    }
    for pair in trees.windows(2) {
        let [(generation, older), (_, newer)] = pair else {
            continue;
        };
        let replaced = newer.replaced.iter().map(|(&id, entry)| ((0, id), entry));
        let entries = newer.entries.iter().map(|(&at, entry)| (at, entry));
        for (at, entry) in entries.chain(replaced) {
            if entry.birth <= *generation && older.entries.get(&at) != Some(entry) {
                return Err(format!(
                    "the entry at {at:?} is of {}, and not in the snapshot of {generation}",
                    entry.birth
                ));
            }
        }
    }
    if let Some(page) = tables.iter().find(|page| pages.contains_key(page)) {
        return Err(format!("table page {page} is named by a tree"));
    }
    let kinds = pages.into_iter();
    let kinds = kinds.map(|(page, ((level, _), _))| (page, if *level == 0 { 2 } else { 3 }));
    Ok(kinds.chain(tables.iter().map(|&page| (page, 6))).collect())
}

#[cfg(test)]
mod tests;
