//! Copies in another format: every page under its number, or no copy at all.

use std::fs;
use std::path::Path;

use pagebox::{Engine, Format, NewFile, PageId, PageSize, ProtectedId};

use crate::run::{Folder, run, run_with, text};

/// A file of format 0.
fn old(folder: &Folder, page_size: &str) -> String {
    let file = text(&folder.file("old.pages"));
    let args = ["create", &file, "--format", "0", "--page-size", page_size];
    run(args).done();
    file
}

/// Bytes that say which page they are of.
fn bytes(id: u64, of: u8) -> Vec<u8> {
    let mut bytes = vec![of; 4096];
    bytes[..8].copy_from_slice(&id.to_le_bytes());
    bytes
}

/// Some pages of both kinds, ids with holes; some are zeros.
fn fill(file: &str) -> (Vec<PageId>, Vec<ProtectedId>) {
    let mut pager = Engine::new().unwrap().open(file).unwrap();
    let mut regular = pager.alloc_many(3000).unwrap();
    pager.free_many(&regular.split_off(2000)).unwrap();
    let mut tx = pager.begin().unwrap();
    let mut protected = tx.alloc_protected_many(1500).unwrap();
    tx.commit().unwrap();
    let mut tx = pager.begin().unwrap();
    for id in protected.drain(10..40) {
        tx.free_protected(id).unwrap();
    }
    for id in protected.iter().filter(|id| id.get() % 7 > 0) {
        tx.replace(*id, &bytes(id.get(), 0x22)).unwrap();
    }
    tx.commit().unwrap();
    for id in regular.iter().filter(|id| id.get() % 5 > 0) {
        pager
            .page_mut(*id)
            .unwrap()
            .copy_from_slice(&bytes(id.get(), 0x11));
    }
    pager.sync().unwrap();
    (regular, protected)
}

/// That a file has these pages and no others, with the bytes that [`fill`] gave
/// them.
fn holds(file: &str, regular: &[PageId], protected: &[ProtectedId]) {
    run(["check", file]).done();
    let pager = Engine::new().unwrap().open(file).unwrap();
    let found: Vec<_> = pager.regular_pages().map(Result::unwrap).collect();
    assert_eq!(found, regular);
    let found: Vec<_> = pager.protected_pages().map(|it| it.unwrap().id).collect();
    assert_eq!(found, protected);
    let zeros = vec![0; 4096];
    for &id in regular {
        let written = bytes(id.get(), 0x11);
        let expected = if id.get() % 5 > 0 { &written } else { &zeros };
        assert!(pager.page(id).unwrap() == expected, "page {id}");
    }
    for &id in protected {
        let written = bytes(id.get(), 0x22);
        let expected = if id.get() % 7 > 0 { &written } else { &zeros };
        assert!(
            pager.protected_page(id).unwrap() == expected,
            "protected page {id}"
        );
    }
}

fn format(file: &str) -> String {
    let info = run(["info", file, "--json"]).done().json();
    info["format"].as_str().unwrap().to_owned()
}

#[test]
fn upgraded_file_has_every_page_under_its_number_and_goes_back() {
    let folder = Folder::new();
    let file = old(&folder, "4096");
    let (regular, protected) = fill(&file);
    let before = fs::read(&file).unwrap();
    let [new, back] = ["new.pages", "back.pages"].map(|name| text(&folder.file(name)));

    let told = run(["upgrade", &file, "--output", &new]).done().text();
    for part in [
        "in format 1",
        "2,000 regular pages",
        "1,470 protected pages",
    ] {
        assert!(told.contains(part), "{told}");
    }
    assert!(fs::read(&file).unwrap() == before, "the file was changed");
    assert_eq!(format(&new), "1.0");
    holds(&new, &regular, &protected);

    let told = run(["upgrade", &new, "--to", "0", "-o", &back])
        .done()
        .text();
    assert!(told.contains("in format 0"), "{told}");
    assert_eq!(format(&back), "0.2");
    holds(&back, &regular, &protected);

    // Regular pages lie where homes do otherwise; they are elsewhere, and shown
    // there.
    let map = run(["map", &new]).done().text();
    assert!(
        map.starts_with(&format!("   0  HOO{}\n", "R".repeat(61))),
        "{map}"
    );
    assert!(map.contains(&"B".repeat(12)), "{map}");
    run(["alloc", &new, "--count", "40000"]).done();
    run(["check", &new]).done();
    assert_eq!(folder.names(), ["back.pages", "new.pages", "old.pages"]);
}

