//! Addresses: what stands for a file's name where a store on object storage is meant.

use std::path::Path;

use pagebox_store::PageSize;

use crate::{Error, Store};

/// Whether a path is meant as the address of a store on object storage: no file is,
/// unless it is named with its folder, as in `./slatedb+x`.
pub fn is_address(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().starts_with(b"slatedb+")
}

/// An address as people may see it: without what stands behind a `?`; and one that is
/// wrong, with what may be a key in it, not at all. None: it is no address.
pub fn shown_address(path: &Path) -> Option<String> {
    if !is_address(path) {
        return None;
    }
    let address = path.to_string_lossy();
    let shown = address.split('?').next().unwrap_or_default();
    Some(if address.contains('@') {
        "slatedb+...".to_owned()
    } else {
        shown.to_owned()
    })
}

/// That a path names a file.
pub(crate) fn expect_file(path: &Path) -> Result<(), Error> {
    if is_address(path) {
        let text = "this works on files only: `copy` makes one of a store on object storage";
        return Err(Error::Other(text.into()));
    }
    Ok(())
}

/// Makes a store.
pub(crate) fn create(path: &Path, page_size: PageSize) -> Result<Box<dyn Store>, Error> {
    with_slatedb::create(path, page_size)
}

/// Opens a store to write. With `take_over` whoever has it open is ended, and named.
pub(crate) fn open(
    path: &Path,
    take_over: bool,
) -> Result<(Box<dyn Store>, Option<String>), Error> {
    with_slatedb::open(path, take_over)
}

/// Looks at a store.
pub(crate) fn look(path: &Path) -> Result<Box<dyn Store>, Error> {
    with_slatedb::look(path)
}

#[cfg(feature = "slatedb")]
pub(crate) use with_slatedb::{new_store, reader, told};

#[cfg(feature = "slatedb")]
mod with_slatedb {
    use pagebox_slatedb::{Address, Error as SlateError, Options, SlateReader, SlateStore};

    use super::{Error, PageSize, Path, Store};

    fn address(path: &Path) -> Result<Address, Error> {
        let text = path
            .to_str()
            .ok_or_else(|| Error::Other("an address is text".into()))?;
        text.parse()
            .map_err(|error| told(path, "reading the address", error))
    }

    /// What became of a store, in the words that files have where there are some.
    pub(crate) fn told(path: &Path, operation: &str, error: SlateError) -> Error {
        let path = path.to_owned();
        match error {
            SlateError::NotFound => Error::NotFound { path },
            SlateError::Exists => Error::Exists { path },
            SlateError::Locked(writer) => Error::Held {
                path,
                by: writer.to_string(),
            },
            SlateError::Opening => Error::Held {
                path,
                by: error.to_string(),
            },
            SlateError::Fenced
            | SlateError::NoAnswer(_)
            | SlateError::Unavailable(_)
            | SlateError::Damaged(_)
            | SlateError::MovedOn
            | SlateError::Poisoned => Error::Store {
                operation: operation.into(),
                cause: error.into(),
            },
            error => Error::Other(error.to_string()),
        }
    }

    /// Makes a store, where there is none.
    pub(crate) fn new_store(path: &Path, page_size: PageSize) -> Result<SlateStore, Error> {
        let address = address(path)?;
        address
            .new_bucket()
            .and_then(|bucket| SlateStore::create(&bucket, page_size, &address.options()))
            .map_err(|error| told(path, "making the store", error))
    }

    /// Looks at a store.
    pub(crate) fn reader(path: &Path) -> Result<SlateReader, Error> {
        let address = address(path)?;
        address
            .bucket()
            .and_then(|bucket| SlateReader::open(&bucket, &address.options()))
            .map_err(|error| told(path, "opening the store", error))
    }

    pub(super) fn create(path: &Path, page_size: PageSize) -> Result<Box<dyn Store>, Error> {
        Ok(Box::new(new_store(path, page_size)?))
    }

    pub(super) fn open(
        path: &Path,
        take_over: bool,
    ) -> Result<(Box<dyn Store>, Option<String>), Error> {
        let address = address(path)?;
        let options: Options = if take_over {
            address.options().take_over()
        } else {
            address.options()
        };
        let opened = address
            .bucket()
            .and_then(|bucket| SlateStore::open(&bucket, &options));
        let store = opened.map_err(|error| told(path, "opening the store", error))?;
        let ended = store.ended().map(ToString::to_string);
        Ok((Box::new(store), ended))
    }

    pub(super) fn look(path: &Path) -> Result<Box<dyn Store>, Error> {
        Ok(Box::new(reader(path)?))
    }
}

#[cfg(not(feature = "slatedb"))]
mod with_slatedb {
    use super::{Error, PageSize, Path, Store};

    fn absent<R>() -> Result<R, Error> {
        let text = "this program was built without stores on object storage: \
                    `cargo install --path host --features slatedb` builds a `pagebox` with \
                    them, `--path viewer` a `pagebox-viewer`";
        Err(Error::Other(text.into()))
    }

    pub(super) fn create(_: &Path, _: PageSize) -> Result<Box<dyn Store>, Error> {
        absent()
    }

    pub(super) fn open(_: &Path, _: bool) -> Result<(Box<dyn Store>, Option<String>), Error> {
        absent()
    }

    pub(super) fn look(_: &Path) -> Result<Box<dyn Store>, Error> {
        absent()
    }
}
