//! The sandbox: what the component imports, its limits, and hosts of its own.

use std::any::Any;
use std::fs;

use pagebox::{Engine, Error, Limits, MemoryStore, PageSize, PageStore, PageStoreView, PageStores};

use crate::{engine, folder};

#[test]
fn component_imports_the_store_and_nothing_else() {
    let engine = engine();
    let component = engine.component().component_type();
    let imports: Vec<_> = component
        .imports(engine.wasmtime())
        .map(|(name, _)| name)
        .collect();
    assert_eq!(imports, ["pagebox:pager/page-store@0.1.0"]);
    println!("the component has {} bytes", pagebox::COMPONENT.len());
    assert!(pagebox::COMPONENT.len() < 512 << 10);
}

/// The sandbox asks for more memory than it is given: that is its end, not
/// ours, and the file is as it was.
#[test]
fn sandbox_over_its_limits_is_replaced_by_another() {
    let mut limits = Limits::default();
    limits.memory = 4 << 20;
    let engine = Engine::with_limits(limits).unwrap();
    let (_folder, path) = folder();
    let mut pager = engine.create(&path, PageSize::KIB_64).unwrap();
    let id = pager.alloc().unwrap();
    let before = fs::read(&path).unwrap();
    let mut tx = pager.begin().unwrap();
    let error = tx.alloc_many(500_000).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Sandbox {
                operation: "allocating pages",
                ..
            }
        ),
        "{error}"
    );
    assert!(!error.to_string().contains('\n'), "{error}");
    assert!(matches!(tx.commit(), Err(Error::SandboxGone)));
    assert!(matches!(pager.page(id), Err(Error::SandboxGone)));
    assert!(matches!(pager.stats(), Err(Error::SandboxGone)));
    // The lock was never let go.
    assert!(matches!(engine.open(&path), Err(Error::Locked { .. })));
    pager.reopen().unwrap();
    assert!(pager.page(id).unwrap().iter().all(|byte| *byte == 0));
    drop(pager);
    assert!(fs::read(&path).unwrap() == before);
}

#[test]
fn pages_staged_beyond_the_budget_are_refused() {
    let mut limits = Limits::default();
    limits.staged = 8 << 10;
    let engine = Engine::with_limits(limits).unwrap();
    let mut pager = engine
        .create_store(MemoryStore::new(PageSize::KIB_1), 0)
        .unwrap();
    let mut tx = pager.begin().unwrap();
    let ids = tx.alloc_protected_many(20).unwrap();
    tx.commit().unwrap();
    for _ in 0..3 {
        let mut tx = pager.begin().unwrap();
        let staged = ids.iter().take_while(|id| tx.write(**id).is_ok()).count();
        // A kibibyte each, and what a view costs. What was staged is given
        // back at the end of the transaction.
        assert_eq!(staged, 7);
        tx.commit().unwrap();
    }
}

/// A program with its own linker and store data, several stores and several
/// pagers in one instance.
#[test]
fn embedder_hands_its_own_stores_to_the_component() {
    use pagebox::wit::PagerComponent;
    use pagebox::wit::exports::pagebox::pager::pager as wit;

    #[derive(Default)]
    struct Host {
        stores: PageStores,
        greetings: u32,
    }
    impl PageStoreView for Host {
        fn page_stores(&mut self) -> &mut PageStores {
            self.greetings += 1;
            &mut self.stores
        }
    }

    let engine = engine();
    let mut linker = wasmtime::component::Linker::new(engine.wasmtime());
    pagebox::add_to_linker::<Host>(&mut linker).unwrap();
    let mut store = wasmtime::Store::new(engine.wasmtime(), Host::default());
    store.set_epoch_deadline(u64::MAX / 2);
    let component = PagerComponent::instantiate(&mut store, engine.component(), &linker).unwrap();
    let pagers = component.pagebox_pager_pager();
    let mut open = Vec::new();
    for page_size in [PageSize::KIB_1, PageSize::KIB_16] {
        let medium = Box::new(MemoryStore::new(page_size));
        let handle = store.data_mut().stores.insert(medium).unwrap();
        let pager = pagers.call_create(&mut store, handle, 0).unwrap().unwrap();
        open.push((page_size, pager));
    }
    for (page_size, pager) in open {
        let tx = pagers
            .pager()
            .call_begin(&mut store, pager)
            .unwrap()
            .unwrap();
        let ids = pagers
            .transaction()
            .call_alloc_protected(&mut store, tx, 1)
            .unwrap()
            .unwrap();
        let view = pagers
            .transaction()
            .call_stage(&mut store, tx, ids[0])
            .unwrap()
            .unwrap();
        let again = pagers
            .transaction()
            .call_stage(&mut store, tx, ids[0])
            .unwrap()
            .unwrap();
        store.data_mut().stores.buffer_mut(&view).unwrap().fill(8);
        store.data_mut().stores.drop_view(&view);
        // Another handle on the same bytes, that outlives the commit.
        assert_eq!(store.data_mut().stores.buffer_mut(&again).unwrap()[3], 8);
        pagers.call_commit(&mut store, tx).unwrap().unwrap();
        store.data_mut().stores.buffer_mut(&again).unwrap().fill(9);
        store.data_mut().stores.drop_view(&again);
        assert!(store.data_mut().stores.buffer_mut(&again).is_none());

        let at: wit::Location = pagers
            .pager()
            .call_locate_protected(&mut store, pager, ids[0])
            .unwrap()
            .unwrap();
        let handle = pagers.call_close(&mut store, pager).unwrap();
        let medium: Box<dyn Any> = store.data_mut().stores.remove(&handle).unwrap();
        let medium = medium.downcast::<MemoryStore>().unwrap();
        assert_eq!(medium.geometry().page_size, page_size);
        assert!(medium.page(at.page).unwrap().iter().all(|byte| *byte == 8));
    }
    assert!(store.data().greetings > 0);
}
