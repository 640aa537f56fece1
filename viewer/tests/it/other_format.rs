//! A file of a format that no screen has words for: its structures are shown by
//! their titles, its pages by their kinds.

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use pagebox_viewer::{
    Builder, Look, LookError, Target,
    records::{
        Algorithm, Checksum, Entry, Field, FindingsPart, FreeSpace, OwnedPage, PageInfo, PageKind,
        Recovery, Structure, Summary, Tile,
    },
    router,
};
use scraper::{Html, Selector};
use serde_json::{Value, json};
use tower::ServiceExt;

/// The code of a kind that no screen knows.
const LEAF: u8 = 42;

#[derive(Clone, Copy)]
struct Other;

impl Target for Other {
    fn open(&self) -> Result<Box<dyn Look>, LookError> {
        Ok(Box::new(*self))
    }

    fn identity(&self) -> Result<u64, LookError> {
        Ok(0)
    }
}

fn structure(name: &str, title: &str, page: u64, counts: bool) -> Structure {
    Structure {
        name: name.to_owned(),
        title: title.to_owned(),
        page,
        counts,
        valid: Some(true),
        fields: vec![Field {
            name: "generation".to_owned(),
            offset: 0,
            len: 1,
            value: "7".to_owned(),
            meaning: String::new(),
            refers_to: None,
            problem: String::new(),
        }],
    }
}

fn own(page: u64) -> OwnedPage {
    OwnedPage { page, kind: LEAF }
}

fn entry(id: u64, page: Option<u64>, pages: Vec<OwnedPage>) -> Entry {
    Entry {
        id,
        page,
        pages,
        generation: 1,
        checksum: Checksum {
            algorithm: Algorithm::Xxh3,
            low: 0x1234,
            high: 1 << 63,
        },
        actual: None,
        problem: String::new(),
        place: format!("entry {id} of leaf 0"),
    }
}

impl Look for Other {
    fn summary(&mut self) -> Result<Summary, LookError> {
        Ok(Summary {
            format: "9.0".to_owned(),
            capabilities: vec!["snapshots".to_owned()],
            page_size: 1024,
            page_count: Some(8),
            file_pages: 8,
            tail: 0,
            free_pages: Some(0),
            regular_pages: None,
            protected_pages: Some(2),
            internal_pages: None,
            generation: Some(7),
            page_limit: 100,
            protected_limit: 10,
            protected_capacity: Some(5),
            snapshots: Some(0),
            recovery: Recovery {
                verdict: "clean".to_owned(),
                explanation: "all is well".to_owned(),
                steps: Vec::new(),
            },
            last_commit: None,
        })
    }

    fn page_kinds(&mut self) -> Result<Vec<PageKind>, LookError> {
        Ok(vec![PageKind {
            code: LEAF,
            name: "space-leaf".to_owned(),
            letter: "l".to_owned(),
            description: "a leaf".to_owned(),
            count: 8,
        }])
    }

    fn kinds(&mut self, first: u64, count: u32) -> Result<Vec<u8>, LookError> {
        let left = 8_u64.saturating_sub(first).min(u64::from(count));
        Ok((0..left).map(|_| LEAF).collect())
    }

    fn tiles(&mut self, first: u64, _: u64, _: u32) -> Result<Vec<Tile>, LookError> {
        Ok(vec![Tile {
            first,
            count: 8,
            kind: LEAF,
            worst: None,
            used: 8,
        }])
    }

    fn free_space(&mut self) -> Result<FreeSpace, LookError> {
        Ok(FreeSpace {
            runs: Vec::new(),
            longest: Some(0),
        })
    }

    fn structures(&mut self, start: u32, limit: u32) -> Result<Vec<Structure>, LookError> {
        let mut all = vec![
            structure("header", "Header", 0, true),
            structure("root-slot", "Root slot A", 1, false),
            structure("root-slot", "Root slot B", 2, true),
        ];
        if start == 0 && limit > 0 {
            all.push(structure("map-node", "Node 5", 5, true));
        }
        Ok(all)
    }

    fn directory(&mut self, start: u64, limit: u32, _: bool) -> Result<Vec<Entry>, LookError> {
        let all = [
            entry(0, None, Vec::new()),
            entry(1, Some(6), vec![own(6), own(7)]),
        ];
        let found = all.into_iter().filter(|entry| entry.id >= start);
        Ok(found.take(limit as usize).collect())
    }

