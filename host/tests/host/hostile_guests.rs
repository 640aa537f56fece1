//! Hostile guests: a component that takes the pager's place and means harm
//! (`hostile_guest`). Whatever it does, the host answers with an error of its
//! own that names the operation, in bounded time and memory, and the file stays
//! as of the last commit.
//!
//! What a guest writes in a commit is up to it, so it can ruin the one file
//! that it was handed; a test says how far that goes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pagebox::report::{Check, Listing};
use pagebox::{
    Access, Engine, Error, Format, Limits, MemoryStore, NewFile, PageId, PageSize, Pager,
    ProtectedId, Store, StoreError,
};
use pagebox_tests::guests;
use tempfile::TempDir;

use crate::{engine, folder};

/// Of the whole of a misdeed: far more than any takes, far less than for ever.
const HANG: Duration = Duration::from_mins(1);

const SIZE: PageSize = PageSize::KIB_1;

/// The pages of the file: the regular one says what the guest is to do.
const REGULAR: PageId = PageId::new(3);
const PROTECTED: ProtectedId = ProtectedId::new(0);
const OTHER: ProtectedId = ProtectedId::new(1);

/// An engine that runs the hostile guest.
fn hostile() -> Engine {
    static HOSTILE: OnceLock<Engine> = OnceLock::new();
    HOSTILE.get_or_init(|| hostile_within(limits())).clone()
}

/// The same that does not wait as long, for guests that are to be waited for.
fn impatient() -> Engine {
    static IMPATIENT: OnceLock<Engine> = OnceLock::new();
    let start = || {
        let mut limits = limits();
        limits.time = Duration::from_millis(200);
        hostile_within(limits)
    };
    IMPATIENT.get_or_init(start).clone()
}

/// What the hostile guest may use.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.memory = 64 << 20;
    limits.staged = 4 << 20;
    limits.store = 1 << 20;
    limits.time = Duration::from_secs(2);
    limits
}

fn hostile_within(limits: Limits) -> Engine {
    static WASM: OnceLock<Vec<u8>> = OnceLock::new();
    let wasm = WASM.get_or_init(|| fs::read(build()).unwrap());
    Engine::with_component(wasm, limits).unwrap()
}

fn build() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/hostile_guest");
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-guest");
    guests::build(&manifest, &target, "hostile_guest")
}

/// A sound file, of which page 3 says what a hostile guest is to do.
struct Case {
    _folder: TempDir,
    path: PathBuf,
    before: Vec<u8>,
    misdeed: String,
    engine: Engine,
    start: Instant,
}

impl Case {
    fn new(misdeed: &str) -> Self {
        let (folder, path) = folder();
        // The guest takes its pages to be where format 0 has them.
        let new = NewFile {
            format: Format::Zero,
            page_count: 16,
        };
        let mut pager = engine().create_with(&path, SIZE, new).unwrap();
        let mut places = Vec::new();
        let mut transaction = pager.begin().unwrap();
        assert_eq!(transaction.alloc().unwrap(), REGULAR);
        for (id, page) in [(PROTECTED, 4), (OTHER, 5)] {
            assert_eq!(transaction.alloc_protected().unwrap(), id);
            transaction.write(id).unwrap().fill(9);
            places.push(Some(page));
        }
        transaction.commit().unwrap();
        // Where the hostile guest takes them to be.
        let found = pager.protected_pages().map(|page| page.unwrap().page);
        assert_eq!(found.collect::<Vec<_>>(), places);
        pager.write(REGULAR, 0, misdeed.as_bytes()).unwrap();
        pager.sync().unwrap();
        drop(pager);
        Self {
            before: fs::read(&path).unwrap(),
            _folder: folder,
            path,
            misdeed: misdeed.into(),
            engine: if misdeed.starts_with("spin") {
                impatient()
            } else {
                hostile()
            },
            start: Instant::now(),
        }
    }

    /// A pager in the hands of the hostile guest.
    fn open(&self) -> Pager {
        self.engine
            .open(&self.path)
            .unwrap_or_else(|error| panic!("{}: {error}", self.misdeed))
    }

    /// That the host answered as it should, and that nothing else came of it.
    #[track_caller]
    fn answered(&self, error: &Error, operation: &str, cause: &str) {
        let misdeed = &self.misdeed;
        let Error::Sandbox {
            operation: named,
            cause: found,
        } = error
        else {
            panic!("{misdeed}: {error:?}")
        };
        assert_eq!(*named, operation, "{misdeed}: {error}");
        assert!(found.contains(cause), "{misdeed}: {error}");
        assert!(!error.to_string().contains('\n'), "{misdeed}: {error}");
        self.is_harmless();
    }

