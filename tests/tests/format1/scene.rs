//! A file of format 1 in use, and what it must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::DerefMut;
use std::rc::Rc;

use pagebox_core::changes::{Change, Changes};
use pagebox_core::checksum::xxh3;
use pagebox_core::finding::Finding;
use pagebox_core::format1::shape::deltas_len;
use pagebox_core::format1::{Error, File, Kind, Layout, Shape};
use pagebox_core::{Extent, Pin, ProtectedId};
use pagebox_store::{MemoryStore, PageBuffer, PageSize, PageStore};
use pagebox_tests::crash::{CrashStore, Moment, Reach, Record, Survivors};
use pagebox_tests::decode::{Image, Pages};
use pagebox_tests::decode1::{Numbers, State, decode};
use pagebox_tests::rng::Rng;

pub(crate) const UUID: [u8; 16] = *b"a uuid of a file";

/// Groups of 32 pages and nodes of four entries; 128 pages at most.
pub(crate) const TINY: Shape = small(PageSize::KIB_1, 5, 7);
/// Groups of 32 pages; 2048 pages at most.
pub(crate) const SMALL: Shape = small(PageSize::KIB_1, 5, 11);
/// Groups of 64 pages; 16,384 pages at most.
pub(crate) const MEDIUM: Shape = small(PageSize::KIB_1, 6, 14);
/// Pages in which a root slot is one page.
pub(crate) const WIDE: Shape = small(PageSize::KIB_4, 5, 11);
/// Root slots that are larger than their record.
pub(crate) const WIDER: Shape = small(PageSize::KIB_16, 5, 11);

const fn small(page_size: PageSize, group_log2: u32, number_bits: u32) -> Shape {
    Shape {
        page_size,
        fan_log2: 2,
        group_log2,
        number_bits,
        deltas_len: deltas_len(page_size),
    }
}

/// Bytes that records have for deltas, in tests: all; none, so that each commit
/// folds; one id and one page; and a few.
pub(crate) const DELTAS: [usize; 5] = [usize::MAX, 0, 48, 128, 400];

/// A page full of a byte.
pub(crate) fn page(shape: Shape, byte: u8) -> PageBuffer {
    PageBuffer::from(&vec![byte; shape.page_size.bytes()][..])
}

/// Writes pages full of a byte.
pub(crate) fn write(
    shape: Shape,
    ids: impl IntoIterator<Item = u64>,
    byte: u8,
) -> Changes<PageBuffer> {
    let mut changes = Changes::default();
    for id in ids {
        changes
            .protected
            .insert(ProtectedId(id), Change::Write(page(shape, byte)));
    }
    changes
}

/// The first byte of a protected page.
pub(crate) fn byte<S: PageStore>(file: &mut File, store: &S, id: u64) -> u8 {
    let mut bytes = vec![0; store.geometry().page_size.bytes()];
    file.read(store, ProtectedId(id), &mut bytes).unwrap();
    bytes[0]
}

/// Ids from 0 on, each with bytes, durable.
pub(crate) fn file_of(shape: Shape, count: u64) -> (MemoryStore, File) {
    let mut store = MemoryStore::new(shape.page_size);
    let mut file = File::create_shaped(&mut store, Layout::regular(shape), UUID, 0).unwrap();
    let mut changes = Changes::default();
    for id in 0..count {
        changes
            .protected
            .insert(ProtectedId(id), Change::New(Some(page(shape, 1))));
    }
    file.commit(&mut store, &changes).unwrap();
    (store, file)
}

/// The same layout with records that hold other deltas.
pub(crate) fn with_deltas(layout: Layout, len: usize) -> Layout {
    let shape = layout.shape();
    let deltas_len = len.min(deltas_len(shape.page_size));
    let shape = Shape {
        deltas_len,
        ..shape
    };
    Layout::new(shape, layout.homes()).expect("homes do not depend on it")
}

