//! Structures as lists of named fields with byte ranges: the one place that
//! puts a format's bytes into words for people.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_store::{PageSize, SEAL_LEN};

use crate::format::bytes::{array_at, u8_at, u32_at, u64_at};
use crate::format::checksum::crc8;
use crate::format::directory::{self, DirectoryCopy, slot_offset};
use crate::format::metadata::{self, Metadata};
use crate::format::superblock::{self, Head, block_count, block_offset, block_pages};
use crate::format::{Limits, computed_seal, stored_seal};
use crate::ids::Side;
use crate::state::State;

/// The most slots of a directory block that are listed field by field.
const SLOTS_LISTED: usize = 256;

/// The most block references of page 0 that are listed field by field.
const BLOCKS_LISTED: usize = 256;

/// A part of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it is called.
    pub name: String,
    /// Where it is in the page.
    pub offset: u32,
    /// How many bytes it has.
    pub len: u32,
    /// The value, for people.
    pub value: String,
    /// What it means; empty where the name says it.
    pub meaning: String,
    /// The page that it names.
    pub refers_to: Option<u64>,
    /// What is wrong with it; empty where nothing is.
    pub problem: String,
}

impl Field {
    fn new(name: impl Into<String>, offset: usize, len: usize, value: impl Into<String>) -> Self {
        let to_u32 = |n| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            name: name.into(),
            offset: to_u32(offset),
            len: to_u32(len),
            value: value.into(),
            meaning: String::new(),
            refers_to: None,
            problem: String::new(),
        }
    }

    fn meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = meaning.into();
        self
    }

    fn refers_to(mut self, page: u64) -> Self {
        self.refers_to = Some(page);
        self
    }

    fn problem(mut self, problem: Option<String>) -> Self {
        self.problem = problem.unwrap_or_default();
        self
    }
}

/// Something that lies in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// `superblock`, `metadata` or `directory-block`.
    pub name: &'static str,
    /// For people.
    pub title: String,
    /// Where it is.
    pub page: u64,
    /// Which of two copies.
    pub side: Option<Side>,
    /// Whether it counts.
    pub active: bool,
    /// Whether its checksum agrees; none where it has none.
    pub valid: Option<bool>,
    /// Its parts, by offset.
    pub fields: Vec<Field>,
}

/// Whether the slots of a directory block are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slots {
    /// Field by field, as far as they are in use.
    List,
    /// No, only how many.
    Leave,
}

/// What lies in a page, if anything that the pager made.
pub fn of(page: u64, bytes: &[u8], state: Option<&State>, slots: Slots) -> Vec<Structure> {
    let Some(state) = state else {
        return Vec::new();
    };
    let found = match page {
        0 => Some(superblock(bytes, state)),
        1 => Some(metadata_page(Side::A, bytes, state)),
        2 => Some(metadata_page(Side::B, bytes, state)),
        _ => directory_block(page, bytes, state, slots),
    };
    found.into_iter().collect()
}

fn superblock(bytes: &[u8], state: &State) -> Structure {
    use superblock::offset;
    let head = Head::parse(bytes);
    let fault_at = |at| {
        head.as_ref()
            .err()
            .filter(|fault| fault.range().0 == at)
            .map(ToString::to_string)
    };
    let [major, minor, patch, build] = array_at(bytes, offset::VERSION);
    let side = u8_at(bytes, offset::SIDE);
    let tag: [u8; 3] = array_at(bytes, offset::TAG);
    let before: [u8; offset::TAG_CHECKSUM] = array_at(bytes, 0);
    let magic: [u8; 4] = array_at(bytes, offset::MAGIC);
    let mut fields = alloc::vec![
        Field::new("magic", offset::MAGIC, 4, text_of(&magic)).meaning("marks a page file"),
        Field::new(
            "version",
            offset::VERSION,
            4,
            format!("{major}.{minor}.{patch}.{build}")
        )
        .meaning("major 0 and minor at most 2 can be read"),
        Field::new(
            "page size",
            offset::PAGE_SIZE_LOG2,
            4,
            format!(
                "2^{} = {} bytes",
                u32_at(bytes, offset::PAGE_SIZE_LOG2),
                state.page_size
            ),
        ),
        Field::new("active metadata", offset::SIDE, 1, side_text(side))
            .meaning("the copy of the metadata that counts; a commit flips it")
            .refers_to(metadata::page_of(state.side))
            .problem(fault_at(offset::SIDE)),
        Field::new("tag", offset::TAG, 2, tag_text(head.as_ref().ok(), tag))
            .meaning("the low 15 bits of the generation that wrote page 0")
            .problem(fault_at(offset::TAG)),
        Field::new(
            "tag checksum",
            offset::TAG_CHECKSUM,
            1,
            format!("{:#04x}", tag[2])
        )
        .meaning(format!(
            "CRC-8 of bytes 0 to 15, if tagged: {:#04x}",
            crc8(&before)
        )),
        Field::new(
            "metadata checksum",
            offset::METADATA_CHECKSUM,
            4,
            format!("{:#010x}", u32_at(bytes, offset::METADATA_CHECKSUM)),
        )
        .meaning("the same in every sound file: it proves nothing about the metadata")
        .problem(fault_at(offset::METADATA_CHECKSUM)),
    ];
    let count = block_count(bytes, state.page_size);
    let count_text = u32_at(bytes, offset::SECTION).to_string();
    fields.push(
        Field::new("directory blocks", offset::SECTION, 4, count_text).problem(
            count
                .err()
                .map(|count| format!("page 0 has no room for {count} blocks")),
        ),
    );
    for index in 0..count.unwrap_or(0).min(BLOCKS_LISTED) {
        push_block(index, bytes, &mut fields);
    }
    let (stored, computed) = (stored_seal(bytes), computed_seal(bytes, offset::SECTION));
    let empty = superblock::section_is_empty(bytes);
    fields.push(seal_field(state.page_size, stored, computed, !empty));
    Structure {
        name: "superblock",
        title: "Superblock".to_string(),
        page: 0,
        side: None,
        active: true,
        valid: Some(head.is_ok() && (empty || stored == computed)),
        fields,
    }
}

