//! What a program's own decoder says of its pages, on the screens and to programs.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    body::{Body, to_bytes},
    http::{Request, Response},
};
use pagebox::{
    Engine, Error, PageId, PageSize, ProtectedId,
    decode::{At, Decode, Decoded, Field, Target},
};
use pagebox_viewer::{Builder, Viewer, router};
use scraper::{Html, Selector};
use serde_json::Value;
use tower::ServiceExt;

/// What a browser would act on, and what turns the direction of writing.
const MARKUP: &str = "<script>alert(1)</script>\"'&\u{202e}";

/// A decoder that takes the first byte of a page for what it is to say.
struct Fake;

impl Decode for Fake {
    fn name(&self) -> &'static str {
        "<b>fake</b>"
    }

    fn decode(&self, bytes: &[u8], at: At) -> Result<Option<Decoded>, Error> {
        let field = |name: &str, offset, value: &str, refers_to| Field {
            name: name.to_owned(),
            offset,
            len: 4,
            value: value.to_owned(),
            meaning: String::new(),
            refers_to,
            problem: String::new(),
        };
        let (summary, fields) = match bytes[0] {
            b'l' => (
                "three links",
                vec![
                    field("child 0", 0, "1", Some(Target::Protected(1))),
                    field("child 1", 4, "812", Some(Target::Protected(812))),
                    field("child 2", 8, "page 0", Some(Target::Page(0))),
                ],
            ),
            b'm' => {
                let mut marked = field(MARKUP, 0, MARKUP, None);
                MARKUP.clone_into(&mut marked.meaning);
                MARKUP.clone_into(&mut marked.problem);
                (MARKUP, vec![marked])
            }
            b'f' => {
                return Err(Error::Decoder {
                    decoder: self.name().to_owned(),
                    page: at.page,
                    cause: format!("it took too long {MARKUP}"),
                });
            }
            b'n' => return Ok(None),
            letter => {
                let value = char::from(letter).to_string();
                ("a letter", vec![field("letter", 0, &value, None)])
            }
        };
        Ok(Some(Decoded {
            kind: "node".to_owned(),
            title: if bytes[0] == b'm' { MARKUP } else { "A node" }.to_owned(),
            letter: 'N',
            summary: summary.to_owned(),
            fields,
        }))
    }
}

/// Protected pages that begin with these bytes, then a regular page that does; where
/// each of them is.
fn file(path: &Path, protected: &[u8], regular: u8) -> Vec<u64> {
    let mut pager = Engine::new()
        .unwrap()
        .create(path, PageSize::KIB_1)
        .unwrap();
    let mut tx = pager.begin().unwrap();
    for byte in protected {
        let id = tx.alloc_protected().unwrap();
        tx.write(id).unwrap()[0] = *byte;
    }
    let page: PageId = tx.alloc().unwrap();
    tx.commit().unwrap();
    pager.page_mut(page).unwrap()[0] = regular;
    pager.sync().unwrap();
    drop(pager);
    let mut inspector = Engine::new().unwrap().inspect(path).unwrap();
    let entries = inspector.directory(0, 100, false).unwrap();
    assert_eq!(entries.len(), protected.len());
    let places = entries.into_iter().map(|entry| entry.page.unwrap());
    places.chain([page.get()]).collect()
}

fn viewer(path: &Path) -> Viewer {
    let builder = Builder::new().decoder(Fake);
    builder.file(path, "").unwrap().build()
}

async fn answer(viewer: &Viewer, path: &str) -> Response<Body> {
    let request = Request::get(path).header("Host", "localhost");
    let request = request.body(Body::empty()).unwrap();
    router(viewer.clone()).oneshot(request).await.unwrap()
}

