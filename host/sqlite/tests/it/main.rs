//! SQLite over page files: it answers what stock SQLite answers, and loses
//! nothing.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod damage;
mod decoder;
mod extension;
mod failing;
mod kill;
mod ledger;
mod lent;
mod power;
mod processes;
mod random;
mod replaced;
mod same;
mod snapshots;
mod store;
mod views;

use std::path::Path;
use std::sync::{LazyLock, Once};

use pagebox::report::Check;
use pagebox::{Engine, Format};
use pagebox_sqlite::Options;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};

/// SQLite's own VFS.
const STOCK: &str = "unix";
/// Those of format 1 and 0.
const PAGES: [&str; 2] = ["pagebox", "pagebox-0"];

fn engine() -> &'static Engine {
    static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new().unwrap());
    &ENGINE
}

/// Opens a database by one of these VFSs.
fn open(path: &Path, vfs: &str) -> Connection {
    try_open(path, vfs, OpenFlags::default()).unwrap()
}

fn try_open(path: &Path, vfs: &str, flags: OpenFlags) -> rusqlite::Result<Connection> {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        pagebox_sqlite::register(engine()).unwrap();
        Options::new(engine())
            .format(Format::Zero)
            .register(PAGES[1])
            .unwrap();
    });
    Connection::open_with_flags_and_vfs(path, flags, vfs)
}

/// What a query answers, line by line.
fn rows(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut lines = Vec::new();
    while let Some(row) = rows.next()? {
        let values: Vec<Value> = (0..columns)
            .map(|column| row.get(column))
            .collect::<Result<_, _>>()?;
        lines.push(format!("{values:?}"));
    }
    Ok(lines)
}

/// All that is in a database.
fn contents(db: &Connection) -> Vec<String> {
    // Where a table begins is nobody's business.
    let mut lines = rows(
        db,
        "select type, name, sql from sqlite_schema order by name",
    )
    .unwrap();
    let tables = "select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'";
    let mut statement = db.prepare(&format!("{tables} order by name")).unwrap();
    let names = statement.query_map([], |row| row.get::<_, String>(0));
    for name in names.unwrap().map(Result::unwrap) {
        lines.push(name.clone());
        lines.extend(rows(db, &format!("select * from \"{name}\" not indexed")).unwrap());
    }
    lines
}

/// SQLite's own check.
fn assert_sound(db: &Connection) {
    assert_eq!(
        rows(db, "pragma integrity_check").unwrap(),
        ["[Text(\"ok\")]"]
    );
}

/// The pager's check.
fn assert_clean(path: &Path) {
    let check = Check::of_file(engine(), path, |_, _| {}).unwrap();
    assert_eq!((check.errors, check.warnings), (0, 0), "{check:?}");
}
