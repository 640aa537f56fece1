//! An independent reader of format 1: what a file says, read plainly.
//!
//! Written from the format's description, not from the code under test, and an
//! oracle for it. It reads all that the root reaches and compares it with what
//! the leaves of SPACE say of every page, so it is slow, and strict.

mod snapshots;

use std::collections::{BTreeMap, BTreeSet};

use xxhash_rust::xxh3::xxh3_128;

pub use self::snapshots::Snapshot;
use crate::decode::Pages;

/// The numbers that follow from the page size; small ones for small files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// Bytes of a page.
    pub page: u64,
    /// Entries of a node.
    pub fan: u64,
    /// Pages of a group.
    pub group: u64,
    /// The highest level of SPACE.
    pub levels: u32,
}

impl Numbers {
    /// Bytes of the header and of each root slot.
    pub fn unit(&self) -> u64 {
        self.page.max(4096)
    }

    /// Pages of the header and the slots.
    pub fn head(&self) -> u64 {
        3 * self.unit() / self.page
    }
}

/// A root record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its blocks.
    pub blocks: Vec<u8>,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Root {
    fn number(&self, at: usize) -> u64 {
        u64_at(&self.payload, at)
    }

    /// The commit that wrote it.
    pub fn generation(&self) -> u64 {
        self.number(32)
    }

    /// What the record says of changes since its trees were written.
    ///
    /// # Errors
    /// What cannot be about them, in words.
    pub fn deltas(&self) -> Result<Deltas, String> {
        let payload = &self.payload;
        let count = |at: usize| u32::from_le_bytes(payload[at..at + 4].try_into().expect("four"));
        let ids_end = 256 + 40 * u64::from(count(96));
        let end = ids_end + 8 * u64::from(count(100));
        if end > payload.len() as u64 {
            return Err("more deltas than the record has room for".into());
        }
        let mut deltas = Deltas::default();
        for delta in payload[256..ids_end as usize].chunks(40) {
            let id = u64_at(delta, 0);
            if deltas.ids.keys().any(|&before| before >= id) {
                return Err(format!("the delta of {id} is not in order"));
            }
            deltas.ids.insert(id, entry(&delta[8..])?);
        }
        for delta in payload[ids_end as usize..end as usize].chunks(8) {
            let word = u64_at(delta, 0);
            let (page, kind) = (word & 0xFFFF_FFFF_FFFF, word >> 48);
            if kind > 1 || deltas.regular.insert(page, kind == 1).is_some() {
                return Err(format!("the delta of page {page} is {word:#x}"));
            }
        }
        if payload[end as usize..].iter().any(|&byte| byte != 0) {
            return Err("bytes after the deltas".into());
        }
        Ok(deltas)
    }
}

/// What is stored for a protected id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The page; 0: zeros.
    pub page: u64,
    /// The generation that wrote it.
    pub birth: u64,
    /// Of its bytes; that of a page of zeros for zeros.
    pub checksum: u128,
}

/// What changed since the trees were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deltas {
    /// What ids name now; none: freed.
    ids: BTreeMap<u64, Option<Entry>>,
    /// Whether pages are regular now.
    regular: BTreeMap<u64, bool>,
}

impl Deltas {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.ids.len() + self.regular.len()
    }
}

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Of the root that counts.
    pub generation: u64,
    /// Pages that the file accounts for.
    pub page_count: u64,
    /// Protected pages.
    pub protected: BTreeMap<u64, Stored>,
    /// Regular pages.
    pub regular: BTreeSet<u64>,
    /// Pages of the nodes of MAP, as it is now.
    pub nodes: BTreeSet<u64>,
    /// What is kept of times before, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Pages of the table of snapshots.
    pub tables: BTreeSet<u64>,
    /// Pages of homes that count.
    pub homes: BTreeSet<u64>,
    /// Whether both slots hold this root.
    pub is_acknowledged: bool,
    /// The slot that the root stands in.
    pub slot: u64,
    /// Heights of MAP and SPACE.
    pub heights: [u8; 2],
    /// Pages that may never be handed out or named.
    pub reserved: BTreeSet<u64>,
    /// What changed since the trees were written.
    pub deltas: Deltas,
}