async fn get(viewer: &Viewer, path: &str) -> String {
    let answer = answer(viewer, path).await;
    assert_eq!(answer.status(), 200, "{path}");
    let bytes = to_bytes(answer.into_body(), 1 << 24).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn json(viewer: &Viewer, path: &str) -> Value {
    serde_json::from_str(&get(viewer, path).await).unwrap()
}

fn texts(html: &Html, selector: &str) -> Vec<String> {
    let selector = Selector::parse(selector).unwrap();
    let found = html.select(&selector);
    found
        .map(|found| found.text().collect::<String>())
        .collect()
}

#[tokio::test]
async fn page_shows_the_decoders_fields_over_the_bytes_with_links() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let pages = file(&path, b"la", b'r');
    let viewer = viewer(&path);
    let text = get(&viewer, &format!("/f/1/page?n={}", pages[0])).await;
    let html = Html::parse_document(&text);
    assert!(
        texts(&html, "dl.facts dd")
            .iter()
            .any(|it| it == "A node (node, says <b>fake</b>)three links"),
        "{text}"
    );
    assert_eq!(
        texts(&html, "table.fields th[scope=row]"),
        ["child 0", "child 1", "child 2"]
    );
    // The bytes are tinted as the fields are.
    assert_eq!(
        texts(&html, "table.hex span[title='child 1']"),
        ["00 00 00 00"]
    );
    // To the page that holds the protected page, and says which that is.
    let link = Selector::parse("table.fields td a[href*='page?n=']").unwrap();
    let links: Vec<(String, String)> = html
        .select(&link)
        .map(|it| {
            (
                it.text().collect(),
                it.value().attr("href").unwrap().to_owned(),
            )
        })
        .filter(|(_, href)| !href.contains("at="))
        .collect();
    assert_eq!(
        links,
        [
            ("1".to_owned(), format!("/f/1/page?n={}", pages[1])),
            ("page 0".to_owned(), "/f/1/page?n=0".to_owned()),
        ]
    );
    assert_eq!(
        texts(&html, "table.fields .problem"),
        ["it names protected page 812, which is not there"]
    );
}

#[tokio::test]
async fn programs_are_told_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let pages = file(&path, b"lf", b'r');
    let viewer = viewer(&path);
    let page = json(&viewer, &format!("/f/1/page.json?n={}", pages[0])).await;
    assert_eq!(
        page["decoded"],
        serde_json::json!({
            "decoder": "<b>fake</b>",
            "page": {"kind": "node", "letter": "N", "title": "A node", "summary": "three links"},
            "failure": "",
        })
    );
    let structure = &page["structures"][0];
    assert_eq!(structure["by"], "<b>fake</b>");
    assert_eq!(structure["structure"]["fields"][1]["name"], "child 1");
    // A regular page has one too; the pager's own pages have none.
    let regular = json(&viewer, &format!("/f/1/page.json?n={}", pages[2])).await;
    assert_eq!(regular["decoded"]["page"]["summary"], "a letter");
    assert_eq!(
        json(&viewer, "/f/1/page.json?n=0").await["decoded"],
        Value::Null
    );
}

#[tokio::test]
async fn decoder_that_fails_or_does_not_know_a_page_says_so_and_the_bytes_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let pages = file(&path, b"fn", b'r');
    let viewer = viewer(&path);
    for (page, said) in [
        (
            pages[0],
            "<b>fake</b> failed at this page: it took too long ",
        ),
        (pages[1], "none of the pages that <b>fake</b> knows"),
    ] {
        let text = get(&viewer, &format!("/f/1/page?n={page}")).await;
        let html = Html::parse_document(&text);
        let facts = texts(&html, "dl.facts dd");
        assert!(facts.iter().any(|it| it.starts_with(said)), "{facts:?}");
        assert!(!texts(&html, "table.hex td").is_empty());
        assert!(texts(&html, "table.fields td").is_empty());
    }
}

#[tokio::test]
async fn markup_of_a_decoder_is_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let pages = file(&path, b"mf", b'm');
    let viewer = viewer(&path);
    for page in &pages {
        for screen in ["page?n=", "diff?n="] {
            let text = get(&viewer, &format!("/f/1/{screen}{page}")).await;
            assert!(!text.contains("<script>alert"), "{text}");
            assert!(!text.contains("<b>fake"), "{text}");
            assert!(!text.contains('\u{202e}'), "{text}");
        }
    }
    let text = get(&viewer, &format!("/f/1/page?n={}", pages[0])).await;
    let html = Html::parse_document(&text);
    let shown = MARKUP.replace('\u{202e}', "\u{ab}U+202E\u{bb}");
    assert_eq!(texts(&html, "table.fields th[scope=row]"), [&*shown]);
    assert_eq!(texts(&html, "table.fields .problem"), [&*shown]);
}

