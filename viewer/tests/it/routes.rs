//! Every screen and its twin, by what they say.

use std::{collections::BTreeSet, fs, path::Path};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use pagebox::Format;
use pagebox_viewer::{Builder, Token, router};
use scraper::{Html, Selector};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::{
    crash,
    fake::{Failure, Fake},
    files,
};

struct Site {
    app: Router,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        Self::of(Format::default())
    }

    fn of(format: Format) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pages");
        drop(files::sample_of(format, &path));
        let other = folder.path().join("other.pages");
        fs::copy(&path, &other).unwrap();
        rot(&other);
        let viewer = Builder::new()
            .file(&path, "the first")
            .unwrap()
            .file(&other, "the other")
            .unwrap()
            .build();
        Self {
            app: router(viewer),
            folder,
        }
    }

    fn answer(&self, route: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut request = Request::get(route).header("host", "localhost");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(Body::empty()).unwrap();
            let answer = self.app.clone().oneshot(request).await.unwrap();
            let (head, body) = answer.into_parts();
            let body = to_bytes(body, 1 << 21).await.unwrap();
            (head.status, head.headers, body.to_vec())
        })
    }

    fn html(&self, route: &str) -> Html {
        let (status, headers, body) = self.answer(route, &[]);
        assert_eq!(status, StatusCode::OK, "{route}");
        assert!(
            headers["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/html")
        );
        Html::parse_document(&String::from_utf8(body).unwrap())
    }

    fn json(&self, route: &str) -> Value {
        let (status, headers, body) = self.answer(route, &[]);
        assert_eq!(
            status,
            StatusCode::OK,
            "{route}: {}",
            String::from_utf8_lossy(&body)
        );
        assert_eq!(headers["content-type"], "application/json");
        serde_json::from_slice(&body).unwrap()
    }
}

/// Flips a bit of a protected page.
fn rot(path: &Path) {
    rot_at(path, 100);
}

