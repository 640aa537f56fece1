//! What the commands do when all is well.

use std::fs;

use crate::run::{FIRST, Folder, SECOND, run, run_with};

#[test]
fn create_makes_a_file_that_info_describes() {
    let folder = Folder::new();
    let file = folder.pages("new.pages");
    let info = run(["info", &file, "--json"]).done().json();
    assert_eq!(info["format"], "1.0");
    assert_eq!(info["page_size"], 4096);
    assert_eq!(info["page_count"], 16);
    assert_eq!(info["file_pages"], 16);
    assert_eq!(info["free_pages"], 1);
    assert_eq!(info["regular_pages"], 0);
    assert_eq!(info["protected_pages"], 0);
    assert_eq!(info["internal_pages"], 15);
    assert_eq!(info["page_limit"], 1_u64 << 48);
    assert!(info["generation"].is_u64(), "{info}");
    // Not the trees, which begin there.
    assert_eq!(info["roots"], serde_json::json!(["Root A", "Root B"]));
    assert_eq!(info["recovery"], "clean");
    assert_eq!(folder.names(), ["new.pages"]);
}

/// How many pages are free says nothing of how many lie side by side.
#[test]
fn info_tells_how_scattered_free_space_is() {
    let folder = Folder::new();
    let file = folder.file("scattered");
    let file = file.to_str().unwrap();
    run(["create", file, "--format", "0", "--pages", "64"]).done();
    let pages = run(["alloc", file, "--count", "40"]).done().text();
    let pages: Vec<&str> = pages.lines().collect();
    // Two runs of one, one of five, and what was free before.
    let freed = [3, 7, 20, 21, 22, 23, 24].map(|place: usize| pages[place]);
    run(["free", file].into_iter().chain(freed)).done();
    let info = run(["info", file, "--json"]).done().json();
    assert_eq!(info["free_pages"], 28, "{info}");
    assert_eq!(info["free_runs"], 4, "{info}");
    assert_eq!(info["longest_free_run"], 21, "{info}");
    let text = run(["info", file]).done().text();
    let expected = "free          28 (43.8 %), in 4 runs, the longest of 21 pages\n";
    assert!(text.contains(expected), "{text}");
}

/// What there was room for in all was told as what there is room for.
#[test]
fn info_tells_what_there_is_still_room_for() {
    let folder = Folder::new();
    let room = |file: &str| {
        let text = run(["info", file]).done().text();
        let line = text.lines().find(|line| line.starts_with("protected"));
        line.unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    for (format, at_first, then) in [
        (
            "0",
            "protected 0, slots for 0 more",
            "protected 3, slots for 133 more",
        ),
        (
            "1",
            "protected 0, room for 278 more",
            "protected 3, room for 277 more",
        ),
    ] {
        let file = folder.file(format);
        let file = file.to_str().unwrap();
        run(["create", file, "--format", format, "--pages", "300"]).done();
        assert_eq!(room(file), at_first);
        run(["alloc", file, "--protected", "--count", "3"]).done();
        assert_eq!(room(file), then);
    }
    // Each takes two pages, and the directory has slots for more than that.
    let file = folder.file("small");
    let file = file.to_str().unwrap();
    run(["create", file, "--format", "0", "--pages", "20"]).done();
    run(["alloc", file, "--protected"]).done();
    assert_eq!(room(file), "protected 1, room for 6 more");
}

#[test]
fn create_makes_a_file_of_the_peers_format_on_request() {
    let folder = Folder::new();
    let file = folder.pages_of("0", "new.pages");
    let info = run(["info", &file, "--json"]).done().json();
    assert_eq!(info["format"], "0.2");
    assert_eq!(info["page_count"], 4);
    assert_eq!(info["file_pages"], 4);
    assert_eq!(info["free_pages"], 1);
    assert_eq!(info["internal_pages"], 3);
    assert_eq!(info["page_limit"], 32_544);
    assert_eq!(
        info["roots"],
        serde_json::json!(["Superblock", "Metadata A"])
    );
    assert_eq!(info["recovery"], "clean");
}

#[test]
fn create_says_what_it_made() {
    let folder = Folder::new();
    for (format, pages) in [("1", 16), ("0", 4)] {
        let path = folder.file(format);
        let path = path.to_str().unwrap();
        let told = run(["create", path, "--format", format]).done().text();
        let expected = format!("made {path}: format {format}, {pages} pages of 4,096 bytes\n");
        assert_eq!(told, expected);
    }
}

/// Both roots are lost: the header says what it was all the same.
#[test]
fn info_names_the_format_of_a_file_without_a_root() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    let mut bytes = fs::read(&file).unwrap();
    bytes[4096..3 * 4096].fill(0);
    fs::write(&file, bytes).unwrap();
    let info = run(["info", &file, "--json"]).done().json();
    assert_eq!(info["format"], "1.0");
    assert_eq!(info["recovery"], "damaged");
    assert_eq!(info["page_count"], serde_json::Value::Null);
    assert_eq!(info["page_limit"], 1_u64 << 48);
    assert_eq!(info["roots"], serde_json::json!([]));
}

