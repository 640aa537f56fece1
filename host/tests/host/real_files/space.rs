//! Disks that fill, and folders that cannot be written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pagebox::report::Check;
use pagebox::{Error, Format, NewFile, PageId, PageSize, Pager, ProtectedId, StoreError};

use super::{child, mounting, path, skip, succeed, works};
use crate::{engine, folder, sample};

/// What takes the space that a file could use, until it is removed; beside it.
const BALLAST: &str = "ballast";

#[track_caller]
fn is_no_space(error: &Error) {
    assert!(
        matches!(error, Error::Store { operation, cause: StoreError::InsufficientSpace }
            if operation.starts_with("growing the file to ")),
        "{error:?}"
    );
    assert!(error.is_system());
}

/// Allocates until there is no space, and returns what it got.
fn fill(pager: &mut Pager) -> Vec<PageId> {
    let mut all = Vec::new();
    loop {
        match pager.alloc_many(20) {
            Ok(pages) => all.extend(pages),
            Err(error) => {
                is_no_space(&error);
                return all;
            }
        }
    }
}

/// Not a test: fills the disk that a file is on, and goes on.
#[test]
#[ignore = "started by the tests of full disks, in a process of its own"]
fn filler() {
    let path = path();
    // In format 1 a commit that allocates may take pages of its own besides.
    let new = NewFile {
        format: Format::Zero,
        ..NewFile::default()
    };
    let mut pager = engine().create_with(&path, PageSize::KIB_4, new).unwrap();
    let protected = pager.alloc_protected().unwrap();
    let mut all = fill(&mut pager);
    let before = (pager.stats().unwrap(), fs::metadata(&path).unwrap().len());
    is_no_space(&pager.alloc_many(1000).unwrap_err());
    let after = (pager.stats().unwrap(), fs::metadata(&path).unwrap().len());
    assert_eq!(before, after, "something changed");

    // What is reserved can be used to the last page, and written through the
    // map without a bus error.
    let free = u32::try_from(before.0.free_pages).unwrap();
    all.extend(pager.alloc_many(free).unwrap());
    for page in &all {
        pager.page_mut(*page).unwrap().fill(7);
    }
    pager.sync().unwrap();
    let mut tx = pager.begin().unwrap();
    tx.write(protected).unwrap().fill(8);
    tx.commit().unwrap();
    is_no_space(&pager.alloc().unwrap_err());

    let ballast = path.with_file_name(BALLAST);
    if ballast.exists() {
        fs::remove_file(ballast).unwrap();
        all.extend(pager.alloc_many(20).unwrap());
        assert!(fs::metadata(&path).unwrap().len() > before.1);
    } else {
        pager.free_many(&all.split_off(all.len() / 2)).unwrap();
        all.extend(pager.alloc_many(20).unwrap());
    }
    drop(pager);
    let pager = engine().open(&path).unwrap();
    assert!(
        pager
            .protected_page(protected)
            .unwrap()
            .iter()
            .all(|it| *it == 8)
    );
    assert!(pager.page(all[0]).unwrap().iter().all(|it| *it == 7));
    assert_eq!(pager.stats().unwrap().regular_pages, all.len() as u64);
    let check = Check::of(&mut engine().inspect(&path).unwrap(), |_, _| {}).unwrap();
    assert_eq!(check.errors, 0);
}

#[test]
fn file_at_the_limit_of_file_sizes_cannot_grow_and_goes_on() {
    let (_folder, path) = folder();
    // The signal would end the process; a program that is to live on ignores it.
    let limited = r#"trap "" XFSZ; ulimit -f 1500; exec "$0" "$@""#;
    succeed(&mut child(
        &["sh", "-c", limited],
        "real_files::space::filler",
        &path,
    ));
}

#[test]
fn file_on_a_full_disk_cannot_grow_and_goes_on_when_there_is_space() {
    let (folder, _) = folder();
    let disk = folder.path().to_str().unwrap();
    let Some(space) = mounting(folder.path()) else {
        skip("a file on a full disk: no small disk can be mounted here");
        return;
    };
    let script = format!(
        r#"mount -t tmpfs -o size=3m none '{disk}' &&
        head -c 1500000 /dev/zero > '{disk}/{BALLAST}' &&
        exec "$0" "$@""#
    );
    let wrapper = [space, &["sh", "-c", &script]].concat();
    let path = folder.path().join("data.pages");
    succeed(&mut child(&wrapper, "real_files::space::filler", &path));
}

/// Not a test: works in a folder that cannot be written.
#[test]
#[ignore = "started by the test of read-only folders, in a process of its own"]
fn onlooker() {
    let path = path();
    let beside = |name: &str| path.with_file_name(name);
    assert!(
        fs::write(beside("probe"), b"").is_err(),
        "it can be written"
    );
    let denied = |error: Error, operation: &str, path: &Path| {
        assert!(
            matches!(&error, Error::Io { operation: named, path: found, source }
                if *named == operation
                    && found == path
                    && source.kind() == std::io::ErrorKind::PermissionDenied),
            "{error:?}"
        );
        assert!(error.is_system());
    };
    let new = beside("new");
    denied(
        engine().create(&new, PageSize::KIB_4).unwrap_err(),
        "create",
        &new,
    );
    denied(engine().repair(&path, &new).unwrap_err(), "create", &new);
    denied(engine().open(&path).unwrap_err(), "open", &path);

    let pager = engine().open_read_only(&path).unwrap();
    let mut bytes = [0; 5];
    pager
        .read_protected(ProtectedId::new(0), 0, &mut bytes)
        .unwrap();
    assert_eq!(&bytes, b"hello");
    let check = Check::of(&mut engine().inspect(&path).unwrap(), |_, _| {}).unwrap();
    assert_eq!(check.errors, 0);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn read_only_folder_is_read_and_nothing_is_made_in_it() {
    let (folder, path) = folder();
    sample(&path);
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&path, 0o444);
    mode(folder.path(), 0o555);
    // Permissions do not bind the superuser, but one who is so only by name.
    let binds = fs::write(folder.path().join("probe"), b"").is_err();
    let _ = fs::remove_file(folder.path().join("probe"));
    let wrapper: Option<&[&str]> = match binds {
        true => Some(&[]),
        false if works(&["unshare", "--user", "true"]) => Some(&["unshare", "--user"]),
        false => None,
    };
    match wrapper {
        Some(wrapper) => succeed(&mut child(wrapper, "real_files::space::onlooker", &path)),
        None => skip("a folder that cannot be written: permissions do not bind here"),
    }
    mode(folder.path(), 0o755);
}
