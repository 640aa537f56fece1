//! Encoded values against the tables, byte by byte.

use pagebox_core::changes::{Change, Changes};
use pagebox_core::checksum::xxh3;
use pagebox_core::format1::deltas::Deltas;
use pagebox_core::format1::entry::{self, Entry};
use pagebox_core::format1::header::{Header, HeaderFault};
use pagebox_core::format1::record::{self, Record, RecordFault};
use pagebox_core::format1::{Damage, Error, File, Kind, Layout, Shape, Verdict, identify, leaf};
use pagebox_core::{ProtectedId, Side};
use pagebox_store::{MemoryStore, PageBuffer, PageSize, PageStore};

use pagebox_tests::rng::Rng;

use super::scene::{MEDIUM, UUID};

/// Bytes of which a table names some; the others are zero.
fn table(len: usize, rows: &[(usize, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0; len];
    for (at, row) in rows {
        bytes[*at..at + row.len()].copy_from_slice(row);
    }
    bytes
}

fn number(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}

fn header() -> Header {
    Header {
        page_size: PageSize::KIB_4,
        uuid: UUID,
        homes: [3, 8192, 16384, 24576],
    }
}

#[test]
fn header_is_as_the_table_says() {
    let homes: Vec<u8> = header().homes.into_iter().flat_map(number).collect();
    let mut expected = table(
        512,
        &[
            (0, b"PBOX"),
            (4, &[1]),
            (8, &[12]),
            (16, &UUID),
            (32, &homes),
        ],
    );
    let sum = xxh3(&expected[..496]);
    expected[496..].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(header().encode()[..], expected);
    assert_eq!(Header::decode(&expected), Ok(header()));
    for at in 0..512 {
        let mut bytes = expected.clone();
        bytes[at] ^= 4;
        let fault = if at < 4 {
            HeaderFault::Magic(*bytes.first_chunk().unwrap())
        } else {
            HeaderFault::Checksum
        };
        assert_eq!(Header::decode(&bytes), Err(fault), "byte {at}");
    }
}

/// The sum of XXH3 with 128 bits of nothing, as its authors give it.
#[test]
fn checksum_is_xxh3_with_its_low_half_first() {
    let sum: u128 = 0x99aa_06d3_0147_98d8_6001_c324_468d_497f;
    assert_eq!(xxh3(&[]), sum);
    assert_eq!(
        sum.to_le_bytes()[..8],
        0x6001_c324_468d_497f_u64.to_le_bytes()
    );
}

#[test]
fn entry_is_as_the_table_says() {
    let entry = Entry {
        number: 0x1234_5678_9abc,
        full: true,
        side: Side::B,
        birth: 77,
        checksum: 0x55,
    };
    let word = 0x1234_5678_9abc | 1 << 48 | 1 << 49 | 1 << 50;
    let expected = table(32, &[(0, &number(word)), (8, &[77]), (16, &[0x55])]);
    let mut bytes = vec![0xFF; 32];
    entry::encode(&mut bytes, 0, Some(&entry));
    assert_eq!(bytes, expected);
    assert_eq!(entry::decode(&bytes, 0), Ok(Some(entry)));
    entry::encode(&mut bytes, 0, None);
    assert_eq!(bytes, [0; 32]);
    assert_eq!(entry::decode(&bytes, 0), Ok(None));
    // Not present, and not zero; bits that no entry has.
    for (at, value) in [(0, 1), (6, 2), (8, 1), (16, 1)] {
        let mut bytes = vec![0; 32];
        bytes[at] = value;
        assert!(entry::decode(&bytes, 0).is_err());
    }
    let mut bytes = expected;
    bytes[6] |= 8;
    assert!(entry::decode(&bytes, 0).is_err());
}

fn root() -> Record {
    Record {
        header: header(),
        generation: 9,
        base: 8,
        proven: 7,
        page_count: 100,
        used: 6,
        protected: 5,
        last_snapshot: 4,
        map_height: 3,
        space_height: 2,
        map: Some(Entry::zeros(1)),
        space: None,
        snapshots: None,
        deltas: Deltas::default(),
    }
}

/// The record of before, with two ids and two regular pages that changed.
fn root_with_deltas() -> Record {
    let stored = Entry {
        number: 60,
        full: true,
        side: Side::A,
        birth: 9,
        checksum: 0xAA,
    };
    let deltas = Deltas {
        ids: [(6, None), (0x0102_0304_0506, Some(stored))].into(),
        regular: [(70, true), (0x0907_0605_0403, false)].into(),
    };
    Record { deltas, ..root() }
}

/// What stands in the payload at these places, sealed and stamped.
fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut payload = payload.to_vec();
    let sum = xxh3(&payload[32..]);
    payload[16..32].copy_from_slice(&sum.to_le_bytes());
    let mut blocks = Vec::new();
    for piece in payload.chunks(504) {
        blocks.extend_from_slice(piece);
        blocks.extend_from_slice(&payload[32..40]);
    }
    blocks
}