impl State {
    /// Pages that must not be written while this is the durable state.
    pub fn reached(&self, numbers: &Numbers) -> BTreeSet<u64> {
        let unit = numbers.head() / 3;
        let slot = (1 + self.slot) * unit;
        let mut pages: BTreeSet<u64> = (0..unit).collect();
        if !self.is_acknowledged {
            pages.extend(slot..slot + unit);
        }
        pages.extend(self.all_data());
        pages.extend(self.all_nodes());
        pages.extend(&self.tables);
        pages.extend(&self.regular);
        pages.extend(&self.homes);
        pages
    }

    /// Pages of what is stored for protected ids, now or in a snapshot.
    pub fn all_data(&self) -> BTreeSet<u64> {
        let kept = self.snapshots.iter().map(|snapshot| &snapshot.protected);
        let all = kept.chain([&self.protected]).flat_map(BTreeMap::values);
        let pages = all.map(|stored| stored.page);
        pages.filter(|&page| page != 0).collect()
    }

    /// Pages of the nodes of MAP, as it is now or in a snapshot.
    pub fn all_nodes(&self) -> BTreeSet<u64> {
        let kept = self.snapshots.iter().map(|snapshot| &snapshot.nodes);
        kept.chain([&self.nodes]).flatten().copied().collect()
    }

    /// How many pages are used.
    pub fn used(&self) -> u64 {
        let named = self.all_data().len() + self.all_nodes().len();
        (named + self.tables.len() + self.regular.len()) as u64
    }
}

/// Reads the file.
///
/// # Errors
/// What is wrong with it, in words.
pub fn decode(pages: &dyn Pages, numbers: Numbers) -> Result<State, String> {
    let unit = numbers.unit();
    let header = bytes_at(pages, 0, 512)?;
    let sound = is_header(&header, numbers);
    let slots: Vec<Option<Root>> = (1..=2)
        .map(|number| {
            let slot = bytes_at(pages, number * unit, unit).ok()?;
            let root = root(&slot)?;
            let agrees = root.payload[112..160] == header[16..64] && root.payload[88] == header[8];
            (!sound || agrees).then_some(root)
        })
        .collect();
    let mut ranked: Vec<(u64, &Root)> = (0..)
        .zip(&slots)
        .filter_map(|(n, root)| Some((n, root.as_ref()?)))
        .collect();
    ranked.sort_by_key(|(_, root)| std::cmp::Reverse(root.generation()));
    let mut errors = Vec::new();
    let is_acknowledged = slots[0].is_some()
        && slots[0].as_ref().map(|root| &root.blocks) == slots[1].as_ref().map(|root| &root.blocks);
    if let [(_, a), (_, b)] = ranked[..]
        && a.generation() == b.generation()
        && !is_acknowledged
    {
        return Err("two records of one generation".into());
    }
    for (slot, root) in ranked {
        let reader = Reader {
            pages,
            numbers,
            root,
            homes: std::array::from_fn(|group| root.number(128 + 8 * group)),
        };
        match reader.read() {
            Ok(state) => {
                return Ok(State {
                    is_acknowledged,
                    slot,
                    ..state
                });
            }
            Err(error) if is_acknowledged => return Err(error),
            Err(error) => errors.push(error),
        }
    }
    Err(format!("no root counts: {}", errors.join("; ")))
}

/// Whether these bytes, 512 or more, begin with a header of this page size.
pub fn is_header(bytes: &[u8], numbers: Numbers) -> bool {
    bytes[..4] == *b"PBOX"
        && bytes[4] == 1
        && u128_at(bytes, 496) == xxh3_128(&bytes[..496])
        && bytes[8] < 64
        && 1 << bytes[8] == numbers.page
}

/// A valid record at the start of these bytes.
pub fn root(slot: &[u8]) -> Option<Root> {
    if slot[..8] != *b"PBOXROOT" {
        return None;
    }
    let length = usize::try_from(u64_at(slot, 8)).ok()?;
    let sectors = length / 504;
    if length == 0 || !length.is_multiple_of(4032) || sectors * 512 > slot.len() {
        return None;
    }
    let blocks = slot[..sectors * 512].to_vec();
    let mut payload = Vec::with_capacity(length);
    for sector in blocks.chunks(512) {
        payload.extend_from_slice(&sector[..504]);
    }
    let generation = u64_at(&payload, 32);
    let stamped = blocks
        .chunks(512)
        .all(|sector| u64_at(sector, 504) == generation);
    let summed = u128_at(&payload, 16) == xxh3_128(&payload[32..]);
    (stamped && summed).then_some(Root { blocks, payload })
}

