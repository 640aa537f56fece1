//! The component in a wasmtime that the program runs already: its own engine,
//! its own linker, its own store data.
//!
//! `cargo run --example own_engine --features compile`: this engine's settings
//! are its own, so it compiles the component itself.

use pagebox::wit::PagerComponent;
use pagebox::wit::exports::pagebox::pager::pager::{Durability, NewFile};
use pagebox::{MemoryStore, PageSize, PageStoreView, PageStores};
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store};

/// What belongs to one instance in this program.
#[derive(Default)]
struct Tenant {
    pages: PageStores,
    // And whatever else its guests are given: WASI, a key-value store, ...
}

impl PageStoreView for Tenant {
    fn page_stores(&mut self) -> &mut PageStores {
        &mut self.pages
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::new(Config::new().consume_fuel(true))?;
    let component = Component::from_binary(&engine, pagebox::COMPONENT)?;
    let mut linker = Linker::<Tenant>::new(&engine);
    pagebox::add_to_linker(&mut linker)?;

    let mut store = Store::new(&engine, Tenant::default());
    store.set_fuel(100_000_000)?;
    let exports = PagerComponent::instantiate(&mut store, &component, &linker)?;
    let pagers = exports.pagebox_pager_pager();
    let transactions = pagers.transaction();

    // The component can use this store and nothing else. A file would be a
    // `pagebox::MmapStore`; any other type can implement `pagebox::Store`.
    let medium = Box::new(MemoryStore::new(PageSize::KIB_4));
    let handle = store.data_mut().pages.insert(medium)?;
    let random = || getrandom::u64().map_err(|error| error.to_string());
    let file = NewFile {
        format: 1,
        page_count: 0,
        uuid: (random()?, random()?),
    };
    let pager = pagers.call_create(&mut store, handle, file)??;

    let tx = pagers.pager().call_begin(&mut store, pager)??;
    let id = transactions.call_alloc_protected(&mut store, tx, 1)??[0];
    let view = transactions.call_stage(&mut store, tx, id)??;
    let bytes = store
        .data_mut()
        .pages
        .buffer_mut(&view)
        .ok_or("no private buffer")?;
    bytes[..5].copy_from_slice(b"hello");
    store.data_mut().pages.drop_view(&view);
    let info = pagers.call_commit(&mut store, tx, Durability::Durable)??;

    // Bytes are read through a view, which the component has checked. Its views
    // end with this store, and those of pages with the next commit; one of a
    // protected page refuses to be written.
    let view = pagers
        .pager()
        .call_view_protected(&mut store, pager, id)??;
    let mut bytes = [0; 5];
    let pages = &mut store.data_mut().pages;
    pages.read_view(&view, 0, &mut bytes)?;
    pages.drop_view(&view);
    println!("protected page {id}: {:?}", String::from_utf8_lossy(&bytes));

    let stats = pagers.pager().call_stats(&mut store, pager)?;
    println!(
        "commit {}: {} protected page(s)",
        info.generation,
        stats.protected_pages.unwrap_or(0)
    );
    let handle = pagers.call_close(&mut store, pager)?;
    store.data_mut().pages.remove(&handle);
    println!("fuel used: {}", 100_000_000 - store.get_fuel()?);
    Ok(())
}
