//! Statements that nobody chose, on stock SQLite and on a page file: the same
//! answers, errors among them.

use std::fmt::Write;

use pagebox_tests::figures;
use pagebox_tests::rng::Rng;
use pagebox_tests::scratch::folder;
use rusqlite::Connection;

use crate::{PAGES, STOCK, assert_clean, assert_sound, contents, open, rows};

/// Columns of every table.
const COLUMNS: [&str; 3] = ["a", "b", "c"];

fn value(rng: &mut Rng) -> String {
    match rng.below(6) {
        0 => "null".into(),
        1 => format!("'text {}'", rng.below(50)),
        2 => format!("zeroblob({})", rng.below(9000)),
        3 => format!("{}.5", rng.below(100)),
        _ => rng.below(200).to_string(),
    }
}

fn condition(rng: &mut Rng) -> String {
    let column = rng.pick(&COLUMNS);
    match rng.below(4) {
        0 => format!("{column} is null"),
        1 => format!("rowid % {} = {}", rng.between(2, 9), rng.below(2)),
        2 => format!("{column} between {} and {}", value(rng), value(rng)),
        _ => format!("{column} < {}", value(rng)),
    }
}

fn statement(rng: &mut Rng) -> String {
    let table = format!("t{}", rng.below(4));
    let column = rng.pick(&COLUMNS);
    match rng.below(24) {
        0 => format!("create table {table} (a, b unique, c)"),
        1 => format!("create table {table} (a primary key, b, c)"),
        2 if rng.chance(1, 4) => format!("drop table {table}"),
        2 => format!("create index {table}_{column} on {table} ({column}, a)"),
        3 => format!("drop index {table}_{column}"),
        4 | 5 => "begin".into(),
        6 => "begin immediate".into(),
        7 | 8 => "commit".into(),
        9 => "rollback".into(),
        10 => format!("savepoint s{}", rng.below(2)),
        11 => format!("release s{}", rng.below(2)),
        12 => format!("rollback to s{}", rng.below(2)),
        13 => format!("pragma cache_size = {}", rng.pick(&[2, 10, 2000])),
        14 if rng.chance(1, 3) => "vacuum".into(),
        14 => format!("pragma incremental_vacuum({})", rng.below(9)),
        15 => format!("pragma auto_vacuum = {}", rng.below(3)),
        16 => format!("delete from {table} where {}", condition(rng)),
        17 => format!(
            "update {table} set {column} = {} where {}",
            value(rng),
            condition(rng)
        ),
        18 => format!(
            "insert or ignore into {table} select {}, rowid + {}, c from {table} limit {}",
            value(rng),
            rng.below(500),
            rng.below(200)
        ),
        19 => format!(
            "select count(*), total({column}), sum(length(c)) from {table} where {}",
            condition(rng)
        ),
        _ => {
            let mut sql = format!("insert or replace into {table} values ");
            for row in 0..rng.between(1, 20) {
                let comma = if row > 0 { "," } else { "" };
                let values = [value(rng), value(rng), value(rng)];
                let _ = write!(sql, "{comma} ({})", values.join(", "));
            }
            sql
        }
    }
}

fn answer(db: &Connection, sql: &str) -> String {
    match rows(db, sql) {
        Ok(rows) => format!("{rows:?}"),
        Err(error) => error.to_string(),
    }
}

fn run(seed: u64, vfs: &str, journal: &str) -> u64 {
    const STATEMENTS: u64 = 600;
    let folder = folder();
    let path = folder.path().join("data.pages");
    let mut rng = Rng::new(seed);
    let stock_path = folder.path().join("stock.db");
    let mut stock = open(&stock_path, STOCK);
    let mut pages = open(&path, vfs);
    let start = format!("pragma journal_mode = {journal}");
    pages.execute_batch(&start).unwrap();
    for db in [&stock, &pages] {
        db.execute_batch("create table t0 (a, b unique, c)")
            .unwrap();
    }
    for number in 0..STATEMENTS {
        let sql = statement(&mut rng);
        let (expected, found) = (answer(&stock, &sql), answer(&pages, &sql));
        assert_eq!(expected, found, "seed {seed}, statement {number}: {sql}");
        if rng.chance(1, 40) && stock.is_autocommit() {
            assert!(
                contents(&stock) == contents(&pages),
                "seed {seed}, {number}"
            );
            drop((stock, pages));
            assert_clean(&path);
            (stock, pages) = (open(&stock_path, STOCK), open(&path, vfs));
            pages.execute_batch(&start).unwrap();
            assert_sound(&pages);
        }
    }
    STATEMENTS
}

#[test]
fn random_statements_are_answered_as_by_stock_sqlite() {
    let mut count = 0;
    for seed in 0..12 {
        let journal = ["memory", "delete", "truncate"][usize::try_from(seed % 3).unwrap()];
        count += run(seed, PAGES[usize::from(seed % 4 == 3)], journal);
    }
    figures::print(&format!(
        "{count} random statements of SQL: all answers the same"
    ));
}
