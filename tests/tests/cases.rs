//! The tables of format 0, case by case: files that are damaged or hostile,
//! misuse, and crashes and failing disks as far as a store in memory can show
//! them. `crash` tries what this file only names.

use std::collections::BTreeSet;

use pagebox_core::kinds::PageKind;
use pagebox_core::{Access, Error, Operation, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageSize, PageStore, StoreError};
use pagebox_tests::craft;
use pagebox_tests::crash::{CrashStore, FailedSync};
use pagebox_tests::decode::{Image, Kind, State, decode};
use pagebox_tests::examine::{Examined, Shown, examine, look};
use pagebox_tests::failing::{FailingStore, Fault, Verb};
use pagebox_tests::legal::{check_is_clean, is_poisoned};

const SIZE: PageSize = PageSize::KIB_1;
const P: usize = SIZE.bytes();

/// A file with a little of everything: 2 directory blocks, freed pages, pages
/// that were written several times.
#[derive(Clone)]
struct File {
    bytes: Vec<u8>,
    state: State,
}

/// Which checksum is put right after a change.
#[derive(Clone, Copy)]
enum Seal {
    None,
    Page,
    Section,
}

impl File {
    fn new() -> Self {
        let mut pager = Pager::create(MemoryStore::new(SIZE), 0).unwrap();
        let mut transaction = pager.begin().unwrap();
        pager.alloc(&mut transaction, 8).unwrap();
        pager.alloc_protected(&mut transaction, 36).unwrap();
        pager.commit(transaction).unwrap();
        let mut transaction = pager.begin().unwrap();
        pager.free(&mut transaction, &[4, 6]).unwrap();
        pager
            .free_protected(&mut transaction, &[ProtectedId(3), ProtectedId(34)])
            .unwrap();
        for id in [0, 1, 2, 33, 35] {
            pager
                .stage(&mut transaction, ProtectedId(id))
                .unwrap()
                .fill(id as u8 + 1);
        }
        pager.commit(transaction).unwrap();
        let mut transaction = pager.begin().unwrap();
        pager.stage(&mut transaction, ProtectedId(0)).unwrap()[0] = 9;
        pager.commit(transaction).unwrap();
        Self::of(pager.close().bytes().to_vec())
    }

    fn of(bytes: Vec<u8>) -> Self {
        let state = decode(&Image {
            bytes: &bytes,
            page_size: P,
        })
        .unwrap();
        Self { bytes, state }
    }

    /// What of it may be lost is not for this to say: all that it shows.
    fn shown(&self) -> Shown {
        let protected = self
            .state
            .protected
            .iter()
            .map(|(&id, slot)| (id, slot.checksum));
        Shown {
            regular: Some(self.state.regular()),
            protected: protected.collect(),
            ..Shown::default()
        }
    }

    /// The file with some bytes of a page replaced.
    fn with(&self, page: u64, offset: usize, bytes: &[u8], seal: Seal) -> Vec<u8> {
        let mut file = self.bytes.clone();
        let whole = &mut file[page as usize * P..][..P];
        whole[offset..offset + bytes.len()].copy_from_slice(bytes);
        match seal {
            Seal::None => {}
            Seal::Page => craft::seal_page(whole),
            Seal::Section => craft::seal_section(whole),
        }
        file
    }

    /// The metadata page that counts.
    fn metadata(&self) -> u64 {
        1 + self.state.side as u64
    }

    /// The copy of a directory block that counts.
    fn copy(&self, block: usize) -> u64 {
        let block = &self.state.blocks[block];
        block.page[block.active]
    }
}

/// A file that is refused by writers; what it shows to readers is its own, and
/// repair keeps all that it can prove.
fn refused(bytes: &[u8]) -> Examined {
    let examined = examine(bytes, SIZE);
    assert!(!examined.is_writable(), "a damaged file may be written");
    examined
}

