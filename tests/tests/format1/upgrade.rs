//! Files around regular pages that were there before them, as upgraded ones
//! are: no home lies on one, and they work as any other.

use std::collections::BTreeSet;

use pagebox_core::Extent;
use pagebox_core::bitmap::Overlay;
use pagebox_core::format1::{Error, File, Layout, Shape};
use pagebox_core::kinds::PageKind;
use pagebox_store::{MemoryStore, PageSize, PageStore};
use pagebox_tests::crash::CrashStore;
use pagebox_tests::rng::Rng;

use super::crash::{Tally, crashes};
use super::scene::{
    DELTAS, MEDIUM, SMALL, Scene, TINY, UUID, WIDE, agree, create_around, reach, regular_pages,
    state_of, with_deltas,
};

const SHAPES: [Shape; 4] = [SMALL, MEDIUM, TINY, WIDE];

/// Where the homes of the first groups lie: the rules, read plainly.
fn homes_around(shape: Shape, regular: &BTreeSet<u64>) -> [u64; 4] {
    let usual = Layout::regular(shape);
    let homes_at = |first: u64, group| first..first + usual.homes_len(group);
    let mut nobodys: BTreeSet<u64> = (shape.head()..8 * shape.group_len())
        .filter(|page| !regular.contains(page))
        .collect();
    let mut take = |pages: std::ops::Range<u64>| nobodys.retain(|page| !pages.contains(page));
    let mut homes = [None; 4];
    for group in 0..8 {
        let pages = homes_at(usual.first(group), group);
        if group >= 4 || pages.clone().all(|page| !regular.contains(&page)) {
            take(pages);
            if let Some(home) = homes.get_mut(group as usize) {
                *home = Some(usual.first(group));
            }
        }
    }
    for (group, home) in (0..).zip(&mut homes) {
        let first = home.unwrap_or_else(|| {
            let mut all = nobodys.iter().copied();
            all.find(|&first| homes_at(first, group).all(|page| nobodys.contains(&page)))
                .expect("past the end there are enough")
        });
        nobodys.retain(|page| !homes_at(first, group).contains(page));
        *home = Some(first);
    }
    homes.map(|home| home.expect("each got one"))
}

fn layout_around(shape: Shape, regular: &BTreeSet<u64>) -> Layout {
    Layout::around(shape, &regular.iter().copied().collect::<Overlay>())
}

#[test]
fn homes_that_pages_are_in_the_way_of_lie_in_the_lowest_run_that_a_list_finds() {
    let mut odd = [0; 4];
    for seed in 0..3000 {
        let mut rng = Rng::new(seed);
        let shape = SHAPES[(seed % 4) as usize];
        let regular = regular_pages(shape, &mut rng);
        let layout = layout_around(shape, &regular);
        assert_eq!(
            layout.homes(),
            homes_around(shape, &regular),
            "seed {seed}: {regular:?}"
        );
        // A reader lets them through.
        if layout.floor() <= shape.page_limit() {
            assert_eq!(Layout::new(shape, layout.homes()), Some(layout));
        }
        for group in 0..4 {
            odd[group as usize] += u32::from(layout.is_odd(group));
        }
    }
    assert!(odd.iter().all(|&count| count > 300), "{odd:?}");
}

/// Each page of four groups is regular: homes lie in the fifth, behind its own.
#[test]
fn homes_of_a_full_file_lie_behind_those_of_the_next_group() {
    let all = (SMALL.head()..4 * SMALL.group_len()).collect();
    let layout = layout_around(SMALL, &all);
    let end = 4 * SMALL.group_len() + layout.own(4);
    let expected = [0, 1, 2].map(|group| layout.homes_len(group));
    let [first, second, third] = expected;
    assert_eq!(
        layout.homes(),
        [
            end,
            end + first,
            end + first + second,
            end + first + second + third
        ]
    );
    assert_eq!(layout.own(4), layout.homes_len(4));
}

/// As a file is that was just made around pages: the reader says so, and the
/// verbs agree.
fn is_as_made(scene: &mut Scene<MemoryStore>) -> Result<(), String> {
    let state = state_of(&scene.store, scene.layout.shape())?;
    scene.model.is(&state)?;
    if !state.is_acknowledged {
        return Err("the roots differ".into());
    }
    agree(&mut scene.file, &scene.store, &state)
}