#[test]
fn create_takes_page_size_and_room() {
    let folder = Folder::new();
    for (size, bytes) in [
        ("1024", 1024),
        ("16KiB", 16384),
        ("64k", 65536),
        ("1 MiB", 1 << 20),
    ] {
        let path = folder.file(&format!("{bytes}.pages"));
        let path = path.to_str().unwrap();
        run(["create", path, "--page-size", size, "--pages", "10"]).done();
        let info = run(["info", path, "--json"]).done().json();
        assert_eq!(info["page_size"], bytes);
        assert!(info["page_count"].as_u64().unwrap() >= 10, "{info}");
    }
}

#[test]
fn create_of_an_existing_file_leaves_it_alone() {
    let folder = Folder::new();
    let file = folder.with("precious.txt", b"precious");
    let error = run(["create", &file]).failed(1);
    assert!(error.contains("precious.txt: exists already"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"precious");
    assert_eq!(folder.names(), ["precious.txt"]);
}

#[test]
fn alloc_prints_ids_that_list_shows_and_free_takes_back() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    let generation = |file: &str| run(["info", file, "--json"]).done().json()["generation"].clone();
    let before = generation(&file).as_u64().unwrap();
    let regular = run(["alloc", &file, "--count", "100"]).done().ids();
    assert_eq!(generation(&file), before + 1, "one commit");
    assert_eq!(regular.len(), 100);
    let protected = run(["alloc", &file, "--count", "3", "--protected"])
        .done()
        .ids();
    assert_eq!(protected, [0, 1, 2]);

    let list = run(["list", &file, "--json"]).done().json();
    assert_eq!(list["regular"], serde_json::json!(regular));
    let slots = list["protected"].as_array().unwrap();
    assert_eq!(slots.len(), 3);
    for (id, slot) in slots.iter().enumerate() {
        let mut keys: Vec<_> = slot.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["generation", "id", "others", "page"]);
        assert_eq!(slot["id"], id);
        // They were never written, and take no page.
        assert_eq!(slot["page"], serde_json::Value::Null);
        assert_eq!(slot["others"], serde_json::json!([]));
    }

    let ids: Vec<String> = regular[..50].iter().map(u64::to_string).collect();
    let mut free = vec!["free".to_owned(), file.clone()];
    free.extend(ids);
    assert_eq!(run(&free).done().text(), "freed 50 pages\n");
    assert_eq!(
        run(["free", &file, "--protected", "1"]).done().text(),
        "freed 1 protected page\n"
    );
    let list = run(["list", &file, "--json"]).done().json();
    assert_eq!(list["regular"], serde_json::json!(regular[50..]));
    let ids: Vec<_> = list["protected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|slot| &slot["id"])
        .collect();
    assert_eq!(ids, [0, 2]);
}

