//! Little-endian integers in byte slices, and the checksum.
//!
//! Offsets are constants of the tables in [`super`], or places of entries in a
//! page: one that is past the end is a fault of this code, never of the bytes,
//! so it stops the program rather than reading zeros.

use xxhash_rust::xxh3::xxh3_128;

/// Of a page, a node, a record: XXH3 with 128 bits and seed 0. On the medium
/// its low half comes first.
pub type Checksum = u128;

/// The checksum of these bytes.
pub fn checksum(bytes: &[u8]) -> Checksum {
    xxh3_128(bytes)
}

/// The bytes `at..at + len`.
pub(super) fn part(bytes: &[u8], at: usize, len: usize) -> &[u8] {
    match at.checked_add(len).and_then(|end| bytes.get(at..end)) {
        Some(found) => found,
        None => outside(bytes.len(), at, len),
    }
}

/// `N` bytes from `at`.
pub(super) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    match part(bytes, at, N).first_chunk() {
        Some(found) => *found,
        None => outside(bytes.len(), at, N),
    }
}

pub(super) fn u8_at(bytes: &[u8], at: usize) -> u8 {
    u8::from_le_bytes(array(bytes, at))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}

pub(super) fn u128_at(bytes: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(array(bytes, at))
}

/// Writes `value` at `at`.
pub(super) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    let len = bytes.len();
    let target = at
        .checked_add(value.len())
        .and_then(|end| bytes.get_mut(at..end));
    match target {
        Some(target) => target.copy_from_slice(value),
        None => outside(len, at, value.len()),
    }
}

#[cold]
fn outside(len: usize, at: usize, count: usize) -> ! {
    panic!("{count} bytes at {at} are outside of {len}")
}

/// A number of memory as one of the file.
pub(super) fn wide(number: usize) -> u64 {
    // No machine has a usize of more than 64 bits.
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A number of the file as one of memory. One that no memory has becomes one
/// that is past every end.
pub(super) fn narrow(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
