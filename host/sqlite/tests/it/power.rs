//! Power that is lost at any moment of a workload: what is left opens, and holds
//! the state before or after the transaction under way.

use pagebox_tests::figures;
use pagebox_tests::rng::Rng;
use pagebox_tests::scratch::folder;
use rusqlite::Connection;

use crate::ledger;
use crate::store::{Disk, on_disk};

#[test]
fn power_loss_leaves_the_state_before_or_after_a_transaction() {
    const TRANSACTIONS: i64 = 150;
    let folder = folder();
    let path = folder.path().join("live");
    let disk = Disk::new(Vec::new());
    let db = on_disk(&disk, &path);
    ledger::create(&db).unwrap();
    let mut rng = Rng::new(0);
    disk.note(4);
    let mut count = 0;
    for n in 1..=TRANSACTIONS {
        // Transactions that spill, and files that are cut off, too.
        let pages = if rng.chance(1, 4) { 4 } else { 2000 };
        db.execute_batch(&format!("pragma cache_size = {pages}"))
            .unwrap();
        ledger::step(&db, n, &mut rng).unwrap();
        check(&disk, &folder.path().join("image"), n - 1..=n, &mut count);
        if rng.chance(1, 30) {
            db.execute_batch("vacuum").unwrap();
            check(&disk, &folder.path().join("image"), n..=n, &mut count);
        }
    }
    assert_eq!(ledger::verify(&db), TRANSACTIONS);
    assert!(count > TRANSACTIONS * 4, "power was hardly lost");
    figures::print(&format!(
        "{count} power losses in {TRANSACTIONS} transactions of SQLite: nothing lost"
    ));
}

/// Opens each image, and goes on with it.
fn check(
    disk: &Disk,
    path: &std::path::Path,
    expected: std::ops::RangeInclusive<i64>,
    count: &mut i64,
) {
    for image in disk.take_images() {
        let db: Connection = on_disk(&Disk::new(image), path);
        let done = ledger::verify(&db);
        assert!(expected.contains(&done), "{done} of {expected:?} are there");
        ledger::step(&db, done + 1, &mut Rng::new(0)).unwrap();
        assert_eq!(ledger::verify(&db), done + 1);
        *count += 1;
    }
}

/// One sync makes a transaction durable, however many pages it writes, and none
/// what was only cut off after it.
#[test]
fn transaction_takes_one_sync() {
    let folder = folder();
    let disk = Disk::new(Vec::new());
    let db = on_disk(&disk, &folder.path().join("live"));
    ledger::create(&db).unwrap();
    let mut rng = Rng::new(0);
    for journal in ["memory", "delete"] {
        db.execute_batch(&format!("pragma journal_mode = {journal}"))
            .unwrap();
        disk.take_syncs();
        for n in 1..=50 {
            ledger::step(&db, n, &mut rng).unwrap();
        }
        // Growth syncs too, and becomes rare.
        let syncs = disk.take_syncs();
        assert!((50..=53).contains(&syncs), "{syncs} syncs, {journal}");
        ledger::step(&db, 51, &mut rng).unwrap();
        assert_eq!(disk.take_syncs(), 1, "{journal}");
    }
    db.execute_batch("pragma synchronous = off").unwrap();
    for n in 52..=60 {
        ledger::step(&db, n, &mut rng).unwrap();
    }
    assert_eq!(disk.take_syncs(), 0);
}