#[test]
fn free_with_one_bad_id_frees_none() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file, "--count", "4"]).done();
    let before = fs::read(&file).unwrap();
    for bad in ["99", FIRST, "0", "19"] {
        let error = run(["free", &file, FIRST, SECOND, bad]).failed(1);
        assert!(error.contains(bad), "{error}");
    }
    run(["free", &file, "--protected", "0"]).failed(1);
    assert_eq!(
        run(["list", &file, "--json"]).done().json()["regular"],
        serde_json::json!([15, 16, 17, 18])
    );
    // Opening to write may write a root again, with the same bytes.
    assert!(fs::read(&file).unwrap() == before, "the file changed");
}

#[test]
fn write_then_read_gives_the_bytes_back() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file]).done();
    run(["alloc", &file, "--protected"]).done();
    for (id, protected) in [(FIRST, None), ("0", Some("--protected"))] {
        let args = |command, rest: &[&str]| {
            let mut args = vec![command, file.as_str(), id];
            args.extend(protected);
            args.extend(rest);
            args.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let whole: Vec<u8> = (0..4096_u32).map(|at| (at * 7 % 251) as u8).collect();
        run_with(args("write", &[]), &whole).done();
        assert!(run(args("read", &[])).done().output == whole);
        // The rest of the page stays as it is.
        run_with(args("write", &["--offset", "4000"]), b"hello").done();
        let mut changed = whole.clone();
        changed[4000..4005].copy_from_slice(b"hello");
        assert!(run(args("read", &[])).done().output == changed);
        assert_eq!(
            run(args("read", &["--offset", "4000", "--len", "5"]))
                .done()
                .output,
            b"hello"
        );
        assert_eq!(run(args("read", &["--offset", "4096"])).done().output, b"");
        // No bytes are no change.
        run_with(args("write", &[]), b"").done();
        run_with(args("write", &["--offset", "4096"]), b"").done();
        assert!(run(args("read", &[])).done().output == changed);
    }
    run(["check", &file]).done();
}

#[test]
fn write_of_more_than_fits_changes_nothing() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file]).done();
    run(["alloc", &file, "--protected"]).done();
    run_with(["write", &file, FIRST], b"regular").done();
    run_with(["write", &file, "0", "--protected"], b"protected").done();
    let before = fs::read(&file).unwrap();
    let too_long = vec![0xEE; 4097];
    // Far more than a pipe holds: the program stops reading.
    let endless = vec![0xEE; 8 << 20];
    for (args, input) in [
        (vec!["write", &file, FIRST], &too_long[..]),
        (vec!["write", &file, FIRST], &endless),
        (
            vec!["write", &file, FIRST, "--offset", "4096"],
            &too_long[..1],
        ),
        (vec!["write", &file, "0", "--protected"], &too_long),
        (
            vec!["write", &file, "0", "--protected", "--offset", "4090"],
            &too_long[..7],
        ),
    ] {
        let error = run_with(args, input).failed(1);
        assert!(error.contains("longer than"), "{error}");
    }
    assert!(fs::read(&file).unwrap() == before, "the file changed");
}

#[test]
fn a_recycled_page_reads_as_zeros() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    for kind in [&[][..], &["--protected"]] {
        let with = |args: &[&str]| {
            args.iter()
                .chain(kind)
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        let id = run(with(&["alloc", &file])).done().ids()[0].to_string();
        run_with(with(&["write", &file, &id]), &[0xEE; 4096]).done();
        run(with(&["free", &file, &id])).done();
        assert_eq!(run(with(&["alloc", &file])).done().ids()[0].to_string(), id);
        assert!(
            run(with(&["read", &file, &id])).done().output == [0; 4096],
            "{kind:?}"
        );
        // Nor after a part of it was written.
        run_with(with(&["write", &file, &id, "--offset", "100"]), b"x").done();
        let mut expected = [0; 4096];
        expected[100] = b'x';
        assert!(
            run(with(&["read", &file, &id])).done().output == expected,
            "{kind:?}"
        );
    }
}

