//! The store on real servers. They skip where there are none.
#![cfg(all(unix, feature = "aws"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[cfg(feature = "azure")]
mod azurite;
mod server;
#[path = "../it/tricky.rs"]
#[expect(dead_code, reason = "the tests in memory use the rest")]
mod tricky;
mod weed;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use pagebox_core::{Access, Format, NewFile, Pager, ProtectedId};
use pagebox_slatedb::object_store::ObjectStore;
use pagebox_slatedb::{Address, Bucket, Error, Options, SlateReader, SlateStore};
use pagebox_store::{PageSize, PageStore};

use crate::server::{Server, signal};
use crate::tricky::{Conditions, Tricky};
use crate::weed::{Weed, is_there};

/// In the environment of a process that is to write: where.
const ADDRESS: &str = "PAGEBOX_TEST_WRITES_TO";

const PAGES: u64 = 10;

fn create(bucket: &Bucket, format: Format) -> Pager<SlateStore> {
    let store = SlateStore::create(bucket, PageSize::KIB_4, &Options::default());
    let new = NewFile {
        format,
        page_count: 0,
        uuid: [1; 16],
    };
    let mut pager = Pager::create_as(store.expect("a new store"), &new).expect("a new file");
    let mut transaction = pager.begin().expect("nothing failed");
    pager.alloc_protected(&mut transaction, 10).expect("room");
    pager.commit(transaction).expect("a sound store");
    pager
}

fn open(bucket: &Bucket, options: Options) -> Pager<SlateStore> {
    let store = SlateStore::open(bucket, &options).expect("a store");
    Pager::open(store, Access::Write).expect("a sound file")
}

fn fill(pager: &mut Pager<SlateStore>, number: u64) -> Result<(), pagebox_core::Error> {
    let mut transaction = pager.begin()?;
    for id in 0..PAGES {
        let page = pager.stage(&mut transaction, ProtectedId(id))?;
        for word in page.chunks_mut(8) {
            word.copy_from_slice(&number.to_le_bytes());
        }
    }
    pager.commit(transaction).map(drop)
}

/// The number that all pages are full of.
///
/// # Panics
/// Where they are of more than one state.
fn filled<S: PageStore>(pager: &mut Pager<S>) -> u64 {
    let mut bytes = [0; 4096];
    let mut found = None;
    for id in 0..PAGES {
        let place = pager.verify_protected(ProtectedId(id)).expect("sound");
        pager
            .store()
            .read(place.page.expect("written"), 0, &mut bytes)
            .expect("there");
        for word in bytes.chunks(8) {
            let number = u64::from_le_bytes(word.try_into().expect("8 bytes"));
            assert_eq!(*found.get_or_insert(number), number, "a mixture");
        }
    }
    found.expect("a page")
}

fn seen(bucket: &Bucket) -> u64 {
    let reader = SlateReader::open(bucket, &Options::default()).expect("a store");
    filled(&mut Pager::open(reader, Access::Read).expect("a file"))
}

#[test]
fn server_races_and_readers() {
    if !is_there() {
        return;
    }
    let weed = Weed::single();
    assert_one_writer_and_any_readers(|prefix| weed.bucket("pages", prefix));
    assert_commit_is_one_put(weed.objects());
    assert_conditions_that_get_lost_are_seen(weed.objects());
}

#[cfg(feature = "azure")]
#[test]
fn azure_races_and_readers() {
    if !azurite::is_there() {
        return;
    }
    let azurite = azurite::Azurite::start();
    assert_one_writer_and_any_readers(|prefix| azurite.bucket("pages", prefix));
    assert_commit_is_one_put(azurite.objects());
    assert_conditions_that_get_lost_are_seen(azurite.objects());
}

