//! Hostile files through the sandbox: whatever a file holds, the component does
//! not trap and answers as the native core does. `PAGEBOX_SANDBOXED_FILES` says
//! how many.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Instant;

use pagebox::report::{Check, Info, Listing};
use pagebox::{Access, Error, Inspector, MemoryStore, PageId, PageSize, Pager, ProtectedId};
use pagebox::{Algorithm, Change, Checksum, Geometry, PageBuffer, PageStore, Store, StoreError};
use pagebox_tests::decode::Pages;
use pagebox_tests::examine::{Examined, Shown, examine};
use pagebox_tests::mutate::mutate;
use pagebox_tests::rng::Rng;
use pagebox_tests::sparse::SparseStore;
use pagebox_tests::specimens::specimens;
use pagebox_tests::{examine1, figures, mutate1, scratch};

use crate::engine;

const SIZE: PageSize = PageSize::KIB_1;
const FILES: u64 = 300;

/// An answer that is no trap.
#[track_caller]
fn answered<T>(result: Result<T, Error>) -> Result<T, Error> {
    if let Err(error @ (Error::Sandbox { .. } | Error::SandboxGone)) = &result {
        panic!("{error}");
    }
    result
}

/// All that a pager shows: regular pages, and the protected pages that verify.
fn look(pager: &Pager) -> (Option<BTreeSet<u64>>, BTreeMap<u64, u32>) {
    let mut owned = BTreeSet::from([0, 1, 2]);
    let mut own = |page| assert!(owned.insert(page), "page {page} is somebody's already");
    let mut byte = [0];
    let regular: Result<Vec<_>, _> = pager.regular_pages().collect();
    let regular = answered(regular).ok();
    for id in regular.iter().flatten() {
        own(id.get());
        pager.read(*id, 0, &mut byte).unwrap();
    }
    let numbers = |ids: Vec<PageId>| ids.into_iter().map(PageId::get).collect();
    let regular = regular.map(numbers);
    let mut verified = BTreeMap::new();
    let protected: Result<Vec<_>, _> = pager.protected_pages().collect();
    for it in answered(protected).unwrap_or_default() {
        it.page.into_iter().for_each(&mut own);
        if answered(pager.read_protected(it.id, 0, &mut byte)).is_ok() {
            verified.insert(it.id.get(), u32::try_from(it.checksum.value).unwrap());
        }
    }
    for page in [0, 1, 2, u64::MAX] {
        answered(pager.read(PageId::new(page), 0, &mut byte)).unwrap_err();
    }
    let nowhere = ProtectedId::new(u64::MAX);
    answered(pager.read_protected(nowhere, 0, &mut byte)).unwrap_err();
    (regular, verified)
}

/// What a pager shows of the pages that are in the file.
fn expected(shown: &Shown, pages: u64) -> (Option<BTreeSet<u64>>, BTreeMap<u64, u32>) {
    let regular = shown.regular.as_ref();
    (
        regular.map(|all| all.iter().copied().filter(|page| *page < pages).collect()),
        shown.protected.clone(),
    )
}

/// Asks an inspector for all that it can tell. Returns the number of findings
/// that are damage, and the verdict.
fn inspect(inspector: &mut Inspector) -> (usize, String) {
    let info = answered(Info::of(inspector)).unwrap();
    answered(Listing::of(inspector)).unwrap();
    answered(inspector.page_kinds()).unwrap();
    answered(inspector.tiles(0, 7, u32::MAX)).unwrap();
    answered(inspector.free_space()).unwrap();
    answered(inspector.structures(0, 100)).unwrap();
    answered(inspector.directory(0, u32::MAX, true)).unwrap();
    let pages = info.page_count.unwrap_or(0).max(info.file_pages);
    for page in (0..pages.min(20)).chain([pages, u64::MAX]) {
        let found = answered(inspector.page(page)).unwrap();
        assert_eq!(found.is_some(), page < pages, "page {page} of {pages}");
    }
    let check = answered(Check::of(inspector, |_, _| {})).unwrap();
    (check.errors, info.recovery)
}