/// The payload of a record.
fn payload_of(blocks: &[u8]) -> Vec<u8> {
    blocks
        .chunks(512)
        .flat_map(|it| it[..504].to_vec())
        .collect()
}

#[test]
fn deltas_are_as_the_table_says() {
    let expected = table(
        4032,
        &[
            (96, &[2, 0, 0, 0, 2, 0, 0, 0]),
            // An id that was freed: its entry is absent.
            (256, &[6, 0, 0, 0, 0, 0, 0, 0]),
            // An id that was written, its page, present and full, its birth, its
            // checksum.
            (296, &[6, 5, 4, 3, 2, 1, 0, 0]),
            (304, &[60, 0, 0, 0, 0, 0, 3, 0]),
            (312, &[9]),
            (320, &[0xAA]),
            // A page that became regular, and one that no longer is.
            (336, &[70, 0, 0, 0, 0, 0, 1, 0]),
            (344, &[3, 4, 5, 6, 7, 9, 0, 0]),
        ],
    );
    let blocks = root_with_deltas().encode();
    let payload = payload_of(&blocks);
    assert_eq!(payload[96..104], expected[96..104]);
    assert_eq!(payload[256..], expected[256..]);
    assert_eq!(sealed(&payload), blocks);
    assert_eq!(Record::decode(&blocks), Ok(root_with_deltas()));
}

/// 94 ids and two pages fill a block; one more, and there are two.
#[test]
fn record_has_as_many_blocks_as_its_deltas_take() {
    let mut root = root();
    for id in 0..94 {
        root.deltas.ids.insert(id, None);
    }
    for page in 0..2 {
        root.deltas.regular.insert(page, true);
    }
    assert_eq!(
        root.deltas.encoded_len(),
        Shape::of(PageSize::KIB_4).deltas_len
    );
    assert_eq!(root.encode().len(), 4096);
    root.deltas.regular.insert(2, true);
    let blocks = root.encode();
    assert_eq!(blocks.len(), 8192);
    assert_eq!(record::len_of(&blocks, 16384), Ok(8192));
    assert_eq!(
        record::len_of(&blocks, 4096),
        Err(RecordFault::Length(8064))
    );
    assert_eq!(Record::decode(&blocks), Ok(root));
    for (page_size, ids) in [
        (PageSize::KIB_1, 94),
        (PageSize::KIB_16, 396),
        (PageSize::MIB_1, 25_798),
    ] {
        assert_eq!(Shape::of(page_size).deltas_len / 40, ids);
    }
}

