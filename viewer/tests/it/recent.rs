//! What was looked at before: kept, shown and forgotten, and none of it where
//! that is not wanted.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Stdio,
};

use pagebox_viewer::{Builder, Recent};
use serde_json::Value;

use crate::{
    fake::Fake,
    files,
    program::Program,
    server::{Answer, Server},
};

/// The program with a state of its own.
fn start(state: &Path, arguments: &[&str], lines: usize) -> Program {
    Program::start(
        |command| {
            command
                .env_remove("PAGEBOX_VIEWER_NO_RECENT")
                .env("XDG_STATE_HOME", state)
                .arg("--no-open")
                .args(arguments)
        },
        lines,
    )
}

fn list(state: &Path) -> PathBuf {
    state.join("pagebox/recent")
}

/// The paths on the start page, and which of them are missing.
fn shown(answer: &Answer) -> Vec<(String, bool)> {
    let files: Value = serde_json::from_slice(&answer.body).unwrap();
    let recent = files["recent"].as_array().unwrap().iter();
    recent
        .map(|line| {
            let path = line["path"].as_str().unwrap().to_owned();
            (path, line["missing"].as_bool().unwrap())
        })
        .collect()
}

fn post(program: &Program, target: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(program.address).unwrap();
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\n{headers}Connection: close\r\n\r\n",
        program.address
    );
    stream.write_all(request.as_bytes()).unwrap();
    Answer::read(&mut stream)
}

/// The address of the button that forgets.
fn button(page: &str) -> Option<&str> {
    let start = page.find("/recent/forget/")?;
    page[start..].split('"').next()
}

#[cfg(unix)]
#[test]
fn what_was_looked_at_is_shown_at_the_next_start_and_forgotten_on_request() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let [one, gone] = ["one.pages", "gone.pages"].map(|name| folder.path().join(name));
    let [one, gone] = [&one, &gone].map(|path| {
        drop(files::sample(path));
        path.to_str().unwrap()
    });
    let named = start(&state, &[one, gone], 1);
    assert_eq!(
        shown(&named.get("/files.json")),
        [],
        "who names files sees these"
    );
    drop(named);
    let kept = fs::read_to_string(list(&state)).unwrap();
    assert_eq!(kept, format!("{one}\n{gone}\n"));
    let mode = fs::metadata(list(&state)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    fs::remove_file(gone).unwrap();
    let program = start(&state, &[], 1);
    let expected = [(one.to_owned(), false), (gone.to_owned(), true)];
    assert_eq!(shown(&program.get("/files.json")), expected);
    let page = program.get("/").text();
    assert!(page.contains("pagebox-viewer &#39;/"), "{page}");
    assert!(page.contains("not there any more"), "{page}");
    // Without a token nobody can open what was not named: everybody on this
    // machine may ask.
    assert_eq!(
        program
            .get("/files.json")
            .text()
            .matches("\"id\":null")
            .count(),
        2
    );
    assert!(!page.contains(&format!("{one}</bdi></a>")));

    let forget = button(&page).unwrap();
    assert_eq!(post(&program, forget, "").status, 303);
    assert!(!list(&state).exists());
    assert_eq!(shown(&program.get("/files.json")), []);
    assert_eq!(button(&program.get("/").text()), None);
    assert_eq!(
        post(&program, forget, "").status,
        303,
        "there is nothing left to do"
    );
}

#[test]
fn folder_shows_what_was_looked_at_before_but_not_itself() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let below = folder.path().join("below");
    fs::create_dir(&below).unwrap();
    drop(files::sample(&below.join("a.pages")));
    let named = folder.path().join("named.pages");
    drop(files::sample(&named));
    drop(start(&state, &[named.to_str().unwrap()], 1));
    let program = start(&state, &[below.to_str().unwrap()], 1);
    let expected = [(named.to_str().unwrap().to_owned(), false)];
    assert_eq!(shown(&program.get("/files.json")), expected);
    let kept = fs::read_to_string(list(&state)).unwrap();
    assert_eq!(kept.lines().count(), 2, "{kept}");
    assert_eq!(kept.lines().next(), below.to_str());
}

/// Who has the token is who keeps the list.
#[test]
fn token_opens_what_was_looked_at_before() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let path = folder.path().join("one.pages");
    drop(files::sample(&path));
    drop(start(&state, &[path.to_str().unwrap()], 1));
    let program = Program::start(
        |command| {
            command
                .env_remove("PAGEBOX_VIEWER_NO_RECENT")
                .env("XDG_STATE_HOME", &state)
                .env("PAGEBOX_VIEWER_TOKEN", "a".repeat(32))
                .args(["--no-open", "--token"])
        },
        2,
    );
    let get = |target: &str| {
        let mut stream = TcpStream::connect(program.address).unwrap();
        let (host, token) = (program.address, "a".repeat(32));
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        Answer::read(&mut stream)
    };
    let files: Value = serde_json::from_slice(&get("/files.json").body).unwrap();
    let id = files["recent"][0]["id"].as_str().unwrap();
    let listed = files["files"].as_array().unwrap();
    assert!(listed.iter().all(|file| file["file"]["id"] != id), "twice");
    let overview = get(&format!("/f/{id}/overview")).text();
    assert!(overview.contains("one.pages"), "{overview}");
    let forget = button(&get("/").text()).unwrap().to_owned();
    assert_eq!(post(&program, &forget, "").status, 401);
    assert!(list(&state).exists());
}

