//! A fault at each request: what is there then is the state before or the one after.

use pagebox_core::{Access, Format, Pager};
use pagebox_slatedb::{Error, SlateStore};
use pagebox_store::PageSize;

use crate::file::{create, fill, filled, new_file, open, options, seen};
use crate::tricky::{Tricky, When};

const PAGES: u32 = 20;

#[test]
fn fault_at_any_put_of_a_commit_leaves_the_state_before_or_after() {
    let mut failures = 0;
    for format in [Format::Zero, Format::One] {
        for when in [When::Before, When::After] {
            // As many as are tried again, and more.
            for faults in [1, 2, u64::MAX] {
                let objects = Tricky::new();
                let mut pager = create(&objects.bucket(), format, PAGES);
                fill(&mut pager, PAGES, 1).unwrap();
                let next = objects.rules().puts;
                objects.rules().fails = Some((next, faults, when));
                let committed = fill(&mut pager, PAGES, 2);
                failures += u32::from(committed.is_err());
                objects.rules().fails = None;
                let found = seen(&objects.bucket(), PAGES);
                let case = format!("{format:?}, {faults} faults {when:?}: {committed:?}");
                match committed {
                    Ok(()) => assert_eq!(found, 2, "{case}"),
                    Err(_) => assert!(found == 1 || found == 2, "{case}"),
                }
                if committed.is_err() {
                    assert!(fill(&mut pager, PAGES, 3).is_err(), "{case}");
                    let mut store = pager.close();
                    store.reopen().unwrap();
                    pager = Pager::open(store, Access::Write).unwrap();
                    assert_eq!(filled(&mut pager, PAGES), found, "{case}");
                }
                fill(&mut pager, PAGES, 4).unwrap();
                assert_eq!(seen(&objects.bucket(), PAGES), 4, "{case}");
            }
        }
    }
    assert!(failures >= 4, "{failures}: no fault came through");
}

#[test]
fn server_that_goes_away_during_a_creation_leaves_no_store_or_the_whole_of_it() {
    let mut whole = 0;
    for after in 0..60 {
        let objects = Tricky::new();
        let failing = objects.another();
        failing.rules().is_gone_after = Some(after);
        let made = SlateStore::create(&failing.bucket(), PageSize::KIB_4, &options());
        let made = made.map_err(|error| error.to_string()).and_then(|store| {
            let made = Pager::create_as(store, &new_file(Format::One));
            made.map(drop).map_err(|error| error.to_string())
        });
        if let Err(said) = &made {
            assert!(said.contains("the server is away"), "{after}: {said}");
        }
        let anew = options().take_over();
        match SlateStore::create(&objects.bucket(), PageSize::KIB_4, &anew) {
            Ok(store) => {
                assert!(made.is_err(), "{after}: it was made, and is not there");
                Pager::create_as(store, &new_file(Format::One)).unwrap();
            }
            Err(error) => {
                assert_eq!(error, Error::Exists);
                whole += 1;
            }
        }
        // Whoever made it, it is a page file now.
        open(&objects.bucket()).stats();
        if made.is_ok() {
            break;
        }
    }
    assert!(whole > 0, "it was never made");
}

#[test]
fn server_that_goes_away_during_an_opening_changes_nothing() {
    let objects = Tricky::new();
    let mut pager = create(&objects.bucket(), Format::One, PAGES);
    fill(&mut pager, PAGES, 1).unwrap();
    drop(pager);
    let mut failures = 0;
    for after in 0..60 {
        let now = objects.fork();
        let failing = now.another();
        failing.rules().is_gone_after = Some(after);
        match SlateStore::open(&failing.bucket(), &options()) {
            Ok(_) => break,
            Err(error) => {
                failures += 1;
                let said = error.to_string();
                assert!(said.contains("the server is away"), "{after}: {said}");
            }
        }
        assert_eq!(filled(&mut open(&now.bucket()), PAGES), 1);
    }
    assert!(failures > 3, "{failures}");
}
