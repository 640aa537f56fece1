//! The crash simulator: what its screens say of traces, and what they show.

use std::{collections::BTreeMap, fs, path::Path};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use pagebox::{
    Access, Engine, Format, MemoryStore, PageSize, Pager, RecordingStore,
    trace::{Recorder, Step, Trace},
};
use pagebox_viewer::{Builder, router};
use scraper::{Html, Selector};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::files;

const FORMATS: [Format; 2] = [Format::Zero, Format::One];

/// Records what is done to a file like the samples.
fn record(format: Format, path: &Path, work: impl FnOnce(&mut Pager)) {
    let file = path.with_extension("pages");
    drop(files::sample_of(format, &file));
    let store = MemoryStore::from_bytes(PageSize::KIB_4, fs::read(file).unwrap());
    let trace = fs::File::create(path).unwrap();
    let (store, recording) = RecordingStore::new(Box::new(store), trace).unwrap();
    let mut pager = Engine::new()
        .unwrap()
        .open_store(store, Access::Write)
        .unwrap();
    work(&mut pager);
    recording.end().unwrap();
}

/// One commit: that of the demo.
fn commit(format: Format) -> impl FnOnce(&mut Pager) {
    move |pager| {
        let first = pager.protected_pages().next().unwrap().unwrap().id;
        let mut tx = pager.begin().unwrap();
        tx.write(first).unwrap().fill(b'!');
        if format == Format::Zero {
            tx.alloc_many(3).unwrap();
        }
        tx.commit().unwrap();
    }
}

pub(crate) struct Site {
    app: Router,
    trace: Trace,
    _folder: TempDir,
}

impl Site {
    pub(crate) fn of(format: Format) -> Self {
        Self::with(|path| record(format, path, commit(format)))
    }

    fn with(record: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("commit.trace");
        record(&path);
        let viewer = Builder::new().file(&path, "").unwrap().build();
        Self {
            app: router(viewer),
            trace: Trace::decode(&fs::read(&path).unwrap()).unwrap(),
            _folder: folder,
        }
    }

    fn answer(&self, route: &str) -> (StatusCode, String) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let request = Request::get(route).header("host", "localhost");
            let request = request.body(Body::empty()).unwrap();
            let answer = self.app.clone().oneshot(request).await.unwrap();
            let (head, body) = answer.into_parts();
            let body = to_bytes(body, 1 << 21).await.unwrap();
            (head.status, String::from_utf8(body.to_vec()).unwrap())
        })
    }

    pub(crate) fn json(&self, route: &str) -> Value {
        let (status, body) = self.answer(route);
        assert_eq!(status, StatusCode::OK, "{route}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    fn html(&self, route: &str) -> Html {
        let (status, body) = self.answer(route);
        assert_eq!(status, StatusCode::OK, "{route}: {body}");
        Html::parse_document(&body)
    }

    /// What all images that were tried came to, all moments together.
    fn strip(&self, query: &str) -> BTreeMap<String, u64> {
        strip(&self.json(&format!("/f/1/crash.json?{query}")))
    }

    /// The steps that make something durable, from 1.
    fn barriers(&self) -> Vec<usize> {
        let steps = self.trace.steps().iter().enumerate();
        let barriers = steps.filter(|(_, step)| step.is_barrier());
        barriers.map(|(at, _)| at + 1).collect()
    }
}

fn strip(view: &Value) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for moment in view["moments"].as_array().unwrap() {
        for part in moment["outcomes"].as_array().unwrap() {
            let outcome = part["outcome"].as_str().unwrap().to_owned();
            *all.entry(outcome).or_default() += part["count"].as_u64().unwrap();
        }
    }
    all
}

fn texts(html: &Html, selector: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap())
        .map(|element| element.text().collect::<String>())
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn hrefs(html: &Html, selector: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap())
        .map(|element| element.value().attr("href").unwrap().to_owned())
        .collect()
}

#[test]
fn crash_in_a_commit_leaves_the_state_before_or_after() {
    for format in FORMATS {
        let site = Site::of(format);
        let strip = site.strip("");
        let outcomes: Vec<&str> = strip.keys().map(String::as_str).collect();
        assert_eq!(outcomes, ["after", "before"], "{format:?}");
        assert!(strip.values().sum::<u64>() > 250, "{format:?}: {strip:?}");
    }
}

