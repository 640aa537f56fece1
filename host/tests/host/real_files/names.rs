//! Files by several names, and files that lose theirs.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use pagebox::{Error, PageSize};

use crate::{engine, folder, sample};

#[test]
fn file_opened_by_a_link_is_locked_by_all_its_names() {
    let (folder, path) = folder();
    let (regular, _) = sample(&path);
    let (symbolic, hard) = (folder.path().join("symbolic"), folder.path().join("hard"));
    symlink(&path, &symbolic).unwrap();
    fs::hard_link(&path, &hard).unwrap();
    let names = [&path, &symbolic, &hard];
    for opened in names {
        let mut pager = engine().open(opened).unwrap();
        assert_eq!(pager.page(regular).unwrap()[0], 0xAB);
        pager.alloc().unwrap();
        for other in names {
            let error = engine().open(other).unwrap_err();
            assert!(
                matches!(&error, Error::Locked { path } if path == other),
                "{error}"
            );
            engine().open_read_only(other).unwrap();
        }
    }
    // The links are links still.
    assert!(symbolic.symlink_metadata().unwrap().is_symlink());
    assert_eq!(fs::metadata(&path).unwrap().nlink(), 2);
}

#[test]
fn creation_over_a_link_is_refused_though_it_leads_nowhere() {
    let (folder, path) = folder();
    let target = folder.path().join("target");
    symlink(&target, &path).unwrap();
    let error = engine().create(&path, PageSize::KIB_4).unwrap_err();
    assert!(matches!(&error, Error::Exists { path: named } if *named == path));
    let source = folder.path().join("source");
    sample(&source);
    let error = engine().repair(&source, &path).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    assert!(!target.exists());
    assert!(path.symlink_metadata().unwrap().is_symlink());
    for error in [
        engine().open(&path).map(drop).unwrap_err(),
        engine().open_read_only(&path).map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }
    // A link to itself is an error like any other.
    fs::remove_file(&path).unwrap();
    symlink(&path, &path).unwrap();
    let error = engine().open(&path).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

/// The lock is the file's and not the name's: who opens the name gets the new
/// file, and who has the old one goes on with that.
#[test]
fn file_replaced_while_it_is_open_is_another_file() {
    let (folder, path) = folder();
    let (regular, protected) = sample(&path);
    let mut old = engine().open(&path).unwrap();
    let reader = engine().open_read_only(&path).unwrap();

    let new = folder.path().join("new");
    sample(&new);
    {
        let mut pager = engine().open(&new).unwrap();
        let mut tx = pager.begin().unwrap();
        tx.write(protected).unwrap()[..5].copy_from_slice(b"other");
        tx.commit().unwrap();
    }
    let replaced = fs::metadata(&new).unwrap().ino();
    fs::rename(&new, &path).unwrap();

    let opened = engine().open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), replaced);
    assert_eq!(&opened.protected_page(protected).unwrap()[..5], b"other");
    assert!(matches!(engine().open(&path), Err(Error::Locked { .. })));

    let mut tx = old.begin().unwrap();
    tx.write(protected).unwrap()[..5].copy_from_slice(b"alone");
    tx.commit().unwrap();
    assert_eq!(&old.protected_page(protected).unwrap()[..5], b"alone");
    let mut bytes = [0; 5];
    reader.read(regular, 0, &mut bytes).unwrap();
    assert_eq!(bytes, [0xAB; 5]);
    assert_eq!(&opened.protected_page(protected).unwrap()[..5], b"other");
}

/// Files take a name's place in a row while others open the name: whoever wins
/// the lock has the file that bears the name, or one that lost it since.
#[test]
fn file_replaced_while_it_is_opened_is_not_locked_in_vain() {
    let (folder, path) = folder();
    sample(&path);
    let original = fs::read(&path).unwrap();
    let replacing = std::sync::Mutex::new(());
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let new = folder.path().join("new");
            for _ in 0..2000 {
                fs::write(&new, &original).unwrap();
                let _guard = replacing.lock().unwrap();
                fs::rename(&new, &path).unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let mut opened = 0;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            let first = engine().open(&path).unwrap();
            opened += 1;
            let _guard = replacing.lock().unwrap();
            match engine().open(&path) {
                // The name is another file's by now: both have one of their own.
                Ok(second) => drop(second),
                Err(Error::Locked { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            drop(first);
        }
        assert!(opened > 0);
    });
}
