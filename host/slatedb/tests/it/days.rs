//! Bad days: a server that hangs, one that lies, an address that is wrong.

use std::time::Duration;

use pagebox_core::{Access, Format, Pager};
use pagebox_slatedb::{Address, Bucket, Error, Options, SlateReader, SlateStore};
use pagebox_store::{PageSize, PageStore, StoreError};

use crate::file::{create, fill, filled, options, seen};
use crate::tricky::{Conditions, Tricky};

fn hasty() -> Options {
    Options::default().timeout(Duration::from_millis(500))
}

#[test]
fn server_that_hangs_is_one_error_within_the_deadline_and_reopening_works_afterwards() {
    let objects = Tricky::new();
    drop(create(&objects.bucket(), Format::One, 5));
    let store = SlateStore::open(&objects.bucket(), &hasty()).unwrap();
    let mut pager = Pager::open(store, Access::Write).unwrap();
    fill(&mut pager, 5, 1).unwrap();
    objects.rules().hangs = true;
    let said = fill(&mut pager, 5, 2).unwrap_err().to_string();
    assert!(
        said.contains("no answer in 0.5 s: what is durable is not known"),
        "{said}"
    );
    let mut store = pager.close();
    // No second wait: it knows that it does not know.
    let refused = store.grow(1 << 20).unwrap_err().to_string();
    assert!(refused.contains("reopen"), "{refused}");
    assert_eq!(
        store.reopen(),
        Err(Error::NoAnswer(Duration::from_millis(500)))
    );
    objects.rules().hangs = false;
    store.reopen().unwrap();
    let mut pager = Pager::open(store, Access::Write).unwrap();
    let found = filled(&mut pager, 5);
    assert!(found == 1 || found == 2, "{found}");
    fill(&mut pager, 5, 3).unwrap();
    assert_eq!(seen(&objects.bucket(), 5), 3);
}

#[test]
fn server_that_hangs_cannot_be_opened_and_says_so() {
    let objects = Tricky::new();
    drop(create(&objects.bucket(), Format::One, 5));
    objects.rules().hangs = true;
    let none = Err(Error::NoAnswer(hasty().timeout));
    assert_eq!(
        SlateStore::open(&objects.bucket(), &hasty()).map(drop),
        none
    );
    assert_eq!(
        SlateReader::open(&objects.bucket(), &hasty()).map(drop),
        none
    );
    let created = SlateStore::create(&objects.bucket(), PageSize::KIB_4, &hasty());
    assert_eq!(created.map(drop), none);
}

#[test]
fn store_that_ignores_conditions_is_refused_before_anything_is_made() {
    for conditions in [Conditions::Ignored, Conditions::Refused] {
        let objects = Tricky::new();
        objects.rules().conditions = conditions;
        let made = SlateStore::create(&objects.bucket(), PageSize::KIB_4, &options());
        assert_eq!(
            made.map(drop),
            Err(Error::IgnoresConditions),
            "{conditions:?}"
        );
        assert_eq!(objects.names(), [""; 0], "{conditions:?}");
    }
}

#[test]
fn opening_where_there_is_no_store_makes_nothing() {
    let objects = Tricky::new();
    assert_eq!(
        SlateStore::open(&objects.bucket(), &options()).map(drop),
        Err(Error::NotFound)
    );
    assert_eq!(
        SlateReader::open(&objects.bucket(), &options()).map(drop),
        Err(Error::NotFound)
    );
    assert_eq!(objects.names(), [""; 0]);
    assert_eq!(objects.rules().puts, 0);
    let folder = tempfile::tempdir().unwrap();
    let typo = folder.path().join("typo");
    let address: Address = format!("slatedb+file://{}", typo.display())
        .parse()
        .unwrap();
    assert_eq!(address.bucket().map(drop), Err(Error::NotFound));
    assert!(!typo.exists());
    let empty = Bucket::folder(folder.path()).unwrap();
    assert_eq!(
        SlateStore::open(&empty, &options()).map(drop),
        Err(Error::NotFound)
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_store_without_the_right_to_write_is_one_error_and_nothing_changes() {
    let objects = Tricky::new();
    drop(create(&objects.bucket(), Format::One, 5));
    let reading = objects.another();
    reading.rules().is_read_only = true;
    let names = objects.names();
    let said = SlateStore::open(&reading.bucket(), &options())
        .map(drop)
        .unwrap_err();
    assert!(
        matches!(&said, Error::Unavailable(text) if text.contains("read only")),
        "{said:?}"
    );
    assert_eq!(objects.names(), names);
}

/// An object that is gone is not a page of zeros.
#[test]
fn collected_objects_are_told_and_never_taken_for_zeros() {
    let objects = Tricky::new();
    let mut pager = create(&objects.bucket(), Format::One, 50);
    for _ in 0..70 {
        fill(&mut pager, 50, 1).unwrap();
    }
    drop(pager);
    let reader = SlateReader::open(&objects.bucket(), &options()).unwrap();
    objects.forget("compacted/");
    let pages = reader.geometry().page_count;
    let errors: Vec<_> = (0..pages)
        .filter_map(|page| reader.read(page, 0, &mut [0; 4096]).err())
        .collect();
    assert!(!errors.is_empty(), "nothing was missing");
    let moved_on = StoreError::io("the writer has moved on: look again");
    assert!(errors.iter().all(|error| *error == moved_on), "{errors:?}");
}
