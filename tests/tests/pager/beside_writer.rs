//! A reader beside a writer of another process: between any two reads of the
//! one, the other may have made any number of its writes.
//!
//! Another process committed to two protected pages of different directory
//! blocks, while files were opened to read: some openings served a page of the
//! transaction before with one of the transaction after, and others called the
//! sound file rotten.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use pagebox_core::inspect::Inspector;
use pagebox_core::recovery::{Verdict, Witness};
use pagebox_core::{Access, Error, Pager, ProtectedId};
use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, MemoryStore, PageBuffer, PageSize, PageStore, StoreError,
};
use pagebox_tests::rng::Rng;

use crate::{alloc, alloc_protected};

const PAGE_SIZE: PageSize = PageSize::KIB_1;
/// In directory blocks of their own: a block of this page size has 33 slots.
const PAIR: [ProtectedId; 2] = [ProtectedId(0), ProtectedId(40)];

/// One thing that the writer does to the file.
enum Step {
    Grow(u64),
    /// The first or the second half of a page.
    Half(u64, usize, Vec<u8>),
}

/// A store that notes what is done to it, in the order in which others see it.
struct Noting {
    store: MemoryStore,
    steps: Vec<Step>,
}

impl PageStore for Noting {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.store.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.store.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.store.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.store.stage(source)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        for change in changes {
            let pages = match *change {
                Change::Sealed { page, .. }
                | Change::Staged { page, .. }
                | Change::Bytes { page, .. } => page..page + 1,
                Change::Zero { first, count } => first..first + count,
                Change::Order | Change::Sync => 0..0,
            };
            self.store.write(std::slice::from_ref(change))?;
            for page in pages {
                let bytes = self.store.page(page)?;
                let (first, second) = bytes.split_at(bytes.len() / 2);
                self.steps.push(Step::Half(page, 0, first.to_vec()));
                self.steps
                    .push(Step::Half(page, first.len(), second.to_vec()));
            }
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.steps.push(Step::Grow(page_count));
        self.store.grow(page_count)
    }
}

/// What the reader sees: before each read the writer goes on.
struct Beside<'a> {
    seen: RefCell<MemoryStore>,
    steps: &'a [Step],
    next: Cell<usize>,
    rng: RefCell<Rng>,
    /// The most that the writer does between two reads.
    pace: u64,
}

impl Beside<'_> {
    fn go_on(&self) {
        let mut seen = self.seen.borrow_mut();
        let count = self.rng.borrow_mut().below(self.pace + 1);
        for _ in 0..count {
            let Some(step) = self.steps.get(self.next.get()) else {
                return;
            };
            self.next.set(self.next.get() + 1);
            apply(&mut seen, step);
        }
    }
}

fn apply(store: &mut MemoryStore, step: &Step) {
    match step {
        Step::Grow(page_count) => {
            store.grow(*page_count).unwrap();
        }
        Step::Half(page, offset, bytes) => {
            store.page_mut(*page).unwrap()[*offset..*offset + bytes.len()].copy_from_slice(bytes);
        }
    }
}

impl PageStore for Beside<'_> {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.seen.borrow().geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.go_on();
        self.seen.borrow().read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.go_on();
        self.seen.borrow().checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.go_on();
        self.seen.borrow().stage(source)
    }

    fn write(&mut self, _: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn grow(&mut self, _: u64) -> Result<Geometry, StoreError> {
        Err(StoreError::ReadOnly)
    }
}

/// A file, and what a writer does to it from then on: transactions that write
/// their number to both pages of the pair, and allocate and free besides.
fn history() -> (MemoryStore, Vec<Step>) {
    let mut pager = Pager::create(MemoryStore::new(PAGE_SIZE), 0).unwrap();
    alloc_protected(&mut pager, 41).unwrap();
    let start = pager.close();
    let noting = Noting {
        store: start.clone(),
        steps: Vec::new(),
    };
    let mut pager = Pager::open(noting, Access::Write).unwrap();
    for number in 1..=120_u8 {
        let mut tx = pager.begin().unwrap();
        for id in PAIR {
            pager.stage(&mut tx, id).unwrap().fill(number);
        }
        pager.commit(tx).unwrap();
        if number % 5 == 0 {
            alloc(&mut pager, 9).unwrap();
        }
    }
    (start, pager.close().steps)
}

