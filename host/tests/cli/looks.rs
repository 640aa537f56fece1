//! How the output looks: colours, widths, dumps, generated texts.

use crate::run::{FIRST, Folder, answer, program, run, run_with};

/// Runs it with something in its environment.
fn run_in(args: &[&str], name: &str, value: &str) -> String {
    let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
    let child = program(&args).env(name, value).spawn().unwrap();
    answer(child).done().text()
}

#[test]
fn map_has_a_character_a_page_and_a_legend_that_sums_up() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file, "--count", "70"]).done();
    run(["alloc", &file, "--count", "2", "--protected"]).done();
    let text = run(["map", &file]).done().text();
    let pages = run(["info", &file, "--json"]).done().json()["page_count"]
        .as_u64()
        .unwrap();
    let (map, legend) = text
        .split_once("\n\n")
        .unwrap()
        .1
        .split_once("\n\n")
        .unwrap();
    let mut letters = String::new();
    for row in map.lines() {
        let (first, row) = row.trim_start().split_once("  ").unwrap();
        assert_eq!(
            first.parse(),
            Ok(letters.len()),
            "each row says its first page"
        );
        letters.push_str(row);
    }
    assert_eq!(letters.len() as u64, pages);
    assert!(letters.starts_with("HOOBBBBBBBBBBBBRRR"), "{letters}");
    let mut sum = 0;
    for line in legend.lines() {
        let mut words = line.split_whitespace();
        let letter = words.next().unwrap();
        let count: usize = words.next().unwrap().parse().unwrap();
        assert_eq!(letters.matches(letter).count(), count, "{line}");
        sum += count;
    }
    assert_eq!(sum as u64, pages);
}

#[test]
fn map_pools_pages_on_request() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file, "--count", "200"]).done();
    let text = run(["map", &file, "--pool", "16"]).done().text();
    assert!(text.contains("stands for 16"), "{text}");
    assert!(text.contains("  BRRRRRRRRRRRR"), "{text}");
}

#[test]
fn colours_are_for_terminals_and_for_those_who_ask() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    for args in [
        ["map", &file],
        ["info", &file],
        ["list", &file],
        ["check", &file],
    ] {
        assert!(!run(args).done().text().contains('\x1b'), "{args:?}");
        assert!(
            run_in(&args, "CLICOLOR_FORCE", "1").contains('\x1b'),
            "{args:?}"
        );
        assert!(!run_in(&args, "NO_COLOR", "1").contains('\x1b'), "{args:?}");
    }
}

#[test]
fn hex_dump_shows_place_bytes_and_text() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file]).done();
    run_with(["write", &file, FIRST, "--offset", "8"], b"hello, world\n").done();
    let dump = run(["read", &file, FIRST, "--hex", "--len", "67"])
        .done()
        .text();
    let expected = "\
00000000  00 00 00 00 00 00 00 00  68 65 6c 6c 6f 2c 20 77  |........hello, w|
00000010  6f 72 6c 64 0a 00 00 00  00 00 00 00 00 00 00 00  |orld............|
00000020  00 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00  |................|
*
00000040  00 00 00                                          |...|
00000043
";
    assert_eq!(dump, expected);
    let dump = run(["read", &file, FIRST, "--hex", "--offset", "8", "--len", "5"])
        .done()
        .text();
    assert_eq!(
        dump,
        "00000008  68 65 6c 6c 6f                                    |hello|\n0000000d\n"
    );
}

#[test]
fn list_shows_runs() {
    let folder = Folder::new();
    let file = folder.pages("a.pages");
    run(["alloc", &file, "--count", "10"]).done();
    run(["free", &file, "18", "20", "21"]).done();
    let text = run(["list", &file]).done().text();
    assert_eq!(
        text,
        "7 regular pages\n  15-17 19 22-24\n0 protected pages\n"
    );
}

#[test]
fn completions_and_man_pages_come_out() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = run(["completions", shell]).done().text();
        assert!(script.contains("repair"), "{shell}");
    }
    let page = run(["man"]).done().text();
    assert!(page.contains(".TH pagebox 1"), "{page}");
    let page = run(["man", "check"]).done().text();
    assert!(
        page.contains(".TH pagebox-check 1") || page.contains(".TH pagebox\\-check 1"),
        "{page}"
    );
}
