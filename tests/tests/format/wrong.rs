//! Wrong decisions stop. What nobody who keeps the rules asks for is a panic,
//! which in the sandbox is a trap: never something else, and never nothing.

use std::collections::BTreeMap;

use pagebox_core::ProtectedId;
use pagebox_core::Side;
use pagebox_core::allocation::AllocationMap;
use pagebox_core::bitmap::{Bitmap, Overlay};
use pagebox_core::format0::directory::DirectoryCopy;
use pagebox_core::format0::metadata::MetadataImage;
use pagebox_core::format0::superblock::{BlockRef, Head, RootImage, block_pages, new_identity};
use pagebox_core::format0::{Block, Directory, Limits};
use pagebox_core::kinds::PageKind;
use pagebox_store::PageSize;

const SIZE: PageSize = PageSize::KIB_1;

fn place(first: u64) -> BlockRef {
    BlockRef {
        pages: [first, first + 1],
        active: Side::A,
    }
}

fn block(first: u64) -> Block {
    Block {
        place: place(first),
        tags: [0; 2],
        copy: Some(DirectoryCopy::new(SIZE)),
    }
}

fn root(blocks: &[BlockRef]) -> RootImage {
    let head = Head {
        identity: new_identity(SIZE),
        side: Side::A,
        tag: None,
    };
    RootImage::new(SIZE, &head, blocks)
}

#[test]
#[should_panic(expected = "past the end")]
fn a_slot_past_the_end_of_a_directory_block_is_not_written() {
    DirectoryCopy::new(SIZE).set_slot(33, None);
}

#[test]
#[should_panic(expected = "past the end")]
fn a_slot_past_the_end_of_a_directory_block_is_not_read_as_free() {
    let _ = DirectoryCopy::new(SIZE).slot(33);
}

#[test]
#[should_panic(expected = "past the end")]
fn a_block_past_the_end_of_page_0_is_not_read_as_zeros() {
    block_pages(&[0; 1024], 60);
}

#[test]
#[should_panic(expected = "past the end")]
fn a_block_for_which_page_0_has_no_room_is_not_written() {
    root(&(0..60).map(|n| place(3 + 2 * n)).collect::<Vec<_>>());
}

#[test]
#[should_panic(expected = "a directory block is left out")]
fn a_block_that_is_not_the_next_is_not_added_to_page_0() {
    root(&[place(3)]).set_block(2, &place(5));
}

#[test]
#[should_panic(expected = "a directory block is left out")]
fn a_block_that_is_not_the_next_is_not_added_to_the_directory() {
    let mut directory = Directory::new(Limits::of(SIZE), vec![block(3)], BTreeMap::new());
    directory.put(2, block(5));
}

#[test]
#[should_panic(expected = "protected page 33 has no slot")]
fn a_protected_page_without_a_slot_is_not_noted() {
    let mut directory = Directory::new(Limits::of(SIZE), vec![block(3)], BTreeMap::new());
    directory.set_in_use(ProtectedId(33), true);
}

#[test]
#[should_panic(expected = "the bitmap has no word")]
fn a_page_that_the_bitmap_cannot_name_is_not_allocated() {
    let mut metadata = MetadataImage::new(SIZE, 1, &Bitmap::new(7968));
    let mut pages = Overlay::default();
    pages.insert(8000);
    metadata.set_pages(&pages, true);
}

#[test]
#[should_panic(expected = "page 64 is past the end")]
fn a_page_past_the_end_is_of_no_kind() {
    AllocationMap::from_used(Bitmap::new(64)).set(64, PageKind::REGULAR);
}

#[test]
#[should_panic(expected = "a page is past the end")]
fn pages_past_the_end_are_of_no_kind() {
    let mut pages = Overlay::default();
    pages.insert(64);
    AllocationMap::from_used(Bitmap::new(64)).set_all(&pages, PageKind::REGULAR);
}
