//! The component where guests yield: calls go on where they were, others have had
//! their turn meanwhile, and what a commit says is durable is.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pagebox::wit::PagerComponent;
use pagebox::wit::exports::pagebox::pager::pager::NewFile as NewFileOfCalls;
use pagebox::wit::yielding;
use pagebox::wit::yielding::exports::pagebox::pager::pager::{Durability, NewFile};
use pagebox::{
    Access, MemoryStore, PageSize, PageStoreView, PageStores, ProtectedId, Store as Medium,
};
use wasmtime::Store;
use wasmtime::component::{Component, Linker};

use crate::engine;
use crate::failing::Device;

const NEW: NewFile = NewFile {
    format: 1,
    page_count: 0,
    uuid: (0, 0),
};
const PAGES: u32 = 20;

#[derive(Default)]
struct Data(PageStores);

impl PageStoreView for Data {
    fn page_stores(&mut self) -> &mut PageStores {
        &mut self.0
    }
}

/// A component in some engine.
struct Ready {
    engine: wasmtime::Engine,
    component: Component,
    linker: Linker<Data>,
}

impl Ready {
    fn new(engine: &wasmtime::Engine, component: Component) -> Self {
        let mut linker = Linker::new(engine);
        pagebox::add_to_linker(&mut linker).unwrap();
        Self {
            engine: engine.clone(),
            component,
            linker,
        }
    }

    /// As it comes with the crate: interrupted by epochs.
    fn by_epochs() -> Self {
        Self::new(engine().wasmtime(), engine().component().clone())
    }

    /// Compiled anew, for fuel.
    #[cfg(feature = "compile")]
    fn by_fuel() -> Self {
        let engine = wasmtime::Engine::new(wasmtime::Config::new().consume_fuel(true)).unwrap();
        let component = Component::from_binary(&engine, pagebox::COMPONENT).unwrap();
        Self::new(&engine, component)
    }

    fn store(&self) -> Store<Data> {
        Store::new(&self.engine, Data::default())
    }

    /// Yields wherever it can: its time is over as soon as it begins.
    fn store_by_epochs(&self) -> Store<Data> {
        let mut store = self.store();
        store.set_epoch_deadline(0);
        store.epoch_deadline_async_yield_and_update(0);
        store
    }

    #[cfg(feature = "compile")]
    fn store_by_fuel(&self, turn: u64) -> Store<Data> {
        let mut store = self.store();
        store.set_fuel(1 << 40).unwrap();
        store.fuel_async_yield_interval(Some(turn)).unwrap();
        store
    }

    /// Makes a file with protected pages, each of which says which one it is, in
    /// one commit. The medium stays open.
    async fn fill(&self, mut store: Store<Data>, medium: impl Medium) -> Store<Data> {
        let exports =
            yielding::PagerComponent::instantiate_async(&mut store, &self.component, &self.linker)
                .await
                .unwrap();
        let pagers = exports.pagebox_pager_pager();
        let transactions = pagers.transaction();
        let handle = store.data_mut().0.insert(Box::new(medium)).unwrap();
        let pager = pagers.call_create(&mut store, handle, NEW).await;
        let pager = pager.unwrap().unwrap();
        let tx = pagers.pager().call_begin(&mut store, pager).await;
        let tx = tx.unwrap().unwrap();
        let ids = transactions.call_alloc_protected(&mut store, tx, PAGES);
        for id in ids.await.unwrap().unwrap() {
            let view = transactions.call_stage(&mut store, tx, id).await;
            let view = view.unwrap().unwrap();
            let pages = &mut store.data_mut().0;
            pages.write_view(&view, 0, &id.to_le_bytes()).unwrap();
            pages.drop_view(&view);
        }
        let commit = pagers.call_commit(&mut store, tx, Durability::Durable);
        commit.await.unwrap().unwrap();
        store
    }
}

/// Polls a future to its end. How often it was not done.
fn yields<F: Future>(future: F) -> (F::Output, u64) {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for yields in 0.. {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return (output, yields);
        }
    }
    unreachable!("it is done some time")
}

/// That pages are there which [`Ready::fill`] made.
fn assert_filled(image: Vec<u8>) {
    let store = MemoryStore::from_bytes(PageSize::KIB_1, image);
    let pager = engine().open_store(store, Access::Write).unwrap();
    for id in 0..u64::from(PAGES) {
        let page = pager.protected_page(ProtectedId::new(id)).unwrap();
        assert_eq!(page[..8], id.to_le_bytes());
    }
    assert_eq!(pager.protected_pages().count(), PAGES as usize);
}

#[test]
fn guest_that_yields_by_epochs_goes_on_and_its_commit_is_durable() {
    let ready = Ready::by_epochs();
    let count = || {
        let (device, _, durable) = Device::new(Vec::new());
        let (store, yields) = yields(ready.fill(ready.store_by_epochs(), device));
        // The instance is there still: nothing but the commit made this so.
        assert_filled(durable.lock().unwrap().clone());
        drop(store);
        yields
    };
    let yields = count();
    assert!(yields > 1000, "it yielded {yields} times");
    assert_eq!(count(), yields, "the same work has the same places");
}