#[test]
fn files_around_pages_work_as_a_model_says() {
    let (mut grown, mut past_the_end) = (0, 0);
    for seed in 0..120 {
        let mut rng = Rng::new(seed);
        let shape = match seed % 6 {
            0 | 1 => SMALL,
            2 => TINY,
            3 => WIDE,
            4 => MEDIUM,
            _ => Shape::of(PageSize::KIB_1),
        };
        let regular = regular_pages(shape, &mut rng);
        let layout = layout_around(shape, &regular);
        let layout = with_deltas(layout, *rng.pick(&DELTAS));
        let mut store = MemoryStore::new(shape.page_size);
        if layout.floor() > shape.page_limit() {
            let full = create_around(&mut store, shape, 0, &regular);
            assert!(matches!(full, Err(Error::Full { .. })), "{full:?}");
            assert_eq!(store.geometry().page_count, 0);
            continue;
        }
        past_the_end += u64::from(regular.last() < Some(&(layout.floor() - 1)));
        let mut scene = Scene::around(store, layout, regular, seed);
        let failed = |scene: &Scene<_>, error: String| panic!("{error}: {:#?}", scene.log);
        is_as_made(&mut scene).unwrap_or_else(|error| failed(&scene, error));
        for _ in 0..40 {
            scene.snapshots_max = *rng.pick(&[0, 3]);
            scene
                .step()
                .unwrap_or_else(|error| failed(&scene, error.to_string()));
            is_as_made(&mut scene).unwrap_or_else(|error| failed(&scene, error));
            if rng.chance(1, 5) {
                scene.file.close(&mut scene.store).unwrap();
                scene.file = File::open_shaped(&scene.store, layout.shape()).unwrap();
                is_as_made(&mut scene).unwrap_or_else(|error| failed(&scene, error));
            }
        }
        grown += u64::from(scene.file.stats().page_count > 4 * shape.group_len());
    }
    assert!(grown > 10 && past_the_end > 10, "{grown}, {past_the_end}");
}

#[test]
fn a_page_that_the_head_needs_is_named_and_nothing_is_made() {
    let mut store = MemoryStore::new(PageSize::KIB_1);
    let around = |store: &mut MemoryStore, runs: &[(u64, u64)]| {
        let runs: Vec<_> = runs
            .iter()
            .map(|&(first, count)| Extent { first, count })
            .collect();
        File::create_around(store, UUID, 0, &runs).map(|file| file.stats().page_count)
    };
    let refused = |page, kind| Err(Error::NotRegular { page, kind });
    let limit = 4 * 2048;
    let outside = |page| {
        let page_count = limit;
        Err(Error::OutOfRange { page, page_count })
    };
    for (runs, outcome) in [
        (&[(20, 3), (3, 1)][..], refused(3, PageKind::HEADER)),
        (&[(5, 30)], refused(5, PageKind::ROOT)),
        (&[(11, 1)], refused(11, PageKind::ROOT)),
        (&[(limit - 1, 2)], outside(limit)),
        (&[(limit + 5, 1)], outside(limit + 5)),
        (&[(1 << 47, u64::MAX)], outside(1 << 47)),
        (&[(u64::MAX, 1)], outside(u64::MAX)),
    ] {
        assert_eq!(around(&mut store, runs), outcome, "{runs:?}");
        assert_eq!(store.geometry().page_count, 0);
    }
    // Runs of nothing are nothing, wherever.
    assert_eq!(around(&mut store, &[(12, 1), (u64::MAX, 0)]), Ok(31));
}

#[test]
fn power_loss_in_a_file_around_pages_leaves_the_state_before_or_after() {
    let name = "power lost in upgraded files, and again in the next commit";
    Tally::fill(name, 10, |tally, seed| {
        let mut rng = Rng::new(seed);
        let shape = SHAPES[(seed % 4) as usize];
        let regular = regular_pages(shape, &mut rng);
        let layout = layout_around(shape, &regular);
        let layout = with_deltas(layout, *rng.pick(&DELTAS));
        if layout.floor() > shape.page_limit() {
            return;
        }
        let store = CrashStore::new(shape.page_size);
        let mut scene = Scene::around(store, layout, regular, seed);
        scene.store.guard(&reach(layout.shape()));
        crashes(tally, &mut scene, &mut rng);
    });
}
