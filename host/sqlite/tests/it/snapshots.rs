//! Databases as of a snapshot.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{PAGES, assert_clean, open, rows, try_open};

/// A connection to a database as of a snapshot.
fn as_of(path: &Path, snapshot: &str) -> rusqlite::Result<Connection> {
    let path = path.to_str().unwrap();
    let address = format!("file:{path}?vfs=pagebox&snapshot={snapshot}");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(address, flags)
}

/// A line that a query answers, of one column.
fn one(db: &Connection, sql: &str) -> String {
    db.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[test]
fn database_is_read_as_of_a_snapshot_beside_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let db = open(&path, PAGES[0]);
    db.execute_batch("create table t (x); insert into t values (1), (2)")
        .unwrap();
    db.pragma_update(None, "pagebox_snapshot", "two rows")
        .unwrap();
    db.execute_batch("insert into t select x + 10 from t; create table u (y)")
        .unwrap();
    db.pragma_update(None, "pagebox_snapshot", "four").unwrap();
    db.execute_batch("delete from t").unwrap();
    assert_eq!(one(&db, "pragma pagebox_snapshots"), "two rows\nfour");
    let then = as_of(&path, "two%20rows").unwrap();
    let four = as_of(&path, "four").unwrap();
    for round in 0..20 {
        db.execute("insert into t values (?)", [round]).unwrap();
        assert_eq!(one(&then, "select count(*) || '|' || max(x) from t"), "2|2");
        assert_eq!(
            one(&four, "select count(*) || '|' || max(x) from t"),
            "4|12"
        );
    }
    assert!(rows(&then, "select * from u").is_err());
    assert_eq!(one(&four, "pragma integrity_check"), "ok");
    let refused = then.execute_batch("insert into t values (3)").unwrap_err();
    assert_eq!(refused.sqlite_error_code(), Some(ErrorCode::ReadOnly));
    assert_eq!(one(&db, "select '' || count(*) from t"), "20");
    drop((then, four));
    db.pragma_update(None, "pagebox_delete_snapshot", "two rows")
        .unwrap();
    assert_eq!(one(&db, "pragma pagebox_snapshots"), "four");
    drop(db);
    assert_clean(&path);
}

#[test]
fn file_gets_shorter_after_a_vacuum() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let len = || std::fs::metadata(&path).unwrap().len();
    let db = open(&path, PAGES[0]);
    db.execute_batch(
        "create table t (x); with n (i) as (select 1 union all select i + 1 from n limit 3000)
         insert into t select randomblob(800) from n",
    )
    .unwrap();
    let long = len();
    db.execute_batch("delete from t where rowid % 20; vacuum")
        .unwrap();
    assert!(len() >= long);
    let before = one(&db, "select '' || sum(length(x)) from t");
    // Another connection reads meanwhile, and goes on.
    let other = try_open(&path, PAGES[0], OpenFlags::default()).unwrap();
    assert_eq!(one(&other, "select '' || count(*) from t"), "150");
    let told = one(&db, "pragma pagebox_compact");
    assert!(told.contains(" pages given back, "), "{told}");
    assert!(len() < long / 4, "{told}");
    for db in [&db, &other] {
        assert_eq!(one(db, "select '' || sum(length(x)) from t"), before);
        assert_eq!(one(db, "pragma integrity_check"), "ok");
    }
    db.execute_batch("begin immediate; insert into t values (1)")
        .unwrap();
    let text = db.execute_batch("pragma pagebox_compact").unwrap_err();
    assert!(text.to_string().contains("within a transaction"), "{text}");
    let busy = other.execute_batch("pragma pagebox_compact").unwrap_err();
    assert_eq!(busy.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
    db.execute_batch("commit; pragma pagebox_snapshot = 'monday'")
        .unwrap();
    db.execute_batch("insert into t select randomblob(800) from t, t limit 2000; delete from t")
        .unwrap();
    db.execute_batch("vacuum; pragma pagebox_snapshot = 'tuesday'")
        .unwrap();
    one(&db, "pragma pagebox_compact");
    drop((db, other));
    assert_clean(&path);
}

#[test]
fn what_cannot_be_done_with_snapshots_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let db = open(&path, PAGES[0]);
    let refused = |sql: &str| db.execute_batch(sql).unwrap_err().to_string();
    assert!(refused("pragma pagebox_snapshot = 'one'").contains("the database is empty"));
    db.execute_batch("create table t (x); pragma pagebox_snapshot = 'one'")
        .unwrap();
    let text = refused("pragma pagebox_snapshot = 'one'");
    assert!(
        text.contains(r#"there is a snapshot "one" already"#),
        "{text}"
    );
    let text = refused("pragma pagebox_delete_snapshot = 'two'");
    assert!(text.contains(r#"there is no snapshot "two""#), "{text}");
    db.execute_batch("begin immediate; insert into t values (1)")
        .unwrap();
    let text = refused("pragma pagebox_snapshot = 'in'");
    assert!(text.contains("within a transaction"), "{text}");
    db.execute_batch("commit").unwrap();
    let missing = as_of(&path, "none").and_then(|db| rows(&db, "select * from t"));
    let code = missing.unwrap_err().sqlite_error_code();
    assert_eq!(code, Some(ErrorCode::CannotOpen));
    // Another connection is in a transaction that writes.
    let other = try_open(&path, PAGES[0], OpenFlags::default()).unwrap();
    other
        .execute_batch("begin immediate; insert into t values (2)")
        .unwrap();
    let busy = db.execute_batch("pragma pagebox_snapshot = 'busy'");
    let code = busy.unwrap_err().sqlite_error_code();
    assert_eq!(code, Some(ErrorCode::DatabaseBusy));
    other.execute_batch("commit").unwrap();
    db.execute_batch("pragma pagebox_snapshot = 'busy'")
        .unwrap();
    drop((db, other));
    assert_clean(&path);
}