/// Those that opening a file makes are for what was left there before: here
/// nothing. Of the commit's own each is needed.
#[test]
fn without_a_sync_of_the_commit_something_is_lost() {
    for (format, needed) in [(Format::Zero, 2), (Format::One, 1)] {
        let site = Site::of(format);
        let barriers = site.barriers();
        let (opening, commits) = barriers.split_at(barriers.len() - needed);
        for step in commits {
            let strip = site.strip(&format!("without={step}"));
            let bad = [strip.get("lost"), strip.get("damage")];
            assert!(
                bad.iter().any(Option::is_some),
                "{format:?} {step}: {strip:?}"
            );
            let html = site.html(&format!("/f/1/crash?without={step}"));
            let said = texts(&html, "#syncs .card.bad").concat();
            assert!(said.starts_with("This is what step"), "{said}");
        }
        for step in opening {
            let strip = site.strip(&format!("without={step}"));
            let outcomes: Vec<&str> = strip.keys().map(String::as_str).collect();
            assert_eq!(outcomes, ["after", "before"], "{format:?} {step}");
            let html = site.html(&format!("/f/1/crash?without={step}"));
            let said = texts(&html, "#syncs .card.good").concat();
            assert!(
                said.contains("is not needed for what this trace does"),
                "{said}"
            );
        }
    }
}

/// Which of the two a missing sync costs: format 0 has one before page 0, without
/// which page 0 names what is not there, and one after, without which nobody may
/// be told; format 1 has one for both.
#[test]
fn what_is_lost_says_what_the_sync_was_for() {
    let site = Site::of(Format::Zero);
    let barriers = site.barriers();
    let [.., before, after] = barriers[..] else {
        panic!("{barriers:?}");
    };
    let first = site.strip(&format!("without={before}"));
    assert!(
        first.contains_key("damage") && !first.contains_key("lost"),
        "{first:?}"
    );
    let second = site.strip(&format!("without={after}"));
    assert!(
        second.contains_key("lost") && !second.contains_key("damage"),
        "{second:?}"
    );

    let site = Site::of(Format::One);
    let only = site.barriers().pop().unwrap();
    let both = site.strip(&format!("without={only}"));
    assert!(
        both.contains_key("lost") && both.contains_key("damage"),
        "{both:?}"
    );
}

/// An opening after a crash does need its syncs: what it found was not durable.
#[test]
fn opening_needs_its_syncs_after_a_crash() {
    for format in FORMATS {
        // The moment at which the commit's last write has been made, and no more.
        let mut last = 0;
        let site = Site::with(|path| {
            let folder = path.parent().unwrap();
            let commit_path = folder.join("first.trace");
            record(format, &commit_path, commit(format));
            let trace = Trace::decode(&fs::read(&commit_path).unwrap()).unwrap();
            last = trace.steps().iter().rposition(Step::is_barrier).unwrap();
            let (mut recorder, mut bytes) =
                Recorder::begin(trace.page_size(), trace.base().len() as u64).unwrap();
            for (page, held) in (0..).zip(trace.base()) {
                bytes.extend(recorder.base_page(page, held).unwrap());
            }
            for step in &trace.steps()[..last] {
                bytes.extend(recorder.step(step).unwrap());
            }
            // A process that was killed there leaves what it wrote to the next.
            let cut = Trace::decode(&bytes).unwrap();
            let left = cut.disk_at(last, None).pages().concat();
            let store = MemoryStore::from_bytes(trace.page_size(), left);
            let opened = fs::File::create(folder.join("opening.trace")).unwrap();
            let (store, recording) = RecordingStore::new(Box::new(store), opened).unwrap();
            drop(
                Engine::new()
                    .unwrap()
                    .open_store(store, Access::Write)
                    .unwrap(),
            );
            recording.end().unwrap();
            let opening = fs::read(folder.join("opening.trace")).unwrap();
            for step in Trace::decode(&opening).unwrap().steps() {
                bytes.extend(recorder.step(step).unwrap());
            }
            fs::write(path, bytes).unwrap();
        });
        assert!(!site.strip("").contains_key("damage"), "{format:?}");
        let barriers = site.barriers();
        let needed = barriers.iter().filter(|step| {
            let strip = site.strip(&format!("without={step}"));
            strip.contains_key("lost") || strip.contains_key("damage")
        });
        let needed: Vec<_> = needed.collect();
        assert!(
            needed.iter().any(|step| **step > last),
            "{format:?}: {needed:?}"
        );
    }
}