#[test]
fn deltas_that_cannot_be_are_refused() {
    let good = payload_of(&root_with_deltas().encode());
    let fault = Err(RecordFault::Field("list of deltas"));
    for (at, bytes) in [
        // More than there is room for.
        (96, &[95, 0, 0, 0, 0, 0, 0, 0][..]),
        (96, &[0, 0, 0, 0, 0xD9, 1, 0, 0]),
        (96, &[0xFF; 8]),
        // Not in order, or twice.
        (256, &[7, 5, 4, 3, 2, 1]),
        (256, &[6, 5, 4, 3, 2, 1]),
        (336, &[4, 4, 5, 6, 7, 9]),
        (336, &[3, 4, 5, 6, 7, 9]),
        // Ids past the last, entries that are none, and kinds of others.
        (302, &[1]),
        (264, &[1]),
        (310, &[8]),
        (310, &[2]),
        (342, &[2]),
        (350, &[3]),
        (351, &[1]),
    ] {
        let mut payload = good.clone();
        payload[at..at + bytes.len()].copy_from_slice(bytes);
        assert_eq!(
            Record::decode(&sealed(&payload)),
            fault,
            "{bytes:?} at {at}"
        );
    }
}

#[test]
fn root_record_is_as_the_table_says() {
    let homes: Vec<u8> = header().homes.into_iter().flat_map(number).collect();
    let mut map = [0; 32];
    entry::encode(&mut map, 0, Some(&Entry::zeros(1)));
    let mut payload = table(
        4032,
        &[
            (0, b"PBOXROOT"),
            (8, &number(4032)),
            (32, &number(9)),
            (40, &number(8)),
            (48, &number(7)),
            (56, &number(100)),
            (64, &number(6)),
            (72, &number(5)),
            (80, &number(4)),
            (88, &[12, 3, 2]),
            (112, &UUID),
            (128, &homes),
            (160, &map),
        ],
    );
    let sum = xxh3(&payload[32..]);
    payload[16..32].copy_from_slice(&sum.to_le_bytes());
    let mut expected = Vec::new();
    for piece in payload.chunks(504) {
        expected.extend_from_slice(piece);
        expected.extend_from_slice(&number(9));
    }
    assert_eq!(root().encode(), expected);
    assert_eq!(Record::decode(&expected), Ok(root()));
    assert_eq!(record::len_of(&expected, 4096), Ok(4096));
}

#[test]
fn record_with_any_other_byte_is_refused() {
    let good = root().encode();
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let decoded = record::len_of(&bytes, 4096).and_then(|_| Record::decode(&bytes));
        assert!(decoded.is_err(), "byte {at}");
    }
}

/// Sectors of an older record with the same payload can complete a torn one:
/// only their stamps tell.
#[test]
fn record_with_a_sector_of_another_generation_is_torn() {
    let [good, other] = [9, 10].map(|generation| {
        let mut root = root();
        root.generation = generation;
        root.encode()
    });
    for sector in 0..8 {
        let mut bytes = good.clone();
        let at = sector * 512..(sector + 1) * 512;
        bytes[at.clone()].copy_from_slice(&other[at]);
        assert_eq!(
            Record::decode(&bytes),
            Err(RecordFault::Torn),
            "sector {sector}"
        );
    }
}

#[test]
fn record_of_a_length_that_none_has_is_refused() {
    for length in [0, 1, 504, 4031, 4033, 8064, u64::MAX] {
        let mut bytes = root().encode();
        bytes[8..16].copy_from_slice(&number(length));
        assert_eq!(
            record::len_of(&bytes, 4096),
            Err(RecordFault::Length(length))
        );
    }
    let mut bytes = root().encode();
    bytes[8..16].copy_from_slice(&number(8064));
    assert_eq!(record::len_of(&bytes, 16384), Ok(8192));
}

