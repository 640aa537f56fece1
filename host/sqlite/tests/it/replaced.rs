//! A name that is given to another file while a connection is open: who opens it then
//! gets the other one, as with stock SQLite, and nobody writes to what has no name.

use std::fs;

use pagebox_tests::scratch::folder;
use rusqlite::{Connection, Error, ErrorCode};

use crate::{PAGES, STOCK, assert_clean, open};

fn value(db: &Connection) -> i64 {
    db.query_row("select max(x) from t", [], |row| row.get(0))
        .unwrap()
}

fn fill(db: &Connection, value: i64) {
    let text = format!("create table t (x); insert into t values ({value})");
    db.execute_batch(&text).unwrap();
}

#[test]
fn replaced_file_is_opened_anew_and_the_old_one_is_not_written() {
    for vfs in [STOCK, PAGES[0], PAGES[1]] {
        for by_name in [true, false] {
            let folder = folder();
            let path = folder.path().join("data.pages");
            let first = open(&path, vfs);
            fill(&first, 1);
            assert_eq!(value(&first), 1);
            if by_name {
                let other = folder.path().join("other.pages");
                fill(&open(&other, vfs), 2);
                fs::rename(other, &path).unwrap();
            } else {
                fs::remove_file(&path).unwrap();
                fill(&open(&path, vfs), 2);
            }
            let second = open(&path, vfs);
            assert_eq!(value(&second), 2, "{vfs}");
            second.execute_batch("insert into t values (3)").unwrap();
            // What the first one has open has no name.
            assert_eq!(value(&first), 1, "{vfs}");
            let refused = first.execute_batch("insert into t values (9)").unwrap_err();
            let Error::SqliteFailure(refused, _) = refused else {
                panic!("{refused}");
            };
            assert_eq!(refused.code, ErrorCode::ReadOnly, "{vfs}");
            drop(first);
            second.execute_batch("insert into t values (4)").unwrap();
            drop(second);
            assert_eq!(value(&open(&path, vfs)), 4, "{vfs}");
            if vfs != STOCK {
                assert_clean(&path);
            }
        }
    }
}
