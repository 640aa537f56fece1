//! What is under which key.
//!
//! | Key | Value |
//! |---|---|
//! | `p`, then a page's number in 8 bytes, big-endian | the bytes of the page |
//! | `g` | a byte, the version, 1; a byte, the page size as a power of two; 8 bytes, the page count, little-endian; the release that wrote it, as text |

use std::ops::Range;

use pagebox_store::PageSize;

use crate::Error;

/// What `g` begins with.
const VERSION: u8 = 1;

/// The release whose formats the database has.
const RELEASE: &str = "slatedb 0.18.0";

/// The key of what a store is.
pub(crate) const SHAPE: &[u8] = b"g";

/// The key of a page.
pub(crate) fn page(page: u64) -> [u8; 9] {
    let mut key = [b'p'; 9];
    key[1..].copy_from_slice(&page.to_be_bytes());
    key
}

/// The keys of pages.
pub(crate) fn pages(pages: Range<u64>) -> Range<Vec<u8>> {
    page(pages.start).to_vec()..page(pages.end).to_vec()
}

/// The keys of all pages from one on.
pub(crate) fn pages_from(first: u64) -> Range<Vec<u8>> {
    page(first).to_vec()..b"q".to_vec()
}

/// The page that a key is of.
pub(crate) fn page_of(key: &[u8]) -> Option<u64> {
    let number = key.strip_prefix(b"p")?;
    Some(u64::from_be_bytes(number.try_into().ok()?))
}

/// The value of [`SHAPE`].
pub(crate) fn shape(page_size: PageSize, page_count: u64) -> Vec<u8> {
    let log2 = page_size.bytes().trailing_zeros().to_le_bytes()[0];
    let mut value = vec![VERSION, log2];
    value.extend(page_count.to_le_bytes());
    value.extend(RELEASE.as_bytes());
    value
}

/// What [`SHAPE`] says: the size and the number of pages.
pub(crate) fn read_shape(value: &[u8]) -> Result<(PageSize, u64), Error> {
    let damaged = || Error::Damaged("what the store says of its pages cannot be".into());
    let (&version, rest) = value.split_first().ok_or_else(damaged)?;
    if version != VERSION {
        return Err(Error::UnknownVersion(version));
    }
    let (&log2, rest) = rest.split_first().ok_or_else(damaged)?;
    let (count, _) = rest.split_first_chunk().ok_or_else(damaged)?;
    let page_size = PageSize::from_log2(log2.into()).map_err(|_| damaged())?;
    Ok((page_size, u64::from_le_bytes(*count)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn values_are_the_ones_of_the_table() {
        assert_eq!(page(0x0102), [b'p', 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(page_of(&page(u64::MAX)), Some(u64::MAX));
        assert_eq!(page_of(SHAPE), None);
        let value = shape(PageSize::KIB_4, 3);
        assert_eq!(value[..10], [1, 12, 3, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&value[10..], b"slatedb 0.18.0");
        assert_eq!(read_shape(&value).unwrap(), (PageSize::KIB_4, 3));
    }

    #[test]
    fn a_shape_that_cannot_be_is_refused() {
        assert_eq!(read_shape(&[2]), Err(Error::UnknownVersion(2)));
        for value in [&[][..], &[1], &[1, 12, 0], &[1, 9, 0, 0, 0, 0, 0, 0, 0, 0]] {
            assert!(
                matches!(read_shape(value), Err(Error::Damaged(_))),
                "{value:?}"
            );
        }
    }

    #[test]
    fn keys_of_pages_are_in_the_order_of_their_numbers() {
        assert!(page(255) < page(256));
        assert!(pages_from(0).contains(&page(u64::MAX).to_vec()));
        assert!(!pages(1..256).contains(&page(256).to_vec()));
    }
}