/// The layouts that tests go through, by seed. Large pages and groups take long,
/// and small ones have the same rules.
pub(crate) fn layout(seed: u64) -> Layout {
    let layout = layout_of(seed);
    if layout.shape() == WIDER {
        return layout;
    }
    // Each of the others gets each length.
    with_deltas(layout, DELTAS[((seed + seed / 16) % 5) as usize])
}

fn layout_of(seed: u64) -> Layout {
    match seed % 16 {
        1 | 9 => Layout::regular(MEDIUM),
        2 | 10 => Layout::regular(TINY),
        3 | 11 => Layout::regular(WIDE),
        5 | 13 => odd(SMALL),
        6 => Layout::regular(Shape::of(PageSize::KIB_1)),
        7 => Layout::regular(WIDER),
        _ => Layout::regular(SMALL),
    }
}

/// Homes of groups 0, 2 and 3 that are not at their place.
pub(crate) fn odd(shape: Shape) -> Layout {
    let group = shape.group_len();
    let homes = [group + 5, group, group + 20, shape.head() + 2];
    Layout::new(shape, homes).expect("they do not overlap")
}

/// The same for the independent reader.
pub(crate) fn numbers(shape: Shape) -> Numbers {
    Numbers {
        page: shape.page_size.bytes() as u64,
        fan: shape.fan() as u64,
        group: shape.group_len(),
        levels: shape.space_levels(),
    }
}

/// The guard of a medium with a file of this shape.
pub(crate) fn reach(shape: Shape) -> Reach {
    let numbers = numbers(shape);
    Rc::new(move |pages: &dyn Pages| match decode(pages, numbers) {
        Ok(state) => state.reached(&numbers),
        Err(error) => panic!("what is durable is no file: {error}"),
    })
}

/// What a file must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Model {
    /// Checksums of the bytes.
    pub(crate) protected: BTreeMap<u64, u128>,
    pub(crate) regular: BTreeSet<u64>,
    /// Names and what they stand for, oldest first.
    pub(crate) snapshots: Vec<(String, BTreeMap<u64, u128>)>,
}

impl Model {
    /// Whether a file is sound and holds this and nothing else, by the
    /// independent reader.
    pub(crate) fn is(&self, state: &State) -> Result<(), String> {
        let found: BTreeMap<u64, u128> = state
            .protected
            .iter()
            .map(|(&id, stored)| (id, stored.checksum))
            .collect();
        if found != self.protected {
            let all: BTreeSet<_> = found.keys().chain(self.protected.keys()).collect();
            let other = |id: &&&u64| found.get(id) != self.protected.get(id);
            let ids: Vec<_> = all.iter().filter(other).collect();
            return Err(format!(
                "generation {}, other ids {ids:?}",
                state.generation
            ));
        }
        if state.regular != self.regular {
            return Err(format!("regular pages {:?}", state.regular));
        }
        let shown = state.snapshots.iter().map(|snapshot| {
            let stored = snapshot.protected.iter();
            let sums = stored.map(|(&id, stored)| (id, stored.checksum));
            (snapshot.name.clone(), sums.collect())
        });
        let shown: Vec<_> = shown.collect();
        if shown != self.snapshots {
            let names: Vec<_> = shown.iter().map(|(name, _)| name).collect();
            return Err(format!("snapshots {names:?}, or what they show"));
        }
        Ok(())
    }
}

