//! Readers beside a writer, in one process: each reads one state, nobody waits for them,
//! and they wait for nobody.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use pagebox_tests::rng::Rng;
use pagebox_tests::scratch::folder;
use rusqlite::{Connection, ErrorCode, ffi};

use crate::store::{DISKS, Disk, on_disk};
use crate::{PAGES, assert_clean, open};

fn count(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("select count(*) from t", [], |row| row.get(0))
}

/// The code of what was refused, whole.
fn refused(result: rusqlite::Result<()>) -> i32 {
    match result {
        Err(rusqlite::Error::SqliteFailure(error, _)) => error.extended_code,
        other => panic!("{other:?}"),
    }
}

/// A database with a row, and connections that do not wait.
fn connections<const N: usize>(path: &Path) -> [Connection; N] {
    let all = [(); N].map(|()| open(path, PAGES[0]));
    for db in &all {
        db.busy_timeout(Duration::ZERO).unwrap();
    }
    all[0]
        .execute_batch("create table t (x); insert into t values (1)")
        .unwrap();
    all
}

/// A commit is held in its sync until the readers have had their answers: one that is in
/// a transaction, one that begins one meanwhile, and one that is opened for it.
#[test]
fn readers_wait_for_no_sync() {
    let folder = folder();
    let path = folder.path().join("live");
    let disk = Disk::new(Vec::new());
    let writer = on_disk(&disk, &path);
    writer
        .execute_batch("create table t (x); insert into t values (1)")
        .unwrap();
    let readers = [(); 2].map(|()| open(&path, DISKS));
    for reader in &readers {
        assert_eq!(count(reader), Ok(1));
    }
    readers[0]
        .execute_batch("begin; select count(*) from t")
        .unwrap();
    let gate = disk.hold_syncs();
    let path = &path;
    std::thread::scope(|scope| {
        let (tell, told) = mpsc::channel();
        scope.spawn(move || {
            let done = writer.execute_batch("insert into t values (2)");
            tell.send(done).unwrap();
        });
        gate.wait();
        let (answer, answered) = mpsc::channel();
        scope.spawn(move || {
            let opened = open(path, DISKS);
            for reader in readers.into_iter().chain([opened]) {
                reader.busy_timeout(Duration::ZERO).unwrap();
                for _ in 0..3 {
                    answer.send(count(&reader)).unwrap();
                }
                answer.send(Ok(-1)).unwrap();
                // Its transaction ends, and the next shows what was committed.
                let _ = reader.execute_batch("commit");
            }
        });
        let limit = Duration::from_secs(30);
        for expected in [1, 1, 1, -1].repeat(3) {
            assert_eq!(answered.recv_timeout(limit), Ok(Ok(expected)));
        }
        assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Empty));
        gate.open();
        assert_eq!(told.recv_timeout(limit), Ok(Ok(())));
    });
    assert_eq!(count(&open(path, DISKS)), Ok(2));
}

#[test]
fn reader_sees_one_state_as_long_as_its_transaction_and_keeps_nobody_waiting() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let [writer, reader, other] = connections(&path);
    reader
        .execute_batch("begin; select count(*) from t")
        .unwrap();
    for now in 2..20 {
        writer
            .execute_batch("insert into t values (zeroblob(9000))")
            .unwrap();
        assert_eq!(count(&reader), Ok(1));
        assert_eq!(count(&other), Ok(now));
    }
    writer.execute_batch("delete from t; vacuum").unwrap();
    assert_eq!(count(&reader), Ok(1));
    // It cannot write to what is no longer so, and another one can.
    let late = reader.execute_batch("insert into t values (3)");
    assert_eq!(refused(late), ffi::SQLITE_BUSY_SNAPSHOT);
    other.execute_batch("insert into t values (4)").unwrap();
    reader
        .execute_batch("rollback; insert into t values (3)")
        .unwrap();
    assert_eq!(count(&writer), Ok(2));
    drop((writer, reader, other));
    assert_clean(&path);
}

