//! The pure maps against naive twins, with random operations.

use std::collections::BTreeSet;

use pagebox_core::allocation::AllocationMap;
use pagebox_core::bitmap::{Bitmap, Overlay};
use pagebox_core::format0::directory::{DirectoryCopy, Slot};
use pagebox_core::kinds::PageKind;
use pagebox_core::{Extent, Side};
use pagebox_store::PageSize;
use pagebox_tests::rng::Rng;

/// Lengths around every boundary: of words, and of groups of 64 words.
const LENGTHS: [u64; 13] = [0, 1, 3, 63, 64, 65, 127, 200, 4095, 4096, 4097, 8191, 9000];

/// A bit, often at a boundary and sometimes past the end.
fn some_bit(rng: &mut Rng, len: u64) -> u64 {
    match rng.below(6) {
        0 => rng.below(len.div_ceil(64) + 1) * 64,
        1 => (rng.below(len.div_ceil(64) + 1) * 64 + 63).min(len),
        2 => len.saturating_sub(1),
        3 => len + rng.below(3),
        _ => rng.below(len + 1),
    }
}

#[test]
fn bitmap_agrees_with_a_list_of_flags() {
    for (seed, len) in (0..).zip(LENGTHS) {
        let mut rng = Rng::new(seed);
        let mut map = Bitmap::new(len);
        let mut naive = vec![false; len as usize];
        // Nearly full maps and nearly empty ones are where finding is hard.
        for fill in [true, false, true] {
            for _ in 0..400 {
                let at = some_bit(&mut rng, naive.len() as u64);
                let value = rng.chance(9, 10) == fill;
                if rng.chance(1, 10) {
                    let mut overlay = Overlay::default();
                    for bit in at..at + rng.below(3000) {
                        overlay.insert(bit);
                        if let Some(flag) = naive.get_mut(bit as usize) {
                            *flag = value;
                        }
                    }
                    map.apply(&overlay, value);
                } else {
                    map.set(at, value);
                    if let Some(flag) = naive.get_mut(at as usize) {
                        *flag = value;
                    }
                }
                compare(&map, &naive, &mut rng);
            }
            if fill {
                let longer = naive.len() as u64 + rng.below(300);
                map.grow(longer);
                naive.resize(longer as usize, false);
                map.grow(longer / 2);
                compare(&map, &naive, &mut rng);
            }
        }
    }
}

fn compare(map: &Bitmap, naive: &[bool], rng: &mut Rng) {
    let len = naive.len() as u64;
    let (first, end) = (some_bit(rng, len), some_bit(rng, len));
    let find = |start: u64, value: bool| (start..len).find(|&bit| naive[bit as usize] == value);
    let ones = |range: std::ops::Range<u64>| {
        range
            .filter(|&bit| naive.get(bit as usize) == Some(&true))
            .count() as u64
    };
    assert_eq!(map.len(), len);
    assert_eq!(map.is_empty(), len == 0);
    assert_eq!(map.ones(), ones(0..len));
    assert_eq!(map.get(first), naive.get(first as usize) == Some(&true));
    assert_eq!(
        map.find_clear(first),
        find(first, false),
        "from {first} of {len}"
    );
    assert_eq!(map.find_clear(0), find(0, false));
    assert_eq!(
        map.find_set(first),
        find(first, true),
        "from {first} of {len}"
    );
    assert_eq!(
        map.count(first, end),
        ones(first..end.min(len)),
        "{first}..{end} of {len}"
    );
    if rng.chance(1, 20) {
        assert!(map.iter().eq((0..len).filter(|&bit| naive[bit as usize])));
        assert_eq!(*map, Bitmap::from_words(map.words().to_vec(), len));
    }
}

#[test]
fn bitmaps_of_words_ignore_what_is_past_their_end() {
    for len in LENGTHS {
        let words = vec![u64::MAX; len.div_ceil(64) as usize + 2];
        let map = Bitmap::from_words(words, len);
        assert_eq!((map.len(), map.ones(), map.find_clear(0)), (len, len, None));
        assert_eq!(map, Bitmap::all_ones(len));
        assert_eq!(map.count(0, u64::MAX), len);
        assert_eq!(map.difference(&Bitmap::new(0)), map);
        assert_eq!(Bitmap::new(len).difference(&map).ones(), 0);
    }
}

#[test]
fn difference_of_bitmaps_is_the_difference_of_sets() {
    let mut rng = Rng::new(5);
    for _ in 0..50 {
        let mut some = || {
            let len = *rng.pick(&LENGTHS);
            let mut map = Bitmap::new(len);
            for _ in 0..len / 2 {
                map.set(rng.below(len), true);
            }
            map
        };
        let (left, right) = (some(), some());
        let set = |map: &Bitmap| map.iter().collect::<BTreeSet<_>>();
        let expected: BTreeSet<_> = set(&left).difference(&set(&right)).copied().collect();
        assert_eq!(set(&left.difference(&right)), expected);
    }
}