    /// That the file is as before, and that it took no time to speak of.
    #[track_caller]
    fn is_harmless(&self) {
        assert!(self.start.elapsed() < HANG, "{}: it hung", self.misdeed);
        let misdeed = &self.misdeed;
        assert!(fs::read(&self.path).unwrap() == self.before, "{misdeed}");
        let mut pager = engine().open(&self.path).unwrap();
        assert!(
            pager
                .protected_page(PROTECTED)
                .unwrap()
                .iter()
                .all(|it| *it == 9)
        );
        assert_eq!(
            &pager.page(REGULAR).unwrap()[..misdeed.len()],
            misdeed.as_bytes()
        );
        let mut transaction = pager.begin().unwrap();
        transaction.alloc().unwrap();
        transaction.rollback();
        let check = Check::of(&mut engine().inspect(&self.path).unwrap(), |_, _| {}).unwrap();
        assert_eq!(check.errors, 0, "{misdeed}");
    }

    /// That a pager whose guest failed says so, until it is opened again.
    #[track_caller]
    fn is_gone(&self, mut pager: Pager) {
        let mut byte = [0];
        for error in [
            pager.stats().map(drop).unwrap_err(),
            pager.page(REGULAR).map(drop).unwrap_err(),
            pager.read_protected(PROTECTED, 0, &mut byte).unwrap_err(),
            pager.begin().and_then(|mut tx| tx.alloc()).unwrap_err(),
            write(&mut pager).unwrap_err(),
            pager.alloc().unwrap_err(),
            pager.sync().unwrap_err(),
        ] {
            assert!(matches!(error, Error::SandboxGone), "{error}");
        }
        // The lock was never let go; a new sandbox starts on the same file.
        assert!(matches!(
            engine().open(&self.path),
            Err(Error::Locked { .. })
        ));
        pager.reopen().unwrap();
        pager.stats().unwrap();
    }
}

/// Writes the protected page.
fn write(pager: &mut Pager) -> Result<(), Error> {
    let mut tx = pager.begin()?;
    tx.write(PROTECTED)?.fill(9);
    tx.commit().map(drop)
}

/// Lets a guest do something in each call of a list, and compares what the host
/// says.
fn each(calls: &[(&str, &str)], misdeed: &str, cause: &str, run: impl Fn(&Case, &str) -> Error) {
    for (place, operation) in calls {
        let case = Case::new(&format!("{misdeed} in {place}"));
        let error = run(&case, place);
        case.answered(&error, operation, cause);
    }
}

/// Every call that a host makes of a guest that has the store, and what it
/// calls it.
const CALLS: [(&str, &str); 25] = [
    ("open", "opening the file"),
    ("begin", "beginning a transaction"),
    ("alloc", "allocating pages"),
    ("free", "freeing pages"),
    ("alloc-protected", "allocating pages"),
    ("claim", "allocating pages"),
    ("free-protected", "freeing protected pages"),
    ("writing", "committing"),
    ("commit", "committing"),
    ("write", "committing"),
    ("one-alloc", "allocating pages"),
    ("one-free", "freeing pages"),
    ("one-alloc-protected", "allocating pages"),
    ("one-free-protected", "freeing pages"),
    ("syncing", "syncing"),
    ("pin", "making a view"),
    ("snapshots", "listing snapshots"),
    ("create-snapshot", "creating a snapshot"),
    ("delete-snapshot", "deleting a snapshot"),
    ("restore-snapshot", "restoring a snapshot"),
    ("compact", "compacting the file"),
    ("snapshot-pages", "comparing snapshots"),
    ("pin-snapshot", "opening a snapshot"),
    ("changes", "comparing snapshots"),
    ("inspect", "looking at the file"),
];

/// Those of a pager.
fn of_a_pager() -> &'static [(&'static str, &'static str)] {
    &CALLS[..24]
}

/// Those that change the store.
const COMMITS: [&str; 10] = [
    "commit",
    "write",
    "one-alloc",
    "one-free",
    "one-alloc-protected",
    "one-free-protected",
    "create-snapshot",
    "delete-snapshot",
    "restore-snapshot",
    "compact",
];

/// Makes a call of the hostile guest, which fails.
fn call(case: &Case, place: &str) -> Error {
    if place == "open" {
        return case.engine.open(&case.path).map(drop).unwrap_err();
    }
    if place == "inspect" {
        return case.engine.inspect(&case.path).map(drop).unwrap_err();
    }
    let mut pager = case.open();
    let result = match place {
        "syncing" => pager.sync(),
        "pin" => pager.view().map(drop),
        "snapshots" => pager.snapshots().map(drop),
        "create-snapshot" => pager.create_snapshot("one").map(drop),
        "delete-snapshot" => pager.delete_snapshot("one").map(drop),
        "restore-snapshot" => pager.restore_snapshot("one").map(drop),
        "compact" => pager.compact(0).map(drop),
        "snapshot-pages" => pager.snapshot_pages("one").map(drop),
        "pin-snapshot" => pager.snapshot("one").map(drop),
        "changes" => pager
            .changes(None, None)
            .try_for_each(|page| page.map(drop)),
        "write" => write(&mut pager),
        "one-alloc" => pager.alloc().map(drop),
        "one-free" => pager.free(REGULAR),
        "one-alloc-protected" => pager.alloc_protected().map(drop),
        "one-free-protected" => pager.free_protected(PROTECTED),
        _ => pager
            .begin()
            .and_then(|mut transaction| {
                match place {
                    "free" => transaction.free(REGULAR)?,
                    "alloc-protected" => drop(transaction.alloc_protected()?),
                    "claim" => transaction.claim_protected(&[ProtectedId::new(7)])?,
                    "free-protected" => transaction.free_protected(PROTECTED)?,
                    _ => drop(transaction.alloc_many(2)?),
                }
                if place == "writing" {
                    transaction.write(PROTECTED)?.fill(9);
                }
                transaction.commit()
            })
            .map(drop),
    };
    let error = result.unwrap_err();
    case.is_gone(pager);
    error
}

