//! What is wrong with a page that an entry names: in words for the check, and of
//! one page by itself.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::entry::Entry;
use super::file::File;
use super::findings;
use super::layout::Layout;
use super::medium::Medium;
use super::tree::{Fault, Which};
use crate::checksum::xxh3;
use crate::facts::ProtectedPage;
use crate::finding::{self, Finding, FindingKind};
use crate::ids::ProtectedId;
use crate::kinds::PageKind;
use crate::read::read_page;
use crate::verify::{Looks, at_flip, explained, protected_page};

/// Where a node or a leaf is in its tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) which: Which,
    pub(super) level: u32,
    pub(super) index: u64,
}

impl Place {
    /// Of MAP.
    pub(super) fn of_map(level: u32, index: u64) -> Self {
        Self {
            which: Which::Map,
            level,
            index,
        }
    }

    /// What is wrong with the node here, which is named so, as a finding. A fault
    /// may be of another node: then no more is said than it says itself.
    #[cold]
    #[inline(never)]
    pub(super) fn finding<S: Medium>(
        self,
        store: &S,
        layout: &Layout,
        page_count: u64,
        named: Option<&Entry>,
        fault: Fault,
        looks: &mut Looks,
    ) -> Finding {
        let page = fault.page;
        let (tree, kind) = match self.which {
            Which::Map => ("MAP", findings::MAP_NODE),
            Which::Space => ("SPACE", findings::SPACE_NODE),
        };
        let wrong = format!("a node of {tree} in page {page} is not as committed");
        let named = named.filter(|named| match self.which {
            Which::Map => named.number == page,
            Which::Space => layout.home(self.level, self.index, named.side) == page,
        });
        let mut finding = explain(store, named, fault, (kind, &wrong), looks);
        if named.is_some() {
            finding.message.push_str(&self.hidden(layout, page_count));
        }
        finding
    }

    /// What cannot be known without the node here, to end a sentence.
    fn hidden(self, layout: &Layout, page_count: u64) -> String {
        let shape = layout.shape();
        let first = shape.first_key(self.level, self.index);
        let end = shape.first_key(self.level, self.index + 1);
        match self.which {
            Which::Map => format!(
                "; those of the protected pages {first} to {} that it names cannot be found",
                end - 1
            ),
            Which::Space => {
                let end = end.min(layout.groups(page_count));
                let end = layout.group_start(end).min(page_count);
                let first = layout.group_start(first);
                format!(
                    "; what the pages {first} to {} are is not known",
                    end.saturating_sub(1)
                )
            }
        }
    }
}

/// What is wrong with a page of the table of snapshots, which is named so.
pub(super) fn table<S: Medium>(
    store: &S,
    named: Option<&Entry>,
    fault: Fault,
    looks: &mut Looks,
) -> Finding {
    let wrong = format!(
        "the table of snapshots is not as committed: page {}",
        fault.page
    );
    let named = named.filter(|named| named.number == fault.page);
    explain(store, named, fault, (findings::SNAPSHOTS, &wrong), looks)
}

/// A fault as a finding; of a page that is named so, with both checksums where
/// they differ, and the bit that explains it.
#[cold]
#[inline(never)]
fn explain<S: Medium>(
    store: &S,
    named: Option<&Entry>,
    fault: Fault,
    (kind, wrong): (FindingKind, &str),
    looks: &mut Looks,
) -> Finding {
    let page = fault.page;
    let is_unread = fault.is_unread;
    let finding = fault.finding(kind, wrong);
    let bytes = read_page(store, page).ok().flatten();
    let (Some(named), Some(bytes), false) = (named, bytes, is_unread) else {
        return finding;
    };
    let actual = xxh3(&bytes);
    if actual == named.checksum {
        return finding;
    }
    let flip = looks.explain(&bytes, named.checksum);
    let message = format!(
        "{wrong}: its checksum is {actual:#034x}, not {:#034x}{}",
        named.checksum,
        explained(flip)
    );
    at_flip(Finding { message, ..finding }, &bytes, flip)
}

impl Fault {
    /// It as a finding: that this is wrong, unless the medium is to blame.
    pub(super) fn finding(self, kind: FindingKind, wrong: &str) -> Finding {
        let (kind, message) = if self.is_unread {
            (finding::UNREADABLE, self.text)
        } else {
            (kind, format!("{wrong}: {}", self.text))
        };
        Finding::new(kind, Some(self.page), message)
    }
}

/// What is wrong with a page of a snapshot.
pub(super) fn in_snapshot(name: &str, found: Option<Finding>) -> Option<Finding> {
    let finding = found?;
    let message = format!("in snapshot {name}: {}", finding.message);
    Some(Finding { message, ..finding })
}

