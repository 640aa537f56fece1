//! The pages of a database, as "Database File Format" of SQLite has them: b-tree
//! pages, overflow pages, trunks of the freelist. Numbers are big-endian.
//!
//! One page is all that there is to go by. A leaf of the freelist holds what it held
//! before, so it is taken for that; a page that begins with a zero is told apart by
//! what is likely. Databases that reserve bytes at the end of pages, have pointer maps
//! (`auto_vacuum`) or pages of another size than the file's are not known.

use std::ops::Range;

pub(crate) const NAME: &str = "sqlite";

/// The header of the database, in its first page.
const HEADER: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";

/// Cells of a page that are listed: with three parts each they are not too many.
const CELLS_LISTED: usize = 1000;

/// Characters of a row that are shown.
const SHOWN: usize = 80;

/// What a page is.
pub(crate) struct Page {
    pub(crate) kind: &'static str,
    pub(crate) title: String,
    pub(crate) letter: char,
    pub(crate) summary: String,
    pub(crate) parts: Vec<Part>,
}

/// A part of a page, in bytes.
#[derive(Default)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) offset: usize,
    pub(crate) len: usize,
    pub(crate) value: String,
    pub(crate) meaning: &'static str,
    /// The protected page that the value names.
    pub(crate) names: Option<u64>,
    /// Empty where nothing is wrong.
    pub(crate) problem: String,
}

/// The four types of b-tree pages.
#[derive(Clone, Copy, PartialEq)]
enum Tree {
    IndexInterior,
    TableInterior,
    IndexLeaf,
    TableLeaf,
}

impl Tree {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            2 => Self::IndexInterior,
            5 => Self::TableInterior,
            10 => Self::IndexLeaf,
            13 => Self::TableLeaf,
            _ => return None,
        })
    }

    fn is_interior(self) -> bool {
        matches!(self, Self::IndexInterior | Self::TableInterior)
    }

    fn is_table(self) -> bool {
        matches!(self, Self::TableInterior | Self::TableLeaf)
    }

    /// The kind, the title and the letter.
    fn words(self) -> (&'static str, &'static str, char) {
        match self {
            Self::IndexInterior => ("index-interior", "Interior page of an index", 'I'),
            Self::TableInterior => ("table-interior", "Interior page of a table", 'T'),
            Self::IndexLeaf => ("index-leaf", "Leaf of an index", 'i'),
            Self::TableLeaf => ("table-leaf", "Leaf of a table", 't'),
        }
    }
}

/// What a page is, by its bytes and its number, counted from 0.
pub(crate) fn decode(bytes: &[u8], id: u64) -> Option<Page> {
    let start = if id == 0 { HEADER } else { 0 };
    if id == 0 && !bytes.starts_with(MAGIC) {
        return None;
    }
    if let Some(tree) = Tree::of(*bytes.get(start)?) {
        let mut page = b_tree(bytes, start, tree);
        if id == 0 {
            page.parts.splice(0..0, header(bytes));
            if tree == Tree::TableLeaf {
                page.parts.extend(roots(bytes, start));
            }
            page.title = "Header, and root of the schema".into();
        }
        return Some(page);
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Some(Page {
            kind: "unused",
            title: "Unused page".into(),
            letter: '.',
            summary: "zeros".into(),
            parts: Vec::new(),
        });
    }
    // All other pages begin with the number of a page.
    (id > 0 && bytes[0] == 0).then(|| trunk(bytes).unwrap_or_else(|| overflow(bytes)))
}

fn header(bytes: &[u8]) -> Vec<Part> {
    let page_size = match number(bytes, 16, 2) {
        1 => 65_536,
        size => size,
    };
    let mut size = part("page size", 16, 2, page_size.to_string());
    if page_size != bytes.len() as u64 {
        size.problem = format!("the page file has pages of {} bytes", bytes.len());
    }
    let mut reserved = part("reserved", 20, 1, bytes[20].to_string());
    if bytes[20] != 0 {
        reserved.problem = "this decoder does not know databases that reserve bytes".into();
    }
    let trunk = number(bytes, 32, 4);
    vec![
        part("magic", 0, 16, "SQLite format 3".into()),
        size,
        reserved,
        part("change counter", 24, 4, number(bytes, 24, 4).to_string()),
        part("pages", 28, 4, number(bytes, 28, 4).to_string()),
        link_or_none("freelist", 32, trunk, "the first trunk of the freelist"),
        part("free pages", 36, 4, number(bytes, 36, 4).to_string()),
        part("schema cookie", 40, 4, number(bytes, 40, 4).to_string()),
    ]
}

