//! Structures that lie in pages, with the bytes of their fields: what several
//! screens show of them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    hex::Span,
    inspect::{Field, PageInfo, Structure},
    look::LookError,
    schema,
    source::View,
    text,
};

/// The most bytes of a field that are shown.
const RAW_MAX: u32 = 16;

/// The most fields of one structure that are shown.
const FIELDS_MAX: usize = 400;

/// Structures of the directory that are searched for a page's other copy: in
/// parts, and at most.
const PART: u32 = 64;
const SEARCHED: u32 = 4096;

/// A structure and the bytes of its fields.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Described {
    /// What it is.
    #[schema(value_type = schema::Structure)]
    pub(crate) structure: Structure,
    /// The first bytes of each field, in hex, in the fields' order.
    pub(crate) raw: Vec<String>,
    /// Fields that were left out, being too many.
    pub(crate) omitted: usize,
    /// The decoder that made it out; empty: the pager did.
    pub(crate) by: String,
}

impl Described {
    pub(crate) fn new(view: &mut View, structure: Structure) -> Result<Self, LookError> {
        Self::by("", view, structure)
    }

    /// The same of a structure that a decoder made out.
    pub(crate) fn by(
        decoder: &str,
        view: &mut View,
        mut structure: Structure,
    ) -> Result<Self, LookError> {
        let omitted = structure.fields.len().saturating_sub(FIELDS_MAX);
        structure.fields.truncate(FIELDS_MAX);
        let mut raw = Vec::with_capacity(structure.fields.len());
        for field in &structure.fields {
            let bytes = view
                .look()
                .bytes(structure.page, field.offset, field.len.min(RAW_MAX))?;
            let more = if field.len > RAW_MAX { " \u{2026}" } else { "" };
            raw.push(format!("{}{more}", text::hex(&bytes)));
        }
        Ok(Self {
            structure,
            raw,
            omitted,
            by: decoder.to_owned(),
        })
    }

    /// The fields with their bytes.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&Field, &String)> {
        self.structure.fields.iter().zip(&self.raw)
    }

    /// The letter that tells it from its copies; empty where its title ends in
    /// none.
    pub(crate) fn letter(&self) -> &str {
        letter_of(&self.structure.title)
    }

    /// Whether it is a node or a leaf of a tree of format 1: its checksum is not
    /// in its page, but in the entry that names it.
    pub(crate) fn is_of_a_tree(&self) -> bool {
        ["map-node", "space-node", "space-leaf"].contains(&self.structure.name.as_str())
    }

    pub(crate) fn validity(&self) -> &'static str {
        if !self.by.is_empty() {
            return "made out by the decoder";
        }
        match self.structure.valid {
            Some(true) => "valid",
            Some(false) => "not valid",
            None if self.is_of_a_tree() => "not named, so not verified",
            None => "no checksum",
        }
    }

    /// How many entries a node has, those that are not shown included.
    pub(crate) fn entries(&self) -> Option<String> {
        if !self.structure.name.ends_with("-node") {
            return None;
        }
        // What is no field of the page says how many more there are.
        let fields = self.structure.fields.iter();
        let listed = fields.filter(|field| field.len > 0).count() + self.omitted;
        let more = self.value_of("more").split(' ').next().unwrap_or_default();
        let more: u64 = more.parse().unwrap_or(0);
        let all = more + listed as u64;
        let plural = if all == 1 { "entry" } else { "entries" };
        Some(format!("{} {plural}", text::number(all)))
    }

    /// The value of the field of this name.
    pub(crate) fn value_of(&self, name: &str) -> &str {
        let field = self
            .structure
            .fields
            .iter()
            .find(|field| field.name == name);
        field.map_or("", |field| &field.value)
    }

    /// Whether it should be valid and is not.
    pub(crate) fn is_bad(&self) -> bool {
        self.structure.counts && self.structure.valid == Some(false)
    }
}

/// The places of fields, as rows need them.
pub(crate) fn spans(structures: &[Described]) -> Vec<Span> {
    structures
        .iter()
        .flat_map(|described| &described.structure.fields)
        .map(|field| Span {
            offset: usize::try_from(field.offset).unwrap_or(usize::MAX),
            len: usize::try_from(field.len).unwrap_or(0),
        })
        .collect()
}

/// The letter that a title ends in; empty where it ends in none.
fn letter_of(title: &str) -> &str {
    let last = title.rsplit(' ').next().unwrap_or_default();
    let mut letters = last.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_uppercase() => last,
        _ => "",
    }
}

