//! [`Checksum`]: a sum and the algorithm that it is of.

use core::fmt;

use xxhash_rust::xxh3::xxh3_128;

/// How a checksum is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC, as in zlib): 32 bits.
    Crc32,
    /// XXH3 with seed 0: 128 bits.
    Xxh3,
}

/// A checksum of a page or a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Checksum {
    /// How it is computed.
    pub algorithm: Algorithm,
    /// What came of it, in the low bits.
    pub value: u128,
}

impl Checksum {
    /// The checksum of these bytes.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::crc32(crc32fast::hash(bytes)),
            Algorithm::Xxh3 => Self {
                algorithm,
                value: xxh3_128(bytes),
            },
        }
    }

    /// A CRC-32.
    pub const fn crc32(value: u32) -> Self {
        Self {
            algorithm: Algorithm::Crc32,
            value: value as u128,
        }
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.algorithm {
            Algorithm::Crc32 => write!(f, "{:#010x}", self.value),
            Algorithm::Xxh3 => write!(f, "{:#034x}", self.value),
        }
    }
}