#[test]
fn guest_that_traps_is_named_with_its_operation() {
    each(
        &CALLS,
        "trap",
        "wasm `unreachable` instruction executed",
        call,
    );
    for (place, operation) in [("stats", "reading figures"), ("locate", "locating a page")] {
        let case = Case::new(&format!("trap in {place}"));
        let error = match place {
            "stats" => case.engine.open(&case.path).map(drop).unwrap_err(),
            _ => case.open().page(REGULAR).map(drop).unwrap_err(),
        };
        case.answered(&error, operation, "unreachable");
    }
}

#[test]
fn guest_that_loops_for_ever_is_ended() {
    each(&CALLS, "spin", "it took too long", call);
    let case = Case::new("spin in page size");
    let error = case.engine.open(&case.path).map(drop).unwrap_err();
    case.answered(&error, "finding the page size", "it took too long");
    let case = Case::new("spin in summary");
    let mut inspector = case.engine.inspect(&case.path).unwrap();
    let error = inspector.summary().unwrap_err();
    case.answered(&error, "summing up the file", "it took too long");
    assert!(matches!(inspector.summary(), Err(Error::SandboxGone)));
}

/// What a view reads is in an instance of its own: the pager goes on when that
/// one fails, and is not believed when it answers what cannot be.
#[test]
fn guest_whose_views_are_none_is_ended() {
    let case = Case::new("trap in open at");
    let mut pager = case.open();
    let error = pager.view().unwrap_err();
    pager.sync().unwrap();
    drop(pager);
    case.answered(&error, "opening a view", "unreachable");
    let case = Case::new("view another generation");
    let pager = case.open();
    let error = pager.view().unwrap_err();
    case.is_gone(pager);
    case.answered(&error, "making a view", "generation 2");
    let case = Case::new("give a root that is none");
    let mut pager = case.open();
    let error = pager.view().unwrap_err();
    assert!(matches!(error, Error::Damaged(_)), "{error}");
    pager.sync().unwrap();
    drop(pager);
    case.is_harmless();
    for misdeed in ["trap in dropping a view", "spin in dropping a view"] {
        let case = Case::new(misdeed);
        let pager = case.open();
        let view = pager.view().unwrap();
        assert_eq!(view.protected_page(PROTECTED).unwrap()[0], 9);
        drop(view);
        case.is_gone(pager);
        case.is_harmless();
    }
    let case = Case::new("give a root without end");
    let error = case.open().view().unwrap_err();
    assert!(error.is_system(), "{error}");
    case.is_harmless();
}

/// Nobody waits for the answer of a rollback: the failure shows in the next
/// call.
#[test]
fn guest_that_loops_in_a_rollback_is_ended() {
    let case = Case::new("spin in rolling back");
    let mut pager = case.open();
    let mut transaction = pager.begin().unwrap();
    transaction.alloc().unwrap();
    transaction.rollback();
    case.is_gone(pager);
    case.is_harmless();
}

/// The time that a store takes is not the guest's, but it has an end too.
#[test]
fn guest_that_syncs_for_ever_is_ended() {
    let mut limits = limits();
    limits.time = Duration::from_millis(20);
    let engine = hostile_within(limits);
    let case = Case::new("sync without end in syncing");
    let mut pager = engine.open(&case.path).unwrap();
    let error = pager.sync().unwrap_err();
    drop(pager);
    case.answered(&error, "syncing", "it took too long");
}

#[test]
fn guest_that_recurses_without_end_is_ended() {
    each(&CALLS, "recurse", "call stack exhausted", call);
    // Its own stack is in its memory, and ends where that begins.
    each(
        &CALLS,
        "recurse with frames",
        "out of bounds memory access",
        call,
    );
}

#[test]
fn guest_that_eats_memory_is_ended() {
    each(
        &CALLS,
        "eat memory",
        "it needs more memory than it may have",
        call,
    );
}

#[test]
fn guest_that_reaches_outside_of_its_memory_is_ended() {
    each(&CALLS, "read outside", "out of bounds memory access", call);
    each(&CALLS, "write outside", "out of bounds memory access", call);
    let case = Case::new("give away a list outside");
    let error = case.open().alloc_many(2).unwrap_err();
    case.answered(&error, "allocating pages", "out of bounds");
}

/// Handles take memory of the host.
#[test]
fn guest_that_holds_on_to_handles_is_ended() {
    for (misdeed, cause) in [
        // They are refused at some point, and it gives up.
        ("hold views", "unreachable"),
        ("stage without end", "unreachable"),
        // There is no way to refuse these.
        ("share views", "too many handles"),
        ("make handles", "handle"),
    ] {
        each(of_a_pager(), misdeed, cause, call);
    }
}