/// Reads all of a file through its verbs and compares it with what the
/// independent reader says.
pub(crate) fn agree<S: PageStore<Buffer: DerefMut<Target = [u8]>>>(
    file: &mut File,
    store: &S,
    state: &State,
) -> Result<(), String> {
    let text = |error: Error| error.to_string();
    let stats = file.stats();
    if (stats.generation, stats.page_count) != (state.generation, state.page_count) {
        return Err(format!("{stats:?}, not generation {}", state.generation));
    }
    let mut bytes = vec![0; store.geometry().page_size.bytes()];
    let mut next = 0;
    let mut seen = 0;
    loop {
        let some = file.protected(store, ProtectedId(next), 5).map_err(text)?;
        for &(id, location) in &some {
            let stored = state.protected.get(&id.0).ok_or("an id too many")?;
            let found = file.read(store, id, &mut bytes).map_err(text)?;
            if found != location
                || (location.page.unwrap_or(0), location.birth) != (stored.page, stored.birth)
                || xxh3(&bytes) != stored.checksum
            {
                return Err(format!("{id} is {location:?}, not {stored:?}"));
            }
            seen += 1;
        }
        match some.last() {
            Some((id, _)) => next = id.0 + 1,
            None => break,
        }
    }
    let data = state.all_data();
    let nodes = state.all_nodes();
    let used = state.used();
    if stats.used_pages != used {
        return Err(format!("{used} pages are used, not {}", stats.used_pages));
    }
    for page in 0..state.page_count {
        let expected = match page {
            _ if state.reserved.contains(&page) => Kind::Reserved,
            _ if data.contains(&page) => Kind::Protected,
            _ if nodes.contains(&page) => Kind::Node,
            _ if state.tables.contains(&page) => Kind::Snapshots,
            _ if state.regular.contains(&page) => Kind::Regular,
            _ => Kind::Free,
        };
        let found = file.kind(store, page).map_err(text)?;
        let is_held = (found, expected) == (Kind::Limbo, Kind::Free);
        if found != expected && !is_held {
            return Err(format!("page {page} is {expected:?}, not {found:?}"));
        }
    }
    if seen != state.protected.len() || stats.protected != seen as u64 {
        return Err(format!("{seen} protected pages"));
    }
    let mut regular = BTreeSet::new();
    let mut from = Some(0);
    while let Some(page) = from {
        let runs = file.runs(store, page).map_err(text)?;
        for run in runs.runs {
            regular.extend(run.first..run.first + run.count);
        }
        from = runs.next;
    }
    if regular != state.regular {
        return Err(format!(
            "regular pages {regular:?}, not {:?}",
            state.regular
        ));
    }
    let lowest = (0..=seen as u64)
        .find(|id| !state.protected.contains_key(id))
        .unwrap_or(0);
    match file.find_free_id(store, ProtectedId(0)) {
        Ok(id) if id.0 == lowest => {}
        Err(Error::NoFreeId { limit }) if limit == lowest => {}
        found => return Err(format!("lowest free id {lowest}, not {found:?}")),
    }
    Ok(())
}

/// What a check finds wrong with a file, part by part, and how many parts it had.
pub(crate) fn findings<S: PageStore>(file: &mut File, store: &S) -> (Vec<Finding>, usize) {
    let (mut found, mut parts) = (Vec::new(), 0);
    let mut next = Some(0);
    while let Some(cursor) = next {
        let part = file.check_part(store, cursor);
        assert!(part.next.is_none_or(|next| next > cursor), "{cursor}");
        assert!(part.done <= part.total);
        found.extend(part.findings);
        next = part.next;
        parts += 1;
    }
    (found, parts)
}

/// That a check finds nothing in a file, nor in its snapshots, each by its root.
pub(crate) fn expect_sound<S: PageStore>(
    file: &mut File,
    store: &S,
    shape: Shape,
) -> Result<(), String> {
    let text = |error: Error| error.to_string();
    let (found, _) = findings(file, store);
    if !found.is_empty() {
        return Err(format!("a check finds {found:#?}"));
    }
    for snapshot in file.snapshots(store).map_err(text)? {
        let root = file.root_of(store, &snapshot.name).map_err(text)?;
        let mut then = File::open_at_shaped(store, &root, Some(shape)).map_err(text)?;
        let (found, _) = findings(&mut then, store);
        if !found.is_empty() {
            let name = snapshot.name;
            return Err(format!("a check of snapshot {name} finds {found:#?}"));
        }
    }
    Ok(())
}

