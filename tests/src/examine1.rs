//! [`examine`]: does everything that can be done with a file of format 1,
//! whatever is in it. Nothing may panic, take longer than the file's bytes
//! account for, write to a page that is the file's own or in use, or say
//! different things in different places.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use pagebox_core::finding::{Finding, Severity};
use pagebox_core::inspect::Inspector;
use pagebox_core::repair::mend;
use pagebox_core::{Access, Error, Extent, Pager, ProtectedId};
use pagebox_store::PageStore;

use crate::counting::{Counter, CountingStore};
use crate::decode::Pages;
use crate::decode1::{Numbers, decode, is_header, root, u64_at};
use crate::shown::numbers;
use crate::sparse::SparseStore;

/// Ids and runs that are asked for at once.
const PART: usize = 100;

/// Of each list so much is looked at.
const LISTED: usize = 300;

/// What the independent reader says of a page that a snapshot should have.
const OLDER_THAN_ITS_SNAPSHOT: &str = ", and not in the snapshot of";

/// A file of so many pages is read by the independent reader too.
const READ_PLAINLY: u64 = 10_000;

/// What a file is.
#[derive(Clone, Debug)]
pub struct Examined {
    /// Opening it to read.
    pub read: Result<Shown, Error>,
    /// Opening it to write.
    pub write: Result<Shown, Error>,
    /// How many findings of the check are damage.
    pub errors: usize,
    /// What recovery decided, in a word.
    pub verdict: &'static str,
    /// What repair made of a copy.
    pub repaired: Result<SparseStore, Error>,
}

/// What a pager showed: the first of each list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Runs of regular pages, if they could be listed.
    pub regular: Option<Vec<Extent>>,
    /// Protected pages, if they could be listed: whether each verified.
    pub protected: Option<BTreeMap<u64, bool>>,
}

/// What a store may be asked for: as much as its bytes account for.
struct Budget<'a> {
    counter: &'a Counter,
    pages: u64,
}

impl Budget<'_> {
    /// What was asked for since the last time is not more than so often each
    /// page that there is, and so much besides.
    #[track_caller]
    fn spend(&self, what: &str, each: u64, besides: u64) {
        let counts = self.counter.take();
        let asked = counts.reads + counts.checksums + counts.stages + counts.writes;
        let most = each * self.pages + besides;
        assert!(
            asked <= most,
            "{what} asks the store {asked} times, of {} pages: {counts:?}",
            self.pages
        );
    }
}

