//! Files of format 1: each screen tells of them in their own words, and of none
//! that are of format 0.

use std::{fs, path::Path};

use pagebox::{Engine, Format, NewFile, PageSize};
use scraper::{Html, Selector};
use serde_json::{Value, json};

use crate::{
    facts::{Demo, SAMPLES, texts},
    files,
    server::Server,
};

const SOUND: &str = "sound.pages";

/// What is said of files of format 0 alone.
const OF_FORMAT_0: [&str; 19] = [
    "uperblock",
    "hadow",
    "irectory block",
    "two physical",
    "take two",
    "Page 0 is",
    "Page 0 names",
    "page 0, which",
    "named by page 0",
    "switched",
    "Metadata A",
    "metadata twice",
    "of the metadata",
    "pages 1 and 2",
    "bitmap",
    "rule R",
    "copies A and B",
    "Allocated",
    "What the last commit did",
];

/// The screens of a file, and pages of every kind.
fn screens() -> Vec<String> {
    let named = [
        "overview",
        "map",
        "metadata",
        "directory",
        "diff",
        "health",
        "live",
        "time",
        "changes",
    ];
    let pages = (0..40).map(|page| format!("page?n={page}"));
    let named = named.into_iter().map(str::to_owned);
    named.chain(pages).collect()
}

fn main_of(html: &Html) -> String {
    texts(html, "main").concat()
}

fn links(html: &Html, selector: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap())
        .filter_map(|link| link.attr("href").map(str::to_owned))
        .collect()
}

/// That no screen says what is true of format 0 alone.
fn is_in_its_own_words(name: &str, screen: &str, text: &str) {
    for words in OF_FORMAT_0 {
        assert!(
            !text.contains(words),
            "{name}, {screen} says {words}: {text}"
        );
    }
}

#[test]
fn file_of_format_1_is_told_of_in_its_own_words() {
    let demo = Demo::start();
    let samples: Vec<_> = SAMPLES
        .iter()
        .filter(|sample| sample.is_of_format_1())
        .collect();
    assert_eq!(samples.len(), 8);
    for sample in samples {
        for screen in screens() {
            let text = main_of(&demo.html(sample.name, &screen));
            is_in_its_own_words(sample.name, &screen, &text);
        }
        let roots = demo.html(sample.name, "metadata");
        assert_eq!(texts(&roots, "h1"), ["Roots"]);
        assert_eq!(texts(&roots, "nav.tabs [aria-current]"), ["Roots"]);
    }
    // Those of format 0 keep theirs.
    let metadata = demo.html("format 0.pages", "metadata");
    assert_eq!(texts(&metadata, "h1"), ["Metadata"]);
    for (screen, words) in [
        ("metadata", "only then writes page 0"),
        ("directory", "two physical pages"),
        ("directory", "Directory blocks"),
        ("overview", "which take two each"),
        ("health", "both copies of the metadata"),
    ] {
        let text = main_of(&demo.html("format 0.pages", screen));
        assert!(text.contains(words), "{screen}: {text}");
    }
}

/// Nothing that a page can be is without a colour and a shape.
#[test]
fn every_kind_has_a_drawing_of_its_own() {
    let demo = Demo::start();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(folder.join(path)).unwrap();
    let (style, paint) = (read("assets/style.css"), read("assets/map-paint.js"));
    let shapes = read("templates/macros.html");
    let kinds = |screen: &str| -> Vec<(u8, String, String, Option<String>)> {
        let map = demo.html(SOUND, screen);
        let map = map.select(&Selector::parse("page-map").unwrap()).next();
        serde_json::from_str(map.unwrap().attr("kinds").unwrap()).unwrap()
    };
    let mut drawn = kinds("map");
    assert!(drawn.len() >= 16, "{drawn:?}");
    let ages = kinds("map?colour=age");
    assert_eq!(ages.len(), 6, "{ages:?}");
    drawn.extend(ages);
    for (_, name, class, letter) in drawn {
        assert_eq!((&name, letter), (&class, None));
        assert!(style.contains(&format!(".k-{name}")), "{name}: no colour");
        // What is left over is drawn as the one that is not named.
        let shape = format!("when \"{name}\"");
        assert!(shapes.contains(&shape) || name == "unknown", "{name}");
        let shape = format!("case \"{name}\":");
        assert!(paint.contains(&shape) || name == "regular", "{name}");
    }
}