fn little(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

mod damaged_or_hostile {
    use super::*;

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
            assert!(examined.finds("file-too-short", None, &format!("{left} whole pages")));
            assert!(left < 4 || examined.read.is_ok());
        }
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
                    page: pager.locate_protected(ProtectedId(33)).unwrap().page,
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
        assert!(cut.finds("tail", None, "1023 bytes"));
        assert!(cut.finds("file-too-short", None, "1 are missing"));
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
            assert!(examined.finds("file-too-short", None, &count.to_string()));
        }
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
        let free = pager.stats().free_pages;
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
            let mut pager =
                Pager::open(MemoryStore::from_bytes(SIZE, bytes), Access::Write).unwrap();
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
            assert_eq!(pager.stats().generation, u64::MAX);
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
    fn one_flipped_bit_is_found_or_harmless_wherever_it_is() {
        let file = File::new();
        let blocks = file.state.blocks.iter().flat_map(|block| block.page);
        let mut harmless = 0;
        for page in (0..3).chain(blocks) {
            // Of pages that do not count, one bit of each byte.
            let counts = file.state.reaches(page);
            for bit in (0..8 * P).filter(|bit| counts || bit / 8 % 8 == bit % 8) {
                let mut bytes = file.bytes.clone();
                bytes[page as usize * P + bit / 8] ^= 1 << (bit % 8);
                let store = || MemoryStore::from_bytes(SIZE, bytes.clone());
                match Pager::open(store(), Access::Write) {
                    Ok(mut pager) => {
                        let shown = look(&mut pager);
                        assert_eq!(shown, file.shown(), "page {page}, bit {bit}");
                        harmless += 1;
                    }
                    Err(Error::Damaged { findings }) => {
                        assert!(!findings.is_empty(), "page {page}, bit {bit}");
                        if let Ok(mut pager) = Pager::open(store(), Access::Read) {
                            let shown = look(&mut pager);
                            is_part_of(&shown, &file, &format!("page {page}, bit {bit}"));
                        }
                    }
                    Err(
                        Error::Identity(_)
                        | Error::PageSizeMismatch { .. }
                        | Error::Corrupt { page: 0, .. },
                    ) if page == 0 => {}
                    Err(error) => panic!("page {page}, bit {bit}: {error}"),
                }
            }
        }
        // The three pages that do not count; patch and build in page 0.
        assert!(
            (3 * P..3 * P + 40).contains(&harmless),
            "{harmless} flips are harmless"
        );
    }

    /// What a damaged file shows is true. Pages of protected ones that are lost
    /// may be shown as regular: nothing else tells what they are.
    fn is_part_of(shown: &Shown, file: &File, context: &str) {
        let whole = file.shown();
        for (id, crc) in &shown.protected {
            assert_eq!(whole.protected.get(id), Some(crc), "{context}");
        }
        for &page in shown.regular.iter().flatten() {
            assert!(
                file.state.allocated[page as usize],
                "{context}: page {page} is free"
            );
        }
        let regular = shown.regular.as_ref();
        let missing = whole
            .regular
            .as_ref()
            .unwrap()
            .iter()
            .find(|&page| regular.is_some_and(|regular| !regular.contains(page)));
        assert_eq!(missing, None, "{context}");
    }

    #[test]
    fn one_flipped_byte_in_a_protected_page_is_an_error_that_names_it() {
        let file = File::new();
        for (&id, slot) in &file.state.protected {
            let page = slot.active_page();
            for offset in [0, 500, P - 1] {
                let mut bytes = file.bytes.clone();
                bytes[page as usize * P + offset] ^= 0x10;
                let actual = crc32fast::hash(&bytes[page as usize * P..][..P]);
                let id = ProtectedId(id);
                let expected = Err(Error::ChecksumMismatch {
                    id,
                    page,
                    expected: slot.checksum,
                    actual,
                    unproven: false,
                });
                let store = MemoryStore::from_bytes(SIZE, bytes);
                let mut pager = Pager::open(store, Access::Write).unwrap();
                assert_eq!(pager.verify_protected(id), expected);
                let mut transaction = pager.begin().unwrap();
                assert_eq!(
                    pager.stage(&mut transaction, id).map(drop),
                    expected.map(drop)
                );
            }
        }
        let page = file.state.protected[&35].active_page();
        let examined = examine(&file.with(page, 9, b"rot", Seal::None), SIZE);
        assert!(examined.finds("protected-checksum", Some(page), "protected page 35"));
        assert_eq!(
            examined.write.unwrap().lost.keys().collect::<Vec<_>>(),
            [&35]
        );
        let kept = examined.repaired.unwrap().shown;
        assert_eq!(kept.protected.len() + 1, file.state.protected.len());
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

    #[test]
    fn a_tag_that_does_not_agree_is_refused() {
        let file = File::new();
        let tag = file.bytes[13..16].to_vec();
        let wrong = [
            [0, 0, tag[2]],
            [0, 0x80, tag[2]],
            [tag[0], tag[1], 0],
            [tag[0], 0, tag[2]],
        ];
        for tag in wrong {
            let examined = refused(&file.with(0, 13, &tag, Seal::None));
            assert!(
                examined.finds("superblock-head", Some(0), "tag"),
                "{:?}",
                examined.findings
            );
        }
        // One that agrees with itself, but not with the metadata.
        let mut bytes = file.bytes.clone();
        craft::tag_superblock(&mut bytes, file.state.generation + 1);
        assert!(refused(&bytes).finds("metadata-tag", Some(file.metadata()), "generation"));
        // None at all is the peer's.
        let examined = examine(&file.with(0, 13, &[0; 3], Seal::None), SIZE);
        assert_eq!(examined.write, Ok(file.shown()));
    }

    #[test]
    fn a_metadata_checksum_but_the_constant_is_refused() {
        let file = File::new();
        for wrong in [0, 1, craft::RESIDUE ^ 1, u32::MAX] {
            let examined = refused(&file.with(0, 16, &wrong.to_le_bytes(), Seal::None));
            assert!(examined.finds("superblock-head", Some(0), "checksum"));
        }
    }

    /// The peer ignores the section's checksum where there are no blocks.
    #[test]
    fn an_empty_directory_section_counts_whatever_its_checksum_says() {
        let mut pager = Pager::create(MemoryStore::new(SIZE), 0).unwrap();
        let mut transaction = pager.begin().unwrap();
        pager.alloc(&mut transaction, 1).unwrap();
        pager.commit(transaction).unwrap();
        let file = File::of(pager.close().bytes().to_vec());
        let examined = examine(&file.with(0, P - 4, &[1, 2, 3, 4], Seal::None), SIZE);
        assert_eq!(examined.write, Ok(file.shown()));
    }
}

