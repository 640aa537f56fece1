//! Views: a committed state that stays readable while commits go on.
//!
//! A view is a file that is only read, at a root record of its own: the trees as
//! of the last fold before it, and the deltas since. A pin keeps what they reach.

use alloc::vec::Vec;

use super::check;
use super::error::{Damage, Error};
use super::file::{File, Scope};
use super::layout::Layout;
use super::medium::Medium;
use super::record::{self, BLOCK, Record};
use super::recover::{Decision, Verdict, Verified, lay_out};
use super::shape::Shape;
use super::slots::Found;
use crate::ids::Side;
use crate::pin::Pin;

impl File {
    /// The committed state, to be read from as long as the pin lives, also when
    /// this file can no longer be.
    ///
    /// # Errors
    /// [`Error::Poisoned`].
    pub fn view(&mut self) -> Result<(Self, Pin), Error> {
        self.expect_sound()?;
        let pin = self.pins.pin(self.record.generation);
        Ok((Self::reading(self.layout, self.record.clone()), pin))
    }

    /// The root record of the committed state, as it would stand in a slot that
    /// has the room: [`File::open_at`] reads that state.
    pub fn root(&self) -> Vec<u8> {
        self.record.encode()
    }

    /// Opens a file to read it at a root record that need not be in it. What the
    /// record reaches has to stay: somebody holds a [`Pin`].
    ///
    /// # Errors
    /// [`Error::Identity`], [`Error::PageSizeMismatch`], [`Error::Store`];
    /// [`Error::Damaged`] for bytes that are no root record of this file.
    pub fn open_at<S: Medium>(store: &S, root: &[u8]) -> Result<Self, Error> {
        Self::open_at_shaped(store, root, None)
    }

    /// As [`File::open_at`], in another shape than that of its page size: for
    /// tests.
    ///
    /// # Errors
    /// As there.
    pub fn open_at_shaped<S: Medium>(
        store: &S,
        root: &[u8],
        shape: Option<Shape>,
    ) -> Result<Self, Error> {
        let (header, _, layout) = lay_out(store, shape)?;
        let is_whole = root.len() >= BLOCK && record::len_of(root, root.len()) == Ok(root.len());
        let record = is_whole.then(|| Record::decode(root)).and_then(Result::ok);
        let record = record.filter(|record| record.header == header);
        let record = record.ok_or(Error::Damaged(Damage::NoRoot))?;
        check::root(&layout, store.geometry().page_count, &record).map_err(|fault| {
            Error::Damaged(Damage::Unsound {
                generation: record.generation,
                page: 0,
                fault,
            })
        })?;
        Ok(Self::reading(layout, record))
    }

    /// A file that is only read, at this record: its protected pages, since nobody
    /// keeps its nodes of SPACE.
    pub(super) fn reading(layout: Layout, record: Record) -> Self {
        let generation = record.generation;
        let mut file = Self::of(Decision {
            layout,
            header_is_rotten: false,
            verdict: Verdict::Acknowledged,
            side: Side::A,
            chosen: Found {
                record,
                blocks: Vec::new(),
            },
            highest: generation,
            verified: Verified::default(),
            slots: [Ok(generation); 2],
            rejected: None,
            damage: None,
        });
        file.counted = None;
        file.scope = Scope::Protected;
        file
    }
}
