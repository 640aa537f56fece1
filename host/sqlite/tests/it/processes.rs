//! Several connections, of one process and of two.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use pagebox_tests::scratch::folder;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{PAGES, open, rows, try_open};

/// What the other process is told its file is.
pub(crate) const FILE: &str = "PAGEBOX_SQLITE_FILE";

/// A test of this program in a process of its own.
pub(crate) fn child(test: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env(FILE, path)
        .stdout(Stdio::piped());
    command
}

pub(crate) fn path() -> PathBuf {
    std::env::var_os(FILE).expect("a test starts it").into()
}

fn code(result: rusqlite::Result<()>) -> ErrorCode {
    match result {
        Err(rusqlite::Error::SqliteFailure(error, _)) => error.code,
        other => panic!("{other:?}"),
    }
}

fn count(db: &Connection) -> i64 {
    db.query_row("select count(*) from t", [], |row| row.get(0))
        .unwrap()
}

/// Not a test: what the other process does.
#[test]
#[ignore = "started by the test of two processes, in a process of its own"]
fn other() {
    for vfs in PAGES {
        let db = open(&path(), vfs);
        let refused = db.execute_batch("insert into t values (2)").unwrap_err();
        println!("writer: {refused}");
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let db = try_open(&path(), PAGES[0], flags).unwrap();
    println!("reader: {}", count(&db));
}

#[test]
fn second_process_is_told_that_the_database_is_locked_and_may_read() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let db = open(&path, PAGES[0]);
    db.execute_batch("create table t (x); insert into t values (1)")
        .unwrap();
    let output = child("processes::other", &path).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(
        said.matches("writer: database is locked\n").count(),
        2,
        "{said}"
    );
    assert!(said.contains("reader: 1\n"), "{said}");
}

/// Two of them that find an empty file: one makes the database, and the other is
/// told that it is locked.
#[test]
fn empty_file_is_made_a_database_by_one_of_two() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let one = open(&path, PAGES[0]);
    // Another VFS is to the first as another process is.
    let other = open(&path, PAGES[1]);
    assert_eq!(
        rows(&other, "select * from sqlite_schema").unwrap().len(),
        0
    );
    // Who only meant to write keeps nobody out.
    other.execute_batch("begin immediate; rollback").unwrap();
    one.execute_batch("begin immediate").unwrap();
    let refused = other.execute_batch("create table t (x)");
    assert_eq!(code(refused), ErrorCode::DatabaseBusy);
    one.execute_batch("create table t (x); commit").unwrap();
    let refused = other.execute_batch("create table t (x)");
    assert_eq!(code(refused), ErrorCode::DatabaseBusy);
    drop(one);
    assert_eq!(count(&other), 0);
}

/// One that found an empty file does not write over what was put there since.
#[test]
fn database_that_was_made_meanwhile_is_not_made_again() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let [one, other] = [0, 1].map(|it| open(&path, PAGES[it]));
    other
        .execute_batch("begin; select * from sqlite_schema")
        .unwrap();
    one.execute_batch("create table t (x); insert into t values (1)")
        .unwrap();
    drop(one);
    let refused = other.execute_batch("create table t (x)");
    assert_eq!(code(refused), ErrorCode::DatabaseBusy);
    other.execute_batch("rollback").unwrap();
    assert_eq!(count(&other), 1);
}

#[test]
fn connections_of_a_process_see_each_others_commits_and_wait_for_each_other() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    // Format 0 has no views to read from.
    let [one, two] = [(); 2].map(|()| open(&path, PAGES[1]));
    one.execute_batch("create table t (x); insert into t values (1)")
        .unwrap();
    assert_eq!(count(&two), 1);
    one.execute_batch("begin immediate; insert into t values (2)")
        .unwrap();
    assert_eq!(count(&two), 1);
    let refused = two.execute_batch("insert into t values (3)");
    assert_eq!(code(refused), ErrorCode::DatabaseBusy);
    one.execute_batch("commit").unwrap();
    assert_eq!(count(&two), 2);
    // Who reads keeps a commit waiting, and sees one state meanwhile.
    two.execute_batch("begin; select count(*) from t").unwrap();
    assert_eq!(
        code(one.execute_batch("delete from t")),
        ErrorCode::DatabaseBusy
    );
    assert_eq!(count(&two), 2);
    two.execute_batch("commit").unwrap();
    one.execute_batch("delete from t").unwrap();
    assert_eq!(count(&two), 0);
}

#[test]
fn threads_write_and_read_at_once_and_lose_nothing() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let first = open(&path, PAGES[0]);
    first
        .execute_batch("create table t (x); create table sum (s); insert into sum values (0)")
        .unwrap();
    let (done, finished) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (path, done) = (&path, done.clone());
            scope.spawn(move || {
                let db = open(path, PAGES[0]);
                db.busy_timeout(Duration::from_mins(1)).unwrap();
                for round in 0..50 {
                    let x = thread * 1000 + round;
                    db.execute_batch(&format!(
                        "begin immediate; insert into t values ({x});
                         update sum set s = s + {x}; commit"
                    ))
                    .unwrap();
                }
                drop(done);
            });
        }
        drop(done);
        let db = open(&path, PAGES[0]);
        db.busy_timeout(Duration::from_mins(1)).unwrap();
        while finished.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
            let sql = "select total(x) = (select s from sum) from t";
            assert_eq!(rows(&db, sql).unwrap(), ["[Integer(1)]"]);
        }
    });
    assert_eq!(count(&first), 150);
}

/// A pager that may only read follows the commits of one that writes.
#[test]
fn reader_of_another_process_sees_each_commit() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let writer = open(&path, PAGES[0]);
    writer.execute_batch("create table t (x)").unwrap();
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let reader = try_open(&path, PAGES[0], flags).unwrap();
    for round in 0..200 {
        assert_eq!(count(&reader), round);
        writer
            .execute_batch("insert into t values (zeroblob(3000))")
            .unwrap();
    }
    writer.execute_batch("delete from t; vacuum").unwrap();
    assert_eq!(count(&reader), 0);
}

/// A writer whose transaction spilled has left a journal that is not hot: who
/// only reads sees the state before, and lets the journal be.
#[test]
fn reader_is_not_disturbed_by_the_journal_of_a_writer_at_work() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let writer = open(&path, PAGES[0]);
    writer
        .execute_batch(
            "create table t (x); insert into t values (1);
             pragma cache_size = 2; begin;
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 100)
             insert into t select zeroblob(5000) from n",
        )
        .unwrap();
    let journal = path.with_extension("pages-journal");
    assert!(journal.exists());
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let reader = try_open(&path, PAGES[0], flags).unwrap();
    assert_eq!(count(&reader), 1);
    assert!(journal.exists());
    writer.execute_batch("commit").unwrap();
    assert_eq!(count(&reader), 101);
    assert!(!journal.exists());
}