fn push_block(index: usize, bytes: &[u8], fields: &mut Vec<Field>) {
    let start = block_offset(index);
    let [page_a, page_b] = block_pages(bytes, index);
    let side = u8_at(bytes, start + superblock::offset::BLOCK_SIDE);
    fields.push(
        Field::new(
            format!("block {index}: page A"),
            start,
            8,
            page_a.to_string(),
        )
        .refers_to(page_a),
    );
    fields.push(
        Field::new(
            format!("block {index}: page B"),
            start + 8,
            8,
            page_b.to_string(),
        )
        .refers_to(page_b),
    );
    let active = Field::new(
        format!("block {index}: active"),
        start + 16,
        1,
        side_text(side),
    )
    .problem(
        Side::from_byte(side)
            .is_none()
            .then(|| "neither A nor B".to_string()),
    );
    fields.push(active);
}

fn metadata_page(side: Side, bytes: &[u8], state: &State) -> Structure {
    use metadata::offset;
    let parsed = Metadata::parse(bytes, state.page_size);
    let fault_at = |at| {
        let fault = parsed.as_ref().err()?;
        (fault.offset(state.page_size) == at).then(|| fault.to_string())
    };
    let page_count = u64_at(bytes, offset::PAGE_COUNT);
    let bitmap_len = state.page_size.bytes() - offset::BITMAP - SEAL_LEN;
    let bits = parsed.as_ref().ok().map(|found| &found.used);
    let free_count = u64_at(bytes, offset::FREE_COUNT);
    let wrong_free = bits
        .map(|bits| bits.len() - bits.ones())
        .filter(|&free| free != free_count);
    let fields = alloc::vec![
        Field::new("page count", offset::PAGE_COUNT, 8, page_count.to_string())
            .meaning(format!(
                "at most {}",
                Limits::of(state.page_size).page_count
            ))
            .problem(fault_at(offset::PAGE_COUNT)),
        Field::new(
            "generation",
            offset::GENERATION,
            8,
            u64_at(bytes, offset::GENERATION).to_string()
        )
        .meaning("counts commits"),
        Field::new("free count", offset::FREE_COUNT, 8, free_count.to_string())
            .problem(wrong_free.map(|free| format!("the bitmap has {free} free pages"))),
        Field::new(
            "allocation bitmap",
            offset::BITMAP,
            bitmap_len,
            bits.map_or_else(String::new, |bits| format!(
                "{} of {} pages allocated",
                bits.ones(),
                bits.len()
            )),
        )
        .meaning("one bit a page, the lowest first; 1 is allocated")
        .problem(
            parsed
                .as_ref()
                .err()
                .filter(|fault| (offset::BITMAP..offset::BITMAP + bitmap_len)
                    .contains(&fault.offset(state.page_size)))
                .map(ToString::to_string)
        ),
        seal_field(
            state.page_size,
            stored_seal(bytes),
            computed_seal(bytes, 0),
            true
        ),
    ];
    Structure {
        name: "metadata",
        title: format!("Metadata {side}"),
        page: metadata::page_of(side),
        side: Some(side),
        active: side == state.side,
        valid: Some(parsed.is_ok()),
        fields,
    }
}