#[test]
fn overlay_agrees_with_a_set() {
    let mut rng = Rng::new(1);
    for _ in 0..50 {
        let mut overlay = Overlay::default();
        let mut naive = BTreeSet::new();
        for _ in 0..300 {
            let bit = if rng.chance(1, 50) {
                u64::MAX - rng.below(3)
            } else {
                rng.below(500)
            };
            if rng.chance(3, 5) {
                assert_eq!(overlay.insert(bit), naive.insert(bit));
            } else {
                assert_eq!(overlay.remove(bit), naive.remove(&bit));
            }
            assert_eq!(overlay.contains(bit), naive.contains(&bit));
            assert_eq!(overlay.len(), naive.len() as u64);
            assert_eq!(overlay.is_empty(), naive.is_empty());
            assert_eq!(overlay.max(), naive.last().copied());
        }
        assert!(overlay.iter().eq(naive.iter().copied()));
    }
}

#[test]
fn allocation_map_agrees_with_a_list_of_kinds() {
    // The last is of no format that there is.
    const KINDS: [PageKind; 5] = [
        PageKind::FREE,
        PageKind::REGULAR,
        PageKind::DIRECTORY,
        PageKind::PROTECTED_ACTIVE,
        PageKind(200),
    ];
    for (seed, len) in (0..).zip(LENGTHS) {
        let mut rng = Rng::new(seed);
        let mut map = AllocationMap::from_used(Bitmap::new(len));
        let mut naive = vec![PageKind::FREE; len as usize];
        for round in 0..300 {
            let end = naive.len() as u64;
            let at = some_bit(&mut rng, end);
            let kind = *rng.pick(&KINDS);
            let mut overlay = Overlay::default();
            let run = if rng.chance(1, 3) { rng.below(200) } else { 0 };
            for page in at..(at + run).min(end) {
                overlay.insert(page);
            }
            map.set_all(&overlay, kind);
            if at < end {
                map.set(at, kind);
            }
            for flag in naive.iter_mut().skip(at as usize).take(run.max(1) as usize) {
                *flag = kind;
            }
            if round % 100 == 99 {
                naive.resize(naive.len() + 70, PageKind::FREE);
                map.grow(naive.len() as u64);
            }
            map.assert_consistent();
            let start = some_bit(&mut rng, naive.len() as u64);
            assert_eq!(map.page_count(), naive.len() as u64);
            let at = |page: u64| naive.get(page as usize).copied();
            assert_eq!(map.get(start), at(start).unwrap_or(PageKind::FREE));
            for kind in KINDS {
                let count = naive.iter().filter(|&&it| it == kind).count() as u64;
                assert_eq!(map.count(kind), count);
            }
            let mut sum = [0; 256];
            map.count_in(start, end, |kind, count| sum[usize::from(kind.0)] += count);
            for kind in KINDS {
                let of_kind = |page: &u64| at(*page) == Some(kind);
                let count = (start..end).filter(of_kind).count() as u64;
                assert_eq!(sum[usize::from(kind.0)], count, "{kind:?}");
            }
            let free = (start..naive.len() as u64).find(|&page| at(page) == Some(PageKind::FREE));
            assert_eq!(map.find_free(start), free);
            let limit = rng.below(6) as usize;
            assert_eq!(
                map.regular(start, limit),
                runs(&naive, start, limit),
                "from {start}"
            );
        }
    }
}

/// Runs of regular pages, the plain way.
fn runs(kinds: &[PageKind], start: u64, limit: usize) -> Vec<Extent> {
    let mut runs: Vec<Extent> = Vec::new();
    for (page, _) in (0..)
        .zip(kinds)
        .skip(start as usize)
        .filter(|it| *it.1 == PageKind::REGULAR)
    {
        match runs.last_mut() {
            Some(run) if run.first + run.count == page => run.count += 1,
            _ => runs.push(Extent {
                first: page,
                count: 1,
            }),
        }
    }
    runs.truncate(limit);
    runs
}

#[test]
fn directory_copy_agrees_with_a_list_of_slots() {
    for (page_size, capacity) in [(PageSize::KIB_1, 33), (PageSize::KIB_4, 136)] {
        let mut rng = Rng::new(capacity as u64);
        let mut copy = DirectoryCopy::new(page_size);
        let mut naive = vec![None; capacity];
        assert_eq!(copy.capacity(), capacity);
        for _ in 0..500 {
            let index = rng.below(capacity as u64) as usize;
            let slot = rng.chance(2, 3).then(|| Slot {
                pages: [rng.next_u64(), rng.next_u64()],
                active: *rng.pick(&Side::BOTH),
                generation: rng.next_u64(),
                checksum: rng.next_u64() as u32,
            });
            copy.set_slot(index, slot.as_ref());
            naive[index] = slot;
            let found: Vec<_> = (0..capacity)
                .map(|index| copy.slot(index).unwrap())
                .collect();
            assert_eq!(found, naive);
        }
        for slot in naive.into_iter().flatten() {
            assert_eq!(slot.active_page(), slot.active.of(slot.pages));
            assert_eq!(slot.shadow_page(), slot.active.other().of(slot.pages));
        }
    }
}
