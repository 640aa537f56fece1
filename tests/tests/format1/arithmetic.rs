//! Where the homes lie, against a naive twin that lists pages.

use std::collections::BTreeSet;

use pagebox_core::Side;
use pagebox_core::format1::{Layout, Shape};
use pagebox_store::PageSize;
use pagebox_tests::rng::Rng;

use super::scene::{MEDIUM, SMALL, TINY, WIDE, layout, odd};

/// How often the fan divides a group.
fn levels(shape: Shape, group: u64) -> u32 {
    let fan = shape.fan() as u64;
    let mut power = fan;
    let mut levels = 0;
    while levels < shape.space_levels() && group.is_multiple_of(power) {
        levels += 1;
        power *= fan;
    }
    levels
}

fn group_start(shape: Shape, group: u64) -> u64 {
    group * shape.group_len() + if group == 0 { shape.head() } else { 0 }
}

/// The homes of a group, one page after the other.
fn homes(layout: &Layout, group: u64) -> Vec<u64> {
    let shape = layout.shape();
    let first = if group < 4 {
        layout.homes()[group as usize]
    } else {
        group_start(shape, group)
    };
    (first..)
        .take(2 * (1 + levels(shape, group) as usize))
        .collect()
}

/// All pages that are the head's or homes, in a file of so many groups.
fn reserved(layout: &Layout, groups: u64) -> BTreeSet<u64> {
    let shape = layout.shape();
    let mut pages: BTreeSet<u64> = (0..shape.head()).collect();
    for group in 0..groups.max(4) {
        let homes = homes(layout, group);
        if group < groups || homes[0] != group_start(shape, group) {
            pages.extend(homes);
        }
    }
    pages
}

#[test]
fn homes_lie_where_a_list_of_them_says() {
    for layout in [SMALL, MEDIUM, TINY, WIDE]
        .map(Layout::regular)
        .into_iter()
        .chain([odd(SMALL)])
    {
        let shape = layout.shape();
        let groups = 200.min(shape.page_limit() / shape.group_len());
        let all = reserved(&layout, groups);
        for group in 0..groups {
            assert_eq!(layout.levels(group), levels(shape, group));
            let start = group * shape.group_len();
            let own = (start..start + shape.group_len())
                .take_while(|page| reserved_by(&layout, *page, group))
                .count();
            assert_eq!(layout.own(group), own as u64, "own of {group}");
            let here: BTreeSet<u64> = layout.reserved_in(group).collect();
            let end = start + shape.group_len();
            assert_eq!(here, all.range(start..end).copied().collect());
        }
        for page in 0..groups * shape.group_len() {
            assert_eq!(layout.is_reserved(page), all.contains(&page), "page {page}");
        }
        // Each node has a home of its own, and together they are all of them.
        let mut seen: BTreeSet<u64> = (0..shape.head()).collect();
        for level in 0..=shape.space_levels() {
            let nodes = groups.div_ceil((shape.fan() as u64).pow(level));
            for index in 0..nodes {
                for side in Side::BOTH {
                    assert!(seen.insert(layout.home(level, index, side)));
                }
            }
        }
        assert!(seen.is_subset(&all));
    }
}

/// Whether a page at the start of a group is the head's or of this group's
/// homes at their place.
fn reserved_by(layout: &Layout, page: u64, group: u64) -> bool {
    let shape = layout.shape();
    let homes = homes(layout, group);
    let is_regular = homes[0] == group_start(shape, group);
    (group == 0 && page < shape.head()) || (is_regular && homes.contains(&page))
}