fn b_tree(bytes: &[u8], start: usize, tree: Tree) -> Page {
    let (kind, title, letter) = tree.words();
    let count = number(bytes, start + 3, 2) as usize;
    let content = match number(bytes, start + 5, 2) {
        0 => 65_536,
        content => content as usize,
    };
    let pointers = start + if tree.is_interior() { 12 } else { 8 };
    let after = pointers + 2 * count;
    let mut cells = part("cells", start + 3, 2, count.to_string());
    if after > bytes.len() {
        cells.problem = "there is no room for their pointers".into();
    }
    let mut begins = part("content", start + 5, 2, content.to_string());
    if content < after || content > bytes.len() {
        begins.problem = "cells cannot begin there".into();
    }
    let mut parts = vec![
        part("type", start, 1, bytes[start].to_string()),
        part(
            "first free block",
            start + 1,
            2,
            number(bytes, start + 1, 2).to_string(),
        ),
        cells,
        begins,
        part("fragments", start + 7, 1, bytes[start + 7].to_string()),
    ];
    if tree.is_interior() {
        parts.push(link("right child", start + 8, number(bytes, start + 8, 4)));
    }
    let listed = if after > bytes.len() {
        0
    } else {
        count.min(CELLS_LISTED)
    };
    for index in 0..listed {
        let at = pointers + 2 * index;
        let offset = number(bytes, at, 2) as usize;
        let mut pointer = part(&format!("pointer {index}"), at, 2, offset.to_string());
        if offset < after || offset >= bytes.len() {
            pointer.problem = "no cell can be there".into();
            parts.push(pointer);
            continue;
        }
        parts.push(pointer);
        match cell(bytes, offset, index, tree) {
            Some(found) => parts.extend(found),
            None => parts.push(Part {
                problem: "it goes on past the end of the page".into(),
                ..part(
                    &format!("cell {index}"),
                    offset,
                    bytes.len() - offset,
                    String::new(),
                )
            }),
        }
    }
    let left_out = match count.saturating_sub(listed) {
        0 => String::new(),
        more => format!(", {more} of them not listed"),
    };
    Page {
        kind,
        title: title.into(),
        letter,
        summary: format!("{count} cells{left_out}"),
        parts,
    }
}

/// The parts of a cell; none: it does not end in the page.
fn cell(bytes: &[u8], offset: usize, index: usize, tree: Tree) -> Option<Vec<Part>> {
    let mut links = Vec::new();
    let mut at = offset;
    if tree.is_interior() {
        bytes.get(at..at + 4)?;
        links.push(link(&format!("child {index}"), at, number(bytes, at, 4)));
        at += 4;
    }
    if tree == Tree::TableInterior {
        let (row, end) = varint(bytes, at)?;
        let value = format!("rows up to {}", row as i64);
        let mut parts = vec![part(&format!("cell {index}"), offset, end - offset, value)];
        parts.extend(links);
        return Some(parts);
    }
    let (len, next) = varint(bytes, at)?;
    at = next;
    let mut value = format!("{len} bytes");
    if tree.is_table() {
        let (row, next) = varint(bytes, at)?;
        at = next;
        value = format!("row {}", row as i64);
    }
    let local = local(bytes.len(), usize::try_from(len).ok()?, tree);
    let payload = bytes.get(at..at + local)?;
    if let Some(row) = row(payload) {
        value = format!("{value}: {row}");
    }
    at += local;
    if (local as u64) < len {
        bytes.get(at..at + 4)?;
        links.push(link(&format!("overflow {index}"), at, number(bytes, at, 4)));
        at += 4;
    }
    let mut parts = vec![part(&format!("cell {index}"), offset, at - offset, value)];
    parts.extend(links);
    Some(parts)
}

/// How many bytes of a payload are in the page itself.
fn local(page_size: usize, len: usize, tree: Tree) -> usize {
    let most = if tree == Tree::TableLeaf {
        page_size - 35
    } else {
        (page_size - 12) * 64 / 255 - 23
    };
    if len <= most {
        return len;
    }
    let least = (page_size - 12) * 32 / 255 - 23;
    let rest = least + (len - least) % (page_size - 4);
    if rest <= most { rest } else { least }
}

/// A column of a record: its serial type, and where its bytes are in the record, or
/// would be if it were all in the page.
type Column = (u64, Range<usize>);

/// The columns of a record, at most so many.
fn columns(record: &[u8], most: usize) -> Option<Vec<Column>> {
    let (header, mut at) = varint(record, 0)?;
    let header = usize::try_from(header).ok()?;
    let mut data = header;
    let mut columns = Vec::new();
    while at < header && columns.len() < most {
        let (serial, next) = varint(record, at)?;
        at = next;
        let len = match serial {
            0 | 8 | 9 => 0,
            1..=4 => serial as usize,
            5 => 6,
            6 | 7 => 8,
            serial => usize::try_from(serial / 2).ok()?.checked_sub(6)?,
        };
        let end = data.checked_add(len)?;
        columns.push((serial, data..end));
        data = end;
    }
    Some(columns)
}