/// Reads all protected pages through the verbs, and compares them with what was
/// committed.
pub(crate) fn shows_protected<S: PageStore<Buffer: DerefMut<Target = [u8]>>>(
    file: &mut File,
    store: &S,
    model: &Model,
) -> Result<(), String> {
    let text = |error: Error| error.to_string();
    let mut bytes = vec![0; store.geometry().page_size.bytes()];
    let found = file.protected(store, ProtectedId(0), usize::MAX);
    let ids: Vec<u64> = found.map_err(text)?.iter().map(|(id, _)| id.0).collect();
    if !ids.iter().eq(model.protected.keys()) {
        return Err(format!("ids {ids:?}"));
    }
    for (&id, &sum) in &model.protected {
        file.read(store, ProtectedId(id), &mut bytes)
            .map_err(text)?;
        if xxh3(&bytes) != sum {
            return Err(format!("other bytes of {id}"));
        }
    }
    Ok(())
}

/// Reads all of a file through its verbs, and compares it with what was
/// committed, durable or not.
pub(crate) fn shows<S: PageStore<Buffer: DerefMut<Target = [u8]>>>(
    file: &mut File,
    store: &S,
    model: &Model,
) -> Result<(), String> {
    let text = |error: Error| error.to_string();
    shows_protected(file, store, model)?;
    for page in 0..file.stats().page_count {
        let is_regular = file.kind(store, page).map_err(text)? == Kind::Regular;
        if is_regular != model.regular.contains(&page) {
            return Err(format!("page {page} is not what was committed"));
        }
    }
    let count = model.protected.len() as u64;
    let mut all = 0..=count;
    let lowest = all
        .find(|id| !model.protected.contains_key(id))
        .unwrap_or(count);
    match file.find_free_id(store, ProtectedId(0)) {
        Ok(id) if id.0 == lowest => {}
        Err(Error::NoFreeId { limit }) if limit == lowest => {}
        found => return Err(format!("lowest free id {lowest:?}, not {found:?}")),
    }
    Ok(())
}

/// What was committed before a step, and what of it was durable.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    generation: u64,
    was_durable: u64,
    durable: Model,
    model: Model,
}

/// A new file around regular pages.
pub(crate) fn create_around<S: PageStore>(
    store: &mut S,
    shape: Shape,
    page_count: u64,
    regular: &BTreeSet<u64>,
) -> Result<File, Error> {
    let runs: Vec<Extent> = regular
        .iter()
        .map(|&first| Extent { first, count: 1 })
        .collect();
    File::create_around_shaped(store, shape, UUID, page_count, &runs)
}

/// Pages that another file may have as regular ones: some, most or all of some
/// part of the first four groups, and some where homes would lie.
pub(crate) fn regular_pages(shape: Shape, rng: &mut Rng) -> BTreeSet<u64> {
    let end = rng.between(shape.head(), 4 * shape.group_len());
    let density = *rng.pick(&[0, 20, 80, 99, 100]);
    let mut pages: BTreeSet<u64> = (shape.head()..end)
        .filter(|_| rng.chance(density, 100))
        .collect();
    let usual = Layout::regular(shape);
    for group in 0..4 {
        let home = usual.first(group) + rng.below(usual.homes_len(group));
        if rng.chance(1, 2) && home < end {
            pages.insert(home);
        }
    }
    pages
}

/// A state that somebody reads while commits go on.
#[derive(Debug)]
pub(crate) struct Viewed {
    pub(crate) file: File,
    pub(crate) pin: Pin,
    pub(crate) model: Model,
}

/// What was committed, and how, for people.
#[derive(Debug)]
pub(crate) struct Scene<S: PageStore<Buffer: DerefMut<Target = [u8]>>> {
    pub(crate) store: S,
    pub(crate) file: File,
    pub(crate) layout: Layout,
    pub(crate) model: Model,
    /// What of it is durable.
    pub(crate) durable: Model,
    /// How many of four commits may be deferred.
    pub(crate) defers: u64,
    /// How many views there are at most.
    pub(crate) views_max: usize,
    pub(crate) views: Vec<Viewed>,
    /// How many snapshots there are at most.
    pub(crate) snapshots_max: usize,
    /// How many of eight steps are of a compaction.
    pub(crate) compacts: u64,
    /// What one that goes on was asked for.
    target: u64,
    pub(crate) rng: Rng,
    pub(crate) log: Vec<String>,
}