/// Does everything that can be done with a file.
///
/// # Panics
/// Where something happens that must not, whatever the file holds.
pub fn examine(file: &SparseStore) -> Examined {
    let numbers = numbers(file.page_size());
    let own = Own::of(file, numbers);
    let pages = file.written() as u64;

    let (store, counter) = CountingStore::new(file.clone());
    let budget = Budget {
        counter: &counter,
        pages,
    };
    let read = Pager::open(store, Access::Read);
    budget.spend("opening to read", 8, 500);
    let read = read.map(|mut pager| {
        let shown = look(&mut pager, &own);
        probe(&mut pager, &shown);
        budget.spend("looking", 8, 20_000);
        look_back(&mut pager, &own, &budget, None);
        assert!(pager.close().into_inner() == *file, "reading changed it");
        shown
    });

    let (store, counter) = CountingStore::new(file.clone());
    let budget = Budget {
        counter: &counter,
        pages,
    };
    let write = Pager::open(store, Access::Write);
    budget.spend("opening to write", 16, 500);
    let write = write.map(|mut pager| {
        let shown = look(&mut pager, &own);
        pager.close();
        shown
    });
    let (findings, verdict) = inspect(file);
    let errors = findings.iter().filter(|it| is_error(it)).count();
    let is_plain = has_nothing(&findings, file, numbers);
    if let Ok(shown) = &write {
        assert_eq!(read.as_ref(), Ok(shown), "a reader sees something else");
        if is_plain {
            expect_plain(file, numbers);
        }
        let stays_plain = is_plain && is_plainly_read(file, numbers);
        goes_on(file, shown, &own, errors == 0, stays_plain);
        changes_snapshots(file, shown, &own, errors == 0, stays_plain);
    } else {
        assert!(errors > 0, "it is refused, and the check finds nothing");
    }

    let (mut store, counter) = CountingStore::new(file.clone());
    let mended = mend(&mut store);
    let budget = Budget {
        counter: &counter,
        pages,
    };
    budget.spend("mending", 40, 20_000);
    let repaired = mended.map(|actions| {
        let copy = store.into_inner();
        let (findings, _) = inspect(&copy);
        let errors: Vec<_> = findings.iter().filter(|it| is_error(it)).collect();
        assert!(errors.is_empty(), "{errors:#?} after {actions:#?}");
        let own = Own::of(&copy, numbers);
        let mut pager = Pager::open(copy.clone(), Access::Write)
            .unwrap_or_else(|error| panic!("{error} after {actions:#?}"));
        let shown = look(&mut pager, &own);
        assert!(
            shown
                .protected
                .iter()
                .flatten()
                .all(|(_, is_good)| *is_good)
        );
        let is_plain = has_nothing(&findings, &copy, numbers);
        if is_plain {
            expect_plain(&copy, numbers);
        }
        let stays_plain = is_plain && is_plainly_read(&copy, numbers);
        goes_on(&copy, &shown, &own, true, stays_plain);
        changes_snapshots(&copy, &shown, &own, true, stays_plain);
        copy
    });
    Examined {
        read,
        write,
        errors,
        verdict,
        repaired,
    }
}

/// Whether the independent reader finds nothing either, as far as it looks: what
/// means nothing to the pager may hide from it what does.
fn is_plainly_read(file: &SparseStore, numbers: Numbers) -> bool {
    file.page_count() >= READ_PLAINLY || decode(file, numbers).is_ok()
}

/// Whether a check finds nothing, and no page is older than a snapshot that has it
/// not: for such a page it does not look. It is lost when it is freed, no more.
fn has_nothing(findings: &[Finding], file: &SparseStore, numbers: Numbers) -> bool {
    let is_info = |it: &Finding| it.kind.severity() == Severity::Info;
    let is_lost = |error: String| error.contains(OLDER_THAN_ITS_SNAPSHOT);
    findings.iter().all(is_info)
        && (file.page_count() >= READ_PLAINLY || !decode(file, numbers).err().is_some_and(is_lost))
}

/// What a check finds nothing in, the independent reader finds sound, too; but
/// for bits that mean nothing where they are set: it is strict about those.
fn expect_plain(file: &SparseStore, numbers: Numbers) {
    if file.page_count() < READ_PLAINLY
        && let Err(error) = decode(file, numbers)
    {
        let means_nothing = [
            "the entry of",
            "MAP entry",
            "bytes after the deltas",
            "are not zero",
            OLDER_THAN_ITS_SNAPSHOT,
        ];
        assert!(means_nothing.iter().any(|it| error.contains(it)), "{error}");
    }
}

fn is_error(finding: &Finding) -> bool {
    finding.kind.severity() == Severity::Error
}

/// Pages that are the file's own.
struct Own {
    numbers: Numbers,
    homes: [u64; 4],
}

impl Own {
    /// As the header says it, or else a root record: one whose deltas can be, if
    /// there is one.
    fn of(file: &SparseStore, numbers: Numbers) -> Self {
        let bytes = |at: u64| {
            let mut bytes = Vec::new();
            let first = at / numbers.page;
            for page in first..first + numbers.unit() / numbers.page {
                if page < file.page_count() {
                    bytes.extend_from_slice(file.page(page));
                }
            }
            bytes
        };
        let header = bytes(0);
        let said = if header.len() >= 512 && is_header(&header, numbers) {
            header[32..64].to_vec()
        } else {
            let slots = [1, 2].map(|slot| bytes(slot * numbers.unit()));
            let records = slots
                .iter()
                .filter(|slot| slot.len() as u64 == numbers.unit())
                .filter_map(|slot| root(slot));
            records
                .min_by_key(|record| record.deltas().is_err())
                .map_or(vec![0; 32], |record| record.payload[128..160].to_vec())
        };
        Self {
            numbers,
            homes: std::array::from_fn(|group| u64_at(&said, 8 * group)),
        }
    }

