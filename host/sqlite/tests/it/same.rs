//! One workload on stock SQLite and on page files: after each step the same rows
//! are there, in every way to keep a journal.

use std::path::Path;

use pagebox::report::Info;
use pagebox_tests::scratch::folder;
use rusqlite::{Connection, OpenFlags};

use crate::{PAGES, STOCK, assert_clean, assert_sound, contents, engine, open, rows, try_open};

/// Rows that a generator makes, so that a step is a line.
const NUMBERS: &str = "with recursive n(i) as (select 1 union all select i + 1 from n where i < ";

fn insert(table: &str, count: u32, values: &str) -> String {
    format!("insert into {table} {NUMBERS} {count}) select {values} from n;")
}

/// What is done to rows, a step after the other.
fn steps() -> Vec<(&'static str, String)> {
    vec![
        (
            "schema",
            "create table a (id integer primary key, k int, v text, x real);
             create table b (k text primary key, v blob) without rowid;
             create table c (id integer primary key, big blob);
             create index a_k on a (k); create index a_v on a (v, k);
             create index a_x on a (x) where x > 10;
             create trigger t after delete on a begin
                 update c set big = zeroblob(length(big) % 997) where id = old.id % 50;
             end;"
                .into(),
        ),
        (
            "rows",
            format!(
                "begin; {} {} {} commit;",
                insert(
                    "a (k, v, x)",
                    3000,
                    "i * 7919 % 10007, 'value ' || i, i / 7.0"
                ),
                insert(
                    "b",
                    3000,
                    "'key ' || (i * 104729 % 1299709), zeroblob(i % 90)"
                ),
                insert("c (big)", 50, "zeroblob(i * 1000)"),
            ),
        ),
        (
            "changes",
            "update a set v = v || '!', k = k + 1 where id % 3 = 0;
             delete from a where id % 7 = 0;
             update b set v = zeroblob(200) where k > 'key 9';
             delete from c where id > 40;"
                .into(),
        ),
        (
            "roll-back",
            format!(
                "begin; delete from b; update a set v = 'gone'; {} rollback;",
                insert("a (k)", 500, "i")
            ),
        ),
        (
            "savepoints",
            "begin; update a set x = x + 1 where id < 500; savepoint one;
             delete from a where id < 300; savepoint two; delete from b; rollback to two;
             update a set k = -k where id > 2500; release two; rollback to one;
             update a set v = 'kept' where id = 450; commit;"
                .into(),
        ),
        (
            "spill",
            format!(
                "pragma cache_size = 10; begin; {} update a set v = v || ' and longer'; commit;",
                insert("a (k, v)", 3000, "i, 'spilled ' || i")
            ),
        ),
        (
            "spilled roll-back",
            format!(
                "begin; update a set v = 'short', x = null; delete from b where k < 'key 5'; {}
                 rollback; pragma cache_size = -2000;",
                insert("c (big)", 300, "zeroblob(3000)")
            ),
        ),
    ]
}

/// What is done to files after that. `OTHER` is another database.
fn more_steps() -> Vec<(&'static str, String)> {
    vec![
        (
            "vacuum",
            "delete from a where id > 1000; delete from c; vacuum;".into(),
        ),
        (
            "growth over what was cut off",
            insert("c (big)", 40, "zeroblob(5000 + i)"),
        ),
        (
            "two files",
            "attach 'OTHER' as other; create table other.t (x); begin;
             insert into other.t select k from a limit 100; delete from a where id < 100; commit;
             begin; delete from other.t; update a set k = 0; rollback;
             update a set x = (select count(*) from other.t); detach other;"
                .into(),
        ),
        (
            "incremental vacuum",
            "pragma auto_vacuum = incremental; vacuum; delete from c where id % 2;
             pragma incremental_vacuum(20); pragma incremental_vacuum;"
                .into(),
        ),
        (
            "another page size",
            "pragma auto_vacuum = none; pragma page_size = 8192; vacuum;
             update a set v = v || '8'; pragma page_size = 1024; vacuum;
             update a set v = v || '1'; pragma page_size = 4096; vacuum;"
                .into(),
        ),
        (
            "temporary and in memory",
            "create temp table s as select * from a; attach ':memory:' as m;
             create table m.t as select * from temp.s; delete from a where id % 11 = 0;
             begin; insert into a select * from m.t where id % 11 = 0 and id < 500;
             delete from m.t; rollback; insert into a select * from m.t where id % 11 = 0;
             drop table temp.s; detach m;"
                .into(),
        ),
        (
            "indices",
            "reindex; analyze; drop index a_v; delete from b; vacuum;".into(),
        ),
    ]
}

fn run(db: &Connection, sql: &str, other: &Path) {
    db.execute_batch(&sql.replace("OTHER", other.to_str().unwrap()))
        .unwrap_or_else(|error| panic!("{error}: {sql}"));
}