impl<S: PageStore<Buffer: DerefMut<Target = [u8]>>> Scene<S> {
    /// A new file.
    pub(crate) fn new(store: S, layout: Layout, seed: u64) -> Self {
        let mut store = store;
        let file = File::create_shaped(&mut store, layout, UUID, 0).expect("the store is empty");
        Self {
            store,
            file,
            layout,
            model: Model::default(),
            durable: Model::default(),
            defers: 0,
            views_max: 0,
            views: Vec::new(),
            snapshots_max: 0,
            compacts: 0,
            target: 0,
            rng: Rng::new(seed),
            log: vec![format!("seed {seed}, {:?}", layout.shape())],
        }
    }

    /// A file around regular pages that were there before it, as an upgraded
    /// one is.
    pub(crate) fn around(store: S, layout: Layout, regular: BTreeSet<u64>, seed: u64) -> Self {
        let mut store = store;
        let file = create_around(&mut store, layout.shape(), 0, &regular);
        let model = Model {
            regular,
            ..Model::default()
        };
        Self {
            store,
            file: file.expect("there is room for the homes"),
            layout,
            durable: model.clone(),
            model,
            defers: 0,
            views_max: 0,
            views: Vec::new(),
            snapshots_max: 0,
            compacts: 0,
            target: 0,
            rng: Rng::new(seed),
            log: vec![format!("seed {seed}, {layout:?}")],
        }
    }

    /// What a crash left of a file, opened, to be written with other deltas.
    pub(crate) fn open(store: S, layout: Layout, model: &Model, seed: u64) -> Result<Self, Error> {
        let mut rng = Rng::new(seed);
        let layout = with_deltas(layout, *rng.pick(&DELTAS));
        let file = File::open_shaped(&store, layout.shape())?;
        Ok(Self {
            store,
            file,
            layout,
            model: model.clone(),
            durable: model.clone(),
            defers: 0,
            views_max: 0,
            views: Vec::new(),
            snapshots_max: 0,
            compacts: 0,
            target: 0,
            rng,
            log: vec![format!("opened, seed {seed}, {:?}", layout.shape())],
        })
    }

    /// As many ids as make records longer than a block, where they may be.
    pub(crate) fn lengthen_records(&mut self) {
        if self.layout.shape().deltas_len < 2 * 4096 {
            return;
        }
        let mut changes = Changes::default();
        let mut after = self.model.clone();
        let zeros = xxh3(&vec![0; self.layout.shape().page_size.bytes()]);
        for id in 200..300 {
            changes.protected.insert(ProtectedId(id), Change::New(None));
            after.protected.insert(id, zeros);
        }
        self.commit(&changes, after).expect("there is room");
    }

    /// Many pages, of which most are freed again.
    pub(crate) fn fill_and_empty(&mut self) {
        for keeps in [8, 3] {
            for _ in 0..6 {
                let (changes, after) = self.changes();
                self.commit(&changes, after).expect("it may be full");
            }
            let mut changes = Changes::default();
            let mut after = self.model.clone();
            for id in self.model.protected.keys().copied().collect::<Vec<_>>() {
                if self.rng.below(10) >= keeps {
                    changes.protected.insert(ProtectedId(id), Change::Free);
                    after.protected.remove(&id);
                }
            }
            if !changes.is_empty() {
                self.commit(&changes, after).expect("it frees");
            }
        }
    }

    /// A page of random bytes.
    pub(crate) fn buffer(&mut self) -> S::Buffer {
        let mut buffer = self.store.stage(None).expect("a buffer");
        self.rng.fill(&mut buffer);
        buffer
    }

    /// Some changes, and what the file must hold after them.
    pub(crate) fn changes(&mut self) -> (Changes<S::Buffer>, Model) {
        loop {
            let (changes, model) = self.any_changes();
            if !changes.is_empty() {
                return (changes, model);
            }
        }
    }