    fn homes_of(&self, group: u64) -> Range<u64> {
        let mut levels = 0;
        let mut rest = group;
        while levels < self.numbers.levels && rest.is_multiple_of(self.numbers.fan) {
            rest /= self.numbers.fan;
            levels += 1;
        }
        let head = if group == 0 { self.numbers.head() } else { 0 };
        let regular = group * self.numbers.group + head;
        let first = self.homes.get(group as usize).copied().unwrap_or(regular);
        first..first.saturating_add(2 * (1 + u64::from(levels)))
    }

    #[track_caller]
    fn expect_not(&self, page: u64) {
        let group = page / self.numbers.group;
        let is_home = (0..4)
            .chain([group])
            .any(|group| self.homes_of(group).contains(&page));
        assert!(
            page >= self.numbers.head() && !is_home,
            "page {page} is the file's own"
        );
    }
}

/// Looks at the first of everything that a pager shows.
fn look<S: PageStore>(pager: &mut Pager<S>, own: &Own) -> Shown {
    let page_count = pager.stats().page_count.expect("a root says it");
    let regular = pager.allocated(0, LISTED).ok();
    for run in regular.iter().flatten() {
        assert!(run.first + run.count <= page_count, "{run:?}");
        own.expect_not(run.first);
        own.expect_not(run.first + run.count - 1);
    }
    let listed = pager.protected(ProtectedId(0), LISTED).ok();
    let protected = listed.map(|listed| {
        let verified = listed.into_iter().map(|it| {
            if let Some(page) = it.location.page {
                own.expect_not(page);
                assert!(page < page_count, "{it:?}");
            }
            (it.id.0, pager.verify_protected(it.id).is_ok())
        });
        verified.collect()
    });
    Shown { regular, protected }
}

/// Snapshots that are looked at.
const LOOKED_BACK: usize = 4;

/// The names of the first and last snapshots, if they can be listed.
fn names<S: PageStore>(pager: &mut Pager<S>) -> Vec<String> {
    let listed = pager.snapshots().unwrap_or_default();
    let mut names: Vec<String> = listed.into_iter().map(|it| it.name).collect();
    if names.len() > LOOKED_BACK {
        names.drain(2..names.len() - 2);
    }
    names
}

/// Looks at snapshots in every way. Of a sound file nothing is refused, and all of
/// it verifies: what is shown by each name.
fn look_back(
    pager: &mut Pager<CountingStore<SparseStore>>,
    own: &Own,
    budget: &Budget<'_>,
    sound: Option<&str>,
) -> BTreeMap<String, Shown> {
    let mut shown = BTreeMap::new();
    let mut refused = Vec::new();
    let names = names(pager);
    budget.spend("listing snapshots", 4, 2000);
    for name in &names {
        refused.extend(pager.held_alone(name).err());
        budget.spend("what a snapshot has alone", 8, 2000);
        for other in names.iter().map(|it| Some(&**it)).chain([None]) {
            for states in [[Some(&**name), other], [other, Some(&**name)]] {
                let found = pager.changes_between(states, ProtectedId(0), PART);
                let ids = found.iter().flatten().map(|it| it.id);
                assert!(ids.clone().is_sorted() && ids.count() <= PART);
                refused.extend(found.err());
                budget.spend("comparing", 8, 2000);
                let _ = pager.changes_between(states, ProtectedId(1 << 40), 3);
                budget.spend("comparing", 8, 2000);
            }
        }
        let root = pager.root_of(name);
        budget.spend("the root of a snapshot", 16, 2000);
        let root = match root {
            Ok(root) => root,
            Err(error) => {
                refused.push(error);
                continue;
            }
        };
        let (store, counter) = CountingStore::new(pager.store().inner().clone());
        let mut then = match Pager::open_at(store, &root) {
            Ok(then) => then,
            Err(error) => {
                refused.push(error);
                continue;
            }
        };
        let found = look(&mut then, own);
        let mut inspector = Inspector::open(then.close());
        drop(inspector.summary());
        let budget = Budget {
            counter: &counter,
            ..*budget
        };
        budget.spend("looking at a snapshot", 16, 20_000);
        shown.insert(name.clone(), found);
    }
    if let Some(when) = sound {
        assert_eq!(refused, [], "{when}");
        for (name, shown) in &shown {
            let mut all = shown.protected.iter().flatten();
            assert!(all.all(|(_, is_good)| *is_good), "{name}: {when}");
        }
    }
    shown
}