mod misuse {
    use super::*;

    fn pager() -> (Pager<MemoryStore>, File) {
        let file = File::new();
        let store = MemoryStore::from_bytes(SIZE, file.bytes.clone());
        (Pager::open(store, Access::Write).unwrap(), file)
    }

    fn kind_of(kind: Kind) -> Option<PageKind> {
        match kind {
            Kind::Superblock => Some(PageKind::SUPERBLOCK),
            Kind::Metadata => Some(PageKind::METADATA),
            Kind::Directory => Some(PageKind::DIRECTORY),
            Kind::ProtectedActive => Some(PageKind::PROTECTED_ACTIVE),
            Kind::ProtectedShadow => Some(PageKind::PROTECTED_SHADOW),
            Kind::Regular | Kind::Free | Kind::Slack => None,
        }
    }

    #[test]
    fn pages_that_are_not_a_callers_can_be_neither_reached_nor_freed() {
        let (pager, file) = pager();
        let mut kinds = BTreeSet::new();
        for page in 0..file.state.page_count {
            let kind = file.state.kind(page);
            kinds.insert(kind);
            let expected = match (kind, kind_of(kind)) {
                (_, Some(kind)) => Err(Error::NotRegular { page, kind }),
                (Kind::Free, _) => Err(Error::NotAllocated { page }),
                _ => Ok(()),
            };
            assert_eq!(pager.locate(page).map(drop), expected, "page {page}");
            let mut transaction = pager.begin().unwrap();
            assert_eq!(
                pager.free(&mut transaction, &[page]),
                expected,
                "page {page}"
            );
            assert_eq!(transaction.is_empty(), expected.is_err());
        }
        assert_eq!(kinds.len(), 7, "every kind was tried: {kinds:?}");
        let page_count = file.state.page_count;
        for page in [page_count, page_count + 1, 1 << 52, u64::MAX] {
            let expected = Err(Error::OutOfRange { page, page_count });
            assert_eq!(pager.locate(page).map(drop), expected);
            assert_eq!(pager.free(&mut pager.begin().unwrap(), &[page]), expected);
        }
        let text = Error::NotRegular {
            page: 0,
            kind: PageKind::SUPERBLOCK,
        }
        .to_string();
        assert!(
            text.contains("page 0") && text.contains("superblock"),
            "{text}"
        );
    }

