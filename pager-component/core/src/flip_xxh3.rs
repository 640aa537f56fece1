//! Whether one flipped bit explains that bytes fail their XXH3 with 128 bits.
//!
//! Unlike a CRC it is not linear, so every bit is tried; but not by hashing the
//! bytes anew:
//!
//! 1. Of more than 240 bytes XXH3 adds up, for each block of 1024 bytes, eight
//!    numbers: what eight bytes add to two of them, a pair, depends on those eight
//!    bytes and their place, on nothing else.
//! 2. Between blocks each number is scrambled by itself. The end adds up four
//!    products, each of one pair.
//!
//! So a flipped bit changes one pair, which is followed to the end: at most seven
//! blocks of a few operations each. All bits of 4 KiB take 0.9 ms, of 8 KiB 2.2;
//! hashing them anew for each bit takes 17 and 69 (x86-64, without the sandbox).
//!
//! It stays an explanation: of `n` bits, arbitrary damage looks like one of them
//! with a chance of `n` in 2^128, which is as good as never.

use alloc::vec::Vec;

use crate::checksum::{Xxh3, xxh3};
use crate::codec::{part, put, u8_at, u64_at, wide};
use crate::flip::Flip;

/// The most bytes of which each bit is tried.
pub(crate) const LEN_MAX: usize = 8 << 10;

/// Up to so many bytes are hashed otherwise. Nothing of ours is so short.
const SHORT_MAX: usize = 240;

const STRIPE: usize = 64;
const STRIPES: usize = 16;
const BLOCK: usize = STRIPE * STRIPES;

/// Where in the secret the last stripe's part begins, and those of scrambling and
/// of the low half of the end.
const LAST: usize = 121;
const SCRAMBLE: usize = 128;
const MERGE: usize = 11;

/// Constants of XXH3.
const PRIME32_1: u64 = 0x9E37_79B1;
const PRIME64_1: u64 = 0x9E37_79B1_85EB_CA87;
const AVALANCHE: u64 = 0x1656_6791_9E37_79F9;
const START: Lanes = [
    0xC2B2_AE3D,
    0x9E37_79B1_85EB_CA87,
    0xC2B2_AE3D_27D4_EB4F,
    0x1656_67B1_9E37_79F9,
    0x85EB_CA77_C2B2_AE63,
    0x85EB_CA77,
    0x27D4_EB2F_1656_67C5,
    0x9E37_79B1,
];
const SECRET: [u8; 192] = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
];

/// What XXH3 adds up.
type Lanes = [u64; 8];

/// A pair of them.
type Pair = [u64; 2];

/// The bit whose flip makes the XXH3 of `bytes` `expected`; none where it is that,
/// where one bit does not explain it, or where there are more than [`LEN_MAX`]
/// bytes.
#[cold]
#[inline(never)]
pub(crate) fn one_bit(bytes: &[u8], expected: Xxh3) -> Option<Flip> {
    let actual = xxh3(bytes);
    let wanted = expected ^ actual;
    if wanted.is_power_of_two() {
        let bit = u8::try_from(wanted.trailing_zeros()).ok()?;
        return Some(Flip::Checksum { bit });
    }
    if wanted == 0 || !(SHORT_MAX + 1..=LEN_MAX).contains(&bytes.len()) {
        return None;
    }
    let mut changed = bytes.to_vec();
    let mut holds = |byte: usize, bit: u8| {
        let before = u8_at(bytes, byte);
        put(&mut changed, byte, &[before ^ 1 << bit]);
        let holds = xxh3(&changed) == expected;
        put(&mut changed, byte, &[before]);
        holds
    };
    // The last stripe may be a part of two: it is hashed anew.
    let last = bytes.len() - STRIPE;
    let in_last = (last..bytes.len()).flat_map(|byte| (0..8).map(move |bit| (byte, bit)));
    let hashed = Hashed::of(bytes);
    let found = (0..last).step_by(8).find_map(|word| {
        let fits = hashed.flips(bytes, word, low(expected));
        let mut fits = fits.filter(|&(byte, bit)| byte < last && holds(byte, bit));
        fits.next()
    });
    let found = found.or_else(|| in_last.into_iter().find(|&(byte, bit)| holds(byte, bit)));
    found.map(|(byte, bit)| Flip::Bytes {
        byte: wide(byte),
        bit,
    })
}