/// Steps until a file is as short as can be.
fn compact<S: PageStore>(pager: &mut Pager<S>, budget: &Budget<'_>) -> Result<(), Error> {
    // More of them than there are pages would not end.
    let mut left = 8 * budget.pages + 100;
    loop {
        let step = pager.compact(0, 9)?;
        budget.spend("a step of a compaction", 24, 4000);
        if step.is_done {
            return Ok(());
        }
        left = left.checked_sub(1).expect("it ends");
    }
}

/// Takes, drops and goes back to snapshots, and makes the file shorter, each on a copy. Nothing that can be
/// read is lost, and in a sound file nothing is refused.
fn changes_snapshots(
    file: &SparseStore,
    before: &Shown,
    own: &Own,
    is_sound: bool,
    is_plain: bool,
) {
    let open = |file: &SparseStore| {
        let (store, counter) = CountingStore::new(file.clone());
        let pager = Pager::open(store, Access::Write).expect("it could be opened a moment ago");
        (pager, counter)
    };
    let pages = file.written() as u64;
    let (mut pager, counter) = open(file);
    let budget = Budget {
        counter: &counter,
        pages,
    };
    let sound = is_sound.then_some("before");
    let then = look_back(&mut pager, own, &budget, sound);
    let deeds = names(&mut pager).into_iter().flat_map(|name| {
        let other = name.clone();
        [(0, name), (1, other)]
    });
    for (deed, name) in deeds.chain([(2, "a name of its own".into()), (3, String::new())]) {
        let (mut pager, counter) = open(file);
        let budget = Budget {
            counter: &counter,
            pages,
        };
        counter.take();
        let done = match deed {
            0 => pager.delete_snapshot(&name).map(drop),
            1 => pager.restore(&name).map(drop),
            2 => pager.create_snapshot(&name, 7).map(drop),
            _ => compact(&mut pager, &budget),
        };
        let what = ["dropping", "going back", "taking", "compacting"][deed];
        budget.spend(what, 24, 4000);
        match &done {
            Ok(())
            | Err(
                Error::GenerationsExhausted
                | Error::Full { .. }
                | Error::DirectoryFull { .. }
                | Error::TooMany { .. },
            ) => {}
            Err(error) => assert!(!is_sound, "{what}: {error}"),
        }
        let (mut pager, _) = open(pager.store().inner());
        let after = look(&mut pager, own);
        // A fold may write anew what could not be believed.
        let is_unknown = before.regular.is_none() || after.regular.is_none();
        assert!(
            after.regular == before.regular || !is_sound && is_unknown,
            "{what} {name}"
        );
        // Otherwise what two entries name may be free by one of them.
        if is_sound && (deed != 1 || done.is_err()) {
            for (id, is_good) in before.protected.iter().flatten() {
                let kept = after.protected.as_ref().and_then(|all| all.get(id));
                assert!(kept.is_none_or(|kept| kept >= is_good), "{what}: {id}");
                assert!(kept.is_some(), "{what}: {id} is gone");
            }
        } else if is_sound {
            assert_eq!(after.protected, then[&name].protected, "back to {name}");
        }
        let (store, counter) = CountingStore::new(pager.close().into_inner());
        let left = store.inner().clone();
        for run in before.regular.iter().flatten() {
            for page in run.first..run.first + run.count.min(50) {
                assert!(file.page(page) == left.page(page), "{what}: page {page}");
            }
        }
        if is_sound {
            let (findings, _) = inspect(&left);
            let errors: Vec<_> = findings.iter().filter(|it| is_error(it)).collect();
            assert!(errors.is_empty(), "{what} {name}: {errors:#?}");
            let mut pager = Pager::open(store, Access::Write).expect("it is sound");
            let budget = Budget {
                counter: &counter,
                pages,
            };
            counter.take();
            look_back(&mut pager, own, &budget, Some(what));
        }
        // What a cut made short enough to be read was too long for that before.
        if is_plain && file.page_count() < READ_PLAINLY {
            expect_plain(&left, own.numbers);
        }
    }
}