    #[test]
    fn ids_that_are_not_in_use_can_be_neither_reached_nor_freed_nor_written() {
        let (mut pager, _) = pager();
        for id in [3, 34, 36, 65, 66, 1914, 1 << 52, u64::MAX].map(ProtectedId) {
            let expected = Error::NotProtected { id };
            assert_eq!(pager.locate_protected(id).unwrap_err(), expected);
            assert_eq!(pager.verify_protected(id).unwrap_err(), expected);
            let mut transaction = pager.begin().unwrap();
            assert_eq!(
                pager.free_protected(&mut transaction, &[id]).unwrap_err(),
                expected
            );
            assert_eq!(pager.stage(&mut transaction, id).unwrap_err(), expected);
            assert!(transaction.is_empty());
        }
    }

    #[test]
    fn freeing_a_bad_or_doubled_id_frees_none_and_names_it() {
        let (mut pager, file) = pager();
        let before = pager.store().bytes().to_vec();
        let page_count = file.state.page_count;
        let bad = [
            (vec![3, 5, 7, 5], Error::Duplicate { id: 5 }),
            (vec![3, 4], Error::NotAllocated { page: 4 }),
            (
                vec![3, 0],
                Error::NotRegular {
                    page: 0,
                    kind: PageKind::SUPERBLOCK,
                },
            ),
            (
                vec![3, 9999],
                Error::OutOfRange {
                    page: 9999,
                    page_count,
                },
            ),
        ];
        for (pages, expected) in bad {
            let mut transaction = pager.begin().unwrap();
            assert_eq!(pager.free(&mut transaction, &pages), Err(expected));
            pager.commit(transaction).unwrap();
            assert!(pager.store().bytes() == before, "something was freed");
        }
        let ids = |ids: &[u64]| ids.iter().copied().map(ProtectedId).collect::<Vec<_>>();
        let bad = [
            (ids(&[0, 1, 0]), Error::Duplicate { id: 0 }),
            (ids(&[0, 3]), Error::NotProtected { id: ProtectedId(3) }),
            (
                ids(&[0, 5000]),
                Error::NotProtected {
                    id: ProtectedId(5000),
                },
            ),
        ];
        for (ids, expected) in bad {
            let mut transaction = pager.begin().unwrap();
            assert_eq!(pager.free_protected(&mut transaction, &ids), Err(expected));
            pager.commit(transaction).unwrap();
            assert!(pager.store().bytes() == before, "something was freed");
        }
    }

    #[test]
    fn freeing_twice_in_one_transaction_is_refused() {
        let (pager, _) = pager();
        let mut transaction = pager.begin().unwrap();
        pager.free(&mut transaction, &[3]).unwrap();
        assert_eq!(
            pager.free(&mut transaction, &[3]),
            Err(Error::NotAllocated { page: 3 })
        );
        let id = ProtectedId(0);
        pager.free_protected(&mut transaction, &[id]).unwrap();
        assert_eq!(
            pager.free_protected(&mut transaction, &[id]),
            Err(Error::NotProtected { id })
        );
    }

    #[test]
    fn a_pending_protected_pages_own_pages_cannot_be_freed() {
        let (pager, _) = pager();
        let mut transaction = pager.begin().unwrap();
        pager.alloc_protected(&mut transaction, 1).unwrap();
        for page in 0..pager.stats().page_count {
            if pager.locate(page).is_err() {
                assert!(
                    pager.free(&mut transaction, &[page]).is_err(),
                    "page {page} was freed"
                );
            }
        }
    }

