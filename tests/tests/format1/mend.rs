//! Damaged files are mended: what proves itself is kept, nothing is invented, and
//! what is lost is said.

use std::collections::{BTreeMap, BTreeSet};

use pagebox_core::repair::mend;
use pagebox_core::{Access, Error, Format, NewFile, Pager, ProtectedId};
use pagebox_store::{Checksum, MemoryStore, PageSize, PageStore};
use pagebox_tests::failing::{FailingStore, Fault, Verb};
use pagebox_tests::figures;
use pagebox_tests::legal::check_is_clean;
use pagebox_tests::model::regular_pages;
use pagebox_tests::rng::Rng;
use pagebox_tests::shown::Shown;

const SIZE: PageSize = PageSize::KIB_1;

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    protected: BTreeMap<u64, Checksum>,
    regular: BTreeSet<u64>,
    /// What each snapshot shows, by its name.
    snapshots: BTreeMap<String, BTreeMap<u64, Checksum>>,
}

/// A file with several nodes of MAP, some of its changes in deltas, and in most
/// cases with snapshots.
fn file(rng: &mut Rng) -> (MemoryStore, Held) {
    let new = NewFile {
        format: Format::One,
        page_count: 0,
        uuid: *b"a uuid of a file",
    };
    let mut pager = Pager::create_as(MemoryStore::new(SIZE), &new).unwrap();
    let has_snapshots = rng.chance(3, 4);
    for count in [100, 40, 3] {
        let mut tx = pager.begin().unwrap();
        pager.alloc(&mut tx, 4).unwrap();
        for id in pager.alloc_protected(&mut tx, count).unwrap() {
            if rng.chance(9, 10) {
                rng.fill(&mut pager.stage(&mut tx, id).unwrap()[..]);
            }
        }
        pager.commit(tx).unwrap();
        let mut tx = pager.begin().unwrap();
        let gone = [rng.below(count.into()), rng.below(count.into())];
        for id in BTreeSet::from(gone) {
            if pager.locate_protected(ProtectedId(id)).is_ok() {
                pager.free_protected(&mut tx, &[ProtectedId(id)]).unwrap();
            }
        }
        pager.commit(tx).unwrap();
        // In some the ids of a snapshot are higher than those that come after it.
        if has_snapshots && rng.chance(2, 3) {
            let high = ProtectedId(1 << 13);
            let is_high = rng.chance(1, 3);
            if is_high {
                let mut tx = pager.begin().unwrap();
                pager.claim_protected(&mut tx, &[high]).unwrap();
                pager.commit(tx).unwrap();
            }
            pager.create_snapshot(&count.to_string(), 0).unwrap();
            let mut tx = pager.begin().unwrap();
            if is_high {
                pager.free_protected(&mut tx, &[high]).unwrap();
            }
            for id in [rng.below(30), 30 + rng.below(20)] {
                if pager.locate_protected(ProtectedId(id)).is_ok() {
                    rng.fill(&mut pager.stage_blank(&mut tx, ProtectedId(id)).unwrap()[..]);
                }
            }
            pager.commit(tx).unwrap();
        }
    }
    let held = held(&mut pager);
    (pager.close(), held)
}

fn shown(pager: &mut Pager<MemoryStore>) -> BTreeMap<u64, Checksum> {
    let listed = pager.protected(ProtectedId(0), usize::MAX).unwrap();
    listed
        .into_iter()
        .map(|it| (it.id.0, pager.verify_protected(it.id).unwrap().checksum))
        .collect()
}

fn held(pager: &mut Pager<MemoryStore>) -> Held {
    let snapshots = pager.snapshots().unwrap().into_iter().map(|it| {
        let root = pager.root_of(&it.name).unwrap();
        let mut then = Pager::open_at(pager.store().clone(), &root).unwrap();
        (it.name, shown(&mut then))
    });
    Held {
        snapshots: snapshots.collect(),
        protected: shown(pager),
        regular: regular_pages(pager, 100).unwrap().into_iter().collect(),
    }
}

