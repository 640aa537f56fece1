//! Structures that lie in pages, with the bytes of their fields: what several
//! screens show of them.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    facts::side_name,
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

/// Directory blocks that are searched for a page's other copy: in parts, and
/// at most.
const BLOCKS: u32 = 64;
const BLOCKS_SEARCHED: u32 = 4096;

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
}

impl Described {
    pub(crate) fn new(view: &mut View, mut structure: Structure) -> Result<Self, LookError> {
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
        })
    }

    /// The fields with their bytes.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&Field, &String)> {
        self.structure.fields.iter().zip(&self.raw)
    }

    pub(crate) fn side(&self) -> &'static str {
        self.structure.side.map_or("", side_name)
    }

    pub(crate) fn validity(&self) -> &'static str {
        match self.structure.valid {
            Some(true) => "valid",
            Some(false) => "not valid",
            None => "no checksum",
        }
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
        self.structure.active && self.structure.valid == Some(false)
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

/// The other of two alternating copies, where the page is one of two.
pub(crate) fn other_copy(view: &mut View, info: &PageInfo) -> Result<Option<u64>, LookError> {
    if let Some(id) = info.protected {
        let slot = view.look().directory(id, 1, false)?.into_iter().next();
        return Ok(slot.filter(|slot| slot.id == id).map(|slot| {
            if slot.page_a == info.page {
                slot.page_b
            } else {
                slot.page_a
            }
        }));
    }
    let Some(name) = info
        .structures
        .iter()
        .find(|structure| structure.side.is_some())
        .map(|structure| &structure.name)
    else {
        return Ok(None);
    };
    let mut block = 0;
    while block < BLOCKS_SEARCHED {
        let mut copies = view.look().structures(block, BLOCKS)?;
        copies.retain(|copy| copy.name == *name);
        // The two copies of a structure are told of one after the other.
        if let Some(place) = copies.iter().position(|copy| copy.page == info.page) {
            let twin = copies.get(place ^ 1);
            return Ok(twin.map(|twin| twin.page));
        }
        if copies.is_empty() {
            break;
        }
        block += BLOCKS;
    }
    Ok(None)
}
