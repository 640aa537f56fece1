//! Page 0 torn, and what only looks so: rules R3 to R5 of recovery, condition by
//! condition. Each test begins with a crash that is understood, and changes the
//! one thing that makes it a file that no crash leaves, or another crash.

use pagebox_core::format0::{Decision, Directory, recover};
use pagebox_core::recovery::{Explain, Verdict};
use pagebox_core::{Access, Error, Pager, Side};
use pagebox_store::{MemoryStore, PageSize, SECTOR};
use pagebox_tests::craft;
use pagebox_tests::crash::CrashStore;
use pagebox_tests::peer::Peer;
use pagebox_tests::peer_sim::PeerSim;

use crate::{P, SIZE};

/// A block reference in page 0: both pages, and the copy that counts.
type Block = (u64, u64, u8);

/// What page 0 has to do with. Metadata A counts, unless page 0 is torn.
#[derive(Clone)]
struct File {
    size: PageSize,
    /// Of metadata A and B: the generation, and how many pages are allocated.
    metadata: [(u64, u64); 2],
    /// A page above these that is allocated in both.
    above: Option<u64>,
    /// Pages that hold a copy of a directory block, without slots, and its tag.
    copies: Vec<(u64, u32)>,
}

impl File {
    fn with(&self, page0: &[u8]) -> Vec<u8> {
        let bytes = self.size.bytes();
        let most = self.metadata[0].1.max(self.metadata[1].1);
        let most = self.above.map_or(most, |page| page + 1);
        let page_count = most.next_power_of_two();
        let mut file = page0.to_vec();
        for (generation, allocated) in self.metadata {
            let allocated = (0..allocated).chain(self.above);
            file.extend(craft::metadata(bytes, page_count, generation, allocated));
        }
        file.resize(page_count as usize * bytes, 0);
        for &(page, tag) in &self.copies {
            let copy = craft::directory(bytes, tag, &[]);
            file[page as usize * bytes..][..bytes].copy_from_slice(&copy);
        }
        file
    }

    fn recovered(&self, page0: &[u8]) -> Decision {
        let store = MemoryStore::from_bytes(self.size, self.with(page0));
        recover(&store, Explain::Yes).unwrap()
    }

    /// No crash can have left this.
    #[track_caller]
    fn is_damaged(&self, page0: &[u8]) {
        let Decision { verdict, steps, .. } = self.recovered(page0);
        assert_eq!(verdict, Verdict::Damaged, "{steps:#?}");
        let store = MemoryStore::from_bytes(self.size, self.with(page0));
        let opened = Pager::open(store, Access::Write);
        assert!(matches!(opened, Err(Error::Damaged { .. })), "{opened:?}");
    }

    /// A crash left this, and with it this state: a generation, the selectors,
    /// and whether the commit was ours.
    #[track_caller]
    fn is_torn(&self, page0: &[u8], verdict: Verdict, generation: u64, sides: &[Side], ours: bool) {
        let Decision {
            verdict: found,
            state,
            steps,
            ..
        } = self.recovered(page0);
        let blocks = state.directory().map(Directory::blocks).unwrap_or_default();
        let active: Vec<Side> = blocks.iter().map(|block| block.place.active).collect();
        assert_eq!(
            (found, state.generation(), &active[..], state.is_tagged()),
            (verdict, Some(generation), sides, ours),
            "{steps:#?}"
        );
    }
}

/// A whole page 0 that names metadata A, tagged or as the peer writes it.
fn page0(size: PageSize, tag: Option<u64>, blocks: &[Block]) -> Vec<u8> {
    let mut page = craft::superblock(size.bytes(), 0, blocks);
    if let Some(generation) = tag {
        craft::tag_superblock(&mut page, generation);
    }
    page
}

/// The first sectors of one page, the others of another.
fn torn(first: &[u8], sectors: usize, rest: &[u8]) -> Vec<u8> {
    [&first[..sectors * SECTOR], &rest[sectors * SECTOR..]].concat()
}

/// Our commit 6 wrote copy B of a block, and of page 0 only what follows the
/// head.
fn ours() -> (File, Vec<u8>) {
    let file = File {
        size: SIZE,
        metadata: [(5, 6), (6, 6)],
        above: None,
        copies: vec![(4, 3), (5, 6)],
    };
    let [old, new] = [0, 1].map(|active| page0(SIZE, Some(5), &[(4, 5, active)]));
    (file, torn(&old, 1, &new))
}