#[test]
fn empty_file_is_upgraded_too() {
    let folder = Folder::new();
    for page_size in ["1024", "65536"] {
        let file = old(&folder, page_size);
        let new = text(&folder.file("new.pages"));
        let told = run(["upgrade", &file, "--output", &new]).done().text();
        assert!(
            told.contains("0 regular pages and 0 protected pages"),
            "{told}"
        );
        run(["alloc", &new, "--count", "3"]).done();
        run(["check", &new]).done();
        fs::remove_file(new).unwrap();
        fs::remove_file(file).unwrap();
    }
}

/// That a file is not upgraded, and no copy is left.
#[track_caller]
fn refused(folder: &Folder, args: &[&str], code: i32) -> String {
    let names = folder.names();
    let copy = text(&folder.file("refused.pages"));
    let error = run([&["upgrade", "--output", &copy], args].concat()).failed(code);
    assert_eq!(folder.names(), names);
    error
}

#[test]
fn file_that_cannot_be_upgraded_is_named_with_the_reason_and_no_copy_is_left() {
    let folder = Folder::new();
    let file = old(&folder, "4096");
    fill(&file);
    let error = refused(&folder, &[&file, "--to", "0"], 1);
    assert!(error.contains("of format 0 already"), "{error}");
    let new = text(&folder.file("new.pages"));
    run(["upgrade", &file, "--output", &new]).done();
    let error = refused(&folder, &[&new], 1);
    assert!(error.contains("of format 1 already"), "{error}");

    // The copy is there.
    let before = fs::read(&new).unwrap();
    let error = run(["upgrade", &file, "--output", &new]).failed(1);
    assert!(error.contains("new.pages: exists already"), "{error}");
    assert!(fs::read(&new).unwrap() == before);
    let error = run(["upgrade", &file, "--output", &text(&folder.file("no/new"))]).failed(1);
    assert!(error.contains("there is no folder"), "{error}");

    // Somebody else has it open to write.
    let held = fs::File::open(&file).unwrap();
    held.lock().unwrap();
    let error = refused(&folder, &[&file, "--wait", "0"], 1);
    assert!(
        error.contains("old.pages: in use by another process"),
        "{error}"
    );
    drop(held);

    let nothing = text(&folder.file("nothing"));
    assert!(refused(&folder, &[&nothing], 1).contains("no such file"));
    let foreign = folder.with("foreign", b"no pages at all");
    refused(&folder, &[&foreign], 3);
    let answer = run(["upgrade", &file, "--output", &nothing, "--to", "2"]);
    assert_eq!(answer.code, 2, "{answer:?}");
}

#[test]
fn damaged_file_is_not_upgraded_before_it_is_repaired() {
    let folder = Folder::new();
    let file = old(&folder, "4096");
    let (_, protected) = fill(&file);
    let sound = fs::read(&file).unwrap();
    let list = run(["list", &file, "--json"]).done().json();
    let first = &list["protected"][1];
    assert_eq!(first["id"], protected[1].get());
    let page = usize::try_from(first["page"].as_u64().unwrap()).unwrap();
    // A root, and a protected page.
    for at in [4096 + 30, 2 * 4096 + 30, page * 4096 + 9] {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        fs::write(&file, &bytes).unwrap();
        if run(["check", &file]).code == 0 {
            continue; // the root that does not count
        }
        let error = refused(&folder, &[&file], 3);
        assert!(
            error.contains("damaged: ") && error.contains("`pagebox repair`"),
            "{error}"
        );
        let [mended, new] = ["mended", "new"].map(|name| text(&folder.file(name)));
        run(["repair", &file, "--output", &mended]).done();
        run(["upgrade", &mended, "--output", &new]).done();
        run(["check", &new]).done();
        fs::remove_file(mended).unwrap();
        fs::remove_file(new).unwrap();
        assert!(fs::read(&file).unwrap() == bytes, "the file was changed");
    }
}

