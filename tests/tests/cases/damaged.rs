//! The table of files that are damaged or hostile. A line each, and what
//! belongs to it.

use pagebox_core::{Access, Error, Operation, Pager, ProtectedId};
use pagebox_store::{MemoryStore, StoreError};
use pagebox_tests::craft;
use pagebox_tests::examine::{Examined, examine};

use crate::file::{File, Seal};
use crate::{P, SIZE};

/// A file that writers refuse.
pub(crate) fn refused(bytes: &[u8]) -> Examined {
    let examined = examine(bytes, SIZE);
    assert!(!examined.is_writable(), "a damaged file may be written");
    examined
}

fn little(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

#[test]
fn a_sound_file_is_sound() {
    let file = File::new();
    let examined = examine(&file.bytes, SIZE);
    assert_eq!(examined.read, Ok(file.shown()));
    assert_eq!(examined.write, Ok(file.shown()));
    assert_eq!((examined.verdict, examined.damage()), ("clean", vec![]));
    let repaired = examined.repaired.unwrap();
    assert!(repaired.actions.is_empty() && repaired.bytes == file.bytes);
}

#[test]
fn shorter_than_its_page_count_it_can_be_inspected_and_a_writer_is_told_both_counts() {
    let file = File::new();
    let pages = file.state.page_count;
    for left in [pages - 1, pages / 2, 4, 3] {
        let examined = refused(&file.bytes[..left as usize * P]);
        let Err(error @ Error::Damaged { .. }) = &examined.write else {
            panic!("{:?}", examined.write);
        };
        let text = error.to_string();
        assert!(
            text.contains(&left.to_string()) && text.contains(&pages.to_string()),
            "{text}"
        );
        let words = format!("after page {} of {pages}", left - 1);
        assert!(examined.finds("file-too-short", Some(left), &words));
        assert!(left < 4 || examined.read.is_ok());
    }
}

/// Repair cannot go back to a copy that is missing as well.
#[test]
fn shorter_than_its_directory_it_is_not_said_that_a_copy_is_left() {
    let file = File::new();
    let examined = refused(&file.bytes[..4 * P]);
    let pages = file.state.blocks[0].page;
    let mut found = examined.findings.iter();
    let found = found.find(|it| it.kind.id() == "directory-copy").unwrap();
    assert!(pages.contains(&found.page.unwrap()), "{found:?}");
    assert!(
        found
            .message
            .contains("is missing, too: those of the protected pages 0 to 32"),
        "{found:?}"
    );
    assert!(found.kind.remedy().contains("an empty block"), "{found:?}");
    let lost = examined.repaired.unwrap().actions;
    let words = "protected pages 0 to 32 are lost";
    assert!(
        lost.iter().any(|action| action.text.contains(words)),
        "{lost:?}"
    );
}

/// What was free is no loss.
#[test]
fn shorter_by_free_pages_only_it_says_that_nothing_is_lost() {
    let file = File::new();
    let last = file.state.allocated.iter().rposition(|&used| used).unwrap();
    let examined = refused(&file.bytes[..(last + 1) * P]);
    let page = Some(last as u64 + 1);
    assert!(examined.finds("file-too-short", page, "all of them free"));
    let mut found = examined.findings.iter();
    let found = found.find(|it| it.page == page).unwrap();
    assert!(
        found.kind.meaning().ends_with("so nothing is lost."),
        "{found:?}"
    );
    let actions = examined.repaired.unwrap().actions;
    assert!(actions.iter().all(|action| !action.lost), "{actions:?}");
}

#[test]
fn truncated_while_open_every_read_of_what_is_gone_is_an_error() {
    let file = File::new();
    for access in [Access::Read, Access::Write] {
        let store = MemoryStore::from_bytes(SIZE, file.bytes.clone());
        let mut pager = Pager::open(store, access).unwrap();
        pager.store_mut().bytes_mut().truncate(6 * P);
        let gone = Error::Store {
            operation: Operation::Read {
                page: pager
                    .locate_protected(ProtectedId(33))
                    .unwrap()
                    .page
                    .unwrap(),
            },
            source: StoreError::OutOfBounds,
        };
        assert_eq!(pager.verify_protected(ProtectedId(33)), Err(gone));
    }
}

#[test]
fn a_part_of_a_page_at_the_end_is_a_finding() {
    let file = File::new();
    let mut longer = file.bytes.clone();
    longer.extend([7; 100]);
    let examined = examine(&longer, SIZE);
    assert!(examined.is_writable() && examined.finds("tail", None, "100 bytes"));

    let cut = refused(&file.bytes[..file.bytes.len() - 1]);
    let cut_at = (file.bytes.len() / P) as u64 - 1;
    assert!(cut.finds("tail", None, "1023 bytes"));
    assert!(cut.finds("file-too-short", Some(cut_at), "is missing"));
}

#[test]
fn page_sizes_that_no_file_has_are_refused() {
    let file = File::new();
    for log2 in [0, 9, 21, 31, 32, 44, 63, 64, 200, u32::MAX] {
        let examined = refused(&file.with(0, 8, &log2.to_le_bytes(), Seal::None));
        assert!(
            matches!(examined.write, Err(Error::Identity(_))),
            "{:?}",
            examined.write
        );
        assert!(matches!(examined.read, Err(Error::Identity(_))));
        assert_eq!(examined.verdict, "not-a-page-file");
    }
    // One that another file may have.
    let examined = refused(&file.with(0, 8, &[11], Seal::None));
    assert!(matches!(
        examined.write,
        Err(Error::PageSizeMismatch { .. })
    ));
}

#[test]
fn page_counts_that_cannot_be_are_refused() {
    let file = File::new();
    for count in [0, 1, 3, 7969, 1 << 32, 1 << 52, 1 << 63, u64::MAX] {
        let examined = refused(&file.with(file.metadata(), 0, &little(count), Seal::Page));
        assert!(
            examined.finds("metadata", Some(file.metadata()), ""),
            "{:?}",
            examined.findings
        );
    }
    // More than the file has, but no more than the format allows.
    for count in [file.state.page_count + 1, 7968] {
        let examined = refused(&file.with(file.metadata(), 0, &little(count), Seal::Page));
        let end = Some(file.state.page_count);
        assert!(examined.finds("file-too-short", end, &count.to_string()));
    }
}

/// No pager makes a file of the reserved pages alone, though its bitmap may be
/// right.
#[test]
fn a_page_count_of_the_reserved_pages_alone_is_refused() {
    let metadata = craft::metadata(P, 3, 1, 0..3);
    let file = [craft::superblock(P, 0, &[]), metadata.clone(), metadata].concat();
    let examined = refused(&file);
    assert!(examined.finds("metadata", Some(1), "page count 3"));
}

#[test]
fn pages_past_the_page_count_are_slack_and_are_kept() {
    let file = File::new();
    let mut longer = file.bytes.clone();
    longer.resize(longer.len() + 100 * P, 0xEE);
    let examined = examine(&longer, SIZE);
    assert_eq!(examined.write, Ok(file.shown()));
    assert!(examined.finds("slack", Some(file.state.page_count), ""));

    let mut pager =
        Pager::open(MemoryStore::from_bytes(SIZE, longer.clone()), Access::Write).unwrap();
    let free = pager.stats().free_pages.unwrap();
    let mut transaction = pager.begin().unwrap();
    let pages = pager.alloc(&mut transaction, free as u32 + 1).unwrap();
    pager.commit(transaction).unwrap();
    let grown = pager.store().page(*pages.last().unwrap()).unwrap();
    assert_eq!(grown, [0; P], "what lay past the end shows");
    assert!(
        pager.store().bytes().len() >= longer.len(),
        "the file was shortened"
    );
}

#[test]
fn a_page_count_below_what_is_in_use_is_refused() {
    let file = File::new();
    let mut less = file.with(file.metadata(), 0, &little(16), Seal::None);
    let metadata = &mut less[file.metadata() as usize * P..][..P];
    metadata[craft::BITMAP + 2..P - 4].fill(0);
    craft::seal_page(metadata);
    let examined = refused(&less);
    assert!(!examined.damage().is_empty());
}

#[test]
fn bits_past_the_page_count_are_refused() {
    let file = File::new();
    let past = craft::BITMAP + (file.state.page_count / 8) as usize;
    for offset in [past, P - 5] {
        let examined = refused(&file.with(file.metadata(), offset, &[0x80], Seal::Page));
        assert!(examined.finds("metadata", Some(file.metadata()), ""));
    }
}

#[test]
fn reserved_pages_that_are_free_are_refused() {
    let file = File::new();
    for bit in 0..3 {
        let first: u8 = !(1 << bit);
        refused(&file.with(file.metadata(), craft::BITMAP, &[first], Seal::Page));
    }
}

#[test]
fn a_wrong_free_count_is_a_finding_and_the_bitmap_counts() {
    let file = File::new();
    for count in [0, 1, 1000, u64::MAX] {
        let examined = examine(
            &file.with(file.metadata(), 16, &little(count), Seal::Page),
            SIZE,
        );
        assert_eq!(examined.write, Ok(file.shown()));
        assert!(examined.finds("free-count", Some(file.metadata()), &count.to_string()));
    }
}

#[test]
fn generations_end_with_an_error() {
    let file = File::new();
    // Untagged, as the peer would leave it, for the tag has its own rules.
    let mut untagged = file.clone();
    untagged.bytes[13..16].fill(0);
    for last in [u64::MAX, u64::MAX - 1] {
        let bytes = untagged.with(file.metadata(), 8, &little(last), Seal::Page);
        let mut pager = Pager::open(MemoryStore::from_bytes(SIZE, bytes), Access::Write).unwrap();
        let mut commit = || {
            let mut transaction = pager.begin()?;
            pager.alloc(&mut transaction, 1)?;
            pager.commit(transaction)
        };
        if last < u64::MAX {
            assert_eq!(commit().unwrap().generation, u64::MAX);
        }
        assert_eq!(commit().unwrap_err(), Error::GenerationsExhausted);
        // That is no reason not to read.
        assert_eq!(pager.stats().generation.unwrap(), u64::MAX);
        pager.verify_protected(ProtectedId(0)).unwrap();
    }
    let slot = craft::SLOTS + 18;
    let bytes = file.with(file.copy(0), slot, &little(u64::MAX), Seal::Page);
    let mut pager = Pager::open(MemoryStore::from_bytes(SIZE, bytes), Access::Write).unwrap();
    let mut transaction = pager.begin().unwrap();
    pager.stage(&mut transaction, ProtectedId(0)).unwrap();
    assert_eq!(
        pager.commit(transaction).unwrap_err(),
        Error::GenerationsExhausted
    );
}

#[test]
fn directory_capacities_but_the_right_one_are_refused() {
    let file = File::new();
    for block in [0, 1] {
        for capacity in [0, 1, 32, 34, 137, 1_000_000, u32::MAX] {
            let bytes = file.with(file.copy(block), 0, &capacity.to_le_bytes(), Seal::Page);
            let examined = refused(&bytes);
            let text = format!("directory block {block}");
            assert!(examined.finds("directory-copy", Some(file.copy(block)), &text));
        }
    }
}

#[test]
fn block_references_to_nowhere_are_refused_and_named() {
    let file = File::new();
    let taken = [
        *file.state.free().first().unwrap(),
        file.state.blocks[0].page[0],
        file.state.blocks[1].page[1],
    ];
    let nowhere = [
        0,
        1,
        2,
        file.state.page_count,
        5000,
        1 << 52,
        1 << 54,
        u64::MAX,
    ];
    for page in nowhere.into_iter().chain(taken) {
        for (block, side) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            if file.state.blocks[block].page[side] == page {
                continue;
            }
            let at = craft::BLOCKS + block * craft::BLOCK_LEN + 8 * side;
            let examined = refused(&file.with(0, at, &little(page), Seal::Section));
            // Another block's copy may bear the very tag that makes page 0
            // a mixture: then nothing in its section is believed.
            let named = examined.findings.iter().any(|it| {
                it.kind.id() == "block-reference" && it.message.contains("directory block")
                    || it.kind.id() == "directory-section" && taken[1..].contains(&page)
            });
            assert!(named, "page {page}: {:#?}", examined.findings);
        }
    }
}

