//! The component in an embedder's own linker: what its views can do, and when
//! they end.

use std::any::Any;

use pagebox::wit::PagerComponent;
use pagebox::wit::exports::pagebox::pager::pager::{Access, Durability, Error, NewFile};
use pagebox::{
    MemoryStore, PageSize, PageStoreView, PageStores, StoreError, StoreHandle, ViewHandle,
};
use wasmtime::Store;
use wasmtime::component::{Linker, Resource, ResourceAny};

use crate::engine;

/// What every host makes of a view.
const CASES: &str = include_str!("../languages/views.txt");

const WRITTEN: &[u8] = b"scribble";

#[derive(Default)]
struct Data(PageStores);

impl PageStoreView for Data {
    fn page_stores(&mut self) -> &mut PageStores {
        &mut self.0
    }
}

type View = Resource<ViewHandle>;

/// A pager on a store in memory, with two regular and two protected pages.
struct Case {
    store: Store<Data>,
    exports: PagerComponent,
    pager: ResourceAny,
    regular: Vec<u64>,
    protected: Vec<u64>,
}

impl Case {
    fn new() -> Self {
        // There a protected page has bytes to view before it is written.
        Self::of_format(0)
    }

    fn of_format(format: u32) -> Self {
        let engine = engine();
        let mut linker = Linker::<Data>::new(engine.wasmtime());
        pagebox::add_to_linker(&mut linker).unwrap();
        let mut store = Store::new(engine.wasmtime(), Data::default());
        store.set_epoch_deadline(1 << 40);
        let exports = PagerComponent::instantiate(&mut store, engine.component(), &linker).unwrap();
        let medium = Box::new(MemoryStore::new(PageSize::KIB_1));
        let handle = store.data_mut().0.insert(medium).unwrap();
        let pagers = exports.pagebox_pager_pager();
        let file = NewFile {
            format,
            page_count: 0,
            uuid: (0, 0),
        };
        let pager = pagers
            .call_create(&mut store, handle, file)
            .unwrap()
            .unwrap();
        let mut case = Self {
            store,
            exports,
            pager,
            regular: Vec::new(),
            protected: Vec::new(),
        };
        let tx = case.begin();
        let pagers = case.exports.pagebox_pager_pager();
        let transactions = pagers.transaction();
        let store = &mut case.store;
        case.regular = transactions
            .call_alloc(&mut *store, tx, 2)
            .unwrap()
            .unwrap();
        case.protected = transactions
            .call_alloc_protected(&mut *store, tx, 2)
            .unwrap()
            .unwrap();
        case.commit(tx).unwrap();
        case
    }

    fn begin(&mut self) -> ResourceAny {
        let pagers = self.exports.pagebox_pager_pager().pager();
        pagers
            .call_begin(&mut self.store, self.pager)
            .unwrap()
            .unwrap()
    }

    fn commit(&mut self, tx: ResourceAny) -> Result<(), Error> {
        let pagers = self.exports.pagebox_pager_pager();
        pagers
            .call_commit(&mut self.store, tx, Durability::Durable)
            .unwrap()
            .map(drop)
    }

    fn stage(&mut self, tx: ResourceAny, id: u64) -> View {
        let transactions = self.exports.pagebox_pager_pager().transaction();
        transactions
            .call_stage(&mut self.store, tx, id)
            .unwrap()
            .unwrap()
    }

    /// A transaction that changes a protected page.
    fn change(&mut self, id: u64) {
        let tx = self.begin();
        let view = self.stage(tx, id);
        let pages = &mut self.store.data_mut().0;
        pages.write_view(&view, 0, b"changed").unwrap();
        pages.drop_view(&view);
        self.commit(tx).unwrap();
    }

    fn close(&mut self) -> Resource<StoreHandle> {
        let pagers = self.exports.pagebox_pager_pager();
        pagers.call_close(&mut self.store, self.pager).unwrap()
    }

    fn open_to_read(&mut self) {
        let handle = self.close();
        let pagers = self.exports.pagebox_pager_pager();
        self.pager = pagers
            .call_open(&mut self.store, handle, Access::Read)
            .unwrap()
            .unwrap();
    }