/// Every screen shows the image that is chosen, by an id of its own.
#[test]
fn other_screens_show_the_image() {
    for format in FORMATS {
        let site = Site::of(format);
        let last = site.barriers().pop().unwrap();
        let view = |keep: &str| site.json(&format!("/f/1/crash.json?at={last}&keep={keep}"));
        let (all, none) = (view("all"), view("none"));
        assert_eq!(
            (&all["outcome"], &none["outcome"]),
            (&"after".into(), &"before".into())
        );
        for view in [&all, &none] {
            let id = view["image"]["id"].as_str().unwrap();
            for screen in [
                "overview",
                "map",
                "metadata",
                "directory",
                "page?n=0",
                "diff",
                "health",
                "time",
                "changes",
            ] {
                let html = site.html(&format!("/f/{id}/{screen}"));
                let tabs = texts(&html, ".tabs a");
                assert!(
                    tabs[0] == "Crash" && !tabs.contains(&"Live".to_owned()),
                    "{tabs:?}"
                );
                let said = texts(&html, "aside.past").concat();
                assert!(
                    said.contains(&format!("during step {last}")),
                    "{screen}: {said}"
                );
                let back = hrefs(&html, ".past .ways a").concat();
                assert_eq!(site.answer(&back).0, StatusCode::OK, "{back}");
            }
            let overview = site.json(&format!("/f/{id}/overview.json"));
            assert_eq!(overview["state"]["generation"], view["state"]["generation"]);
        }
        assert_ne!(all["state"]["generation"], none["state"]["generation"]);
    }
}

/// Each box leads to the same with one sector more or less, and to the bytes that
/// the trace has there.
#[test]
fn sector_that_is_switched_is_in_the_image() {
    let site = Site::of(Format::One);
    let at = site.barriers().pop().unwrap();
    let page = site.json(&format!("/f/1/crash.json?at={at}"))["pages"][1]["page"]
        .as_u64()
        .unwrap();
    let html = site.html(&format!("/f/1/crash?at={at}&keep=none"));
    assert!(hrefs(&html, ".sectors a.new").is_empty());
    let boxes = hrefs(&html, ".sectors a");
    assert_eq!(boxes.len(), 16);
    // The second sector of the second page.
    let switched = boxes[8 + 1].split('#').next().unwrap().to_owned();
    assert!(
        switched.ends_with(&format!("&keep=none&but={page}.1.1")),
        "{switched}"
    );
    let json = site.json(&switched.replace("/crash?", "/crash.json?"));
    assert_eq!((&json["kept"], &json["sectors"]), (&1.into(), &16.into()));
    let back = site.html(&switched);
    assert_eq!(texts(&back, ".sectors a.new").len(), 1);
    let back = hrefs(&back, ".sectors a.new").concat();
    assert!(back.ends_with("&keep=none#doubt"), "{back}");

    let id = json["image"]["id"].as_str().unwrap();
    let diff = site.json(&format!(
        "/f/{id}/diff.json?n={page}&m={page}&other=1~{at}~none"
    ));
    assert_eq!(diff["differing_bytes"], 512, "{diff}");
    assert!(diff["differences"][0]["offset"] == 512, "{diff}");
}

#[test]
fn draw_is_the_same_from_the_same_seed() {
    let site = Site::of(Format::Zero);
    let at = site.barriers()[2];
    let draw = |seed: u64| {
        let route = format!("/f/1/crash.json?at={at}&keep=random&seed={seed}");
        site.json(&route)["pages"].clone()
    };
    assert_eq!(draw(7), draw(7));
    assert!((0..9).any(|seed| draw(seed) != draw(7)));
}