#[test]
fn guest_that_hands_out_a_handle_it_does_not_have_is_ended() {
    let case = Case::new("hand out a handle of nothing");
    let error = case.engine.open(&case.path).map(drop).unwrap_err();
    case.answered(&error, "opening the file", "unknown handle");

    let case = Case::new("hand out a closed handle");
    let mut pager = case.open();
    let mut transaction = pager.begin().unwrap();
    transaction.alloc().unwrap();
    transaction.rollback();
    let error = pager.begin().unwrap().alloc().unwrap_err();
    case.is_gone(pager);
    case.answered(&error, "beginning a transaction", "unknown handle");
}

/// Once it is open, nothing is written before a commit, whatever the guest has
/// in mind; and where a file is only looked at it is not even synced.
#[test]
fn guest_that_changes_the_file_outside_of_a_commit_is_ended() {
    let calls: Vec<_> = CALLS
        .into_iter()
        .filter(|(place, _)| *place != "open" && !COMMITS.contains(place))
        .collect();
    for misdeed in CHANGES {
        let cause = "it tried to change its store in a call that must not";
        each(&calls, misdeed, cause, call);
    }
    let calls: Vec<_> = calls
        .into_iter()
        .filter(|(place, _)| *place != "syncing")
        .collect();
    let cause = "it tried to sync its store in a call that must not";
    for misdeed in ["sync", "order"] {
        each(&calls, misdeed, cause, call);
    }
}

/// All that changes a store.
const CHANGES: [&str; 6] = [
    "change",
    "change bytes",
    "change by a buffer",
    "grow",
    "truncate",
    "change a view",
];

/// Calls of `&self`, by any number of threads: they share the store.
const LOOKS: [(&str, &str); 3] = [
    ("stats", "reading figures"),
    ("locate", "locating a page"),
    ("locate-protected", "locating a protected page"),
];

fn look(case: &Case, place: &str) -> Result<(), Error> {
    let pager = case.engine.open(&case.path)?;
    match place {
        "stats" => pager.stats().map(drop),
        "locate" => pager.page(REGULAR).map(drop),
        _ => pager.protected_page(PROTECTED).map(drop),
    }
}

/// Pages may be found by what the file says at that moment, and nothing be
/// changed.
#[test]
fn guest_that_only_looks_reads_its_store_and_changes_nothing() {
    for (place, _) in LOOKS {
        let case = Case::new(&format!("look in {place}"));
        look(&case, place).unwrap_or_else(|error| panic!("{place}: {error}"));
        case.is_harmless();
    }
    for misdeed in CHANGES {
        let cause = "it tried to change its store in a call that must not";
        each(&LOOKS, misdeed, cause, |case, place| {
            look(case, place).unwrap_err()
        });
    }
    let cause = "it tried to sync its store in a call that must not";
    each(&LOOKS, "sync", cause, |case, place| {
        look(case, place).unwrap_err()
    });
}

/// A store that could be changed is not, if it was opened to be read.
#[test]
fn guest_that_changes_a_file_opened_to_read_is_ended() {
    for misdeed in CHANGES.iter().chain(&["sync", "order"]) {
        let case = Case::new(&format!("{misdeed} in open"));
        let store = MemoryStore::from_bytes(SIZE, case.before.clone());
        let error = case.engine.open_store(store, Access::Read).unwrap_err();
        case.answered(&error, "opening the file", "in a call that must not");
    }
    let case = Case::new("change in begin");
    let store = MemoryStore::from_bytes(SIZE, case.before.clone());
    let mut pager = case.engine.open_store(store, Access::Read).unwrap();
    assert!(pager.begin().is_err());
    let store: Box<dyn Store> = pager.close();
    let store: Box<dyn std::any::Any> = store;
    let store = store.downcast::<MemoryStore>().unwrap();
    assert!(store.bytes() == case.before, "it changed the store");
}

#[test]
fn guest_that_lies_about_figures_is_found_out() {
    for misdeed in [
        "claim another page size",
        "claim too many pages",
        "claim what does not sum up",
        "claim to hold what it does not have",
        "claim what overflows",
        // What a damaged file does not say, which cannot be opened to write.
        "claim no page count",
        "claim no free pages",
        "claim nothing of pages",
        "claim no protected pages",
        "claim no capacity",
        "claim no generation",
    ] {
        let case = Case::new(misdeed);
        let error = case.engine.open(&case.path).map(drop).unwrap_err();
        case.answered(&error, "reading figures", "its figures cannot be");
    }
    // Some cannot be judged, and must do no harm.
    let case = Case::new("claim an absurd capacity");
    drop(case.open());
    case.is_harmless();

    let case = Case::new("find an odd page size");
    let error = case.engine.open(&case.path).map(drop).unwrap_err();
    case.answered(&error, "finding the page size", "page size 1000");
}

/// What is done to a pager of a hostile guest.
type Use<'a> = &'a dyn Fn(&mut Pager) -> Result<(), Error>;