    fn page(&mut self, page: u64) -> Result<Option<PageInfo>, LookError> {
        let structures = self.structures(0, 1)?.into_iter();
        Ok((page < 8).then(|| PageInfo {
            page,
            kind: LEAF,
            protected: None,
            structures: structures.filter(|found| found.page == page).collect(),
            referenced_by: Vec::new(),
            findings: Vec::new(),
        }))
    }

    fn findings(&mut self, _: u64) -> Result<FindingsPart, LookError> {
        Ok(FindingsPart {
            findings: Vec::new(),
            next: None,
            done: 1,
            total: 1,
        })
    }

    fn bytes(&mut self, page: u64, _: u32, len: u32) -> Result<Vec<u8>, LookError> {
        let byte = u8::try_from(page).unwrap();
        Ok(vec![byte; len as usize])
    }
}

fn answer(route: &str) -> String {
    let viewer = Builder::new().look_at("a", "", Other).unwrap().build();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let request = Request::get(route).header("host", "localhost");
        let request = request.body(Body::empty()).unwrap();
        let answer = router(viewer).oneshot(request).await.unwrap();
        assert!(answer.status().is_success(), "{route}");
        let body = to_bytes(answer.into_body(), 1 << 21).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    })
}

/// What a screen says, without its frame.
fn said(screen: &str) -> String {
    let html = Html::parse_document(&answer(&format!("/f/1/{screen}")));
    let main = Selector::parse("main").unwrap();
    let text: String = html.select(&main).flat_map(|main| main.text()).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn twin(screen: &str) -> Value {
    serde_json::from_str(&answer(&format!("/f/1/{screen}"))).unwrap()
}

#[test]
fn other_format_is_shown_by_titles_and_kinds() {
    for (screen, words) in [
        (
            "overview",
            &["the root slot, Root slot B counts", "space leaf"][..],
        ),
        (
            "metadata",
            &[
                "root slot: A and B",
                "Root slot B counts",
                "Header",
                "· counts ·",
            ],
        ),
        (
            "directory",
            &[
                "no page: zeros",
                "6 space leaf 7 space leaf",
                "0x80000000000000000000000000001234",
                "entry 1 of leaf 0",
                "Node 5",
            ],
        ),
        ("page?n=5", &["space leaf", "Node 5"]),
        ("map", &["space leaf"]),
    ] {
        let text = said(screen);
        for word in words {
            assert!(text.contains(word), "{screen} lacks {word}: {text}");
        }
        // Nothing of the story of format 0.
        for word in [
            "page 0 ",
            "Page 0 ",
            "two physical",
            "take two",
            "irectory block",
            "shadow",
            "superblock",
        ] {
            assert!(!text.contains(word), "{screen} says {word}: {text}");
        }
    }
}

/// What a protected page takes is for its format to say.
#[test]
fn description_of_the_twins_tells_of_no_pairs() {
    let openapi = answer("/api/openapi.json");
    assert!(openapi.contains("Protected pages."), "{openapi}");
    for words in ["two physical", "each takes two"] {
        assert!(!openapi.contains(words), "it says {words}");
    }
}

#[test]
fn other_format_has_the_same_twins() {
    let view = twin("overview.json");
    assert_eq!(view["info"]["capabilities"], json!(["snapshots"]));
    assert_eq!(view["info"]["regular_pages"], Value::Null);
    assert_eq!(view["free_space"]["longest"], 0);
    let view = twin("metadata.json");
    assert_eq!(view["single"][0]["structure"]["name"], "header");
    let counts = |place: usize| &view["copies"][0]["copies"][place]["structure"]["counts"];
    assert_eq!([counts(0), counts(1)], [false, true]);
    assert_eq!(view["copies"][0]["lines"][0]["differs"], true);
    let view = twin("directory.json");
    assert_eq!(view["entries"][0]["page"], Value::Null);
    assert_eq!(
        view["entries"][1]["pages"],
        json!([{ "page": 6, "kind": LEAF }, { "page": 7, "kind": LEAF }])
    );
    assert_eq!(view["structures"][0]["structure"]["name"], "map-node");
    let csv = answer("/f/1/directory.csv");
    let line = "1,6,6 7,1,0x80000000000000000000000000001234,,unread,\"\",\"entry 1 of leaf 0\"";
    assert_eq!(csv.lines().nth(2), Some(line));
    // Of copies the other is known, of nodes there is none.
    assert_eq!(twin("page.json?n=1")["other_copy"], 2);
    assert_eq!(twin("page.json?n=5")["other_copy"], Value::Null);
    let view = twin("diff.json");
    assert_eq!(
        (&view["left"]["page"], &view["right"]["page"]),
        (&json!(1), &json!(2))
    );
}