/// Does something to the bytes that no crash does, and says what.
fn damage(store: &mut MemoryStore, rng: &mut Rng) -> String {
    let pages = store.geometry().page_count;
    let size = SIZE.bytes();
    let page = match rng.below(3) {
        0 => rng.below(32.min(pages)),
        _ => rng.below(pages),
    };
    let start = page as usize * size;
    match rng.below(4) {
        0 => {
            let at = start + rng.below(size as u64) as usize;
            store.bytes_mut()[at] ^= 1 << rng.below(8);
            format!("a flipped bit in page {page}")
        }
        1 => {
            store.bytes_mut()[start..start + size].fill(0);
            format!("zeros in page {page}")
        }
        2 => {
            let from = rng.below(pages) as usize * size;
            store.bytes_mut().copy_within(from..from + size, start);
            format!("page {} in page {page}", from / size)
        }
        _ if page >= 12 => {
            store.bytes_mut().truncate(start);
            format!("cut to {page} pages")
        }
        _ => "nothing".into(),
    }
}

#[test]
fn damaged_files_are_mended_and_nothing_is_invented() {
    let mut rng = Rng::new(1);
    let [mut mended, mut lost, mut refused] = [0; 3];
    // Snapshots that were kept in a file that was mended, and given up.
    let [mut kept, mut given_up] = [0; 2];
    for seed in 0..1500 {
        let (mut store, before) = file(&mut Rng::new(seed % 31));
        let mut damages = vec![damage(&mut store, &mut rng)];
        if rng.chance(1, 3) {
            damages.push(damage(&mut store, &mut rng));
        }
        let context = format!("seed {seed}: {damages:?}");
        let stored = store.geometry().page_count;
        let actions = match mend(&mut store) {
            Ok(actions) => actions,
            Err(Error::Damaged { .. } | Error::Identity(_)) => {
                refused += 1;
                continue;
            }
            Err(error) => panic!("{error}: {context}"),
        };
        check_is_clean(&store).expect(&context);
        // By a reader that shares nothing with us.
        let image = pagebox_tests::decode::Image {
            bytes: store.bytes(),
            page_size: SIZE.bytes(),
        };
        Shown::of(&image).expect(&context);
        let bytes = store.bytes().to_vec();
        assert_eq!(mend(&mut store).expect(&context), [], "{context}");
        assert!(store.bytes() == bytes, "mended twice: {context}");

        let mut pager = Pager::open(store, Access::Write).expect(&context);
        let after = held(&mut pager);
        for (id, checksum) in &after.protected {
            assert_eq!(before.protected.get(id), Some(checksum), "{context}");
        }
        for (name, shows) in &after.snapshots {
            assert_eq!(before.snapshots.get(name), Some(shows), "{name}: {context}");
            kept += u32::from(!actions.is_empty());
        }
        for name in before.snapshots.keys() {
            let is_said = |text: &str| {
                text.contains(&format!("snapshot {name} was given up"))
                    || text.contains("a page of the table of snapshots is lost")
            };
            let is_kept = after.snapshots.contains_key(name);
            let mut lost = actions.iter().filter(|action| action.lost);
            assert!(
                is_kept || lost.any(|action| is_said(&action.text)),
                "{name} is gone, unsaid: {context}, {actions:?}"
            );
            given_up += u32::from(!is_kept);
        }
        let gone = before.protected.len() - after.protected.len();
        let is_said = actions.iter().any(|action| action.lost);
        assert!(gone == 0 || is_said, "{gone} are gone, unsaid: {context}");
        for page in &before.regular {
            let is_cut_off = *page >= stored && is_said;
            assert!(
                is_cut_off || after.regular.contains(page),
                "page {page}: {context}"
            );
        }
        mended += u32::from(!actions.is_empty());
        lost += u32::from(gone > 0);
        // And it goes on.
        let mut tx = pager.begin().unwrap();
        let ids = pager.alloc_protected(&mut tx, 30).unwrap();
        rng.fill(&mut pager.stage(&mut tx, ids[0]).unwrap()[..]);
        pager.commit(tx).expect(&context);
        check_is_clean(pager.store()).expect(&context);
        if let Some(name) = after.snapshots.keys().next() {
            pager.restore(name).expect(&context);
            assert_eq!(shown(&mut pager), after.snapshots[name], "{context}");
        }
        pager.create_snapshot("new", 0).expect(&context);
        for name in after.snapshots.keys() {
            pager.delete_snapshot(name).expect(&context);
        }
        check_is_clean(pager.store()).expect(&context);
        let image = pagebox_tests::decode::Image {
            bytes: pager.store().bytes(),
            page_size: SIZE.bytes(),
        };
        Shown::of(&image).expect(&context);
    }
    figures::print(&format!(
        "format 1: 1500 damaged files, {mended} of them mended, {lost} with a loss, {refused} without a root: nothing invented"
    ));
    assert!(mended > 300 && lost > 100 && refused < 100);
    assert!(kept > 100 && given_up > 100, "{kept}, {given_up}");
}

