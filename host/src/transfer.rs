//! Copies between files and stores on object storage, both ways.

use std::path::Path;

use crate::copy::Copied;
use crate::{Error, Inspector};

/// How somebody looks at what is at a path or an address.
type Inspect<'i> = &'i dyn Fn(&Path) -> Result<Inspector, Error>;

#[cfg(not(feature = "slatedb"))]
pub(crate) fn copy(
    _: Inspect<'_>,
    path: &Path,
    output: &Path,
    _: &mut dyn FnMut(u64, u64),
) -> Result<Copied, Error> {
    use crate::address::{is_address, look};
    let address = if is_address(path) { path } else { output };
    // It says why there is none.
    look(address).map(|_| unreachable!("a store was opened without the code that does"))
}

#[cfg(feature = "slatedb")]
pub(crate) use with_slatedb::copy;

#[cfg(feature = "slatedb")]
mod with_slatedb {
    use pagebox_slatedb::{SlateReader, SlateStore};
    use pagebox_store::{Change, PageSize, PageStore, StoreError};

    use super::{Copied, Error, Inspect, Inspector, Path};
    use crate::address::{is_address, new_store, reader, shown_address, told};
    use crate::os;
    use crate::report::Info;
    use crate::store::{ReadOnlyStore, Store};
    use crate::unpublished::Unpublished;

    /// Bytes of pages that are written at once, and that are put at once.
    const PIECE: usize = 4 << 20;
    const PUT: usize = 64 << 20;

    /// How often a file is copied that is changed meanwhile.
    const TRIES: u32 = 8;

    type Progress<'p> = &'p mut dyn FnMut(u64, u64);

    /// The checksum of each page that was copied; none of zeros.
    type Sums = Vec<Option<u32>>;

    pub(crate) fn copy(
        inspect: Inspect<'_>,
        path: &Path,
        output: &Path,
        progress: Progress<'_>,
    ) -> Result<Copied, Error> {
        for _ in 0..TRIES {
            // Of one committed state, which a store's reader shows as long as it lives.
            let mut inspector = inspect(path)?;
            let info = Info::of(&mut inspector)?;
            let damage = match info.recovery.as_str() {
                "not-a-page-file" => return Err(Error::NotAPageFile(info.explanation)),
                "damaged" => Some(info.explanation),
                _ => None,
            };
            let source = Source::open(path, &inspector)?;
            let geometry = source.store().geometry();
            let (bytes, page_size) = (geometry.byte_count(), geometry.page_size);
            let mut made = if is_address(output) {
                let store = new_store(output, page_size);
                Made::Store(Box::new(store.map_err(|error| of_copy(output, error))?))
            } else {
                Made::File(Unpublished::create_private(output)?)
            };
            let sums = made.fill(output, source.store(), progress)?;
            if !inspector.is_current()? {
                // Nothing of it was there for anybody yet.
                continue;
            }
            made.publish(output)
                .and_then(|()| verify(output, page_size, &sums))
                .map_err(|error| of_copy(output, error))?;
            return Ok(Copied { bytes, damage });
        }
        Err(Error::Busy)
    }

    /// What is read.
    enum Source {
        File(ReadOnlyStore),
        Store(SlateReader),
    }

    impl Source {
        fn open(path: &Path, inspector: &Inspector) -> Result<Self, Error> {
            if !is_address(path) {
                let page_size = inspector.geometry().page_size;
                return ReadOnlyStore::open(path, page_size).map(Self::File);
            }
            reader(path).map(Self::Store)
        }

        fn store(&self) -> &dyn Store {
            match self {
                Self::File(store) => store,
                Self::Store(store) => store,
            }
        }
    }

    /// What is made: it is not there for anybody before it is published.
    enum Made {
        File((os::Locked, Unpublished)),
        Store(Box<SlateStore>),
    }