#[test]
fn a_commit_of_ours_that_tore_page_0_counts() {
    let (file, torn) = ours();
    file.is_torn(&torn, Verdict::RolledForward, 6, &[Side::B], true);
}

/// R4. A commit has a generation of its own.
#[test]
fn a_torn_page_0_between_two_metadata_of_one_generation_is_damage() {
    let (mut file, torn) = ours();
    file.metadata[1].0 = 5;
    file.copies[1].1 = 5;
    file.is_damaged(&torn);
}

/// R4. A commit writes one copy of a block.
#[test]
fn a_torn_page_0_with_a_block_of_which_both_copies_are_new_is_damage() {
    let (mut file, torn_to_b) = ours();
    file.copies[0].1 = 6;
    file.is_damaged(&torn_to_b);
    let [old, new] = [1, 0].map(|active| page0(SIZE, Some(5), &[(4, 5, active)]));
    file.is_damaged(&torn(&old, 1, &new));
}

/// C2, R4. Tags are compared for equality: the old copy's may be the greater,
/// since commits that failed took numbers too, and 32 bits wrap around.
#[test]
fn an_old_copy_with_a_greater_tag_is_old_all_the_same() {
    let (mut file, torn) = ours();
    for greater in [7, 9, u32::MAX] {
        file.copies[0].1 = greater;
        file.is_torn(&torn, Verdict::RolledForward, 6, &[Side::B], true);
    }
}

/// R4. No generation of ours has the tag 0. The peer left its commit 2^32
/// unfinished, and then tore page 0 when it changed the block: its copy, tagged
/// 0, is no part of that commit.
#[test]
fn a_copy_of_the_peers_is_no_part_of_a_commit_whose_tag_would_be_0() {
    let file = File {
        size: SIZE,
        metadata: [((1 << 32) - 1, 6), (1 << 32, 6)],
        above: None,
        copies: vec![(4, 3), (5, 0)],
    };
    let [old, new] = [0, 1].map(|active| page0(SIZE, None, &[(4, 5, active)]));
    let generation = (1 << 32) - 1;
    let torn = torn(&old, 1, &new);
    file.is_torn(&torn, Verdict::RolledForward, generation, &[Side::B], false);
}

/// R4. A head that names the new metadata and has no tag is not ours. Our commit
/// 6 is durable; then the peer tore page 0 when it changed a block.
#[test]
#[cfg_attr(miri, ignore = "takes too long")]
fn a_page_0_that_the_peer_tore_after_our_commit_is_not_passed_off_as_ours() {
    let size = PageSize::from_bytes(2048).unwrap();
    // The last selector lies in the second of four sectors.
    let blocks = |last| -> Vec<Block> {
        let block = |index: u64| (3 + 2 * index, 4 + 2 * index, 0);
        (0..30).map(block).chain([(63, 64, last)]).collect()
    };
    let pages = |(a, b, _): Block| [(a, 3), (b, 4)];
    let mut copies: Vec<_> = blocks(0).into_iter().flat_map(pages).collect();
    copies[60].1 = 6;
    copies[61].1 = 0;
    let file = File {
        size,
        metadata: [(6, 65), (5, 65)],
        above: None,
        copies,
    };
    let [old, new] = [0, 1].map(|last| page0(size, None, &blocks(last)));
    let torn = torn(&new, 2, &old);
    file.is_torn(&torn, Verdict::RolledForward, 6, &[Side::A; 31], false);
}

