//! What the first pages of a file say, before it is known how large its pages are.

use std::fs::File;
use std::path::Path;

use pagebox_store::PageSize;

use crate::Error;
use crate::os;
use crate::sandbox::Sandbox;
use crate::wit::{Describes, TellsPageSize};

/// The first bytes of a file, which say what it is.
pub(crate) fn head(file: &File, path: &Path) -> Result<Vec<u8>, Error> {
    const HEAD: u64 = 4096;
    os::head(file, path, HEAD)
}

/// The page size of a file: it begins with it. Where that has rotted, a file of
/// format 1 says it again within its first pages.
pub(crate) fn page_size<W: TellsPageSize + Describes>(
    sandbox: &mut Sandbox<W>,
    file: &File,
    path: &Path,
) -> Result<PageSize, Error> {
    const FIRST_PAGES: u64 = 3 << 20;
    let head = head(file, path)?;
    let announced = sandbox.page_size(&head);
    if matches!(announced, Err(Error::NotAPageFile(_))) {
        let first_pages = os::head(file, path, FIRST_PAGES)?;
        if first_pages.len() > head.len() {
            return sandbox.page_size(&first_pages);
        }
    }
    announced
}