#[test]
fn guest_that_names_a_page_that_cannot_be_the_caller_s_is_found_out() {
    // It finds any page that it is asked for.
    for (page, cause) in [
        (0, "it gave page 0 away"),
        (
            1 << 40,
            "it named page 1099511627776 of a store of 16 pages",
        ),
        (4, "it found page 4 regular, which holds protected page 0"),
    ] {
        let case = Case::new("");
        let page = PageId::new(page);
        let mut pager = case.open();
        pager.protected_page(PROTECTED).unwrap();
        let error = pager.page(page).map(drop).unwrap_err();
        case.answered_while_open(&error, "locating a page", cause);
        case.is_gone(pager);
        pager = case.open();
        pager.protected_page(PROTECTED).unwrap();
        let error = pager.page_mut(page).map(drop).unwrap_err();
        drop(pager);
        case.answered(&error, "locating a page", cause);
    }
    for (misdeed, cause) in [
        ("find protected in page 0", "it gave page 0 away"),
        ("find protected past the end", "of a store of 16 pages"),
        (
            "find protected in a regular page",
            "it found protected page 1 in page 3, a regular page",
        ),
        (
            "find protected in another's page",
            "it found protected page 1 in page 4, which holds protected page 0",
        ),
        (
            "find protected nowhere",
            "it found protected page 1 nowhere, whose bytes are not zeros",
        ),
    ] {
        let read = |pager: &mut Pager| pager.protected_page(OTHER).map(drop);
        let copy = |pager: &mut Pager| pager.read_protected(OTHER, 0, &mut [0]);
        let change = |pager: &mut Pager| pager.begin()?.write(OTHER).map(drop);
        let runs: [Use<'_>; 3] = [&read, &copy, &change];
        for run in runs {
            let case = Case::new(misdeed);
            let mut pager = case.open();
            pager.page(REGULAR).unwrap();
            if misdeed == "find protected in another's page" {
                pager.protected_page(PROTECTED).unwrap();
            }
            let error = run(&mut pager).unwrap_err();
            case.answered_while_open(&error, "locating a protected page", cause);
            case.is_gone(pager);
            case.is_harmless();
        }
    }
}

impl Case {
    /// The same as `answered`, while the hostile guest has the file open.
    #[track_caller]
    fn answered_while_open(&self, error: &Error, operation: &str, cause: &str) {
        assert!(
            matches!(error, Error::Sandbox { operation: named, cause: found }
                if *named == operation && found.contains(cause)),
            "{}: {error}",
            self.misdeed
        );
    }
}

/// A file that was cut under the map is an error to read, and no signal; a view has a
/// map of its own.
#[test]
fn guest_that_cuts_the_file_takes_no_reader_down() {
    let case = Case::new("cut the file to nothing");
    let mut pager = case.open();
    let view = pager.view().unwrap();
    let mut bytes = [0; 16];
    assert!(view.read_protected(PROTECTED, 0, &mut bytes).is_ok());
    pager.compact(0).unwrap();
    assert!(fs::metadata(&case.path).unwrap().len() > 0);
    let _ = view.read_protected(PROTECTED, 0, &mut bytes);
    drop(view);
    pager.compact(0).unwrap();
    assert_eq!(fs::metadata(&case.path).unwrap().len(), 0);
    assert!(pager.page(REGULAR).is_err());
    assert!(pager.read(REGULAR, 0, &mut bytes).is_err());
    assert!(pager.protected_page(PROTECTED).is_err());
    assert!(pager.page_mut(REGULAR).is_err());
}

#[test]
fn guest_that_compacts_for_ever_is_found_out() {
    let case = Case::new("compact without end");
    let mut pager = case.open();
    let error = pager.compact(0).unwrap_err();
    case.is_gone(pager);
    case.answered(&error, "compacting the file", "it does not end");
}

#[test]
fn guest_that_lists_what_cannot_be_is_found_out() {
    for (misdeed, cause) in [
        ("list page 0", "it gave page 0 away"),
        ("list past the end", "of a store of 16 pages"),
        ("list what overflows", "ascending order"),
        ("list backwards", "ascending order"),
        ("list nothing again and again", "ascending order"),
        ("list too much", "more than it was asked for"),
        ("list megabytes", "more than it was asked for"),
    ] {
        let case = Case::new(misdeed);
        let pager = case.open();
        let listed: Result<Vec<_>, _> = pager.regular_pages().collect();
        let error = listed.unwrap_err();
        case.is_gone(pager);
        case.answered(&error, "listing regular pages", cause);
    }
    for misdeed in ["list snapshots backwards", "list a snapshot twice"] {
        let case = Case::new(misdeed);
        let pager = case.open();
        let error = pager.snapshots().unwrap_err();
        case.is_gone(pager);
        case.answered(&error, "listing snapshots", "in the order of their making");
    }
    for misdeed in [
        "list changes backwards",
        "list changes before the start",
        "list more changes",
    ] {
        let case = Case::new(misdeed);
        let pager = case.open();
        let listed: Result<Vec<_>, _> = pager.changes(None, None).collect();
        let error = listed.unwrap_err();
        case.is_gone(pager);
        case.answered(&error, "comparing snapshots", "what was asked for");
    }
    for misdeed in [
        "go back to an earlier generation",
        "leave a snapshot to the next sync",
    ] {
        let case = Case::new(misdeed);
        let mut pager = case.open();
        let error = pager.create_snapshot("one").unwrap_err();
        case.is_gone(pager);
        case.answered(&error, "committing", "it committed generation");
        let case = Case::new(misdeed);
        let mut pager = case.open();
        let error = pager.compact(0).unwrap_err();
        case.is_gone(pager);
        case.answered(&error, "committing", "it committed generation");
    }
    for (misdeed, cause) in [
        ("list protected in page 0", "it gave page 0 away"),
        ("list protected past the end", "of a store of 16 pages"),
        ("list protected backwards", "ascending order"),
        (
            "list protected without end",
            "more of them than there can be",
        ),
        ("list too many protected", "more than it was asked for"),
    ] {
        let case = Case::new(misdeed);
        let pager = case.open();
        let listed: Result<Vec<_>, _> = pager.protected_pages().collect();
        let error = listed.unwrap_err();
        case.is_gone(pager);
        case.answered(&error, "listing protected pages", cause);
    }
}

#[test]
fn guest_that_gives_pages_away_wrongly_is_found_out() {
    for (misdeed, cause) in [
        ("give page 0 away", "it gave page 0 away"),
        ("give away too few", "it allocated 1 pages instead of 2"),
        ("give away too many", "it allocated 3 pages instead of 2"),
        ("give a page away twice at once", "ascending order"),
        (
            "give away what is in use",
            "it gave page 3 away, which is in use",
        ),
        (
            "give away another's page",
            "it gave page 4 away, which is in use",
        ),
        ("give away megabytes", "instead of 2"),
    ] {
        let case = Case::new(misdeed);
        let mut pager = case.open();
        pager.page(REGULAR).unwrap();
        pager.protected_page(PROTECTED).unwrap();
        let error = pager.alloc_many(2).unwrap_err();
        case.is_gone(pager);
        case.answered(&error, "allocating pages", cause);
    }
    let case = Case::new("give protected away twice at once");
    let mut pager = case.open();
    let mut transaction = pager.begin().unwrap();
    let error = transaction.alloc_protected_many(2).unwrap_err();
    drop(transaction);
    drop(pager);
    case.answered(&error, "allocating pages", "ascending order");

    for (misdeed, cause) in [
        (
            "give away protected in use",
            "it gave protected page 0 away, which is in use",
        ),
        (
            "give protected away twice",
            "it gave protected page 2 away twice",
        ),
    ] {
        let case = Case::new(misdeed);
        let mut pager = case.open();
        pager.protected_page(PROTECTED).unwrap();
        let mut transaction = pager.begin().unwrap();
        let error = match transaction.alloc_protected_many(2) {
            Ok(_) => transaction.alloc_protected_many(2).unwrap_err(),
            Err(error) => error,
        };
        drop(transaction);
        case.is_gone(pager);
        case.answered(&error, "allocating pages", cause);
    }

    // In one transaction.
    let case = Case::new("give a page away twice");
    let mut pager = case.open();
    let mut transaction = pager.begin().unwrap();
    assert_eq!(transaction.alloc_many(2).unwrap(), [8, 9].map(PageId::new));
    transaction.alloc_many(2).unwrap();
    let error = transaction.commit().unwrap_err();
    case.is_gone(pager);
    case.answered(&error, "allocating pages", "it gave page 8 away twice");

    // In one after the other.
    let case = Case::new("give a page away twice");
    let mut pager = case.open();
    assert_eq!(pager.alloc_many(2).unwrap(), [8, 9].map(PageId::new));
    let error = pager.alloc_many(2).unwrap_err();
    case.is_gone(pager);
    case.answered(
        &error,
        "allocating pages",
        "it gave page 8 away, which is in use",
    );
}

/// A call that allocates one page and commits that.
#[test]
fn guest_that_gives_one_page_away_wrongly_is_found_out() {
    for (misdeed, operation, cause) in [
        (
            "give page 0 away",
            "allocating pages",
            "it gave page 0 away",
        ),
        (
            "give away what is in use",
            "allocating pages",
            "it gave page 3 away, which is in use",
        ),
        (
            "give away another's page",
            "allocating pages",
            "it gave page 4 away, which is in use",
        ),
        (
            "give away what is not there",
            "committing",
            "its store has 16",
        ),
        (
            "lie about the page count",
            "committing",
            "it accounts for 17 pages",
        ),
    ] {
        let case = Case::new(misdeed);
        let mut pager = case.open();
        pager.page(REGULAR).unwrap();
        pager.protected_page(PROTECTED).unwrap();
        let error = pager.alloc().unwrap_err();
        case.is_gone(pager);
        case.answered(&error, operation, cause);
    }

    let case = Case::new("give protected away twice");
    let mut pager = case.open();
    pager.protected_page(PROTECTED).unwrap();
    let error = pager.alloc_protected().unwrap_err();
    case.is_gone(pager);
    let cause = "it gave protected page 0 away, which is in use";
    case.answered(&error, "allocating pages", cause);

    let case = Case::new("give away an absurd id");
    let mut pager = case.open();
    assert_eq!(pager.alloc_protected().unwrap().get(), u64::MAX);
    drop(pager);
    case.is_harmless();

    // Others cannot be judged without knowing the format.
    let case = Case::new("lie about the page count");
    let mut pager = case.open();
    pager.free_protected(PROTECTED).unwrap();
    drop(pager);
    case.is_harmless();
}

#[test]
fn guest_that_commits_what_cannot_be_is_found_out() {
    let case = Case::new("give away what is not there");
    let mut pager = case.open();
    let error = pager.alloc_many(2).unwrap_err();
    case.is_gone(pager);
    case.answered(&error, "committing", "its store has 16");

    let case = Case::new("lie about the page count");
    let mut pager = case.open();
    let error = pager.alloc_many(2).unwrap_err();
    case.is_gone(pager);
    case.answered(&error, "committing", "it accounts for 17 pages");

    let case = Case::new("give away an absurd id");
    let mut pager = case.open();
    let mut transaction = pager.begin().unwrap();
    assert_eq!(transaction.alloc_protected().unwrap().get(), u64::MAX);
    transaction.commit().unwrap();
    drop(pager);
    case.is_harmless();
}

/// What the host has staged is written by its number, in one call of the guest
/// or in a transaction.
#[test]
fn guest_that_does_not_write_what_it_is_to_write_is_found_out() {
    for (misdeed, cause, is_written) in [
        ("write nothing", "it did not write protected page 0", false),
        (
            "write one of two",
            "it did not write protected page 1",
            true,
        ),
        (
            "write past the end, and say nothing",
            "it did not write protected page 0",
            false,
        ),
        ("write to page 0", "it gave page 0 away", true),
        (
            "write to a regular page",
            "it wrote protected page 0 in page 3, a regular page",
            true,
        ),
        (
            "write to another's page",
            "it wrote protected page 0 in page 5, which holds protected page 1",
            true,
        ),
        (
            "write both to one page",
            "it wrote protected page 1 in page 6, which holds protected page 0",
            true,
        ),
    ] {
        for allocates in [false, true] {
            let case = Case::new(misdeed);
            let mut pager = case.open();
            pager.page(REGULAR).unwrap();
            pager.protected_page(OTHER).unwrap();
            let mut transaction = pager.begin().unwrap();
            if allocates {
                transaction.alloc_many(2).unwrap();
            }
            transaction.write(PROTECTED).unwrap().fill(1);
            if misdeed.contains("two") || misdeed.contains("both") {
                transaction.write(OTHER).unwrap().fill(2);
            }
            let error = transaction.commit().unwrap_err();
            if is_written {
                // What it writes in a commit is up to it.
                case.answered_while_open(&error, "committing", cause);
                assert!(matches!(pager.page(REGULAR), Err(Error::SandboxGone)));
            } else {
                case.is_gone(pager);
                case.answered(&error, "committing", cause);
            }
        }
    }
}

#[test]
fn guest_that_writes_a_buffer_that_there_is_not_is_refused() {
    for misdeed in ["write a buffer that is not there", "write no buffer at all"] {
        let case = Case::new(misdeed);
        let mut pager = case.open();
        let error = write(&mut pager).unwrap_err();
        assert!(
            matches!(&error, Error::Store { cause: StoreError::Other(Some(text)), .. }
                if text == "the host holds no buffer of this number"),
            "{misdeed}: {error}"
        );
        drop(pager);
        case.is_harmless();
    }
    // One of an earlier commit is not there any more.
    let case = Case::new("change by a buffer in one-alloc");
    let mut pager = case.open();
    write(&mut pager).unwrap();
    pager.alloc().unwrap();
    drop(pager);
    assert!(fs::read(&case.path).unwrap()[..1024] == case.before[..1024]);
}

#[test]
fn guest_that_asks_for_absurd_growth_gets_no_space() {
    for misdeed in ["grow absurdly", "grow past the limit"] {
        let case = Case::new(misdeed);
        let mut pager = case.open();
        let error = pager.alloc_many(1).unwrap_err();
        assert!(
            matches!(&error, Error::Store { operation, cause: StoreError::InsufficientSpace }
                if operation == "doing what it may"),
            "{misdeed}: {error}"
        );
        drop(pager);
        case.is_harmless();
    }
    // Where the host has set no limit, the medium has one.
    let case = Case::new("grow absurdly");
    let mut limits = limits();
    limits.store = u64::MAX;
    let unlimited = hostile_within(limits);
    let error = unlimited
        .open(&case.path)
        .unwrap()
        .alloc_many(1)
        .unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Store {
                cause: StoreError::InsufficientSpace,
                ..
            }
        ),
        "{error}"
    );
    case.is_harmless();
}

