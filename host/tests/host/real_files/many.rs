//! Many files, open at once.

use std::fs;
use std::path::Path;
use std::process::Command;

use pagebox::{Pager, ProtectedId};

use super::{child, path, skip, succeed, works};
use crate::{engine, folder, sample};

/// Opens copies of a file, all of which are open at the end.
fn open(path: &Path, count: usize) {
    let open = |n: usize| -> Pager {
        let copy = path.with_extension(n.to_string());
        fs::copy(path, &copy).unwrap();
        engine()
            .open(&copy)
            .unwrap_or_else(|error| panic!("number {n}: {error}"))
    };
    let mut pagers: Vec<_> = (0..count).map(open).collect();
    for pager in &pagers {
        assert_eq!(
            &pager.protected_page(ProtectedId::new(0)).unwrap()[..5],
            b"hello"
        );
        assert_eq!(pager.stats().unwrap().regular_pages, 1);
    }
    for pager in [0, count / 2, count - 1] {
        pagers[pager].alloc().unwrap();
    }
}

/// Not a test: opens many copies of a file.
#[test]
#[ignore = "started by the test of many pagers, in a process of its own"]
fn opener() {
    open(&path(), 1000);
}

/// Each has a sandbox of its own, with 4 GiB of addresses where they are not
/// limited.
#[test]
fn thousand_pagers_are_open_at_once() {
    let (_folder, path) = folder();
    sample(&path);
    for limit in ["", " && ulimit -v 50000000"] {
        // Files, too, are limited, often to 1024.
        let script = format!("ulimit -n 4096{limit}");
        if !works(&["sh", "-c", &script]) {
            skip(&format!("`{script}` cannot be set here"));
            continue;
        }
        let script = format!("{script} && exec \"$0\" \"$@\"");
        let role = "real_files::many::opener";
        succeed(&mut child(&["sh", "-c", &script], role, &path));
    }
}

/// Not a test: opens some copies of a file, the later ones with few addresses.
#[test]
#[ignore = "started by the test of a late limit, in a process of its own"]
fn limited() {
    let path = path();
    open(&path, 1);
    let limited = Command::new("prlimit")
        .args(["--pid", &std::process::id().to_string(), "--as=7000000000"])
        .status();
    assert!(limited.unwrap().success());
    open(&path, 20);
}

/// What there was room for at the start need not be there later.
#[test]
fn pagers_go_on_with_less_when_addresses_run_out() {
    if !works(&["prlimit", "--as=7000000000", "true"]) {
        skip("addresses cannot be limited here");
        return;
    }
    let (_folder, path) = folder();
    sample(&path);
    succeed(&mut child(&[], "real_files::many::limited", &path));
}