#[tokio::test]
async fn pages_are_compared_by_the_decoders_fields() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let pages = file(&path, b"ab", b'r');
    let viewer = viewer(&path);
    let diff = json(
        &viewer,
        &format!("/f/1/diff.json?n={}&m={}", pages[0], pages[1]),
    )
    .await;
    assert_eq!(
        diff["fields"],
        serde_json::json!([{"name": "letter", "offset": 0, "left": "a", "right": "b"}])
    );
}

/// The check goes on while it is looked at.
async fn health(viewer: &Viewer) -> Value {
    loop {
        let health = json(viewer, "/f/1/health.json").await;
        if health["complete"] == true {
            return health;
        }
    }
}

#[tokio::test]
async fn problems_that_the_decoder_finds_are_in_health_and_its_kinds_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let pages = file(&path, b"lmfn", b'r');
    let viewer = viewer(&path);
    let health = health(&viewer).await;
    assert_eq!(
        (&health["errors"], &health["warnings"]),
        (&0.into(), &3.into())
    );
    assert_eq!(
        health["decoded"],
        serde_json::json!({
            "decoder": "<b>fake</b>", "pages": 5, "known": 3, "problems": 2, "failures": 1,
            "given_up": false, "kinds": [{"kind": "node", "letter": "N", "count": 3}],
        })
    );
    let found = &health["findings"][0];
    assert_eq!(found["id"], "decoder-problem");
    assert_eq!(found["page"], pages[0]);
    assert_eq!(found["offset"], 4);
    assert_eq!(
        found["message"],
        "protected page 0: A node, child 1: it names protected page 812, which is not there"
    );
    let text = get(&viewer, "/f/1/health").await;
    assert!(
        !text.contains("<script>alert") && !text.contains("<b>fake"),
        "{text}"
    );
    assert!(!text.contains('\u{202e}'), "{text}");
    let html = Html::parse_document(&text);
    assert_eq!(texts(&html, "#decoder + p + ul li"), ["N node: 3"]);
    assert_eq!(
        texts(&html, "h2#decoder"),
        ["The program's own pages by the decoder <b>fake</b>"]
    );
}

#[tokio::test]
async fn without_a_decoder_nothing_is_said_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let pages = file(&path, b"a", b'r');
    let viewer = Builder::new().file(&path, "").unwrap().build();
    let target = format!("/f/1/page.json?n={}", pages[0]);
    assert_eq!(json(&viewer, &target).await["decoded"], Value::Null);
    let text = get(&viewer, &format!("/f/1/page?n={}", pages[0])).await;
    assert!(!text.contains("Decoder"), "{text}");
    assert_eq!(health(&viewer).await["decoded"], Value::Null);
    let text = get(&viewer, "/f/1/map").await;
    assert!(!text.contains("colour=decoder"), "{text}");
    let refused = answer(&viewer, "/f/1/tiles.json?colour=decoder").await;
    assert_eq!(refused.status(), 400);
}

/// The kinds of a map by the decoder that some page has.
async fn kinds(viewer: &Viewer) -> Value {
    let map = json(viewer, "/f/1/map.json?colour=decoder").await;
    assert_eq!(map["asked"]["complete"], true, "{map}");
    let lines = map["kinds"].as_array().unwrap().iter();
    let total: u64 = lines
        .clone()
        .filter_map(|line| line["count"].as_u64())
        .sum();
    assert_eq!(Value::from(total), map["pages"]);
    let there = lines.filter(|line| line["count"] != 0);
    there
        .map(|line| serde_json::json!([line["name"], line["letter"], line["count"]]))
        .filter(|line| line[0] != "free" && line[0] != "the-pager's")
        .collect()
}