fn rot_at(path: &Path, at: usize) {
    let mut inspector = pagebox::Engine::new().unwrap().inspect(path).unwrap();
    let entry = inspector.directory(3, 1, false).unwrap().remove(0);
    let page = entry.page.unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(page).unwrap() * 4096 + at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn texts(html: &Html, selector: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap())
        .map(|element| element.text().collect::<String>())
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn links(html: &Html) -> Vec<String> {
    html.select(&Selector::parse("a[href], link[href], script[src]").unwrap())
        .filter_map(|element| element.attr("href").or(element.attr("src")))
        .map(str::to_owned)
        .collect()
}

const SCREENS: [&str; 10] = [
    "overview",
    "map",
    "metadata",
    "directory",
    "page",
    "diff",
    "health",
    "live",
    "time",
    "tree",
];

#[test]
fn screens_have_a_frame_a_heading_and_a_twin() {
    let site = Site::new();
    for screen in SCREENS {
        let route = format!("/f/1/{screen}");
        let html = site.html(&route);
        assert_eq!(texts(&html, "h1").len(), 1, "{screen}");
        assert_eq!(
            texts(&html, "nav.tabs a[aria-current=page]").len(),
            1,
            "{screen}"
        );
        assert_eq!(texts(&html, ".badge")[0], "clean", "{screen}");
        let twin = html
            .select(&Selector::parse("link[rel=alternate]").unwrap())
            .find_map(|link| link.attr("href").map(str::to_owned))
            .unwrap();
        assert_eq!(twin, format!("{route}.json"));
        assert!(site.json(&twin).is_object());
    }
}

#[test]
fn links_of_every_screen_lead_somewhere() {
    let site = Site::new();
    let mut seen = BTreeSet::new();
    let mut waiting = vec!["/".to_owned()];
    while let Some(route) = waiting.pop() {
        let bare = route.split('#').next().unwrap().to_owned();
        if bare.is_empty() || !seen.insert(bare.clone()) || seen.len() > 400 {
            continue;
        }
        let (status, headers, body) = site.answer(&bare, &[]);
        assert!(
            status == StatusCode::OK || status.is_redirection(),
            "{bare}: {status}"
        );
        let is_html = headers
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
        if is_html {
            let html = Html::parse_document(&String::from_utf8(body).unwrap());
            waiting.extend(links(&html));
        }
    }
    assert!(seen.len() > 100, "{}", seen.len());
}

#[test]
fn twin_is_what_a_program_gets_that_asks_for_json() {
    let site = Site::new();
    let json = [("accept", "application/json")];
    let (_, headers, negotiated) = site.answer("/f/1/metadata", &json);
    let (_, _, twin) = site.answer("/f/1/metadata.json", &[]);
    assert_eq!(negotiated, twin);
    assert!(headers["vary"].to_str().unwrap().contains("accept"));
    let (status, _, error) = site.answer("/f/1/page?n=999999", &json);
    assert_eq!(status, StatusCode::NOT_FOUND);
    let error: Value = serde_json::from_slice(&error).unwrap();
    assert_eq!(error["status"], 404);
}

#[test]
fn overview_composition_sums_to_the_file() {
    let site = Site::new();
    let view = site.json("/f/1/overview.json");
    let sum: u64 = view["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["count"].as_u64().unwrap())
        .sum();
    assert_eq!(sum, view["info"]["file_pages"].as_u64().unwrap());
    assert_eq!(sum, view["state"]["pages"].as_u64().unwrap());
    assert_eq!(view["check"]["complete"], true);
    let html = site.html("/f/1/overview");
    assert!(texts(&html, ".legend tfoot")[0].contains(&sum.to_string()));
    assert!(
        texts(&html, ".card")
            .iter()
            .any(|card| card.contains("OK: "))
    );
}

#[test]
fn report_of_a_file_is_the_same_as_the_command_line_gives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    rot(&path);
    let mut inspector = pagebox::Engine::new().unwrap().inspect(&path).unwrap();
    let info = pagebox::report::Info::of(&mut inspector).unwrap();
    let check = pagebox::report::Check::of(&mut inspector, |_, _| ()).unwrap();
    let site = Site {
        app: router(files::viewer(&path)),
        folder,
    };
    let overview = site.json("/f/1/overview.json");
    assert_eq!(overview["info"], serde_json::to_value(info).unwrap());
    let health = site.json("/f/1/health.json");
    let check = serde_json::to_value(check).unwrap();
    for key in check.as_object().unwrap().keys() {
        assert_eq!(health[key], check[key], "{key}");
    }
    assert_eq!(health["errors"], 1);
}

#[test]
fn metadata_tells_a_and_b_apart_in_words() {
    let site = Site::of(Format::Zero);
    let html = site.html("/f/1/metadata");
    let sides = texts(&html, "th.side strong");
    assert_eq!(sides.len(), 2);
    let counts: Vec<&String> = sides
        .iter()
        .filter(|side| side.ends_with("counts"))
        .collect();
    assert_eq!(counts.len(), 1, "{sides:?}");
    let differing = texts(&html, ".sides tr.differs td:last-child");
    assert!(!differing.is_empty());
    assert!(differing.iter().all(|word| word == "differ"));
    assert!(
        !texts(&html, ".steps li").is_empty(),
        "recovery gives reasons"
    );
    let view = site.json("/f/1/metadata.json");
    let copies = view["copies"].as_array().unwrap();
    assert_eq!(copies.len(), 1);
    assert_eq!(copies[0]["name"], "metadata");
    let copies = copies[0]["copies"].as_array().unwrap();
    let titles: Vec<&Value> = copies
        .iter()
        .map(|copy| &copy["structure"]["title"])
        .collect();
    assert_eq!(titles, ["Metadata A", "Metadata B"]);
    let counts: Vec<&Value> = copies
        .iter()
        .filter(|copy| copy["structure"]["counts"] == true)
        .collect();
    assert_eq!(counts.len(), 1, "{view}");
}

#[test]
fn entry_of_the_directory_says_where_a_page_is_and_what_it_must_be() {
    for (format, digits, place, kinds) in [
        (
            Format::One,
            32,
            "a delta of the root record",
            &["protected"][..],
        ),
        (
            Format::Zero,
            8,
            "directory block 0, slot 0",
            &["protected active", "protected shadow"],
        ),
    ] {
        let site = Site::of(format);
        let entry = &site.json("/f/1/directory.json?limit=1")["entries"][0];
        assert_eq!(entry["checksum_state"], "verified");
        assert_eq!(entry["checksum"], entry["actual"]);
        let checksum = entry["checksum"].as_str().unwrap();
        assert!(
            checksum.starts_with("0x") && checksum.len() == 2 + digits,
            "{checksum}"
        );
        assert_eq!(entry["place"], place);
        let html = site.html("/f/1/directory?limit=1");
        let line = texts(&html, ".slots tbody tr").concat();
        for words in kinds.iter().chain(&[checksum, place]) {
            assert!(line.contains(words), "{line}");
        }
    }
}

#[test]
fn directory_is_sorted_filtered_and_paged_by_the_server() {
    let site = Site::new();
    let ids = |query: &str| -> Vec<u64> {
        site.json(&format!("/f/1/directory.json?{query}"))["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["id"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(ids(""), (0..10).collect::<Vec<_>>());
    assert_eq!(ids("sort=-id&limit=3"), [9, 8, 7]);
    assert_eq!(ids("skip=8"), [8, 9]);
    assert_eq!(ids("only=problems"), [0_u64; 0]);
    assert_eq!(ids("q=4").first(), Some(&4));
    let (_, headers, csv) = site.answer("/f/1/directory.csv?limit=2", &[]);
    assert!(
        headers["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/csv")
    );
    assert_eq!(String::from_utf8(csv).unwrap().lines().count(), 3);
    let (status, _, _) = site.answer("/f/1/directory?sort=nothing", &[]);
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

/// A directory of `protected` pages of 1 MiB each, none of which holds the bytes
/// that were committed.
fn large(protected: u64) -> Site {
    of(Fake {
        page_size: 1 << 20,
        protected,
        ..Fake::default()
    })
}

fn of(fake: Fake) -> Site {
    let viewer = Builder::new().look_at("a.pages", "", fake).unwrap().build();
    Site {
        app: router(viewer),
        folder: tempfile::tempdir().unwrap(),
    }
}

/// It looked as if nothing were wrong.
#[test]
fn directory_says_where_it_did_not_compare_checksums() {
    let problems = "/f/1/directory?only=problems";
    let twin = "/f/1/directory.json?only=problems";
    let site = large(257);
    let view = site.json(twin);
    assert_eq!(
        (&view["unverified"], &view["matches"]),
        (&true.into(), &0.into())
    );
    let html = site.html(problems);
    let note = texts(&html, "main .card.note").concat();
    assert!(note.starts_with("Checksums were not compared:"), "{note}");
    assert!(note.ends_with("The check compares all of them"), "{note}");
    let way = Selector::parse("main .card.note a[href='/f/1/health']").unwrap();
    assert_eq!(html.select(&way).count(), 1);
    // Those that a screen shows are compared.
    let view = site.json("/f/1/directory.json");
    assert_eq!(view["unverified"], false);
    assert_eq!(view["entries"][0]["checksum_state"], "differs");
    // Of fewer all are.
    let site = large(256);
    let view = site.json(twin);
    assert_eq!(
        (&view["unverified"], &view["matches"]),
        (&false.into(), &256.into())
    );
    assert!(texts(&site.html(problems), "main .card.note").is_empty());
}

/// It said how many it had found, even where it had searched all.
#[test]
fn directory_says_how_many_it_searched() {
    let lines = |protected, protected_is_unknown, query: &str| {
        let site = of(Fake {
            protected,
            protected_is_unknown,
            ..Fake::default()
        });
        let html = site.html(&format!("/f/1/directory{query}"));
        texts(&html, "main p").join(" ")
    };
    for (unknown, query, sentence) in [
        (
            false,
            "",
            "20,000 of 20,001 protected pages. Only the first 20,000 were",
        ),
        (
            false,
            "?q=7",
            "1 of 20,001 protected pages. Only the first 20,000 were",
        ),
        (
            false,
            "?q=20000",
            "0 of 20,001 protected pages. Only the first 20,000 were",
        ),
        (true, "", "not known; at least 20,000 are left to be seen."),
        (
            true,
            "?q=7",
            "1 of the first 20,000 protected pages that can be seen.",
        ),
    ] {
        let lines = lines(20_001, unknown, query);
        assert!(lines.contains(sentence), "{query}: {lines}");
    }
    for (unknown, query, sentence) in [
        (false, "", "20,000 of 20,000 protected pages. These as CSV"),
        (false, "?q=7", "1 of 20,000 protected pages. These as CSV"),
        (
            true,
            "?q=7",
            "1 of the 20,000 protected pages that can be seen. These as CSV",
        ),
    ] {
        let lines = lines(20_000, unknown, query);
        assert!(lines.contains(sentence), "{query}: {lines}");
    }
}

#[test]
fn rotten_page_is_found_on_every_screen_that_could_show_it() {
    let site = Site::new();
    let health = site.json("/f/2/health.json");
    let findings = health["findings"].as_array().unwrap();
    let errors: Vec<&Value> = findings
        .iter()
        .filter(|each| each["severity"] == "error")
        .collect();
    assert_eq!(errors.len(), 1);
    let page = errors[0]["page"].as_u64().unwrap();
    let tiles = site.json("/f/2/tiles.json?per=1&count=4096");
    let mut first = 0;
    let mut bad = Vec::new();
    for run in tiles["tiles"].as_array().unwrap() {
        if run[2] == 3 {
            bad.push(first);
        }
        first += run[0].as_u64().unwrap();
    }
    assert_eq!(bad, [page]);
    assert_eq!(
        site.json("/f/2/map.json")["flagged"],
        serde_json::json!([page])
    );
    let html = site.html(&format!("/f/2/page?n={page}"));
    assert_eq!(texts(&html, ".finding.bad").len(), 1);
    assert_eq!(site.json("/f/2/directory.json?only=problems")["matches"], 1);
    let html = site.html("/f/2/overview");
    assert!(
        texts(&html, ".card.bad")
            .iter()
            .any(|card| card.contains("1 error"))
    );
    let diff = site.json(&format!("/f/1/diff.json?n={page}&other=2"));
    assert_eq!(diff["differing_bytes"], 1);
    assert_eq!(diff["differences"][0]["offset"], 100);
}

#[test]
fn page_shows_its_structure_and_who_names_it() {
    let site = Site::of(Format::Zero);
    let html = site.html("/f/1/page?n=0");
    assert!(texts(&html, ".hex td")[0].starts_with("4d 50 50 47"));
    assert!(texts(&html, ".fields tbody th").contains(&"magic".to_owned()));
    let view = site.json("/f/1/page.json?n=0&len=16");
    assert_eq!(view["hex"].as_str().unwrap().len(), 32);
    let entry = site.json("/f/1/directory.json?limit=1")["entries"][0].clone();
    assert_eq!(entry["pages"][0]["page"], entry["page"]);
    for (page, other) in [(0, 1), (1, 0)] {
        let page = &entry["pages"][page]["page"];
        let view = site.json(&format!("/f/1/page.json?n={page}"));
        assert_eq!(view["protected"], entry["id"]);
        assert_eq!(view["other_copy"], entry["pages"][other]["page"]);
    }
    let view = site.json(&format!("/f/1/page.json?n={}", entry["page"]));
    assert!(!view["referenced_by"].as_array().unwrap().is_empty());
    let (status, _, body) = site.answer("/f/1/page?n=123456", &[]);
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(String::from_utf8(body).unwrap().contains("No such page"));
}

#[test]
fn diff_compares_the_other_copy_unless_told_otherwise() {
    // In format 1 both roots are alike once a commit is done.
    let site = Site::of(Format::Zero);
    // Of nothing in particular: page 0 and what follows it had nothing in common.
    let diff = site.json("/f/1/diff.json");
    assert_eq!(
        (&diff["left"]["page"], &diff["right"]["page"]),
        (&1.into(), &2.into())
    );
    let diff = site.json("/f/1/diff.json?n=1");
    assert_eq!(diff["right"]["page"], 2);
    let names: Vec<&str> = diff["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"generation"), "{names:?}");
    assert_eq!(site.json("/f/1/diff.json?n=5&m=5")["differing_bytes"], 0);
}

#[test]
fn answer_that_is_known_is_not_sent_again() {
    let site = Site::new();
    for route in ["/f/1/map", "/assets/style.css", "/api/openapi.json"] {
        let (_, headers, _) = site.answer(route, &[]);
        let tag = headers["etag"].to_str().unwrap().to_owned();
        let (status, headers, body) = site.answer(route, &[("if-none-match", &tag)]);
        assert_eq!(
            (status, body.len()),
            (StatusCode::NOT_MODIFIED, 0),
            "{route}"
        );
        assert!(headers.contains_key("content-security-policy"));
        let (status, _, _) = site.answer(route, &[("if-none-match", "W/\"0\"")]);
        assert_eq!(status, StatusCode::OK);
    }
}

#[test]
fn answer_is_compressed_for_who_can_read_it() {
    let site = Site::new();
    let (_, headers, small) = site.answer("/assets/style.css", &[("accept-encoding", "gzip")]);
    assert_eq!(headers["content-encoding"], "gzip");
    let (_, _, large) = site.answer("/assets/style.css", &[]);
    assert!(small.len() * 2 < large.len());
}

#[test]
fn openapi_is_what_programs_are_told_of() {
    let site = Site::new();
    let openapi = site.json("/api/openapi.json");
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    for (path, item) in openapi["paths"].as_object().unwrap() {
        // The one request that changes anything is refused without its code.
        let (method, status) = match path.as_str() {
            "/recent/forget/{code}" => ("post", "303"),
            "/f/{file}" | "/enter/{code}" => ("get", "303"),
            _ => ("get", "200"),
        };
        assert!(item[method]["responses"].get(status).is_some(), "{path}");
        let methods: Vec<_> = item.as_object().unwrap().keys().collect();
        assert_eq!(methods, [method], "{path}");
    }
}

/// Two routes were said to answer 200, which they never do.
#[test]
fn routes_answer_with_the_statuses_that_openapi_promises() {
    let site = Site::new();
    let token = Token::random().unwrap();
    let link = token.entrance();
    let locked = Site {
        app: router(Builder::new().token(token).build()),
        folder: tempfile::tempdir().unwrap(),
    };
    let ahead = ("sec-purpose", "prefetch");
    let openapi = site.json("/api/openapi.json");
    for (path, answers) in [
        (
            "/enter/{code}",
            [
                locked.answer(&link, &[ahead]),
                locked.answer(&link, &[]),
                locked.answer(&link, &[]),
            ],
        ),
        (
            "/f/{file}",
            ["/f/1", "/f/2", "/f/9"].map(|route| site.answer(route, &[])),
        ),
        (
            "/f/{file}/directory.csv",
            [
                "1/directory.csv",
                "1/directory.csv?sort=colour",
                "9/directory.csv",
            ]
            .map(|route| site.answer(&format!("/f/{route}"), &[])),
        ),
        (
            "/f/{file}/page.bin",
            ["1/page.bin", "1/page.bin?n=abc", "9/page.bin"]
                .map(|route| site.answer(&format!("/f/{route}"), &[])),
        ),
        (
            "/assets/{name}",
            ["style.css", "viewer.js", "none.css"]
                .map(|name| site.answer(&format!("/assets/{name}"), &[])),
        ),
    ] {
        let answered: BTreeSet<&str> = answers.iter().map(|answer| answer.0.as_str()).collect();
        let promised = openapi["paths"][path]["get"]["responses"].as_object();
        let promised: BTreeSet<&str> = promised.unwrap().keys().map(String::as_str).collect();
        assert_eq!(answered, promised, "{path}");
    }
}

/// The schemas describe values of other types: nothing else keeps the two
/// together.
#[test]
fn answers_have_the_keys_that_openapi_promises() {
    let site = Site::new();
    let openapi = site.json("/api/openapi.json");
    let page = site.json("/f/2/map.json")["flagged"][0].clone();
    for (path, item) in openapi["paths"].as_object().unwrap() {
        let content = &item["get"]["responses"]["200"]["content"]["application/json"];
        let Some(schema) = content
            .get("schema")
            .filter(|_| path.rsplit('.').next() == Some("json"))
        else {
            continue;
        };
        if path == "/api/openapi.json" {
            continue;
        }
        let query = match path.as_str() {
            "/f/{file}/tiles.json" => "?per=1&count=9".to_owned(),
            "/f/{file}/page.json" => format!("?n={page}"),
            _ => String::new(),
        };
        let value = match path.as_str() {
            // Of a trace.
            "/f/{file}/crash.json" => crash::Site::of(Format::One).json("/f/1/crash.json"),
            _ => site.json(&(path.replace("{file}", "2") + &query)),
        };
        agree(&openapi, schema, &value, path);
    }
}

#[test]
fn two_files_are_compared_page_by_page() {
    let site = Site::new();
    let same = site.json("/f/1/compare.json?other=1");
    assert_eq!(
        (&same["differing"], &same["runs"]),
        (&0.into(), &serde_json::json!([]))
    );
    let found = site.json("/f/1/compare.json?other=2");
    let rotten = site.json("/f/2/map.json")["flagged"][0].clone();
    assert_eq!(
        found["runs"],
        serde_json::json!([{"first": rotten, "count": 1}])
    );
    assert_eq!(found["compared"], found["state"]["pages"]);
    assert_eq!(found["next"], Value::Null);
    let html = site.html("/f/1/compare?other=2");
    assert!(links(&html).contains(&format!("/f/1/diff?n={rotten}&other=2")));
    // Nothing is compared until a file is named, and there is no third.
    assert_eq!(site.json("/f/1/compare.json")["other"], Value::Null);
    assert_eq!(site.answer("/f/1/compare?other=3", &[]).0, 404);
}

#[test]
fn bytes_are_found_wherever_they_are_in_pages() {
    let site = Site::new();
    let found = site.json("/f/1/find.json?bytes=PBOX");
    assert_eq!(
        found["places"][0],
        serde_json::json!({"page": 0, "offset": 0}),
        "{found}"
    );
    assert_eq!(found["searched"], found["state"]["pages"]);
    assert_eq!(found["next"], Value::Null);
    let hex = site.json("/f/1/find.json?bytes=0x50%2042%204f%2058");
    assert_eq!(hex["places"], found["places"]);
    // From a byte on, it is another one or none.
    let later = site.json("/f/1/find.json?bytes=PBOX&at=1");
    assert_ne!(later["places"][0], found["places"][0]);
    // What is there too often is gone on with.
    let zeros = site.json("/f/1/find.json?bytes=0x00");
    assert_eq!(zeros["places"].as_array().unwrap().len(), 100);
    let (page, at) = (&zeros["next"]["page"], &zeros["next"]["offset"]);
    let on = site.json(&format!("/f/1/find.json?bytes=0x00&n={page}&at={at}"));
    assert_eq!(on["places"][0], zeros["next"]);
    let html = site.html("/f/1/find?bytes=PBOX");
    let place = "/f/1/page?n=0&at=0#b0".to_owned();
    assert!(links(&html).contains(&place));
    for bad in ["bytes=0xzz", "bytes=a&n=x"] {
        assert_eq!(
            site.answer(&format!("/f/1/find?{bad}"), &[]).0,
            400,
            "{bad}"
        );
    }
    assert_eq!(site.answer("/f/1/find?bytes=a&n=99999", &[]).0, 404);
}

#[test]
fn byte_that_is_asked_for_is_marked_and_read_as_numbers() {
    let site = Site::new();
    let html = site.html("/f/1/page?n=0&at=1");
    // In hex, and as text.
    assert_eq!(texts(&html, "table.hex mark"), ["42", "B"]);
    let page = site.json("/f/1/page.json?n=0&at=1");
    assert_eq!(
        page["numbers"][1],
        serde_json::json!({"kind": "u16", "little": "20290", "big": "16975"})
    );
    assert_eq!(
        site.json("/f/1/page.json?n=0")["numbers"],
        serde_json::json!([])
    );
}

#[test]
fn runs_of_free_pages_are_a_table_for_other_programs() {
    let site = Site::new();
    let (status, headers, body) = site.answer("/f/1/free.csv", &[]);
    assert_eq!(
        (status, &headers["content-type"]),
        (StatusCode::OK, &"text/csv; charset=utf-8".parse().unwrap())
    );
    let csv = String::from_utf8(body).unwrap();
    let runs: Vec<(u64, u64)> = csv
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap())
        .map(|(first, pages)| (first.parse().unwrap(), pages.parse().unwrap()))
        .collect();
    let overview = site.json("/f/1/overview.json");
    let free: u64 = runs.iter().map(|(_, pages)| pages).sum();
    assert_eq!(overview["info"]["free_pages"], free);
    assert_eq!(overview["info"]["free_runs"], runs.len());
    let longest = runs.iter().map(|(_, pages)| pages).max().unwrap();
    assert_eq!(overview["free_space"]["longest_runs"][0]["count"], *longest);
    let tiles = site.json("/f/1/tiles.json?per=1")["tiles"].clone();
    assert!(tiles.as_array().unwrap().len() > runs.len());
}

/// Checks types, and that the keys are the same on both sides.
fn agree(openapi: &Value, schema: &Value, value: &Value, place: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.trim_start_matches("#/components/schemas/");
        let schema = &openapi["components"]["schemas"][name];
        assert!(schema.is_object(), "{place}: {name} is not described");
        return agree(openapi, schema, value, place);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        if value.is_null() {
            return;
        }
        let other = choices
            .iter()
            .find(|choice| choice["type"] != "null")
            .unwrap();
        return agree(openapi, other, value, place);
    }
    if let Some(parts) = schema["allOf"].as_array() {
        let mut keys = serde_json::Map::new();
        for part in parts {
            let part = match part["$ref"].as_str() {
                Some(name) => {
                    let name = name.trim_start_matches("#/components/schemas/");
                    &openapi["components"]["schemas"][name]
                }
                None => part,
            };
            keys.extend(part["properties"].as_object().unwrap().clone());
        }
        return same_keys(openapi, &keys, value, place);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return,
    };
    let actual = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(
        types.contains(&actual),
        "{place}: {actual} is not one of {types:?}"
    );
    if let Some(keys) = schema["properties"].as_object() {
        same_keys(openapi, keys, value, place);
    }
    if let (Some(items), Some(first)) = (schema.get("items"), value.get(0))
        && items.is_object()
    {
        agree(openapi, items, first, &format!("{place}[0]"));
    }
    if let Some(choices) = schema["enum"].as_array() {
        assert!(choices.contains(value), "{place}: {value}");
    }
}

fn same_keys(openapi: &Value, keys: &serde_json::Map<String, Value>, value: &Value, place: &str) {
    let object = value.as_object().unwrap();
    for key in object.keys() {
        assert!(keys.contains_key(key), "{place}: {key} is not described");
    }
    for (key, schema) in keys {
        let place = format!("{place}.{key}");
        let value = object
            .get(key)
            .unwrap_or_else(|| panic!("{place} is missing"));
        agree(openapi, schema, value, &place);
    }
}

#[test]
fn router_below_a_path_links_to_where_it_is_and_answers_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let viewer = Builder::new()
        .base("/pages")
        .file(&path, "")
        .unwrap()
        .build();
    let own = axum::routing::get(|| async { "the program's own page" });
    let site = Site {
        app: Router::new().route("/", own).merge(router(viewer)),
        folder,
    };
    let mut seen = BTreeSet::new();
    for screen in SCREENS {
        let html = site.html(&format!("/pages/f/1/{screen}"));
        for link in links(&html) {
            let is_local = link.starts_with("/pages/") || link.starts_with('#');
            assert!(is_local, "{screen}: {link}");
            seen.insert(link.split('#').next().unwrap().to_owned());
        }
    }
    for link in seen.iter().filter(|link| !link.is_empty()) {
        let (status, _, _) = site.answer(link, &[]);
        assert_eq!(status, StatusCode::OK, "{link}");
    }
    // The home link led to an empty 404.
    assert!(seen.contains("/pages/"), "{seen:?}");
    for start in ["/pages", "/pages/", "/pages/?from=elsewhere"] {
        assert_eq!(texts(&site.html(start), "h1"), ["Page files"], "{start}");
    }
    let (status, headers, _) = site.answer("/pages/f/1/?x=1", &[]);
    assert!(status.is_redirection());
    assert_eq!(headers["location"], "/pages/f/1?x=1");
    let (_, _, body) = site.answer("/", &[]);
    assert_eq!(body, b"the program's own page");
    let (status, headers, _) = site.answer("/pages/nothing", &[]);
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(headers.contains_key("content-security-policy"));
    assert_eq!(site.json("/pages/f/1/map.json")["first"], 0);
}

/// The way on that the page of an error spoke of was not on it, nor was
/// anything else of the file.
/// Two files of one name looked like one file twice, on every screen.
#[test]
fn files_of_one_name_are_told_apart_by_their_folders() {
    let folder = tempfile::tempdir().unwrap();
    let mut viewer = Builder::new();
    for place in [
        "x/a/data.pages",
        "x/b/data.pages",
        "y/b/data.pages",
        "y/b/other.pages",
    ] {
        let path = folder.path().join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        drop(files::sample(&path));
        viewer = viewer.file(&path, "").unwrap();
    }
    let site = Site {
        app: router(viewer.build()),
        folder,
    };
    let names = [
        "a/data.pages",
        "x/b/data.pages",
        "y/b/data.pages",
        "other.pages",
    ];
    assert_eq!(texts(&site.html("/"), ".cards h3"), names);
    let html = site.html("/f/1/diff");
    assert_eq!(texts(&html, ".files li"), names);
    assert_eq!(texts(&html, "select option"), names);
}

/// A page on paper did not say of which of several files it is.
#[test]
fn file_is_told_of_with_its_path_and_size() {
    let site = Site::new();
    let path = site.folder.path().join("other.pages");
    let path = path.to_str().unwrap();
    let paper = texts(&site.html("/f/2/page?n=2"), ".paper").concat();
    assert!(
        paper.starts_with(&format!("{path} · clean · generation ")),
        "{paper}"
    );
    let size = fs::metadata(path).unwrap().len() / 1024;
    let state = &texts(&site.html("/"), ".card .state")[1];
    let expected = format!("{} pages, {size} KiB, generation ", size / 4);
    assert!(state.contains(&expected), "{state}");
    let other = site.html("/f/1/map");
    let icon = |html: &Html| links(html).into_iter().find(|link| link.contains("/icon"));
    assert_eq!(icon(&other).unwrap(), "/assets/icon.svg");
    // Of a tab nothing else is seen where there are many.
    let bad = icon(&site.html("/f/2/map")).unwrap();
    assert_eq!(bad, "/assets/icon-bad.svg");
    let (status, headers, _) = site.answer(&bad, &[]);
    assert_eq!(
        (status, &headers["content-type"]),
        (StatusCode::OK, &"image/svg+xml".parse().unwrap())
    );
}

/// The first row was lit, as if the rot were there: of more than one bit the checksum
/// does not tell where it is.
#[test]
fn byte_that_is_not_known_is_not_pointed_at() {
    let site = Site::new();
    rot_at(&site.folder.path().join("other.pages"), 200);
    let html = site.html("/f/2/health");
    let finding = texts(&html, ".finding.bad").concat();
    assert!(finding.contains("the checksum of page"), "{finding}");
    assert!(!finding.contains("Bytes at"), "{finding}");
    let page = links(&html)
        .into_iter()
        .find(|link| link.contains("/page?n="))
        .unwrap();
    assert!(!page.contains("at="), "{page}");
    assert!(texts(&site.html(&page), "tr.cursor").is_empty());
    // Of one bit it is known.
    for format in [Format::Zero, Format::One] {
        let site = Site::of(format);
        let html = site.html("/f/2/health");
        let finding = texts(&html, ".finding.bad").concat();
        assert!(finding.contains("Bytes at 100 (0x64)"), "{finding}");
        let page = links(&html)
            .into_iter()
            .find(|link| link.contains("&at=100"))
            .unwrap();
        assert_eq!(texts(&site.html(&page), "tr.cursor").len(), 1);
    }
}

/// Beside 32,544 they looked like other numbers.
#[test]
fn numbers_of_metadata_have_their_thousands_apart() {
    let site = Site::of(Format::Zero);
    let html = site.html("/f/1/metadata");
    assert_eq!(texts(&html, ".sides .meaning")[0], "at most 32,544");
}

#[test]
fn error_of_a_file_keeps_its_screens_and_links_to_what_it_advises() {
    let site = Site::new();
    let error = |route: &str| {
        let (status, _, body) = site.answer(route, &[]);
        assert!(!status.is_success(), "{route}");
        Html::parse_document(&String::from_utf8(body).unwrap())
    };
    for (route, words, way) in [
        ("/f/1/page?n=99999", "there is no page 99999", "/f/1/map"),
        (
            "/f/1/page?n=abc",
            "'abc' is not a page or byte number",
            "/f/1/overview",
        ),
        ("/f/1/tiles?x=1", "nothing at this address", "/f/1/overview"),
        (
            "/f/1/map?colour=red",
            "'red' is none of kind, age and decoder",
            "/f/1/overview",
        ),
        ("/f/1/page?n=1&n=2", "n is given twice", "/f/1/overview"),
        (
            "/f/1/directory?sort=colour",
            "sort is one of",
            "/f/1/overview",
        ),
    ] {
        let html = error(route);
        let lead = texts(&html, ".lead").concat().to_lowercase();
        assert!(lead.contains(words), "{route}: {lead}");
        assert!(
            !lead.contains("deserialize") && !lead.contains('`'),
            "{lead}"
        );
        assert_eq!(texts(&html, "nav.tabs a").len(), SCREENS.len(), "{route}");
        assert_eq!(texts(&html, "[data-theme-switch]").len(), 1);
        assert!(
            links(&html).contains(&way.to_owned()),
            "{route}: {:?}",
            links(&html)
        );
    }
    let html = error("/f/99/map");
    assert_eq!(texts(&html, ".lead"), ["There is no file 99."]);
    assert!(texts(&html, "nav.tabs a").is_empty());
}

/// A fresh file of many directory blocks had a card for each of them.
#[test]
fn findings_of_one_kind_are_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let mut bytes = fs::read(&path).unwrap();
    let mut inspector = pagebox::Engine::new().unwrap().inspect(&path).unwrap();
    for entry in inspector.directory(0, 9, false).unwrap() {
        let page = entry.page.unwrap();
        bytes[usize::try_from(page).unwrap() * 4096 + 100] ^= 1;
    }
    fs::write(&path, bytes).unwrap();
    let site = Site {
        app: router(files::viewer(&path)),
        folder,
    };
    assert_eq!(site.json("/f/1/health.json")["errors"], 9);
    let html = site.html("/f/1/health");
    assert_eq!(texts(&html, ".finding.bad").len(), 1);
    assert_eq!(
        texts(&html, ".more summary"),
        ["8 more findings of this kind"]
    );
    assert_eq!(texts(&html, ".more li").len(), 8);
}

/// An operator's questions, which no screen answered.
#[test]
fn free_space_is_told_by_its_longest_run_and_how_scattered_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    let mut pager = pagebox::Engine::new()
        .unwrap()
        .create(&path, pagebox::PageSize::KIB_4)
        .unwrap();
    let pages = pager.alloc_many(1200).unwrap();
    // Runs of one page, and one long one; all that is after is free as well.
    let mut freed: Vec<pagebox::PageId> = pages[..200].iter().copied().step_by(2).collect();
    freed.extend(&pages[300..900]);
    pager.free_many(&freed).unwrap();
    drop(pager);
    let mut inspector = pagebox::Engine::new().unwrap().inspect(&path).unwrap();
    let kinds = inspector.kinds(0, 100_000).unwrap();
    let free = inspector.page_kinds().unwrap();
    let free = free.iter().find(|kind| kind.name == "free").unwrap().code;
    // The same by hand.
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for (page, _) in (0..).zip(&kinds).filter(|(_, kind)| **kind == free) {
        match runs.last_mut() {
            Some((first, count)) if *first + *count == page => *count += 1,
            _ => runs.push((page, 1)),
        }
    }
    let longest = runs.iter().rev().max_by_key(|run| run.1).unwrap();
    let short: u64 = runs
        .iter()
        .map(|run| run.1)
        .filter(|count| *count < 8)
        .sum();
    let site = Site {
        app: router(files::viewer(&path)),
        folder,
    };
    let view = site.json("/f/1/overview.json");
    let space = &view["free_space"];
    assert_eq!(space["longest"], longest.1);
    assert_eq!(space["longest_first"], longest.0);
    assert_eq!(space["pages_in_short_runs"], short);
    let sum: u64 = space["pages_by_run"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| n.as_u64().unwrap())
        .sum();
    assert_eq!(sum, view["info"]["free_pages"].as_u64().unwrap());
    let html = site.html("/f/1/overview");
    let lines = texts(&html, ".histogram tbody tr");
    let last = lines.last().unwrap();
    assert!(lines.len() > 9 && last.starts_with("512"), "{lines:?}");
}