    #[test]
    fn a_recycled_page_reads_as_zeros() {
        let (mut pager, _) = pager();
        pager.store_mut().page_mut(3).unwrap().fill(0xAB);
        let mut transaction = pager.begin().unwrap();
        pager.free(&mut transaction, &[3]).unwrap();
        pager
            .free_protected(&mut transaction, &[ProtectedId(0)])
            .unwrap();
        pager.commit(transaction).unwrap();
        let mut transaction = pager.begin().unwrap();
        let ids = pager.alloc_protected(&mut transaction, 2).unwrap();
        let pages = pager.alloc(&mut transaction, 20).unwrap();
        pager.commit(transaction).unwrap();
        let protected: Vec<_> = ids
            .iter()
            .map(|&id| pager.verify_protected(id).unwrap().page)
            .collect();
        for page in pages.into_iter().chain(protected) {
            assert_eq!(
                pager.store().page(page).unwrap(),
                [0; P],
                "page {page} shows old bytes"
            );
        }
    }

    #[test]
    fn a_write_of_a_part_of_a_protected_page_keeps_the_rest() {
        let (mut pager, _) = pager();
        let id = ProtectedId(1);
        for round in 0..4_u8 {
            let mut transaction = pager.begin().unwrap();
            pager.stage(&mut transaction, id).unwrap()[usize::from(round)] = 100 + round;
            pager.commit(transaction).unwrap();
            let page = pager.verify_protected(id).unwrap().page;
            let bytes = pager.store().page(page).unwrap();
            for at in 0..8 {
                let expected = if at <= round { 100 + at } else { 2 };
                assert_eq!(bytes[usize::from(at)], expected, "round {round}");
            }
        }
    }

    #[test]
    fn the_page_after_the_last_that_the_format_can_name_is_full() {
        let limit = 32_544;
        let mut pager = Pager::create(MemoryStore::new(PageSize::KIB_4), 0).unwrap();
        let mut transaction = pager.begin().unwrap();
        pager.alloc(&mut transaction, limit as u32 - 3).unwrap();
        pager.commit(transaction).unwrap();
        assert_eq!(pager.stats().page_count, limit);
        let before = pager.store().bytes().to_vec();
        let mut transaction = pager.begin().unwrap();
        assert_eq!(pager.alloc(&mut transaction, 1), Err(Error::Full { limit }));
        pager.commit(transaction).unwrap();
        assert!(pager.store().bytes() == before, "the file changed");
    }
}

mod crashes_and_failing_disks {
    use super::*;

    fn opened() -> (Pager<CrashStore>, CrashStore, File) {
        let file = File::new();
        let store = CrashStore::from_bytes(SIZE, &file.bytes);
        let mut pager = Pager::open(store.clone(), Access::Write).unwrap();
        // The first commit settles page 0, which is not what these cases are
        // about.
        let mut transaction = pager.begin().unwrap();
        pager.free(&mut transaction, &[3]).unwrap();
        pager.commit(transaction).unwrap();
        let file = File::of(store.bytes());
        (pager, store, file)
    }

    #[test]
    fn page_0_torn_in_a_protected_write_is_mended() {
        let (mut pager, store, before) = opened();
        let mut transaction = pager.begin().unwrap();
        pager.stage(&mut transaction, ProtectedId(35)).unwrap()[0] = 77;
        pager.commit(transaction).unwrap();
        let after = File::of(store.bytes());
        // The new head, the old rest.
        let mut torn = after.bytes.clone();
        torn[512..P].copy_from_slice(&before.bytes[512..P]);
        assert!(
            decode(&Image {
                bytes: &torn,
                page_size: P
            })
            .is_err(),
            "it is not torn"
        );
        let examined = examine(&torn, SIZE);
        assert_eq!(
            (examined.write, examined.verdict),
            (Ok(after.shown()), "rolled-forward")
        );
        // The old head, the new rest.
        let mut torn = after.bytes.clone();
        torn[..512].copy_from_slice(&before.bytes[..512]);
        let examined = examine(&torn, SIZE);
        assert_eq!(
            (examined.write, examined.verdict),
            (Ok(after.shown()), "rolled-forward")
        );
    }