/// One call could otherwise keep the host busy for hours, and calls of the host
/// cannot be interrupted.
#[test]
fn guest_that_writes_more_than_the_store_has_is_refused() {
    for misdeed in ["write too much at once", "write past the end"] {
        let case = Case::new(misdeed);
        let mut pager = case.open();
        let error = pager.alloc_many(1).unwrap_err();
        assert!(
            matches!(
                &error,
                Error::Store {
                    cause: StoreError::OutOfBounds,
                    ..
                }
            ),
            "{misdeed}: {error}"
        );
        drop(pager);
        case.is_harmless();
    }
}

/// People are told what went wrong, in a line that they can read.
#[test]
fn guest_that_talks_too_much_is_cut_short() {
    for misdeed in ["fail in megabytes", "fail in many lines"] {
        let case = Case::new(misdeed);
        let error = case.engine.open(&case.path).map(drop).unwrap_err();
        assert!(matches!(error, Error::Other(_)));
        let text = error.to_string();
        assert!(text.len() < 2000, "{} bytes", text.len());
        assert!(!text.contains(char::is_control), "{text:?}");
        case.is_harmless();
    }
}

/// An error is put into words by a call of its own.
#[test]
fn guest_that_fails_to_say_why_is_named_with_its_operation() {
    for (misdeed, cause) in [
        ("trap in describe", "unreachable"),
        ("spin in describe", "it took too long"),
        ("eat memory in describe", "more memory than it may have"),
    ] {
        let case = Case::new(misdeed);
        let error = case.engine.open(&case.path).map(drop).unwrap_err();
        case.answered(&error, "opening the file", cause);
    }
}