#[test]
fn leaf_has_a_nibble_a_page_the_low_one_first() {
    let mut leaf = vec![0; 1024];
    for (place, kind) in [
        (0, Kind::Regular),
        (1, Kind::Node),
        (2, Kind::Reserved),
        (5, Kind::Limbo),
    ] {
        leaf::set(&mut leaf, place, kind);
        assert_eq!(leaf::kind(&leaf, place), kind);
    }
    assert_eq!(leaf[..3], [0x31, 0x05, 0x40]);
    for nibble in 0..16 {
        assert_eq!(
            Kind::from_nibble(nibble).map_or(nibble, Kind::nibble),
            nibble
        );
    }
    leaf::set(&mut leaf, 1, Kind::Free);
    assert_eq!(leaf[..3], [0x01, 0x05, 0x40]);
}

/// Sixteen pages at a time, against one at a time.
#[test]
fn leaf_is_counted_and_searched_as_one_page_after_the_other() {
    let mut rng = Rng::new(3);
    for _ in 0..300 {
        let density = rng.between(1, 60);
        let kinds: Vec<Kind> = (0..64)
            .map(|_| match rng.below(density) {
                0 => *rng.pick(&[Kind::Free, Kind::Limbo]),
                1 => Kind::Reserved,
                _ => *rng.pick(&[Kind::Regular, Kind::Protected, Kind::Node, Kind::Snapshots]),
            })
            .collect();
        let mut leaf = vec![0; 1024];
        for (place, &kind) in (0..).zip(&kinds) {
            leaf::set(&mut leaf, place, kind);
        }
        let used = kinds.iter().filter(|kind| kind.is_used()).count() as u64;
        let full = !kinds.iter().any(|kind| kind.is_free());
        assert_eq!(leaf::count(&leaf, MEDIUM), (used, full));
        let reserved = kinds.iter().filter(|&&kind| kind == Kind::Reserved).count() as u64;
        assert_eq!(leaf::count_of(&leaf, MEDIUM, Kind::Reserved), reserved);
        assert!(leaf::is_known(&leaf, MEDIUM));
        for from in 0..64 {
            let end = rng.between(from, 64);
            let next = (from..end).find(|&place| kinds[place as usize].is_free());
            assert_eq!(leaf::next_free(&leaf, from, end), next);
        }
        leaf[rng.below(32) as usize] = *rng.pick(&[0x70, 0x08, 0xF0, 0x09]);
        assert!(!leaf::is_known(&leaf, MEDIUM));
    }
}

#[test]
fn new_file_is_header_two_equal_roots_and_zeros() {
    for (page_size, pages, unit) in [
        (PageSize::KIB_1, 31, 4096),
        (PageSize::KIB_4, 16, 4096),
        (PageSize::KIB_16, 14, 16384),
    ] {
        let mut store = MemoryStore::new(page_size);
        let file = File::create(&mut store, UUID, 0).unwrap();
        assert_eq!(file.stats().free_pages, 1);
        let bytes = store.bytes();
        assert_eq!(bytes.len(), pages * page_size.bytes());
        let layout = Layout::regular(Shape::of(page_size));
        let header = Header {
            page_size,
            uuid: UUID,
            homes: layout.homes(),
        };
        let root = Record::decode(&bytes[unit..unit + 4096]).unwrap();
        assert_eq!(
            (root.header, root.generation, root.page_count),
            (header, 1, pages as u64)
        );
        let expected = table(
            bytes.len(),
            &[
                (0, &header.encode()),
                (unit, &root.encode()),
                (2 * unit, &root.encode()),
            ],
        );
        assert!(bytes == expected);
    }
}

/// A file with one protected page, and a store that has it.
fn file_of(page_size: PageSize) -> MemoryStore {
    let mut store = MemoryStore::new(page_size);
    let mut file = File::create(&mut store, UUID, 0).unwrap();
    let mut changes = Changes::default();
    let bytes = PageBuffer::from(&vec![7; page_size.bytes()][..]);
    changes
        .protected
        .insert(ProtectedId(0), Change::New(Some(bytes)));
    file.commit(&mut store, &changes).unwrap();
    store
}

