//! What stands in a root slot, for people.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_store::SECTOR;

use super::entry;
use super::fields::{
    LISTED, delta_fields, entry_problem, entry_text, hex, homes, push_left, sum_problem,
    table_field,
};
use super::file::File;
use super::header::{HEADER_LEN, Header};
use super::medium::Medium;
use super::naming::{MAP_ROOT, SNAPSHOTS_ROOT, SPACE_ROOT};
use super::record::{BLOCK, PIECE, RecordFault, SUM};
use super::shape::ENTRY_LEN;
use super::slot_faults::{Stamps, blocks, checksums};
use super::slots;
use super::tree::{Tree, Which};
use crate::codec::{part, u8_at, u32_at, u64_at, u128_at};
use crate::ids::Side;
use crate::read::read_page;
use crate::structure::{self, Field, Structure};

/// Where it repeats the header: page size, uuid, homes.
const PAGE_SIZE: usize = 88;
const UUID: usize = 112;
const HOMES: usize = 128;

impl File {
    /// What stands in the first page of a root slot.
    pub(super) fn root_record<S: Medium>(
        &self,
        store: &S,
        side: Side,
        page: u64,
        bytes: &[u8],
    ) -> Structure {
        // It may be longer than its first page.
        let unit = self.layout.shape().unit();
        let whole = slots::slot_bytes(store, unit, side).ok().flatten();
        let whole = whole.unwrap_or_default();
        let (record, fault, unread) = match slots::read(store, unit, side).map(|slot| slot.found) {
            Ok(Ok(found)) => (Some(found.record), None, None),
            Ok(Err(fault)) => (None, Some(fault), None),
            Err(error) => (None, None, Some(error.to_string())),
        };
        let mut fields = own_fields(bytes, blocks(&whole), fault, unread);
        fields.extend(repeated_fields(store, bytes, record.is_some()));
        for (name, at, which) in [
            ("MAP", MAP_ROOT, Which::Map),
            ("SPACE", SPACE_ROOT, Which::Space),
        ] {
            fields.push(self.tree_field(name, bytes, at, which));
        }
        // All of the file that it may have known.
        let newest = u64_at(bytes, 32);
        fields.push(
            table_field("snapshots", bytes, SNAPSHOTS_ROOT, newest)
                .meaning("the newest page of their table"),
        );
        if let Some(record) = &record {
            fields.extend(delta_fields(&record.deltas, bytes.len(), newest));
        }
        let is_torn = fault == Some(RecordFault::Torn);
        push_stamps(&mut fields, blocks(&whole), bytes.len(), is_torn);
        let shows = record.as_ref() == Some(&self.record);
        Structure {
            name: "root",
            title: format!("Root {side}"),
            page,
            counts: shows && (side == self.side || self.is_copied),
            valid: Some(record.is_some()),
            fields,
        }
    }

    /// The root entry of a tree.
    fn tree_field(&self, name: &str, bytes: &[u8], at: usize, which: Which) -> Field {
        let shape = self.layout.shape();
        let (height, levels, meaning) = match which {
            Which::Map => (
                u8_at(bytes, 89),
                shape.map_levels(),
                "the tree from protected ids to pages",
            ),
            Which::Space => (
                u8_at(bytes, 90),
                shape.space_levels(),
                "the tree that says what each page is",
            ),
        };
        let field = Field::new(name, at, ENTRY_LEN, entry_text(bytes, at))
            .meaning(meaning)
            .problem(entry_problem(bytes, at, u64_at(bytes, 32)));
        let tree = Tree {
            which,
            height: height.into(),
            root: None,
        };
        match entry::decode(bytes, at) {
            // A height that no tree has names no page.
            Ok(Some(entry)) if tree.height <= levels => {
                field.refers_to(self.page_of(&tree, tree.height, 0, &entry))
            }
            _ => field,
        }
    }
}