#[test]
fn guest_that_fails_to_create_leaves_no_file() {
    let (folder, path) = folder();
    for (page_count, cause) in [(1000, "unreachable"), (1001, "it took too long")] {
        let error = impatient()
            .create_with(&path, SIZE, page_count)
            .map(drop)
            .unwrap_err();
        assert!(
            matches!(&error, Error::Sandbox { operation: "creating the file", cause: found }
                if found.contains(cause)),
            "{error}"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

/// What is asked of an inspector.
type Run<'a> = &'a dyn Fn(&mut pagebox::Inspector) -> Result<(), Error>;

/// Whoever looks comes to an end.
#[test]
fn guest_that_says_of_every_file_that_it_changes_is_busy() {
    let case = Case::new("never current");
    let error = case.engine.inspect(&case.path).unwrap_err();
    assert!(matches!(error, Error::Busy), "{error}");
    let error = case.engine.read_with(&case.path, |_| Ok(())).unwrap_err();
    assert!(matches!(error, Error::Busy), "{error}");
}

#[test]
fn guest_that_inspects_without_end_is_found_out() {
    let case = Case::new("");
    let mut inspector = case.engine.inspect(&case.path).unwrap();
    // It names more pages than the file has: those that are there are listed.
    assert_eq!(Listing::of(&mut inspector).unwrap().regular.len(), 16);
    let error = inspector.tiles(0, 1, 5).unwrap_err();
    case.answered(&error, "drawing a map", "more than it was asked for");

    let listing = |inspector: &mut _| Listing::of(inspector).map(drop);
    let checking = |inspector: &mut _| Check::of(inspector, |_, _| {}).map(drop);
    let cases: [(&str, Run, &str, &str); 5] = [
        (
            "tell more kinds",
            &listing,
            "telling pages apart",
            "more than it was asked for",
        ),
        (
            "list entries backwards",
            &listing,
            "reading the directory",
            "ascending order",
        ),
        (
            "list entries without end",
            &listing,
            "reading the directory",
            "more pages than",
        ),
        (
            "find the same for ever",
            &checking,
            "checking the file",
            "come to an end",
        ),
        (
            "find without end",
            &checking,
            "checking the file",
            "come to an end",
        ),
    ];
    for (misdeed, run, operation, cause) in cases {
        let case = Case::new(misdeed);
        let mut inspector = case.engine.inspect(&case.path).unwrap();
        let error = run(&mut inspector).unwrap_err();
        case.answered(&error, operation, cause);
        assert!(matches!(inspector.summary(), Err(Error::SandboxGone)));
    }
}

#[test]
fn guest_that_fails_to_mend_leaves_no_copy() {
    for (misdeed, cause) in [
        ("trap in mend", "unreachable"),
        ("spin in mend", "it took too long"),
    ] {
        let case = Case::new(misdeed);
        let output = case.path.with_extension("mended");
        let error = case.engine.repair(&case.path, &output).unwrap_err();
        case.answered(&error, "repairing the file", cause);
        let folder = case.path.parent().unwrap();
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    }
}

/// What cannot be prevented, since only the guest knows what the bytes mean: it
/// writes nonsense in a commit. One file is lost, and said to be; the file
/// beside it, in a sandbox of the same engine, is not touched.
#[test]
fn guest_that_ruins_its_file_in_a_commit_ruins_no_other() {
    let case = Case::new("ruin the file");
    let other = Case::new("");
    let mut pager = case.open();
    let beside = other.open();
    pager.alloc_many(1).unwrap();
    drop(pager);
    let error = engine().open(&case.path).map(drop).unwrap_err();
    assert!(matches!(error, Error::NotAPageFile(_)), "{error}");
    // What was not written to is there still.
    assert!(fs::read(&case.path).unwrap()[3 * 1024..] == case.before[3 * 1024..]);
    beside.page(REGULAR).unwrap();
    drop(beside);
    other.is_harmless();
}
