//! The component in an engine whose guests yield: two of them share one thread,
//! and neither waits until the other one is done.
//!
//! `cargo run --example yielding_engine --features compile,yielding`: this engine
//! counts fuel, so it compiles the component itself. With epochs it is
//! `epoch_deadline_async_yield_and_update` in place of the fuel.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use pagebox::wasmtime::component::{Component, Linker};
use pagebox::wasmtime::{Config, Engine, Store};
use pagebox::wit::yielding::PagerComponent;
use pagebox::wit::yielding::exports::pagebox::pager::pager::{Durability, NewFile};
use pagebox::{MemoryStore, PageSize, PageStoreView, PageStores};

type Failed = Box<dyn std::error::Error>;

/// Fuel after which a guest lets the others go on, some microseconds' worth.
const TURN: u64 = 10_000;

#[derive(Default)]
struct Tenant {
    pages: PageStores,
}

impl PageStoreView for Tenant {
    fn page_stores(&mut self) -> &mut PageStores {
        &mut self.pages
    }
}

fn main() -> Result<(), Failed> {
    let engine = Engine::new(Config::new().consume_fuel(true))?;
    let component = Component::from_binary(&engine, pagebox::COMPONENT)?;
    let mut linker = Linker::<Tenant>::new(&engine);
    pagebox::add_to_linker(&mut linker)?;

    let tenants = ["a", "b"].map(|name| work(name, &engine, &component, &linker));
    let turns = in_turns(tenants.map(Box::pin).into())?;
    println!("turns: {turns:?}");
    Ok(())
}

/// What one tenant does: commits, one after the other.
async fn work(
    name: &str,
    engine: &Engine,
    component: &Component,
    linker: &Linker<Tenant>,
) -> Result<(), Failed> {
    let mut store = Store::new(engine, Tenant::default());
    store.set_fuel(100_000_000)?;
    store.fuel_async_yield_interval(Some(TURN))?;
    let exports = PagerComponent::instantiate_async(&mut store, component, linker).await?;
    let pagers = exports.pagebox_pager_pager();
    let transactions = pagers.transaction();

    let medium = Box::new(MemoryStore::new(PageSize::KIB_4));
    let handle = store.data_mut().pages.insert(medium)?;
    let random = || getrandom::u64().map_err(|error| error.to_string());
    let file = NewFile {
        format: 1,
        page_count: 0,
        uuid: (random()?, random()?),
    };
    let pager = pagers.call_create(&mut store, handle, file).await??;
    for _ in 0..3 {
        let tx = pagers.pager().call_begin(&mut store, pager).await??;
        let ids = transactions.call_alloc_protected(&mut store, tx, 10);
        for id in ids.await?? {
            let view = transactions.call_stage(&mut store, tx, id).await??;
            let pages = &mut store.data_mut().pages;
            pages.write_view(&view, 0, name.as_bytes())?;
            pages.drop_view(&view);
        }
        let info = pagers.call_commit(&mut store, tx, Durability::Durable);
        println!("{name}: commit {} is durable", info.await??.generation);
    }
    let handle = pagers.call_close(&mut store, pager).await?;
    store.data_mut().pages.remove(&handle);
    Ok(())
}

/// Any executor will do in place of this one, which lets all go on in their order
/// until each is done. Says how many turns each of them took.
fn in_turns<F>(mut tasks: Vec<Pin<Box<F>>>) -> Result<Vec<u32>, Failed>
where
    F: Future<Output = Result<(), Failed>>,
{
    // Whoever yields can go on at once: nobody has to be woken.
    let mut context = Context::from_waker(Waker::noop());
    let mut turns = vec![0; tasks.len()];
    let mut left: Vec<usize> = (0..tasks.len()).collect();
    while !left.is_empty() {
        let mut waiting = Vec::new();
        for task in left {
            turns[task] += 1;
            match tasks[task].as_mut().poll(&mut context) {
                Poll::Ready(result) => result?,
                Poll::Pending => waiting.push(task),
            }
        }
        left = waiting;
    }
    Ok(turns)
}
