//! Files that become ones of the other format, and go back: each page keeps its
//! number and its bytes.

use pagebox_core::inspect::Inspector;
use pagebox_core::kinds::PageKind;
use pagebox_core::repair::mend;
use pagebox_core::{Access, Error, Format, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageSize};
use pagebox_tests::decode::Image;
use pagebox_tests::legal::check_is_clean;
use pagebox_tests::model::{Model, regular_pages};
use pagebox_tests::rng::Rng;
use pagebox_tests::shown::Shown;
use pagebox_tests::upgrade::convert;
use pagebox_tests::workload::{Change, Step, Workload};

/// The pages of 12 KiB.
fn head(page_size: PageSize) -> u64 {
    3 * (4096 / page_size.bytes() as u64).max(1)
}

/// The file in format 1. Pages that are in the way of its head are freed, as the
/// errors say.
fn upgraded(old: &mut Pager<MemoryStore>, model: &mut Model) -> Pager<MemoryStore> {
    let page_size = old.stats().page_size;
    loop {
        match convert(old, MemoryStore::new(page_size), Format::One) {
            Ok(new) => return new,
            Err(Error::NotRegular { page, .. }) => {
                assert_eq!(model.regular.keys().next(), Some(&page), "it is the first");
                assert!(page < head(page_size), "page {page}");
                let mut tx = old.begin().unwrap();
                old.free(&mut tx, &[page]).unwrap();
                old.commit(tx).unwrap();
                model.regular.remove(&page);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// That a file is sound and holds what the model says: by its verbs, by the check
/// and by the independent reader.
fn holds(pager: &mut Pager<MemoryStore>, model: &Model) -> Result<(), String> {
    model.check(pager)?;
    check_is_clean(pager.store())?;
    let page_size = pager.stats().page_size.bytes();
    let image = Image {
        bytes: pager.store().bytes(),
        page_size,
    };
    let shown = Shown::of(&image)?;
    model.check_shown(&shown, &image)
}

fn works(pager: &mut Pager<MemoryStore>, model: &mut Model, steps: u64, seed: u64) {
    let mut workload = Workload::new(seed);
    for _ in 0..steps {
        match model.run(pager, &workload.step()) {
            Ok(()) | Err(Error::Full { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn files_of_every_page_size_keep_their_pages_there_and_back() {
    let mut odd = 0;
    for seed in 0..60 {
        // Of large pages a few.
        let log2 = match seed % 10 {
            0 if seed < 20 => 20,
            0 | 1 => 16,
            2 => 14,
            3 | 4 => 11,
            5..8 => 12,
            _ => 10,
        };
        let page_size = PageSize::from_log2(log2).unwrap();
        let mut rng = Rng::new(seed);
        let mut old = Pager::create(MemoryStore::new(page_size), 0).unwrap();
        let mut model = Model::new(page_size.bytes());
        // Where homes want to be.
        let most = if log2 == 20 { 8 } else { 120 };
        let first = [
            Change::Alloc(rng.below(most) as u32),
            Change::AllocProtected(rng.below(most) as u32),
        ];
        model.run(&mut old, &Step::Commit(first.to_vec())).unwrap();
        let steps = if log2 == 20 { 10 } else { 60 };
        works(&mut old, &mut model, steps, seed);
        holds(&mut old, &model).unwrap();

        let mut new = upgraded(&mut old, &mut model);
        assert_eq!(new.stats().format, "1.0");
        holds(&mut new, &model).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        // Every size has homes on so many pages.
        let mut at_their_place = head(page_size)..head(page_size) + 6;
        odd += u32::from(at_their_place.any(|page| model.regular.contains_key(&page)));
        works(&mut new, &mut model, steps, seed + 1);
        let mut new = Pager::open(new.close(), Access::Write).unwrap();
        holds(&mut new, &model).unwrap_or_else(|error| panic!("seed {seed}: {error}"));

        let store = MemoryStore::new(page_size);
        let mut back = convert(&mut new, store, Format::Zero).unwrap();
        assert_eq!(back.stats().format, "0.2");
        holds(&mut back, &model).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        works(&mut back, &mut model, steps, seed + 2);
        holds(&mut back, &model).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
    assert!(odd > 10, "{odd}");
}

/// The largest file of format 0, each page of it a regular one that begins with
/// its number: where homes want to be, too.
fn full(page_size: PageSize) -> Pager<MemoryStore> {
    let mut pager = Pager::create(MemoryStore::new(page_size), 0).unwrap();
    let mut tx = pager.begin().unwrap();
    let limit = pager.stats().page_limit;
    let pages = pager.alloc(&mut tx, (limit - 3) as u32).unwrap();
    pager.commit(tx).unwrap();
    for page in pages {
        let bytes = pager.store_mut().page_mut(page).unwrap();
        bytes[..8].copy_from_slice(&page.to_le_bytes());
    }
    let mut tx = pager.begin().unwrap();
    let in_the_way: Vec<_> = (3..head(page_size)).collect();
    pager.free(&mut tx, &in_the_way).unwrap();
    pager.commit(tx).unwrap();
    pager
}

fn expect_numbers(pager: &mut Pager<MemoryStore>, pages: std::ops::Range<u64>) {
    let shown = regular_pages(pager, 100).unwrap();
    assert!(
        shown
            .iter()
            .copied()
            .take(pages.clone().count())
            .eq(pages.clone())
    );
    for page in pages {
        let bytes = pager.store().page(page).unwrap();
        assert_eq!(bytes[..8], page.to_le_bytes());
    }
}

/// Which pages are of SPACE.
fn homes(pager: &Pager<MemoryStore>) -> Vec<u64> {
    let mut inspector = Inspector::open(pager.store().clone());
    let kinds = inspector.kinds(0, u32::MAX);
    (0..)
        .zip(kinds)
        .filter(|&(_, kind)| kind == PageKind::SPACE)
        .map(|(page, _)| page)
        .collect()
}

#[test]
fn a_full_file_of_format_0_becomes_one_of_format_1_and_grows_past_its_groups() {
    for page_size in [PageSize::KIB_1, PageSize::KIB_4] {
        let mut old = full(page_size);
        let limit = old.stats().page_limit;
        let pages = head(page_size)..limit;
        let store = MemoryStore::new(page_size);
        let mut new = convert(&mut old, store, Format::One).unwrap();
        check_is_clean(new.store()).unwrap();
        expect_numbers(&mut new, pages.clone());
        let homes_of_it = homes(&new);
        assert_eq!(
            homes_of_it.len(),
            if page_size == PageSize::KIB_1 { 24 } else { 18 }
        );
        // They are shown as what they are, past the end of the old file.
        assert!(
            homes_of_it.iter().all(|&page| page >= limit),
            "{homes_of_it:?}"
        );

        // Four groups of 2P pages are all that format 0 has.
        let groups = 8 * page_size.bytes() as u64;
        let mut tx = new.begin().unwrap();
        new.alloc(&mut tx, 1000).unwrap();
        new.claim_protected(&mut tx, &[ProtectedId(5), ProtectedId(1 << 30)])
            .unwrap();
        new.stage(&mut tx, ProtectedId(5)).unwrap().fill(7);
        new.commit(tx).unwrap();
        assert!(new.stats().page_count.unwrap() > groups);
        let mut new = Pager::open(new.close(), Access::Write).unwrap();
        check_is_clean(new.store()).unwrap();
        expect_numbers(&mut new, pages.clone());

        // It does not go back.
        let store = MemoryStore::new(page_size);
        let error = convert(&mut new, store, Format::Zero).unwrap_err();
        let first = regular_pages(&mut new, 100).unwrap();
        let page = first.into_iter().find(|&page| page >= limit).unwrap();
        assert_eq!(
            error,
            Error::OutOfRange {
                page,
                page_count: limit
            }
        );

        // A leaf in an odd home rots: no page that was in use is given away.
        let mut store = new.close();
        let home = homes_of_it[0] as usize * page_size.bytes();
        for side in 0..2 {
            store.bytes_mut()[home + side * page_size.bytes()] ^= 1;
        }
        let actions = mend(&mut store).unwrap();
        assert!(actions.iter().all(|action| !action.lost), "{actions:?}");
        check_is_clean(&store).unwrap();
        let mut mended = Pager::open(store, Access::Write).unwrap();
        expect_numbers(&mut mended, pages);
        let same: Vec<_> = homes(&mended);
        assert!(homes_of_it.iter().all(|page| same.contains(page)));
    }
}

/// Not enough of the file is left for the two pages that format 0 takes for a
/// protected one, or its ids end before.
#[test]
fn what_format_0_has_no_room_for_is_an_error() {
    let page_size = PageSize::KIB_1;
    let mut old = Pager::create(MemoryStore::new(page_size), 0).unwrap();
    let limits = old.stats();
    let convert_back = |ids: &[u64]| {
        let mut old = Pager::create(MemoryStore::new(page_size), 0).unwrap();
        let mut model = Model::new(page_size.bytes());
        let mut new = upgraded(&mut old, &mut model);
        let ids: Vec<_> = ids.iter().copied().map(ProtectedId).collect();
        let mut tx = new.begin().unwrap();
        new.claim_protected(&mut tx, &ids).unwrap();
        new.commit(tx).unwrap();
        let back = convert(&mut new, MemoryStore::new(page_size), Format::Zero);
        back.map(|mut back| {
            check_is_clean(back.store()).unwrap();
            assert_eq!(back.stats().protected_pages, Some(ids.len() as u64));
        })
    };
    // As many as there are, and one more.
    let limit = limits.protected_limit;
    let all: Vec<_> = (0..limit).collect();
    assert_eq!(convert_back(&all), Ok(()));
    assert_eq!(convert_back(&[0, limit - 1]), Ok(()));
    assert_eq!(
        convert_back(&[0, limit]),
        Err(Error::DirectoryFull { limit })
    );

    // To the last page: 2 for each, 2 for each block of the directory.
    let blocks = 2 * limit.div_ceil(33);
    let room = limits.page_limit - 3 - 2 * limit - blocks;
    let mut tx = old.begin().unwrap();
    old.alloc(&mut tx, (room + 1) as u32).unwrap();
    old.commit(tx).unwrap();
    let mut model = Model::new(page_size.bytes());
    for page in regular_pages(&mut old, 100).unwrap() {
        model.regular.insert(
            page,
            pagebox_tests::model::Regular {
                content: None,
                is_settled: true,
            },
        );
    }
    let mut new = upgraded(&mut old, &mut model);
    let freed = room + 1 - model.regular.len() as u64;
    let mut tx = new.begin().unwrap();
    let high: Vec<_> = new.alloc(&mut tx, freed as u32).unwrap();
    assert!(high.iter().all(|&page| page < limits.page_limit));
    new.alloc_protected(&mut tx, limit as u32).unwrap();
    new.commit(tx).unwrap();
    let store = || MemoryStore::new(page_size);
    let error = convert(&mut new, store(), Format::Zero).unwrap_err();
    assert_eq!(
        error,
        Error::Full {
            limit: limits.page_limit
        }
    );
    let mut tx = new.begin().unwrap();
    new.free(&mut tx, &high[..1]).unwrap();
    new.commit(tx).unwrap();
    let mut back = convert(&mut new, store(), Format::Zero).unwrap();
    check_is_clean(back.store()).unwrap();
    assert_eq!(back.stats().free_pages, Some(0));
}