/// How the hash of bytes came about.
struct Hashed {
    /// For each block, the numbers before it, and what it adds to them.
    blocks: Vec<(Lanes, Lanes)>,
    /// What the end adds up to without the product of each pair.
    without: [u64; 4],
}

impl Hashed {
    /// Of more than [`SHORT_MAX`] bytes.
    #[cold]
    #[inline(never)]
    fn of(bytes: &[u8]) -> Self {
        let stripes = (bytes.len() - 1) / STRIPE;
        let mut blocks = Vec::new();
        let mut before = START;
        // The last block may be without a whole stripe of its own.
        for block in 0..=(bytes.len() - 1) / BLOCK {
            let first = block * STRIPES;
            let mut sums = Lanes::default();
            for stripe in first..stripes.min(first + STRIPES) {
                let secret = (stripe - first) * 8;
                add(&mut sums, part(bytes, stripe * STRIPE, STRIPE), secret);
            }
            if block == (bytes.len() - 1) / BLOCK {
                add(&mut sums, part(bytes, bytes.len() - STRIPE, STRIPE), LAST);
            }
            blocks.push((before, sums));
            for (lane, sum) in before.iter_mut().zip(sums) {
                *lane = lane.wrapping_add(sum);
            }
            for (number, lane) in before.iter_mut().enumerate() {
                *lane = scrambled(*lane, number);
            }
        }
        let mut hashed = Self {
            blocks,
            without: [wide(bytes.len()).wrapping_mul(PRIME64_1); 4],
        };
        let products = [0, 1, 2, 3].map(|pair| hashed.product(pair, 0, [0; 2]));
        for (pair, without) in hashed.without.iter_mut().enumerate() {
            for (other, product) in products.iter().enumerate() {
                if other != pair {
                    *without = without.wrapping_add(*product);
                }
            }
        }
        hashed
    }

    /// The bits of eight bytes before the last stripe whose flip makes the low half
    /// of the hash this.
    fn flips<'a>(
        &'a self,
        bytes: &[u8],
        at: usize,
        wanted: u64,
    ) -> impl Iterator<Item = (usize, u8)> + 'a {
        let lane = at % STRIPE / 8;
        let block = at / BLOCK;
        let (pair, is_second) = (lane / 2, lane % 2 == 1);
        let secret = u64_at(&SECRET, at % BLOCK / STRIPE * 8 + lane * 8);
        let word = if at + 8 <= bytes.len() {
            u64_at(bytes, at)
        } else {
            0
        };
        let without = self.without.get(pair).copied().unwrap_or_default();
        (0..64_u8).filter_map(move |bit| {
            let flipped = word ^ 1 << bit;
            let own = multiplied(flipped, secret).wrapping_sub(multiplied(word, secret));
            let other = flipped.wrapping_sub(word);
            let more = if is_second {
                [other, own]
            } else {
                [own, other]
            };
            let hash = avalanche(without.wrapping_add(self.product(pair, block, more)));
            (hash == wanted).then_some((at + usize::from(bit / 8), bit % 8))
        })
    }

    /// The product of a pair, where a block adds this more to it.
    #[cold]
    #[inline(never)]
    fn product(&self, pair: usize, block: usize, more: Pair) -> u64 {
        let two = |lanes: &Lanes| -> Pair {
            let (pairs, _) = lanes.as_chunks::<2>();
            pairs.get(pair).copied().unwrap_or_default()
        };
        let mut blocks = self.blocks.iter().skip(block);
        let Some((before, sums)) = blocks.next() else {
            return 0;
        };
        let mut lanes = sum(sum(two(before), two(sums)), more);
        for (_, sums) in blocks {
            let [first, second] = lanes;
            let lanes_then = [scrambled(first, 2 * pair), scrambled(second, 2 * pair + 1)];
            lanes = sum(lanes_then, two(sums));
        }
        let [first, second] = lanes;
        let at = MERGE + 16 * pair;
        let wide =
            u128::from(first ^ u64_at(&SECRET, at)) * u128::from(second ^ u64_at(&SECRET, at + 8));
        low(wide) ^ low(wide >> 64)
    }
}

