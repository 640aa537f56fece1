//! A medium whose writes, syncs and growths fail now and then, while the process
//! goes on: what SQLite says is done is done, and the rest is not there by half.

use std::time::Duration;

use pagebox_tests::figures;
use pagebox_tests::rng::Rng;
use pagebox_tests::scratch::folder;
use rusqlite::ErrorCode;

use crate::store::{DISKS, Disk, on_disk};
use crate::{ledger, open};

#[test]
fn transaction_on_a_failing_medium_is_done_or_not_done() {
    const TRANSACTIONS: i64 = 400;
    // Alone, and beside a reader.
    let (mut failures, mut errors) = ([0; 2], [0; 2]);
    for (journal, pages) in [
        ("memory", 2000),
        ("memory", 4),
        ("delete", 2000),
        ("delete", 4),
    ] {
        let folder = folder();
        let disk = Disk::new(Vec::new());
        let path = folder.path().join("live");
        let db = on_disk(&disk, &path);
        ledger::create(&db).unwrap();
        let reader = open(&path, DISKS);
        reader.busy_timeout(Duration::ZERO).unwrap();
        db.execute_batch(&format!(
            "pragma journal_mode = {journal}; pragma cache_size = {pages}"
        ))
        .unwrap();
        let mut rng = Rng::new(0);
        let mut done = 0;
        for _ in 0..TRANSACTIONS {
            let is_read = rng.chance(1, 2);
            let failed = disk.failed();
            if is_read {
                reader.execute_batch("begin").unwrap();
                assert_eq!(ledger::verify(&reader), done);
            }
            disk.fail_every(15 + rng.below(60));
            let result = ledger::step(&db, done + 1, &mut rng);
            disk.fail_every(0);
            if is_read {
                assert_eq!(ledger::verify(&reader), done);
                reader.execute_batch("commit").unwrap();
            }
            failures[usize::from(is_read)] += disk.failed() - failed;
            let now = ledger::verify(&db);
            match result {
                Ok(()) => assert_eq!(now, done + 1, "{journal}, {pages}"),
                Err(error) => {
                    errors[usize::from(is_read)] += 1;
                    assert!(
                        (done..=done + 1).contains(&now),
                        "{now} after {done}, {error}, {journal}, {pages}"
                    );
                }
            }
            done = now;
        }
    }
    // Most of them are done again by a journal; beside a reader that cannot be: its view
    // is of the pager that would have to be opened anew.
    assert!(
        errors[0] > 0 && 2 * failures[0] > 3 * errors[0],
        "{failures:?}, {errors:?}"
    );
    assert!(
        errors[1] > errors[0] && failures[1] >= errors[1],
        "{failures:?}, {errors:?}"
    );
    figures::print(&format!(
        "{} calls of the medium under SQLite failed, {} of them beside a reader, {} \
         transactions with them: nothing lost",
        failures[0] + failures[1],
        failures[1],
        errors[0] + errors[1]
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
