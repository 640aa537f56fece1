//! Readers beside a writer, in one process: each reads one state, nobody waits for them,
//! and they wait for nobody.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

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
