//! What becomes of a view: a case of the list that every host has.

use crate::pagebox::pager::page_store::{PageView, StoreError};
use crate::pagebox::pager::pager::{self, Access, Durability, Error, Pager, Transaction};
use crate::{open, open_as};

const WRITTEN: &[u8] = b"scribble";

struct Case {
    /// Until it is closed.
    pager: Option<Pager>,
    regular: Vec<u64>,
    protected: Vec<u64>,
}

/// What it comes to.
pub fn outcome(name: &str) -> &'static str {
    let (rest, event) = name.split_once(" after ").unwrap_or((name, ""));
    let (rest, read_only) = match rest.strip_suffix(" of a file opened to read") {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let (verb, target) = rest.split_once(" a ").unwrap();
    let mut case = Case::new(read_only);
    let (view, tx) = case.view(target);
    if !event.is_empty() {
        case.happens(event, target, tx);
    }
    let result = match verb {
        "read" => view.read(0, 16).map(drop),
        "read past the end of" => view.read(4090, 16).map(drop),
        "write" => view.write(0, WRITTEN),
        "write nothing to" => view.write(0, b""),
        "write past the end of" => view.write(4090, WRITTEN),
        _ => panic!("{verb} is unknown"),
    };
    match result {
        Ok(()) => "done",
        Err(StoreError::ReadOnly) => "read-only",
        Err(StoreError::OutOfBounds) => "out-of-bounds",
        Err(StoreError::Other(Some(text))) if text.contains("has ended") => "ended",
        Err(error) => panic!("{name}: {error}"),
    }
}

impl Case {
    /// A file of two regular and two protected pages.
    fn new(read_only: bool) -> Self {
        let pager = open();
        let tx = pager.begin().unwrap();
        let regular = tx.alloc(2).unwrap();
        let protected = tx.alloc_protected(2).unwrap();
        for &id in &protected {
            tx.stage(id).unwrap().write(0, b"first").unwrap();
        }
        pager::commit(tx, Durability::Durable).unwrap();
        let pager = if read_only {
            drop(pager);
            open_as(Access::Read)
        } else {
            pager
        };
        Self {
            pager: Some(pager),
            regular,
            protected,
        }
    }

    fn pager(&self) -> &Pager {
        self.pager.as_ref().unwrap()
    }

    fn view(&self, target: &str) -> (PageView, Option<Transaction>) {
        match target {
            "staged page" => {
                let tx = self.pager().begin().unwrap();
                (tx.stage(self.protected[0]).unwrap(), Some(tx))
            }
            "protected page" => (
                self.pager().view_protected(self.protected[0]).unwrap(),
                None,
            ),
            _ => (self.pager().view(self.regular[0]).unwrap(), None),
        }
    }

    fn happens(&mut self, event: &str, target: &str, tx: Option<Transaction>) {
        let tx = tx.unwrap_or_else(|| self.pager().begin().unwrap());
        match event {
            "a commit of nothing" | "its commit" => {
                pager::commit(tx, Durability::Durable).unwrap();
            }
            "a rollback" | "its rollback" => drop(tx),
            "a free that was refused" => {
                let refused = tx.free(&[self.regular[0], self.regular[0]]);
                assert!(matches!(refused, Err(Error::Duplicate(_))));
                pager::commit(tx, Durability::Durable).unwrap();
            }
            "it was freed" if target == "staged page" => {
                tx.free_protected(&self.protected[..1]).unwrap();
                // It is no error of this view that the transaction ends.
                core::mem::forget(tx);
            }
            "it was freed" => {
                match target {
                    "regular page" => tx.free(&self.regular[..1]).unwrap(),
                    _ => tx.free_protected(&self.protected[..1]).unwrap(),
                }
                pager::commit(tx, Durability::Durable).unwrap();
            }
            "a commit" | "a commit of another" | "a commit of it" => {
                let id = self.protected[usize::from(event != "a commit of it")];
                tx.stage(id).unwrap().write(0, b"changed").unwrap();
                pager::commit(tx, Durability::Durable).unwrap();
            }
            "the file was closed" => {
                self.pager = None;
                // The next store has the number of the last one.
                self.pager = Some(open());
                core::mem::forget(tx);
            }
            _ => panic!("{event} is unknown"),
        }
    }
}
