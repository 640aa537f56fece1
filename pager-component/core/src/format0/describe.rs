//! The bytes of the format in words for people: structures, references, the last
//! commit, the slots of the directory.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_store::{PageSize, PageStore, SEAL_LEN};

use super::directory::{self, DirectoryCopy, slot_offset};
use super::file::File;
use super::metadata::{self, Metadata};
use super::read::metadata_page;
use super::state::State;
use super::superblock::{self, Head, HeadFault, block_count, block_offset, block_pages};
use super::{Limits, RESERVED_PAGES, computed_seal, stored_seal};
use crate::allocation::runs;
use crate::checksum::crc8;
use crate::codec::{self, array_at, u8_at, u32_at, u64_at};
use crate::ids::{ProtectedId, Side};
use crate::kinds::PageKind;
use crate::read::read_page;
use crate::structure::{Entry, Field, LastCommit, Reference, Structure, ascii};

/// The most slots of a directory block that are listed field by field.
const SLOTS_LISTED: usize = 256;

/// The most block references of page 0 that are listed field by field.
const BLOCKS_LISTED: usize = 256;

/// Whether the slots of a directory block are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slots {
    /// Field by field, as far as they are in use.
    List,
    /// No, only how many.
    Leave,
}

/// The most runs of pages in a [`LastCommit`], each way.
const LAST_COMMIT_RUNS: usize = 256;

impl File {
    pub(crate) fn active_side(&self) -> Side {
        self.state.root().side
    }

    /// Where both copies of the metadata are valid and the other is the one
    /// before.
    pub(crate) fn last_commit<S: PageStore>(&self, store: &S) -> Option<LastCommit> {
        self.state.allocation()?;
        let side = self.active_side();
        let read = |side| metadata_page(store, side).ok()?.parsed.ok();
        let (now, before) = (read(side)?, read(side.other())?);
        if before.generation >= now.generation {
            return None;
        }
        let changed = |from: &Metadata, to: &Metadata| {
            runs(&from.used.difference(&to.used), 0, LAST_COMMIT_RUNS)
        };
        Some(LastCommit {
            allocated: changed(&now, &before),
            freed: changed(&before, &now),
        })
    }

    /// The superblock, both copies of the metadata, and both copies of the
    /// directory blocks from block `start` on, at most `limit` blocks.
    pub(crate) fn structures<S: PageStore>(
        &self,
        store: &S,
        start: usize,
        limit: usize,
    ) -> Vec<Structure> {
        let directory = self.state.directory();
        let blocks = directory.map_or(&[][..], |directory| directory.blocks());
        let blocks = blocks.iter().skip(start).take(limit);
        let pages = (0..RESERVED_PAGES).chain(blocks.flat_map(|block| block.place.pages));
        pages
            .filter_map(|page| {
                let bytes = read_page(store, page).ok()??;
                of(page, &bytes, &self.state, Slots::Leave)
            })
            .collect()
    }

    pub(crate) fn structures_in(&self, page: u64, bytes: &[u8]) -> Vec<Structure> {
        of(page, bytes, &self.state, Slots::List)
            .into_iter()
            .collect()
    }

    pub(crate) fn owner(&self, page: u64) -> Option<ProtectedId> {
        self.state.owner(page)
    }

    /// Protected pages from id `start` on, and where the directory has them.
    pub(crate) fn entries(&self, start: ProtectedId, limit: usize) -> Vec<Entry> {
        let Some(directory) = self.state.directory() else {
            return Vec::new();
        };
        let slots = directory.slots(start).take(limit);
        slots
            .map(|(id, slot)| {
                let (block, index) = directory.place(id);
                Entry {
                    id,
                    location: slot.location(),
                    pages: alloc::vec![
                        (slot.active_page(), PageKind::PROTECTED_ACTIVE),
                        (slot.shadow_page(), PageKind::PROTECTED_SHADOW),
                    ],
                    place: format!("directory block {block}, slot {index}"),
                }
            })
            .collect()
    }

    pub(crate) fn references(&self, page: u64) -> Vec<Reference> {
        let mut found = self.references_of_page_0(page);
        let Some(directory) = self.state.directory() else {
            return found;
        };
        if let Some(id) = self.owner(page)
            && let Some(slot) = directory.slot(id)
            && let Some(side) = Side::of_page(page, slot.pages)
        {
            let (block, index) = directory.place(id);
            if let Some(place) = directory.blocks().get(block).map(|block| block.place) {
                found.push(Reference {
                    page: place.active.of(place.pages),
                    offset: codec::offset(slot_offset(index)),
                    text: format!(
                        "slot {index} of directory block {block}, copy {}, names it as page {side} of protected page {id}",
                        place.active
                    ),
                });
            }
        }
        found
    }