    /// The medium may lose page 0 of a commit whose other pages it kept.
    #[test]
    fn page_0_old_and_the_rest_new_is_the_state_before() {
        let (mut pager, store, before) = opened();
        let mut transaction = pager.begin().unwrap();
        pager.alloc_protected(&mut transaction, 40).unwrap();
        pager.commit(transaction).unwrap();
        let mut bytes = store.bytes();
        bytes[..P].copy_from_slice(&before.bytes[..P]);
        let examined = examine(&bytes, SIZE);
        assert_eq!(
            (examined.write, examined.verdict),
            (Ok(before.shown()), "rolled-back")
        );
    }

    #[test]
    fn a_failed_first_sync_of_a_free_hands_nothing_out_again() {
        let (mut pager, store, before) = opened();
        store.fail_sync(0, FailedSync::GivesThemUp);
        let mut transaction = pager.begin().unwrap();
        pager.free(&mut transaction, &[5]).unwrap();
        assert!(pager.commit(transaction).is_err());
        assert!(is_poisoned(&mut pager));
        let mut pager = Pager::open(store, Access::Write).unwrap();
        assert_eq!(look(&mut pager), before.shown());
        let mut transaction = pager.begin().unwrap();
        assert!(!pager.alloc(&mut transaction, 50).unwrap().contains(&5));
    }

    #[test]
    fn a_failed_sync_of_page_0_loses_nothing_that_was_acknowledged() {
        for how in [FailedSync::KeepsThem, FailedSync::GivesThemUp] {
            let (mut pager, store, before) = opened();
            store.fail_sync(1, how);
            let mut transaction = pager.begin().unwrap();
            pager.stage(&mut transaction, ProtectedId(0)).unwrap()[0] = 1;
            let error = pager.commit(transaction).unwrap_err();
            assert!(
                error.to_string().starts_with("writing page 0 failed"),
                "{error}"
            );
            assert!(is_poisoned(&mut pager));

            // The next process builds on what it reads; then the power goes.
            let mut pager = Pager::open(store.clone(), Access::Write).unwrap();
            let mut transaction = pager.begin().unwrap();
            pager.stage(&mut transaction, ProtectedId(1)).unwrap()[0] = 2;
            pager.commit(transaction).unwrap();
            let left = store.now().durable();
            let mut pager = Pager::open(left.clone(), Access::Write).unwrap();
            let page = pager.verify_protected(ProtectedId(1)).unwrap().page;
            let mut byte = [0];
            left.read(page, 0, &mut byte).unwrap();
            assert_eq!(byte, [2], "an acknowledged write is lost");
            assert_eq!(
                pager.stats().protected_pages,
                before.state.protected.len() as u64
            );
        }
    }

    #[test]
    fn any_io_error_in_the_first_protected_allocation_leaves_the_state_before_or_after() {
        for verb in Verb::ALL {
            for after in 0..12 {
                let store = CrashStore::new(SIZE);
                drop(Pager::create(store.clone(), 0).unwrap());
                let before = File::of(store.bytes());
                let (failing, switch) = FailingStore::new(store.clone());
                let mut pager = Pager::open(failing, Access::Write).unwrap();
                switch.set(Fault {
                    verb,
                    after,
                    for_good: true,
                    no_space: false,
                });
                let mut transaction = pager.begin().unwrap();
                let done = pager
                    .alloc_protected(&mut transaction, 1)
                    .and_then(|_| pager.commit(transaction));
                assert_eq!(
                    switch.clear() > 0,
                    done.is_err(),
                    "{verb:?} {after}: {done:?}"
                );
                let left = store.now().durable();
                let mut pager = Pager::open(left.clone(), Access::Write).unwrap();
                let shown = look(&mut pager);
                let done_shown = shown.protected.contains_key(&0);
                assert!(
                    shown == before.shown() || done_shown,
                    "{verb:?} {after}: {shown:?}"
                );
                assert!(
                    done.is_err() || done_shown,
                    "{verb:?} {after}: it was acknowledged"
                );
                check_is_clean(&left).unwrap();
            }
        }
    }

