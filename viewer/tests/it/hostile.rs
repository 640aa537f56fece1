//! Line 6 of the security list: what a hostile file could say.

use std::{fs, path::Path};

use pagebox_viewer::Builder;
use scraper::{Html, Selector};

use crate::{fake::Fake, files, server::Server};

const EVIL: &str = "\"><img src=x onerror=alert(1)>\u{202e}'<script>alert(2)</script>";

const SCREENS: [&str; 16] = [
    "/",
    "/f/1/overview",
    "/f/1/map",
    "/f/1/map?kind=%22%3E%3Cimg%20src=x%3E",
    "/f/1/metadata",
    "/f/1/directory",
    "/f/1/page?n=1",
    "/f/1/diff",
    "/f/1/health",
    "/f/1/live",
    "/f/1/page?n=%3Cimg%20src=x%3E",
    "/f/1/time",
    "/f/1/changes",
    "/f/1/tree?root=1",
    "/f/1/compare?other=1",
    "/f/1/find?bytes=%22%3E%3Cimg%20src=x%3E",
];

/// No element or attribute that only hostile text could have brought.
fn assert_harmless(text: &str, screen: &str) {
    let html = Html::parse_document(text);
    let images = Selector::parse("img, script:not([src]), [onerror]").unwrap();
    assert_eq!(html.select(&images).count(), 0, "{screen}");
    assert!(
        !text.contains('\u{202e}'),
        "{screen} turns the direction of writing"
    );
}

#[test]
fn text_from_the_sandbox_is_escaped_on_every_screen() {
    let fake = Fake {
        text: EVIL.to_owned(),
        bytes: EVIL.as_bytes().repeat(20),
        ..Fake::default()
    };
    let server = Server::start(Builder::new().look_at(EVIL, EVIL, fake).unwrap().build());
    for screen in SCREENS {
        let answer = server.get(screen, "");
        assert!(answer.text().contains("&#"), "{screen} shows the text");
        assert_harmless(&answer.text(), screen);
    }
}

#[test]
fn file_with_a_hostile_name_and_pages_is_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder
        .path()
        .join("\"><img onerror=alert(1) src=x>\u{202e}.pages");
    let pager = files::sample(&path);
    drop(pager);
    let server = Server::start(files::viewer(&path));
    for screen in SCREENS {
        assert_harmless(&server.get(screen, "").text(), screen);
    }
    let start = server.get("/", "").text();
    assert!(start.contains("«U+202E»"), "{start}");
}

#[test]
fn raw_bytes_are_an_attachment_that_no_browser_shows() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let server = Server::start(files::viewer(&path));
    let page = (3..40)
        .find(|page| {
            let answer = server.get(&format!("/f/1/page.bin?n={page}"), "");
            answer.body.starts_with(b"<script>")
        })
        .unwrap();
    let answer = server.get(&format!("/f/1/page.bin?n={page}"), "Accept: text/html\r\n");
    assert_eq!(
        answer.header("content-type"),
        Some("application/octet-stream")
    );
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let disposition = answer.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment;"), "{disposition}");
    assert_eq!(answer.body.len(), 4096);
    let shown = server.get(&format!("/f/1/page?n={page}"), "").text();
    assert_harmless(&shown, "page");
    assert!(
        shown.contains("&#60;script&#62;"),
        "the text is there to read"
    );
}

/// Line 7: addresses name files by what the command line gave, never by path.
#[test]
fn address_cannot_name_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(files::sample(&path));
    let secret = folder.path().join("secret");
    fs::write(&secret, "the secret").unwrap();
    let server = Server::start(files::viewer(&path));
    let direct = secret.display();
    for route in [
        format!("/f/{direct}/overview"),
        format!("/f/..%2f..{direct}/overview"),
        "/f/2/overview".to_owned(),
        "/f/01/overview".to_owned(),
        "/f/../../../etc/passwd".to_owned(),
        "/assets/../Cargo.toml".to_owned(),
        "/assets/..%2fCargo.toml".to_owned(),
        format!("/f/1/diff?other={direct}"),
    ] {
        let answer = server.get(&route, "");
        assert_eq!(answer.status, 404, "{route}");
    }
    for route in [
        format!("/f/1/overview?file={direct}"),
        format!("/?path={direct}"),
    ] {
        assert!(!server.get(&route, "").text().contains("the secret"));
    }
    let start = server.get("/", "").text();
    let folder: &Path = folder.path();
    assert!(
        !start.contains(&*folder.to_string_lossy()),
        "paths are not told"
    );
}