fn directory_block(page: u64, bytes: &[u8], state: &State, slots: Slots) -> Option<Structure> {
    use directory::offset;
    let directory = state.directory.as_ref()?;
    let (index, block) = directory
        .blocks()
        .iter()
        .enumerate()
        .find(|(_, block)| block.place.pages.contains(&page))?;
    let side = if Side::A.of(block.place.pages) == page {
        Side::A
    } else {
        Side::B
    };
    let parsed = DirectoryCopy::parse(bytes.to_vec(), state.page_size);
    let capacity = u32_at(bytes, offset::CAPACITY);
    let expected = Limits::of(state.page_size).slots_per_block;
    let tag = directory::raw_tag(bytes);
    let mut fields = alloc::vec![
        Field::new("capacity", offset::CAPACITY, 4, capacity.to_string())
            .meaning("slots in the block")
            .problem(
                (u64::from(capacity) != expected).then(|| format!("only {expected} is possible"))
            ),
        Field::new(
            "tag",
            offset::TAG,
            4,
            if tag == 0 {
                "none".to_string()
            } else {
                tag.to_string()
            }
        )
        .meaning("the low half of the generation that wrote this copy; none: mappedpages wrote it"),
    ];
    if let Ok(copy) = &parsed {
        push_slots(copy, state.page_size, slots, &mut fields);
    }
    fields.push(seal_field(
        state.page_size,
        stored_seal(bytes),
        computed_seal(bytes, 0),
        true,
    ));
    Some(Structure {
        name: "directory-block",
        title: format!("Directory block {index}, copy {side}"),
        page,
        side: Some(side),
        active: side == block.place.active,
        valid: Some(parsed.is_ok()),
        fields,
    })
}

fn push_slots(copy: &DirectoryCopy, page_size: PageSize, slots: Slots, fields: &mut Vec<Field>) {
    use directory::offset;
    let in_use = (0..copy.capacity()).filter(|&slot| !matches!(copy.slot(slot), Ok(None)));
    let count = in_use.clone().count();
    let start = offset::SLOTS;
    let len = page_size.bytes() - SEAL_LEN - start;
    fields.push(
        Field::new(
            "slots",
            start,
            len,
            format!("{count} of {} in use", copy.capacity()),
        )
        .meaning("each in use is a protected page: two physical pages and which of them counts"),
    );
    if slots == Slots::Leave {
        return;
    }
    for slot in in_use.take(SLOTS_LISTED) {
        let start = slot_offset(slot);
        let bytes = copy.bytes();
        let (page_a, page_b) = (
            u64_at(bytes, start + offset::PAGE_A),
            u64_at(bytes, start + offset::PAGE_B),
        );
        let problem = copy.slot(slot).err().map(|fault| fault.to_string());
        let name = |part: &str| format!("slot {slot}: {part}");
        fields.extend([
            Field::new(name("in use"), start, 1, u8_at(bytes, start).to_string()).problem(problem),
            Field::new(
                name("page A"),
                start + offset::PAGE_A,
                8,
                page_a.to_string(),
            )
            .refers_to(page_a),
            Field::new(
                name("page B"),
                start + offset::PAGE_B,
                8,
                page_b.to_string(),
            )
            .refers_to(page_b),
            Field::new(
                name("active"),
                start + offset::ACTIVE,
                1,
                side_text(u8_at(bytes, start + offset::ACTIVE)),
            ),
            Field::new(
                name("generation"),
                start + offset::GENERATION,
                8,
                u64_at(bytes, start + offset::GENERATION).to_string(),
            )
            .meaning("how often the page was written"),
            Field::new(
                name("checksum"),
                start + offset::CHECKSUM,
                4,
                format!("{:#010x}", u32_at(bytes, start + offset::CHECKSUM)),
            )
            .meaning("CRC-32 of the active page"),
        ]);
    }
}

fn seal_field(page_size: PageSize, stored: u32, computed: u32, counts: bool) -> Field {
    let field = Field::new(
        "checksum",
        page_size.bytes() - SEAL_LEN,
        SEAL_LEN,
        format!("{stored:#010x}"),
    );
    if stored == computed {
        field.meaning("CRC-32, agrees")
    } else if counts {
        field.problem(Some(format!("the computed CRC-32 is {computed:#010x}")))
    } else {
        field.meaning("ignored, since there are no directory blocks")
    }
}

fn side_text(byte: u8) -> String {
    Side::from_byte(byte).map_or_else(|| byte.to_string(), |side| format!("{side}"))
}

fn tag_text(head: Option<&Head>, bytes: [u8; 3]) -> String {
    match head {
        Some(Head { tag: None, .. }) => "none: mappedpages wrote page 0 last".to_string(),
        Some(Head { tag: Some(tag), .. }) => format!("generation ending in {tag}"),
        None => format!("{bytes:02x?}"),
    }
}

fn text_of(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&byte| {
            if byte.is_ascii_graphic() {
                char::from(byte)
            } else {
                '.'
            }
        })
        .collect()
}
