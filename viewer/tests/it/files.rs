//! Real files, made through the sandbox; and that looking leaves them alone.

use std::{fs, path::Path, time::SystemTime};

use pagebox::{Engine, Format, NewFile, PageSize, Pager};
use pagebox_viewer::{Builder, Viewer};

use crate::server::Server;

/// A page file with some of everything in it, as it is made unless told otherwise.
pub(crate) fn sample(path: &Path) -> Pager {
    sample_of(Format::default(), path)
}

/// The same of a format.
pub(crate) fn sample_of(format: Format, path: &Path) -> Pager {
    let new = NewFile {
        format,
        ..NewFile::default()
    };
    let mut pager = Engine::new()
        .unwrap()
        .create_with(path, PageSize::KIB_4, new)
        .unwrap();
    let mut tx = pager.begin().unwrap();
    let regular = tx.alloc_many(20).unwrap();
    let protected = tx.alloc_protected_many(10).unwrap();
    for id in &protected {
        tx.write(*id).unwrap().fill(7);
    }
    tx.commit().unwrap();
    pager.free(regular[3]).unwrap();
    pager.page_mut(regular[0]).unwrap()[..25].copy_from_slice(b"<script>alert(1)</script>");
    pager.sync().unwrap();
    pager
}

/// A viewer of one file.
pub(crate) fn viewer(path: &Path) -> Viewer {
    Builder::new().file(path, "").unwrap().build()
}

/// Everything that can be asked of the first file.
pub(crate) const CRAWL: [&str; 27] = [
    "/f/1/overview",
    "/f/1/overview.json",
    "/f/1/map",
    "/f/1/map?kind=regular&first=3&per=1",
    "/f/1/map.json",
    "/f/1/tiles.json?per=1&count=64",
    "/f/1/metadata",
    "/f/1/metadata.json",
    "/f/1/directory",
    "/f/1/directory?sort=-generation&only=problems",
    "/f/1/directory.json",
    "/f/1/directory.csv",
    "/f/1/page?n=0",
    "/f/1/page.json?n=0x3&at=100",
    "/f/1/page.bin?n=3",
    "/f/1/diff?n=1&m=2",
    "/f/1/diff.json?n=1",
    "/f/1/health",
    "/f/1/health.json",
    "/f/1/live",
    "/f/1/live.json",
    "/f/1/time",
    "/f/1/time.json?by=time",
    "/f/1/changes",
    "/f/1/changes.json",
    "/f/1/map?colour=age",
    "/f/1/tiles.json?colour=age",
];

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

/// Line 8 of the security list.
#[test]
fn file_that_was_crawled_in_full_is_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(sample(&path));
    let mut permissions = fs::metadata(&path).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&path, permissions).unwrap();
    let (bytes, time) = (fs::read(&path).unwrap(), modified(&path));

    let server = Server::start(viewer(&path));
    for route in CRAWL {
        let answer = server.get(route, "");
        assert_eq!(answer.status, 200, "{route}: {}", answer.text());
    }
    for page in 0..40 {
        server.get(&format!("/f/1/page?n={page}"), "");
    }
    assert!(fs::read(&path).unwrap() == bytes, "the bytes are the same");
    assert_eq!(modified(&path), time);
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(names.len(), 1, "nothing was made beside it");
}

/// Line 8: how the file is held open, and that nothing is locked.
#[cfg(target_os = "linux")]
#[test]
fn file_is_open_to_read_only_and_not_locked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("held open.pages");
    drop(sample(&path));
    let server = Server::start(viewer(&path));
    assert_eq!(server.get("/f/1/overview", "").status, 200);
    let held: Vec<_> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(Result::ok)
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path))
        .map(|entry| entry.file_name())
        .collect();
    assert!(!held.is_empty());
    for handle in held {
        let info = fs::read_to_string(Path::new("/proc/self/fdinfo").join(handle)).unwrap();
        let flags = info
            .lines()
            .find_map(|line| line.strip_prefix("flags:"))
            .unwrap();
        let flags = u32::from_str_radix(flags.trim(), 8).unwrap();
        assert_eq!(flags & 0o3, 0, "opened to read only");
        assert!(!info.contains("lock:"), "{info}");
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!maps.contains("held open.pages"), "not mapped");
    // A writer gets its exclusive lock while the viewer looks.
    Engine::new().unwrap().open(&path).unwrap();
}