    fn any_changes(&mut self) -> (Changes<S::Buffer>, Model) {
        let mut changes = Changes::default();
        let mut model = self.model.clone();
        let shape = self.layout.shape();
        let ids: Vec<u64> = model.protected.keys().copied().collect();
        let mut untouched = ids;
        // Some files grow, some stay small.
        let many = if self.rng.chance(1, 12) { 40 } else { 4 };
        let shrinks = untouched.len() + model.regular.len() > 90 && self.rng.chance(2, 3);
        if !shrinks && self.rng.chance(2, 3) {
            let mut from = match self.rng.below(16) {
                0 => self.rng.below(shape.id_limit().min(1 << 20)),
                _ => 0,
            };
            for _ in 0..self.rng.between(1, many) {
                let Ok(id) = self.file.find_free_id(&self.store, ProtectedId(from)) else {
                    break;
                };
                let bytes = (!self.rng.chance(1, 6)).then(|| self.buffer());
                let sum = match &bytes {
                    Some(bytes) => xxh3(bytes),
                    None => xxh3(&vec![0; shape.page_size.bytes()]),
                };
                model.protected.insert(id.0, sum);
                changes.protected.insert(id, Change::New(bytes));
                from = id.0 + 1;
            }
        }
        if self.rng.chance(1, 2) && !untouched.is_empty() {
            for _ in 0..self.rng.between(1, many.min(untouched.len() as u64)) {
                let at = self.rng.below(untouched.len() as u64) as usize;
                let id = untouched.swap_remove(at);
                let bytes = self.buffer();
                model.protected.insert(id, xxh3(&bytes));
                changes
                    .protected
                    .insert(ProtectedId(id), Change::Write(bytes));
            }
        }
        if (shrinks || self.rng.chance(1, 3)) && !untouched.is_empty() {
            let most = if shrinks { 30 } else { many };
            for _ in 0..self.rng.between(1, most.min(untouched.len() as u64)) {
                let at = self.rng.below(untouched.len() as u64) as usize;
                let id = untouched.swap_remove(at);
                model.protected.remove(&id);
                changes.protected.insert(ProtectedId(id), Change::Free);
            }
        }
        let regular: Vec<u64> = model.regular.iter().copied().collect();
        if !shrinks && self.rng.chance(1, 4) {
            let mut from = 0;
            for _ in 0..self.rng.between(1, many) {
                let Ok(page) = self.file.find_free(&self.store, from) else {
                    break;
                };
                changes.allocated.insert(page);
                model.regular.insert(page);
                from = page + 1;
            }
        }
        if self.rng.chance(1, 5) && !regular.is_empty() {
            for page in self.rng.pick_some(&regular, 8) {
                changes.freed.insert(page);
                model.regular.remove(&page);
            }
        }
        (changes, model)
    }