/// R4. What tears a page 0 leaves whole sectors: two selectors of one sector
/// are both old or both new.
#[test]
#[cfg_attr(miri, ignore = "takes too long")]
fn a_sector_with_an_old_and_a_new_selector_is_damage() {
    let pages = |index| (3 + 2 * index, 4 + 2 * index);
    let blocks = |active: [u8; 2]| -> Vec<Block> {
        let block = |index: u64| {
            let (a, b) = pages(index);
            (
                a,
                b,
                if index < 38 {
                    0
                } else {
                    active[index as usize - 38]
                },
            )
        };
        (0..40).map(block).collect()
    };
    let tags = |index| {
        let (a, b) = pages(index);
        [(a, 3), (b, if index < 38 { 2 } else { 6 })]
    };
    let file = File {
        size: SIZE,
        metadata: [(5, 83), (6, 83)],
        above: None,
        copies: (0..40).flat_map(tags).collect(),
    };
    let sides = |last| [vec![Side::A; 38], vec![last; 2]].concat();
    let [old, mut new] = [[0, 0], [1, 1]].map(|active| page0(SIZE, Some(5), &blocks(active)));
    file.is_torn(&old, Verdict::RolledBack, 5, &sides(Side::A), true);
    file.is_torn(
        &torn(&old, 1, &new),
        Verdict::RolledForward,
        6,
        &sides(Side::B),
        true,
    );
    for block in [38, 39] {
        let at = craft::BLOCKS + block * craft::BLOCK_LEN + 16;
        assert!(at > SECTOR);
        new[at] = 0;
        file.is_damaged(&torn(&old, 1, &new));
        new[at] = 1;
    }
}

/// Our commit 6 added a block in pages 6 and 7, and tore page 0.
fn ours_added() -> (File, Vec<u8>) {
    let file = File {
        size: SIZE,
        metadata: [(5, 6), (6, 8)],
        above: None,
        copies: vec![(4, 3), (5, 4), (6, 6)],
    };
    let old = page0(SIZE, Some(5), &[(4, 5, 0)]);
    let new = page0(SIZE, Some(5), &[(4, 5, 0), (6, 7, 0)]);
    (file, torn(&old, 1, &new))
}

/// R4. Fresh pages are those that only the new metadata has: there may be old
/// ones above the added block.
#[test]
fn an_added_block_below_an_old_page_is_found() {
    let (mut file, torn) = ours_added();
    file.above = Some(9);
    file.is_torn(&torn, Verdict::RolledForward, 6, &[Side::A; 2], true);
}

/// R4. Where the torn page 0 has no block yet, the peer does not look at the
/// checksum, and goes on from the old page 0. So do we: two programs that go on
/// from different states would make damage of the file.
#[test]
fn first_blocks_that_page_0_does_not_count_yet_are_undone_as_the_peer_would() {
    // Of so many the last are named in the sector that is new.
    for count in [1, 40] {
        let blocks: Vec<Block> = (0..count).map(|it| (4 + 2 * it, 5 + 2 * it, 0)).collect();
        let file = File {
            size: SIZE,
            metadata: [(5, 4), (6, 4 + 2 * count)],
            above: None,
            copies: blocks.iter().map(|&(page_a, ..)| (page_a, 6)).collect(),
        };
        let old = page0(SIZE, Some(5), &[]);
        let new = page0(SIZE, Some(5), &blocks);
        let torn = torn(&old, 1, &new);
        file.is_torn(&torn, Verdict::RolledBack, 5, &[], true);
        let store = CrashStore::from_bytes(SIZE, &file.with(&torn));
        let seen = PeerSim::open(&store).unwrap().see().unwrap();
        assert_eq!(seen.regular.into_keys().collect::<Vec<_>>(), [3]);
    }
}

/// R4. Copy A of an added block is durable, and tagged, before page 0 names it.
#[test]
fn an_added_block_without_the_commits_tag_is_damage() {
    let (mut file, torn) = ours_added();
    file.is_torn(&torn, Verdict::RolledForward, 6, &[Side::A; 2], true);
    for tag in [0, 4, 5, 7] {
        file.copies[2].1 = tag;
        file.is_damaged(&torn);
    }
}

/// R4. Page 0 has room for 58 blocks, and no torn one had more.
#[test]
#[cfg_attr(miri, ignore = "takes too long")]
fn a_torn_page_0_to_which_no_block_can_be_added_is_damage() {
    let most = craft::blocks_max(P) as u64;
    let blocks: Vec<Block> = (0..most).map(|it| (3 + 2 * it, 4 + 2 * it, 0)).collect();
    let next = 3 + 2 * most;
    let mut copies: Vec<_> = (3..next).map(|page| (page, 3)).collect();
    copies.push((next, 6));
    let file = File {
        size: SIZE,
        metadata: [(5, next), (6, next + 2)],
        above: None,
        copies,
    };
    let mut page = page0(SIZE, Some(5), &blocks);
    file.is_torn(
        &page,
        Verdict::RolledBack,
        5,
        &vec![Side::A; blocks.len()],
        true,
    );
    page[P - 1] ^= 1;
    file.is_damaged(&page);
}