/// Whether two structures are copies of one: their titles differ in the letter
/// at the end alone.
pub(crate) fn are_copies(one: &Structure, other: &Structure) -> bool {
    let stem = |of: &Structure| {
        let letter = letter_of(&of.title);
        let stem = of.title.strip_suffix(letter).filter(|_| !letter.is_empty());
        stem.map(str::to_owned)
    };
    one.name == other.name
        && one.page != other.page
        && stem(one).is_some()
        && stem(one) == stem(other)
}

/// The other of two copies. Both count where they are alike.
pub(crate) fn twin_of<'a>(structure: &Structure, all: &'a [Structure]) -> Option<&'a Structure> {
    all.iter().find(|other| are_copies(structure, other))
}

/// The other of two alternating copies, where the page is one of two.
pub(crate) fn other_copy(view: &mut View, info: &PageInfo) -> Result<Option<u64>, LookError> {
    if let Some(id) = info.protected {
        let entry = view.look().directory(id, 1, false)?.into_iter().next();
        let pages = entry
            .filter(|entry| entry.id == id)
            .map(|entry| entry.pages);
        let mut pages = pages.unwrap_or_default().into_iter().map(|own| own.page);
        return Ok(pages.find(|page| *page != info.page));
    }
    let Some(structure) = info.structures.first() else {
        return Ok(None);
    };
    // The copies of some lie beside each other, and in no list.
    for page in [info.page.checked_sub(1), info.page.checked_add(1)] {
        let Some(page) = page else { continue };
        if let Some(beside) = view.look().page(page)?
            && let Some(twin) = twin_of(structure, &beside.structures)
        {
            return Ok(Some(twin.page));
        }
    }
    let mut start = 0;
    while start < SEARCHED {
        let mut all = view.look().structures(start, PART)?;
        all.retain(|other| other.name == structure.name);
        if let Some(twin) = twin_of(structure, &all) {
            return Ok(Some(twin.page));
        }
        if all.is_empty() {
            break;
        }
        start += PART;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(title: &str, page: u64, counts: bool) -> Structure {
        Structure {
            name: "root".to_owned(),
            title: title.to_owned(),
            page,
            counts,
            valid: None,
            fields: Vec::new(),
        }
    }

    #[test]
    fn twin_is_the_copy_of_the_same_thing() {
        let all = [
            structure("Header", 0, true),
            structure("Block 1, copy A", 1, true),
            structure("Block 2, copy A", 2, true),
            structure("Block 1, copy B", 3, false),
            structure("Node 1", 4, true),
            structure("Node 2", 5, true),
            // Copies that are alike both count.
            structure("Root A", 6, true),
            structure("Root B", 7, true),
        ];
        let twin = |place: usize| twin_of(&all[place], &all).map(|twin| twin.page);
        let twins: Vec<Option<u64>> = (0..all.len()).map(twin).collect();
        assert_eq!(
            twins,
            [None, Some(3), None, Some(1), None, None, Some(7), Some(6)]
        );
    }

    #[test]
    fn entries_of_a_node_are_counted_with_those_that_are_left_out() {
        let field = |name: &str, len: u32, value: &str| Field {
            name: name.to_owned(),
            offset: 0,
            len,
            value: value.to_owned(),
            meaning: String::new(),
            refers_to: None,
            problem: String::new(),
        };
        let described = |name: &str, fields: Vec<Field>| Described {
            structure: Structure {
                name: name.to_owned(),
                fields,
                ..structure("MAP", 1, true)
            },
            raw: Vec::new(),
            omitted: 0,
            by: String::new(),
        };
        let one = field("id 0", 32, "7");
        let more = field("more", 0, "1234 more entries");
        let entries = |name, fields| described(name, fields).entries();
        assert_eq!(
            entries("map-node", vec![one.clone()]).as_deref(),
            Some("1 entry")
        );
        assert_eq!(
            entries("map-node", vec![one.clone(), more]).as_deref(),
            Some("1,235 entries")
        );
        assert_eq!(entries("space-leaf", vec![one]), None);
    }

    #[test]
    fn letter_is_one_that_a_title_ends_in() {
        let letter = |title: &str| {
            let described = Described {
                structure: structure(title, 0, true),
                raw: Vec::new(),
                omitted: 0,
                by: String::new(),
            };
            described.letter().to_owned()
        };
        assert_eq!(letter("Metadata A"), "A");
        for title in ["", "Superblock", "Node 1", "Metadata AB", "A of it"] {
            assert_eq!(letter(title), "", "{title}");
        }
    }
}
