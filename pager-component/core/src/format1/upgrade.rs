//! A new file around regular pages that are there already: those of a file of
//! another format, whose numbers stay. The homes of SPACE give way to them
//! ([`Layout::around`]); its leaves say of them what they are, from the first
//! root on.

use alloc::vec::Vec;

use super::error::Error;
use super::file::File;
use super::header::Uuid;
use super::layout::{Layout, NAMED};
use super::leaf::{self, Kind, reserved_kind};
use super::medium::Medium;
use super::pages::leaf_node;
use super::plan::height_byte;
use super::rewrite::{Level, Node, fold};
use super::shape::Shape;
use crate::bitmap::Overlay;
use crate::codec::wide;
use crate::ids::Extent;

impl File {
    /// Makes a new file in an empty store around regular pages, with about as
    /// many pages as the file has that they are of.
    ///
    /// # Errors
    /// [`Error::NotRegular`] for the first page that the head needs, and
    /// [`Error::OutOfRange`] for the first past the groups whose homes can give
    /// way; as [`File::create`].
    pub fn create_around<S: Medium>(
        store: &mut S,
        uuid: Uuid,
        page_count: u64,
        regular: &[Extent],
    ) -> Result<Self, Error> {
        let shape = Shape::of(store.geometry().page_size);
        Self::create_around_shaped(store, shape, uuid, page_count, regular)
    }

    /// As [`File::create_around`], with another shape: for tests.
    ///
    /// # Errors
    /// As there.
    pub fn create_around_shaped<S: Medium>(
        store: &mut S,
        shape: Shape,
        uuid: Uuid,
        page_count: u64,
        regular: &[Extent],
    ) -> Result<Self, Error> {
        let limit = wide(NAMED) * shape.group_len();
        let regular = Overlay::of_runs(regular, limit).map_err(|page| Error::OutOfRange {
            page,
            page_count: limit,
        })?;
        if let Some(page) = regular.iter().next().filter(|&page| page < shape.head()) {
            return Err(Error::NotRegular {
                page,
                kind: reserved_kind(shape, page),
            });
        }
        let end = regular.max().map_or(0, |page| page + 1);
        let layout = Layout::around(shape, &regular);
        // A last group that is left out has no regular page: its homes are at
        // their place.
        let page_count = layout.round(page_count.min(shape.page_limit()).max(end));
        Self::create_with(store, layout, uuid, page_count, &regular)
    }

    /// The nodes of SPACE that say so of the regular pages of a new file; its
    /// record names them.
    pub(super) fn mark<S: Medium>(
        &mut self,
        store: &S,
        regular: &Overlay,
    ) -> Result<Vec<Node>, Error> {
        let layout = self.layout;
        let birth = self.record.generation;
        let mut leaves = Vec::new();
        let mut entries = Level::new();
        let mut pages = regular.iter().peekable();
        while let Some(&first) = pages.peek() {
            let group = layout.group_of(first);
            let start = layout.group_start(group);
            let mut bytes = leaf::absent(&layout, group);
            while let Some(page) = pages.next_if(|&page| layout.group_of(page) == group) {
                assert!(!layout.is_reserved(page), "a home lies on page {page}");
                leaf::set(&mut bytes, page - start, Kind::Regular);
            }
            let node = leaf_node(&layout, group, None, bytes.into(), birth);
            entries.insert(group, Some(node.entry));
            leaves.push(node);
        }
        let last = entries.last_key_value().map_or(0, |(&group, _)| group);
        let space = self.record.space_tree();
        let height = layout.shape().height_for(space.height, last);
        let mut reader = self.reader(store);
        let folded = fold(&mut reader, &space, height, entries, &[], birth, |_| Ok(0))?;
        self.record.space = folded.tree.root;
        self.record.space_height = height_byte(folded.tree.height);
        leaves.extend(folded.nodes);
        Ok(leaves)
    }
}