#[test]
fn slots_that_name_pages_that_cannot_be_theirs_are_refused_and_named() {
    let file = File::new();
    let other = file.state.protected[&5].page;
    let directory = file.state.blocks[1].page[0];
    let own = file.state.protected[&1].page;
    let free = *file.state.free().first().unwrap();
    let nowhere = [
        0,
        1,
        2,
        file.state.page_count,
        1 << 52,
        1 << 54,
        u64::MAX,
        directory,
        free,
        other[0],
    ];
    for (side, slot) in [(0, 1), (1, 1)] {
        for page in nowhere.into_iter().chain([own[1 - side]]) {
            let at = craft::SLOTS + slot * craft::SLOT_LEN + 1 + 8 * side;
            let examined = refused(&file.with(file.copy(0), at, &little(page), Seal::Page));
            let named = examined.finds("slot", Some(file.copy(0)), "protected page 1)")
                || examined.finds("slot", Some(file.copy(0)), "protected page 5)");
            assert!(named, "page {page}: {:#?}", examined.findings);
            // The others are as good as ever.
            let shown = examined.read.unwrap();
            assert!(shown.protected.contains_key(&2) && shown.protected.contains_key(&35));
        }
    }
}

#[test]
fn selectors_but_0_and_1_are_refused() {
    let file = File::new();
    let slot = craft::SLOTS + craft::SLOT_LEN;
    for value in [2, 7, 128, 255] {
        let mut in_slot = vec![(slot + 17, value)];
        in_slot.push((slot, value));
        for (offset, value) in in_slot {
            let examined = refused(&file.with(file.copy(0), offset, &[value], Seal::Page));
            assert!(examined.finds("slot", Some(file.copy(0)), "protected page 1)"));
        }
        let examined = refused(&file.with(0, craft::BLOCKS + 16, &[value], Seal::Section));
        assert!(examined.finds("block-reference", Some(0), "directory block 0"));
        let mut head = file.with(0, 12, &[value], Seal::None);
        craft::tag_superblock(&mut head, file.state.generation);
        refused(&head);
    }
}