/// Does everything that can be done with a file, in the sandbox; the native
/// core has done it too.
fn examine_sandboxed(file: &[u8], folder: &Path, native: &Examined) {
    let store = || MemoryStore::from_bytes(SIZE, file.to_vec());
    let pages = (file.len() / SIZE.bytes()) as u64;

    let mut inspector = engine().inspect_store(store()).unwrap();
    let (errors, verdict) = inspect(&mut inspector);
    assert_eq!((errors, &*verdict), (native.damage().len(), native.verdict));

    for (access, native) in [(Access::Read, &native.read), (Access::Write, &native.write)] {
        let opened = answered(engine().open_store(store(), access));
        let error = opened.as_ref().err();
        assert_eq!(opened.is_ok(), native.is_ok(), "{access:?}: {error:?}");
        let (Ok(mut pager), Ok(native)) = (opened, native) else {
            continue;
        };
        let shown = look(&pager);
        assert_eq!(shown, expected(native, pages), "{access:?}");
        if access == Access::Write {
            // What is handed out next is nobody's.
            let mut transaction = pager.begin().unwrap();
            let new = answered(transaction.alloc_many(3)).unwrap_or_default();
            let committed = answered(transaction.commit());
            let regular = shown.0.unwrap();
            assert!(
                new.iter().all(|page| !regular.contains(&page.get())),
                "{new:?}"
            );
            if committed.is_ok() {
                look(&pager);
            }
        }
    }

    // Through files, the page size found in them.
    let (path, output) = (folder.join("file"), folder.join("output"));
    fs::write(&path, file).unwrap();
    let _ = fs::remove_file(&output);
    inspect(&mut engine().inspect(&path).unwrap());
    let opened = answered(engine().open(&path).map(drop));
    // Opened to write, page 0 is as recovery decided, and all else as it was.
    let rest = if opened.is_ok() { SIZE.bytes() } else { 0 };
    assert!(
        fs::read(&path).unwrap()[rest..] == file[rest..],
        "opening changed the file"
    );
    fs::write(&path, file).unwrap();
    let _ = answered(engine().open_read_only(&path)).map(|pager| look(&pager));
    let repaired = answered(engine().repair(&path, &output));
    assert!(fs::read(&path).unwrap() == file, "the file was changed");
    assert_eq!(output.exists(), repaired.is_ok());
    if repaired.is_ok() {
        let mut inspector = engine().inspect(&output).unwrap();
        assert_eq!(inspect(&mut inspector).0, 0, "the mended copy is damaged");
        // Where both take the file for one of the same page size.
        if let Ok(native) = &native.repaired
            && inspector.geometry().page_size == SIZE
        {
            assert!(
                fs::read(&output).unwrap() == native.bytes,
                "mended otherwise"
            );
        }
        look(&answered(engine().open(&output)).unwrap());
    }
}

/// How many to try, or of a format that takes long a `part` of what is asked for.
fn files(part: u64) -> u64 {
    match std::env::var("PAGEBOX_SANDBOXED_FILES") {
        Ok(count) => {
            let count: u64 = count.parse().expect("PAGEBOX_SANDBOXED_FILES is a number");
            count / part
        }
        Err(_) => FILES,
    }
}

#[test]
fn no_mutated_file_traps_the_sandbox_or_is_taken_otherwise_than_natively() {
    let start = Instant::now();
    // One of them is looked at four times as long as one of format 1.
    let count = files(4);
    let files = specimens(SIZE);
    let folder = scratch::folder();
    let (mut writable, mut readable, mut mended) = (0, 0, 0);
    for seed in 0..count {
        let mut rng = Rng::new(seed);
        let mut file = rng.pick(&files).clone();
        mutate(&mut file, SIZE.bytes(), &mut rng);
        let native = examine(&file, SIZE);
        let sandboxed = || examine_sandboxed(&file, folder.path(), &native);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(sandboxed))
            .unwrap_or_else(|_| panic!("seed {seed}"));
        writable += u64::from(native.is_writable());
        readable += u64::from(native.read.is_ok());
        mended += u64::from(native.repaired.is_ok());
    }
    let seconds = start.elapsed().as_secs_f64();
    figures::print(&format!(
        "{count} hostile files through the sandbox in {seconds:.1} s, {writable} of them sound \
         in the end, {readable} readable, {mended} mended: no trap, no page given away twice, \
         all as natively"
    ));
    assert!(count < 100 || (writable > 0 && readable > count / 3 && mended > count / 3));
}