/// The peer changed a block, to its copy B, and tore page 0.
fn peers() -> (File, Vec<u8>) {
    let file = File {
        size: SIZE,
        metadata: [(5, 8), (4, 8)],
        above: None,
        copies: vec![(4, 3), (7, 0)],
    };
    let [old, new] = [0, 1].map(|active| page0(SIZE, None, &[(4, 7, active)]));
    (file, torn(&old, 1, &new))
}

/// R5. Only a copy of the peer's own can have been flipped to or from.
#[test]
fn a_flipped_selector_of_a_block_that_the_peer_did_not_write_is_damage() {
    let (mut file, torn) = peers();
    file.is_torn(&torn, Verdict::RolledForward, 5, &[Side::B], false);
    file.copies[1].1 = 2;
    file.is_damaged(&torn);
}

/// R5. The peer flips a selector, and no other byte. Page 5 is a regular one.
#[test]
fn a_flipped_bit_of_a_block_reference_is_not_a_flipped_selector() {
    let (file, _) = peers();
    let mut page = page0(SIZE, None, &[(4, 7, 0)]);
    assert_eq!(page[craft::BLOCKS], 4);
    page[craft::BLOCKS] ^= 1;
    file.is_damaged(&page);
}

/// The peer added a block in pages 6 and 7, for a protected page in 8 and 9, and
/// tore page 0: what it was, and what it was to become.
fn peers_added() -> (File, [Vec<u8>; 2]) {
    let file = File {
        size: SIZE,
        metadata: [(6, 10), (5, 6)],
        above: None,
        copies: vec![(4, 3), (5, 0), (7, 0)],
    };
    let old = page0(SIZE, None, &[(4, 5, 1)]);
    let new = page0(SIZE, None, &[(4, 5, 1), (6, 7, 1)]);
    (file, [old, new])
}

/// R5. The stored checksum decides, and the rest is told by it.
#[test]
fn a_page_0_that_the_peer_tore_when_it_added_a_block_is_as_its_checksum_says() {
    let (file, [old, new]) = peers_added();
    file.is_torn(
        &torn(&old, 1, &new),
        Verdict::RolledForward,
        6,
        &[Side::B; 2],
        false,
    );
    file.is_torn(
        &torn(&new, 1, &old),
        Verdict::RolledBack,
        6,
        &[Side::B],
        false,
    );
}

/// R5. Each condition of an added block, left out.
#[test]
fn what_only_looks_like_an_added_block_of_the_peers_is_damage() {
    let (file, [old, new]) = peers_added();
    for page in [torn(&old, 1, &new), torn(&new, 1, &old)] {
        // Another fresh page.
        let mut other = file.clone();
        other.metadata[0].1 = 11;
        other.is_damaged(&page);
        // A copy that the peer did not write.
        let mut other = file.clone();
        other.copies[2].1 = 4;
        other.is_damaged(&page);
        // A commit after the one that took the pages.
        let mut other = file.clone();
        other.metadata[1].0 = 7;
        other.is_damaged(&page);
        // Another byte.
        let mut page = page;
        page[SECTOR + 100] ^= 1;
        file.is_damaged(&page);
    }
}

/// R3. Bytes of an unnamed page that look like a tag of page 0's commit, but are
/// not a copy of it, do not count.
#[test]
fn rot_in_a_copy_that_does_not_count_is_no_mixture() {
    let file = File {
        size: SIZE,
        metadata: [(5, 6), (4, 6)],
        above: None,
        copies: vec![(4, 3), (5, 5)],
    };
    let page = page0(SIZE, Some(5), &[(4, 5, 0)]);
    file.is_damaged(&page);
    let mut bytes = file.with(&page);
    bytes[5 * P + 100] ^= 1;
    let recovery = recover(&MemoryStore::from_bytes(SIZE, bytes), Explain::Yes).unwrap();
    assert_eq!(recovery.verdict, Verdict::Clean, "{:#?}", recovery.steps);
}