/// With a journal the pages are committed before the transaction is: nobody sees them
/// before.
#[test]
fn nobody_sees_a_transaction_before_its_journal_is_gone() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let [writer, reader] = connections(&path);
    assert_eq!(count(&reader), Ok(1));
    // More than fits: it is written before the end.
    writer
        .execute_batch(
            "pragma journal_mode = delete; pragma cache_size = 2; begin;
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 100)
             insert into t select zeroblob(5000) from n",
        )
        .unwrap();
    assert!(path.with_extension("pages-journal").exists());
    assert_eq!(count(&reader), Ok(1));
    reader
        .execute_batch("begin; select count(*) from t")
        .unwrap();
    writer.execute_batch("rollback").unwrap();
    assert_eq!(count(&writer), Ok(1));
    writer.execute_batch("insert into t values (2)").unwrap();
    assert_eq!(count(&reader), Ok(1));
    reader.execute_batch("commit").unwrap();
    assert_eq!(count(&reader), Ok(2));
}

/// Who keeps the lock shows nothing to others once it has committed: they would not see
/// that, nor what follows.
#[test]
fn database_that_is_locked_exclusively_is_locked_after_a_commit() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let [writer, reader] = connections(&path);
    assert_eq!(count(&reader), Ok(1));
    writer
        .execute_batch("pragma locking_mode = exclusive; begin immediate; insert into t values (2)")
        .unwrap();
    assert_eq!(count(&reader), Ok(1));
    writer.execute_batch("commit").unwrap();
    for row in 3..6 {
        let error = count(&reader).unwrap_err();
        assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
        let insert = format!("insert into t values ({row})");
        writer.execute_batch(&insert).unwrap();
    }
    writer
        .execute_batch("pragma locking_mode = normal; select count(*) from t")
        .unwrap();
    assert_eq!(count(&reader), Ok(5));
}

/// Of an attached database nobody is told that its locks are kept.
#[test]
fn attached_database_that_is_locked_exclusively_is_locked_after_a_commit() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let [reader] = connections(&path);
    assert_eq!(count(&reader), Ok(1));
    let writer = open(Path::new(":memory:"), PAGES[0]);
    let attach = format!("attach '{}' as aux", path.display());
    writer.execute_batch(&attach).unwrap();
    writer
        .execute_batch("pragma locking_mode = exclusive; insert into aux.t values (2)")
        .unwrap();
    let error = count(&reader).unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    drop(writer);
    assert_eq!(count(&reader), Ok(2));
}

/// Who keeps the lock of a reader keeps others from committing: it would see what it began
/// with for ever.
#[test]
fn reader_that_keeps_its_lock_keeps_commits_waiting() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let [keeper, other] = connections(&path);
    assert_eq!(count(&other), Ok(1));
    keeper
        .execute_batch("PRAGMA Locking_Mode = Exclusive; select count(*) from t")
        .unwrap();
    let late = other.execute_batch("insert into t values (2)");
    assert_eq!(refused(late), ffi::SQLITE_BUSY);
    keeper
        .execute_batch(
            "insert into t values (3); pragma locking_mode = normal; select count(*) from t",
        )
        .unwrap();
    other.execute_batch("insert into t values (2)").unwrap();
    assert_eq!(count(&keeper), Ok(3));
}

/// What changes the page file and not the database changes nothing for who reads, nor what
/// it sees of what follows.
#[test]
fn reader_goes_on_through_snapshots_and_compaction() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let [writer, reader] = connections(&path);
    for change in [
        "pagebox_snapshot = 'one'",
        "pagebox_delete_snapshot = 'one'",
        "pagebox_compact",
    ] {
        let before = count(&writer).unwrap();
        reader
            .execute_batch("begin; select count(*) from sqlite_schema")
            .unwrap();
        writer.execute_batch(&format!("pragma {change}")).unwrap();
        writer
            .execute_batch("insert into t values (zeroblob(5000))")
            .unwrap();
        assert_eq!(count(&reader), Ok(before), "{change}");
        reader.execute_batch("commit").unwrap();
        assert_eq!(count(&reader), Ok(before + 1), "{change}");
    }
}