    /// A view, and the transaction that it is of.
    fn view(&mut self, target: &str) -> (View, Option<ResourceAny>) {
        let (regular, protected) = (self.regular[0], self.protected[0]);
        if target == "staged page" {
            let tx = self.begin();
            return (self.stage(tx, protected), Some(tx));
        }
        let pagers = self.exports.pagebox_pager_pager().pager();
        let view = match target {
            "protected page" => pagers.call_view_protected(&mut self.store, self.pager, protected),
            _ => pagers.call_view(&mut self.store, self.pager, regular),
        };
        (view.unwrap().unwrap(), None)
    }

    fn happens(&mut self, event: &str, target: &str, tx: Option<ResourceAny>) {
        let (regular, protected) = (self.regular.clone(), self.protected.clone());
        let tx = tx.unwrap_or_else(|| self.begin());
        let transactions = self.exports.pagebox_pager_pager().transaction();
        match event {
            "a commit of nothing" | "its commit" => self.commit(tx).unwrap(),
            "a rollback" | "its rollback" => tx.resource_drop(&mut self.store).unwrap(),
            "a free that was refused" => {
                let error = transactions
                    .call_free(&mut self.store, tx, &[regular[0], regular[0]])
                    .unwrap()
                    .unwrap_err();
                assert!(matches!(error, Error::Duplicate(_)));
                self.commit(tx).unwrap();
            }
            "it was freed" => {
                let freed = match target {
                    "regular page" => transactions.call_free(&mut self.store, tx, &regular[..1]),
                    _ => transactions.call_free_protected(&mut self.store, tx, &protected[..1]),
                };
                freed.unwrap().unwrap();
                if target != "staged page" {
                    self.commit(tx).unwrap();
                }
            }
            "a commit" | "a commit of another" => self.change(protected[1]),
            "a commit of it" => self.change(protected[0]),
            "the file was closed" => {
                let handle = self.close();
                self.store.data_mut().0.remove(&handle).unwrap();
                // The next store has the number of the last one.
                let mut next = MemoryStore::new(PageSize::KIB_1);
                pagebox::PageStore::grow(&mut next, 16).unwrap();
                self.store.data_mut().0.insert(Box::new(next)).unwrap();
            }
            _ => panic!("{event} is unknown"),
        }
    }
}

/// What a case comes to.
fn outcome(name: &str) -> &'static str {
    let (rest, event) = name.split_once(" after ").unwrap_or((name, ""));
    let (rest, read_only) = match rest.strip_suffix(" of a file opened to read") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let (verb, target) = rest.split_once(" a ").unwrap();
    let mut case = Case::new();
    if read_only {
        case.open_to_read();
    }
    let (view, tx) = case.view(target);
    if !event.is_empty() {
        case.happens(event, target, tx);
    }
    let pages = &mut case.store.data_mut().0;
    let mut bytes = [0; 16];
    let result = match verb {
        "read" => pages.read_view(&view, 0, &mut bytes),
        "read past the end of" => pages.read_view(&view, 1010, &mut bytes),
        "write" => pages.write_view(&view, 0, WRITTEN),
        "write nothing to" => pages.write_view(&view, 0, b""),
        "write past the end of" => pages.write_view(&view, 1020, WRITTEN),
        _ => panic!("{verb} is unknown"),
    };
    pages.drop_view(&view);
    match result {
        Ok(()) => "done",
        Err(StoreError::ReadOnly) => "read-only",
        Err(StoreError::OutOfBounds) => "out-of-bounds",
        Err(StoreError::Other(Some(text))) if text.contains("has ended") => "ended",
        Err(error) => panic!("{name}: {error}"),
    }
}

#[test]
fn views_do_in_a_linker_of_ones_own_what_they_do_everywhere() {
    let mut count = 0;
    for line in CASES.lines().filter(|line| !line.starts_with('#')) {
        let (name, expected) = line.rsplit_once(": ").unwrap();
        assert_eq!(outcome(name), expected, "{name}");
        count += 1;
    }
    assert!(count > 20, "{count} cases were found");
}

