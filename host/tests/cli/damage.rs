//! Damaged files: what can be read of them is, nothing is changed, the evidence
//! is shown, and a mended copy can be made.

use std::fs;

use serde_json::Value;

use crate::run::{Folder, run, run_with, text};

const P: usize = 4096;

/// The formats, and the first page that is allocated in a new file of each.
const FORMATS: [(&str, usize); 2] = [("1", 15), ("0", 3)];

/// What the pages of an id are filled with.
fn regular(id: u64) -> [u8; P] {
    [0x10 + u8::try_from(id).unwrap(); P]
}

fn protected(id: u64) -> [u8; P] {
    [0x20 + u8::try_from(id).unwrap(); P]
}

/// A file with 4 regular and 2 protected pages, each filled with its own byte.
fn sound(folder: &Folder, format: &str) -> String {
    let file = folder.pages_of(format, "data.pages");
    for id in run(["alloc", &file, "--count", "4"]).done().ids() {
        run_with(["write", &file, &id.to_string()], &regular(id)).done();
    }
    for id in run(["alloc", &file, "--count", "2", "--protected"])
        .done()
        .ids()
    {
        run_with(
            ["write", &file, "--protected", &id.to_string()],
            &protected(id),
        )
        .done();
    }
    file
}

/// Changes bytes of a file.
fn damage(file: &str, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(file).unwrap();
    change(&mut bytes);
    fs::write(file, bytes).unwrap();
}

fn errors(file: &str) -> Vec<Value> {
    let answer = run(["check", file, "--json"]);
    assert_eq!((answer.code, answer.errors.as_str()), (3, ""));
    let check = answer.json();
    let findings = check["findings"].as_array().unwrap().clone();
    for finding in &findings {
        for key in [
            "id", "severity", "page", "offset", "evidence", "message", "meaning", "remedy",
        ] {
            assert!(finding.get(key).is_some(), "{key} in {finding}");
        }
    }
    let errors: Vec<Value> = findings
        .into_iter()
        .filter(|finding| finding["severity"] == "error")
        .collect();
    assert_eq!(check["errors"], errors.len());
    errors
}

/// Mends a copy of a file, which stays as it is; the copy is sound.
fn mended(folder: &Folder, file: &str) -> (String, String) {
    let before = fs::read(file).unwrap();
    let copy = text(&folder.file("copy.pages"));
    let told = run(["repair", file, "--output", &copy]).done().text();
    assert!(
        fs::read(file).unwrap() == before,
        "the file itself was changed"
    );
    run(["check", &copy]).done();
    run(["alloc", &copy]).done();
    assert_eq!(folder.names(), ["copy.pages", "data.pages"]);
    (copy, told)
}

#[test]
fn a_rotten_metadata_page_is_shown_refused_and_mended() {
    let folder = Folder::new();
    let file = sound(&folder, "0");
    let info = run(["info", &file, "--json"]).done().json();
    let page = if info["roots"][1] == "Metadata A" {
        1
    } else {
        2
    };
    damage(&file, |bytes| bytes[page * P + 24] ^= 0x80);
    let before = fs::read(&file).unwrap();

    assert_eq!(
        run(["info", &file, "--json"]).done().json()["recovery"],
        "damaged"
    );
    assert!(run(["info", &file]).done().text().contains("damaged"));
    assert!(run(["map", &file]).done().text().contains('X'));
    assert_eq!(run(["list", &file, "--json"]).code, 0);
    for args in [vec!["alloc", &file], vec!["free", &file, "3"]] {
        let error = run(args).failed(3);
        assert!(
            error.contains("damaged") && error.contains("pagebox repair"),
            "{error}"
        );
    }
    let found = errors(&file);
    assert!(
        found.iter().any(|finding| finding["page"] == page),
        "{found:?}"
    );
    let told = run(["check", &file]);
    assert_eq!(told.code, 3);
    for word in ["error", "meaning", "remedy", "NOT OK"] {
        assert!(told.text().contains(word), "{}", told.text());
    }
    assert!(fs::read(&file).unwrap() == before, "the file was changed");

    let (copy, told) = mended(&folder, &file);
    assert!(told.contains("mended"), "{told}");
    for id in 3..7_u64 {
        assert!(run(["read", &copy, &id.to_string()]).done().output == regular(id));
    }
    for id in 0..2_u64 {
        let args = ["read", &copy, "--protected", &id.to_string()];
        assert!(run(args).done().output == protected(id));
    }
}

/// Flips bits of protected page 1, and says which page of the file it is.
fn rot_protected(file: &str, at: usize, bits: u8) -> u64 {
    let list = run(["list", file, "--json"]).done().json();
    let page = list["protected"][1]["page"].as_u64().unwrap();
    damage(file, |bytes| {
        bytes[usize::try_from(page).unwrap() * P + at] ^= bits;
    });
    page
}

#[test]
fn a_rotten_protected_page_is_never_served() {
    for (format, _) in FORMATS {
        let folder = Folder::new();
        let file = sound(&folder, format);
        let page = rot_protected(&file, 99, 1);

        let error = run(["read", &file, "1", "--protected"]).failed(3);
        assert!(
            error.contains("protected page 1") && error.contains(&format!("page {page}")),
            "{error}"
        );
        // The others are.
        assert!(run(["read", &file, "0", "--protected"]).done().output == [0x20; P]);
        let found = errors(&file);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0]["page"], page);
        let (copy, told) = mended(&folder, &file);
        assert!(told.contains("lost") && told.contains('1'), "{told}");
        assert!(run(["read", &copy, "0", "--protected"]).done().output == [0x20; P]);
    }
}

