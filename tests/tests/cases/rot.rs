//! Bits that flip, and fields whose checksums do not agree: found, or harmless.

use pagebox_core::inspect::Inspector;
use pagebox_core::{Access, Error, Pager, ProtectedId};
use pagebox_store::{Checksum, MemoryStore};
use pagebox_tests::craft;
use pagebox_tests::examine::{Shown, examine, look};

use crate::damaged::refused;
use crate::file::{File, Seal};
use crate::{P, SIZE};

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
                expected: Checksum::crc32(slot.checksum),
                actual: Checksum::crc32(actual),
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
    assert!(!examined.finds("protected-checksum", Some(page), "one flipped bit"));
    assert_eq!(
        examined.write.unwrap().lost.keys().collect::<Vec<_>>(),
        [&35]
    );
    let kept = examined.repaired.unwrap().shown;
    assert_eq!(kept.protected.len() + 1, file.state.protected.len());
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

/// Where one flipped bit explains a structure that fails its CRC-32, it is named,
/// and shown.
#[test]
fn one_rotten_bit_of_a_structure_is_named() {
    let file = File::new();
    let block = &file.state.blocks[0];
    let [counts, other] = [block.active, 1 - block.active].map(|copy| block.page[copy]);
    let places = [
        ("metadata", file.metadata(), 500),
        ("directory-copy", counts, 600),
        ("directory-other", other, 700),
        ("directory-section", 0, 900),
    ];
    for (id, page, at) in places {
        let mut bytes = file.bytes.clone();
        bytes[page as usize * P + at] ^= 8;
        let examined = examine(&bytes, SIZE);
        let mut found = examined.findings.iter();
        let found = found.find(|it| it.kind.id() == id).expect(id);
        let words = format!("one flipped bit explains it: byte {at}, bit 3");
        assert!(found.message.contains(&words), "{}", found.message);
        assert_eq!((found.page, found.offset), (Some(page), at as u32), "{id}");
        let mut inspector = Inspector::open(MemoryStore::from_bytes(SIZE, bytes));
        let of_page = inspector.page(page).unwrap().findings;
        assert!(of_page.contains(found), "{id}: {of_page:?}");
    }
}