/// R3. The same for a named page and a commit that was not finished: the copy is
/// what is damaged, and the rest of the directory can be read.
#[test]
fn rot_in_a_copy_that_counts_is_no_mixture() {
    let file = File {
        size: SIZE,
        metadata: [(5, 8), (6, 8)],
        above: None,
        copies: vec![(4, 6), (5, 3), (6, 3), (7, 2)],
    };
    let page = page0(SIZE, Some(5), &[(4, 5, 0), (6, 7, 0)]);
    let mut bytes = file.with(&page);
    bytes[4 * P + 100] ^= 1;
    let recovery = recover(&MemoryStore::from_bytes(SIZE, bytes), Explain::Yes).unwrap();
    // Page 0 is the old one, and nothing is torn.
    assert_eq!(
        recovery.state.generation(),
        Some(5),
        "{:#?}",
        recovery.steps
    );
    let damage: Vec<_> = recovery
        .findings
        .iter()
        .map(|it| (it.kind.id(), it.page))
        .collect();
    assert_eq!(damage[0], ("directory-copy", Some(4)), "{damage:?}");
    let directory = recovery.state.directory().unwrap();
    assert!(directory.blocks()[1].copy.is_some());
}

/// R3. Our commit 6 is durable, and then the peer changed a block. Of its page 0
/// all arrived but the first sector, which still has our tag.
#[test]
fn a_head_of_ours_above_a_section_of_the_peers_is_no_mixture() {
    let blocks = |last| -> Vec<Block> {
        let block = |index: u64| (3 + 2 * index, 4 + 2 * index, 0);
        (0..39).map(block).chain([(81, 82, last)]).collect()
    };
    let pages = |(a, b, _): Block| [(a, 3), (b, 4)];
    let mut copies: Vec<_> = blocks(0).into_iter().flat_map(pages).collect();
    copies[78].1 = 6;
    copies[79].1 = 0;
    let file = File {
        size: SIZE,
        metadata: [(6, 83), (5, 83)],
        above: None,
        copies,
    };
    let torn = torn(
        &page0(SIZE, Some(6), &blocks(0)),
        1,
        &page0(SIZE, None, &blocks(1)),
    );
    let sides = [vec![Side::A; 39], vec![Side::B]].concat();
    file.is_torn(&torn, Verdict::Clean, 6, &sides, true);
}

/// R3. A commit that was not finished left the other metadata torn.
#[test]
fn torn_metadata_that_does_not_count_is_a_commit_that_was_not_finished() {
    let (file, _) = ours();
    let mut bytes = file.with(&page0(SIZE, Some(5), &[(4, 5, 0)]));
    bytes[2 * P..2 * P + SECTOR].fill(0);
    let recovery = recover(&MemoryStore::from_bytes(SIZE, bytes), Explain::Yes).unwrap();
    let found = (recovery.verdict, recovery.state.generation());
    assert_eq!(
        found,
        (Verdict::RolledBack, Some(5)),
        "{:#?}",
        recovery.steps
    );
    assert_eq!(recovery.findings[0].kind.id(), "metadata-other");
}

/// R3. No generation of ours has the tag 0, so that a copy of the peer's is no
/// part of what page 0 was written for, even if it says such a generation.
#[test]
fn a_copy_of_the_peers_is_no_part_of_a_page_0_whose_tag_would_be_0() {
    let file = File {
        size: SIZE,
        metadata: [(1 << 32, 6), ((1 << 32) - 1, 6)],
        above: None,
        copies: vec![(4, u32::MAX - 2), (5, 0)],
    };
    let page = page0(SIZE, Some(1 << 32), &[(4, 5, 0)]);
    file.is_torn(&page, Verdict::Clean, 1 << 32, &[Side::A], true);
}

/// Which sectors are old and which new is said, at the first byte that shows it.
#[test]
fn torn_page_0_names_its_old_and_its_new_sectors() {
    let (file, page0) = ours();
    let Decision {
        steps, findings, ..
    } = file.recovered(&page0);
    let words = "bytes 0 to 511 are the old ones, bytes 512 to 1023 are the new ones, the others are the same in both";
    let step = steps.iter().find(|step| step.rule == "R4").unwrap();
    assert!(step.text.contains(words), "{}", step.text);
    let found = findings
        .iter()
        .find(|it| it.kind.id() == "finished-commit")
        .unwrap();
    assert!(found.message.ends_with(words), "{}", found.message);
    // The selector of the block, in which the two versions differ.
    let at = (Some(0), 40, &page0[40..56]);
    assert_eq!((step.page, step.offset, &*step.evidence), at);
    assert_eq!((found.page, found.offset, &*found.evidence), at);
}