#[test]
fn block_counts_that_cannot_be_are_refused() {
    let file = File::new();
    for count in [0, 1, 3, 58, 59, 1 << 16, u32::MAX] {
        for seal in [Seal::None, Seal::Section] {
            let bytes = file.with(0, craft::SECTION, &count.to_le_bytes(), seal);
            // Without a block, its pages would be anybody's: a count that
            // is sealed is what the file says.
            let is_said = matches!(seal, Seal::Section) && count < 2;
            let examined = examine(&bytes, SIZE);
            assert!(is_said || !examined.is_writable(), "block count {count}");
        }
    }
}

#[test]
fn what_is_no_page_file_is_refused() {
    let file = File::new();
    let mut version = file.bytes.clone();
    version[5] = 3;
    let mut major = file.bytes.clone();
    major[4] = 1;
    let others: [&[u8]; 8] = [
        b"",
        b"MPPG",
        b"MPPG\x00\x02\x00\x00\x0A\x00\x00\x00\x00\x00\x80\x65\x1C\xDF\x44\x21",
        b"SQLite format 3\0 and so on",
        &[0; 5000],
        &[0xFF; 5000],
        &version,
        &major,
    ];
    for bytes in others {
        let examined = refused(bytes);
        assert!(
            matches!(examined.write, Err(Error::Identity(_))),
            "{:?}",
            examined.write
        );
        assert!(matches!(examined.repaired, Err(Error::Identity(_))));
    }
}

/// No figure is better than a wrong one: 0 free pages are another thing than a
/// bitmap that cannot be believed.
#[test]
fn figures_that_damage_leaves_unknown_are_not_told() {
    let file = File::new();
    let figures = |bytes: Vec<u8>| {
        let store = MemoryStore::from_bytes(SIZE, bytes);
        let stats = Pager::open(store, Access::Read).unwrap().stats();
        [stats.free_pages, stats.regular_pages, stats.protected_pages]
    };
    let flipped = |page: u64, offset: usize| {
        let byte = file.bytes[page as usize * P + offset] ^ 1;
        figures(file.with(page, offset, &[byte], Seal::None))
    };
    let [free, regular, protected] = figures(file.bytes.clone());
    assert!(free.is_some() && regular.is_some() && protected.is_some());
    assert_eq!(flipped(file.metadata(), 40), [None, None, protected]);
    assert_eq!(flipped(file.copy(0), 40), [free, None, None]);
    // The list of directory blocks.
    assert_eq!(flipped(0, 24), [free, None, None]);
}
