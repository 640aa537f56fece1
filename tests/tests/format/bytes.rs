//! Format 0, byte by byte: what is written is what the format's table says, at
//! the offsets that it says.

use pagebox_core::checksum::{crc8, crc32};
use pagebox_core::format0::{Limits, NAME, RESERVED_PAGES};
use pagebox_core::{Access, Pager, ProtectedId, page_size};
use pagebox_store::{MemoryStore, PageSize};
use pagebox_tests::craft::{self, Slot};

const P: usize = 1024;

fn new_pager() -> Pager<MemoryStore> {
    Pager::create(MemoryStore::new(PageSize::KIB_1), 0).unwrap()
}

fn page(pager: &Pager<MemoryStore>, number: u64) -> &[u8] {
    pager.store().page(number).unwrap()
}

/// Says where two pages differ, which a comparison of slices does not.
fn assert_page(found: &[u8], expected: &[u8], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (offset, pair) in found.iter().zip(expected).enumerate() {
        assert_eq!(pair.0, pair.1, "{what}, offset {offset}");
    }
}

#[test]
fn checksums_are_those_that_everybody_knows() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    assert_eq!(crc32(b""), 0);
    assert_eq!(crc8(b"123456789"), 0xFB);
    assert_eq!(crc8(b""), 0xFF);
}

#[test]
fn the_checksum_of_any_sealed_page_is_one_constant() {
    let mut page: Vec<u8> = (0..P).map(|byte| (byte * 7) as u8).collect();
    craft::seal_page(&mut page);
    assert_eq!(crc32(&page), 0x2144_DF1C);
}

#[test]
fn limits_are_those_of_the_table() {
    let table = [
        (PageSize::KIB_1, 7_968, 58, 33),
        (PageSize::KIB_4, 32_544, 239, 136),
        (PageSize::KIB_16, 130_848, 962, 545),
        (PageSize::KIB_64, 524_064, 3_853, 2_184),
        (PageSize::MIB_1, 8_388_384, 61_679, 34_952),
    ];
    for (page_size, page_count, blocks, slots_per_block) in table {
        let limits = Limits::of(page_size);
        assert_eq!(
            limits,
            Limits {
                page_count,
                slots_per_block,
                blocks
            }
        );
        assert_eq!(limits.protected(), blocks * slots_per_block);
    }
    assert_eq!((RESERVED_PAGES, NAME), (3, "0.2"));
}

#[test]
fn a_new_file_has_these_bytes() {
    let pager = new_pager();
    let mut superblock = [0; P];
    superblock[..20].copy_from_slice(&[
        b'M', b'P', b'P', b'G', // magic
        0, 2, 0, 0, // version
        10, 0, 0, 0, // log2 of the page size
        0, // metadata side A
        0x00, 0x80, // tag: generation 0
        0x65, // CRC-8
        0x1C, 0xDF, 0x44, 0x21, // CRC-32 of metadata A
    ]);
    superblock[P - 4..].copy_from_slice(&crc32(&[0; 1000]).to_le_bytes());
    assert_page(page(&pager, 0), &superblock, "superblock");

    let mut metadata = [0; P];
    metadata[0] = 4; // pages
    metadata[16] = 1; // free pages
    metadata[24] = 0b0000_0111; // bitmap
    let crc = crc32(&metadata[..P - 4]);
    metadata[P - 4..].copy_from_slice(&crc.to_le_bytes());
    assert_page(page(&pager, 1), &metadata, "metadata A");
    assert_page(page(&pager, 2), &metadata, "metadata B");
    assert_page(page(&pager, 3), &[0; P], "a free page");
    assert_eq!(pager.store().bytes().len(), 4 * P);
}