/// A sparse store for a sandbox.
struct Held(SparseStore);

impl Store for Held {}

impl PageStore for Held {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        PageStore::read(&self.0, page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.0.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.0.stage(source)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        self.0.write(changes)
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        self.0.grow(page_count)
    }
}

/// Of each list so much is looked at.
const LISTED: usize = 300;

/// What a pager shows at first: regular pages, and whether protected pages verify.
type First = (Option<BTreeSet<u64>>, Option<BTreeMap<u64, bool>>);

/// Whether the host found that a page is of two. No pager looks for that when it
/// opens a file; the host does, at the second, and ends the sandbox.
fn is_of_two(error: &Error) -> bool {
    match error {
        Error::Sandbox { cause, .. } => {
            cause.contains("which holds protected page") || cause.ends_with(", a regular page")
        }
        _ => false,
    }
}

/// All that a pager shows at first. None: the file has a page for two.
fn look_at_first(pager: &Pager) -> Option<First> {
    let mut byte = [0];
    let regular = pager.regular_pages().take(LISTED);
    let regular: Result<BTreeSet<u64>, _> = regular.map(|id| id.map(PageId::get)).collect();
    let protected: Result<Vec<_>, _> = pager.protected_pages().take(LISTED).collect();
    let mut verified = BTreeMap::new();
    let protected = match answered(protected) {
        Ok(all) => {
            for it in all {
                let read = pager.read_protected(it.id, 0, &mut byte);
                if read.as_ref().is_err_and(is_of_two) {
                    return None;
                }
                verified.insert(it.id.get(), answered(read).is_ok());
            }
            Some(verified)
        }
        Err(_) => None,
    };
    for page in [0, 1, 2, 1 << 48, u64::MAX] {
        answered(pager.read(PageId::new(page), 0, &mut byte)).unwrap_err();
    }
    Some((answered(regular).ok(), protected))
}