#[test]
fn overview_says_how_many_snapshots_there_are() {
    let demo = Demo::start();
    let text = main_of(&demo.html(SOUND, "overview"));
    assert!(text.contains("Snapshots kept0"), "{text}");
    let json = demo.json(SOUND, "overview");
    assert_eq!(json["info"]["snapshots"], 0);
}

#[test]
fn overview_says_which_root_counts() {
    let demo = Demo::start();
    let says = |name, words: &str| {
        let text = main_of(&demo.html(name, "overview"));
        assert!(text.contains(words), "{name}: {text}");
    };
    says(SOUND, "Root A and Root B are alike: generation 4.");
    says(
        "torn root.pages",
        "Of the copies of the root, Root A counts, generation 3.",
    );
    says(SOUND, "248 further pages, regular or protected.");
    let state = |name| demo.json(name, "overview")["state"]["state"].clone();
    assert_eq!(state("finished commit.pages"), "finished commit");
    assert_eq!(state("format 0 torn page 0.pages"), "torn");
}

#[test]
fn roots_tell_which_slot_counts_and_why() {
    let demo = Demo::start();
    for (name, slots, words) in [
        (
            SOUND,
            [
                "generation 4 the same in both: counts",
                "generation 4 the same in both: counts",
            ],
            "two records that are equal mean that the commit was acknowledged",
        ),
        (
            "torn root.pages",
            ["generation 3 counts", "no whole record not valid"],
            "B holds no whole record.",
        ),
        (
            "unfinished commit.pages",
            [
                "generation 3 counts",
                "generation 4 newer, but not finished",
            ],
            "not all that it reaches is as that commit wrote it",
        ),
        (
            "finished commit.pages",
            ["generation 3 older", "generation 4 counts"],
            "Only the copy of its record into A is missing",
        ),
    ] {
        let html = demo.html(name, "metadata");
        let [names, says] = ["strong", "span"].map(|part| {
            let parts = texts(&html, &format!("#recovery .roots .what > {part}"));
            assert_eq!(parts.len(), slots.len(), "{name}");
            parts
        });
        for ((drawn, says), slot) in names.iter().zip(says).zip(slots) {
            // The letter is read to those who do not see it.
            let drawn = format!("{drawn} {says}");
            assert!(drawn.ends_with(slot), "{name}: {drawn}");
        }
        let text = main_of(&html);
        assert!(text.contains(words), "{name}: {text}");
        assert!(demo.json(name, "metadata")["meaning"] != "", "{name}");
        assert!(text.contains("rule verdict"), "{name}: {text}");
    }
    let view = demo.json(SOUND, "metadata");
    let counts = |place: usize| &view["copies"][0]["copies"][place]["structure"]["counts"];
    assert_eq!([counts(0), counts(1)], [true, true]);
}

#[test]
fn roots_lead_to_the_trees() {
    let demo = Demo::start();
    let view = demo.json(SOUND, "metadata");
    let lines = view["copies"][0]["lines"].as_array().unwrap();
    let html = demo.html(SOUND, "metadata");
    for (field, kind) in [("MAP", "map-node"), ("SPACE", "space-home")] {
        let line = lines.iter().find(|line| line["name"] == field).unwrap();
        let page = line["cells"][0]["refers_to"].as_u64().unwrap();
        assert_eq!(
            demo.json(SOUND, &format!("page?n={page}"))["kind"],
            kind,
            "{field}"
        );
        let there = format!("page?n={page}");
        let ways = links(&html, ".sides .value a");
        assert!(ways.iter().any(|way| way.ends_with(&there)), "{ways:?}");
    }
    // An entry of SPACE counts pages: that is not the page that it names.
    let text = main_of(&html);
    assert!(text.contains("in page 3"), "{text}");
    // The nodes are named, and not told of field by field.
    let titles = texts(&html, "#trees ~ .scroll tbody th");
    let [map, space] = titles.as_slice() else {
        panic!("{titles:?}")
    };
    assert!(map.starts_with("MAP, level 2") && space.starts_with("SPACE, level 0"));
    assert!(texts(&html, ".fields tbody tr").len() < 10);
}

