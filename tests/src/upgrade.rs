//! [`convert`]: a file anew in another format, as the host does it through the
//! sandbox.

use std::ops::DerefMut;

use pagebox_core::{Error, Format, NewFile, Pager, ProtectedId};
use pagebox_store::{PageStore, StoreError};

use crate::model::RegularPages;

/// Makes a file of another format in an empty store, each page under its number.
pub fn convert<A, B>(from: &mut Pager<A>, store: B, format: Format) -> Result<Pager<B>, Error>
where
    A: PageStore,
    B: PageStore<Buffer: DerefMut<Target = [u8]>> + RegularPages,
{
    let stats = from.stats();
    let new = NewFile {
        format,
        page_count: stats.page_count.expect("the file is sound"),
        uuid: *b"a uuid of a file",
    };
    let runs = from.allocated(0, usize::MAX)?;
    let mut to = Pager::create_around(store, &new, &runs)?;
    let mut bytes = vec![0; stats.page_size.bytes()];
    for page in runs.iter().flat_map(|run| run.first..run.first + run.count) {
        let read: Result<(), StoreError> = from.store().read(page, 0, &mut bytes);
        read.expect("the page is in the store");
        to.store_mut().put(page, 0, &bytes);
    }
    to.sync()?;
    let listed = from.protected(ProtectedId(0), usize::MAX)?;
    let mut ids: Vec<_> = listed.into_iter().map(|it| it.id).collect();
    // The highest first.
    let highest = ids.pop();
    let ids: Vec<_> = highest.into_iter().chain(ids).collect();
    for ids in ids.chunks(50) {
        let mut tx = to.begin()?;
        to.claim_protected(&mut tx, ids)?;
        for &id in ids {
            match from.verify_protected(id)?.page {
                Some(page) => from.store().read(page, 0, &mut bytes),
                None => continue,
            }
            .expect("the page is in the store");
            if bytes.iter().any(|&byte| byte != 0) {
                to.stage_blank(&mut tx, id)?.copy_from_slice(&bytes);
            }
        }
        to.commit(tx)?;
    }
    Ok(to)
}