#[test]
fn room_is_what_is_left_and_counts_no_page_twice() {
    let site = Site::of(Format::Zero);
    let info = &site.json("/f/1/overview.json")["info"];
    let number = |key: &str| info[key].as_u64().unwrap();
    let slots = number("protected_capacity") - number("protected_pages");
    let protected = slots.min(number("free_pages") / 2);
    let room = texts(&site.html("/f/1/overview"), ".room").concat();
    let expected = format!(
        "Without growth there is room for {} further pages, or for {protected} protected ones",
        number("free_pages")
    );
    assert!(room.starts_with(&expected), "{room}");
}

/// Of a file whose directory has no slot left it was told that there is room for no
/// protected page, with hundreds of free pages.
#[test]
fn directory_that_is_full_can_have_another_block() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    let new = pagebox::NewFile {
        format: Format::Zero,
        page_count: 300,
    };
    let engine = pagebox::Engine::new().unwrap();
    drop(
        engine
            .create_with(&path, pagebox::PageSize::KIB_4, new)
            .unwrap(),
    );
    let site = Site {
        app: router(files::viewer(&path)),
        folder,
    };
    let room = texts(&site.html("/f/1/overview"), ".room").concat();
    let expected = "Without growth there is room for 297 further pages. The directory has slots for 0 \
                    more protected ones, which take two pages each; another block of slots takes two \
                    pages as well.";
    assert_eq!(room, expected);
}

