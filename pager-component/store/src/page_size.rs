//! [`PageSize`]: a power of two that every store and file agrees on.

use core::fmt;

/// The size of a page: a power of two, 1 KiB to 1 MiB.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageSize {
    log2: u8,
}

/// A number that is no page size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("page size {0} is not supported: it must be a power of two from 1024 to 1048576")]
pub struct UnsupportedPageSize(pub u64);

impl PageSize {
    /// 1 KiB, the smallest.
    pub const KIB_1: Self = Self { log2: 10 };
    /// 4 KiB, the usual.
    pub const KIB_4: Self = Self { log2: 12 };
    /// 16 KiB.
    pub const KIB_16: Self = Self { log2: 14 };
    /// 64 KiB.
    pub const KIB_64: Self = Self { log2: 16 };
    /// 1 MiB, the largest.
    pub const MIB_1: Self = Self { log2: 20 };

    /// The page size of this many bytes.
    ///
    /// # Errors
    /// [`UnsupportedPageSize`] unless a power of two from 1024 to 1048576.
    pub fn from_bytes(bytes: u32) -> Result<Self, UnsupportedPageSize> {
        if bytes.is_power_of_two() {
            Self::from_log2(bytes.trailing_zeros()).map_err(|_| UnsupportedPageSize(bytes.into()))
        } else {
            Err(UnsupportedPageSize(bytes.into()))
        }
    }

    /// The page size of 2 to the power of `log2` bytes.
    ///
    /// # Errors
    /// [`UnsupportedPageSize`] unless 10 to 20; it holds the bytes, or 0 where
    /// they are 2^64 or more.
    pub fn from_log2(log2: u32) -> Result<Self, UnsupportedPageSize> {
        match u8::try_from(log2) {
            Ok(log2 @ 10..=20) => Ok(Self { log2 }),
            _ => Err(UnsupportedPageSize(1u64.checked_shl(log2).unwrap_or(0))),
        }
    }

    /// Bytes in a page.
    pub const fn bytes(self) -> usize {
        1 << self.log2
    }

    /// Bytes in a page.
    pub const fn bytes_u32(self) -> u32 {
        1 << self.log2
    }

    /// The power of two.
    pub const fn log2(self) -> u32 {
        self.log2 as u32
    }
}

impl fmt::Debug for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PageSize({})", self.bytes())
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}
