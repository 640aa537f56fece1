//! The bytes of the format as fields with values for people.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::deltas::{self, Deltas};
use super::entry::{self, Entry};
use super::header::{HEADER_LEN, HEADER_SUM, Header, HeaderFault, header_sum};
use super::leaf::{self, in_words};
use super::record;
use super::shape::{DELTAS, ENTRY_LEN, Shape};
use super::table::{SNAPSHOT_LEN, TablePage};
use crate::codec::{narrow, part, u8_at, u32_at, u64_at, u128_at};
use crate::structure::{self, Field, Structure};

/// The most entries of a node, or runs of a leaf, that are listed.
pub(super) const LISTED: usize = 256;

/// What the first page says, and what root records do.
pub(super) fn header(bytes: &[u8], repeated: &Header) -> Structure {
    let header = Header::decode(part(bytes, 0, HEADER_LEN));
    let fault = header.as_ref().err();
    let of_fault =
        |is: fn(&HeaderFault) -> bool| fault.filter(|&it| is(it)).map(ToString::to_string);
    let wanted = repeated.encode();
    let log2 = repeated.page_size.log2();
    // What a sound header says is what counts.
    let otherwise = |at: usize, len: usize, text: String| {
        let is_other = header.is_err() && part(bytes, at, len) != part(&wanted, at, len);
        is_other.then(|| format!("the root records say {text}"))
    };
    let fields =
        alloc::vec![
            Field::new("magic", 0, 4, structure::ascii(part(bytes, 0, 4)))
                .meaning("marks a page file")
                .problem(of_fault(|fault| matches!(fault, HeaderFault::Magic(_)))),
            Field::new(
                "version",
                4,
                2,
                format!("{}.{}", u8_at(bytes, 4), u8_at(bytes, 5)),
            )
            .problem(
                of_fault(|fault| matches!(fault, HeaderFault::Version { .. }))
                    .or_else(|| otherwise(4, 2, "1.0".into()))
            ),
            Field::new("page size", 8, 4, format!("2^{} bytes", u32_at(bytes, 8))).problem(
                of_fault(|fault| matches!(fault, HeaderFault::PageSize(_))).or_else(|| otherwise(
                    8,
                    4,
                    format!("2^{log2} bytes")
                ))
            ),
            Field::new("uuid", 16, 16, hex(part(bytes, 16, 16)))
                .meaning("drawn when the file was made")
                .problem(otherwise(16, 16, hex(&repeated.uuid))),
            homes(bytes, 32).problem(otherwise(32, 32, format!("{:?}", repeated.homes))),
            Field::new(
                "checksum",
                HEADER_SUM,
                16,
                format!("{:#034x}", u128_at(bytes, HEADER_SUM))
            )
            .meaning("XXH3-128 of what comes before")
            .problem(sum_problem(u128_at(bytes, HEADER_SUM), header_sum(bytes))),
        ];
    Structure {
        name: "header",
        title: "Header".to_string(),
        page: 0,
        counts: true,
        valid: Some(header.is_ok()),
        fields,
    }
}

/// What is wrong with a stored checksum.
pub(super) fn sum_problem(stored: u128, computed: u128) -> Option<String> {
    (stored != computed).then(|| format!("the computed XXH3-128 is {computed:#034x}"))
}

/// Where the first homes are.
pub(super) fn homes(bytes: &[u8], at: usize) -> Field {
    let homes = [0, 1, 2, 3].map(|number| u64_at(bytes, at + 8 * number));
    Field::new("homes", at, 32, format!("{homes:?}"))
        .meaning("the first page of the homes of SPACE of the groups 0 to 3")
}

/// The pages of a leaf, in runs of one kind.
pub(super) fn leaf_fields(bytes: &[u8], shape: Shape, first: u64, page_count: u64) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut place = 0;
    let mut left = 0;
    let kind = |place| {
        let nibble = leaf::nibble(bytes, place);
        match leaf::Kind::from_nibble(nibble) {
            _ if first + place >= page_count => Ok("past the page count"),
            Some(kind) => Ok(in_words(shape, first + place, kind).text().name),
            None => Err(nibble),
        }
    };
    while place < shape.group_len() {
        let here = kind(place);
        let mut end = place + 1;
        while end < shape.group_len() && kind(end) == here {
            end += 1;
        }
        if fields.len() < LISTED {
            let value = match here {
                Ok(name) => name.to_string(),
                Err(nibble) => format!("kind {nibble}, which is not known"),
            };
            let name = format!("pages {} to {}", first + place, first + end - 1);
            let (from, to) = (narrow(place / 2), narrow(end.div_ceil(2)));
            fields.push(Field::new(name, from, to - from, value));
        } else {
            left += 1;
        }
        place = end;
    }
    push_left(&mut fields, left, "runs");
    fields
}