#[test]
fn file_that_changes_is_shown_as_it_is_now() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    let mut pager = sample(&path);
    let server = Server::start(viewer(&path));
    let generation = |server: &Server| {
        let answer = server.get("/f/1/overview.json", "");
        let value: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        value["info"]["generation"].as_u64().unwrap()
    };
    let before = generation(&server);
    pager.alloc().unwrap();
    assert_eq!(generation(&server), before + 1);
}

#[test]
fn file_that_goes_away_and_comes_back_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(sample(&path));
    let bytes = fs::read(&path).unwrap();
    let server = Server::start(viewer(&path));
    assert_eq!(server.get("/f/1/overview", "").status, 200);
    fs::remove_file(&path).unwrap();
    let gone = server.get("/f/1/overview", "");
    assert_eq!(gone.status, 404);
    assert!(gone.text().contains("The file is gone"));
    let folder_name = &*folder.path().to_string_lossy();
    assert!(!gone.text().contains(folder_name), "paths are not told");
    assert!(server.get("/", "").text().contains("cannot be read"));
    fs::write(&path, &bytes).unwrap();
    assert_eq!(server.get("/f/1/overview", "").status, 200);
    // Cut off while it is open.
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let cut = server.get("/f/1/health", "");
    assert_eq!(cut.status, 200);
    assert!(cut.text().contains("file-too-short"), "{}", cut.text());
}

/// Line 7, for a file that is replaced while the viewer runs.
#[cfg(unix)]
#[test]
fn fifo_that_takes_the_files_place_is_an_error_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(sample(&path));
    let server = Server::start(viewer(&path));
    assert_eq!(server.get("/f/1/overview", "").status, 200);
    fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    let began = std::time::Instant::now();
    for route in ["/f/1/overview", "/f/1/page?n=0", "/f/1/health.json"] {
        let answer = server.get(route, "");
        assert_eq!(answer.status, 502, "{route}: {}", answer.text());
        assert!(answer.text().contains("it is a pipe"), "{}", answer.text());
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
}

/// The cap on answers leaves room for the largest page there is.
#[test]
fn largest_page_can_be_downloaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    drop(
        Engine::new()
            .unwrap()
            .create(&path, PageSize::MIB_1)
            .unwrap(),
    );
    let server = Server::start(viewer(&path));
    let answer = server.get("/f/1/page.bin?n=1", "");
    assert_eq!((answer.status, answer.body.len()), (200, 1 << 20));
}

#[test]
fn file_that_is_something_else_is_shown_by_its_first_bytes() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("short", b"<img src=x onerror=alert(1)>"),
        ("long", &b"z".repeat(20_000)),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let server = Server::start(viewer(&path));
        let answer = server.get("/f/1/overview", "");
        assert_eq!(answer.status, 200);
        let text = answer.text();
        assert!(text.contains("This is not a page file"), "{name}: {text}");
        assert!(!text.contains("<img"), "{name}");
        match name {
            "empty" => assert!(text.contains("The file is empty"), "{text}"),
            "short" => assert!(text.contains("3c 69 6d 67"), "{text}"),
            _ => assert!(text.contains("7a 7a 7a 7a"), "{text}"),
        }
        for screen in [
            "map",
            "metadata",
            "directory",
            "health",
            "live",
            "diff",
            "page?n=0",
        ] {
            let status = server.get(&format!("/f/1/{screen}"), "").status;
            assert!(status == 200 || status == 404, "{name} {screen}: {status}");
        }
    }
}