#[test]
fn example_of_an_outcome_is_one() {
    for format in FORMATS {
        let site = Site::of(format);
        let without = site.barriers().pop().unwrap();
        let end = site.trace.steps().len() + 1;
        let html = site.html(&format!("/f/1/crash?at={end}&without={without}"));
        let examples = hrefs(&html, ".came a");
        assert!(examples.len() > 1, "{format:?}");
        for (example, said) in examples.iter().zip(texts(&html, ".came li")) {
            let json = site.json(&example.replace("/crash?", "/crash.json?"));
            let outcome = json["outcome"].as_str().unwrap();
            let expected = match outcome {
                "lost" => "a state that is too old",
                "damage" => "damage",
                other => other,
            };
            assert!(said.contains(expected), "{example}: {outcome}, {said}");
        }
    }
}

/// More commits than one: what is in between is said to be.
#[test]
fn trace_of_several_commits_goes_through_their_states() {
    for format in FORMATS {
        let site = Site::with(|path| {
            record(format, path, |pager| {
                for _ in 0..3 {
                    pager.alloc_protected().unwrap();
                }
            });
        });
        let strip = site.strip("");
        let outcomes: Vec<&str> = strip.keys().map(String::as_str).collect();
        assert_eq!(outcomes, ["after", "before", "between"], "{format:?}");
    }
}

/// A file that is being made is none at first: that is no damage.
#[test]
fn trace_of_a_file_that_is_made_begins_with_none() {
    for format in FORMATS {
        let site = Site::with(|path| {
            let store = Box::new(MemoryStore::new(PageSize::KIB_4));
            let trace = fs::File::create(path).unwrap();
            let (store, recording) = RecordingStore::new(store, trace).unwrap();
            let new = pagebox::NewFile {
                format,
                ..pagebox::NewFile::default()
            };
            drop(Engine::new().unwrap().create_store(store, new).unwrap());
            recording.end().unwrap();
        });
        let last = site.trace.steps().len() + 1;
        let begun = site.json("/f/1/crash.json?at=1&keep=none");
        assert_eq!(
            (&begun["outcome"], &begun["state"]["verdict"]),
            (&"before".into(), &"not-a-page-file".into())
        );
        let done = site.json(&format!("/f/1/crash.json?at={last}"));
        assert_eq!(done["outcome"], "after");
        // The growth is in doubt while it is under way.
        let growth = site
            .trace
            .steps()
            .iter()
            .position(|step| matches!(step, Step::Grow { .. }));
        let growth = growth.unwrap() + 1;
        let lengths = site.json(&format!("/f/1/crash.json?at={growth}"))["lengths"].clone();
        assert_eq!(lengths.as_array().unwrap().len(), 2, "{lengths}");
        let html = site.html(&format!("/f/1/crash?at={growth}&length=0"));
        assert!(texts(&html, "p.choice").concat().contains("0 pages"));
    }
}

#[test]
fn what_there_is_not_to_choose_is_said() {
    let site = Site::of(Format::One);
    let end = site.trace.steps().len() + 1;
    let write = site
        .trace
        .steps()
        .iter()
        .position(|step| !step.is_barrier());
    let write = write.unwrap() + 1;
    let cases = [
        (
            format!("at={}", end + 1),
            format!("there is no step {}", end + 1),
        ),
        ("at=0".to_owned(), "steps are counted from 1".to_owned()),
        (
            "at=x".to_owned(),
            "'x' is not a page or byte number".to_owned(),
        ),
        (
            "at=99999999999999999999".to_owned(),
            "is not a page or byte number".to_owned(),
        ),
        (format!("without={end}"), "cannot be left out".to_owned()),
        (
            format!("without={write}"),
            "neither a sync nor an order".to_owned(),
        ),
        (
            "keep=some".to_owned(),
            "neither all nor none nor random".to_owned(),
        ),
        ("but=1.2".to_owned(), "'1.2' is no sector".to_owned()),
        (
            "but=9999.0.1".to_owned(),
            "sector 0 of page 9999 is not in doubt".to_owned(),
        ),
        (
            format!("at={end}&but=1.0.9"),
            "has no version 9: the last is 1".to_owned(),
        ),
        (
            "length=7".to_owned(),
            "the file cannot have 7 pages".to_owned(),
        ),
        (
            format!("but={}1.0.0", "1.0.0,".repeat(200)),
            "more than 200 sectors".to_owned(),
        ),
        ("at=1&at=2".to_owned(), "at is given twice".to_owned()),
    ];
    for (query, expected) in cases {
        for screen in ["crash", "crash.json"] {
            let (status, body) = site.answer(&format!("/f/1/{screen}?{query}"));
            assert_eq!(status, StatusCode::BAD_REQUEST, "{query}: {body}");
            // A sentence begins with a capital letter.
            let text = body.replace("&#39;", "'").to_lowercase();
            assert!(text.contains(&expected), "{query}: {text}");
        }
    }
    // The same in the ids of images.
    for (id, status) in [
        (format!("1~{}~all", end + 1), StatusCode::BAD_REQUEST),
        (format!("1~{end}~all~9999.0.1"), StatusCode::BAD_REQUEST),
        ("1~0".to_owned(), StatusCode::NOT_FOUND),
        ("1~".to_owned(), StatusCode::NOT_FOUND),
        ("2~1~all".to_owned(), StatusCode::NOT_FOUND),
        ("1~1~all~%3Cb%3E".to_owned(), StatusCode::NOT_FOUND),
    ] {
        let (answered, body) = site.answer(&format!("/f/{id}/overview"));
        assert_eq!(answered, status, "{id}: {body}");
        assert!(!body.contains("<b>"), "{body}");
    }
}