/// The deltas of a record, those that begin in its first page.
pub(super) fn delta_fields(deltas: &Deltas, page_len: usize, newest: u64) -> Vec<Field> {
    let mut fields = Vec::new();
    let mut at = DELTAS;
    let mut push = |len: usize, name: String, text: String, page: Option<u64>, birth: u64| {
        let (from, to) = (record::position(at), record::position(at + len));
        at += len;
        if to <= page_len && fields.len() < LISTED {
            let field = Field::new(name, from, to - from, text);
            let field = field.problem(birth_problem(birth, newest));
            fields.push(match page {
                Some(page) => field.refers_to(page),
                None => field,
            });
        }
    };
    for (id, entry) in &deltas.ids {
        let text = entry.map_or_else(|| "freed".into(), |entry| text_of(&entry));
        let page = entry.map(|entry| entry.number).filter(|&page| page != 0);
        let birth = entry.map_or(0, |entry| entry.birth);
        push(deltas::ID_LEN, format!("id {id}"), text, page, birth);
    }
    for (page, is_regular) in &deltas.regular {
        let text = if *is_regular { "regular" } else { "freed" };
        push(
            deltas::PAGE_LEN,
            format!("page {page}"),
            text.into(),
            Some(*page),
            0,
        );
    }
    fields
}

/// How many were not listed.
pub(super) fn push_left(fields: &mut Vec<Field>, left: usize, of: &str) {
    if left > 0 {
        fields.push(Field::new("more", 0, 0, format!("{left} more {of}")));
    }
}

/// What an entry says.
pub(super) fn entry_text(bytes: &[u8], at: usize) -> String {
    match entry::decode(bytes, at) {
        Ok(None) => "absent".into(),
        Ok(Some(entry)) => text_of(&entry),
        Err(_) => hex(part(bytes, at, ENTRY_LEN)),
    }
}

/// What is wrong with an entry of a state whose newest commit is this.
#[cold]
#[inline(never)]
pub(super) fn entry_problem(bytes: &[u8], at: usize, newest: u64) -> Option<String> {
    match entry::decode(bytes, at) {
        Ok(Some(entry)) => birth_problem(entry.birth, newest),
        Ok(None) => None,
        Err(_) => Some("these are bytes that no entry has".into()),
    }
}

#[cold]
#[inline(never)]
fn birth_problem(birth: u64, newest: u64) -> Option<String> {
    (birth > newest).then(|| format!("its birth, {birth}, comes after generation {newest}"))
}

fn text_of(entry: &Entry) -> String {
    format!(
        "{}{}, birth {}, checksum {:#034x}",
        entry.number,
        if entry.full { ", full" } else { "" },
        entry.birth,
        entry.checksum
    )
}

/// Bytes as hexadecimal digits.
#[cold]
#[inline(never)]
pub(super) fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // A string takes all that is written to it.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An entry that names a page of the table of snapshots.
pub(super) fn table_field(name: &str, bytes: &[u8], at: usize, newest: u64) -> Field {
    let field = Field::new(name, at, ENTRY_LEN, entry_text(bytes, at))
        .problem(entry_problem(bytes, at, newest));
    match entry::decode(bytes, at) {
        Ok(Some(entry)) => field.refers_to(entry.number),
        _ => field,
    }
}

/// What a page of the table of snapshots says.
pub(super) fn snapshot_fields(bytes: &[u8], shape: Shape, newest: u64) -> Vec<Field> {
    let page = TablePage::decode(shape, bytes);
    let mut fields = alloc::vec![
        table_field("older", bytes, 0, newest).meaning("the next older page of the table"),
        Field::new("count", 32, 8, u64_at(bytes, 32).to_string())
            .meaning("snapshots in this page")
            .problem(page.as_ref().err().map(ToString::to_string)),
    ];
    let snapshots = page.map(|page| page.snapshots).unwrap_or_default();
    let places = (SNAPSHOT_LEN..).step_by(SNAPSHOT_LEN);
    for (snapshot, at) in snapshots.iter().zip(places).take(LISTED) {
        let text = format!(
            "{}: id {}, generation {}, time {}, MAP {}",
            snapshot.name,
            snapshot.id,
            snapshot.generation,
            snapshot.time,
            entry_text(bytes, at + 32)
        );
        let field = Field::new("snapshot", at, SNAPSHOT_LEN, text).problem(entry_problem(
            bytes,
            at + 32,
            snapshot.generation.min(newest),
        ));
        fields.push(match snapshot.map {
            Some(root) => field.refers_to(root.number),
            None => field,
        });
    }
    push_left(
        &mut fields,
        snapshots.len().saturating_sub(LISTED),
        "snapshots",
    );
    fields
}