impl File {
    /// What a check finds in a page, as far as the entry that names it is found with
    /// bounded work; but for the bytes of the committed protected pages.
    pub(crate) fn page_findings<S: Medium>(&mut self, store: &S, page: u64) -> Vec<Finding> {
        let mut found = Vec::new();
        let deltas = self.deltas_finding(store);
        found.extend(deltas.filter(|finding| finding.page == Some(page)));
        match self.page_kind(store, page) {
            PageKind::MAP_NODE => found.extend(self.node_finding(store, page)),
            PageKind::SPACE => found.extend(self.home_finding(store, page)),
            PageKind::SNAPSHOTS => found.extend(self.table_finding(store, page)),
            PageKind::PROTECTED_ACTIVE => found.extend(self.held_finding(store, page)),
            PageKind::UNKNOWN => {
                let rotten = self.rotten(store, page);
                found.extend(rotten.or_else(|| self.named_finding(store, page)));
            }
            _ => {}
        }
        found
    }

    /// That the deltas do not fit the trees. Where a node, or the table of snapshots,
    /// is not as it was committed, that is said of it.
    pub(super) fn deltas_finding<S: Medium>(&mut self, store: &S) -> Option<Finding> {
        let fault = Fault::of(&self.paged(store).err()?);
        if self.rotten(store, fault.page).is_some() {
            return None;
        }
        let wrong = format!("the deltas do not fit the trees: page {}", fault.page);
        Some(fault.finding(findings::ROOTS, &wrong))
    }

    /// What is wrong with a home, a page of the table of snapshots or a node, whatever
    /// SPACE says that it is.
    #[cold]
    #[inline(never)]
    fn rotten<S: Medium>(&mut self, store: &S, page: u64) -> Option<Finding> {
        self.home_finding(store, page)
            .or_else(|| self.table_finding(store, page))
            .or_else(|| self.node_finding(store, page))
    }

    /// What is wrong with the bytes of a protected page of which SPACE does not say what it
    /// is.
    fn named_finding<S: Medium>(&mut self, store: &S, page: u64) -> Option<Finding> {
        let named = self.who_names(store, page)?;
        if named.level > 0 {
            return None;
        }
        let of = ProtectedPage {
            id: ProtectedId(named.index),
            location: self.in_words(named.entry.into()),
            next: None,
        };
        protected_page(store, &of, &mut Looks::one())
    }

    /// What is wrong with a page of the table of snapshots.
    #[cold]
    #[inline(never)]
    fn table_finding<S: Medium>(&mut self, store: &S, page: u64) -> Option<Finding> {
        let fault = Fault::of(&self.read_snapshots(store).err()?);
        if fault.page != page {
            return None;
        }
        let named = self.snapshots.next_older();
        Some(table(store, named.as_ref(), fault, &mut Looks::one()))
    }

    /// What is wrong with a node of MAP, of the committed state or of a snapshot.
    #[cold]
    #[inline(never)]
    fn node_finding<S: Medium>(&mut self, store: &S, page: u64) -> Option<Finding> {
        let named = match self.who_names(store, page) {
            Some(named) => named,
            None => self.naming_snapshot(store, page)?.1,
        };
        let place = Place::of_map(named.level, named.index);
        self.node_at_fault(store, place, &named.entry)
    }

    /// What is wrong with a home of SPACE, if its side counts.
    #[cold]
    #[inline(never)]
    fn home_finding<S: Medium>(&mut self, store: &S, page: u64) -> Option<Finding> {
        let (level, index, side) = self.layout.node_at(page)?;
        let space = self.record.space_tree();
        let entry = self.reader(store).entry(&space, level, index).ok()??;
        let place = Place {
            which: Which::Space,
            level,
            index,
        };
        (entry.side == side).then(|| self.node_at_fault(store, place, &entry))?
    }

    #[cold]
    #[inline(never)]
    fn node_at_fault<S: Medium>(
        &mut self,
        store: &S,
        place: Place,
        entry: &Entry,
    ) -> Option<Finding> {
        let Place {
            which,
            level,
            index,
        } = place;
        if which == Which::Map && level == 0 {
            return None;
        }
        let error = self.reader(store).node(which, level, index, entry).err()?;
        let (layout, page_count) = (&self.layout, self.record.page_count);
        let fault = Fault::of(&error);
        Some(place.finding(
            store,
            layout,
            page_count,
            Some(entry),
            fault,
            &mut Looks::one(),
        ))
    }

    /// What is wrong with a page that a snapshot holds, and nothing newer.
    fn held_finding<S: Medium>(&mut self, store: &S, page: u64) -> Option<Finding> {
        if self.record.snapshots.is_none() || self.who_names(store, page).is_some() {
            return None;
        }
        let (name, named) = self.naming_snapshot(store, page)?;
        if named.level != 0 {
            return None;
        }
        let of = ProtectedPage {
            id: ProtectedId(named.index),
            location: self.in_words(named.entry.into()),
            next: None,
        };
        in_snapshot(&name, protected_page(store, &of, &mut Looks::one()))
    }
}
