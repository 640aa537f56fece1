//! The table of crashes and failing disks, as far as a store in memory can show
//! it. The tests of `crash` try every image; these tell the stories.

use pagebox_core::{Access, Error, Operation, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageStore, StoreError};
use pagebox_tests::crash::{CrashStore, FailedSync};
use pagebox_tests::decode::{Image, decode};
use pagebox_tests::examine::{examine, look};
use pagebox_tests::failing::{FailingStore, Fault, Verb};
use pagebox_tests::legal::{check_is_clean, is_poisoned};

use crate::file::File;
use crate::{P, SIZE};

fn opened() -> (Pager<CrashStore>, CrashStore, File) {
    opened_on(false)
}

/// A file, or a medium that keeps order without a sync.
fn opened_on(keeps_order: bool) -> (Pager<CrashStore>, CrashStore, File) {
    let file = File::new();
    let store = CrashStore::from_bytes(SIZE, &file.bytes);
    if keeps_order {
        store.keep_order();
    }
    let pager = Pager::open(store.clone(), Access::Write).unwrap();
    (pager, store, file)
}

#[test]
fn page_0_torn_in_a_protected_write_is_mended() {
    let (mut pager, store, before) = opened();
    let mut transaction = pager.begin().unwrap();
    pager.stage(&mut transaction, ProtectedId(35)).unwrap()[0] = 77;
    pager.commit(transaction).unwrap();
    let after = File::of(store.bytes());
    // The new head, the old rest.
    let mut torn = after.bytes.clone();
    torn[512..P].copy_from_slice(&before.bytes[512..P]);
    assert!(
        decode(&Image {
            bytes: &torn,
            page_size: P
        })
        .is_err(),
        "it is not torn"
    );
    let examined = examine(&torn, SIZE);
    assert_eq!(
        (examined.write, examined.verdict),
        (Ok(after.shown()), "rolled-forward")
    );
    // The old head, the new rest.
    let mut torn = after.bytes.clone();
    torn[..512].copy_from_slice(&before.bytes[..512]);
    let examined = examine(&torn, SIZE);
    assert_eq!(
        (examined.write, examined.verdict),
        (Ok(after.shown()), "rolled-forward")
    );
}

/// The medium may lose page 0 of a commit whose other pages it kept.
#[test]
fn page_0_old_and_the_rest_new_is_the_state_before() {
    let (mut pager, store, before) = opened();
    let mut transaction = pager.begin().unwrap();
    pager.alloc_protected(&mut transaction, 40).unwrap();
    pager.commit(transaction).unwrap();
    let mut bytes = store.bytes();
    bytes[..P].copy_from_slice(&before.bytes[..P]);
    let examined = examine(&bytes, SIZE);
    assert_eq!(
        (examined.write, examined.verdict),
        (Ok(before.shown()), "rolled-back")
    );
}

#[test]
fn a_failed_first_sync_of_a_free_hands_nothing_out_again() {
    let (mut pager, store, before) = opened();
    store.fail_sync(0, FailedSync::GivesThemUp);
    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &[5]).unwrap();
    assert!(pager.commit(transaction).is_err());
    assert!(is_poisoned(&mut pager));
    let mut pager = Pager::open(store, Access::Write).unwrap();
    assert_eq!(look(&mut pager), before.shown());
    let mut transaction = pager.begin().unwrap();
    assert!(!pager.alloc(&mut transaction, 50).unwrap().contains(&5));
}

#[test]
fn a_failed_sync_of_page_0_loses_nothing_that_was_acknowledged() {
    use FailedSync::{GivesThemUp, KeepsThem};
    // On a file the sync of page 0 is the second, since the order before it is
    // one; a medium that keeps order has no other.
    for (keeps_order, before_it, how) in [
        (false, 1, KeepsThem),
        (false, 1, GivesThemUp),
        (true, 0, KeepsThem),
        (true, 0, GivesThemUp),
    ] {
        let (mut pager, store, before) = opened_on(keeps_order);
        store.fail_sync(before_it, how);
        let mut transaction = pager.begin().unwrap();
        pager.stage(&mut transaction, ProtectedId(0)).unwrap()[0] = 1;
        let error = pager.commit(transaction).unwrap_err();
        assert!(
            error.to_string().starts_with("writing a commit: "),
            "{error}"
        );
        // Page 0 was written before it failed.
        let written = File::of(store.bytes());
        assert_eq!(written.state.generation, before.state.generation + 1);
        assert!(is_poisoned(&mut pager));

        // The next process serves what it reads, so that is durable; and it
        // builds on it. Then the power goes.
        let mut pager = Pager::open(store.clone(), Access::Write).unwrap();
        let served = look(&mut pager);
        let left = store.now().durable();
        let mut after = Pager::open(left, Access::Read).unwrap();
        assert_eq!(look(&mut after), served, "what was served is lost");
        let mut transaction = pager.begin().unwrap();
        pager.stage(&mut transaction, ProtectedId(1)).unwrap()[0] = 2;
        pager.commit(transaction).unwrap();
        let left = store.now().durable();
        let mut pager = Pager::open(left.clone(), Access::Write).unwrap();
        let page = pager
            .verify_protected(ProtectedId(1))
            .unwrap()
            .page
            .unwrap();
        let mut byte = [0];
        left.read(page, 0, &mut byte).unwrap();
        assert_eq!(byte, [2], "an acknowledged write is lost");
        assert_eq!(
            pager.stats().protected_pages.unwrap(),
            before.state.protected.len() as u64
        );
    }
}