#[test]
fn each_commit_writes_these_bytes() {
    let mut pager = new_pager();

    // Generation 1: regular pages 3 to 5, the file doubled to 8 pages.
    let mut transaction = pager.begin().unwrap();
    pager.alloc(&mut transaction, 3).unwrap();
    pager.commit(transaction).unwrap();
    let mut superblock = craft::superblock(P, 1, &[]);
    craft::tag_superblock(&mut superblock, 1);
    assert_eq!(
        superblock[12..16],
        [1, 0x01, 0x80, craft::crc8(&superblock[..15])]
    );
    assert_page(page(&pager, 0), &superblock, "superblock of generation 1");
    assert_page(
        page(&pager, 2),
        &craft::metadata(P, 8, 1, 0..6),
        "metadata of generation 1",
    );

    // Generation 2: protected page 0 in pages 6 and 7, its block in 8 and 9.
    let mut transaction = pager.begin().unwrap();
    pager.alloc_protected(&mut transaction, 1).unwrap();
    pager.commit(transaction).unwrap();
    let mut superblock = craft::superblock(P, 0, &[(8, 9, 0)]);
    craft::tag_superblock(&mut superblock, 2);
    assert_eq!(
        superblock[20..41],
        *b"\x01\0\0\0\x08\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0"
    );
    assert_page(page(&pager, 0), &superblock, "superblock of generation 2");
    assert_page(
        page(&pager, 1),
        &craft::metadata(P, 16, 2, 0..10),
        "metadata of generation 2",
    );
    let new = Slot {
        in_use: 1,
        page: [6, 7],
        active: 0,
        generation: 1,
        checksum: 0xEFB5_AF2E,
    };
    assert_eq!(new.checksum, crc32(&[0; P]));
    assert_page(
        page(&pager, 8),
        &craft::directory(P, 2, &[new]),
        "copy A of generation 2",
    );
    assert_page(page(&pager, 9), &[0; P], "copy B, not written yet");
    assert_page(page(&pager, 6), &[0; P], "the protected page");

    // Generation 3: it is written.
    let mut transaction = pager.begin().unwrap();
    pager.stage(&mut transaction, ProtectedId(0)).unwrap()[..2].copy_from_slice(b"hi");
    pager.commit(transaction).unwrap();
    let mut superblock = craft::superblock(P, 1, &[(8, 9, 1)]);
    craft::tag_superblock(&mut superblock, 3);
    assert_page(page(&pager, 0), &superblock, "superblock of generation 3");
    assert_page(
        page(&pager, 2),
        &craft::metadata(P, 16, 3, 0..10),
        "metadata of generation 3",
    );
    let mut contents = [0; P];
    contents[..2].copy_from_slice(b"hi");
    let written = Slot {
        active: 1,
        generation: 2,
        checksum: crc32(&contents),
        ..new
    };
    assert_page(
        page(&pager, 9),
        &craft::directory(P, 3, &[written]),
        "copy B of generation 3",
    );
    assert_page(
        page(&pager, 8),
        &craft::directory(P, 2, &[new]),
        "copy A, as it was",
    );
    assert_page(page(&pager, 7), &contents, "the protected page, written");

    // Generation 4: page 4 and the protected page are freed.
    let mut transaction = pager.begin().unwrap();
    pager.free(&mut transaction, &[4]).unwrap();
    pager
        .free_protected(&mut transaction, &[ProtectedId(0)])
        .unwrap();
    pager.commit(transaction).unwrap();
    let left = [0, 1, 2, 3, 5, 8, 9];
    assert_page(
        page(&pager, 1),
        &craft::metadata(P, 16, 4, left),
        "metadata of generation 4",
    );
    assert_page(
        page(&pager, 8),
        &craft::directory(P, 4, &[]),
        "copy A of generation 4",
    );
}

/// The fields of the largest file, where every offset has another byte order's
/// worth of digits.
#[test]
fn fields_are_little_endian_at_their_offsets() {
    let slot = Slot {
        in_use: 1,
        page: [0x0102_0304_0506_0708, 0x1112_1314_1516_1718],
        active: 1,
        generation: 0x2122_2324_2526_2728,
        checksum: 0x3132_3334,
    };
    let expected = [
        1, 8, 7, 6, 5, 4, 3, 2, 1, 0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11, 1, 0x28, 0x27,
        0x26, 0x25, 0x24, 0x23, 0x22, 0x21, 0x34, 0x33, 0x32, 0x31,
    ];
    assert_eq!(slot.encode(), expected);
    let copy = craft::directory(P, 0, &[Slot::default(), slot]);
    let parsed = pagebox_core::format0::directory::DirectoryCopy::parse(copy, PageSize::KIB_1);
    let parsed = parsed.unwrap();
    assert_eq!(parsed.slot(0).unwrap(), None);
    let found = parsed.slot(1).unwrap().unwrap();
    assert_eq!((found.pages, found.active.byte()), (slot.page, 1));
    assert_eq!(
        (found.generation, found.checksum),
        (slot.generation, slot.checksum)
    );
}

#[test]
fn the_second_directory_block_follows_the_first_in_page_0() {
    let mut pager = new_pager();
    let mut transaction = pager.begin().unwrap();
    pager.alloc_protected(&mut transaction, 34).unwrap();
    pager.commit(transaction).unwrap();
    // 3 reserved pages, A of all protected ones, B of all, two blocks.
    let mut superblock = craft::superblock(P, 1, &[(71, 72, 0), (73, 74, 0)]);
    craft::tag_superblock(&mut superblock, 1);
    assert_page(page(&pager, 0), &superblock, "superblock");
    let slots = (0..34).map(|id| Slot {
        in_use: 1,
        page: [3 + id, 37 + id],
        active: 0,
        generation: 1,
        checksum: 0xEFB5_AF2E,
    });
    let slots: Vec<_> = slots.collect();
    assert_page(
        page(&pager, 71),
        &craft::directory(P, 1, &slots[..33]),
        "block 0",
    );
    assert_page(
        page(&pager, 73),
        &craft::directory(P, 1, &slots[33..]),
        "block 1",
    );
}

#[test]
fn minor_and_build_of_a_file_stay_as_they_are() {
    let mut bytes = new_pager().close().bytes().to_vec();
    bytes[4..8].copy_from_slice(&[0, 1, 77, 99]);
    craft::tag_superblock(&mut bytes, 0);
    let store = MemoryStore::from_bytes(PageSize::KIB_1, bytes);
    let mut pager = Pager::open(store, Access::Write).unwrap();
    let mut transaction = pager.begin().unwrap();
    pager.alloc(&mut transaction, 1).unwrap();
    pager.commit(transaction).unwrap();
    assert_eq!(page(&pager, 0)[..8], *b"MPPG\0\x01\x4D\x63");
}

#[test]
fn the_first_bytes_tell_the_page_size() {
    // Large pages take Miri minutes.
    for log2 in 10..=if cfg!(miri) { 12 } else { 20 } {
        let size = PageSize::from_log2(log2).unwrap();
        let file = Pager::create(MemoryStore::new(size), 0).unwrap().close();
        assert_eq!(page_size(&file.bytes()[..512]), Ok(size));
        assert_eq!(page_size(&file.bytes()[..20]), Ok(size));
    }
}
