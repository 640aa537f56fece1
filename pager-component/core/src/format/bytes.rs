//! Little-endian integers in byte slices.
//!
//! The callers' offsets are constants inside a page, or those of a slot or a
//! block whose index was checked: one past the end is a wrong decision, never
//! bad bytes, and ends in a panic.

/// `N` bytes from `offset`.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    match bytes.get(offset..).and_then(<[u8]>::first_chunk) {
        Some(found) => *found,
        None => panic!("{N} bytes at {offset} are past the end"),
    }
}

pub(crate) fn u8_at(bytes: &[u8], offset: usize) -> u8 {
    u8::from_le_bytes(array_at(bytes, offset))
}

pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, offset))
}

pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, offset))
}

pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, offset))
}

/// Writes `value` at `offset`.
pub(crate) fn put(bytes: &mut [u8], offset: usize, value: &[u8]) {
    let len = value.len();
    match bytes.get_mut(offset..).and_then(|rest| rest.get_mut(..len)) {
        Some(target) => target.copy_from_slice(value),
        None => panic!("{len} bytes at {offset} are past the end"),
    }
}