/// What holds on every server.
fn assert_one_writer_and_any_readers(bucket: impl Fn(&str) -> Bucket) {
    for format in [Format::Zero, Format::One] {
        let bucket = bucket(&format!("all-{format:?}"));
        let mut pager = create(&bucket, format);
        fill(&mut pager, 1).unwrap();
        assert_eq!(seen(&bucket), 1);
        let refused = SlateStore::open(&bucket, &Options::default()).map(drop);
        assert!(matches!(refused, Err(Error::Locked(_))), "{refused:?}");
        let again = SlateStore::create(&bucket, PageSize::KIB_4, &Options::default());
        assert_eq!(again.map(drop), Err(Error::Exists));
        fill(&mut pager, 2).unwrap();
        drop(pager);
        let mut pager = open(&bucket, Options::default());
        assert_eq!(filled(&mut pager), 2);
        // A zombie in this process.
        let mut next = open(&bucket, Options::default().take_over());
        let said = fill(&mut pager, 3).unwrap_err().to_string();
        assert!(
            said.contains("another writer has taken the store over"),
            "{said}"
        );
        assert_eq!(seen(&bucket), 2);
        fill(&mut next, 4).unwrap();
        assert_eq!(seen(&bucket), 4);
    }
    let bucket = bucket("race");
    drop(create(&bucket, Format::One));
    for round in 0..50 {
        let winners: Vec<_> = std::thread::scope(|scope| {
            let opening: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| SlateStore::open(&bucket, &Options::default())))
                .collect();
            let opened = opening.into_iter().map(|it| it.join().unwrap());
            opened.filter_map(Result::ok).collect()
        });
        assert_eq!(winners.len(), 1, "round {round}");
    }
}

/// The budget of requests, on what a server makes of them.
fn assert_commit_is_one_put(objects: Arc<dyn ObjectStore>) {
    let objects = Tricky::over(objects);
    let mut pager = create(&objects.bucket(), Format::One);
    // The first settles what was found, and makes room.
    for number in 1..4 {
        fill(&mut pager, number).unwrap();
    }
    let before = objects.rules().puts;
    for number in 4..14 {
        fill(&mut pager, number).unwrap();
    }
    assert_eq!(objects.rules().puts - before, 10, "ten commits");
    drop(pager);
    let before = objects.rules().puts;
    assert_eq!(seen(&objects.bucket()), 13);
    assert_eq!(objects.rules().puts - before, 0, "reading");
}

/// Something between here and the server that drops `If-None-Match`, as proxies do: with
/// it two writers could both win.
fn assert_conditions_that_get_lost_are_seen(objects: Arc<dyn ObjectStore>) {
    let objects = Tricky::over(objects);
    objects.rules().conditions = Conditions::Ignored;
    let bucket = Bucket::new(Arc::new(objects), "dropped").unwrap();
    let made = SlateStore::create(&bucket, PageSize::KIB_4, &Options::default());
    assert_eq!(made.map(drop), Err(Error::IgnoresConditions));
    let none = SlateReader::open(&bucket, &Options::default()).map(drop);
    assert_eq!(none, Err(Error::NotFound), "and nothing was made");
}

#[test]
fn wrong_keys_missing_bucket_and_typing_errors_are_one_clear_error_each() {
    if !is_there() {
        return;
    }
    let weed = Weed::single();
    let bucket = |name: &str, prefix: &str| weed.bucket(name, prefix);
    let wrong = weed.bucket_as("pages", "right", "not-the-secret");
    assert_each_is_one_clear_error(bucket, &wrong, "not-the-secret");
}

#[cfg(feature = "azure")]
#[test]
fn wrong_key_missing_container_and_typing_errors_are_one_clear_error_each() {
    if !azurite::is_there() {
        return;
    }
    let azurite = azurite::Azurite::start();
    let bucket = |name: &str, prefix: &str| azurite.bucket(name, prefix);
    let key = "bm90LXRoZS1rZXk=";
    let wrong = azurite.bucket_as("pages", "right", key);
    assert_each_is_one_clear_error(bucket, &wrong, key);
}