/// Lets each call of a verb fail, and says how many there were. Without a failure
/// so many protected pages are given up.
fn failing_calls(file: &MemoryStore, verb: Verb, losses: usize) -> u64 {
    for after in 0.. {
        let (mut store, switch) = FailingStore::new(file.clone());
        switch.set(Fault {
            verb,
            after,
            for_good: false,
            no_space: false,
        });
        let done = mend(&mut store);
        let failed = switch.clear() > 0;
        match done {
            // One that failed in a look is made up for by the next look.
            Ok(actions) => {
                let lost = actions.iter().filter(|action| action.lost);
                assert_eq!(lost.count(), losses, "{verb:?} after {after}: {actions:?}");
                assert_eq!(actions.is_empty(), losses == 0, "{verb:?} after {after}");
            }
            Err(error) => {
                let is_named = failed && matches!(error, Error::Store { .. });
                assert!(is_named, "{error:?}, {verb:?} after {after}");
            }
        }
        if !failed {
            return after;
        }
    }
    unreachable!("there are only so many calls")
}

/// What the medium does not give now may be there later: it is not given up.
#[test]
fn any_failing_call_is_an_error_and_gives_nothing_up() {
    let (sound, held) = file(&mut Rng::new(5));
    let mut pager = Pager::open(sound.clone(), Access::Read).unwrap();
    let first = *held.protected.keys().next().unwrap();
    let page = pager
        .locate_protected(ProtectedId(first))
        .unwrap()
        .page
        .unwrap();
    let mut damaged = sound.clone();
    damaged.bytes_mut()[page as usize * SIZE.bytes()] ^= 1;
    let verbs = [
        Verb::Read,
        Verb::Checksum,
        Verb::Write,
        Verb::Sync,
        Verb::Grow,
    ];
    let mut failures = 0;
    let actions = mend(&mut damaged.clone()).unwrap();
    let losses = actions.iter().filter(|action| action.lost).count();
    assert!(losses > 1, "the page is a snapshot's, too: {actions:?}");
    for (file, losses) in [(sound, 0), (damaged, losses)] {
        for verb in verbs {
            failures += failing_calls(&file, verb, losses);
        }
    }
    assert!(failures > 100, "only {failures} calls failed");
}

/// Of those that the trees know, and of those in deltas.
#[test]
fn regular_pages_that_were_cut_off_are_told_of() {
    let new = NewFile {
        format: Format::One,
        page_count: 200,
        uuid: *b"a uuid of a file",
    };
    let mut pager = Pager::create_as(MemoryStore::new(SIZE), &new).unwrap();
    let pages = |pager: &mut Pager<MemoryStore>, count| {
        let mut tx = pager.begin().unwrap();
        let pages = pager.alloc(&mut tx, count).unwrap();
        pager.commit(tx).unwrap();
        pages
    };
    // More than a record holds deltas of: they are in the leaf.
    pages(&mut pager, 20);
    let last = pages(&mut pager, 500).pop().unwrap();
    let in_deltas = pages(&mut pager, 3);
    assert!(in_deltas[0] > last);
    let mut store = pager.close();
    store.bytes_mut().truncate(300 * SIZE.bytes());
    let lost: Vec<String> = mend(&mut store)
        .unwrap()
        .into_iter()
        .filter(|action| action.lost)
        .map(|action| action.text)
        .collect();
    let gone = in_deltas[2] + 1 - 300;
    assert_eq!(
        lost,
        [format!("{gone} regular pages lay past the end of the file")]
    );
}

#[test]
fn sound_file_stays_as_it_is() {
    let (mut store, _) = file(&mut Rng::new(3));
    let before = store.bytes().to_vec();
    assert_eq!(mend(&mut store).unwrap(), []);
    assert!(store.bytes() == before);
}
