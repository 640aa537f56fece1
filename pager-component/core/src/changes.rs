//! [`Changes`]: what a commit is to do, as a value. Knows no format. Dropping it
//! rolls back.

use alloc::collections::BTreeMap;

use pagebox_store::Checksum;

use crate::bitmap::Overlay;
use crate::ids::ProtectedId;

/// What happens to a protected page. `B` is the store's private buffer.
#[derive(Debug)]
pub enum Change<B> {
    /// It is allocated, with these bytes; zeros where there are none.
    New(Option<B>),
    /// It is written.
    Write(B),
    /// It is freed.
    Free,
    /// It gets the bytes that a page of the file has.
    Copy(Copied),
}

/// Bytes that are in the file already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The page that has them; none: they are zeros.
    pub from: Option<u64>,
    /// Of that page.
    pub checksum: Checksum,
    /// Whether the protected page that gets them is allocated, too.
    pub is_new: bool,
}

impl<B> Change<B> {
    /// The bytes that it stores.
    pub fn bytes(&self) -> Option<&B> {
        match self {
            Self::New(bytes) => bytes.as_ref(),
            Self::Write(bytes) => Some(bytes),
            Self::Free | Self::Copy(_) => None,
        }
    }

    /// Whether the protected page is allocated.
    pub fn is_new(&self) -> bool {
        match self {
            Self::New(_) => true,
            Self::Copy(copied) => copied.is_new,
            Self::Write(_) | Self::Free => false,
        }
    }

    /// Whether what it stores takes a page.
    pub fn takes_page(&self) -> bool {
        match self {
            Self::Copy(copied) => copied.from.is_some(),
            change => change.bytes().is_some(),
        }
    }
}

/// What a commit is to do to the state that is committed now.
#[derive(Debug)]
pub struct Changes<B> {
    /// To protected pages.
    pub protected: BTreeMap<ProtectedId, Change<B>>,
    /// Free pages that become regular ones.
    pub allocated: Overlay,
    /// Regular pages that become free.
    pub freed: Overlay,
}

impl<B> Default for Changes<B> {
    fn default() -> Self {
        Self {
            protected: BTreeMap::new(),
            allocated: Overlay::default(),
            freed: Overlay::default(),
        }
    }
}

impl<B> Changes<B> {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.protected.is_empty() && self.allocated.is_empty() && self.freed.is_empty()
    }

    /// The runs of pages that become regular ones, ascending, each its first
    /// page and how many.
    pub fn allocated_runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let mut pages = self.allocated.iter().peekable();
        core::iter::from_fn(move || {
            let first = pages.next()?;
            let mut count = 1;
            while pages.next_if_eq(&(first + count)).is_some() {
                count += 1;
            }
            Some((first, count))
        })
    }
}