/// Opening what there is by a wrong key, what there is not, and where there is nothing.
fn assert_each_is_one_clear_error(
    bucket: impl Fn(&str, &str) -> Bucket,
    wrong: &Bucket,
    secret: &str,
) {
    drop(create(&bucket("pages", "right"), Format::One));
    for error in [
        SlateStore::open(wrong, &Options::default())
            .map(drop)
            .unwrap_err(),
        SlateReader::open(wrong, &Options::default())
            .map(drop)
            .unwrap_err(),
        SlateStore::create(wrong, PageSize::KIB_4, &Options::default())
            .map(drop)
            .unwrap_err(),
    ] {
        let said = error.to_string();
        assert!(matches!(error, Error::Unavailable(_)), "{said}");
        assert!(!said.contains(secret), "{said}");
        assert!(
            said.contains("403") || said.contains("SignatureDoesNotMatch"),
            "{said}"
        );
    }
    let typo = bucket("pages", "wrong");
    let none = SlateStore::open(&typo, &Options::default()).map(drop);
    assert_eq!(none, Err(Error::NotFound));
    let none = SlateReader::open(&typo, &Options::default()).map(drop);
    assert_eq!(none, Err(Error::NotFound), "and nothing was made");
    let missing = bucket("no-such-bucket", "right");
    for error in [
        SlateStore::open(&missing, &Options::default())
            .map(drop)
            .unwrap_err(),
        SlateReader::open(&missing, &Options::default())
            .map(drop)
            .unwrap_err(),
    ] {
        let is_clear = error == Error::NotFound || {
            let said = error.to_string();
            said.contains("NoSuchBucket") || said.contains("ContainerNotFound")
        };
        assert!(is_clear, "{error}");
    }
}

#[test]
fn stopped_server_is_one_error_within_the_deadline_and_the_state_is_before_or_after() {
    if !is_there() {
        return;
    }
    let weed = Weed::single();
    let bucket = weed.bucket("pages", "stopped");
    assert_stopped_server_is_one_error(&bucket, &weed.servers[0]);
}

#[cfg(feature = "azure")]
#[test]
fn stopped_azure_is_one_error_within_the_deadline_and_the_state_is_before_or_after() {
    if !azurite::is_there() {
        return;
    }
    let azurite = azurite::Azurite::start();
    let bucket = azurite.bucket("pages", "stopped");
    assert_stopped_server_is_one_error(&bucket, &azurite.server);
}

fn assert_stopped_server_is_one_error(bucket: &Bucket, server: &Server) {
    drop(create(bucket, Format::One));
    let timeout = Duration::from_secs(3);
    let mut pager = open(bucket, Options::default().timeout(timeout));
    fill(&mut pager, 1).unwrap();
    server.signal("STOP");
    let start = Instant::now();
    let said = fill(&mut pager, 2).unwrap_err().to_string();
    // Generous: the machine may be busy.
    assert!(start.elapsed() < 10 * timeout, "{:?}", start.elapsed());
    assert!(said.contains("what is durable is not known"), "{said}");
    let mut store = pager.close();
    assert!(store.reopen().is_err());
    server.signal("CONT");
    let start = Instant::now();
    while let Err(error) = store.reopen() {
        assert!(start.elapsed() < Duration::from_mins(1), "{error}");
    }
    let mut pager = Pager::open(store, Access::Write).unwrap();
    let found = filled(&mut pager);
    assert!(found == 1 || found == 2, "{found}");
    fill(&mut pager, 3).unwrap();
    assert_eq!(seen(bucket), 3);
}

/// Not a test: what another process does that writes.
#[test]
fn writer_of_another_process() {
    let Ok(address) = std::env::var(ADDRESS) else {
        return;
    };
    let address: Address = address.parse().unwrap();
    let mut pager = open(&address.bucket().unwrap(), address.options().take_over());
    let first = filled(&mut pager) + 1;
    for number in first.. {
        if let Err(error) = fill(&mut pager, number) {
            println!("ended: {error}");
            return;
        }
        println!("committed: {number}");
    }
}

