//! A page file on a store, by the native core.

use std::time::Duration;

use pagebox_core::{Access, Format, NewFile, Pager, ProtectedId};
use pagebox_slatedb::{Bucket, Options, SlateReader, SlateStore};
use pagebox_store::{PageSize, PageStore};

/// Long enough for what has no reason to fail, on any machine.
pub(crate) fn options() -> Options {
    Options::default().timeout(Duration::from_mins(1))
}

pub(crate) fn new_file(format: Format) -> NewFile {
    NewFile {
        format,
        page_count: 0,
        uuid: [7; 16],
    }
}

/// Makes a page file with a protected page for each of so many.
pub(crate) fn create(bucket: &Bucket, format: Format, pages: u32) -> Pager<SlateStore> {
    let store = SlateStore::create(bucket, PageSize::KIB_4, &options()).expect("a new store");
    let mut pager = Pager::create_as(store, &new_file(format)).expect("a new file");
    let mut transaction = pager.begin().expect("nothing failed");
    let ids = pager.alloc_protected(&mut transaction, pages);
    assert_eq!(ids.expect("room").len(), pages as usize);
    pager.commit(transaction).expect("a sound store");
    pager
}

pub(crate) fn open(bucket: &Bucket) -> Pager<SlateStore> {
    let store = SlateStore::open(bucket, &options().take_over()).expect("a store");
    Pager::open(store, Access::Write).expect("a sound file")
}

/// Writes a byte into the first so many protected pages, in one commit.
pub(crate) fn fill(
    pager: &mut Pager<SlateStore>,
    pages: u32,
    byte: u8,
) -> Result<(), pagebox_core::Error> {
    let mut transaction = pager.begin()?;
    for id in 0..pages {
        pager
            .stage(&mut transaction, ProtectedId(id.into()))?
            .fill(byte);
    }
    pager.commit(transaction).map(drop)
}

/// The byte that all of the first so many protected pages are full of.
///
/// # Panics
/// Where they are of more than one state.
pub(crate) fn filled<S: PageStore>(pager: &mut Pager<S>, pages: u32) -> u8 {
    let mut bytes = vec![0; 4096];
    let mut found = None;
    for id in 0..pages {
        let place = pager
            .verify_protected(ProtectedId(id.into()))
            .expect("sound");
        let page = place.page.expect("a page that was written");
        pager.store().read(page, 0, &mut bytes).expect("there");
        let first = *found.get_or_insert(bytes[0]);
        assert!(
            bytes.iter().all(|&byte| byte == first),
            "page {id} is a mixture"
        );
    }
    found.expect("a page")
}

/// What a reader finds.
pub(crate) fn seen(bucket: &Bucket, pages: u32) -> u8 {
    let reader = SlateReader::open(bucket, &options()).expect("a store");
    filled(
        &mut Pager::open(reader, Access::Read).expect("a file"),
        pages,
    )
}
