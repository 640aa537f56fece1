//! Hosts in other languages: the files that they make go round.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use pagebox::{Engine, Error, MemoryStore, PageSize, Pager, ProtectedId};
use pagebox_core::Format;
use pagebox_tests::peer::{How, in_process};

use crate::guide::built;
use crate::tools::{FORMATS, Tools, ran, succeeded, told};
use crate::views::{program, python};

/// The number of new files, in place of a random one.
const UUID: &[u8; 16] = b"a uuid of a file";
const PAGE_SIZE: PageSize = PageSize::KIB_1;
/// Ids of the workload's choice.
const CLAIMED: [u64; 2] = [70, 7];

/// A file is sound, and our host finds in its protected page 0 what was written.
fn assert_goes_round(tools: &Tools, file: &Path, expected: &[u8]) {
    succeeded(tools.command("pagebox").arg("check").arg(file));
    let bytes = ran(tools
        .command("pagebox")
        .args(["read", "--protected"])
        .arg(file)
        .arg("0"))
    .stdout;
    assert_eq!(&bytes[..expected.len()], expected);
}

/// The peer sees the protected pages that our host does.
fn assert_peer_reads(file: &Path, pages: &BTreeMap<u64, Vec<u8>>) {
    let copy = file.with_extension("peer");
    fs::copy(file, &copy).expect("there is room for a copy");
    let seen = in_process(How::Open, &copy, PAGE_SIZE.bytes())
        .and_then(|mut peer| peer.see())
        .expect("the peer opens it");
    let sums = pages
        .iter()
        .map(|(&id, bytes)| (id, crc32fast::hash(bytes)));
    assert_eq!(seen.protected, sums.collect::<BTreeMap<_, _>>());
}

#[test]
fn a_file_made_in_python_opens_everywhere() {
    let Some(tools) = built() else { return };
    assert_goes_round(
        tools,
        &tools.examples().join("python.pages"),
        b"hello from Python",
    );
}

#[test]
fn a_file_made_in_node_opens_everywhere() {
    let Some(tools) = built() else { return };
    assert_goes_round(
        tools,
        &tools.examples().join("node.pages"),
        b"hello from Node",
    );
}