    impl Made {
        fn fill(
            &mut self,
            output: &Path,
            source: &dyn Store,
            progress: Progress<'_>,
        ) -> Result<Sums, Error> {
            let geometry = source.geometry();
            let page_size = geometry.page_size.bytes();
            self.grow(output, geometry.page_count, page_size)
                .map_err(|error| of_copy(output, error))?;
            let (mut sums, mut unput) = (Vec::new(), 0);
            let mut piece = Vec::with_capacity(PIECE);
            let mut first = 0;
            for page in 0..geometry.page_count {
                let start = piece.len();
                piece.resize(start + page_size, 0);
                let read = source.read(page, 0, &mut piece[start..]);
                read.map_err(|cause| failed("reading", page, cause))?;
                sums.push(sum(&piece[start..]));
                if piece.len() >= PIECE || page + 1 == geometry.page_count {
                    let mut written = self.write(output, first, &piece, page_size);
                    unput += piece.len();
                    if unput >= PUT {
                        written = written.and_then(|()| self.put(page));
                        unput = 0;
                    }
                    written.map_err(|error| of_copy(output, error))?;
                    piece.clear();
                    first = page + 1;
                    let total = geometry.page_count * page_size as u64;
                    progress(first * page_size as u64, total);
                }
            }
            Ok(sums)
        }

        fn grow(&mut self, output: &Path, pages: u64, page_size: usize) -> Result<(), Error> {
            match self {
                Self::File((file, _)) => file
                    .file()
                    .set_len(pages * page_size as u64)
                    .map_err(|source| Error::io("copy to", output, source)),
                Self::Store(store) => store
                    .grow(pages)
                    .map(drop)
                    .map_err(|cause| failed("adding", pages, cause)),
            }
        }

        /// Writes pages, zeros apart, which are there already.
        fn write(
            &mut self,
            output: &Path,
            first: u64,
            bytes: &[u8],
            page_size: usize,
        ) -> Result<(), Error> {
            let pages = (first..).zip(bytes.chunks_exact(page_size));
            let pages = pages.filter(|(_, bytes)| sum(bytes).is_some());
            match self {
                Self::File((file, _)) => {
                    for (page, bytes) in pages {
                        os::write_at(file.file(), bytes, page * page_size as u64)
                            .map_err(|source| Error::io("copy to", output, source))?;
                    }
                    Ok(())
                }
                Self::Store(store) => {
                    let changes: Vec<_> = pages
                        .map(|(page, bytes)| Change::Bytes { page, bytes })
                        .collect();
                    let written = store.write(&changes);
                    written.map_err(|cause| failed("writing", first, cause))
                }
            }
        }

        fn put(&mut self, page: u64) -> Result<(), Error> {
            match self {
                Self::File(_) => Ok(()),
                Self::Store(store) => store
                    .spill()
                    .map_err(|cause| failed("putting", page, cause)),
            }
        }

        fn publish(self, output: &Path) -> Result<(), Error> {
            match self {
                Self::File((file, unpublished)) => {
                    os::sync(file.file()).map_err(|source| Error::io("copy to", output, source))?;
                    unpublished.publish()
                }
                Self::Store(mut store) => {
                    let synced = store.sync();
                    synced.map_err(|cause| Error::Store {
                        operation: "syncing the store".into(),
                        cause,
                    })?;
                    store
                        .close()
                        .map_err(|error| told(output, "closing the store", error))
                }
            }
        }
    }

    /// That what was made has what was read, by a look of its own.
    fn verify(output: &Path, page_size: PageSize, sums: &Sums) -> Result<(), Error> {
        let made: Box<dyn Store> = if is_address(output) {
            Box::new(reader(output)?)
        } else {
            Box::new(ReadOnlyStore::open(output, page_size)?)
        };
        let mut bytes = vec![0; page_size.bytes()];
        for (page, copied) in (0..).zip(sums) {
            let read = made.read(page, 0, &mut bytes);
            read.map_err(|cause| failed("comparing", page, cause))?;
            if sum(&bytes) != *copied {
                let text = format!("page {page} of the copy is not what was written: remove it");
                return Err(Error::Other(text));
            }
        }
        Ok(())
    }

    /// That something went wrong with the copy, and not with what is copied.
    fn of_copy(output: &Path, error: Error) -> Error {
        match (error, shown_address(output)) {
            (Error::Store { operation, cause }, Some(address)) => Error::Store {
                operation: format!("{operation} of the copy, {address}"),
                cause,
            },
            (error, _) => error,
        }
    }

    fn sum(bytes: &[u8]) -> Option<u32> {
        bytes
            .iter()
            .any(|&byte| byte != 0)
            .then(|| crc32fast::hash(bytes))
    }

    fn failed(doing: &str, page: u64, cause: StoreError) -> Error {
        Error::Store {
            operation: format!("{doing} page {page}"),
            cause,
        }
    }
}
