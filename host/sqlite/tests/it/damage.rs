//! Media that are full, and files that are not what they should be.

use std::fs;
use std::sync::Once;

use pagebox::{Access, Engine, Limits};
use pagebox_sqlite::Options;
use pagebox_tests::scratch::folder;
use rusqlite::{Connection, ErrorCode, ffi};

use crate::{PAGES, STOCK, assert_clean, assert_sound, engine, open, rows};

fn extended(result: rusqlite::Result<()>) -> i32 {
    match result {
        Err(rusqlite::Error::SqliteFailure(error, _)) => error.extended_code,
        other => panic!("{other:?}"),
    }
}

fn count(db: &Connection) -> i64 {
    db.query_row("select count(*) from t", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn full_medium_ends_a_statement_and_nothing_else() {
    const SMALL: &str = "small";
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let mut limits = Limits::default();
        limits.store = 1 << 20;
        let engine = Engine::with_limits(limits).unwrap();
        Options::new(&engine).register(SMALL).unwrap();
    });
    for journal in ["memory", "delete"] {
        let folder = folder();
        let path = folder.path().join("data.pages");
        // This registers the others.
        drop(open(&folder.path().join("other.pages"), PAGES[0]));
        let db = open(&path, SMALL);
        db.execute_batch(&format!(
            "pragma journal_mode = {journal}; create table t (id integer primary key, x)"
        ))
        .unwrap();
        let insert = "insert into t (x) values (zeroblob(20000))";
        let full = (0..100).find_map(|_| db.execute_batch(insert).err());
        assert_eq!(full.unwrap().sqlite_error_code(), Some(ErrorCode::DiskFull));
        let before = count(&db);
        assert!(before > 10, "{before}");
        // One that spills before it finds that out.
        let spills = "pragma cache_size = 4; begin; update t set x = zeroblob(100) where id < 5;
                      insert into t (x) select zeroblob(20000) from t a, t b; commit";
        let full = db.execute_batch(spills).unwrap_err();
        assert_eq!(full.sqlite_error_code(), Some(ErrorCode::DiskFull));
        if !db.is_autocommit() {
            db.execute_batch("rollback").unwrap();
        }
        assert_eq!(count(&db), before, "{journal}");
        assert_sound(&db);
        // What SQLite has free is reused. To move all of a database takes as much
        // room again.
        db.execute_batch("delete from t where id > 5").unwrap();
        if let Err(full) = db.execute_batch("vacuum") {
            assert_eq!(full.sqlite_error_code(), Some(ErrorCode::DiskFull));
        }
        db.execute_batch(insert).unwrap();
        assert_eq!(count(&db), 6);
        assert_sound(&db);
        drop(db);
        assert_clean(&path);
    }
}

/// Its limit of memory is met in the middle of a transaction.
#[test]
fn transaction_that_is_too_large_is_undone_wholly() {
    const NARROW: &str = "narrow";
    let folder = folder();
    let path = folder.path().join("data.pages");
    drop(open(&folder.path().join("other.pages"), PAGES[0]));
    let mut limits = Limits::default();
    limits.staged = 100 << 12;
    let engine = Engine::with_limits(limits).unwrap();
    Options::new(&engine).register(NARROW).unwrap();
    for locking in ["normal", "exclusive"] {
        for pages in [2, 2000] {
            let db = open(&path, NARROW);
            db.execute_batch(&format!(
                "pragma journal_mode = memory; pragma locking_mode = {locking};
                 pragma cache_size = {pages}; create table if not exists t (x)"
            ))
            .unwrap();
            for _ in 0..2 {
                let before = count(&db);
                let sql = "insert into t values (zeroblob(200)), (zeroblob(500000))";
                let full = db.execute_batch(sql).unwrap_err();
                assert_eq!(full.sqlite_error_code(), Some(ErrorCode::DiskFull));
                assert_eq!(count(&db), before);
                assert_sound(&db);
                db.execute_batch("insert into t values (1)").unwrap();
                assert_eq!(count(&db), before + 1);
                assert_sound(&db);
            }
        }
        assert_clean(&path);
    }
}

#[test]
fn page_that_rotted_is_an_error_and_no_other_row() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let db = open(&path, PAGES[0]);
    db.execute_batch(
        "create table t (id integer primary key, x text);
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 500)
         insert into t select i, 'row ' || i || hex(zeroblob(50)) from n",
    )
    .unwrap();
    let check = "pragma pagebox_check";
    assert_eq!(rows(&db, check).unwrap(), ["[Text(\"ok\")]"]);
    drop(db);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|it| it == b"row 4500").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let db = open(&path, PAGES[0]);
    let mut good = 0;
    for id in 1..=500 {
        let row = db.query_row("select x from t where id = ?", [id], |row| {
            row.get::<_, String>(0)
        });
        match row {
            Ok(text) => {
                assert!(text.starts_with(&format!("row {id}0")), "{text}");
                good += 1;
            }
            Err(error) => assert_eq!(extended(Err(error)), ffi::SQLITE_IOERR_DATA),
        }
    }
    assert!((400..500).contains(&good), "{good} rows were read");
    let found = rows(&db, check).unwrap();
    assert!(found[0].contains("the checksum of page"), "{found:?}");
}

#[test]
fn file_of_stock_sqlite_is_refused_and_stays_as_it_is() {
    let folder = folder();
    let path = folder.path().join("stock.db");
    open(&path, STOCK)
        .execute_batch("create table t (x)")
        .unwrap();
    let before = fs::read(&path).unwrap();
    let db = open(&path, PAGES[0]);
    let refused = db.execute_batch("insert into t values (1)").unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::NotADatabase));
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// The other way round: nothing of a page file is taken for a database.
#[test]
fn page_file_of_another_program_is_no_database() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let mut pager = engine().create(&path, pagebox::PageSize::KIB_4).unwrap();
    assert_eq!(pager.access(), Access::Write);
    let id = pager.alloc_protected().unwrap();
    let mut tx = pager.begin().unwrap();
    tx.write(id).unwrap().fill(7);
    tx.commit().unwrap();
    drop(pager);
    let db = open(&path, PAGES[0]);
    let refused = rows(&db, "select * from sqlite_schema").unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::NotADatabase));
}

#[test]
fn file_that_may_only_be_read_is_read() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let missing = crate::try_open(&path, PAGES[0], rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY);
    assert_eq!(
        missing.unwrap_err().sqlite_error_code(),
        Some(ErrorCode::CannotOpen)
    );
    open(&path, PAGES[0])
        .execute_batch("create table t (x); insert into t values (1)")
        .unwrap();
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let before = fs::read(&path).unwrap();
    let db = crate::try_open(&path, PAGES[0], flags).unwrap();
    assert_eq!(count(&db), 1);
    let refused = db.execute_batch("insert into t values (2)").unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::ReadOnly));
    drop(db);
    assert_eq!(fs::read(&path).unwrap(), before);
}
