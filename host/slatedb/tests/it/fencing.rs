//! Two writers: one of them is refused, and nothing that it was doing persists.

use pagebox_core::{Access, Format, Pager};
use pagebox_slatedb::{Error, SlateStore};
use pagebox_store::{PageSize, PageStore, StoreError};

use crate::file::{create, fill, filled, open, options, seen};
use crate::tricky::Tricky;

#[test]
fn commit_of_a_zombie_is_fenced_and_nothing_of_it_persists() {
    for format in [Format::Zero, Format::One] {
        let objects = Tricky::new();
        let mut zombie = create(&objects.bucket(), format, 10);
        fill(&mut zombie, 10, 1).unwrap();
        let mut next = open(&objects.another().bucket());
        // What it has read it may go on to show.
        assert_eq!(filled(&mut zombie, 10), 1);
        let error = fill(&mut zombie, 10, 2).unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("another writer has taken the store over"),
            "{said}"
        );
        assert!(fill(&mut zombie, 10, 3).is_err(), "it is poisoned");
        let mut store = zombie.close();
        assert_eq!(store.sync(), Err(StoreError::Fenced));
        assert_eq!(store.grow(10_000), Err(StoreError::Fenced));
        // It never takes over by itself.
        assert_eq!(store.reopen(), Err(Error::Fenced));
        drop(store);
        assert_eq!(seen(&objects.bucket(), 10), 1, "{format:?}");
        fill(&mut next, 10, 4).unwrap();
        assert_eq!(seen(&objects.bucket(), 10), 4, "{format:?}");
    }
}

#[test]
fn second_writer_is_told_who_has_it_open_and_disturbs_nobody() {
    let objects = Tricky::new();
    let mut pager = create(&objects.bucket(), Format::One, 1);
    let own = pager.store().writer().unwrap().clone();
    for _ in 0..3 {
        let refused = SlateStore::open(&objects.bucket(), &options()).map(drop);
        assert_eq!(refused, Err(Error::Locked(own.clone())));
    }
    fill(&mut pager, 1, 5).unwrap();
    drop(pager);
    // It was closed: nobody has to be ended.
    let store = SlateStore::open(&objects.bucket(), &options()).unwrap();
    let next = store.writer().unwrap().epoch;
    assert_eq!(next, own.epoch + 1);
    let mut pager = Pager::open(store, Access::Write).unwrap();
    assert_eq!(filled(&mut pager, 1), 5);
}

/// Who was killed left the record: it says who, until somebody takes over.
#[test]
fn store_of_a_writer_that_ended_without_closing_is_taken_over_on_request() {
    let objects = Tricky::new();
    let mut pager = create(&objects.bucket(), Format::Zero, 1);
    fill(&mut pager, 1, 6).unwrap();
    std::mem::forget(pager);
    let refused = SlateStore::open(&objects.bucket(), &options()).map(drop);
    assert!(matches!(refused, Err(Error::Locked(_))), "{refused:?}");
    assert_eq!(filled(&mut open(&objects.bucket()), 1), 6);
}

#[test]
fn of_two_who_open_at_once_one_does() {
    for round in 0..20 {
        let objects = Tricky::new();
        drop(create(&objects.bucket(), Format::One, 1));
        let opened: Vec<_> = std::thread::scope(|scope| {
            let opening: Vec<_> = (0..2)
                .map(|_| {
                    let bucket = objects.another().bucket();
                    scope.spawn(move || SlateStore::open(&bucket, &options()))
                })
                .collect();
            opening.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let mut winners = opened.into_iter().filter_map(Result::ok);
        let winner = winners.next();
        assert!(
            winner.is_some() && winners.next().is_none(),
            "round {round}"
        );
        let mut pager = Pager::open(winner.unwrap(), Access::Write).unwrap();
        fill(&mut pager, 1, 7).unwrap();
    }
}

#[test]
fn of_two_who_create_at_once_one_does() {
    for round in 0..100 {
        let objects = Tricky::new();
        let made = std::thread::scope(|scope| {
            let making: Vec<_> = (0..2)
                .map(|_| {
                    let bucket = objects.another().bucket();
                    scope.spawn(move || {
                        let mut store = SlateStore::create(&bucket, PageSize::KIB_1, &options())?;
                        // Held open until both have tried.
                        Ok::<_, Error>((store.grow(1), store.sync().is_ok(), store))
                    })
                })
                .collect();
            let made: Vec<_> = making.into_iter().map(|it| it.join().unwrap()).collect();
            made.iter()
                .filter(|it| matches!(it, Ok((_, true, _))))
                .count()
        });
        assert_eq!(made, 1, "round {round}");
    }
}