/// A handle that was dropped is not the next one's.
#[test]
fn buffer_is_gone_for_those_who_share_it_when_its_transaction_is() {
    let mut case = Case::new();
    let id = case.protected[0];
    let tx = case.begin();
    let view = case.stage(tx, id);
    let again = case.stage(tx, id);
    let pages = &mut case.store.data_mut().0;
    pages.write_view(&view, 0, WRITTEN).unwrap();
    let mut bytes = [0; 8];
    pages.read_view(&again, 0, &mut bytes).unwrap();
    assert_eq!(bytes, WRITTEN);
    assert_eq!(&pages.buffer_mut(&again).unwrap()[..8], WRITTEN);
    // Its own handle, and these two.
    assert_eq!(pages.left_open(), (1, 3));
    case.commit(tx).unwrap();
    let pages = &mut case.store.data_mut().0;
    assert_eq!(pages.left_open(), (1, 2));
    assert!(pages.buffer_mut(&view).is_none());

    let tx = case.begin();
    let next = case.stage(tx, id);
    let pages = &mut case.store.data_mut().0;
    pages.write_view(&view, 0, b"too late").unwrap_err();
    pages.read_view(&next, 0, &mut bytes).unwrap();
    assert_eq!(bytes, WRITTEN);
    for view in [view, again, next] {
        pages.drop_view(&view);
    }
    assert_eq!(pages.left_open(), (1, 1));
    tx.resource_drop(&mut case.store).unwrap();
    let handle = case.close();
    let pages = &mut case.store.data_mut().0;
    let medium: Box<dyn Any> = pages.remove(&handle).unwrap();
    assert!(medium.downcast::<MemoryStore>().is_ok());
    assert_eq!(pages.left_open(), (0, 0));
}

/// The contract's own view, as a program or a host in any language has it.
#[test]
fn view_of_the_contract_shows_its_state_until_the_pager_is_closed() {
    let mut case = Case::of_format(1);
    let [changed, other] = case.protected[..] else {
        panic!("there are two")
    };
    case.change(changed);
    let exports = case.exports.pagebox_pager_pager().clone();
    let (pagers, views) = (exports.pager(), exports.view());
    let view = pagers.call_pin(&mut case.store, case.pager);
    let view = view.unwrap().unwrap();
    let then = pagers.call_locate_protected(&mut case.store, case.pager, changed);
    let then = then.unwrap().unwrap();
    for _ in 0..5 {
        case.change(changed);
        case.change(other);
    }
    let store = &mut case.store;
    let stats = pagers.call_stats(&mut *store, case.pager).unwrap();
    let generation = views.call_generation(&mut *store, view).unwrap();
    assert_eq!((stats.held_pages, stats.oldest_view), (1, Some(generation)));
    let found = views.call_locate_protected(&mut *store, view, changed);
    let found = found.unwrap().unwrap();
    assert_eq!((found.page, found.generation), (then.page, then.generation));
    let page = views.call_view_protected(&mut *store, view, changed);
    let page = page.unwrap().unwrap();
    let pages = &mut store.data_mut().0;
    let mut bytes = [0; 7];
    pages.read_view(&page, 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"changed");
    let refused = pages.write_view(&page, 0, WRITTEN);
    assert!(matches!(refused, Err(StoreError::ReadOnly)));
    pages.drop_view(&page);
    // That one was zeros then, which no page has.
    let zeros = views.call_view_protected(&mut *store, view, other);
    assert!(matches!(zeros.unwrap(), Err(Error::NotSupported)));
    let listed = views.call_protected(&mut *store, view, 0, 10);
    let listed = listed.unwrap().unwrap();
    let ids: Vec<u64> = listed.iter().map(|page| page.id).collect();
    assert_eq!(ids, [changed, other]);
    assert_eq!(listed[0].location.page, then.page);
    assert_eq!(listed[1].location.page, None);
    let none = views.call_locate_protected(&mut *store, view, 7);
    assert!(matches!(none.unwrap(), Err(Error::NotProtected(7))));

    let handle = case.close();
    let closed = views.call_locate_protected(&mut case.store, view, changed);
    assert!(matches!(closed.unwrap(), Err(Error::Closed)));
    let root = views.call_root(&mut case.store, view).unwrap();
    let again = exports.call_open_at(&mut case.store, handle, &root);
    let again = again.unwrap().unwrap();
    let found = pagers.call_locate_protected(&mut case.store, again, changed);
    assert_eq!(found.unwrap().unwrap().page, then.page);
    for refused in [
        pagers.call_locate(&mut case.store, again, case.regular[0]),
        pagers
            .call_allocated(&mut case.store, again, 0, 9)
            .map(|it| it.map(drop)),
    ] {
        assert!(matches!(refused.unwrap(), Err(Error::NotSupported)));
    }
    let refused = pagers.call_begin(&mut case.store, again).unwrap();
    assert!(matches!(refused, Err(Error::ReadOnly)));
    view.resource_drop(&mut case.store).unwrap();
}