#[test]
fn a_truncated_file_gives_what_is_left_of_it() {
    for (format, first) in FORMATS {
        let folder = Folder::new();
        let file = sound(&folder, format);
        let kept = first + 3;
        let [first, lost] = [first, kept].map(|id| id.to_string());
        damage(&file, |bytes| bytes.truncate(kept * P));
        let info = run(["info", &file, "--json"]).done().json();
        assert_eq!(info["recovery"], "damaged");
        assert_eq!(info["file_pages"], kept);
        let expected = regular(first.parse().unwrap());
        assert!(run(["read", &file, &first]).done().output == expected);
        run(["read", &file, &lost]).failed(4);
        let error = run(["alloc", &file]).failed(3);
        assert!(error.contains("damaged"), "{error}");
        assert!(
            run(["map", &file]).done().text().contains('!'),
            "missing pages are drawn"
        );
        assert!(!errors(&file).is_empty());
        let (copy, _) = mended(&folder, &file);
        assert!(run(["read", &copy, &first]).done().output == expected);
    }
}

#[test]
fn repair_never_replaces_a_file() {
    let folder = Folder::new();
    let file = sound(&folder, "1");
    let before = fs::read(&file).unwrap();
    let other = folder.with("other", b"other");
    for output in [&file, &other] {
        let error = run(["repair", &file, "--output", output]).failed(1);
        assert!(
            error.contains(&format!("{output}: exists already")),
            "{error}"
        );
    }
    assert!(fs::read(&file).unwrap() == before);
    assert_eq!(fs::read(&other).unwrap(), b"other");
    // Nor leaves anything where it cannot mend.
    let foreign = folder.with("foreign", &[7; 8192]);
    run(["repair", &foreign, "--output", &text(&folder.file("copy"))]).failed(3);
    assert_eq!(folder.names(), ["data.pages", "foreign", "other"]);
}

#[test]
fn no_flipped_bit_of_what_counts_goes_unnoticed() {
    for (format, _) in FORMATS {
        let folder = Folder::new();
        let file = sound(&folder, format);
        let sound = fs::read(&file).unwrap();
        let copy = text(&folder.file("flipped.pages"));
        // Of each structure some bytes; the core's own tests flip all of them.
        for at in [
            0,
            5,
            8,
            12,
            13,
            16,
            20,
            24,
            32,
            40,
            P - 1,
            P + 3,
            P + 20,
            P + 300,
            2 * P + 3,
            2 * P + 24,
            3 * P + 7,
            4 * P + 7,
        ] {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            fs::write(&copy, &bytes).unwrap();
            for args in [
                vec!["info", &copy],
                vec!["list", &copy],
                vec!["map", &copy],
                vec!["check", &copy],
            ] {
                let answer = run(args);
                assert!(matches!(answer.code, 0 | 3), "byte {at}: {answer:?}");
            }
            let answer = run(["alloc", &copy]);
            let unchanged = fs::read(&copy).unwrap() == bytes;
            match answer.code {
                // The copy that does not count was hit: the state is the same one.
                0 => assert_eq!(answer.ids(), [fresh(&sound, &folder)], "byte {at}"),
                3 => assert!(unchanged, "byte {at}: it was refused, and changed"),
                code => panic!("byte {at}: exit code {code}: {}", answer.errors),
            }
        }
    }
}

/// The page that an allocation in a sound file would give.
fn fresh(sound: &[u8], folder: &Folder) -> u64 {
    let file = folder.with("fresh.pages", sound);
    run(["alloc", &file]).done().ids()[0]
}

/// The remedy that `check` names: to write the whole page again, under its id.
#[test]
fn rotten_protected_page_is_mended_by_writing_it_whole() {
    for (format, _) in FORMATS {
        let folder = Folder::new();
        let file = sound(&folder, format);
        rot_protected(&file, 7, 0x10);
        let found = errors(&file);
        assert_eq!(found[0]["id"], "protected-checksum");
        let message = found[0]["message"].as_str().unwrap();
        assert_eq!(found[0]["offset"], 7);
        let bit = "; one flipped bit explains it: byte 7, bit 4";
        assert!(message.ends_with(bit), "{message}");
        let mended = text(&folder.file("mended.pages"));
        let told = run(["repair", &file, "--output", &mended]).done().text();
        assert!(told.contains("byte 7, bit 4"), "{told}");
        let remedy = "Write the whole page again, from a backup or by what your program knows: pagebox write --protected FILE ID takes all its bytes. Repair gives the page up: it is gone then.";
        assert_eq!(found[0]["remedy"], remedy);
        // Of the mended copy it is gone.
        run(["read", &mended, "1", "--protected"]).failed(1);
        // A part of it would seal what is left of the rest.
        run_with(["write", &file, "1", "--protected"], b"a part").failed(3);
        run_with(["write", &file, "1", "--protected"], &protected(1)).done();
        run(["check", &file]).done();
        let read = run(["read", &file, "1", "--protected"]).done();
        assert!(read.output == protected(1));
        let other = run(["read", &file, "0", "--protected"]).done();
        assert!(other.output == protected(0));
    }
}
