//! Live mode against writers in another process: never a mixture of two
//! states, and nobody waits for the viewer.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use pagebox::Engine;
use serde_json::Value;

use crate::{files, server::Server};

const COMMITS: u64 = 10_000;

/// Tells this binary, started again, what to write and where.
const WRITER: &str = "PAGEBOX_TEST_WRITER";
const PATH: &str = "PAGEBOX_TEST_PATH";

/// The writers rest now and then, as programs do: between bursts the file can
/// be read whole.
fn rest(commit: u64) {
    if commit.is_multiple_of(25) {
        std::thread::sleep(Duration::from_millis(4));
    }
}

/// Not a test: what the other process does.
#[test]
#[ignore = "started by the tests of live mode, in a process of its own"]
fn writer() {
    let path = std::env::var(PATH).unwrap();
    match std::env::var(WRITER).unwrap().as_str() {
        "ours" => ours(Path::new(&path)),
        _ => peer(Path::new(&path)),
    }
}

/// Each commit allocates or frees two regular pages and a protected one, in
/// turns: the generation tells how many there must be.
fn ours(path: &Path) {
    let mut pager = Engine::new().unwrap().open(path).unwrap();
    let mut held = None;
    for commit in 0..COMMITS {
        let mut tx = pager.begin().unwrap();
        held = match held.take() {
            None => {
                let regular = tx.alloc_many(2).unwrap();
                let protected = tx.alloc_protected().unwrap();
                tx.write(protected).unwrap().fill(1);
                Some((regular, protected))
            }
            Some((regular, protected)) => {
                tx.free_many(&regular).unwrap();
                tx.free_protected(protected).unwrap();
                None
            }
        };
        tx.commit().unwrap();
        rest(commit);
    }
}

/// The same with the peer, one regular page a commit.
fn peer(path: &Path) {
    let mut pager: mappedpages::Pager<4096> = mappedpages::Pager::open(path).unwrap();
    let mut held = None;
    for commit in 0..COMMITS {
        held = match held.take() {
            None => Some(pager.alloc().unwrap()),
            Some(id) => {
                pager.free(id).unwrap();
                None
            }
        };
        rest(commit);
    }
}

fn start(which: &str, path: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "live::writer", "--ignored"])
        .env(WRITER, which)
        .env(PATH, path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Looks at a file for as long as a writer works on it. Returns how many
/// states were seen.
fn watch(which: &str, path: &Path, correct: impl Fn(&Value) -> bool) -> usize {
    let server = Server::start(files::viewer(path));
    let mut writer = start(which, path);
    let mut generations = std::collections::BTreeSet::new();
    let status = loop {
        let answer = server.get("/f/1/overview.json", "");
        match answer.status {
            200 => {
                let view: Value = serde_json::from_slice(&answer.body).unwrap();
                let verdict = view["state"]["verdict"].as_str().unwrap();
                // A commit that is under way looks like one that was cut off.
                assert!(
                    ["clean", "rolled-back", "rolled-forward"].contains(&verdict),
                    "{verdict}: {}",
                    view["info"]["explanation"]
                );
                assert!(correct(&view), "a mixture: {view}");
                generations.insert(view["info"]["generation"].as_u64().unwrap());
            }
            // It never held still: that is said, and nothing is shown.
            503 => assert!(answer.text().contains("changed while it was read")),
            other => panic!("{other}: {}", answer.text()),
        }
        let answer = server.get("/f/1/metadata.json", "");
        if answer.status == 200 {
            assert_bytes_are_those_that_were_decoded(
                &serde_json::from_slice(&answer.body).unwrap(),
            );
        }
        if let Some(status) = writer.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success(), "the writer was disturbed: {status}");
    generations.len()
}

/// The fields were decoded when the file was opened, their bytes are read for
/// the answer: a commit in between must not be seen.
fn assert_bytes_are_those_that_were_decoded(view: &Value) {
    let copies = view["copies"][0]["copies"].as_array().unwrap();
    assert_eq!(copies.len(), 2);
    for copy in copies {
        let fields = copy["structure"]["fields"].as_array().unwrap();
        let place = fields
            .iter()
            .position(|field| field["name"] == "generation");
        let place = place.unwrap();
        let bytes: Vec<u8> = copy["raw"][place]
            .as_str()
            .unwrap()
            .split(' ')
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        let raw = u64::from_le_bytes(bytes.try_into().unwrap());
        let decoded = fields[place]["value"].as_str().unwrap();
        assert_eq!(decoded, raw.to_string(), "a mixture: {copy}");
    }
}

fn count(view: &Value, kind: &str) -> u64 {
    let kinds = view["kinds"].as_array().unwrap();
    let found = kinds.iter().find(|each| each["name"] == kind).unwrap();
    found["count"].as_u64().unwrap()
}

#[test]
fn ten_thousand_commits_of_our_own_are_seen_without_a_mixture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    let mut pager = files::sample(&path);
    // Room, so that no growth comes between.
    let room = pager.alloc_many(8).unwrap();
    pager.free_many(&room).unwrap();
    let before = pager.stats().unwrap();
    drop(pager);
    let mut last = None;
    let seen = watch("ours", &path, |view| {
        let info = &view["info"];
        let odd = (info["generation"].as_u64().unwrap() - before.generation) % 2;
        info["regular_pages"] == before.regular_pages + 2 * odd
            && info["protected_pages"] == before.protected_pages + odd
            && count(view, "regular") == before.regular_pages + 2 * odd
            && count(view, "protected-active") == before.protected_pages + odd
    });
    last.replace(seen);
    assert!(seen > 20, "only {seen} states were seen");
    let after = Engine::new()
        .unwrap()
        .inspect(&path)
        .unwrap()
        .summary()
        .unwrap();
    assert_eq!(after.generation, Some(before.generation + COMMITS));
}