#[test]
fn reading_changes_nothing_and_takes_no_lock() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file]).done();
    run(["alloc", &file, "--protected"]).done();
    let before = (
        fs::read(&file).unwrap(),
        fs::metadata(&file).unwrap().modified().unwrap(),
    );
    let held = fs::File::open(&file).unwrap();
    held.lock().unwrap();
    for args in [
        &["info", &file][..],
        &["list", &file],
        &["check", &file],
        &["map", &file],
        &["read", &file, FIRST],
        &["read", &file, "0", "--protected"],
    ] {
        run(args).done();
    }
    let after = (
        fs::read(&file).unwrap(),
        fs::metadata(&file).unwrap().modified().unwrap(),
    );
    assert!(before == after, "the file changed");
}

#[test]
fn repair_of_a_sound_file_is_an_exact_copy() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file, "--count", "20"]).done();
    let copy = folder.file("copy.pages");
    let copy = copy.to_str().unwrap();
    let text = run(["repair", &file, "--output", copy]).done().text();
    assert!(text.contains("an exact copy"), "{text}");
    assert!(fs::read(&file).unwrap() == fs::read(copy).unwrap());
}

#[test]
fn demo_shows_a_sound_file_and_keeps_only_one_that_is_named() {
    let folder = Folder::new();
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut command = crate::run::program(&["demo".as_ref()]);
    let child = command.env("TMPDIR", &temporary).spawn().unwrap();
    let text = crate::run::answer(child).done().text();
    assert!(text.contains("OK: "), "{text}");
    assert_eq!(
        fs::read_dir(&temporary).unwrap().count(),
        0,
        "a temporary file stayed"
    );

    let file = folder.file("demo.pages");
    let file = file.to_str().unwrap();
    run(["demo", file]).done();
    assert_eq!(
        run(["info", file, "--json"]).done().json()["recovery"],
        "clean"
    );
    run(["check", file]).done();
    let error = run(["demo", file]);
    assert_eq!(error.code, 1);
}

#[test]
fn no_command_is_answered_with_those_there_are() {
    let answer = run(Vec::<String>::new());
    assert_eq!((answer.code, answer.output.len()), (2, 0));
    assert!(answer.errors.contains("Commands:"), "{}", answer.errors);
    assert!(answer.errors.contains("Examples:"), "{}", answer.errors);
}

/// A trace of it beside it, for the viewer.
#[test]
fn change_is_recorded_where_that_is_asked_for() {
    let folder = Folder::new();
    let file = folder.pages("recorded.pages");
    let trace = folder.file("alloc.trace");
    let trace = trace.to_str().unwrap();
    let id = run(["alloc", &file, "--protected", "--record", trace])
        .done()
        .text();
    let id = id.trim();
    let written = folder.file("write.trace");
    run_with(
        [
            "write",
            &file,
            id,
            "--protected",
            "--record",
            written.to_str().unwrap(),
        ],
        b"hello",
    )
    .done();
    let freed = folder.file("free.trace");
    run([
        "free",
        &file,
        id,
        "--protected",
        "--record",
        freed.to_str().unwrap(),
    ])
    .done();
    for name in ["alloc.trace", "write.trace", "free.trace"] {
        let bytes = fs::read(folder.file(name)).unwrap();
        let trace = pagebox::trace::Trace::decode(&bytes).unwrap();
        let syncs = trace
            .steps()
            .iter()
            .filter(|step| step.is_barrier())
            .count();
        assert!(syncs >= 2, "{name}: {:?}", trace.steps());
    }
    // Nothing that is there is overwritten, and nothing is done then.
    let before = fs::read(&file).unwrap();
    let error = run(["alloc", &file, "--record", trace]).failed(1);
    assert!(error.contains("alloc.trace: cannot make it"), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
    // What fails leaves no half of a trace that says more.
    let none = folder.file("none.trace");
    run(["free", &file, "999", "--record", none.to_str().unwrap()]).failed(1);
    pagebox::trace::Trace::decode(&fs::read(none).unwrap()).unwrap();
}