    /// Commits changes; a store that is full refuses them, and nothing changes.
    pub(crate) fn commit(
        &mut self,
        changes: &Changes<S::Buffer>,
        after: Model,
    ) -> Result<(), Error> {
        let mut log = words(changes);
        let before = self.file.stats();
        let done = if self.defers > 0 && self.rng.below(4) < self.defers {
            log += ", deferred";
            self.file.commit_deferred(&mut self.store, changes)
        } else {
            self.file.commit(&mut self.store, changes)
        };
        self.log.push(log);
        if self.file.stats().durable > before.durable {
            self.durable.clone_from(&self.model);
        }
        match done {
            Ok(info) => {
                if info.durable == info.generation {
                    self.durable.clone_from(&after);
                }
                self.model = after;
            }
            Err(Error::Full { .. }) => self.log.push("full".into()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What may be there of a step that began with this, until it is done.
    pub(crate) fn legal<'a>(&'a self, before: &'a Before) -> Vec<&'a Model> {
        let Before {
            generation,
            durable,
            model,
            was_durable,
        } = before;
        let now = self.file.stats().durable;
        if now == *was_durable {
            vec![durable]
        } else if now == *generation {
            vec![durable, model]
        } else {
            vec![durable, model, &self.model]
        }
    }

    /// This moment, before a step.
    pub(crate) fn before(&self) -> Before {
        let stats = self.file.stats();
        Before {
            generation: stats.generation,
            was_durable: stats.durable,
            durable: self.durable.clone(),
            model: self.model.clone(),
        }
    }

    /// Commits something that changes something. Views come and go before it, and
    /// show what they showed after it.
    pub(crate) fn step(&mut self) -> Result<(), Error> {
        self.change_views()?;
        if self.compacts > 0 && self.rng.below(8) < self.compacts {
            self.compact()?;
        } else if self.snapshots_max == 0 || !self.rng.chance(1, 3) {
            let (changes, after) = self.changes();
            self.commit(&changes, after)?;
        } else {
            self.change_snapshots()?;
        }
        self.check_views();
        Ok(())
    }

    /// A step of making the file shorter.
    fn compact(&mut self) -> Result<(), Error> {
        let before = self.file.stats();
        if self.rng.chance(1, 4) {
            self.target = *self.rng.pick(&[0, 0, before.page_count * 2 / 3]);
        }
        let limit = *self.rng.pick(&[1, 2, 3, 8, 40]);
        let done = self.file.compact(&mut self.store, self.target, limit);
        self.log
            .push(format!("compact to {}: {done:?}", self.target));
        if self.file.stats().durable >= before.generation {
            self.durable.clone_from(&self.model);
        }
        let done = done?;
        assert!(done.page_count <= before.page_count);
        assert_eq!(done.page_count, self.file.stats().page_count);
        Ok(())
    }

    /// Takes a snapshot, drops one, or goes back to one: a durable commit.
    fn change_snapshots(&mut self) -> Result<(), Error> {
        let mut after = self.model.clone();
        let count = after.snapshots.len();
        let is_full = count >= self.snapshots_max;
        let at = self.rng.below(count.max(1) as u64) as usize;
        let before = self.file.stats();
        let done = if count > 0 && (is_full || self.rng.chance(1, 4)) {
            let (name, _) = after.snapshots.remove(at);
            self.log.push(format!("drop {name}"));
            self.file.delete_snapshot(&mut self.store, &name).map(drop)
        } else if count > 0 && self.rng.chance(1, 3) {
            let (name, protected) = after.snapshots[at].clone();
            after.protected = protected;
            self.log.push(format!("back to {name}"));
            self.file.restore(&mut self.store, &name).map(drop)
        } else {
            // A restored file may be of the same generation again.
            let mut name = before.generation.to_string();
            while after.snapshots.iter().any(|(other, _)| *other == name) {
                name.push('b');
            }
            after
                .snapshots
                .push((name.clone(), after.protected.clone()));
            self.log.push(format!("take {name}"));
            self.file
                .create_snapshot(&mut self.store, &name, 0)
                .map(drop)
        };
        if self.file.stats().durable > before.durable {
            self.durable.clone_from(&self.model);
        }
        match done {
            Ok(()) => {
                self.durable.clone_from(&after);
                self.model = after;
                self.check_snapshots();
            }
            Err(Error::Full { .. }) => self.log.push("full".into()),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Each snapshot shows what was committed when it was taken, and a check finds
    /// nothing wrong.
    pub(crate) fn check_snapshots(&mut self) {
        for (name, protected) in &self.model.snapshots {
            let model = Model {
                protected: protected.clone(),
                ..Model::default()
            };
            let root = self.file.root_of(&self.store, name);
            let root = root.unwrap_or_else(|error| panic!("{error}: {:#?}", self.log));
            let shape = Some(self.layout.shape());
            let file = File::open_at_shaped(&self.store, &root, shape);
            let mut file = file.unwrap_or_else(|error| panic!("{error}: {:#?}", self.log));
            let shown = shows_protected(&mut file, &self.store, &model);
            shown.unwrap_or_else(|error| panic!("snapshot {name} shows {error}: {:#?}", self.log));
            assert_eq!(file.stats().protected, protected.len() as u64);
        }
    }

    /// Takes a view, or drops one.
    pub(crate) fn change_views(&mut self) -> Result<(), Error> {
        if self.views_max == 0 {
            return Ok(());
        }
        let is_full = self.views.len() >= self.views_max;
        if !self.views.is_empty() && (is_full || self.rng.chance(1, 5)) {
            // Often not the oldest.
            let at = self.rng.below(self.views.len() as u64) as usize;
            let gone = self.views.swap_remove(at);
            self.log
                .push(format!("view {} gone", gone.pin.generation()));
        } else if self.rng.chance(1, 2) {
            let (file, pin) = self.file.view()?;
            self.log.push(format!("view {}", pin.generation()));
            let model = self.model.clone();
            self.views.push(Viewed { file, pin, model });
        }
        Ok(())
    }

    /// Each view shows what was committed when it was made: by its own nodes, and
    /// by its root alone.
    pub(crate) fn check_views(&mut self) {
        for view in &mut self.views {
            let root = view.file.root();
            let shape = Some(self.layout.shape());
            let anew = File::open_at_shaped(&self.store, &root, shape);
            let mut anew = anew.unwrap_or_else(|error| panic!("{error}: {:#?}", self.log));
            for file in [&mut view.file, &mut anew] {
                let shown = shows_protected(file, &self.store, &view.model);
                let generation = view.pin.generation();
                shown.unwrap_or_else(|error| {
                    panic!("view {generation} shows {error}: {:#?}", self.log)
                });
            }
        }
    }

    /// The process that had the file open is gone, and its views with it.
    pub(crate) fn replace_file(&mut self, file: File) {
        self.file = file;
        self.views.clear();
    }
}

impl Scene<CrashStore> {
    /// A new file on a medium that can crash.
    pub(crate) fn on_crash_store(layout: Layout, seed: u64) -> Self {
        let scene = Self::new(CrashStore::new(layout.shape().page_size), layout, seed);
        scene.store.guard(&reach(layout.shape()));
        scene
    }

    /// A step, of which the store notes the moments. What was there before it.
    pub(crate) fn recorded_step(&mut self, record: Record) -> Before {
        let before = self.before();
        self.store.record(record);
        let done = self.step();
        done.unwrap_or_else(|error| panic!("{error}: {:#?}", self.log));
        self.store.record(Record::Nothing);
        before
    }

    pub(crate) fn fail(&self, moment: &Moment, survivors: &Survivors, error: &dyn Display) -> ! {
        let log = self.log.join("\n  ");
        let during = moment.during;
        panic!("{error}\nafter a crash during {during}; {survivors}\nafter\n  {log}");
    }
}

fn words<B>(changes: &Changes<B>) -> String {
    let mut words = Vec::new();
    for (id, change) in &changes.protected {
        words.push(match change {
            Change::New(None) => format!("zeros {id}"),
            Change::New(Some(_)) => format!("new {id}"),
            Change::Write(_) => format!("write {id}"),
            Change::Free => format!("free {id}"),
            Change::Copy(_) => format!("copy {id}"),
        });
    }
    words.extend(changes.allocated.iter().map(|page| format!("+{page}")));
    words.extend(changes.freed.iter().map(|page| format!("-{page}")));
    words.join(", ")
}

/// The file as the independent reader sees it.
pub(crate) fn state_of(store: &MemoryStore, shape: Shape) -> Result<State, String> {
    let image = Image {
        bytes: store.bytes(),
        page_size: shape.page_size.bytes(),
    };
    decode(&image, numbers(shape))
}

/// Which of the legal models a medium shows: by the independent reader, and by
/// the verbs. Both must agree.
pub(crate) fn find<'a>(
    store: &CrashStore,
    layout: Layout,
    legal: &[&'a Model],
) -> Result<(&'a Model, State), String> {
    let state = decode(&*store.pages(), numbers(layout.shape()))?;
    let mut errors = Vec::new();
    for &model in legal {
        match model.is(&state) {
            Ok(()) => {
                let mut file =
                    File::open_shaped(store, layout.shape()).map_err(|error| error.to_string())?;
                agree(&mut file, store, &state)?;
                return Ok((model, state));
            }
            Err(error) => errors.push(error),
        }
    }
    Err(format!("no legal state: {}", errors.join("; ")))
}