/// A record as far as it is in the page, for people.
fn row(record: &[u8]) -> Option<String> {
    let mut shown: Vec<String> = Vec::new();
    for (serial, place) in columns(record, SHOWN)? {
        if shown.iter().map(String::len).sum::<usize>() >= SHOWN {
            break;
        }
        let len = place.len();
        let Some(bytes) = record.get(place) else {
            shown.push("...".into());
            break;
        };
        shown.push(match serial {
            0 => "null".into(),
            8 | 9 => (serial - 8).to_string(),
            1..=6 => signed(bytes).to_string(),
            7 => f64::from_be_bytes(bytes.try_into().ok()?).to_string(),
            _ if serial % 2 == 0 => format!("{len} bytes"),
            _ => format!("{:?}", shortened(bytes)),
        });
    }
    Some(shown.join(", "))
}

/// Where the tables and indices begin that the rows of the schema name: `type`,
/// `name`, `tbl_name` and `rootpage` are the first columns.
fn roots(bytes: &[u8], start: usize) -> Vec<Part> {
    let count = number(bytes, start + 3, 2) as usize;
    let cells = (0..count.min(CELLS_LISTED)).map(|index| {
        let offset = number(bytes, start + 8 + 2 * index, 2) as usize;
        let (len, at) = varint(bytes, offset)?;
        let (_, at) = varint(bytes, at)?;
        let local = local(bytes.len(), usize::try_from(len).ok()?, Tree::TableLeaf);
        let record = bytes.get(at..at.checked_add(local)?)?;
        let columns = columns(record, 4)?;
        let [_, (_, name), _, (serial, root)] = columns.as_slice() else {
            return None;
        };
        // A view has none, and a trigger has none: a zero, which takes no byte.
        if !(1..=6).contains(serial) {
            return None;
        }
        let name = shortened(record.get(name.clone())?);
        let page = u64::try_from(signed(record.get(root.clone())?)).ok()?;
        (page > 1).then(|| Part {
            len: root.len(),
            ..link(&format!("root of {name}"), at + root.start, page)
        })
    });
    cells.flatten().collect()
}

/// A trunk of the freelist, if it can be one: leaves are named, and nothing else.
fn trunk(bytes: &[u8]) -> Option<Page> {
    let (next, count) = (number(bytes, 0, 4), number(bytes, 4, 4) as usize);
    let leaves = bytes[8..].chunks_exact(4);
    if count == 0 || count > leaves.len() {
        return None;
    }
    let leaves = leaves.take(count).map(|leaf| number(leaf, 0, 4));
    let is_likely = leaves.clone().all(|leaf| leaf > 1 && leaf < 1 << 24);
    is_likely.then(|| {
        let mut parts = vec![
            link_or_none("next trunk", 0, next, ""),
            part("leaves", 4, 4, count.to_string()),
        ];
        let listed = leaves.take(CELLS_LISTED).enumerate();
        parts.extend(
            listed.map(|(index, leaf)| link(&format!("leaf {index}"), 8 + 4 * index, leaf)),
        );
        Page {
            kind: "freelist-trunk",
            title: "Trunk of the freelist".into(),
            letter: 'F',
            summary: format!("{count} free pages"),
            parts,
        }
    })
}

fn overflow(bytes: &[u8]) -> Page {
    Page {
        kind: "overflow",
        title: "Overflow page".into(),
        letter: 'o',
        summary: "the rest of a row, or a part of it".into(),
        parts: vec![
            link_or_none("next", 0, number(bytes, 0, 4), "where the row goes on"),
            part("content", 4, bytes.len() - 4, shortened(&bytes[4..])),
        ],
    }
}

fn part(name: &str, offset: usize, len: usize, value: String) -> Part {
    Part {
        name: name.into(),
        offset,
        len,
        value,
        ..Part::default()
    }
}

/// A page of SQLite, which counts from 1.
fn link(name: &str, offset: usize, page: u64) -> Part {
    let mut link = part(name, offset, 4, format!("page {page}"));
    match page.checked_sub(1) {
        Some(id) => link.names = Some(id),
        None => link.problem = "there is no page 0".into(),
    }
    link
}

fn link_or_none(name: &str, offset: usize, page: u64, meaning: &'static str) -> Part {
    let found = if page == 0 {
        part(name, offset, 4, "none".into())
    } else {
        link(name, offset, page)
    };
    Part { meaning, ..found }
}

fn number(bytes: &[u8], offset: usize, len: usize) -> u64 {
    let bytes = bytes.get(offset..offset + len).unwrap_or_default();
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// Of 1 to 6, or 8 bytes.
fn signed(bytes: &[u8]) -> i64 {
    let unused = 64 - 8 * bytes.len() as u32;
    (number(bytes, 0, bytes.len()) << unused) as i64 >> unused
}

/// A number of 1 to 9 bytes, and where it ends.
fn varint(bytes: &[u8], offset: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for index in 0..9 {
        let byte = u64::from(*bytes.get(offset + index)?);
        if index == 8 {
            return Some((value << 8 | byte, offset + 9));
        }
        value = value << 7 | (byte & 0x7f);
        if byte < 0x80 {
            return Some((value, offset + index + 1));
        }
    }
    None
}

fn shortened(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..4 * SHOWN).unwrap_or(bytes)).into_owned();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
