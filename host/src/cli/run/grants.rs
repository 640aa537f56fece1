//! The stores that a program was granted: the import `stores`.

use pagebox::{Engine, Error, PageStores, Store, StoreHandle};
use wasmtime::component::Resource;

use super::super::Failure;
use super::super::output::shown;
use super::Named;
use super::program::GrantError;

/// What a program was granted.
pub(super) struct Grants {
    engine: Engine,
    grants: Vec<Grant>,
}

struct Grant {
    named: Named,
    read_only: bool,
    /// The store, until it is first taken.
    ready: Option<Box<dyn Store>>,
    /// What stands for it since.
    taken: Option<u32>,
}

impl Grant {
    /// The store, of a file that was opened as a page file, so that what is
    /// wrong with it is told before the program starts.
    fn open(&self, engine: &Engine) -> Result<Box<dyn Store>, Error> {
        let path = &self.named.path;
        let pager = if self.read_only {
            engine.open_read_only(path)?
        } else {
            engine.open(path)?
        };
        Ok(pager.close())
    }
}

impl Grants {
    /// Opens all of the files.
    pub(super) fn open(stores: &[Named], read_only_stores: &[Named]) -> Result<Self, Failure> {
        let stores = stores.iter().map(|named| (named, false));
        let all = stores.chain(read_only_stores.iter().map(|named| (named, true)));
        let engine = Engine::new().map_err(|error| Failure::File {
            path: "pagebox".into(),
            error,
        })?;
        let mut grants: Vec<Grant> = Vec::new();
        for (named, read_only) in all {
            let name = &named.name;
            if grants.iter().any(|grant| grant.named.name == *name) {
                return Err(Failure::Request {
                    path: named.path.clone(),
                    text: format!("another file is granted as {name:?} already"),
                });
            }
            let mut grant = Grant {
                named: named.clone(),
                read_only,
                ready: None,
                taken: None,
            };
            grant.ready = Some(grant.open(&engine).map_err(Failure::of(&named.path))?);
            grants.push(grant);
        }
        Ok(Self { engine, grants })
    }

    pub(super) fn names(&self) -> Vec<String> {
        let names = self.grants.iter().map(|grant| grant.named.name.clone());
        names.collect()
    }

    /// Hands a store out.
    pub(super) fn take(
        &mut self,
        name: &str,
        stores: &mut PageStores,
    ) -> wasmtime::Result<Result<Resource<StoreHandle>, GrantError>> {
        let granted = self.names();
        let Some(grant) = self
            .grants
            .iter_mut()
            .find(|grant| grant.named.name == name)
        else {
            let text = if granted.is_empty() {
                format!("no store was granted: {name:?} is missing")
            } else {
                let granted = granted.join(", ");
                format!("no store {name:?} was granted: there is {granted}")
            };
            return Ok(Err(GrantError::NotGranted(text)));
        };
        if grant.taken.is_some_and(|rep| stores.holds(rep)) {
            let text = format!("the store {name:?} is taken already: drop it first");
            return Ok(Err(GrantError::Taken(text)));
        }
        let store = match grant.ready.take() {
            Some(store) => store,
            None => match grant.open(&self.engine) {
                Ok(store) => store,
                Err(error) => {
                    // The program is not told where the file is.
                    eprintln!("pagebox: {}: {error}", shown(&grant.named.path));
                    let text = format!("the store {name:?} cannot be opened again");
                    return Ok(Err(GrantError::Unavailable(text)));
                }
            },
        };
        let handle = stores.insert(store)?;
        for grant in &mut self.grants {
            // What stood for a store that is gone may stand for another now.
            grant.taken = grant.taken.filter(|rep| *rep != handle.rep());
        }
        if let Some(grant) = self
            .grants
            .iter_mut()
            .find(|grant| grant.named.name == name)
        {
            grant.taken = Some(handle.rep());
        }
        Ok(Ok(handle))
    }
}
