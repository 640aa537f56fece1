//! The medium that keeps order, as the other tests have it: what a power loss
//! leaves of it, and that it tells an order from a sync.

use std::collections::BTreeSet;
use std::rc::Rc;

use pagebox_core::{Access, Pager, ProtectedId};
use pagebox_store::{
    Algorithm, Change, Checksum, Geometry, PageBuffer, PageSize, PageStore, SECTOR, StoreError,
};
use pagebox_tests::crash::CrashStore;
use pagebox_tests::legal::{Legal, find};
use pagebox_tests::rng::Rng;

const P: usize = 1024;

/// The first byte of every sector of what a power loss can leave.
fn images(store: &CrashStore) -> (u64, BTreeSet<Vec<u8>>) {
    let mut found = BTreeSet::new();
    let count = store.now().images(1000, &mut Rng::new(0), |image, _| {
        let bytes = image.bytes();
        found.insert(bytes.iter().step_by(SECTOR).copied().collect());
    });
    (count, found)
}

/// Writes a page, an order, the next page, an order, and one more.
fn three_sections(store: &mut CrashStore) {
    // It holds no page file: any page may be written.
    store.guard(&(Rc::new(|_: &dyn pagebox_tests::decode::Pages| BTreeSet::new()) as _));
    let pages: Vec<[u8; P]> = (1..=3).map(|byte| [byte; P]).collect();
    let write = |page: usize| Change::Bytes {
        page: page as u64,
        bytes: &pages[page],
    };
    let changes = [write(0), Change::Order, write(1), Change::Order, write(2)];
    store.write(&changes).unwrap();
}

#[test]
fn two_orders_without_a_sync_leave_the_images_of_each_section_and_no_other() {
    let mut store = CrashStore::from_bytes(PageSize::KIB_1, &[0; 3 * P]);
    store.keep_order();
    three_sections(&mut store);
    // Of each section both sectors, either, or none; all before it, nothing
    // behind.
    let sections = [
        [[0, 0], [0, 1], [1, 0], [1, 1]].map(|[a, b]| vec![a, b, 0, 0, 0, 0]),
        [[0, 0], [0, 2], [2, 0], [2, 2]].map(|[a, b]| vec![1, 1, a, b, 0, 0]),
        [[0, 0], [0, 3], [3, 0], [3, 3]].map(|[a, b]| vec![1, 1, 2, 2, a, b]),
    ];
    let legal: BTreeSet<Vec<u8>> = sections.into_iter().flatten().collect();
    assert_eq!(images(&store), (12, legal));
    // A process that is killed leaves the same, whoever comes next.
    let killed = store.now().killed();
    assert_eq!(images(&killed), images(&store));
    assert_eq!(store.now().durable().bytes(), [0; 3 * P]);
    store.sync().unwrap();
    assert_eq!(images(&store), (1, [vec![1, 1, 2, 2, 3, 3]].into()));
}

#[test]
fn two_orders_on_a_file_are_syncs() {
    let mut store = CrashStore::from_bytes(PageSize::KIB_1, &[0; 3 * P]);
    three_sections(&mut store);
    let legal = [[0, 0], [0, 3], [3, 0], [3, 3]].map(|[a, b]| vec![1, 1, 2, 2, a, b]);
    assert_eq!(images(&store), (4, legal.into()));
}

/// What has grown is there, whatever was written before and is not.
#[test]
fn growth_after_an_order_is_durable_in_the_images_of_each_section() {
    let mut store = CrashStore::from_bytes(PageSize::KIB_1, &[0; 3 * P]);
    store.keep_order();
    three_sections(&mut store);
    store.grow(4).unwrap();
    let (count, found) = images(&store);
    assert_eq!(count, 12);
    assert!(found.iter().all(|image| image.len() == 8), "{found:?}");
}

/// A store that takes an order for a sync: what it acknowledges may be lost.
#[derive(Debug)]
struct Hasty(CrashStore);

impl PageStore for Hasty {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.0.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.0.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.0.stage(source)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        for change in changes {
            let change = match change {
                Change::Sync => &Change::Order,
                change => change,
            };
            self.0.write(std::slice::from_ref(change))?;
        }
        Ok(())
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.0.grow(page_count)
    }
}

/// Whether a power loss can take back what `store` acknowledges.
fn is_lost<S: PageStore<Buffer = PageBuffer>>(store: S, medium: &CrashStore) -> bool {
    let mut pager = Pager::open(store, Access::Write).unwrap();
    let mut transaction = pager.begin().unwrap();
    pager.stage(&mut transaction, ProtectedId(0)).unwrap()[0] = 7;
    pager.commit(transaction).unwrap();
    let acknowledged = Legal::of(medium);
    let mut lost = false;
    medium.now().images(1000, &mut Rng::new(0), |image, _| {
        lost |= find(&image, &[&acknowledged]).is_err();
    });
    lost
}

#[test]
fn acknowledging_after_an_order_alone_loses_what_was_acknowledged() {
    let new = |keeps_order: bool| {
        let store = CrashStore::new(PageSize::KIB_1);
        let mut pager = Pager::create(store.clone(), 0).unwrap();
        let mut transaction = pager.begin().unwrap();
        pager.alloc_protected(&mut transaction, 1).unwrap();
        pager.commit(transaction).unwrap();
        if keeps_order {
            store.keep_order();
        }
        store
    };
    let medium = new(true);
    assert!(is_lost(Hasty(medium.clone()), &medium), "nobody sees it");
    let medium = new(true);
    assert!(!is_lost(medium.clone(), &medium), "a sync does not do");
    // An order on a file is a sync: there it does no harm.
    let medium = new(false);
    assert!(!is_lost(Hasty(medium.clone()), &medium), "of a file");
}