#[test]
fn directory_leads_to_the_page_and_back() {
    let demo = Demo::start();
    let view = demo.json(SOUND, "directory?limit=7");
    let entry = &view["entries"][5];
    assert_eq!(
        (&entry["id"], &entry["checksum_state"]),
        (&json!(5), &json!("verified"))
    );
    let page = entry["page"].as_u64().unwrap();
    assert_eq!(entry["pages"], json!([{ "page": page, "kind": 2 }]));
    let there = demo.json(SOUND, &format!("page?n={page}"));
    assert_eq!(there["protected"], 5);
    assert_eq!(there["other_copy"], Value::Null);
    let named = &there["referenced_by"][0];
    let node = demo.json(SOUND, &format!("page?n={}", named["page"]));
    let fields = node["structures"][0]["structure"]["fields"]
        .as_array()
        .unwrap();
    let back = fields
        .iter()
        .find(|field| field["offset"] == named["offset"])
        .unwrap();
    assert_eq!(
        (&back["name"], &back["refers_to"]),
        (&json!("id 5"), &json!(page))
    );
    let html = demo.html(SOUND, "directory?skip=136&limit=50");
    let lines = texts(&html, ".slots tbody tr");
    assert_eq!(lines.len(), 4);
    let zeros = &lines[3];
    assert!(
        zeros.starts_with("139 nothing to read no page: zeros 2 none"),
        "{zeros}"
    );
    assert!(!main_of(&html).contains("Its other pages"));
    let nodes = texts(&html, "[aria-label='Structures of the directory'] tbody tr");
    let holds = ["2 entries", "128 entries", "12 entries"];
    assert_eq!(nodes.len(), holds.len(), "{nodes:?}");
    for (node, holds) in nodes.iter().zip(holds) {
        assert!(node.ends_with(&format!("counts valid {holds}")), "{node}");
    }
}

#[test]
fn other_copy_of_a_root_or_a_home_is_known() {
    let demo = Demo::start();
    for (page, other) in [(1, 2), (2, 1), (3, 4), (4, 3)] {
        let view = demo.json(SOUND, &format!("page?n={page}"));
        assert_eq!(view["other_copy"], other, "page {page}");
    }
    for page in [0, 20] {
        let view = demo.json(SOUND, &format!("page?n={page}"));
        assert_eq!(view["other_copy"], Value::Null, "page {page}");
    }
    // Without a word of pages the roots are compared.
    let view = demo.json("torn root.pages", "diff");
    assert_eq!(
        (&view["left"]["page"], &view["right"]["page"]),
        (&json!(1), &json!(2))
    );
    let fields = view["fields"].as_array().unwrap();
    assert!(fields.iter().any(|field| field["name"] == "generation"));
}

#[test]
fn page_says_what_names_it_or_why_nothing_does() {
    let demo = Demo::start();
    for (page, words) in [
        (0, "nothing: it is always at this place"),
        (1, "nothing: it is always at this place"),
        (3, "SPACE names it as its node 0 of level 0"),
        (4, "not named, so not verified"),
        (443, "The page is nobody's"),
    ] {
        let text = main_of(&demo.html(SOUND, &format!("page?n={page}")));
        assert!(text.contains(words), "page {page}: {text}");
    }
}

#[test]
fn health_tells_of_the_findings_of_format_1() {
    let demo = Demo::start();
    let text = main_of(&demo.html(SOUND, "health"));
    assert!(
        text.contains("both root slots, the nodes and leaves of both trees"),
        "{text}"
    );
    for (name, finding, page) in [
        ("rotten page.pages", "protected-checksum", None),
        ("torn root.pages", "root-other", Some(2)),
        ("unfinished commit.pages", "unfinished-commit", Some(2)),
        ("rotten header.pages", "header", Some(0)),
        ("rotten node.pages", "node", None),
    ] {
        let view = demo.json(name, "health");
        let found = view["findings"].as_array().unwrap();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        assert_eq!(found[0]["id"], finding, "{name}");
        let at = found[0]["page"].as_u64().unwrap();
        assert!(page.is_none_or(|page| page == at), "{name}: {at}");
        let text = main_of(&demo.html(name, "health"));
        assert!(text.contains(finding), "{name}: {text}");
        let text = main_of(&demo.html(name, &format!("page?n={at}")));
        assert!(text.contains(finding), "{name}: {text}");
    }
}

/// A node that rots takes the names of its pages along: that is said, and not
/// that there are none.
#[test]
fn directory_that_lacks_a_node_says_so() {
    let demo = Demo::start();
    let name = "rotten node.pages";
    let text = main_of(&demo.html(name, "directory"));
    let words = "Not all of the directory could be read. The file counts 140 protected pages;";
    assert!(text.contains(words), "{text}");
    assert!(!text.contains("has no protected pages"), "{text}");
    let text = main_of(&demo.html(SOUND, "directory"));
    assert!(!text.contains("could be read"), "{text}");
}

