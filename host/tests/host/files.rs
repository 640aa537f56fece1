//! Making and opening files: locks, names, what is no page file.

use std::fs;
use std::path::PathBuf;

use pagebox::{Error, ErrorClass, Format, NewFile, PageSize};

use crate::{P, engine, folder, sample};

#[test]
fn second_writer_is_refused_until_the_first_is_gone() {
    let (_folder, path) = folder();
    sample(&path);
    let first = engine().open(&path).unwrap();
    let error = engine().open(&path).unwrap_err();
    assert!(matches!(&error, Error::Locked { path: named } if *named == path));
    assert!(
        error.to_string().ends_with("is in use by another process"),
        "{error}"
    );
    assert_eq!(error.class(), ErrorClass::Caller);
    // A reader needs no lock.
    engine().open_read_only(&path).unwrap();
    drop(first);
    engine().open(&path).unwrap();
}

#[test]
fn create_never_replaces_and_leaves_nothing_behind() {
    let (folder, path) = folder();
    fs::write(&path, b"precious").unwrap();
    let error = engine().create(&path, PageSize::KIB_4).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let other = folder.path().join("other");
    for (format, limit) in [(Format::Zero, 32_544), (Format::One, 1 << 48)] {
        let new = NewFile {
            format,
            page_count: limit + 1,
        };
        let error = engine()
            .create_with(&other, PageSize::KIB_4, new)
            .unwrap_err();
        assert!(
            matches!(error, Error::Full(most) if most == limit),
            "{error}"
        );
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = engine()
        .create(folder.path().join("no/such"), PageSize::KIB_4)
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");

    let pager = engine().create_with(&other, PageSize::KIB_4, 100).unwrap();
    assert_eq!(pager.stats().unwrap().page_count, 100);
    assert_eq!(fs::metadata(&other).unwrap().len(), 100 * P as u64);
    // The lock is held from the start, under the file's own name.
    assert!(matches!(engine().open(&other), Err(Error::Locked { .. })));
}

#[cfg(unix)]
#[test]
fn what_is_no_page_file_is_refused_without_waiting() {
    let (folder, _) = folder();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("empty"), b"").unwrap();
    fs::write(at("short"), b"PBOX").unwrap();
    fs::write(at("foreign"), vec![b'x'; 10_000]).unwrap();
    let pipe = std::process::Command::new("mkfifo")
        .arg(at("pipe"))
        .status()
        .unwrap();
    assert!(pipe.success());
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let device = PathBuf::from("/dev/zero");
    let folders = [folder.path().to_owned(), at("pipe"), at("socket"), device];
    let files = [at("empty"), at("short"), at("foreign")];
    for path in folders.iter().chain(&files) {
        for error in [
            engine().open(path).map(drop).unwrap_err(),
            engine().open_read_only(path).map(drop).unwrap_err(),
            engine().repair(path, at("output")).map(drop).unwrap_err(),
        ] {
            assert!(error.is_corrupt(), "{}: {error}", path.display());
            let expected = folders.contains(path);
            assert_eq!(matches!(error, Error::NotAFile { .. }), expected, "{error}");
        }
        // Foreign bytes can be looked at.
        assert_eq!(engine().inspect(path).is_ok(), files.contains(path));
    }
    assert_eq!(fs::read(at("foreign")).unwrap(), vec![b'x'; 10_000]);
    let error = engine().open(at("nothing")).unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }));
    assert!(!at("output").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn page_of_a_sparse_file_has_its_block_reserved_before_it_is_changed() {
    use std::os::unix::fs::{FileExt, MetadataExt};
    let (_folder, path) = folder();
    let ids = {
        let mut pager = engine().create_with(&path, PageSize::KIB_4, 1000).unwrap();
        assert!(fs::metadata(&path).unwrap().blocks() * 512 >= 1000 * P as u64);
        pager.alloc_many(900).unwrap()
    };
    // The same bytes with holes, as a copy may have them.
    let bytes = fs::read(&path).unwrap();
    let sparse = path.with_extension("sparse");
    let file = fs::File::create(&sparse).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
    let own = usize::try_from(ids[0].get()).unwrap();
    file.write_all_at(&bytes[..own * P], 0).unwrap();
    drop(file);
    let blocks = || fs::metadata(&sparse).unwrap().blocks() * 512 / P as u64;
    assert!(blocks() < 20, "this file system keeps no holes");
    let mut pager = engine().open(&sparse).unwrap();
    let before = blocks();
    pager.page_mut(ids[500]).unwrap();
    assert_eq!(blocks(), before + 1);
    pager.page(ids[600]).unwrap();
    assert_eq!(blocks(), before + 1);
}
