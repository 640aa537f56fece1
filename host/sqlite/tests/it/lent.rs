//! `pragma mmap_size`: pages that SQLite reads where they are.

use pagebox_tests::scratch::folder;
use rusqlite::{Connection, ffi};

use crate::{PAGES, STOCK, assert_clean, contents, open};

/// Rows over some thousand pages.
const ROWS: &str = "create table t (id integer primary key, x); create table u (x);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)
    insert into t select i, hex(zeroblob(1000 + i % 7)) from n;";

/// Pages that did not come from SQLite's cache, and were copied to it.
#[expect(unsafe_code, reason = "a figure that only SQLite's own function has")]
fn misses(db: &Connection) -> i32 {
    let (mut now, mut most) = (0, 0);
    // SAFETY: the connection is open, and the results are numbers.
    let code = unsafe {
        let miss = ffi::SQLITE_DBSTATUS_CACHE_MISS;
        ffi::sqlite3_db_status(db.handle(), miss, &raw mut now, &raw mut most, 1)
    };
    assert_eq!(code, ffi::SQLITE_OK);
    now
}

fn scan(db: &Connection) -> i64 {
    db.query_row("select total(length(x)) from t", [], |row| {
        #[expect(clippy::cast_possible_truncation, reason = "a whole number")]
        row.get::<_, f64>(0).map(|sum| sum as i64)
    })
    .unwrap()
}

#[test]
fn pages_are_lent_to_who_asks_for_many_and_copied_to_others() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    let db = open(&path, PAGES[0]);
    db.execute_batch(ROWS).unwrap();
    db.execute_batch("pragma cache_size = 10").unwrap();
    let sum = scan(&db);
    misses(&db);
    assert_eq!(scan(&db), sum);
    let copied = misses(&db);
    assert!(copied > 1000, "{copied}");
    db.execute_batch("pragma MMAP_SIZE = 1000000000").unwrap();
    let limit: i64 = db
        .query_row("pragma mmap_size", [], |row| row.get(0))
        .unwrap();
    assert_eq!(limit, 1_000_000_000);
    // The first are copied, the others are not, nor any of the next time.
    for most in [70, 5] {
        assert_eq!(scan(&db), sum);
        let copied = misses(&db);
        assert!(copied <= most, "{copied}");
    }
    // A limit is a number of bytes.
    db.execute_batch("pragma mmap_size = 1000000").unwrap();
    assert_eq!(scan(&db), sum);
    assert!(misses(&db) > 500);
}

/// A statement that reads what was lent to it goes on to, whatever its connection and
/// others write meanwhile, how often they commit, and where the pager puts pages.
#[test]
fn what_is_lent_stays_as_it_was_through_commits_and_compaction() {
    let folder = folder();
    let read = |vfs: &str| {
        let path = folder.path().join(format!("{vfs}.db"));
        let db = open(&path, vfs);
        db.execute_batch(ROWS).unwrap();
        db.execute_batch("pragma cache_size = 10; pragma mmap_size = 1000000000")
            .unwrap();
        let other = open(&path, vfs);
        scan(&db);
        let mut seen = Vec::new();
        let mut statement = db.prepare("select id, x from t").unwrap();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (id, x): (i64, String) = (row.get(0).unwrap(), row.get(1).unwrap());
            if id % 100 == 0 {
                db.execute_batch(
                    "insert into u select x from t limit 20; delete from u where rowid % 3 = 0",
                )
                .unwrap();
            }
            if id % 700 == 0 && vfs == PAGES[0] {
                db.execute_batch("pragma pagebox_compact").unwrap();
            }
            // Stock SQLite lets nobody commit beside a reader.
            if id % 300 == 0 && vfs == PAGES[0] {
                let mut beside = other.prepare("select count(*) from u").unwrap();
                let _: i64 = beside.query_row([], |row| row.get(0)).unwrap();
            }
            seen.push((id, x));
        }
        drop(rows);
        drop(statement);
        let rows = contents(&db);
        drop((db, other));
        if vfs != STOCK {
            assert_clean(&path);
        }
        (seen, rows)
    };
    assert!(read(PAGES[0]) == read(STOCK));
}