/// What a transaction reads adds up, and is the same at its end as at its beginning,
/// whatever two writers do: commits, rollbacks, snapshots, compaction. With a cache that
/// holds next to nothing, and with pages that are lent.
#[test]
fn transactions_of_readers_see_one_state_beside_two_writers() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let [first] = connections(&path);
    first
        .execute_batch(
            "delete from t; create table sum (s); insert into sum values (0);
             create table big (n, x);",
        )
        .unwrap();
    let writers_left = AtomicUsize::new(2);
    let reads = AtomicUsize::new(0);
    let connect = |pragmas: &str| {
        let db = open(&path, PAGES[0]);
        db.busy_timeout(Duration::from_mins(1)).unwrap();
        db.execute_batch(pragmas).unwrap();
        db
    };
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (connect, writers_left) = (&connect, &writers_left);
            scope.spawn(move || {
                let db = connect("pragma journal_mode = memory");
                let mut rng = Rng::new(writer);
                for round in 0..80 {
                    let (x, rows) = (rng.below(1000), rng.between(1, 30));
                    let end = if rng.chance(1, 5) { "rollback" } else { "commit" };
                    db.execute_batch(&format!(
                        "begin immediate; update sum set s = s + {x}; insert into t values ({x});
                         delete from big where n % 7 = {round} % 7;
                         with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows})
                         insert into big select i, zeroblob(3000) from n; {end}"
                    ))
                    .unwrap();
                    let pragma = match rng.below(8) {
                        0 => format!("pagebox_snapshot = 'w{writer}-{round}'"),
                        1 => "pagebox_compact".into(),
                        _ => continue,
                    };
                    // Somebody else may be writing.
                    let _ = db.execute_batch(&format!("pragma {pragma}"));
                }
                writers_left.fetch_sub(1, Ordering::Relaxed);
            });
        }
        for pragmas in [
            "cache_size = 1",
            "mmap_size = 1000000000",
            "cache_size = 2000",
        ] {
            let (connect, writers_left, reads) = (&connect, &writers_left, &reads);
            scope.spawn(move || {
                let db = connect(&format!("pragma {pragmas}"));
                let state = || {
                    let sql = "select (select total(x) from t) = s, s, (select count(*) from t),
                               (select total(n * length(x)) from big) from sum";
                    crate::rows(&db, sql).unwrap()
                };
                while writers_left.load(Ordering::Relaxed) > 0 {
                    db.execute_batch("begin").unwrap();
                    let before = state();
                    assert!(before[0].starts_with("[Integer(1)"), "{before:?}");
                    for _ in 0..3 {
                        std::thread::yield_now();
                        assert_eq!(state(), before, "{pragmas}");
                    }
                    db.execute_batch("commit").unwrap();
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(reads.into_inner() > 10);
    crate::assert_sound(&first);
    drop(first);
    assert_clean(&path);
}

/// Long after the last one: none is expected, and it comes when the writer is at work.
#[test]
fn reader_that_nobody_expected_keeps_no_commit_waiting() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let [writer, reader] = connections(&path);
    for _ in 0..150 {
        writer.execute_batch("insert into t values (1)").unwrap();
    }
    writer
        .execute_batch("begin immediate; insert into t values (2)")
        .unwrap();
    reader
        .execute_batch("begin; select count(*) from t")
        .unwrap();
    writer.execute_batch("commit").unwrap();
    assert_eq!(count(&reader), Ok(151));
    reader.execute_batch("commit").unwrap();
    assert_eq!(count(&reader), Ok(152));
}

/// A transaction in which nothing was written is no change: who reads may write on.
#[test]
fn reader_may_write_where_nothing_was_written_meanwhile() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let [writer, reader] = connections(&path);
    reader
        .execute_batch("begin; select count(*) from t")
        .unwrap();
    writer
        .execute_batch("begin immediate; delete from t; rollback")
        .unwrap();
    reader
        .execute_batch("insert into t values (2); commit")
        .unwrap();
    assert_eq!(count(&writer), Ok(2));
}