#[test]
fn ten_thousand_commits_of_the_peer_are_seen_without_a_mixture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    let mut pager: mappedpages::Pager<4096> = mappedpages::Pager::create(&path).unwrap();
    for _ in 0..5 {
        pager.alloc().unwrap();
    }
    drop(pager);
    let before = Engine::new()
        .unwrap()
        .inspect(&path)
        .unwrap()
        .summary()
        .unwrap();
    let seen = watch("peer", &path, |view| {
        let info = &view["info"];
        let odd = (info["generation"].as_u64().unwrap() - before.generation.unwrap()) % 2;
        let regular = before.regular_pages.unwrap() + odd;
        info["regular_pages"] == regular && count(view, "regular") == regular
    });
    assert!(seen > 20, "only {seen} states were seen");
}

#[test]
fn commit_is_told_to_who_watches() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    let mut pager = files::sample(&path);
    let server = Server::start(files::viewer(&path));
    let mut events = BufReader::new(server.events("/f/1/events"));
    let first = next_state(&mut events);
    assert_eq!(first["changed"].as_array().unwrap().len(), 0);
    let page = pager.alloc().unwrap();
    let second = next_state(&mut events);
    let generation = |state: &Value| state["state"]["generation"].as_u64().unwrap();
    assert_eq!(generation(&second), generation(&first) + 1);
    assert_eq!(
        second["changed"],
        serde_json::json!([{ "first": page, "count": 1 }])
    );
    std::fs::remove_file(&path).unwrap();
    let problem = next(&mut events, "problem");
    assert!(problem.contains("does not exist"), "{problem}");
    let live = server.get("/f/1/live.json", "");
    assert_eq!(live.status, 404);
}

/// Each step is a state of its own, and what moved is told; at the end the file is
/// short, and no page behind its end is named.
#[test]
fn compaction_is_seen_as_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    let mut pager = files::sample(&path);
    let mut tx = pager.begin().unwrap();
    let ids = tx.alloc_protected_many(4000).unwrap();
    for &id in &ids {
        tx.write(id).unwrap().fill(1);
    }
    tx.commit().unwrap();
    let mut tx = pager.begin().unwrap();
    tx.free_protected_many(&ids[..2000]).unwrap();
    tx.commit().unwrap();
    let server = Server::start(files::viewer(&path));
    let mut events = BufReader::new(server.events("/f/1/events"));
    let first = next_state(&mut events);
    let count = |state: &Value| state["page_count"].as_u64().unwrap();
    let mut last = first.clone();
    let mut moved = 0;
    loop {
        let step = pager.compact_step(0).unwrap();
        if step.moved > 0 || step.is_done {
            // A step may be two commits, and the first be seen, too.
            let generation = pager.stats().unwrap().generation;
            last = next_state(&mut events);
            while last["state"]["generation"].as_u64() != Some(generation) {
                last = next_state(&mut events);
            }
            assert_eq!(count(&last), step.page_count);
            let changed = last["changed"].as_array().unwrap();
            let ends = changed
                .iter()
                .map(|run| run["first"].as_u64().unwrap() + run["count"].as_u64().unwrap());
            assert!(ends.max() <= Some(step.page_count), "{last}");
            moved += usize::from(!changed.is_empty());
        }
        if step.is_done {
            break;
        }
    }
    assert!(moved > 1);
    assert!(count(&last) < count(&first) * 2 / 3);
    let map = server.get("/f/1/map.json", "");
    assert_eq!(map.status, 200);
}

#[test]
fn timeline_shows_the_generations_that_were_seen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    let mut pager = files::sample(&path);
    let server = Server::start(files::viewer(&path));
    let mut events = BufReader::new(server.events("/f/1/events"));
    next_state(&mut events);
    for _ in 0..3 {
        pager.alloc().unwrap();
        next_state(&mut events);
    }
    let live = server.get("/f/1/live.json", "");
    let view: Value = serde_json::from_slice(&live.body).unwrap();
    assert_eq!(view["history"].as_array().unwrap().len(), 4);
    let html = server.get("/f/1/live", "").text();
    assert!(html.contains("<polyline"), "{html}");
}

fn next_state(events: &mut impl BufRead) -> Value {
    serde_json::from_str(&next(events, "state")).unwrap()
}

/// The data of the next event of a kind.
fn next(events: &mut impl BufRead, kind: &str) -> String {
    let began = Instant::now();
    let mut is_next = false;
    loop {
        assert!(began.elapsed() < Duration::from_secs(15), "no {kind} came");
        let mut line = String::new();
        assert!(events.read_line(&mut line).unwrap() > 0, "the stream ended");
        if let Some(data) = line.strip_prefix("data: ")
            && is_next
        {
            return data.trim_end().to_owned();
        }
        if let Some(name) = line.strip_prefix("event: ") {
            is_next = name.trim_end() == kind;
        }
    }
}
