//! [`examine`]: everything that can be done with a file, done to one that may
//! hold anything. Whatever the bytes are, nothing panics, nothing that is
//! refused is changed, and no page is handed out twice.

use std::collections::{BTreeMap, BTreeSet};

use pagebox_core::finding::{Finding, Severity};
use pagebox_core::inspect::Inspector;
use pagebox_core::{Access, Error, Pager, ProtectedId, repair};
use pagebox_store::{MemoryStore, PageSize, PageStore};

use crate::counting::{CountingStore, Counts};
use crate::legal::check_is_clean;
use crate::model::regular_pages;

/// Inspectors are asked for so many things at a time.
const PART: usize = 100;

/// What came of a file.
#[derive(Debug)]
pub struct Examined {
    /// Opening it to read.
    pub read: Result<Shown, Error>,
    /// Opening it to write.
    pub write: Result<Shown, Error>,
    /// What the check found.
    pub findings: Vec<Finding>,
    /// What recovery decided, in a word.
    pub verdict: &'static str,
    /// What repair made of a copy.
    pub repaired: Result<Repaired, Error>,
}

/// What a pager showed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The regular pages, where the file says which they are.
    pub regular: Option<BTreeSet<u64>>,
    /// The protected pages that verified, with their checksums.
    pub protected: BTreeMap<u64, u32>,
    /// The protected pages that did not.
    pub lost: BTreeMap<u64, Error>,
}

/// What repair did.
#[derive(Clone, Debug)]
pub struct Repaired {
    /// The mended file.
    pub bytes: Vec<u8>,
    /// What is in it.
    pub shown: Shown,
    /// What it said.
    pub actions: Vec<repair::Action>,
}

impl Examined {
    /// Whether the file may be changed.
    pub fn is_writable(&self) -> bool {
        self.write.is_ok()
    }

    /// The findings that are damage, by their ids.
    pub fn damage(&self) -> Vec<&'static str> {
        let errors = self
            .findings
            .iter()
            .filter(|it| it.kind.severity() == Severity::Error);
        errors.map(|finding| finding.kind.id()).collect()
    }

    /// Whether a finding has this id, this page, and this in its message.
    pub fn finds(&self, id: &str, page: Option<u64>, text: &str) -> bool {
        self.findings
            .iter()
            .any(|it| it.kind.id() == id && it.page == page && it.message.contains(text))
    }
}

/// Does everything that can be done with a file.
///
/// # Panics
/// Where something happens that must not, whatever the file holds.
pub fn examine(bytes: &[u8], page_size: PageSize) -> Examined {
    let store = || MemoryStore::from_bytes(page_size, bytes.to_vec());

    let read = Pager::open(store(), Access::Read).map(|mut pager| {
        assert_eq!(pager.begin().unwrap_err(), Error::ReadOnly);
        let shown = look(&mut pager);
        probe(&mut pager, &shown);
        assert!(pager.close().bytes() == bytes, "reading changed the file");
        shown
    });

    let (counted, counter) = CountingStore::new(store());
    let write = Pager::open(counted, Access::Write).map(|mut pager| {
        let shown = look(&mut pager);
        let left = pager.close().into_inner();
        let rest = page_size.bytes()..;
        assert!(
            left.bytes()[rest.clone()] == bytes[rest],
            "opening changed more than page 0"
        );
        shown
    });
    let Counts {
        pages,
        zeroed,
        grows,
        ..
    } = counter.take();
    assert_eq!(
        (pages, zeroed, grows),
        (u64::from(write.is_ok()), 0, 0),
        "opening changed the file"
    );
    if let Ok(shown) = &write {
        assert_eq!(
            read.as_ref(),
            Ok(shown),
            "reader and writer see different things"
        );
        goes_on(store(), shown);
    }

    let (findings, verdict) = inspect(store());
    let is_damaged = findings
        .iter()
        .any(|it| it.kind.severity() == Severity::Error);
    let lost = write.as_ref().is_ok_and(|shown| !shown.lost.is_empty());
    assert!(
        write.is_ok() || is_damaged,
        "the check finds nothing in a file that is refused: {write:?}"
    );
    assert!(
        !is_damaged || write.is_err() || lost,
        "a damaged file may be changed: {findings:?}"
    );

    let mut copy = store();
    let repaired = repair::mend(&mut copy).map(|actions| {
        let context = || format!("after repair, which said {actions:#?}, of {findings:#?}");
        check_is_clean(&copy).unwrap_or_else(|error| panic!("{error} {}", context()));
        let mut pager = Pager::open(copy.clone(), Access::Write)
            .unwrap_or_else(|error| panic!("{error} {}", context()));
        let shown = look(&mut pager);
        let unproven = |it: &Error| matches!(it, Error::ChecksumMismatch { unproven: true, .. });
        assert!(shown.lost.values().all(unproven), "{shown:?} {}", context());
        goes_on(copy.clone(), &shown);
        let bytes = copy.bytes().to_vec();
        Repaired {
            bytes,
            shown,
            actions,
        }
    });
    Examined {
        read,
        write,
        findings,
        verdict,
        repaired,
    }
}