    fn references_of_page_0(&self, page: u64) -> Vec<Reference> {
        let mut found = Vec::new();
        let mut push = |offset, text| {
            found.push(Reference {
                page: 0,
                offset: codec::offset(offset),
                text,
            });
        };
        for side in Side::BOTH {
            if metadata::page_of(side) == page {
                let text = if side == self.active_side() {
                    format!("the superblock names metadata {side} as the one that counts")
                } else {
                    format!("the superblock knows metadata {side}, which does not count")
                };
                push(superblock::offset::SIDE, text);
            }
        }
        let directory = self.state.directory();
        let blocks = directory.map_or(&[][..], |directory| directory.blocks());
        for (index, block) in blocks.iter().enumerate() {
            if let Some(side) = Side::of_page(page, block.place.pages) {
                let text =
                    format!("the superblock names it as copy {side} of directory block {index}");
                push(block_offset(index), text);
            }
        }
        found
    }
}

/// What lies in a page, if anything that the pager made.
fn of(page: u64, bytes: &[u8], state: &State, slots: Slots) -> Option<Structure> {
    match page {
        0 => Some(superblock(bytes, state)),
        1 => Some(metadata_structure(Side::A, bytes, state)),
        2 => Some(metadata_structure(Side::B, bytes, state)),
        _ => directory_block(page, bytes, state, slots),
    }
}

fn superblock(bytes: &[u8], state: &State) -> Structure {
    let head = Head::parse(bytes);
    let mut fields = head_fields(bytes, state, &head);
    push_section(bytes, state, &mut fields);
    let (stored, computed) = (
        stored_seal(bytes),
        computed_seal(bytes, superblock::offset::SECTION),
    );
    let empty = superblock::section_is_empty(bytes);
    fields.push(seal_field(state.root().page_size, stored, computed, !empty));
    Structure {
        name: "superblock",
        title: "Superblock".to_string(),
        page: 0,
        counts: true,
        valid: Some(head.is_ok() && (empty || stored == computed)),
        fields,
    }
}

/// What the superblock says of the file, before the directory's section.
fn head_fields(bytes: &[u8], state: &State, head: &Result<Head, HeadFault>) -> Vec<Field> {
    use superblock::offset;
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
    alloc::vec![
        Field::new("magic", offset::MAGIC, 4, ascii(&magic)).meaning("marks a page file"),
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
                state.root().page_size
            ),
        ),
        Field::new("active metadata", offset::SIDE, 1, side_text(side))
            .meaning("the copy of the metadata that counts; a commit flips it")
            .refers_to(metadata::page_of(state.root().side))
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
    ]
}

/// How many directory blocks there are, and where the first of them lie.
fn push_section(bytes: &[u8], state: &State, fields: &mut Vec<Field>) {
    use superblock::offset;
    let count = block_count(bytes, state.root().page_size);
    let count_text = u32_at(bytes, offset::SECTION).to_string();
    fields.push(
        Field::new("directory blocks", offset::SECTION, 4, count_text).problem(
            count
                .err()
                .map(|count| format!("page 0 has no room for {count} blocks")),
        ),
    );
    for index in 0..count.unwrap_or(0).min(BLOCKS_LISTED) {
        push_block(index, bytes, fields);
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

fn metadata_structure(side: Side, bytes: &[u8], state: &State) -> Structure {
    use metadata::offset;
    let parsed = Metadata::parse(bytes, state.root().page_size);
    let fault_at = |at| {
        let fault = parsed.as_ref().err()?;
        (fault.offset(state.root().page_size) == at).then(|| fault.to_string())
    };
    let page_count = u64_at(bytes, offset::PAGE_COUNT);
    let bitmap_len = state.root().page_size.bytes() - offset::BITMAP - SEAL_LEN;
    let bits = parsed.as_ref().ok().map(|found| &found.used);
    let free_count = u64_at(bytes, offset::FREE_COUNT);
    let wrong_free = bits
        .map(|bits| bits.len() - bits.ones())
        .filter(|&free| free != free_count);
    let fields = alloc::vec![
        Field::new("page count", offset::PAGE_COUNT, 8, page_count.to_string())
            .meaning(format!(
                "at most {}",
                Limits::of(state.root().page_size).page_count
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
                    .contains(&fault.offset(state.root().page_size)))
                .map(ToString::to_string)
        ),
        seal_field(
            state.root().page_size,
            stored_seal(bytes),
            computed_seal(bytes, 0),
            true
        ),
    ];
    Structure {
        name: "metadata",
        title: format!("Metadata {side}"),
        page: metadata::page_of(side),
        counts: side == state.root().side,
        valid: Some(parsed.is_ok()),
        fields,
    }
}

fn directory_block(page: u64, bytes: &[u8], state: &State, slots: Slots) -> Option<Structure> {
    use directory::offset;
    let directory = state.directory()?;
    let (index, block) = directory
        .blocks()
        .iter()
        .enumerate()
        .find(|(_, block)| block.place.pages.contains(&page))?;
    let side = Side::of_page(page, block.place.pages)?;
    let parsed = DirectoryCopy::parse(bytes.to_vec(), state.root().page_size);
    let capacity = u32_at(bytes, offset::CAPACITY);
    let expected = Limits::of(state.root().page_size).slots_per_block;
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
        push_slots(copy, state.root().page_size, slots, &mut fields);
    }
    fields.push(seal_field(
        state.root().page_size,
        stored_seal(bytes),
        computed_seal(bytes, 0),
        true,
    ));
    Some(Structure {
        name: "directory-block",
        title: format!("Directory block {index}, copy {side}"),
        page,
        counts: side == block.place.active,
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
