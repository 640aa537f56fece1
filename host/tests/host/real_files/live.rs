//! Files that another process writes to while they are looked at.
//!
//! A writer committed to two protected pages of different directory blocks in
//! one transaction. Of a thousand openings to read, ten served a page of the
//! transaction before and a page of the one after, hundreds failed with a
//! checksum error, and `check` called the sound file rotten.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use pagebox::report::{Check, Listing};
use pagebox::{Error, PageSize, Pager, ProtectedId};

use super::{child, path};
use crate::{P, engine, folder};

/// In directory blocks of their own: a block of this page size has 136 slots.
const PAIR: [ProtectedId; 2] = [ProtectedId::new(0), ProtectedId::new(140)];
const OPENINGS: u32 = 300;

/// A process that writes to a file until this is dropped.
struct Writer(Child);

impl Writer {
    fn start(path: &Path) -> Self {
        let mut child = child(&[], "real_files::live::writer", path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let at_work = lines.any(|line| line.unwrap().contains("at work"));
        assert!(at_work, "the writer does not work");
        Self(child)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test: what the other process does, until it is killed.
#[test]
#[ignore = "started by the tests of files in use, in a process of its own"]
fn writer() {
    let mut pager = engine().open(path()).unwrap();
    for number in 1_u64.. {
        let mut tx = pager.begin().unwrap();
        for id in PAIR {
            tx.write(id).unwrap()[..8].copy_from_slice(&number.to_le_bytes());
        }
        // From time to time the file becomes longer.
        if number % 256 == 0 {
            tx.alloc_many(50).unwrap();
        }
        tx.commit().unwrap();
        if number == 1 {
            println!("at work");
        }
    }
}

fn file(path: &Path) {
    let mut pager = engine().create(path, PageSize::KIB_4).unwrap();
    let mut tx = pager.begin().unwrap();
    tx.alloc_protected_many(141).unwrap();
    for id in PAIR {
        tx.write(id).unwrap().fill(0);
    }
    tx.commit().unwrap();
}

fn number(pager: &Pager, id: ProtectedId) -> Result<u64, Error> {
    let mut bytes = [0; 8];
    pager.read_protected(id, P - 8, &mut bytes)?;
    assert_eq!(bytes, [0; 8]);
    pager.read_protected(id, 0, &mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

#[test]
fn file_in_use_opened_to_read_shows_one_transaction_or_says_that_it_changed() {
    let (_folder, path) = folder();
    file(&path);
    let _writer = Writer::start(&path);
    let (mut both, mut changed) = (0, 0);
    for _ in 0..OPENINGS {
        let pager = match engine().open_read_only(&path) {
            Ok(pager) => pager,
            Err(Error::Busy) => continue,
            Err(error) => panic!("{error}"),
        };
        match PAIR.map(|id| number(&pager, id)) {
            [Ok(first), Ok(second)] => {
                assert_eq!(
                    first, second,
                    "a page of one transaction, a page of another"
                );
                both += 1;
            }
            [first, second] => {
                for error in [first, second].into_iter().filter_map(Result::err) {
                    assert!(matches!(error, Error::Changed), "{error}");
                }
                assert!(!pager.is_current().unwrap());
                changed += 1;
            }
        }
    }
    assert!(both > 0, "{changed} of {OPENINGS} changed");
}

#[test]
fn file_in_use_read_with_a_closure_shows_one_transaction_and_newer_ones_later() {
    let (_folder, path) = folder();
    file(&path);
    let _writer = Writer::start(&path);
    let mut last = 0;
    let mut read = 0;
    for _ in 0..OPENINGS {
        let numbers = engine().read_with(&path, |pager| {
            Ok([number(pager, PAIR[0])?, number(pager, PAIR[1])?])
        });
        match numbers {
            Ok([first, second]) => {
                assert_eq!(
                    first, second,
                    "a page of one transaction, a page of another"
                );
                assert!(first >= last);
                last = first;
                read += 1;
            }
            Err(error) => assert!(matches!(error, Error::Busy), "{error}"),
        }
    }
    assert!(read > OPENINGS / 2, "{read} of {OPENINGS}");
}

#[test]
fn file_in_use_is_never_called_damaged() {
    let (_folder, path) = folder();
    file(&path);
    let _writer = Writer::start(&path);
    let mut checked = 0;
    for _ in 0..OPENINGS / 10 {
        match Check::of_file(&engine(), &path, |_, _| {}) {
            Ok(check) => {
                assert_eq!(check.errors, 0, "{check:?}");
                checked += 1;
            }
            Err(error) => assert!(matches!(error, Error::Busy), "{error}"),
        }
        let listed = engine().inspect_with(&path, |inspector| {
            let summary = inspector.summary()?;
            Ok((summary, Listing::of(inspector)?))
        });
        match listed {
            Ok((_, (summary, listing))) => {
                assert_ne!(summary.recovery.verdict, "damaged", "{summary:?}");
                assert_eq!(listing.protected.len(), 141);
                assert_eq!(Some(listing.regular.len() as u64), summary.regular_pages);
            }
            Err(error) => assert!(matches!(error, Error::Busy), "{error}"),
        }
    }
    assert!(checked > 0);
}

/// A reader that was slower than the writer: pages of the state that it shows
/// were overwritten. It can be opened anew.
#[test]
fn pager_to_read_that_fell_behind_says_so_until_it_is_reopened() {
    let (_folder, path) = folder();
    let mut writer = engine().create(&path, PageSize::KIB_4).unwrap();
    let mut tx = writer.begin().unwrap();
    let id = tx.alloc_protected().unwrap();
    tx.write(id).unwrap().fill(0);
    tx.commit().unwrap();
    let mut reader = engine().open_read_only(&path).unwrap();
    assert!(reader.is_current().unwrap() && writer.is_current().unwrap());
    let mut byte = [9];
    for number in 1..=2 {
        reader.read_protected(id, 0, &mut byte).unwrap();
        assert_eq!(byte, [0]);
        let mut tx = writer.begin().unwrap();
        tx.write(id).unwrap()[0] = number;
        tx.commit().unwrap();
        assert!(!reader.is_current().unwrap());
    }
    let error = reader.read_protected(id, 0, &mut byte).unwrap_err();
    assert!(matches!(error, Error::Changed), "{error}");
    assert!(error.is_caller_fault());
    reader.reopen().unwrap();
    reader.read_protected(id, 0, &mut byte).unwrap();
    assert_eq!(byte, [2]);
}

/// The state did not change, but the bytes did: that is rot.
#[test]
fn rotten_page_of_a_file_that_is_not_written_to_is_told_as_such() {
    let (_folder, path) = folder();
    file(&path);
    let page = {
        let mut inspector = engine().inspect(&path).unwrap();
        let listing = Listing::of(&mut inspector).unwrap();
        listing.protected[0].page.unwrap()
    };
    let reader = engine().open_read_only(&path).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[usize::try_from(page).unwrap() * P] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut byte = [0];
    let error = reader.read_protected(PAIR[0], 0, &mut byte).unwrap_err();
    assert!(
        matches!(error, Error::ChecksumMismatch { id, .. } if id == PAIR[0]),
        "{error}"
    );
    let error = engine()
        .read_with(&path, |pager| pager.read_protected(PAIR[0], 0, &mut [0]))
        .unwrap_err();
    assert!(
        matches!(error, Error::ChecksumMismatch { id, .. } if id == PAIR[0]),
        "{error}"
    );
    assert_eq!(
        Check::of_file(&engine(), &path, |_, _| {}).unwrap().errors,
        1
    );
}