#[test]
fn words_of_both_formats_are_explained() {
    let demo = Demo::start();
    let html = |route: &str| Html::parse_document(&demo.program.get(route).text());
    let about = html("/about");
    for word in [
        "superblock",
        "metadata",
        "shadow",
        "header",
        "root",
        "root-slot",
        "map",
        "space",
        "finished",
    ] {
        assert_eq!(texts(&about, &format!("#{word}")).len(), 1, "{word}");
    }
    assert_eq!(
        texts(&about, "#words ~ h3"),
        ["Of every format", "Of format 1", "Of format 0"]
    );
    for screen in ["metadata", "directory"] {
        let ways = links(&demo.html(SOUND, screen), "a[href*='/about#']");
        for way in ways {
            let (_, word) = way.split_once('#').unwrap();
            assert_eq!(texts(&about, &format!("#{word}")).len(), 1, "{word}");
        }
    }
    // The start page tells the story of each format that there is a file of.
    let stories = texts(&html("/"), "h2").join(" ");
    assert!(stories.contains("crash, in format 0"), "{stories}");
    assert!(stories.contains("crash, in format 1"), "{stories}");
}

/// A damage: what it is called, and what it does to the bytes of a file.
type Damage = (&'static str, fn(&mut Vec<u8>));

/// A file made to be damaged: its bytes, and where it is.
struct Made {
    folder: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Made {
    fn new(page_size: PageSize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pages");
        let new = NewFile {
            format: Format::One,
            ..NewFile::default()
        };
        let mut pager = Engine::new()
            .unwrap()
            .create_with(&path, page_size, new)
            .unwrap();
        let mut tx = pager.begin().unwrap();
        tx.alloc_many(20).unwrap();
        for id in tx.alloc_protected_many(9).unwrap() {
            tx.write(id).unwrap().fill(7);
        }
        tx.commit().unwrap();
        drop(pager);
        let bytes = fs::read(&path).unwrap();
        Self { folder, bytes }
    }

    /// A viewer of the file with other bytes.
    fn with(&self, change: impl FnOnce(&mut Vec<u8>)) -> Server {
        let mut bytes = self.bytes.clone();
        change(&mut bytes);
        let path = self.folder.path().join("a.pages");
        fs::write(&path, bytes).unwrap();
        Server::start(files::viewer(&path))
    }
}

fn main_text(server: &Server, screen: &str) -> String {
    let answer = server.get(&format!("/f/1/{screen}"), "");
    assert_eq!(answer.status, 200, "{screen}: {}", answer.text());
    main_of(&Html::parse_document(&answer.text()))
}

#[test]
fn file_of_format_1_that_is_damaged_is_told_of_in_no_other_words() {
    let made = Made::new(PageSize::KIB_4);
    let damages: [Damage; 4] = [
        ("both root slots are lost", |bytes| {
            bytes[4096..3 * 4096].fill(0);
        }),
        ("the first root slot is lost", |bytes| {
            bytes[4096..2 * 4096].fill(0);
        }),
        ("both sides of a leaf are rotten", |bytes| {
            bytes[3 * 4096 + 100] ^= 1;
            bytes[4 * 4096 + 100] ^= 1;
        }),
        ("the end is lost", |bytes| bytes.truncate(bytes.len() / 2)),
    ];
    for (name, change) in damages {
        let server = made.with(change);
        let text = main_text(&server, "overview");
        assert!(text.contains("format 1.0"), "{name}: {text}");
        for screen in screens().into_iter().take(20) {
            let text = main_text(&server, &screen);
            is_in_its_own_words(name, &screen, &text);
        }
        for route in files::CRAWL {
            let answer = server.get(route, "");
            assert_eq!(answer.status, 200, "{name}, {route}: {}", answer.text());
        }
        let health = server.get("/f/1/health.json", "");
        let health: Value = serde_json::from_slice(&health.body).unwrap();
        let is_wrong = health["errors"].as_u64() > Some(0);
        assert_eq!(health["repair_command"].is_string(), is_wrong, "{name}");
    }
}

/// There a root slot is four pages.
#[test]
fn small_pages_say_what_they_go_on_with() {
    let made = Made::new(PageSize::KIB_1);
    let server = made.with(|_| ());
    for (page, words) in [
        (1, "The header ends before this page"),
        (4, "Root A"),
        (5, "The root slot goes on in this page"),
        (8, "Root B"),
    ] {
        let text = main_text(&server, &format!("page?n={page}"));
        assert!(text.contains(words), "page {page}: {text}");
        is_in_its_own_words("small pages", "page", &text);
    }
}