/// A process that commits as fast as it can, and what it says.
fn writer(weed: &Weed, prefix: &str) -> (std::process::Child, impl Iterator<Item = String>) {
    let mut child = Command::new(std::env::current_exe().expect("this"))
        .args(["writer_of_another_process", "--exact", "--nocapture"])
        .env(ADDRESS, weed.address(prefix))
        .env("AWS_ACCESS_KEY_ID", weed::KEY)
        .env("AWS_SECRET_ACCESS_KEY", weed::SECRET)
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let said = lines.map_while(Result::ok);
    (child, said.filter(|line| line.contains("ed: ")))
}

fn number(line: &str) -> Option<u64> {
    line.split_once("committed: ")?.1.trim().parse().ok()
}

#[test]
fn stopped_writer_that_goes_on_after_a_takeover_is_fenced() {
    if !is_there() {
        return;
    }
    let weed = Weed::single();
    let bucket = weed.bucket("pages", "zombie");
    let mut pager = create(&bucket, Format::One);
    fill(&mut pager, 1).unwrap();
    drop(pager);
    let (mut child, mut said) = writer(&weed, "zombie");
    for _ in 0..5 {
        said.next().unwrap();
    }
    signal(child.id(), "STOP");
    let mut next = open(&bucket, Options::default().take_over());
    let found = filled(&mut next);
    fill(&mut next, 1_000_000).unwrap();
    signal(child.id(), "CONT");
    let mut last = 0;
    let end = said.find(|line| {
        last = number(line).unwrap_or(last);
        line.contains("ended: ")
    });
    let end = end.unwrap();
    assert!(
        end.contains("another writer has taken the store over"),
        "{end}"
    );
    assert!(
        last <= found,
        "{last} was acknowledged after the takeover at {found}"
    );
    child.wait().unwrap();
    assert_eq!(seen(&bucket), 1_000_000);
    fill(&mut next, 1_000_001).unwrap();
}

#[test]
fn killed_writers_lose_nothing_that_they_acknowledged() {
    if !is_there() {
        return;
    }
    let weed = Weed::single();
    let bucket = weed.bucket("pages", "killed");
    let mut pager = create(&bucket, Format::One);
    fill(&mut pager, 1).unwrap();
    drop(pager);
    let kills = std::env::var("PAGEBOX_KILLS").map_or(20, |it| it.parse().unwrap());
    let mut commits = 0;
    for kill in 0..kills {
        let (mut child, mut said) = writer(&weed, "killed");
        let first = number(&said.next().unwrap()).unwrap();
        let mut last = first;
        for _ in 0..kill % 7 {
            last = number(&said.next().unwrap()).unwrap();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died.
        let more = said.filter_map(|line| number(&line));
        last = more.last().unwrap_or(last);
        let found = seen(&bucket);
        // The one that was under way may be there.
        assert!(found >= last, "{last} was acknowledged, {found} is there");
        commits += last - first + 1;
    }
    println!("{kills} writers killed: {commits} commits acknowledged, none lost");
}

#[test]
fn storage_node_that_dies_under_load_fails_no_commit_and_loses_none() {
    if !is_there() {
        return;
    }
    let weed = Weed::cluster();
    let bucket = weed.bucket("pages", "cluster");
    let mut pager = create(&bucket, Format::One);
    let mut worst = Duration::ZERO;
    for number in 1..=200 {
        if number == 60 {
            // The first is the master; the last is the door.
            weed.servers[2].signal("KILL");
        }
        let start = Instant::now();
        fill(&mut pager, number).unwrap_or_else(|error| panic!("commit {number}: {error}"));
        worst = worst.max(start.elapsed());
    }
    std::mem::forget(pager);
    // With the node still dead.
    assert_eq!(seen(&bucket), 200);
    let mut pager = open(&bucket, Options::default().take_over());
    assert_eq!(filled(&mut pager), 200);
    println!(
        "a storage node killed after 59 of 200 commits: none failed, none lost, {worst:?} at worst"
    );
}