#[test]
fn file_that_is_no_trace_has_no_simulator() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let viewer = files::viewer(&path);
    let site = Site {
        app: router(viewer),
        ..Site::of(Format::One)
    };
    let (status, body) = site.answer("/f/1/crash");
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body.contains("not a trace"), "{body}");
    assert!(!texts(&site.html("/f/1/overview"), ".tabs a").contains(&"Crash".to_owned()));
}

/// More images than are kept at a time: those that went are made again.
#[test]
fn images_that_were_dropped_are_made_again() {
    let site = Site::of(Format::One);
    let last = site.barriers().pop().unwrap();
    let first = site.json(&format!("/f/1~{last}~none/overview.json"));
    for seed in 0..20 {
        site.json(&format!("/f/1~{last}~r{seed}/overview.json"));
    }
    let again = site.json(&format!("/f/1~{last}~none/overview.json"));
    assert_eq!(first["info"], again["info"]);
}

#[test]
fn trace_that_is_none_is_an_error_that_names_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("commit.trace");
    record(Format::One, &path, commit(Format::One));
    let mut bytes = fs::read(&path).unwrap();
    let cut = bytes.len() - 1;
    bytes.truncate(cut);
    fs::write(&path, &bytes).unwrap();
    let error = Builder::new().file(&path, "").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidData);
    let expected = format!("byte {} of the trace: the trace ends", cut - 3);
    assert!(error.to_string().starts_with(&expected), "{error}");
}

/// A trace of anything at all is shown, and nothing in it stops the viewer.
#[test]
fn trace_of_nonsense_is_shown() {
    let site = Site::with(|path| {
        let (mut recorder, mut bytes) = Recorder::begin(PageSize::KIB_1, 3).unwrap();
        bytes.extend(recorder.base_page(0, &[b'P'; 1024]).unwrap());
        for step in [
            Step::Write {
                page: 2,
                bytes: vec![0xFF; 1024].into(),
            },
            Step::Grow { page_count: 9 },
            Step::Zero { first: 0, count: 9 },
            Step::Order,
            Step::Truncate { page_count: 1 },
            Step::Truncate { page_count: 0 },
            Step::Sync,
        ] {
            bytes.extend(recorder.step(&step).unwrap());
        }
        fs::write(path, bytes).unwrap();
    });
    for at in 1..=8 {
        for keep in ["all", "none", "random"] {
            let html = site.html(&format!("/f/1/crash?at={at}&keep={keep}"));
            assert!(!texts(&html, "h1").is_empty());
            let id = format!("1~{at}~{}", keep.replace("random", "r1"));
            for screen in ["overview", "map", "health", "metadata"] {
                site.html(&format!("/f/{id}/{screen}"));
            }
        }
    }
    // The power fails in a cut: what was there may be there still.
    let cut = site.json("/f/1/crash.json?at=6&keep=none");
    let pages: Vec<u64> = cut["lengths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["pages"].as_u64().unwrap())
        .collect();
    assert_eq!(pages, [0, 9]);
}