#[test]
fn page_counts_are_rounded_as_a_list_of_them_says() {
    for layout in [SMALL, MEDIUM, WIDE]
        .map(Layout::regular)
        .into_iter()
        .chain([odd(SMALL)])
    {
        let shape = layout.shape();
        let floor = (0..4)
            .map(|group| homes(&layout, group))
            .zip(0..)
            .filter(|(homes, group)| homes[0] != group_start(shape, *group))
            .map(|(homes, _)| homes[homes.len() - 1] + 1)
            .chain([layout.own(0) + 1])
            .max()
            .unwrap();
        assert_eq!(layout.floor(), floor);
        let can_be = |count: u64| {
            let group = count / shape.group_len();
            let rest = count % shape.group_len();
            count >= floor && (group == 0 || rest == 0 || rest > layout.own(group))
        };
        let counts = || floor..1800;
        for count in 0..1700 {
            let below = counts().rev().find(|&it| it <= count && can_be(it));
            assert_eq!(layout.round(count), below.unwrap_or(floor), "{count}");
            let above = counts().find(|&it| it >= count && can_be(it));
            assert_eq!(Some(layout.round_up(count)), above, "{count}");
            if can_be(count) {
                let reserved = reserved(&layout, count.div_ceil(shape.group_len()));
                assert_eq!(layout.reserved(count), reserved.len() as u64, "{count}");
                assert!(reserved.iter().all(|&page| page < count), "{count}");
            }
        }
    }
}

/// The figures of the specification.
#[test]
fn shapes_of_page_sizes_are_those_of_the_specification() {
    for (page_size, smallest, homes) in [
        (PageSize::KIB_1, 31, 18),
        (PageSize::KIB_4, 16, 12),
        (PageSize::KIB_16, 14, 10),
        (PageSize::KIB_64, 12, 8),
        (PageSize::MIB_1, 10, 6),
    ] {
        let shape = Shape::of(page_size);
        let layout = Layout::regular(shape);
        assert_eq!(layout.floor(), smallest);
        assert_eq!(layout.homes_len(0), homes);
        assert_eq!(shape.fan(), page_size.bytes() / 32);
        assert_eq!(shape.group_len(), 2 * page_size.bytes() as u64);
    }
}

#[test]
fn nothing_overflows_at_the_limits() {
    let mut rng = Rng::new(0);
    for log2 in 10..=20 {
        let shape = Shape::of(PageSize::from_log2(log2).unwrap());
        let layout = Layout::regular(shape);
        let limit = shape.page_limit();
        assert!(limit <= 1 << 48);
        assert!(
            limit
                .checked_mul(shape.page_size.bytes() as u64)
                .is_some_and(|it| it < 1 << 63)
        );
        for _ in 0..1000 {
            let bits = rng.below(40);
            let count = limit - rng.below(1 << bits);
            let rounded = layout.round(count);
            assert!(rounded <= count && layout.reserved(rounded) < rounded);
            let page = count - 1;
            let group = layout.group_of(page);
            let highest = layout.levels(group);
            let index = shape.index_of(highest, group);
            let home = layout.home(highest, index, Side::B);
            assert!(layout.is_reserved(home) && layout.group_of(home) == group);
        }
    }
}

/// Homes that a hostile header may name.
#[test]
fn homes_that_cannot_be_there_are_refused() {
    let good = odd(SMALL).homes();
    assert!(Layout::new(SMALL, good).is_some());
    let bad = [
        (0, 0),
        (0, 11),
        (1, u64::MAX),
        (1, SMALL.page_limit() - 1),
        (2, good[3]),
        (2, good[3] + 1),
        (3, 4 * SMALL.group_len()),
    ];
    for (group, first) in bad {
        let mut homes = good;
        homes[group] = first;
        assert_eq!(Layout::new(SMALL, homes), None, "group {group} at {first}");
    }
    // No layout that is let through has homes that overlap.
    let mut rng = Rng::new(1);
    for _ in 0..20_000 {
        let homes = std::array::from_fn(|_| rng.below(200));
        if let Some(layout) = Layout::new(SMALL, homes) {
            let groups = 8;
            let all = reserved(&layout, groups);
            let apart = SMALL.head()
                + (0..groups)
                    .map(|group| layout.homes_len(group))
                    .sum::<u64>();
            assert_eq!(all.len() as u64, apart, "{homes:?}");
        }
    }
    assert!((0..32).all(|seed| layout(seed).floor() > 0));
}