#[test]
fn page_that_cannot_keep_its_number_is_named_with_what_to_do() {
    let folder = Folder::new();
    let small = old(&folder, "1024");
    run(["alloc", &small, "--count", "20"]).done();
    let error = refused(&folder, &[&small], 1);
    for part in [
        "page 3 cannot keep its number in format 1",
        "header",
        ": free it",
    ] {
        assert!(error.contains(part), "{error}");
    }
    run(["free", &small, "3"]).done();
    assert!(refused(&folder, &[&small], 1).contains("page 4 cannot"));
    let in_the_way: Vec<_> = (4..12).map(|page| page.to_string()).collect();
    run(["free", &small]
        .into_iter()
        .chain(in_the_way.iter().map(String::as_str)))
    .done();
    let new = text(&folder.file("new.pages"));
    run(["upgrade", &small, "--output", &new]).done();
    let list = run(["list", &new, "--json"]).done().json();
    assert_eq!(
        list["regular"],
        serde_json::json!((12..23).collect::<Vec<_>>())
    );

    // Past the end of format 0.
    run(["alloc", &new, "--count", "9000"]).done();
    let error = refused(&folder, &[&new, "--to", "0"], 1);
    assert!(
        error.contains("page 7968 cannot keep its number in format 0"),
        "{error}"
    );
    let mut pager = Engine::new().unwrap().open(&new).unwrap();
    let pages: Vec<_> = pager.regular_pages().map(Result::unwrap).collect();
    pager.free_many(&pages).unwrap();
    let mut tx = pager.begin().unwrap();
    tx.claim_protected(&[ProtectedId::new(1), ProtectedId::new(1914)])
        .unwrap();
    tx.commit().unwrap();
    drop(pager);
    let error = refused(&folder, &[&new, "--to", "0"], 1);
    for part in [
        "protected page 1914 cannot keep",
        "the ids there end at 1914",
        ": free it",
    ] {
        assert!(error.contains(part), "{error}");
    }
    run(["free", &new, "--protected", "1914"]).done();
    // More than it has room for.
    let mut pager = Engine::new().unwrap().open(&new).unwrap();
    pager.alloc_many(7900).unwrap();
    let mut tx = pager.begin().unwrap();
    tx.alloc_protected_many(35).unwrap();
    tx.commit().unwrap();
    drop(pager);
    let error = refused(&folder, &[&new, "--to", "0"], 1);
    assert!(error.contains("its format ends at 7968 pages"), "{error}");
}

/// What a kill leaves: nothing, or all of it.
#[test]
fn killed_upgrade_leaves_no_copy_or_the_whole() {
    let folder = Folder::new();
    let path = folder.file("old.pages");
    let engine = Engine::new().unwrap();
    let new = NewFile {
        format: Format::Zero,
        page_count: 0,
    };
    let mut pager = engine.create_with(&path, PageSize::KIB_64, new).unwrap();
    for id in pager.alloc_many(1000).unwrap() {
        pager.page_mut(id).unwrap().fill(7);
    }
    drop(pager);
    let copy = folder.file("new.pages");
    let mut nothing = 0;
    for delay in 0..12 {
        let args = ["upgrade", &text(&path), "--output", &text(&copy)];
        let mut child = crate::run::program(&args.map(AsRef::as_ref))
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(8 * delay));
        let _ = child.kill();
        child.wait().unwrap();
        if Path::new(&copy).exists() {
            run_with(["check", &text(&copy)], b"").done();
            let list = run(["list", &text(&copy), "--json"]).done().json();
            assert_eq!(list["regular"].as_array().unwrap().len(), 1000);
            fs::remove_file(&copy).unwrap();
        } else {
            nothing += 1;
        }
        assert_eq!(folder.names(), ["old.pages"]);
    }
    assert!(nothing > 0, "none was killed in time");
}