/// Asks for pages and ids, those that cannot be too: what is listed is there, and
/// nothing between.
fn probe<S: PageStore>(pager: &mut Pager<S>, shown: &Shown) {
    let edges = [
        1 << 47,
        (1 << 48) - 1,
        1 << 48,
        1 << 52,
        u64::MAX - 1,
        u64::MAX,
    ];
    let last = shown
        .regular
        .iter()
        .flatten()
        .map(|run| run.first + run.count)
        .next_back();
    for page in (0..last.unwrap_or(40).min(400)).chain(edges) {
        let mut runs = shown.regular.iter().flatten();
        let is_regular = runs.any(|run| (run.first..run.first + run.count).contains(&page));
        let found = pager.locate(page).is_ok();
        assert!(
            shown.regular.is_none() || page >= 1 << 47 || found == is_regular,
            "page {page}"
        );
    }
    let last = shown
        .protected
        .iter()
        .flatten()
        .map(|(id, _)| id + 1)
        .next_back();
    for id in (0..last.unwrap_or(40).min(400)).chain(edges) {
        let found = pager.locate_protected(ProtectedId(id)).is_ok();
        let is_there = shown.protected.as_ref().map(|all| all.contains_key(&id));
        assert!(
            is_there.is_none_or(|is_there| id >= 1 << 47 || found == is_there),
            "id {id}"
        );
    }
}

/// What a writer does next hands out nothing that is in use, and keeps the rest.
/// Of a file that a check finds sound nothing is refused.
fn goes_on(file: &SparseStore, before: &Shown, own: &Own, is_sound: bool, is_plain: bool) {
    let (store, counter) = CountingStore::new(file.clone());
    let mut pager = Pager::open(store, Access::Write).expect("it could be opened a moment ago");
    let budget = Budget {
        counter: &counter,
        pages: file.written() as u64,
    };
    counter.take();
    let mut expected = before.clone();
    let done = one_more(&mut pager, &mut expected, own);
    budget.spend("a commit", 0, 2000);
    match done {
        Ok(()) => {}
        Err(Error::GenerationsExhausted | Error::Full { .. } | Error::DirectoryFull { .. }) => {
            return;
        }
        Err(error) => {
            assert!(!is_sound, "{error} in the next transaction");
            return;
        }
    }
    let after = look(&mut pager, own);
    assert!(
        !is_sound || after == expected,
        "{after:?}, not {expected:?}"
    );
    let left = pager.close().into_inner();
    if is_plain {
        expect_plain(&left, own.numbers);
    }
    Pager::open(left, Access::Write).expect("what was committed can be opened");
}

