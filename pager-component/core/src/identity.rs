//! What the first bytes of a file say: which [`Format`] it is of, and why they
//! may be those of no page file.

/// An on-disk format. The list may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// The format of `mappedpages` 0.2.
    Zero,
    /// One sync a commit, and files of any size.
    One,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 2] = [Self::Zero, Self::One];
}

/// Why bytes are not those of a page file that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFault {
    /// Less than a page, of which there are several in every page file.
    #[error("it has {0} bytes, which is less than a page")]
    Short(usize),
    /// No magic.
    #[error("it begins with {0:02x?}, neither with \"MPPG\" nor with \"PBOX\"")]
    Magic([u8; 4]),
    /// Of another format.
    #[error("version {major}.{minor} is not known: 0.0 to 0.2 and 1.0 are")]
    Version {
        /// 0 or 1.
        major: u8,
        /// At most 2.
        minor: u8,
    },
    /// A header that has rotted, and no root record that repeats it.
    #[error("its header is not as it was written, and no root record repeats it")]
    Header,
    /// A power of two that no page file has.
    #[error("page size 2^{0} is not between 2^10 and 2^20")]
    PageSize(u32),
}