    #[test]
    fn a_crash_in_a_protected_allocation_or_free_leaks_nothing() {
        let (mut pager, store, before) = opened();
        let mut transaction = pager.begin().unwrap();
        pager.alloc_protected(&mut transaction, 1).unwrap();
        pager
            .free_protected(&mut transaction, &[ProtectedId(2)])
            .unwrap();
        store.fail_sync(1, FailedSync::GivesThemUp);
        pager.commit(transaction).unwrap_err();
        let left = store.now().durable();
        let mut pager = Pager::open(left, Access::Write).unwrap();
        assert_eq!(look(&mut pager), before.shown());
        assert_eq!(pager.stats().free_pages, before.state.free().len() as u64);
    }

    #[test]
    fn a_full_disk_at_growth_changes_nothing_and_is_no_reason_to_stop() {
        let file = File::new();
        let (store, switch) = FailingStore::new(MemoryStore::from_bytes(SIZE, file.bytes.clone()));
        let mut pager = Pager::open(store, Access::Write).unwrap();
        let mut transaction = pager.begin().unwrap();
        pager.free(&mut transaction, &[3]).unwrap();
        pager.commit(transaction).unwrap();
        let free = pager.stats().free_pages as u32;
        switch.set(Fault {
            verb: Verb::Grow,
            after: 0,
            for_good: true,
            no_space: true,
        });
        for _ in 0..3 {
            let mut transaction = pager.begin().unwrap();
            pager.alloc(&mut transaction, free + 1).unwrap();
            let error = pager.commit(transaction).unwrap_err();
            let page_count = 2 * file.state.page_count;
            let source = StoreError::InsufficientSpace;
            assert_eq!(
                error,
                Error::Store {
                    operation: Operation::Grow { page_count },
                    source
                }
            );
            assert_eq!(pager.stats().free_pages, u64::from(free));
        }
        // What fits works on, and all of it does once there is space.
        let mut transaction = pager.begin().unwrap();
        assert_eq!(
            pager.alloc(&mut transaction, free).unwrap().len() as u32,
            free
        );
        pager.commit(transaction).unwrap();
        assert!(switch.clear() > 0);
        let mut transaction = pager.begin().unwrap();
        pager.alloc(&mut transaction, 1).unwrap();
        pager.commit(transaction).unwrap();
        check_is_clean(&pager.close().into_inner()).unwrap();
    }

    #[test]
    fn a_directory_copy_that_rots_is_never_replaced_by_an_older_one_silently() {
        let file = File::new();
        for block in [0, 1] {
            for offset in [0, 4, 9, 40, P - 1] {
                let mut bytes = file.bytes.clone();
                bytes[file.copy(block) as usize * P + offset] ^= 1;
                let examined = examine(&bytes, SIZE);
                assert!(!examined.is_writable());
                assert!(examined.finds("directory-copy", Some(file.copy(block)), ""));
                let shown = examined.read.unwrap();
                let ids = if block == 0 { 0..33 } else { 33..66 };
                assert!(
                    shown.protected.keys().all(|id| !ids.contains(id)),
                    "{shown:?}"
                );
                assert!(
                    !shown.protected.is_empty(),
                    "the other block is as good as ever"
                );
            }
        }
    }

    #[test]
    fn growth_that_was_lost_beside_metadata_that_was_kept_is_the_state_before() {
        let (mut pager, store, before) = opened();
        let mut transaction = pager.begin().unwrap();
        pager.alloc(&mut transaction, 200).unwrap();
        pager.commit(transaction).unwrap();
        let after = File::of(store.bytes());
        let mut bytes = before.bytes.clone();
        let new = after.metadata() as usize * P;
        bytes[new..new + P].copy_from_slice(&after.bytes[new..new + P]);
        let examined = examine(&bytes, SIZE);
        assert_eq!(
            (examined.write, examined.verdict),
            (Ok(before.shown()), "rolled-back")
        );
    }
}
