//! The VFS as an extension of other programs' SQLite: the `sqlite3` shell and
//! Python change one database in turn with this one, and the viewer and the pager's own
//! tools look at it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pagebox::inspect::Inspector;
use pagebox::report::{Info, Listing};
use pagebox_tests::scratch::folder;

use rusqlite::Connection;

use crate::{PAGES, assert_clean, assert_sound, engine, open, rows};

/// What `cargo test` builds with the tests.
fn extension() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let name = format!(
        "{}pagebox_vfs{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let built = program.ancestors().nth(2).unwrap().join("examples");
    let extension = built.join(name);
    assert!(
        extension.exists(),
        "cargo build --example pagebox_vfs makes {}",
        extension.display()
    );
    extension
}

/// Runs a program; none: this machine has no such program, or one that loads no
/// extensions and says so by its exit code.
fn run(command: &mut Command) -> Option<String> {
    const LOADS_NONE: i32 = 77;
    let output = command.output();
    let missing = match &output {
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        Ok(output) => output.status.code() == Some(LOADS_NONE),
    };
    if missing {
        let required = std::env::var_os("PAGEBOX_REQUIRE_SQLITE").is_some();
        assert!(!required, "{command:?}: {output:?}");
        eprintln!("skipped: {command:?}: {output:?}");
        return None;
    }
    let output = output.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn shell(path: &Path, sql: &str) -> Option<String> {
    let load = format!(".load {}", extension().display());
    let opened = format!(".open file:{}?vfs=pagebox", path.display());
    run(Command::new("sqlite3").args([":memory:", &load, ".bail on", &opened, sql]))
}

const PYTHON: &str = r#"
import sqlite3, sys
extension, path = sys.argv[1:]
loader = sqlite3.connect(":memory:")
if not hasattr(loader, "enable_load_extension"):
    sys.exit(77)
loader.enable_load_extension(True)
loader.load_extension(extension)
db = sqlite3.connect(f"file:{path}?vfs=pagebox", uri=True)
with db:
    db.executemany("insert into t values (?, ?)", [(n, "python") for n in range(1000)])
print(db.execute("select count(*) from t").fetchone()[0])
print(db.execute("pragma integrity_check").fetchone()[0])
"#;

fn python(path: &Path) -> Option<String> {
    // The system's, whose SQLite loads extensions.
    let python = Path::new("/usr/bin/python3");
    run(Command::new(python)
        .args(["-c", PYTHON])
        .arg(extension())
        .arg(path))
}

/// What the viewer's overview says of the file, as JSON; none: there is no viewer.
fn viewer(path: &Path) -> Option<String> {
    let program = std::env::current_exe().unwrap();
    let built = program.ancestors().nth(2).unwrap().join("pagebox-viewer");
    if !built.exists() {
        let line = "no viewer: `cargo build -p pagebox-viewer` at the top of the repository";
        let required = std::env::var_os("PAGEBOX_REQUIRE_SQLITE").is_some();
        assert!(!required, "{line}");
        eprintln!("skipped: {line}");
        return None;
    }
    let mut viewer = Command::new(built)
        .arg("--no-open")
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(viewer.stdout.take().unwrap()).lines();
    let mut addresses = said.map_while(Result::ok).filter_map(|line| {
        let (_, address) = line.split_once("http://")?;
        let end = address.find(|it: char| !it.is_ascii_digit() && it != '.' && it != ':');
        Some(address[..end.unwrap_or(address.len())].to_owned())
    });
    let address = addresses.next().expect("it says where it is");
    let mut stream = TcpStream::connect(&address).unwrap();
    let request =
        format!("GET /f/1/overview.json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    viewer.kill().unwrap();
    viewer.wait().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Some(answer)
}

/// Looks at a database by the viewer, if there is one.
fn assert_viewer_shows(path: &Path, pages: i64) {
    let Some(answer) = viewer(path) else {
        return;
    };
    for part in [
        "\"verdict\":\"clean\"",
        &format!("\"protected_pages\":{pages},"),
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
}

fn pages_of(db: &Connection) -> i64 {
    let pages = db.query_row("pragma page_count", [], |row| row.get(0));
    pages.unwrap()
}

#[test]
fn shell_python_the_viewer_and_the_pagers_tools_share_a_database_in_turn() {
    let folder = folder();
    let path = folder.path().join("data.pages");
    // The shell may make it, too.
    let sql = "create table t (n int, who text); insert into t values (1, 'shell');
               pragma journal_mode; select count(*) from t;";
    let Some(said) = shell(&path, sql) else {
        return;
    };
    assert_eq!(said, "delete\n1\n");
    assert_clean(&path);

    let db = open(&path, PAGES[0]);
    db.execute_batch("insert into t values (2, 'rust')")
        .unwrap();
    // It looks while the database is open.
    assert_viewer_shows(&path, pages_of(&db));
    drop(db);

    let Some(said) = python(&path) else {
        return;
    };
    assert_eq!(said, "1002\nok\n");
    assert_clean(&path);
    let db = open(&path, PAGES[0]);
    let pages = pages_of(&db);
    drop(db);
    assert_viewer_shows(&path, pages);

    let said = shell(
        &path,
        "delete from t where n % 2; vacuum; select who, count(*) from t group by who order by who;",
    );
    assert_eq!(said.unwrap(), "python|500\nrust|1\n");

    let mut inspector: Inspector = engine().inspect(&path).unwrap();
    assert_eq!(Info::of(&mut inspector).unwrap().recovery, "clean");
    let pages = Listing::of(&mut inspector).unwrap().protected.len() as u64;
    let db = open(&path, PAGES[0]);
    assert_sound(&db);
    let expected = format!("[\"[Integer({pages})]\"]");
    assert_eq!(
        format!("{:?}", rows(&db, "pragma page_count").unwrap()),
        expected
    );
}