#[test]
fn any_io_error_in_the_first_protected_allocation_leaves_the_state_before_or_after() {
    for verb in Verb::ALL {
        for after in 0..12 {
            let store = CrashStore::new(SIZE);
            drop(Pager::create(store.clone(), 0).unwrap());
            let before = File::of(store.bytes());
            let (failing, switch) = FailingStore::new(store.clone());
            let mut pager = Pager::open(failing, Access::Write).unwrap();
            switch.set(Fault {
                verb,
                after,
                for_good: true,
                no_space: false,
            });
            let mut transaction = pager.begin().unwrap();
            let done = pager
                .alloc_protected(&mut transaction, 1)
                .and_then(|_| pager.commit(transaction));
            assert_eq!(
                switch.clear() > 0,
                done.is_err(),
                "{verb:?} {after}: {done:?}"
            );
            let left = store.now().durable();
            let mut pager = Pager::open(left.clone(), Access::Write).unwrap();
            let shown = look(&mut pager);
            let done_shown = shown.protected.contains_key(&0);
            assert!(
                shown == before.shown() || done_shown,
                "{verb:?} {after}: {shown:?}"
            );
            assert!(
                done.is_err() || done_shown,
                "{verb:?} {after}: it was acknowledged"
            );
            check_is_clean(&left).unwrap();
        }
    }
}

#[test]
fn a_crash_in_a_protected_allocation_or_free_leaks_nothing() {
    let (mut pager, store, before) = opened();
    let mut transaction = pager.begin().unwrap();
    pager.alloc_protected(&mut transaction, 1).unwrap();
    pager
        .free_protected(&mut transaction, &[ProtectedId(2)])
        .unwrap();
    store.fail_sync(1, FailedSync::GivesThemUp);
    pager.commit(transaction).unwrap_err();
    let left = store.now().durable();
    let mut pager = Pager::open(left, Access::Write).unwrap();
    assert_eq!(look(&mut pager), before.shown());
    assert_eq!(
        pager.stats().free_pages.unwrap(),
        before.state.free().len() as u64
    );
}

#[test]
fn a_full_disk_at_growth_changes_nothing_and_is_no_reason_to_stop() {
    let file = File::new();
    let (store, switch) = FailingStore::new(MemoryStore::from_bytes(SIZE, file.bytes.clone()));
    let mut pager = Pager::open(store, Access::Write).unwrap();
    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &[3]).unwrap();
    pager.commit(transaction).unwrap();
    let free = pager.stats().free_pages.unwrap() as u32;
    switch.set(Fault {
        verb: Verb::Grow,
        after: 0,
        for_good: true,
        no_space: true,
    });
    for _ in 0..3 {
        let mut transaction = pager.begin().unwrap();
        pager.alloc(&mut transaction, free + 1).unwrap();
        let error = pager.commit(transaction).unwrap_err();
        let page_count = 2 * file.state.page_count;
        let source = StoreError::InsufficientSpace;
        assert_eq!(
            error,
            Error::Store {
                operation: Operation::Grow { page_count },
                source
            }
        );
        assert_eq!(pager.stats().free_pages.unwrap(), u64::from(free));
    }
    // What fits works on, and all of it does once there is space.
    let mut transaction = pager.begin().unwrap();
    assert_eq!(
        pager.alloc(&mut transaction, free).unwrap().len() as u32,
        free
    );
    pager.commit(transaction).unwrap();
    assert!(switch.clear() > 0);
    let mut transaction = pager.begin().unwrap();
    pager.alloc(&mut transaction, 1).unwrap();
    pager.commit(transaction).unwrap();
    check_is_clean(&pager.close().into_inner()).unwrap();
}

#[test]
fn a_directory_copy_that_rots_is_never_replaced_by_an_older_one_silently() {
    let file = File::new();
    for block in [0, 1] {
        for offset in [0, 4, 9, 40, P - 1] {
            let mut bytes = file.bytes.clone();
            bytes[file.copy(block) as usize * P + offset] ^= 1;
            let examined = examine(&bytes, SIZE);
            assert!(!examined.is_writable());
            assert!(examined.finds("directory-copy", Some(file.copy(block)), ""));
            let shown = examined.read.unwrap();
            let ids = if block == 0 { 0..33 } else { 33..66 };
            assert!(
                shown.protected.keys().all(|id| !ids.contains(id)),
                "{shown:?}"
            );
            assert!(
                !shown.protected.is_empty(),
                "the other block is as good as ever"
            );
        }
    }
}

#[test]
fn growth_that_was_lost_beside_metadata_that_was_kept_is_the_state_before() {
    let (mut pager, store, before) = opened();
    let mut transaction = pager.begin().unwrap();
    pager.alloc(&mut transaction, 200).unwrap();
    pager.commit(transaction).unwrap();
    let after = File::of(store.bytes());
    let mut bytes = before.bytes.clone();
    let new = after.metadata() as usize * P;
    bytes[new..new + P].copy_from_slice(&after.bytes[new..new + P]);
    let examined = examine(&bytes, SIZE);
    assert_eq!(
        (examined.write, examined.verdict),
        (Ok(before.shown()), "rolled-back")
    );
}
