//! A database in which half of a transaction, or one that is lost, is seen:
//! transaction n changes many rows and says so in one.

use pagebox_tests::rng::Rng;
use rusqlite::Connection;

use crate::assert_sound;

const ROWS: u64 = 400;

/// Makes it; 0 transactions were done.
pub(crate) fn create(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(&format!(
        "begin;
         create table ledger (id integer primary key, value int, filler text);
         create index ledger_value on ledger (value);
         create table state (done int, sum int);
         insert into state values (0, 0);
         with recursive n(i) as (select 0 union all select i + 1 from n where i < {ROWS} - 1)
         insert into ledger select i, 0, hex(zeroblob(40)) from n;
         commit"
    ))
}

/// Does transaction `n`.
pub(crate) fn step(db: &Connection, n: i64, rng: &mut Rng) -> rusqlite::Result<()> {
    let mut changes = Vec::new();
    for _ in 0..rng.between(1, 20) {
        let id = rng.below(ROWS);
        let (value, length) = (rng.below(1_000_000), rng.below(600));
        changes.push(match rng.below(4) {
            0 => format!("delete from ledger where id = {id};"),
            1 => format!("update ledger set value = {value} where id = {id};"),
            _ => format!(
                "insert or replace into ledger values ({id}, {value}, hex(zeroblob({length})));"
            ),
        });
    }
    let sql = format!(
        "begin; {} update state set done = {n}, sum = (select total(value) from ledger); commit",
        changes.concat()
    );
    db.execute_batch(&sql).inspect_err(|_| {
        // A commit that failed leaves the transaction open, or has ended it.
        if !db.is_autocommit() {
            let _ = db.execute_batch("rollback");
        }
    })
}

/// How many transactions were done, all of them wholly.
pub(crate) fn verify(db: &Connection) -> i64 {
    assert_sound(db);
    let sql = "select done, sum = (select total(value) from ledger) from state";
    let (done, adds_up) = db
        .query_row(sql, [], |row| Ok((row.get(0)?, row.get::<_, bool>(1)?)))
        .unwrap();
    assert!(adds_up, "half of a transaction is there");
    done
}