/// What it says of itself and its state; what is wrong stands at the field that
/// shows it.
fn own_fields(
    bytes: &[u8],
    blocks: &[u8],
    fault: Option<RecordFault>,
    unread: Option<String>,
) -> Vec<Field> {
    let number = |name: &str, at: usize, meaning: &str| {
        Field::new(name, at, 8, u64_at(bytes, at).to_string()).meaning(meaning)
    };
    let count = |name: &str, at: usize, meaning: &str| {
        Field::new(name, at, 4, u32_at(bytes, at).to_string()).meaning(meaning)
    };
    let problem = |is: fn(RecordFault) -> bool| {
        let fault = fault.filter(|&fault| is(fault));
        fault.map(|fault| fault.to_string())
    };
    let sum = match fault {
        Some(RecordFault::Checksum) if blocks.len() >= BLOCK => {
            let (stored, computed) = checksums(blocks);
            sum_problem(stored, computed)
        }
        fault => fault
            .filter(|&fault| fault == RecordFault::Checksum)
            .map(|fault| fault.to_string()),
    };
    alloc::vec![
        Field::new("magic", 0, 8, structure::ascii(part(bytes, 0, 8)))
            .meaning("marks a root record")
            .problem(unread.or_else(|| problem(|fault| fault == RecordFault::Magic))),
        number("length", 8, "bytes of the record without its stamps")
            .problem(problem(|fault| matches!(fault, RecordFault::Length(_)))),
        Field::new(
            "checksum",
            SUM,
            16,
            format!("{:#034x}", u128_at(bytes, SUM))
        )
        .meaning("XXH3-128 of what follows")
        .problem(sum),
        number("generation", 32, "the commit that wrote this"),
        number("base", 40, "the commit that wrote the trees"),
        number(
            "proven",
            48,
            "all that was born up to here was durable before"
        ),
        number("page count", 56, "pages that the file accounts for"),
        number(
            "used pages",
            64,
            "pages that are neither free nor the file's own"
        ),
        number("protected pages", 72, "ids that MAP names"),
        number("last snapshot", 80, "the last id that a snapshot was given"),
        count("deltas", 96, "ids that changed since the last fold").problem(problem(
            |fault| matches!(fault, RecordFault::Field("list of deltas"))
        )),
        count(
            "regular deltas",
            100,
            "regular pages that changed since the last fold"
        ),
        Field::new("height of MAP", 89, 1, u8_at(bytes, 89).to_string()),
        Field::new("height of SPACE", 90, 1, u8_at(bytes, 90).to_string()),
    ]
}

/// What it repeats of the header.
fn repeated_fields<S: Medium>(store: &S, bytes: &[u8], is_record: bool) -> Vec<Field> {
    let page0 = read_page(store, 0).ok().flatten();
    let page0 = page0.filter(|page0| page0.len() >= HEADER_LEN);
    let is_sound = page0
        .as_ref()
        .is_some_and(|page0| Header::decode(part(page0, 0, HEADER_LEN)).is_ok());
    let log2 = u8_at(bytes, PAGE_SIZE);
    let says =
        |field: Field, is_same: &dyn Fn(&[u8]) -> bool, says: &dyn Fn(&[u8]) -> String| match page0
            .as_deref()
        {
            Some(page0) if is_same(page0) => field.meaning("as in the header"),
            Some(page0) if !is_record => field.meaning(format!("the header has {}", says(page0))),
            Some(page0) if is_sound => {
                field.problem(Some(format!("the header says {}", says(page0))))
            }
            Some(page0) => {
                field.meaning(format!("the header has rotted, and says {}", says(page0)))
            }
            None => field,
        };
    alloc::vec![
        says(
            Field::new("page size", PAGE_SIZE, 1, format!("2^{log2} bytes")),
            &|page0| u32_at(page0, 8) == u32::from(log2),
            &|page0| format!("2^{} bytes", u32_at(page0, 8)),
        ),
        says(
            Field::new("uuid", UUID, 16, hex(part(bytes, UUID, 16))),
            &|page0| part(page0, 16, 16) == part(bytes, UUID, 16),
            &|page0| hex(part(page0, 16, 16)),
        ),
        says(
            homes(bytes, HOMES),
            &|page0| part(page0, 32, 32) == part(bytes, HOMES, 32),
            &|page0| homes(page0, 32).value,
        ),
    ]
}

/// The stamps of its sectors, those in its first page.
fn push_stamps(fields: &mut Vec<Field>, blocks: &[u8], page_len: usize, is_torn: bool) {
    let Stamps { stamps, most } = Stamps::of(blocks);
    let in_page = stamps.len().min(page_len / SECTOR);
    let sectors = stamps.into_iter().take(in_page).enumerate();
    for (sector, stamp) in sectors.take(LISTED) {
        let name = if sector == 0 {
            "stamp".to_string()
        } else {
            format!("stamp {}", sector + 1)
        };
        let field = Field::new(name, sector * SECTOR + PIECE, 8, stamp.to_string())
            .meaning("the generation again, at the end of every sector")
            .problem((is_torn && stamp != most).then(|| format!("most others are {most}")));
        fields.push(field);
    }
    push_left(fields, in_page.saturating_sub(LISTED), "stamps");
}
