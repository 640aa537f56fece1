//! The past of a file: its snapshots, each screen as of one of them, what changed
//! in between, and the names that people give them.

use std::{
    path::Path,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use pagebox::{Pager, ProtectedId};
use scraper::{Html, Selector};
use serde_json::{Value, json};

use crate::{
    facts::texts,
    files,
    server::{Answer, Server},
};

/// A name of all that could be taken for something else.
const HOSTILE: &str = "<b>&\"'#?+ %2e/\u{202e}ö";

/// A file with three snapshots, a server of it, and the ids of its protected
/// pages: the first of them is written after each.
struct Past {
    _folder: tempfile::TempDir,
    pager: Pager,
    ids: Vec<ProtectedId>,
    server: Server,
}

impl Past {
    fn of(names: [&str; 3]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pages");
        let mut pager = files::sample(&path);
        let ids: Vec<_> = pager
            .protected_pages()
            .map(|page| page.unwrap().id)
            .collect();
        for (name, byte) in names.into_iter().zip(b'a'..) {
            pager.create_snapshot(name).unwrap();
            write(&mut pager, ids[0], byte);
        }
        // After the last: one more, one less.
        let mut tx = pager.begin().unwrap();
        let new = tx.alloc_protected().unwrap();
        tx.write(new).unwrap().fill(b'+');
        tx.free_protected(ids[9]).unwrap();
        tx.commit().unwrap();
        pager.sync().unwrap();
        let server = Server::start(files::viewer(&path));
        Self {
            _folder: folder,
            pager,
            ids,
            server,
        }
    }

    fn json(&self, address: &str) -> Value {
        let answer = self.server.get(&format!("/f/1/{address}"), "");
        assert_eq!(answer.status, 200, "{address}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn html(&self, address: &str) -> Html {
        let answer = self.server.get(&format!("/f/1/{address}"), "");
        assert_eq!(answer.status, 200, "{address}: {}", answer.text());
        Html::parse_document(&answer.text())
    }

    /// The page of the first protected page, in a state.
    fn page_in(&self, state: &str) -> u64 {
        let entry = &self.json(&format!("directory.json?limit=1{state}"))["entries"][0];
        assert_eq!(entry["checksum_state"], "verified");
        entry["page"].as_u64().unwrap()
    }
}

fn write(pager: &mut Pager, id: ProtectedId, byte: u8) {
    let mut tx = pager.begin().unwrap();
    tx.write(id).unwrap().fill(byte);
    tx.commit().unwrap();
}

fn hrefs(html: &Html, selector: &str) -> Vec<String> {
    html.select(&Selector::parse(selector).unwrap())
        .filter_map(|link| link.attr("href").map(str::to_owned))
        .collect()
}

/// A name as addresses have it.
fn in_address(name: &str) -> String {
    let bytes: Vec<String> = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
    bytes.concat()
}

fn follow(past: &Past, href: &str) -> Answer {
    let answer = past.server.get(href, "");
    assert_eq!(answer.status, 200, "{href}: {}", answer.text());
    answer
}

#[test]
fn snapshots_are_listed_the_newest_first_with_what_each_has_alone() {
    let past = Past::of(["monday", "tuesday", "wednesday"]);
    let view = past.json("time.json");
    let snapshots = view["snapshots"].as_array().unwrap();
    let names: Vec<_> = snapshots.iter().map(|each| &each["name"]).collect();
    assert_eq!(names, ["wednesday", "tuesday", "monday"]);
    for (line, snapshot) in snapshots.iter().rev().zip(past.pager.snapshots().unwrap()) {
        assert_eq!(line["generation"], snapshot.generation);
        assert_eq!(line["time"], snapshot.time);
        let pages = past.pager.snapshot_pages(&snapshot.name).unwrap();
        assert_eq!(line["pages"], pages);
        assert!(pages > 0);
    }
    assert_eq!(view["all"], 3);
    let part = past.json("time.json?skip=1&limit=1");
    assert_eq!(part["snapshots"][0]["name"], "tuesday");
    assert_eq!(part["snapshots"][0]["earlier"], "monday");
    let html = past.html("time?skip=1&limit=1");
    let ways = [hrefs(&html, "[rel=prev]"), hrefs(&html, "[rel=next]")];
    assert_eq!(
        ways.map(|ways| ways.concat()),
        ["/f/1/time?limit=1&skip=0", "/f/1/time?limit=1&skip=2"]
    );
    assert_eq!(
        past.html("time")
            .select(&Selector::parse("svg.line .named").unwrap())
            .count(),
        3
    );
    assert_eq!(texts(&html, "nav.tabs [aria-current]"), ["Time"]);
    assert_eq!(past.server.get("/f/1/time?by=luck", "").status, 400);
}

#[test]
fn every_screen_of_a_snapshot_shows_what_was_there_then() {
    let past = Past::of(["monday", "tuesday", "wednesday"]);
    let now = past.page_in("");
    let then = past.page_in("&snapshot=tuesday");
    assert_ne!(now, then);
    let bytes = past
        .server
        .get(&format!("/f/1/page.bin?n={then}&snapshot=tuesday"), "");
    assert!(bytes.body.iter().all(|byte| *byte == b'a'));
    let view = past.json(&format!("page.json?n={then}&snapshot=tuesday"));
    assert_eq!(view["protected"], past.ids[0].get());
    assert_eq!(view["kind"], "protected-active");
    assert_eq!(
        past.json(&format!("page.json?n={now}&snapshot=tuesday"))["kind"],
        "other"
    );
    let state = &view["state"]["snapshot"];
    assert_eq!(
        (&state["name"], &state["earlier"], &state["later"]),
        (&json!("tuesday"), &json!("monday"), &json!("wednesday"))
    );
    let directory = past.json("directory.json?snapshot=tuesday");
    assert_eq!(directory["protected_pages"], 10);
    let kinds = |address: &str| {
        let map = past.json(address);
        let kinds = map["kinds"].as_array().unwrap().iter();
        let found = kinds.filter(|kind| kind["count"] != 0);
        found
            .map(|kind| kind["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert!(kinds("map.json").contains(&"regular".to_owned()));
    let then = kinds("map.json?snapshot=tuesday");
    assert!(!then.contains(&"regular".to_owned()) && then.contains(&"other".to_owned()));
    let now = past.json("tiles.json?snapshot=");
    assert_ne!(
        now["tiles"],
        past.json("tiles.json?snapshot=tuesday")["tiles"]
    );
    let health = past.json("health.json?snapshot=tuesday");
    assert_eq!(
        (&health["errors"], &health["complete"]),
        (&json!(0), &json!(true))
    );
    let csv = past.server.get("/f/1/directory.csv?snapshot=tuesday", "");
    assert_eq!(csv.text().lines().count(), 11);
    // What the committed state says stays as it is.
    assert_eq!(past.json("overview.json")["state"]["snapshot"], Value::Null);
}

#[test]
fn banner_says_of_when_a_screen_is_and_leads_to_other_states_and_back() {
    let past = Past::of(["monday", "tuesday", "wednesday"]);
    let generation = past.pager.snapshots().unwrap()[1].generation;
    for screen in [
        "overview?",
        "map?kind=other&",
        "directory?sort=-id&",
        "page?n=20&",
        "health?",
        "tree?",
        "find?bytes=a&",
    ] {
        let html = past.html(&format!("{screen}snapshot=tuesday"));
        let says = texts(&html, "aside.past p").concat();
        let start = format!("As of snapshot tuesday, generation {generation}, taken 20");
        assert!(says.starts_with(&start), "{screen}: {says}");
        let (path, query) = screen.split_once('?').unwrap();
        let query = query.trim_end_matches('&');
        let parts = if query.is_empty() {
            String::new()
        } else {
            format!("&{query}")
        };
        let to = |name: &str| format!("/f/1/{path}?snapshot={name}{parts}");
        assert_eq!(hrefs(&html, "[data-earlier]"), [to("monday")]);
        assert_eq!(hrefs(&html, "[data-later]"), [to("wednesday")]);
        let now = if query.is_empty() {
            String::new()
        } else {
            format!("?{query}")
        };
        let ways = hrefs(&html, "aside.past a");
        assert!(ways.contains(&format!("/f/1/{path}{now}")), "{ways:?}");
        // A snapshot does not change, and the events are not of it.
        assert!(hrefs(&html, "live-status").is_empty());
        assert_eq!(
            html.select(&Selector::parse("live-status").unwrap())
                .count(),
            0
        );
    }
    let last = past.html("overview?snapshot=wednesday");
    assert_eq!(hrefs(&last, "[data-later]"), ["/f/1/overview"]);
    let first = past.html("overview?snapshot=monday");
    assert!(hrefs(&first, "[data-earlier]").is_empty());
    assert_eq!(
        past.html("overview")
            .select(&Selector::parse(".past").unwrap())
            .count(),
        0
    );
}

/// One link without it, and who follows it is in another time without a word.
#[test]
fn links_between_screens_keep_the_snapshot() {
    let past = Past::of(["monday", "tuesday", "wednesday"]);
    let page = past.page_in("&snapshot=tuesday");
    for screen in [
        "overview?",
        "map?",
        "directory?",
        &format!("page?n={page}&"),
        "health?",
        "tree?",
        "find?bytes=a&",
    ] {
        let html = past.html(&format!("{screen}snapshot=tuesday"));
        let ways = hrefs(&html, "main a, nav.tabs a");
        let mut kept = 0;
        for way in ways {
            let can_be = [
                "overview",
                "map",
                "directory",
                "page",
                "health",
                "tree",
                "find",
            ]
            .iter()
            .any(|screen| way.starts_with(&format!("/f/1/{screen}")));
            assert_eq!(way.contains("snapshot=tuesday"), can_be, "{screen}: {way}");
            kept += usize::from(can_be);
        }
        assert!(kept >= 5, "{screen}");
        let forms = html.select(&Selector::parse("main form").unwrap()).count();
        let hidden = html
            .select(&Selector::parse("main form [name=snapshot]").unwrap())
            .count();
        assert_eq!(forms, hidden, "{screen}");
    }
    let map = past.html("map?snapshot=tuesday");
    let map = map
        .select(&Selector::parse("page-map").unwrap())
        .next()
        .unwrap();
    for (name, path) in [
        ("src", "tiles.json"),
        ("page", "page"),
        ("detail", "page.json"),
    ] {
        let expected = format!("/f/1/{path}?snapshot=tuesday&");
        assert_eq!(map.attr(name), Some(expected.as_str()));
    }
}

#[test]
fn changes_between_two_states_are_those_that_the_pager_tells() {
    let past = Past::of(["monday", "tuesday", "wednesday"]);
    let view = past.json("changes.json?before=monday&after=wednesday");
    let line = &view["changes"][0];
    assert_eq!(
        (&view["added"], &view["removed"], &view["changed"]),
        (&json!(0), &json!(0), &json!(1))
    );
    assert_eq!(line["change"], "changed");
    assert_eq!(line["before"]["page"], past.page_in("&snapshot=monday"));
    assert_eq!(line["after"]["page"], past.page_in("&snapshot=wednesday"));
    // To now, and the other way round.
    for (query, kinds) in [
        ("before=wednesday", ["changed", "removed", "added"]),
        ("after=wednesday", ["changed", "added", "removed"]),
    ] {
        let view = past.json(&format!("changes.json?{query}"));
        let lines = view["changes"].as_array().unwrap().iter();
        let found: Vec<_> = lines.map(|line| (&line["id"], &line["change"])).collect();
        // The new one has the id that was free, after those that there were.
        let ids = [past.ids[0].get(), past.ids[9].get(), past.ids[9].get() + 1];
        let expected: Vec<_> = ids.into_iter().zip(kinds).collect();
        let found: Vec<_> = found
            .iter()
            .map(|(id, kind)| (id.as_u64().unwrap(), kind.as_str().unwrap()))
            .collect();
        assert_eq!(found, expected, "{query}");
    }
    let html = past.html("changes?before=monday&after=wednesday");
    let ways = hrefs(&html, "table.changes a");
    assert_eq!(ways.len(), 3);
    for (way, byte) in ways.iter().zip([7, b'b']) {
        assert!(way.contains("snapshot="), "{way}");
        let bytes = follow(&past, &way.replace("/page?", "/page.bin?"));
        assert!(bytes.body.iter().all(|each| *each == byte));
    }
    assert!(
        follow(&past, &ways[2])
            .text()
            .contains("of 4,096 bytes\ndiffer")
    );
    let same = past.html("changes?before=monday&after=monday");
    assert_eq!(texts(&same, "p.empty"), ["No protected page differs."]);
    assert_eq!(past.json("changes.json")["changes"], json!([]));
    assert_eq!(texts(&html, "nav.tabs [aria-current]"), ["Time"]);
}

#[test]
fn changes_are_listed_in_parts() {
    let past = Past::of(["monday", "tuesday", "wednesday"]);
    let part = past.json("changes.json?before=monday&skip=1&limit=1");
    assert_eq!(part["changes"][0]["id"], past.ids[9].get());
    assert_eq!(part["complete"], true);
    let html = past.html("changes?before=monday&skip=1&limit=1");
    let ways = [hrefs(&html, "[rel=prev]"), hrefs(&html, "[rel=next]")];
    let which = "/f/1/changes?before=monday&after=&limit=1";
    assert_eq!(
        ways.map(|ways| ways.concat()),
        [format!("{which}&skip=0"), format!("{which}&skip=2")]
    );
    let last = past.html("changes?before=monday&skip=2&limit=1");
    assert_eq!(texts(&last, "table.changes tbody tr").len(), 1);
    assert!(hrefs(&last, "[rel=next]").is_empty());
}

/// A page of the file, as the page's twin tells it.
fn held_by(past: &Past, query: &str) -> (Vec<String>, Value) {
    let held = past.json(&format!("page.json?{query}"))["held_by"].clone();
    let names = held["snapshots"].as_array().unwrap().iter();
    let names = names.map(|each| each["name"].as_str().unwrap().to_owned());
    (names.collect(), held["protected"].clone())
}

#[test]
fn page_says_which_snapshots_hold_it() {
    let past = Past::of(["monday", "tuesday", "wednesday"]);
    let own = |state: &str| format!("n={}{state}", past.page_in(state));
    let none: [&str; 0] = [];
    // Written after each snapshot: each version is in one of them, the last in none.
    assert_eq!(held_by(&past, &own("")).0, none);
    for name in ["monday", "tuesday", "wednesday"] {
        let state = format!("&snapshot={name}");
        assert_eq!(held_by(&past, &own(&state)).0, [name]);
        // And so it is said where nothing that is shown names it.
        let page = format!("n={}", past.page_in(&state));
        let (names, id) = held_by(&past, &page);
        assert_eq!(
            (names, id),
            (vec![name.to_owned()], json!(past.ids[0].get()))
        );
        let html = past.html(&format!("page?{page}"));
        let says = texts(&html, ".facts dd").concat();
        assert!(
            says.contains(&format!("{name}, as protected page 0")),
            "{says}"
        );
        let ways = hrefs(&html, ".facts a");
        let there = format!("/f/1/page?snapshot={name}&{page}");
        assert!(ways.contains(&there), "{ways:?}");
    }
    // Never written since: in all of them, and so it is from each of them.
    let entry = &past.json("directory.json?q=5")["entries"];
    let mut entries = entry.as_array().unwrap().iter();
    let fifth = entries.find(|entry| entry["id"] == past.ids[5].get());
    let fifth = &fifth.unwrap()["page"];
    let all = ["wednesday", "tuesday", "monday"];
    for state in ["", "&snapshot=monday"] {
        assert_eq!(held_by(&past, &format!("n={fifth}{state}")).0, all);
    }
    // What no snapshot can have, and what was not asked for.
    let view = past.json("page.json?n=0");
    assert_eq!(
        (&view["kind"], &view["held_by"]),
        (&json!("header"), &Value::Null)
    );
    let brief = past.json(&format!("page.json?n={fifth}&brief=true"));
    assert_eq!(brief["held_by"], Value::Null);
    let header = texts(&past.html("page?n=0"), ".facts dt");
    assert!(!header.contains(&"Held by".to_owned()));
}

#[test]
fn page_that_no_snapshot_holds_any_more_says_so() {
    let mut past = Past::of(["monday", "tuesday", "wednesday"]);
    let page = past.page_in("&snapshot=tuesday");
    past.pager.delete_snapshot("tuesday").unwrap();
    let view = past.json(&format!("page.json?n={page}"));
    assert_ne!(view["kind"], "protected-active");
    let state = past.json(&format!("page.json?n={page}&snapshot=monday"));
    assert_eq!(state["kind"], "other");
    assert_eq!(state["referenced_by"], json!([]));
    assert_eq!(
        state["held_by"],
        json!({ "snapshots": [], "protected": null, "complete": true })
    );
    let html = past.html(&format!("page?n={page}&snapshot=monday"));
    let says = texts(&html, ".facts dd");
    assert!(says.contains(&"no snapshot".to_owned()), "{says:?}");
    assert!(
        says.contains(&"nothing of this snapshot".to_owned()),
        "{says:?}"
    );
}

/// Each snapshot that is asked costs an opening of the file.
#[test]
fn page_of_a_file_of_many_snapshots_asks_the_newest_and_says_so() {
    let mut past = Past::of(["monday", "tuesday", "wednesday"]);
    for number in 0..120 {
        past.pager.create_snapshot(&format!("{number}")).unwrap();
    }
    let entry = past.json("directory.json?q=5&limit=1")["entries"][0].clone();
    let began = Instant::now();
    let held = past.json(&format!("page.json?n={}", entry["page"]))["held_by"].clone();
    println!("asked 100 snapshots in {:?}", began.elapsed());
    assert_eq!(held["snapshots"].as_array().unwrap().len(), 100);
    assert_eq!(held["snapshots"][0]["name"], "119");
    assert_eq!(held["complete"], false);
    let says = texts(
        &past.html(&format!("page?n={}", entry["page"])),
        ".facts dd",
    )
    .concat();
    assert!(
        says.contains("108 and 88 older snapshots (the newest 100 were asked)"),
        "{says}"
    );
    let began = Instant::now();
    let view = past.json("time.json?limit=1000");
    println!("listed {} snapshots in {:?}", view["all"], began.elapsed());
    assert_eq!(view["snapshots"].as_array().unwrap().len(), 123);
    assert_eq!(
        past.json("overview.json?snapshot=monday")["info"]["snapshots"],
        123
    );
}

#[test]
fn map_by_age_says_how_long_ago_pages_were_written() {
    let past = Past::of(["monday", "tuesday", "wednesday"]);
    let counts = |address: &str| {
        let map = past.json(address);
        assert_eq!(map["colour"], "age");
        let kinds = map["kinds"].as_array().unwrap().iter();
        let counts: Vec<_> = kinds.map(|kind| kind["count"].as_u64().unwrap()).collect();
        assert_eq!(counts.iter().sum::<u64>(), map["pages"].as_u64().unwrap());
        counts
    };
    // The last commit wrote one page; of the others the last was before it.
    let now = counts("map.json?colour=age");
    assert_eq!(now[..2], [1, 9]);
    // There the last commit wrote all ten but one, or had written none.
    let then = counts("map.json?colour=age&snapshot=tuesday");
    assert_eq!(then[..5].iter().sum::<u64>(), 10);
    assert_ne!(now, then);
    let page = past.json("directory.json?sort=-generation&limit=1")["entries"][0]["page"].clone();
    let code = |page: &Value, per: u32| {
        let tile = format!("tiles.json?colour=age&first={page}&count=1&per={per}");
        past.json(&tile)["tiles"][0][1].clone()
    };
    assert_eq!(code(&page, 1), 200);
    assert_eq!(code(&json!(0), 1 << 20), 200, "the youngest of all");
    assert_eq!(code(&json!(0), 1), 255, "the header");
    let html = past.html("map?colour=age&kind=newest");
    let chosen = texts(&html, ".choice [aria-current]");
    assert_eq!(chosen, ["age"]);
    let legend = hrefs(&html, "[data-live=legend] tbody a");
    assert!(
        legend.iter().all(|way| way.contains("?colour=age&kind=")),
        "{legend:?}"
    );
    let map = html
        .select(&Selector::parse("page-map").unwrap())
        .next()
        .unwrap();
    assert_eq!(map.attr("src"), Some("/f/1/tiles.json?colour=age&"));
    assert_eq!(past.server.get("/f/1/map?colour=taste", "").status, 400);
    assert_eq!(
        past.server.get("/f/1/tiles.json?colour=taste", "").status,
        400
    );
}

/// Names are the work of whoever has the file.
#[test]
fn snapshot_of_any_name_can_be_looked_at_and_harms_no_screen() {
    let past = Past::of(["..", HOSTILE, &"ö".repeat(32)]);
    let time = past.html("time");
    let rows = texts(&time, ".snapshots tbody th");
    assert_eq!(rows[1], "<b>&\"'#?+ %2e/«U+202E»ö");
    let ways = hrefs(&time, ".snapshots a, svg.line a");
    assert!(ways.len() >= 15, "{ways:?}");
    for way in &ways {
        let text = follow(&past, way).text();
        assert!(!text.contains("<b>") && !text.contains('\u{202e}'), "{way}");
    }
    let named = in_address(HOSTILE);
    for screen in ["overview?", "map?", "directory?", "page?n=20&", "health?"] {
        let html = past.html(&format!("{screen}snapshot={named}"));
        for way in hrefs(&html, "main a, aside a, nav.tabs a") {
            if way.contains("snapshot=") {
                follow(&past, &way);
            }
        }
    }
    assert_eq!(
        past.json(&format!("overview.json?snapshot={named}"))["state"]["snapshot"]["name"],
        HOSTILE
    );
    // What a form sends, which has no character for some.
    let html = past.html(&format!("directory?snapshot={named}"));
    let sent = html
        .select(&Selector::parse("form [name=snapshot]").unwrap())
        .next();
    let sent = in_address(sent.unwrap().attr("value").unwrap());
    assert_eq!(
        past.json(&format!("directory.json?snapshot={sent}"))["state"]["snapshot"]["name"],
        HOSTILE
    );
}

#[test]
fn snapshot_that_is_gone_is_said_to_be_with_the_ways_onward() {
    let mut past = Past::of(["monday", "tuesday", "wednesday"]);
    let after_monday = |past: &Past| {
        let view = past.json("overview.json?snapshot=monday");
        view["state"]["snapshot"]["later"].clone()
    };
    assert_eq!(after_monday(&past), "tuesday");
    past.pager.delete_snapshot("tuesday").unwrap();
    assert_eq!(after_monday(&past), "wednesday", "another state has others");
    for address in [
        "overview?snapshot=tuesday",
        "map?snapshot=tuesday",
        "directory?snapshot=tuesday",
        "page?n=20&snapshot=tuesday",
        "health?snapshot=tuesday",
        "changes?before=tuesday",
        "changes?before=monday&after=tuesday",
    ] {
        let answer = past.server.get(&format!("/f/1/{address}"), "");
        let html = Html::parse_document(&answer.text());
        assert_eq!(answer.status, 404, "{address}");
        assert_eq!(texts(&html, "h1"), ["No such snapshot"]);
        assert!(texts(&html, ".lead")[0].contains("There is no snapshot tuesday."));
        let ways = hrefs(&html, ".actions a");
        assert_eq!(ways[..2], ["/f/1/time", "/f/1/overview"]);
        assert_eq!(hrefs(&html, "nav.tabs a").len(), 10, "{address}");
    }
    let answer = past.server.get("/f/1/page.json?n=20&snapshot=%3Cb%3E", "");
    assert_eq!(answer.status, 404);
}

/// The look of a snapshot is kept, and is of no other and of no other file.
#[test]
fn snapshot_that_was_made_anew_is_not_shown_as_it_was() {
    let mut past = Past::of(["monday", "tuesday", "wednesday"]);
    let then = past.page_in("&snapshot=tuesday");
    past.pager.delete_snapshot("tuesday").unwrap();
    past.pager.create_snapshot("tuesday").unwrap();
    assert_ne!(past.page_in("&snapshot=tuesday"), then);
    assert_eq!(past.page_in("&snapshot=tuesday"), past.page_in(""));
    assert_ne!(past.page_in("&snapshot=monday"), past.page_in(""));
}

/// A writer changes what a snapshot has not, and must not change what it shows.
#[test]
fn snapshot_stays_as_it_is_while_somebody_commits() {
    let past = Past::of(["monday", "tuesday", "wednesday"]);
    let then = past.page_in("&snapshot=tuesday");
    let address = format!("/f/1/page.bin?n={then}&snapshot=tuesday");
    let Past {
        mut pager,
        server,
        ids,
        _folder,
    } = past;
    // Dropped with what fails, it ends the writer.
    let (going_on, stopped) = mpsc::channel::<()>();
    let writer = thread::spawn(move || {
        let mut commits = 0;
        let pause = Duration::from_millis(5);
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            write(&mut pager, ids[0], b'x');
            commits += 1;
        }
        commits
    });
    let json = |address: &str| -> Value {
        let answer = server.get(&format!("/f/1/{address}"), "");
        assert_eq!(answer.status, 200, "{address}: {}", answer.text());
        serde_json::from_slice(&answer.body).unwrap()
    };
    for _ in 0..40 {
        let bytes = server.get(&address, "");
        assert_eq!(bytes.status, 200, "{}", bytes.text());
        assert!(bytes.body.iter().all(|byte| *byte == b'a'));
        let view = json("directory.json?snapshot=tuesday&limit=1");
        assert_eq!(view["entries"][0]["page"], then);
        assert_eq!(view["protected_pages"], 10);
    }
    drop(going_on);
    let commits: u32 = writer.join().unwrap();
    assert!(commits > 10, "{commits} commits");
}

#[test]
fn file_without_a_past_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let zero = folder.path().join("b.pages");
    drop(files::sample_of(pagebox::Format::Zero, &zero));
    let other = folder.path().join("c.pages");
    std::fs::write(&other, "something else").unwrap();
    let says = |path: &Path, status: u16| {
        let server = Server::start(files::viewer(path));
        let answer = server.get("/f/1/time", "");
        assert_eq!(answer.status, 200);
        assert_eq!(server.get("/f/1/time.json", "").status, 200);
        assert_eq!(
            server.get("/f/1/overview?snapshot=monday", "").status,
            status
        );
        assert_eq!(server.get("/f/1/changes", "").status, 200);
        assert_eq!(server.get("/f/1/changes?before=monday", "").status, status);
        texts(
            &Html::parse_document(&answer.text()),
            "[aria-labelledby=snapshots] p",
        )
        .concat()
    };
    assert_eq!(
        says(&path, 404),
        "There are none. pagebox snapshot create makes one."
    );
    assert!(says(&zero, 404).starts_with("Files of format 0 have no snapshots."));
    assert!(says(&other, 502).contains("cannot be read"));
}