#[test]
fn rotten_header_is_read_from_the_roots() {
    for log2 in 10..=20 {
        let page_size = PageSize::from_log2(log2).unwrap();
        let mut store = file_of(page_size);
        let found = identify(&store).unwrap();
        assert!(!found.1);
        store.bytes_mut()[..512].fill(0x11);
        assert_eq!(identify(&store), Ok((found.0, true)));
        let mut file = File::open(&store).unwrap();
        assert!(file.header_is_rotten());
        let mut bytes = vec![0; page_size.bytes()];
        file.read(&store, ProtectedId(0), &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 7));
        // With one root, too.
        let unit = page_size.bytes().max(4096);
        store.bytes_mut()[unit..unit + 4096].fill(0x22);
        assert_eq!(identify(&store), Ok((found.0, true)));
        assert_eq!(File::open(&store).unwrap().verdict(), Verdict::OneRoot);
    }
}

/// A user may keep a copy of a root in a page of theirs.
#[test]
fn root_at_the_place_of_another_unit_is_not_taken_for_one() {
    let mut store = file_of(PageSize::KIB_1);
    store.grow(200).unwrap();
    let bytes = store.bytes_mut();
    let root = bytes[4096..8192].to_vec();
    bytes[..12288].fill(0);
    for at in [16384, 32768, 65536, 131_072] {
        bytes[at..at + 4096].copy_from_slice(&root);
    }
    assert_eq!(identify(&store), no_magic([0; 4]));
}

fn no_magic(found: [u8; 4]) -> Result<(Header, bool), Error> {
    Err(Error::Identity(HeaderFault::Magic(found)))
}

#[test]
fn files_that_are_none_are_named() {
    let store = MemoryStore::new(PageSize::KIB_4);
    assert_eq!(identify(&store), no_magic([0; 4]));
    let store = MemoryStore::from_bytes(PageSize::KIB_1, vec![7; 100_000]);
    assert_eq!(identify(&store), no_magic([7; 4]));

    let good = file_of(PageSize::KIB_4);
    let mut store = MemoryStore::from_bytes(PageSize::KIB_1, good.bytes().to_vec());
    let mismatch = Error::PageSizeMismatch {
        file: PageSize::KIB_4,
        store: PageSize::KIB_1,
    };
    assert_eq!(File::open(&store).err(), Some(mismatch));
    store.bytes_mut()[4096..12288].fill(0);
    let mut store = good.clone();
    store.bytes_mut()[4096..12288].fill(0);
    assert_eq!(
        File::open(&store).err(),
        Some(Error::Damaged(Damage::NoRoot))
    );

    // A later version, with a good checksum.
    let mut store = good.clone();
    let bytes = store.bytes_mut();
    bytes[4] = 2;
    let sum = xxh3(&bytes[..496]);
    bytes[496..512].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(
        File::open(&store).err(),
        Some(Error::Identity(HeaderFault::Version { major: 2, minor: 0 }))
    );
    assert_eq!(good.geometry().tail, 0);
}

/// Two roots of one generation that differ, and two of different files.
#[test]
fn roots_that_contradict_each_other_are_damage() {
    let good = file_of(PageSize::KIB_4);
    let record = Record::decode(&good.bytes()[4096..8192]).unwrap();
    let with = |record: &Record| {
        let mut store = good.clone();
        store.bytes_mut()[8192..12288].copy_from_slice(&record.encode());
        store
    };
    let mut other = record.clone();
    other.last_snapshot = 1;
    assert_eq!(
        File::open(&with(&other)).err(),
        Some(Error::Damaged(Damage::TwoRecords))
    );
    let mut other = record;
    other.header.uuid = [0; 16];
    let mut store = with(&other);
    assert_eq!(File::open(&store).unwrap().verdict(), Verdict::OneRoot);
    store.bytes_mut()[0] = 0;
    assert_eq!(
        File::open(&store).err(),
        Some(Error::Damaged(Damage::TwoFiles))
    );
}