fn sum([first, second]: Pair, [more, more_too]: Pair) -> Pair {
    [first.wrapping_add(more), second.wrapping_add(more_too)]
}

/// Adds a stripe.
fn add(sums: &mut Lanes, stripe: &[u8], secret: usize) {
    let (words, _) = stripe.as_chunks::<8>();
    let (pairs, _) = sums.as_chunks_mut::<2>();
    let (words, _) = words.as_chunks::<2>();
    for ((number, pair), words) in (0..).zip(pairs).zip(words) {
        let [first, second] = words.map(u64::from_le_bytes);
        let at = secret + 16 * number;
        let products = [
            multiplied(first, u64_at(&SECRET, at)),
            multiplied(second, u64_at(&SECRET, at + 8)),
        ];
        // Each word adds itself to the other one's number.
        *pair = sum(sum(*pair, products), [second, first]);
    }
}

fn multiplied(word: u64, secret: u64) -> u64 {
    let key = word ^ secret;
    (key & 0xFFFF_FFFF).wrapping_mul(key >> 32)
}

fn scrambled(lane: u64, number: usize) -> u64 {
    (lane ^ lane >> 47 ^ u64_at(&SECRET, SCRAMBLE + 8 * number)).wrapping_mul(PRIME32_1)
}

fn avalanche(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 37).wrapping_mul(AVALANCHE);
    hash ^ hash >> 32
}

fn low(wide: u128) -> u64 {
    #[expect(clippy::cast_possible_truncation, reason = "the low half is wanted")]
    let low = wide as u64;
    low
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let expected = xxh3(page);
        page[byte] ^= 1 << bit;
        let found = one_bit(page, expected);
        page[byte] ^= 1 << bit;
        let flip = Flip::Bytes {
            byte: byte as u64,
            bit: u8::try_from(bit).expect("a bit of a byte"),
        };
        assert_eq!(found, Some(flip), "{} bytes", page.len());
    }

    #[test]
    fn bits_of_every_place_are_found_in_bytes_of_every_length() {
        // Those of a header, a record of one block and of two, and of pages; and
        // around the ends of stripes and blocks.
        for len in [
            241, 256, 257, 496, 1023, 1024, 1025, 1088, 1089, 4000, 4096, 8032, 8192,
        ] {
            let mut page = page(len);
            let step = if cfg!(miri) { 30_011 } else { 8 * len / 61 };
            for place in (0..8 * len).step_by(step).chain([8 * len - 1]) {
                finds(&mut page, place);
            }
            if cfg!(miri) {
                continue;
            }
            for place in 8 * (len - 130.min(len))..8 * len {
                if place % 5 == 0 {
                    finds(&mut page, place);
                }
            }
        }
    }

    #[test]
    fn bit_of_the_stored_checksum_is_found() {
        let page = page(1024);
        for bit in [0, 63, 64, 127] {
            let found = one_bit(&page, xxh3(&page) ^ 1 << bit);
            assert_eq!(found, Some(Flip::Checksum { bit }));
        }
    }

    #[test]
    fn agreement_other_damage_and_more_bytes_than_are_tried_are_not_explained() {
        let mut page = page(4096);
        let sound = xxh3(&page);
        assert_eq!(one_bit(&page, sound), None);
        page[700] ^= 0b11;
        assert_eq!(one_bit(&page, sound), None);
        page[3000] = !page[3000];
        assert_eq!(one_bit(&page, sound), None);
        let mut large = self::page(LEN_MAX + 1);
        let sound = xxh3(&large);
        large[9] ^= 1;
        assert_eq!(one_bit(&large, sound), None);
        assert_eq!(one_bit(b"short", 7), None);
    }
}
