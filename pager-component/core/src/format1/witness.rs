//! [`Witness`]: recovery beside a writer.
//!
//! A commit writes nothing that the state before it reaches, and is recorded in
//! a root slot before the next one writes anything. So what was read is of one
//! state if the first sectors of both slots, which hold generation and checksum
//! of their records, are afterwards what they were before.

use alloc::vec::Vec;

use pagebox_store::{PageStore, SECTOR, StoreError};

use super::medium::Medium;
use super::shape::Shape;
use super::slots;
use crate::error::{Error, Operation};
use crate::ids::Side;

/// The bytes that decide which state counts, as they were at one moment. None:
/// the file ends before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness([Option<Vec<u8>>; 2]);

impl Witness {
    /// Reads the bytes that decide.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub fn read<S: PageStore>(store: &S) -> Result<Self, Error> {
        let page_size = store.geometry().page_size;
        let read = |side| {
            let at = slots::position(Shape::of(page_size).unit(), side);
            let mut sector = alloc::vec![0; SECTOR];
            match store.read_at(at, &mut sector) {
                Ok(()) => Ok(Some(sector)),
                Err(StoreError::OutOfBounds) => Ok(None),
                Err(source) => {
                    let page = at >> page_size.log2();
                    Err(Error::store(Operation::Read { page })(source))
                }
            }
        };
        Ok(Self([read(Side::A)?, read(Side::B)?]))
    }
}
