//! The checksums of the formats: CRC-32 and CRC-8 of format 0, XXH3 with 128
//! bits of format 1.

use pagebox_store::{Algorithm, Checksum, PageSize};

/// What [`xxh3`] comes to. On the medium its low half comes first.
pub type Xxh3 = u128;

/// The XXH3 with 128 bits and seed 0 of `bytes`.
pub fn xxh3(bytes: &[u8]) -> Xxh3 {
    Checksum::of(Algorithm::Xxh3, bytes).value
}

/// The CRC-32 (ISO-HDLC, as in zlib) of `bytes`.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// What a CRC-32 over data that ends in its own little-endian CRC-32 comes to,
/// whatever the data: the residue of the polynomial. The superblock's checksum
/// of the metadata page is therefore this in every sound file, and proves
/// nothing.
pub const CRC32_RESIDUE: u32 = 0x2144_DF1C;

/// The CRC-32 of a page of zeros, by page size from 2^10 to 2^20 bytes.
const CRC32_OF_ZEROS: [u32; 11] = [
    0xEFB5_AF2E,
    0xF1E8_BA9E,
    0xC71C_0011,
    0xD8F4_9994,
    0xAB54_D286,
    0x011F_FCA6,
    0xD797_8EEB,
    0x7EE8_CDCD,
    0xE20E_EA22,
    0x7566_0AAC,
    0xA738_EA1C,
];

/// The XXH3 of a page of zeros, likewise.
const XXH3_OF_ZEROS: [Xxh3; 11] = [
    0x0717_191E_6768_8313_DE5F_15AB_6DAF_7941,
    0x436E_DE2B_81C5_274F_211D_5516_10B7_F84A,
    0x3EE8_DC4F_9E7E_E495_93D7_6FE1_48C6_89BA,
    0x6C8A_36BD_5451_C725_6207_9793_0AB0_991A,
    0xA21D_459C_03BF_6C99_B7CE_04B8_1707_A4D0,
    0xC96C_1D4B_46F5_839F_BFE2_AD64_AFAF_0DD7,
    0xFD5E_E061_C843_3A0F_33B2_02D3_02B6_5CAA,
    0x9D46_1480_179A_33C4_E748_8E24_0CC7_8EA7,
    0x9AA2_95AE_AD2A_4661_2D64_C035_E85F_B928,
    0x0D9F_6ACE_E70B_D714_FD44_4A4E_0C1D_4C46,
    0xB6EF_17A3_4484_92B6_9187_80B9_0550_BF34,
];

/// The CRC-32 of a page of zeros. Looked up: a new protected page reads so, and
/// a mebibyte takes a sandbox half a millisecond.
pub fn crc32_of_zeros(page_size: PageSize) -> u32 {
    by_page_size(&CRC32_OF_ZEROS, page_size)
}

/// The XXH3 of a page of zeros.
pub fn xxh3_of_zeros(page_size: PageSize) -> Xxh3 {
    by_page_size(&XXH3_OF_ZEROS, page_size)
}

fn by_page_size<T: Copy>(table: &[T; 11], page_size: PageSize) -> T {
    let index = page_size.log2() - PageSize::KIB_1.log2();
    match table.get(index as usize) {
        Some(checksum) => *checksum,
        None => unreachable!("there is no page size {page_size}"),
    }
}

/// The CRC-8 (polynomial 0x07, initial value 0xFF, not reflected) of `bytes`.
pub fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0xFF, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc, _| {
            if crc & 0x80 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x07
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32_check_value_matches_the_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn crc32_of_sealed_data_is_the_residue() {
        for data in [&b""[..], b"a", b"some longer data"] {
            let mut sealed = data.to_vec();
            sealed.extend(crc32(data).to_le_bytes());
            assert_eq!(crc32(&sealed), CRC32_RESIDUE);
        }
    }

    #[test]
    fn crc32_of_zeros_is_that_of_a_page_of_zeros() {
        // Large pages take Miri minutes.
        for log2 in 10..=if cfg!(miri) { 12 } else { 20 } {
            let page_size = PageSize::from_log2(log2).expect("it is in range");
            let zeros = alloc::vec![0; page_size.bytes()];
            assert_eq!(crc32_of_zeros(page_size), crc32(&zeros), "{page_size}");
        }
    }

    #[test]
    fn crc8_check_value_is_that_of_its_parameters() {
        // Bit by bit over one byte: 0xFF ^ 0x00, eight shifts of polynomial 7.
        assert_eq!(crc8(&[]), 0xFF);
        assert_eq!(crc8(&[0x00]), 0xF3);
        // CRC-8/ROHC's sibling without reflection, known as CRC-8 init 0xFF.
        assert_eq!(crc8(b"123456789"), 0xFB);
    }
}