/// The programs that do the workload of these tests: `python` and `node`.
fn workloads(tools: &Tools) -> [(&'static str, Command); 2] {
    let mut python = python(tools);
    python.arg(program(tools, "python/workload.py"));
    let mut node = tools.command("node");
    node.arg(program(tools, "javascript/workload.js"));
    [("python", python), ("node", node)]
}

/// A new file, as the core makes it without a sandbox.
fn created(format: Format) -> Vec<u8> {
    let new = pagebox_core::NewFile {
        format,
        page_count: 4,
        uuid: *UUID,
    };
    let pager = pagebox_core::Pager::create_as(MemoryStore::new(PAGE_SIZE), &new);
    let store = pager.expect("the store is empty").close();
    store.bytes().to_vec()
}

#[test]
fn a_new_file_of_each_format_is_the_same_in_every_host() {
    let Some(tools) = built() else { return };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for (number, format) in FORMATS.into_iter().zip([Format::Zero, Format::One]) {
        let expected = created(format);
        for (host, mut workload) in workloads(tools) {
            let file = folder.path().join(format!("{host}-{number}.pages"));
            workload.arg("create").arg(&file).arg(number);
            succeeded(workload.arg(PAGE_SIZE.bytes().to_string()));
            let bytes = fs::read(&file).expect("it was made");
            assert!(bytes == expected, "{host}, format {number}");
        }
    }
}

/// What `workload.py` and `workload.js` do.
fn run(pager: &mut Pager) -> Result<(), Error> {
    let size = pager.page_size().bytes();
    let capabilities = pager.stats()?.capabilities;
    let defers = capabilities.iter().any(|it| it == "deferred-commits");
    let mut tx = pager.begin()?;
    let regular = tx.alloc_many(5)?;
    let first = tx.alloc_protected()?;
    tx.write(first)?[..5].copy_from_slice(b"first");
    tx.commit()?;
    for (number, &page) in (1..).zip(&regular) {
        pager.page_mut(page)?.fill(number);
    }
    pager.sync()?;
    let mut tx = pager.begin()?;
    tx.claim_protected(&CLAIMED.map(ProtectedId::new))?;
    tx.commit()?;
    for number in 0..30 {
        let mut tx = pager.begin()?;
        let ids = tx.alloc_protected_many(10)?;
        for &id in &ids {
            let byte = (10 * u64::from(number) + id.get()) % 251;
            tx.replace(id, &vec![byte.to_le_bytes()[0]; size])?;
        }
        let pages = tx.alloc_many(3)?;
        tx.commit()?;
        if number % 3 == 2 {
            let mut tx = pager.begin()?;
            tx.free_protected_many(&ids[..4])?;
            tx.free_many(&pages[1..])?;
            tx.write(first)?[5] = number;
            if defers {
                tx.commit_deferred()?;
            } else {
                tx.commit()?;
            }
        }
    }
    pager.free(regular[1])?;
    let page = pager.alloc()?;
    pager.free_protected(ProtectedId::new(CLAIMED[1]))?;
    pager.alloc_protected()?;
    pager.page_mut(page)?[..3].copy_from_slice(b"end");
    pager.sync()
}

/// Each takes over a file that our program made.
#[test]
fn every_host_leaves_the_same_bytes_in_a_file_of_each_format() {
    let Some(tools) = built() else { return };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let engine = Engine::new().expect("the component runs here");
    for format in FORMATS {
        let ours = folder.path().join(format!("ours-{format}.pages"));
        let mut create = tools.command("pagebox");
        create.args(["create", "--page-size", "1024", "--format", format]);
        succeeded(create.arg(&ours));
        let mut theirs = Vec::new();
        for (host, mut workload) in workloads(tools) {
            let copy = folder.path().join(format!("{host}-{format}.pages"));
            fs::copy(&ours, &copy).expect("there is room for a copy");
            succeeded(workload.arg("run").arg(&copy));
            theirs.push((host, fs::read(&copy).expect("it is there")));
        }
        run(&mut engine.open(&ours).expect("nobody has it open")).expect("it can be done");
        let bytes = fs::read(&ours).expect("it is there");
        for (host, found) in theirs {
            let first = found.iter().zip(&bytes).position(|(a, b)| a != b);
            assert!(
                found == bytes,
                "{host}, format {format}: {} bytes instead of {}, {first:?}",
                found.len(),
                bytes.len()
            );
        }
        succeeded(tools.command("pagebox").arg("check").arg(&ours));
        if format == "0" {
            let pager = engine.open_read_only(&ours).expect("it is sound");
            let pages: Result<_, Error> = pager
                .protected_pages()
                .map(|page| {
                    let (id, mut bytes) = (page?.id, vec![0; PAGE_SIZE.bytes()]);
                    pager.read_protected(id, 0, &mut bytes)?;
                    Ok((id.get(), bytes))
                })
                .collect();
            assert_peer_reads(&ours, &pages.expect("it is sound"));
        }
    }
}

#[test]
fn the_browser_shows_a_file_and_makes_one_that_opens_everywhere() {
    let Some(tools) = built() else { return };
    for (format, root) in FORMATS
        .into_iter()
        .zip(["S superblock\t1", "O root-slot\t2"])
    {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let [ours, made] = ["ours.pages", "made.pages"].map(|name| folder.path().join(name));
        for args in [
            &["create", "--format", format][..],
            &["alloc", "--count", "3"],
            &["alloc", "--protected"],
        ] {
            succeeded(tools.command("pagebox").args(args).arg(&ours));
        }
        let before = fs::read(&ours).expect("the file is there");

        let test: &OsStr = "hosts/browser/test.js".as_ref();
        let shown = succeeded(
            tools
                .command("node")
                .args([test, ours.as_ref(), made.as_ref()]),
        );
        for line in [
            "ours.pages",
            "regular\t3",
            "protected\t1",
            "R regular\t3",
            root,
        ] {
            assert!(
                shown.lines().any(|shown| shown.trim_end() == line),
                "{line:?} in\n{shown}"
            );
        }
        assert!(shown.contains("not a page file"), "{shown}");
        assert_eq!(fs::read(&ours).expect("the file is there"), before);
        assert_goes_round(tools, &made, b"hello from the browser");
    }
}

#[test]
fn a_python_host_and_ours_do_not_write_at_once() {
    let Some(tools) = built() else { return };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let file = folder.path().join("locked.pages");
    succeeded(tools.command("pagebox").arg("create").arg(&file));
    let held = File::open(&file).expect("the file is there");
    held.lock().expect("nobody else has it");
    let mut python = python(tools);
    let output = ran(python.arg("hosts/python/demo.py").arg(&file));
    assert!(!output.status.success());
    let told = told(&output);
    let expected = format!("PagerError: {} is in use", file.display());
    assert!(told.contains(&expected), "{told}");
    drop(held);
}