/// Does what can be done with a file of format 1 of any length, in the sandbox;
/// the native core has done it too.
fn examine_sandboxed_1(file: &SparseStore, folder: &Path, native: &examine1::Examined) {
    let store = || Held(file.clone());
    let mut inspector = engine().inspect_store(store()).unwrap();
    let info = answered(Info::of(&mut inspector)).unwrap();
    assert_eq!(info.recovery, native.verdict);
    let pages = info.page_count.unwrap_or(0).max(info.file_pages);
    let tiles = answered(inspector.tiles(0, (pages / 50).max(1), u32::MAX)).unwrap();
    assert_eq!(tiles.iter().map(|it| it.count).sum::<u64>(), pages);
    answered(inspector.page_kinds()).unwrap();
    answered(inspector.free_space()).unwrap();
    answered(inspector.structures(0, 100)).unwrap();
    answered(inspector.directory(0, 100, true)).unwrap();
    for page in [0, 4, 12, 30, 31, 32, pages.wrapping_sub(1), pages, u64::MAX] {
        let found = answered(inspector.page(page)).unwrap();
        assert_eq!(found.is_some(), page < pages, "page {page} of {pages}");
    }
    let Check { errors, .. } = answered(Check::of(&mut inspector, |_, _| {})).unwrap();
    assert_eq!(errors, native.errors);

    for (access, native) in [(Access::Read, &native.read), (Access::Write, &native.write)] {
        let opened = answered(engine().open_store(store(), access));
        let error = opened.as_ref().err();
        assert_eq!(opened.is_ok(), native.is_ok(), "{access:?}: {error:?}");
        let (Ok(mut pager), Ok(native)) = (opened, native) else {
            continue;
        };
        let Some((regular, protected)) = look_at_first(&pager) else {
            assert!(errors > 0, "the check finds nothing");
            continue;
        };
        // The host asks for longer lists, in which it may come to what is not
        // readable.
        let agrees = |is_equal: bool, is_listed: bool| is_equal || !is_listed && errors > 0;
        let is_listed = protected.is_some();
        assert!(
            agrees(protected == native.protected, is_listed),
            "{access:?}: {protected:?}"
        );
        let runs = native.regular.as_ref().map(|runs| {
            let pages = runs.iter().flat_map(|run| run.first..run.first + run.count);
            // Those that were cut off are not listed.
            pages
                .filter(|&page| page < file.page_count())
                .take(LISTED)
                .collect()
        });
        assert!(
            agrees(regular == runs, regular.is_some()),
            "{access:?}: {regular:?}, not {runs:?}"
        );
        if access == Access::Write {
            let mut transaction = pager.begin().unwrap();
            // More than memory has room for is refused.
            answered(transaction.alloc_many(u32::MAX)).unwrap_err();
            let new = answered(transaction.alloc_many(3)).unwrap_or_default();
            let committed = transaction.commit();
            if committed.as_ref().is_err_and(is_of_two) {
                assert!(errors > 0, "the check finds nothing");
                continue;
            }
            answered(committed).ok();
            let held = regular.unwrap_or_default();
            assert!(
                new.iter().all(|page| !held.contains(&page.get())),
                "{new:?}"
            );
        }
    }

    // Through files, the page size found in them.
    if file.page_count() > 4000 {
        return;
    }
    let (path, output) = (folder.join("file"), folder.join("output"));
    let pages = (0..file.page_count()).map(|page| file.page(page));
    let bytes = pages.collect::<Vec<_>>().concat();
    fs::write(&path, &bytes).unwrap();
    let _ = fs::remove_file(&output);
    let repaired = answered(engine().repair(&path, &output));
    assert!(fs::read(&path).unwrap() == bytes, "the file was changed");
    assert_eq!(output.exists(), repaired.is_ok());
    if let (Ok(_), Ok(native)) = (repaired, &native.repaired) {
        let mended = fs::read(&output).unwrap();
        let page_size = PageSize::from_bytes(u32::try_from(file.page_size()).unwrap()).unwrap();
        assert!(
            SparseStore::from_bytes(page_size, &mended) == *native,
            "mended otherwise"
        );
    }
    let _ = answered(engine().open(&path).map(|pager| look_at_first(&pager)));
}

#[test]
fn format_1_no_mutated_file_traps_the_sandbox_or_is_taken_otherwise_than_natively() {
    let start = Instant::now();
    let count = files(1);
    let small = mutate1::specimens(SIZE);
    let others = mutate1::specimens(PageSize::KIB_64);
    let folder = scratch::folder();
    let (mut writable, mut mended) = (0, 0);
    for seed in 0..count {
        let mut rng = Rng::new(seed ^ 1 << 32);
        let files = if seed % 64 == 7 { &others } else { &small };
        let file = mutate1::mutate(files.pick(&mut rng), &mut rng);
        let native = examine1::examine(&file);
        let sandboxed = || examine_sandboxed_1(&file, folder.path(), &native);
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(sandboxed))
            .unwrap_or_else(|_| panic!("seed {seed}"));
        writable += u64::from(native.write.is_ok());
        mended += u64::from(native.repaired.is_ok());
    }
    let seconds = start.elapsed().as_secs_f64();
    figures::print(&format!(
        "format 1: {count} hostile files through the sandbox in {seconds:.1} s, {writable} of them \
         writable, {mended} mended: no trap, no page given away twice, all as natively"
    ));
    assert!(count < 100 || (writable > count / 5 && mended > count / 4));
}