#[tokio::test]
async fn map_is_coloured_by_the_decoders_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let pages = file(&path, b"lafn", b'r');
    let viewer = viewer(&path);
    assert_eq!(
        kinds(&viewer).await,
        serde_json::json!([
            ["node", "N", 3],
            ["not-known-to-it", "-", 1],
            ["failed", "!", 1]
        ])
    );
    let text = get(&viewer, "/f/1/map?colour=decoder&per=1").await;
    let html = Html::parse_document(&text);
    // Without script: a drawing with the letter, and a table of the runs.
    assert!(
        texts(&html, ".drawn text.initial").contains(&"N".to_owned()),
        "{text}"
    );
    let rect = Selector::parse("svg.drawn rect.k-d0 title").unwrap();
    let titles: Vec<String> = html.select(&rect).map(|it| it.text().collect()).collect();
    assert!(
        !titles.is_empty() && titles.iter().all(|it| it.starts_with("node, pages ")),
        "{titles:?}"
    );
    // The page on which the decoder found something has its mark, by each colour.
    let health = health(&viewer).await;
    assert_eq!(health["findings"][0]["page"], pages[0]);
    for colour in ["", "colour=decoder&"] {
        let target = format!("/f/1/tiles.json?{colour}first={}&count=1", pages[0]);
        assert_eq!(json(&viewer, &target).await["tiles"][0][2], 2, "{colour}");
    }
}

/// A decoder that counts how often it is asked.
struct Counting(Arc<AtomicUsize>);

impl Decode for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn decode(&self, bytes: &[u8], at: At) -> Result<Option<Decoded>, Error> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Fake.decode(bytes, at)
    }
}

/// Each commit makes a new state, and a decoder may take long at each page.
#[tokio::test]
async fn of_a_new_state_the_decoder_is_asked_about_what_changed_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    file(&path, b"aaaaaaaa", b'r');
    let asked = Arc::new(AtomicUsize::new(0));
    let builder = Builder::new().decoder(Counting(Arc::clone(&asked)));
    let viewer = builder.file(&path, "").unwrap().build();
    assert_eq!(kinds(&viewer).await, serde_json::json!([["node", "N", 9]]));
    health(&viewer).await;
    // Once for the map, once for the check.
    assert_eq!(asked.swap(0, Ordering::Relaxed), 18);
    let mut pager = Engine::new().unwrap().open(&path).unwrap();
    let mut tx = pager.begin().unwrap();
    tx.write(ProtectedId::new(3)).unwrap()[0] = b'n';
    tx.commit().unwrap();
    drop(pager);
    assert_eq!(
        kinds(&viewer).await,
        serde_json::json!([["node", "N", 8], ["not-known-to-it", "-", 1]])
    );
    // The map asked about the one that was written; the check is another matter.
    let checked = health(&viewer).await["decoded"]["pages"].as_u64().unwrap();
    assert_eq!(asked.load(Ordering::Relaxed) as u64, 1 + checked);
}

#[tokio::test]
async fn tree_follows_what_the_decoder_says_that_pages_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.pages");
    let pages = file(&path, b"lam", b'r');
    let viewer = viewer(&path);
    // From the first protected page on, where nothing is asked for.
    let tree = json(&viewer, "/f/1/tree.json").await;
    assert_eq!(
        (&tree["protected"], &tree["root"]),
        (&0.into(), &pages[0].into())
    );
    let line = |place: usize| {
        let page = &tree["pages"][place];
        serde_json::json!([
            page["page"],
            page["link"],
            page["depth"],
            page["parent"],
            page["title"]
        ])
    };
    assert_eq!(
        [line(0), line(1)],
        [
            serde_json::json!([pages[0], "", 0, null, "A node"]),
            serde_json::json!([pages[1], "child 0", 1, 0, "A node"]),
        ]
    );
    assert_eq!(
        tree["pages"][0]["problems"],
        serde_json::json!(["child 1: it names protected page 812, which is not there"])
    );
    // The third link leads to the pager's own structures.
    assert_eq!(tree["pages"][2]["page"], 0);
    assert!(tree["pages"].as_array().unwrap().len() > 3, "{tree}");
    let text = get(&viewer, "/f/1/tree?protected=2").await;
    assert!(
        !text.contains("<script>alert") && !text.contains('\u{202e}'),
        "{text}"
    );
    assert!(texts(&Html::parse_document(&text), ".tree .problem")[0].contains("<script>"));
    for (target, status) in [
        ("/f/1/tree?root=0", 200),
        ("/f/1/tree?protected=99", 400),
        ("/f/1/tree?root=99999", 404),
        ("/f/1/tree?root=1&protected=1", 400),
    ] {
        assert_eq!(answer(&viewer, target).await.status(), status, "{target}");
    }
}