struct Reader<'a> {
    pages: &'a dyn Pages,
    numbers: Numbers,
    root: &'a Root,
    homes: [u64; 4],
}

/// MAP at one time.
#[derive(Clone, Debug, Default)]
struct Tree {
    /// What is stored for ids.
    protected: BTreeMap<u64, Stored>,
    /// Pages of nodes.
    nodes: BTreeSet<u64>,
    /// The entries that are there, by level and index.
    entries: BTreeMap<(u32, u64), Entry>,
    /// What the base says of ids that changed since. Their pages may be free, and
    /// others' by now.
    replaced: BTreeMap<u64, Entry>,
}

/// An entry that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    number: u64,
    full: bool,
    side: u64,
    birth: u64,
    checksum: u128,
}

impl Reader<'_> {
    fn read(&self) -> Result<State, String> {
        let page_count = self.root.number(56);
        if page_count > self.pages.page_count() {
            return Err(format!("{page_count} pages, and the file is shorter"));
        }
        let reserved = self.reserved(page_count);
        let heights = [self.root.payload[89], self.root.payload[90]];
        let mut state = State {
            generation: self.root.generation(),
            page_count,
            protected: BTreeMap::new(),
            regular: BTreeSet::new(),
            nodes: BTreeSet::new(),
            snapshots: Vec::new(),
            tables: BTreeSet::new(),
            homes: BTreeSet::new(),
            is_acknowledged: false,
            slot: 0,
            heights,
            reserved,
            deltas: self.root.deltas()?,
        };
        // More than the numbers of pages and ids have bits.
        if heights
            .iter()
            .any(|&height| u32::from(height) * self.numbers.fan.ilog2() > 62)
        {
            return Err(format!("trees of heights {heights:?}"));
        }
        let youngest = self.root.number(40);
        if heights[0] == 0 || youngest > state.generation {
            return Err("no MAP, or a base that is younger than the root".into());
        }
        let mut now = Tree::default();
        let map = entry(&self.root.payload[160..192])?;
        let root_at = (u32::from(heights[0]), 0);
        self.map(&mut now, &state.deltas.ids, root_at, map, youngest)?;
        let space = entry(&self.root.payload[192..224])?;
        let mut kinds = BTreeMap::new();
        self.space(
            &mut state,
            &mut kinds,
            u32::from(heights[1]),
            0,
            space,
            youngest,
        )?;
        let table = self.table(&state.reserved)?;
        let kept = self.kept(&table.rows)?;

        let newest = table.rows.last().map_or(0, |row| row.generation);
        self.replay(&state, &mut now, newest, &mut kinds)?;
        if self.root.number(72) != now.protected.len() as u64 {
            return Err("the root counts other protected ids".into());
        }
        let times = table.rows.iter().map(|row| row.generation).zip(&kept);
        let times: Vec<_> = times.chain([(state.generation, &now)]).collect();
        let named = snapshots::named_by_all(&times, &table.pages)?;
        if let Some(page) = named.keys().find(|page| state.reserved.contains(page)) {
            return Err(format!("page {page} is reserved, and named"));
        }
        for page in 0..page_count {
            let expected = match page {
                _ if state.reserved.contains(&page) => 5,
                _ => named.get(&page).copied().unwrap_or(0),
            };
            let found = kinds
                .get(&page)
                .copied()
                .unwrap_or(if expected == 5 { 5 } else { 0 });
            match found {
                1 if expected == 0 => {
                    state.regular.insert(page);
                }
                _ if found == expected => {}
                _ => return Err(format!("page {page} is {expected}, its leaf says {found}")),
            }
        }
        state.protected = now.protected;
        state.nodes = now.nodes;
        let snapshots = table.rows.into_iter().zip(kept);
        state.snapshots = snapshots.map(|(row, tree)| row.shows(tree)).collect();
        state.tables = table.pages;
        if self.root.number(64) != state.used() {
            return Err(format!(
                "{} used pages, and {} are",
                self.root.number(64),
                state.used()
            ));
        }
        Ok(state)
    }

    /// The state from that of the last fold.
    fn replay(
        &self,
        state: &State,
        now: &mut Tree,
        newest_snapshot: u64,
        kinds: &mut BTreeMap<u64, u8>,
    ) -> Result<(), String> {
        let Deltas { ids, regular } = &state.deltas;
        let with_page = now.replaced.values().filter(|entry| entry.number != 0);
        for Entry { number, birth, .. } in with_page {
            if kinds.get(number) != Some(&2) {
                return Err(format!("page {number} was not that of a protected one"));
            }
            // Else it is the newest snapshot's, too.
            if *birth > newest_snapshot {
                kinds.insert(*number, 0);
            }
        }
        for (&id, entry) in ids {
            let Some(entry) = entry else { continue };
            if entry.birth <= self.root.number(40) {
                return Err(format!("the delta of {id} is older than the trees"));
            }
            self.stored(now, id, entry, state.generation)?;
            if entry.number == 0 {
                continue;
            }
            let given_up = regular.get(&entry.number) == Some(&false);
            match kinds.insert(entry.number, 2).unwrap_or(0) {
                0 => {}
                1 if given_up => {}
                kind => return Err(format!("the page of {id} is of kind {kind}")),
            }
        }
        for (&page, &is_regular) in regular {
            let kind = kinds.get(&page).copied().unwrap_or(0);
            match (is_regular, kind) {
                (true, 0 | 1) => drop(kinds.insert(page, 1)),
                (true, _) => return Err(format!("page {page} is regular, and of kind {kind}")),
                (false, 1) => drop(kinds.insert(page, 0)),
                (false, _) => {}
            }
        }
        Ok(())
    }

    /// The bytes that an entry names, checked.
    fn named(&self, page: u64, entry: &Entry) -> Result<&[u8], String> {
        if page >= self.root.number(56) {
            return Err(format!("page {page} is past the page count"));
        }
        let bytes = self.pages.page(page);
        if xxh3_128(bytes) == entry.checksum {
            Ok(bytes)
        } else {
            Err(format!("page {page} fails its checksum"))
        }
    }

    /// What MAP says below an entry, but for ids that changed since.
    fn map(
        &self,
        tree: &mut Tree,
        changed: &BTreeMap<u64, Option<Entry>>,
        (level, index): (u32, u64),
        entry: Option<Entry>,
        youngest: u64,
    ) -> Result<(), String> {
        let Some(entry) = entry else { return Ok(()) };
        if level == 0 && changed.contains_key(&index) {
            tree.replaced.insert(index, entry);
            return Ok(());
        }
        if level == 0 {
            return self.stored(tree, index, &entry, youngest);
        }
        if entry.birth > youngest || entry.birth == 0 || entry.side != 0 {
            return Err(format!("MAP entry ({level}, {index})"));
        }
        let node = self.named(entry.number, &entry)?;
        if !tree.nodes.insert(entry.number) {
            return Err(format!("node {} is named twice", entry.number));
        }
        tree.entries.insert((level, index), entry);
        let children = self.children(node)?;
        if children.iter().all(Option::is_none) {
            return Err(format!("node {} is empty", entry.number));
        }
        if entry.full
            != children
                .iter()
                .all(|child| child.is_some_and(|child| child.full))
        {
            return Err(format!("node {} is full or not", entry.number));
        }
        for (child, below) in (index * self.numbers.fan..).zip(children) {
            self.map(tree, changed, (level - 1, child), below, entry.birth)?;
        }
        Ok(())
    }

    /// What an entry stores for an id.
    fn stored(&self, tree: &mut Tree, id: u64, entry: &Entry, youngest: u64) -> Result<(), String> {
        if entry.birth > youngest || entry.birth == 0 || entry.side != 0 || !entry.full {
            return Err(format!("the entry of {id}"));
        }
        let checksum = if entry.number == 0 {
            let zeros = vec![0; self.numbers.page as usize];
            if entry.checksum != 0 {
                return Err(format!("zeros of {id} have a checksum"));
            }
            xxh3_128(&zeros)
        } else {
            self.named(entry.number, entry)?;
            entry.checksum
        };
        let stored = Stored {
            page: entry.number,
            birth: entry.birth,
            checksum,
        };
        tree.protected.insert(id, stored);
        tree.entries.insert((0, id), *entry);
        Ok(())
    }

    fn space(
        &self,
        state: &mut State,
        kinds: &mut BTreeMap<u64, u8>,
        level: u32,
        index: u64,
        entry: Option<Entry>,
        youngest: u64,
    ) -> Result<(), String> {
        let Some(entry) = entry else { return Ok(()) };
        let group = index * self.numbers.fan.pow(level);
        let page = self.first(group) + 2 * u64::from(level) + entry.side;
        if entry.birth > youngest {
            return Err(format!("SPACE entry ({level}, {index})"));
        }
        let bytes = self.named(page, &entry)?;
        state.homes.insert(page);
        let (used, full) = if level == 0 {
            let mut used = 0;
            let mut full = true;
            for place in 0..self.numbers.group {
                let nibble = bytes[place as usize / 2] >> (4 * (place % 2)) & 15;
                // Limbo is read as free. Of what is free the reserved pages have
                // their place below.
                if ![0, 4].contains(&nibble) {
                    kinds.insert(group * self.numbers.group + place, nibble);
                }
                used += u64::from(![0, 4, 5].contains(&nibble));
                full &= ![0, 4].contains(&nibble);
            }
            // A leaf that says nothing of a reserved page says that it is free.
            let start = group * self.numbers.group;
            for &page in state.reserved.range(start..start + self.numbers.group) {
                kinds.entry(page).or_insert(0);
            }
            (used, full)
        } else {
            let children = self.children(bytes)?;
            for (child, below) in (index * self.numbers.fan..).zip(&children) {
                self.space(state, kinds, level - 1, child, *below, entry.birth)?;
            }
            let used = children.iter().flatten().map(|child| child.number).sum();
            (
                used,
                children
                    .iter()
                    .all(|child| child.is_some_and(|child| child.full)),
            )
        };
        if (used, full) == (entry.number, entry.full) {
            Ok(())
        } else {
            Err(format!("SPACE entry ({level}, {index}) counts wrong"))
        }
    }

    fn children(&self, node: &[u8]) -> Result<Vec<Option<Entry>>, String> {
        node.chunks(32)
            .take(self.numbers.fan as usize)
            .map(entry)
            .collect()
    }

    /// Levels of the homes of a group: how often the fan divides it.
    fn levels(&self, group: u64) -> u32 {
        let mut levels = 0;
        let mut rest = group;
        while levels < self.numbers.levels && rest.is_multiple_of(self.numbers.fan) {
            rest /= self.numbers.fan;
            levels += 1;
        }
        levels
    }

    fn regular_place(&self, group: u64) -> u64 {
        group * self.numbers.group + if group == 0 { self.numbers.head() } else { 0 }
    }

    fn first(&self, group: u64) -> u64 {
        match self.homes.get(group as usize) {
            Some(&first) => first,
            None => self.regular_place(group),
        }
    }

    fn reserved(&self, page_count: u64) -> BTreeSet<u64> {
        let mut pages: BTreeSet<u64> = (0..self.numbers.head()).collect();
        for group in 0..page_count.div_ceil(self.numbers.group).max(4) {
            let first = self.first(group);
            let exists = group * self.numbers.group < page_count;
            if exists || first != self.regular_place(group) {
                pages.extend(first..first + 2 * (1 + u64::from(self.levels(group))));
            }
        }
        pages
    }
}

fn entry(bytes: &[u8]) -> Result<Option<Entry>, String> {
    let word = u64_at(bytes, 0);
    if bytes.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    if word >> 48 & 1 == 0 || word >> 51 != 0 {
        return Err(format!("{word:#x} begins no entry"));
    }
    Ok(Some(Entry {
        number: word & 0xFFFF_FFFF_FFFF,
        full: word >> 49 & 1 == 1,
        side: word >> 50 & 1,
        birth: u64_at(bytes, 8),
        checksum: u128_at(bytes, 16),
    }))
}

fn bytes_at(pages: &dyn Pages, at: u64, len: u64) -> Result<Vec<u8>, String> {
    let page = pages.page_size() as u64;
    let mut bytes = Vec::new();
    for number in at / page..(at + len).div_ceil(page) {
        if number >= pages.page_count() {
            return Err("the file is too short".into());
        }
        bytes.extend_from_slice(pages.page(number));
    }
    let start = (at % page) as usize;
    Ok(bytes[start..start + len as usize].to_vec())
}

/// Eight bytes of a file, as a number.
pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

fn u128_at(bytes: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(bytes[at..at + 16].try_into().expect("sixteen bytes"))
}
