//! Mending a file on request: the header is written again where it has rotted.
//! What else is damaged is said, and left as it is.

use alloc::string::ToString;
use alloc::vec::Vec;

use pagebox_store::Change;

use super::error::{Error, Operation};
use super::file::File;
use super::header::Header;
use super::medium::Medium;
use super::recover::recover;
use super::slots;
use crate::action::Action;

/// Mends the file in a store. A sound file stays as it is.
///
/// # Errors
/// [`Error::Damaged`], where it cannot be mended; as [`File::open`].
pub(crate) fn mend<S: Medium>(store: &mut S) -> Result<Vec<Action>, Error> {
    let decision = recover(store, None)?;
    let (is_rotten, header) = (decision.header_is_rotten, decision.chosen.record.header);
    let mut file = File::of(decision);
    file.expect_undamaged()?;
    if !is_rotten {
        return Ok(Vec::new());
    }
    // Both roots say what the header is to say, before it is written.
    file.settle(store)?;
    file.write_header(store, &header)?;
    Ok(alloc::vec![Action {
        lost: false,
        page: Some(0),
        protected: None,
        text: "the header was written again, as the root records repeat it".to_string(),
    }])
}

impl File {
    fn write_header<S: Medium>(&mut self, store: &mut S, header: &Header) -> Result<(), Error> {
        let page = slots::whole(self.layout.shape(), &header.encode());
        let changes: [Change<'_, S::Buffer>; 2] = [
            Change::Bytes {
                page: 0,
                bytes: &page,
            },
            Change::Sync,
        ];
        let done = store.write(&changes);
        self.or_poison(Operation::WriteNew, done)
    }
}
