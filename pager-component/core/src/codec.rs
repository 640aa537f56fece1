//! Little-endian integers in byte slices, and numbers of memory as numbers of a
//! file.
//!
//! The callers' offsets are constants of a format's tables, or places of an
//! element whose index was checked: one past the end is a wrong decision, never
//! bad bytes, and ends in a panic.

/// The bytes `at..at + len`.
pub(crate) fn part(bytes: &[u8], at: usize, len: usize) -> &[u8] {
    match at.checked_add(len).and_then(|end| bytes.get(at..end)) {
        Some(found) => found,
        None => outside(bytes.len(), at, len),
    }
}

/// `N` bytes from `at`.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    match part(bytes, at, N).first_chunk() {
        Some(found) => *found,
        None => outside(bytes.len(), at, N),
    }
}

pub(crate) fn u8_at(bytes: &[u8], at: usize) -> u8 {
    u8::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u128_at(bytes: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(array_at(bytes, at))
}

/// Writes `value` at `at`.
pub(crate) fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
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
    panic!("{count} bytes at {at} are past the end of {len}")
}

/// A number of memory as one of the file.
pub(crate) fn wide(number: usize) -> u64 {
    // No machine has a usize of more than 64 bits.
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// An offset or a length in a page, of which none is larger than a mebibyte.
pub(crate) fn offset(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// A number of the file as one of memory. One that no memory has becomes one
/// that is past every end.
pub(crate) fn narrow(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