fn compare(vfs: &str, pragmas: &str) {
    let folder = folder();
    let [stock, pages] = [STOCK, vfs].map(|vfs| {
        let path = folder.path().join(format!("{vfs}.db"));
        (open(&path, vfs), path)
    });
    pages.0.execute_batch(pragmas).unwrap();
    for (name, sql) in steps().into_iter().chain(more_steps()) {
        for (db, path) in [&stock, &pages] {
            run(db, &sql, &path.with_extension("other"));
        }
        assert!(
            contents(&stock.0) == contents(&pages.0),
            "{vfs}, {pragmas}: after {name} other rows are there"
        );
        assert_sound(&pages.0);
    }
    let expected = contents(&stock.0);
    let path = pages.1;
    let copy = path.with_extension("copy");
    run(&pages.0, "vacuum into 'OTHER'", &copy);
    assert!(contents(&open(&copy, vfs)) == expected, "{vfs}: the copy");
    assert_clean(&copy);
    drop(pages.0);
    let again = open(&path, vfs);
    assert!(contents(&again) == expected, "{vfs}, {pragmas}: reopened");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let reader = try_open(&path, vfs, flags).unwrap();
    assert!(
        contents(&reader) == expected,
        "{vfs}, {pragmas}: only to read"
    );
    reader.execute_batch("delete from a").unwrap_err();
    assert_clean(&path);
    assert_clean(&path.with_extension("other"));
    // The page file has as many protected pages as the database is long.
    let size = "select page_count * page_size from pragma_page_count, pragma_page_size";
    let bytes: i64 = again.query_row(size, [], |row| row.get(0)).unwrap();
    let mut inspector = engine().inspect(&path).unwrap();
    let info = Info::of(&mut inspector).unwrap();
    let expected = bytes.cast_unsigned().div_ceil(info.page_size.into());
    assert_eq!(info.protected_pages, Some(expected), "{vfs}, {pragmas}");
    // Those of SQLite are left where it is to keep its journal.
    let keeps = pragmas.contains("persist") || pragmas.contains("truncate");
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .filter(|it| it.ends_with("-new") || it.ends_with("-journal") && !keeps)
        .collect();
    assert!(left.is_empty(), "{vfs}, {pragmas}: {left:?} is left");
}

#[test]
fn rows_are_those_of_stock_sqlite_without_a_journal() {
    for vfs in PAGES {
        compare(vfs, "pragma journal_mode = memory");
    }
}

#[test]
fn rows_are_those_of_stock_sqlite_with_its_usual_journal() {
    for vfs in PAGES {
        compare(vfs, "");
    }
}

#[test]
fn rows_are_those_of_stock_sqlite_with_other_journals() {
    for mode in ["truncate", "persist"] {
        compare(PAGES[0], &format!("pragma journal_mode = {mode}"));
    }
}

#[test]
fn rows_are_those_of_stock_sqlite_without_syncs() {
    for vfs in PAGES {
        compare(vfs, "pragma synchronous = off");
        compare(
            vfs,
            "pragma synchronous = off; pragma journal_mode = memory",
        );
    }
}

#[test]
fn rows_are_those_of_stock_sqlite_for_who_locks_exclusively() {
    compare(PAGES[0], "pragma locking_mode = exclusive");
    compare(
        PAGES[0],
        "pragma locking_mode = exclusive; pragma journal_mode = memory",
    );
}

/// Those that are lent are not copied to its cache.
#[test]
fn rows_are_those_of_stock_sqlite_with_pages_that_are_lent() {
    for more in [
        "cache_size = 10",
        "page_size = 1024",
        "journal_mode = memory",
    ] {
        compare(
            PAGES[0],
            &format!("pragma mmap_size = 1000000000; pragma {more}"),
        );
    }
}

/// From the smallest pages of SQLite, of which two are in one of a pager, to the
/// largest.
#[test]
fn rows_are_those_of_stock_sqlite_with_pages_of_any_size() {
    for size in [512, 1024, 65536] {
        compare(
            PAGES[0],
            &format!("pragma page_size = {size}; pragma journal_mode = memory"),
        );
    }
}

#[test]
fn file_is_empty_until_something_is_written() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let db = open(&path, PAGES[0]);
    assert_eq!(rows(&db, "select * from sqlite_schema").unwrap().len(), 0);
    db.execute_batch("begin immediate; rollback").unwrap();
    drop(db);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let db = open(&path, PAGES[0]);
    db.execute_batch("begin; create table t (x); rollback; create table t (y)")
        .unwrap();
    drop(db);
    let db = open(&path, PAGES[0]);
    db.execute_batch("insert into t (y) values (1)").unwrap();
    assert_clean(&path);
}

/// Stock SQLite says of this mode that a database may be ruined by a roll-back.
#[test]
fn transaction_that_spilled_is_rolled_back_without_any_journal() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let db = open(&path, PAGES[0]);
    db.execute_batch(&format!(
        "pragma journal_mode = off; pragma cache_size = 2; create table t (x); {}",
        insert("t", 300, "'row ' || i || hex(zeroblob(200))")
    ))
    .unwrap();
    let before = contents(&db);
    for _ in 0..3 {
        db.execute_batch("begin; update t set x = 'changed ' || x; delete from t; rollback")
            .unwrap();
        assert!(contents(&db) == before, "other rows are there");
        assert_sound(&db);
    }
    db.execute_batch("insert into t values (2)").unwrap();
    assert_sound(&db);
    assert_clean(&path);
}

/// Before anything is read of the tables, as `pragma page_size` does not.
#[test]
fn size_of_pages_is_known_when_a_database_is_opened() {
    for vfs in PAGES {
        let folder = folder();
        let path = folder.path().join("data.pages");
        open(&path, vfs)
            .execute_batch("pragma page_size = 16384; create table t (x)")
            .unwrap();
        for flags in [OpenFlags::default(), OpenFlags::SQLITE_OPEN_READ_ONLY] {
            let db = try_open(&path, vfs, flags).unwrap();
            let size: i64 = db
                .pragma_query_value(None, "page_size", |row| row.get(0))
                .unwrap();
            assert_eq!(size, 16384, "{vfs}");
        }
        // Nothing is locked by that.
        let _first = open(&path, vfs);
        let _writer = engine().open(&path).unwrap();
    }
}