/// Words that everything rests on were nowhere explained where they stood.
#[test]
fn words_link_to_what_they_mean() {
    for (format, of_roots) in [(Format::One, "root"), (Format::Zero, "metadata")] {
        words_of(&Site::of(format), of_roots);
    }
}

fn words_of(site: &Site, of_roots: &str) {
    let about = site.html("/about");
    for (screen, words) in [
        ("/", &["words"][..]),
        ("/f/1/overview", &["generation"]),
        ("/f/1/map", &["words"]),
        ("/f/1/metadata", &[of_roots, "commit", "recovery"]),
        ("/f/1/directory", &["protected"]),
        ("/f/1/page?n=0", &["words"]),
        ("/f/1/live", &["generation"]),
    ] {
        let links = links(&site.html(screen));
        let found = |word: &&str| links.contains(&format!("/about#{word}"));
        assert!(words.iter().all(found), "{screen}: {links:?}");
        for link in links {
            let Some((_, word)) = link.split_once("/about#") else {
                continue;
            };
            assert_eq!(
                texts(&about, &format!("#{word}")).len(),
                1,
                "{screen}: {word}"
            );
        }
    }
}

/// People type them, and some programs add them.
#[test]
fn address_with_a_slash_at_its_end_leads_to_the_one_without() {
    let site = Site::new();
    for (asked, location) in [
        ("/f/1/", "/f/1"),
        ("/f/1/map/?z=2", "/f/1/map?z=2"),
        ("/f/1/map.json/", "/f/1/map.json"),
        ("/about/", "/about"),
    ] {
        let (status, headers, _) = site.answer(asked, &[]);
        assert_eq!(status, StatusCode::SEE_OTHER, "{asked}");
        assert_eq!(headers["location"], location);
    }
    // Never to another host, nor round in a circle.
    for nowhere in ["//evil.test/", "/nothing/", "/%2f/evil.test/"] {
        let (status, _, _) = site.answer(nowhere, &[]);
        assert_eq!(status, StatusCode::NOT_FOUND, "{nowhere}");
    }
}

#[test]
fn file_that_cannot_be_shown_is_told_of_with_a_way_onward() {
    for (failure, status, title, advice) in [
        (
            Failure::Permission,
            StatusCode::FORBIDDEN,
            "No permission",
            "reading is enough",
        ),
        (
            Failure::Changing,
            StatusCode::SERVICE_UNAVAILABLE,
            "Changed while reading",
            "half of one state and half of another is never shown",
        ),
    ] {
        let fake = Fake {
            failure,
            ..Fake::default()
        };
        let site = of(fake);
        for screen in SCREENS {
            let (answered, _, body) = site.answer(&format!("/f/1/{screen}"), &[]);
            assert_eq!(answered, status, "{screen}");
            let text = String::from_utf8(body).unwrap();
            assert!(text.contains(title) && text.contains(advice), "{text}");
        }
        let start = site.html("/");
        assert_eq!(texts(&start, ".card .badge"), ["cannot be read"]);
    }
}
