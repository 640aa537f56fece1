//! Little-endian integers in byte slices, without a panic.
//!
//! A read past the end gives zeros and a write past the end does nothing: the
//! callers' offsets are constants inside a page, which is 1024 bytes at least.

/// `N` bytes from `offset`.
pub(crate) fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let found = bytes.get(offset..).and_then(<[u8]>::first_chunk);
    debug_assert!(found.is_some(), "{N} bytes at {offset} are past the end");
    found.copied().unwrap_or([0; N])
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
    let target = bytes
        .get_mut(offset..)
        .and_then(|rest| rest.get_mut(..value.len()));
    debug_assert!(
        target.is_some(),
        "{} bytes at {offset} are past the end",
        value.len()
    );
    if let Some(target) = target {
        target.copy_from_slice(value);
    }
}