#[test]
fn list_is_neither_read_nor_written_where_that_is_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let path = folder.path().join("one.pages");
    drop(files::sample(&path));
    let path = path.to_str().unwrap();
    let off = |arguments: &[&str], variable: bool| {
        Program::start(
            |command| {
                command.env_remove("PAGEBOX_VIEWER_NO_RECENT");
                if variable {
                    command.env("PAGEBOX_VIEWER_NO_RECENT", "1");
                }
                command.env("XDG_STATE_HOME", &state);
                command.arg("--no-open").args(arguments)
            },
            1,
        )
    };
    drop(off(&["--no-recent", path], false));
    drop(off(&[path], true));
    assert!(!state.exists());
    drop(start(&state, &[path], 1));
    for program in [off(&["--no-recent"], false), off(&[], true)] {
        assert_eq!(shown(&program.get("/files.json")), []);
        assert_eq!(button(&program.get("/").text()), None);
        let nobody = format!("/recent/forget/{}", "0".repeat(32));
        assert_eq!(post(&program, &nobody, "").status, 405);
    }
    assert!(list(&state).exists());
}

#[test]
fn list_that_cannot_be_written_is_told_of_with_a_way_onward() {
    let folder = tempfile::tempdir().unwrap();
    // A file where a folder would have to be.
    let state = folder.path().join("state");
    fs::write(&state, "").unwrap();
    let path = folder.path().join("one.pages");
    drop(files::sample(&path));
    let mut program = Program::start(
        |command| {
            command
                .env_remove("PAGEBOX_VIEWER_NO_RECENT")
                .env("XDG_STATE_HOME", &state)
                .stderr(Stdio::piped())
                .arg("--no-open")
                .arg(&path)
        },
        1,
    );
    assert_eq!(program.get("/f/1/overview").status, 200);
    let mut line = String::new();
    let said = program.child.stderr.take().unwrap();
    BufReader::new(said).read_line(&mut line).unwrap();
    let list = list(&state);
    let start = format!(
        "error: what was looked at cannot be kept in {}: ",
        list.display()
    );
    assert!(line.starts_with(&start), "{line}");
    assert!(line.ends_with("; --no-recent does without\n"), "{line}");
}

/// A list is the user's: others that a viewer answers have no business with it.
#[test]
fn viewer_that_others_reach_shows_no_list() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let path = folder.path().join("one.pages");
    drop(files::sample(&path));
    drop(start(&state, &[path.to_str().unwrap()], 1));
    let token = "a".repeat(32);
    for (host, arguments) in [
        (
            "127.0.0.2",
            &["--bind", "127.0.0.2", "--allow-host", "127.0.0.2"][..],
        ),
        // Behind a program that passes on what others ask.
        ("lab.example", &["--allow-host", "lab.example"]),
    ] {
        let program = Program::start(
            |command| {
                command
                    .env_remove("PAGEBOX_VIEWER_NO_RECENT")
                    .env("XDG_STATE_HOME", &state)
                    .env("PAGEBOX_VIEWER_TOKEN", &token)
                    .args(["--no-open", "--token"])
                    .args(arguments)
            },
            2,
        );
        let mut stream = TcpStream::connect(program.address).unwrap();
        let request = format!(
            "GET /files.json HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let answer = Answer::read(&mut stream);
        assert_eq!((answer.status, shown(&answer)), (200, Vec::new()), "{host}");
    }
}

/// The one request that changes something, and everything that it is refused
/// for.
#[test]
fn only_the_button_of_the_start_page_forgets() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("recent");
    let recent = Recent::new(&list).unwrap();
    recent.remember(&[PathBuf::from("/a.pages")]).unwrap();
    let viewer = Builder::new().recent(recent).base("/pages");
    let server = Server::start(viewer.build());
    let page = server.get("/pages/", "").text();
    let form = page.split("action=\"").nth(1).unwrap();
    let target = form.split('"').next().unwrap();
    assert!(target.starts_with("/pages/recent/forget/"), "{target}");
    let refused = |method: &str, target: &str, headers: &str, status: u16| {
        let answer = server.ask(method, target, headers);
        assert_eq!(answer.status, status, "{method} {target} {headers}");
        assert!(list.exists(), "{method} {target} {headers}");
    };
    for site in ["cross-site", "same-site"] {
        refused("POST", target, &format!("Sec-Fetch-Site: {site}\r\n"), 403);
    }
    refused("POST", target, "Content-Length: 1\r\n", 413);
    let wrong = format!("/pages/recent/forget/{}", "0".repeat(32));
    refused("POST", &wrong, "", 403);
    refused("POST", "/pages/", "", 405);
    refused("POST", "/pages/files.json", "", 405);
    refused("DELETE", target, "", 405);
    refused("GET", target, "", 303);
    let elsewhere = server.raw(&format!(
        "POST {target} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"
    ));
    assert_eq!(elsewhere.status, 403);
    assert!(list.exists());
    let done = server.ask("POST", target, "Sec-Fetch-Site: same-origin\r\n");
    assert_eq!(
        (done.status, done.header("location")),
        (303, Some("/pages/"))
    );
    assert!(!list.exists());
}

/// A router in another program's hands has no list and takes no `POST`.
#[test]
fn router_without_a_list_changes_nothing() {
    let viewer = Builder::new().look_at("a", "", Fake::default()).unwrap();
    let server = Server::start(viewer.build());
    assert_eq!(shown(&server.get("/files.json", "")), []);
    let target = format!("/recent/forget/{}", "0".repeat(32));
    assert_eq!(server.ask("POST", &target, "").status, 405);
}
