//! A medium whose writes, syncs and growths fail now and then, while the process
//! goes on: what SQLite says is done is done, and the rest is not there by half.

use pagebox_tests::figures;
use pagebox_tests::rng::Rng;
use pagebox_tests::scratch::folder;
use rusqlite::ErrorCode;

use crate::ledger;
use crate::store::{Disk, on_disk};

#[test]
fn transaction_on_a_failing_medium_is_done_or_not_done() {
    const TRANSACTIONS: i64 = 400;
    let (mut failures, mut errors) = (0, 0);
    for (journal, pages) in [
        ("memory", 2000),
        ("memory", 4),
        ("delete", 2000),
        ("delete", 4),
    ] {
        let folder = folder();
        let disk = Disk::new(Vec::new());
        let db = on_disk(&disk, &folder.path().join("live"));
        ledger::create(&db).unwrap();
        db.execute_batch(&format!(
            "pragma journal_mode = {journal}; pragma cache_size = {pages}"
        ))
        .unwrap();
        let mut rng = Rng::new(0);
        let mut done = 0;
        for _ in 0..TRANSACTIONS {
            disk.fail_every(15 + rng.below(60));
            let result = ledger::step(&db, done + 1, &mut rng);
            disk.fail_every(0);
            let now = ledger::verify(&db);
            match result {
                Ok(()) => assert_eq!(now, done + 1, "{journal}, {pages}"),
                Err(error) => {
                    errors += 1;
                    assert!(
                        (done..=done + 1).contains(&now),
                        "{now} after {done}, {error}, {journal}, {pages}"
                    );
                }
            }
            done = now;
        }
        failures += disk.failed();
    }
    assert!(errors > 0 && failures > 2 * errors, "{failures}, {errors}");
    figures::print(&format!(
        "{failures} calls of the medium under SQLite failed, {errors} transactions with them: \
         nothing lost"
    ));
}

/// Without syncs a device that fails takes commits along that other connections
/// may have seen: all of them are told, until they are closed.
#[test]
fn commits_that_are_lost_before_they_are_durable_end_all_connections() {
    let folder = folder();
    let path = folder.path().join("live");
    let disk = Disk::new(Vec::new());
    let (one, two) = (on_disk(&disk, &path), on_disk(&disk, &path));
    ledger::create(&one).unwrap();
    let mut rng = Rng::new(0);
    one.execute_batch("pragma synchronous = off").unwrap();
    ledger::step(&one, 1, &mut rng).unwrap();
    assert_eq!(ledger::verify(&two), 1);
    disk.fail_every(1);
    ledger::step(&two, 2, &mut rng).unwrap_err();
    disk.fail_every(0);
    for db in [&one, &two] {
        let refused = db.execute_batch("select * from state").unwrap_err();
        assert_eq!(
            refused.sqlite_error_code(),
            Some(ErrorCode::SystemIoFailure)
        );
    }
    drop((one, two));
    assert_eq!(ledger::verify(&on_disk(&disk, &path)), 0);
}
