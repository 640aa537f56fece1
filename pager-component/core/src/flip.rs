//! Whether one flipped bit explains that bytes fail their CRC-32.
//!
//! 1. A CRC is linear: what the CRCs of two byte strings of one length differ in
//!    depends on what the strings differ in, and on nothing else.
//! 2. The CRC-32 polynomial is primitive: every single bit of up to 2^32 - 1
//!    bits, the checksum's own 32 among them, makes a difference of its own. So
//!    there is one explanation at most.
//!
//! It stays an explanation: of `n` bits, arbitrary damage looks like one of them
//! with a chance of `n` in 2^32, which is 1 in 131,072 for a page of 4 KiB.

use core::fmt;

/// The polynomial, as it is written for bits that come lowest first.
const POLYNOMIAL: u32 = 0xEDB8_8320;

/// The one bit whose flip explains a checksum that does not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    /// Of the bytes.
    Bytes {
        /// Which byte.
        byte: u64,
        /// Which bit of it, the lowest being 0.
        bit: u8,
    },
    /// Of the checksum that was stored, the lowest being 0.
    Checksum {
        /// Which bit.
        bit: u8,
    },
}

impl fmt::Display for Flip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { byte, bit } => {
                write!(f, "one flipped bit explains it: byte {byte}, bit {bit}")
            }
            Self::Checksum { bit } => {
                write!(
                    f,
                    "one flipped bit of the stored checksum explains it: bit {bit}"
                )
            }
        }
    }
}

/// The bit whose flip makes the CRC-32 of `bits` bits `actual` instead of
/// `expected`; none where they agree, or where one bit does not explain it.
///
/// Takes a few instructions for each bit.
pub fn one_bit(bits: u64, expected: u32, actual: u32) -> Option<Flip> {
    let wanted = expected ^ actual;
    if wanted.is_power_of_two() {
        let bit = u8::try_from(wanted.trailing_zeros()).ok()?;
        return Some(Flip::Checksum { bit });
    }
    // What the last bit makes, and step by step the ones before it.
    let mut difference = POLYNOMIAL;
    for place in (0..bits).rev() {
        if difference == wanted {
            let bit = u8::try_from(place % 8).ok()?;
            let byte = place / 8;
            return Some(Flip::Bytes { byte, bit });
        }
        difference = (difference >> 1) ^ (POLYNOMIAL & (difference & 1).wrapping_neg());
    }
    None
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use super::*;
    use crate::checksum::crc32;

    /// Bytes without a pattern.
    fn page(len: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_u32;
        let next = core::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_le_bytes()[0]
        });
        next.take(len).collect()
    }

    fn finds(page: &mut [u8], place: usize) {
        let (byte, bit) = (place / 8, place % 8);
        let bits = page.len() as u64 * 8;
        let expected = crc32(page);
        page[byte] ^= 1 << bit;
        let found = one_bit(bits, expected, crc32(page));
        page[byte] ^= 1 << bit;
        let flip = Flip::Bytes {
            byte: byte as u64,
            bit: u8::try_from(bit).expect("a bit of a byte"),
        };
        assert_eq!(found, Some(flip));
    }

    #[test]
    fn every_bit_of_a_small_page_is_found() {
        let mut page = page(1024);
        for place in (0..page.len() * 8).step_by(if cfg!(miri) { 1021 } else { 1 }) {
            finds(&mut page, place);
        }
    }

    #[test]
    fn first_last_and_middle_bits_of_a_large_page_are_found() {
        let mut page = page(if cfg!(miri) { 4096 } else { 65_536 });
        let bits = page.len() * 8;
        for place in [0, 1, 7, 8, bits / 2, bits / 3, bits - 9, bits - 1] {
            finds(&mut page, place);
        }
    }

    #[test]
    fn bit_of_the_stored_checksum_is_found() {
        let page = page(1024);
        let sound = crc32(&page);
        for bit in 0..32 {
            let found = one_bit(1024 * 8, sound ^ (1 << bit), sound);
            assert_eq!(found, Some(Flip::Checksum { bit }));
        }
    }

    #[test]
    fn agreement_and_damage_of_more_than_one_bit_are_not_explained() {
        let mut page = page(1024);
        let bits = 1024 * 8;
        let sound = crc32(&page);
        assert_eq!(one_bit(bits, sound, sound), None);
        assert_eq!(one_bit(0, 1, 0x1234_5678), None);
        page[700] ^= 0b11;
        assert_eq!(one_bit(bits, sound, crc32(&page)), None);
        page[9] = !page[9];
        assert_eq!(one_bit(bits, sound, crc32(&page)), None);
    }

    #[test]
    fn explanation_names_the_byte_and_the_bit() {
        assert_eq!(
            Flip::Bytes { byte: 2048, bit: 6 }.to_string(),
            "one flipped bit explains it: byte 2048, bit 6"
        );
        assert_eq!(
            Flip::Checksum { bit: 31 }.to_string(),
            "one flipped bit of the stored checksum explains it: bit 31"
        );
    }
}