/// The number that a protected page holds.
fn number(pager: &mut Pager<Beside<'_>>, id: ProtectedId) -> Result<u8, Error> {
    let location = pager.verify_protected(id)?;
    // What was verified may have been overwritten since: its checksum says
    // which number it was.
    Ok((0..=255)
        .find(|&number| {
            Checksum::of(Algorithm::Crc32, &[number; PAGE_SIZE.bytes()]) == location.checksum
        })
        .unwrap())
}

fn readers(mut look: impl FnMut(Beside<'_>) -> &'static str) -> BTreeMap<&'static str, u32> {
    let (start, steps) = history();
    let mut counts = BTreeMap::new();
    for seed in 0..3_000 {
        let mut rng = Rng::new(seed);
        let begin = usize::try_from(rng.below(steps.len() as u64)).unwrap();
        let mut seen = start.clone();
        steps[..begin]
            .iter()
            .for_each(|step| apply(&mut seen, step));
        let beside = Beside {
            seen: RefCell::new(seen),
            steps: &steps,
            next: Cell::new(begin),
            pace: [1, 2, 4, 8, 30][usize::try_from(seed % 5).unwrap()],
            rng: RefCell::new(rng),
        };
        *counts.entry(look(beside)).or_default() += 1;
    }
    println!("{counts:?}");
    counts
}

#[test]
fn reader_beside_a_writer_sees_one_transaction_or_is_told_to_look_again() {
    let counts = readers(|beside| {
        let mut pager = match Pager::open(beside, Access::Read) {
            Ok(pager) => pager,
            Err(Error::Busy) => return "busy",
            Err(error) => panic!("a sound file could not be opened: {error}"),
        };
        assert_ne!(pager.verdict(), Verdict::Damaged);
        match PAIR.map(|id| number(&mut pager, id)) {
            [Ok(first), Ok(second)] => {
                assert_eq!(
                    first, second,
                    "a page of one transaction, a page of another"
                );
                "both"
            }
            [Err(error), _] | [_, Err(error)] => {
                assert_eq!(error, Error::Changed);
                assert!(!pager.is_current().unwrap());
                "changed"
            }
        }
    });
    // Each of them is met, and not as an exception.
    assert!(counts["both"] > 1000, "{counts:?}");
    assert!(counts["busy"] > 100, "{counts:?}");
    assert!(counts["changed"] > 10, "{counts:?}");
}

#[test]
fn check_beside_a_writer_finds_damage_only_where_it_says_that_the_file_changed() {
    let counts = readers(|beside| {
        let mut inspector = Inspector::open(beside);
        let verdict = inspector.summary().verdict;
        let mut cursor = Some(0);
        let mut errors = 0;
        while let Some(at) = cursor {
            let part = inspector.findings(at);
            errors += part
                .findings
                .iter()
                .filter(|finding| finding.kind.severity() == pagebox_core::finding::Severity::Error)
                .count();
            cursor = part.next;
        }
        if inspector.is_current() {
            assert_eq!(errors, 0, "damage in a sound file");
            assert!(["clean", "rolled-back"].contains(&verdict), "{verdict}");
            "current"
        } else if errors == 0 {
            "changed"
        } else {
            "changed, looks damaged"
        }
    });
    assert!(counts["current"] > 100, "{counts:?}");
    assert!(counts["changed, looks damaged"] > 100, "{counts:?}");
}

/// The tag in page 0 has 15 bits, and files of others have none: after enough
/// commits page 0 is what it was.
#[test]
fn state_of_another_generation_is_another_though_page_0_is_the_same() {
    let (mut store, _) = history();
    let witness = Witness::read(&store).unwrap();
    assert!(witness.still_holds(&store).unwrap());
    let named = 1 + u64::from(store.page(0).unwrap()[12]);
    store.page_mut(3 - named).unwrap()[8] ^= 1;
    assert!(
        witness.still_holds(&store).unwrap(),
        "that one does not count"
    );
    store.page_mut(named).unwrap()[8] ^= 1;
    assert!(!witness.still_holds(&store).unwrap());
}