/// Reads everything that a pager shows.
pub fn look<S: PageStore>(pager: &mut Pager<S>) -> Shown {
    let mut shown = Shown {
        regular: None,
        ..Shown::default()
    };
    let mut owned = BTreeSet::from([0, 1, 2]);
    let mut own = |page| assert!(owned.insert(page), "page {page} is somebody's already");
    if let Ok(pages) = regular_pages(pager, PART) {
        pages.iter().copied().for_each(&mut own);
        shown.regular = Some(pages.into_iter().collect());
    }
    let protected = pager.protected(ProtectedId(0), usize::MAX);
    for it in protected.unwrap_or_default() {
        [it.location.page, it.next]
            .into_iter()
            .flatten()
            .for_each(&mut own);
        match pager.verify_protected(it.id) {
            Ok(location) => {
                assert_eq!(location.page, it.location.page);
                shown
                    .protected
                    .insert(it.id.0, location.checksum.value as u32);
            }
            Err(error) => drop(shown.lost.insert(it.id.0, error)),
        }
    }
    shown
}

/// Asks a pager for every page and id that there may be, and some that cannot:
/// it has those that it shows, and no others.
fn probe<S: PageStore>(pager: &mut Pager<S>, shown: &Shown) {
    let stats = pager.stats();
    let edges = [
        u64::from(u32::MAX),
        1 << 52,
        u64::MAX / 2,
        u64::MAX - 1,
        u64::MAX,
    ];
    for page in (0..stats.page_count.unwrap_or(0).min(10_000) + 3).chain(edges) {
        let is_regular = shown
            .regular
            .as_ref()
            .is_some_and(|regular| regular.contains(&page));
        assert_eq!(pager.locate(page).is_ok(), is_regular, "page {page}");
    }
    for id in (0..stats.protected_capacity.unwrap_or(0).min(1000) + 3).chain(edges) {
        let is_there = shown.protected.contains_key(&id) || shown.lost.contains_key(&id);
        assert_eq!(
            pager.locate_protected(ProtectedId(id)).is_ok(),
            is_there,
            "id {id}"
        );
        assert_eq!(
            pager.verify_protected(ProtectedId(id)).is_ok(),
            shown.protected.contains_key(&id)
        );
    }
}

/// What a writer does next hands out nothing that is in use, and keeps the rest.
fn goes_on(store: MemoryStore, before: &Shown) {
    let mut pager = Pager::open(store, Access::Write).expect("it could be opened a moment ago");
    let mut transaction = pager.begin().expect("it was opened to write");
    let pages = pager.alloc(&mut transaction, 3);
    let ids = pager.alloc_protected(&mut transaction, 2);
    match pager.commit(transaction) {
        Ok(_) => {}
        Err(Error::GenerationsExhausted) => return,
        Err(error) => panic!("{error} in the next transaction"),
    }
    let mut expected = before.clone();
    let regular = expected
        .regular
        .as_mut()
        .expect("a sound file says which pages are regular");
    for page in pages.unwrap_or_default() {
        assert!(regular.insert(page), "page {page} is handed out twice");
    }
    let zeros = crc32fast::hash(&vec![0; pager.stats().page_size.bytes()]);
    for ProtectedId(id) in ids.unwrap_or_default() {
        let is_new = expected.protected.insert(id, zeros).is_none();
        assert!(
            is_new && !before.lost.contains_key(&id),
            "id {id} is handed out twice"
        );
    }
    let after = look(&mut pager);
    assert_eq!(
        after, expected,
        "the next transaction changed something else"
    );
}

/// Asks an inspector for everything that it can tell.
fn inspect(store: MemoryStore) -> (Vec<Finding>, &'static str) {
    let geometry = store.geometry();
    let mut inspector = Inspector::open(store);
    let summary = inspector.summary();
    let _ = inspector.last_commit();
    let _ = inspector.free_space();
    let pages = geometry
        .page_count
        .max(summary.stats.page_count.unwrap_or(0));
    let counts = inspector.counts();
    assert_eq!(
        counts.iter().sum::<u64>(),
        pages,
        "the counts of kinds do not sum up"
    );
    let kinds = inspector.kinds(0, u32::MAX);
    assert_eq!(kinds.len() as u64, pages);
    let tiles = inspector.tiles(0, 7, usize::MAX);
    assert_eq!(tiles.iter().map(|it| it.tile.count).sum::<u64>(), pages);
    assert!(inspector.tiles(0, 0, PART).is_empty());
    assert!(inspector.kinds(u64::MAX, PART as u32).is_empty());
    inspector.structures(0, PART);
    inspector.structures(usize::MAX, PART);
    inspector.directory(ProtectedId(0), usize::MAX, true);
    inspector.directory(ProtectedId(u64::MAX), PART, true);
    for page in (0..pages.min(40)).chain([pages, u64::MAX]) {
        assert_eq!(
            inspector.page(page).is_some(),
            page < pages,
            "page {page} of {pages}"
        );
    }
    let mut findings = Vec::new();
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        let part = inspector.findings(at);
        assert!(part.done <= part.total && part.next.is_none_or(|next| next > at));
        findings.extend(part.findings);
        cursor = part.next;
    }
    assert!(inspector.findings(u64::MAX).next.is_none());
    (findings, summary.verdict)
}