fn one_more<S: PageStore<Buffer: std::ops::DerefMut<Target = [u8]>>>(
    pager: &mut Pager<S>,
    expected: &mut Shown,
    own: &Own,
) -> Result<(), Error> {
    let mut transaction = pager.begin()?;
    let pages = pager.alloc(&mut transaction, 3)?;
    let ids = pager.alloc_protected(&mut transaction, 2)?;
    for id in &ids {
        pager.stage(&mut transaction, *id)?[0] = 1;
    }
    let listed = expected.protected.as_mut();
    let written = listed.and_then(|all| all.iter().find(|(_, is_good)| **is_good));
    if let Some((&id, _)) = written {
        pager.stage(&mut transaction, ProtectedId(id))?[1] = 2;
    }
    let committed: Vec<_> = pages.iter().map(|&page| pager.locate(page)).collect();
    pager.commit(transaction)?;
    for (&page, before) in pages.iter().zip(committed) {
        own.expect_not(page);
        let was_free = matches!(
            before,
            Err(Error::NotAllocated { .. } | Error::OutOfRange { .. })
        );
        assert!(was_free, "page {page} was {before:?}");
    }
    let mut held: BTreeSet<u64> = pages.iter().copied().collect();
    for id in ids {
        let page = pager.locate_protected(id)?.page.expect("it was written");
        own.expect_not(page);
        assert!(held.insert(page), "page {page} is handed out twice");
        if let Some(all) = &mut expected.protected {
            assert!(
                all.len() >= LISTED || all.insert(id.0, true).is_none(),
                "{id}"
            );
            while all.len() > LISTED {
                all.pop_last();
            }
        }
    }
    if let Some(runs) = &mut expected.regular {
        let mut all: BTreeSet<u64> = pages.into_iter().collect();
        all.extend(runs.iter().flat_map(|run| run.first..run.first + run.count));
        *runs = Vec::new();
        for page in all {
            match runs.last_mut() {
                Some(run) if run.first + run.count == page => run.count += 1,
                _ => runs.push(Extent {
                    first: page,
                    count: 1,
                }),
            }
        }
        runs.truncate(LISTED);
    }
    Ok(())
}

/// Asks an inspector for everything that it can tell, as far as that is not
/// endless.
fn inspect(file: &SparseStore) -> (Vec<Finding>, &'static str) {
    let (store, counter) = CountingStore::new(file.clone());
    let budget = Budget {
        counter: &counter,
        pages: file.written() as u64,
    };
    let mut inspector = Inspector::open(store);
    budget.spend("an inspector", 24, 1000);
    let summary = inspector.summary();
    budget.spend("a summary", 8, 1000);
    let pages = file.page_count().max(summary.stats.page_count.unwrap_or(0));
    let counts = inspector.counts();
    assert_eq!(
        counts.iter().sum::<u64>(),
        pages,
        "the counts of kinds do not sum up"
    );
    let size = (pages / 50).max(1);
    let tiles = inspector.tiles(0, size, usize::MAX);
    assert_eq!(tiles.iter().map(|it| it.tile.count).sum::<u64>(), pages);
    budget.spend("a map", 80, 20_000);
    inspector.free_space();
    inspector.kinds(0, 200);
    inspector.kinds(pages.saturating_sub(50), 100);
    budget.spend("kinds", 40, 20_000);
    inspector.structures(0, PART);
    inspector.directory(ProtectedId(0), PART, true);
    inspector.directory(ProtectedId(1 << 40), PART, false);
    budget.spend("structures", 40, 20_000);
    let map = crate::craft1::ROOTS[0];
    for page in [
        0,
        4,
        8,
        12,
        13,
        30,
        31,
        32,
        33,
        pages.wrapping_sub(1),
        pages,
        map as u64,
    ] {
        assert_eq!(
            inspector.page(page).is_some(),
            page < pages,
            "page {page} of {pages}"
        );
    }
    budget.spend("pages", 400, 20_000);
    let mut findings = Vec::new();
    let mut cursor = Some(0);
    let mut parts = 0;
    while let Some(at) = cursor {
        let part = inspector.findings(at);
        assert!(part.done <= part.total && part.next.is_none_or(|next| next > at));
        findings.extend(part.findings);
        cursor = part.next;
        budget.spend("a part of the check", 2, 4000);
        parts += 1;
        let most = 40 * budget.pages + 2000;
        assert!(parts < most, "a check goes on and on: {parts} parts");
    }
    (findings, summary.verdict)
}