#[cfg(feature = "compile")]
#[test]
fn guest_that_yields_by_fuel_yields_as_often_as_its_fuel_says() {
    const TURN: u64 = 5_000;
    let ready = Ready::by_fuel();
    let count = |turn| {
        let (device, _, durable) = Device::new(Vec::new());
        let (store, yields) = yields(ready.fill(ready.store_by_fuel(turn), device));
        assert_filled(durable.lock().unwrap().clone());
        (yields, (1 << 40) - store.get_fuel().unwrap())
    };
    let (yields, fuel) = count(TURN);
    assert!(yields > 10, "it yielded {yields} times");
    // A turn ends at the first function or loop that begins without fuel.
    assert!(
        yields.abs_diff(fuel / TURN) <= 1 + yields / 10,
        "{yields} times, {fuel} fuel"
    );
    assert_eq!(count(TURN), (yields, fuel));
    assert_eq!(count(1 << 39), (0, fuel));
}

#[cfg(feature = "compile")]
#[test]
fn guests_that_yield_get_on_at_the_same_time_in_one_thread() {
    let ready = Ready::by_fuel();
    let (first, _, first_is_durable) = Device::new(Vec::new());
    let (second, _, second_is_durable) = Device::new(Vec::new());
    let mut first = pin!(ready.fill(ready.store_by_fuel(5_000), first));
    let mut second = pin!(ready.fill(ready.store_by_fuel(5_000), second));
    let mut context = Context::from_waker(Waker::noop());
    let mut turns = 0;
    // Two that do the same are done in the same turn.
    loop {
        turns += 1;
        let one = first.as_mut().poll(&mut context).is_ready();
        let other = second.as_mut().poll(&mut context).is_ready();
        assert_eq!(one, other, "in turn {turns}");
        if one {
            break;
        }
    }
    assert!(turns > 10, "{turns} turns");
    assert_filled(first_is_durable.lock().unwrap().clone());
    assert_filled(second_is_durable.lock().unwrap().clone());
}

/// A future that is dropped is a crash of its instance, and of no other.
#[test]
fn commit_that_is_dropped_half_way_leaves_the_state_before_or_after() {
    const DROPS: u64 = 40;
    let ready = Ready::by_epochs();
    let (device, ..) = Device::new(Vec::new());
    let (_, yields) = yields(ready.fill(ready.store_by_epochs(), device));
    let mut states = [0, 0];
    for number in 0..DROPS {
        let (device, _, durable) = Device::new(Vec::new());
        let mut context = Context::from_waker(Waker::noop());
        let mut filling = Box::pin(ready.fill(ready.store_by_epochs(), device));
        for _ in 0..=yields * number / DROPS {
            assert!(filling.as_mut().poll(&mut context).is_pending());
        }
        drop(filling);
        let image = durable.lock().unwrap().clone();
        let store = MemoryStore::from_bytes(PageSize::KIB_1, image);
        // There is no file yet as long as it is being made.
        if let Ok(pager) = engine().open_store(store, Access::Write) {
            let pages = pager.protected_pages().count();
            assert!(pages == 0 || pages == PAGES as usize, "{pages} pages");
            states[usize::from(pages > 0)] += 1;
        }
    }
    assert!(states[0] > 0, "{states:?} of {DROPS}");
}

/// Also where nothing was done yet: its medium has to go to another instance.
#[test]
fn instance_whose_call_was_dropped_half_way_is_of_no_use() {
    let ready = Ready::by_epochs();
    let mut store = ready.store_by_epochs();
    let instance =
        yielding::PagerComponent::instantiate_async(&mut store, &ready.component, &ready.linker);
    let exports = yields(instance).0.unwrap();
    let pagers = exports.pagebox_pager_pager();
    let mut context = Context::from_waker(Waker::noop());
    let mut asking = Box::pin(pagers.call_page_size(&mut store, &[0; 512]));
    assert!(asking.as_mut().poll(&mut context).is_pending());
    drop(asking);
    let (again, _) = yields(pagers.call_page_size(&mut store, &[0; 512]));
    assert!(again.is_err(), "{again:?}");
}

/// What wasmtime says of it is in the documentation of the bindings.
#[test]
fn bindings_that_do_not_yield_are_refused_where_guests_do() {
    let ready = Ready::by_epochs();
    let mut store = ready.store_by_epochs();
    let refused = PagerComponent::instantiate(&mut store, &ready.component, &ready.linker);
    let refused = match refused {
        Err(error) => error,
        Ok(exports) => {
            let medium = Box::new(MemoryStore::new(PageSize::KIB_1));
            let handle = store.data_mut().0.insert(medium).unwrap();
            let file = NewFileOfCalls {
                format: 1,
                page_count: 0,
                uuid: (0, 0),
            };
            let pagers = exports.pagebox_pager_pager();
            pagers.call_create(&mut store, handle, file).unwrap_err()
        }
    };
    assert!(refused.to_string().contains("async"), "{refused}");
}
