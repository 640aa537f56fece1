//! The page decoder for databases, `host/examples/decoders/sqlite`: what it says of
//! pages that SQLite wrote, of each kind. Natively: the component only converts.

use std::collections::BTreeSet;
use std::path::Path;

use pagebox::decode::{At, Decode, Decoded, Field, Target};
use pagebox::report::{Check, Decoding};
use pagebox::{Error, Pager, ProtectedId};

use crate::{PAGES, assert_sound, engine, open};

#[path = "../../../examples/decoders/sqlite/src/pages.rs"]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "of numbers that a page can hold"
)]
mod pages;

struct Native;

impl Decode for Native {
    fn name(&self) -> &'static str {
        pages::NAME
    }

    fn decode(&self, bytes: &[u8], at: At) -> Result<Option<Decoded>, Error> {
        let page = at.protected.and_then(|id| pages::decode(bytes, id));
        Ok(page.map(|page| Decoded {
            kind: page.kind.into(),
            title: page.title,
            letter: page.letter,
            summary: page.summary,
            fields: page.parts.into_iter().map(field).collect(),
        }))
    }
}

fn field(part: pages::Part) -> Field {
    Field {
        name: part.name,
        offset: u32::try_from(part.offset).unwrap(),
        len: u32::try_from(part.len).unwrap(),
        value: part.value,
        meaning: part.meaning.into(),
        refers_to: part.names.map(Target::Protected),
        problem: part.problem,
    }
}

/// A database with pages of every kind: rows that go on in other pages, an index of
/// several levels, and pages that are free.
fn database(path: &Path) {
    let db = open(path, PAGES[0]);
    db.execute_batch(
        "pragma journal_mode = memory;
         create table words (id integer primary key, word text, number real);
         create index by_word on words (word);
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
             insert into words select i, 'word ' || i, i / 2.0 from n;
         create table long (content blob);
         insert into long values (zeroblob(100000)), (randomblob(50000));
         create table gone (content text);
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000)
             insert into gone select hex(randomblob(20)) from n;
         drop table gone;",
    )
    .unwrap();
    assert_sound(&db);
}

fn read(pager: &Pager, id: u64) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    pager
        .read_protected(ProtectedId::new(id), 0, &mut bytes)
        .unwrap();
    bytes
}

fn decoded(path: &Path) -> (Check, Decoding) {
    let mut check = Check::of_file(engine(), path, |_, _| {}).unwrap();
    check
        .decode(engine(), path, None, &Native, |_, _| {})
        .unwrap();
    let told = check.decoded.clone().unwrap();
    (check, told)
}

#[test]
fn every_page_of_a_database_is_known_and_sound() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    database(&path);
    let (check, told) = decoded(&path);
    assert!(
        check.is_sound() && check.findings.is_empty(),
        "{:?}",
        check.findings
    );
    assert_eq!(told.known, told.pages, "{told:?}");
    let kinds: Vec<_> = told.kinds.iter().map(|it| &*it.kind).collect();
    for kind in [
        "freelist-trunk",
        "index-interior",
        "index-leaf",
        "overflow",
        "table-interior",
        "table-leaf",
    ] {
        assert!(kinds.contains(&kind), "no {kind}: {told:?}");
    }
}

/// The schema names where tables and indices begin, so that nothing of a database is
/// out of reach of its first page.
#[test]
fn every_page_is_reached_from_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    database(&path);
    let db = open(&path, PAGES[0]);
    db.execute_batch("create view seen as select word from words")
        .unwrap();
    let pages: u32 = db
        .query_row("pragma page_count", [], |row| row.get(0))
        .unwrap();
    drop(db);
    let pager = engine().open_read_only(&path).unwrap();
    let mut reached = BTreeSet::from([0]);
    let mut waiting = vec![0];
    let mut roots = Vec::new();
    while let Some(id) = waiting.pop() {
        let at = At {
            page: None,
            protected: Some(id),
        };
        // A leaf of the freelist is what it was.
        let Some(page) = Native.decode(&read(&pager, id), at).unwrap() else {
            continue;
        };
        for field in page.fields {
            if let Some(Target::Protected(to)) = field.refers_to
                && reached.insert(to)
            {
                waiting.push(to);
            }
            roots.extend(field.name.strip_prefix("root of ").map(str::to_owned));
        }
    }
    assert_eq!(roots, ["words", "by_word", "long"]);
    assert!(reached.into_iter().eq(0..u64::from(pages)));
}

/// The cells of the leaves that are walked to from the root are the rows.
#[test]
fn tree_that_is_walked_from_its_root_has_every_row_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    database(&path);
    let db = open(&path, PAGES[0]);
    let root: i64 = db
        .query_row(
            "select rootpage from sqlite_schema where name = 'words'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    drop(db);
    let pager = engine().open_read_only(&path).unwrap();
    let mut rows = Vec::new();
    let mut waiting = vec![u64::try_from(root - 1).unwrap()];
    while let Some(id) = waiting.pop() {
        let bytes = read(&pager, id);
        let at = At {
            page: None,
            protected: Some(id),
        };
        let page = Native.decode(&bytes, at).unwrap().unwrap();
        for field in page.fields {
            assert_eq!(field.problem, "");
            match field.refers_to {
                Some(Target::Protected(child)) => waiting.push(child),
                _ if field.name.starts_with("cell ") && page.kind == "table-leaf" => {
                    rows.push(field.value);
                }
                _ => {}
            }
        }
    }
    rows.sort_by_key(|row| row[4..].split(':').next().unwrap().parse::<u64>().unwrap());
    assert_eq!(rows.len(), 20_000);
    assert_eq!(rows[2], "row 3: null, \"word 3\", 1.5");
    assert_eq!(rows[19_999], "row 20000: null, \"word 20000\", 10000");
}

/// Whatever the bytes are, it answers.
#[test]
fn bytes_of_any_kind_are_decoded_without_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    database(&path);
    let pager = engine().open_read_only(&path).unwrap();
    let mut random = 1_u64;
    let mut problems = 0;
    for round in 0..3000_u64 {
        let id = round % 40;
        let mut bytes = read(&pager, id);
        for _ in 0..8 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let place = usize::try_from(random >> 33).unwrap() % 300;
            bytes[place] = random.to_le_bytes()[3];
        }
        let at = At {
            page: None,
            protected: Some(id),
        };
        if let Some(page) = Native.decode(&bytes, at).unwrap() {
            problems += page
                .fields
                .iter()
                .filter(|it| !it.problem.is_empty())
                .count();
            let end = |it: &Field| (it.offset + it.len) as usize;
            assert!(page.fields.iter().all(|it| end(it) <= bytes.len()));
        }
    }
    assert!(problems > 1000, "{problems}");
}
