//! The roots of a file: those that there are copies of side by side, the others
//! alone, and what recovery decides and why. The story of two copies of the
//! metadata is told where a file has them, and that of two root slots.

use std::cmp::Ordering;

use askama::Template;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    described::{Described, are_copies},
    error::Error,
    filters,
    head::{FileName, Head, tone_of},
    inspect::{Extent, Field, Reason},
    look::LookError,
    respond::Asked,
    schema,
    shell::Shell,
    source::View,
    text,
};

/// The structure whose copies this screen has a story for.
const METADATA: &str = "metadata";

/// The structures whose copies are the slots of a root record.
const ROOT: &str = "root";

/// The roots of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MetadataView {
    file: FileName,
    state: Head,
    /// What recovery decides, in a sentence.
    explanation: String,
    /// What that means for this file; empty for verdicts that are not known.
    meaning: String,
    /// Why, step by step.
    #[schema(value_type = Vec<schema::Reason>)]
    steps: Vec<Reason>,
    /// Structures without a copy.
    single: Vec<Described>,
    /// Structures of which there are copies.
    copies: Vec<Copies>,
    /// Pages that the last commit allocated; none where that is not known.
    #[schema(value_type = Option<Vec<schema::Extent>>)]
    last_allocated: Option<Vec<Extent>>,
    /// Pages that the last commit freed; none where that is not known.
    #[schema(value_type = Option<Vec<schema::Extent>>)]
    last_freed: Option<Vec<Extent>>,
}

/// The copies of a structure, field by field.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the keys are those of the JSON")]
pub(crate) struct Copies {
    /// The structure's name.
    name: String,
    /// The copies, in the sandbox's order.
    copies: Vec<Described>,
    /// Each field's value in all of them.
    lines: Vec<CopiesLine>,
}

/// A field in all copies.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CopiesLine {
    /// The field's name.
    name: String,
    /// Where it is in its page, in bytes.
    offset: u32,
    /// Its length in bytes.
    len: u32,
    /// The field in each copy, in their order.
    cells: Vec<Cell>,
    /// Whether the bytes differ.
    differs: bool,
}

impl CopiesLine {
    /// Which bytes it has, the last one included.
    fn bytes(&self) -> String {
        match self.len {
            0 | 1 => format!("byte {}", text::number(self.offset.into())),
            len => format!(
                "bytes {} to {}",
                text::number(self.offset.into()),
                text::number(u64::from(self.offset) + u64::from(len) - 1)
            ),
        }
    }
}

/// A field in one copy.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Cell {
    /// The value, decoded.
    value: String,
    /// Its first bytes, in hex.
    raw: String,
    /// What it means; empty where the name says it.
    meaning: String,
    /// What is wrong with it; empty where nothing is.
    problem: String,
    /// The page that the value names.
    refers_to: Option<u64>,
    /// Whether the copy counts.
    #[serde(skip)]
    counts: bool,
}

impl Cell {
    /// The field at the same bytes of a copy, which may not have it.
    fn of(described: &Described, field: &Field) -> Self {
        let mut lines = described.lines();
        let same =
            lines.find(|(other, _)| other.name == field.name && other.offset == field.offset);
        let (field, raw) = same.unzip();
        Self {
            value: field.map_or_else(String::new, |field| field.value.clone()),
            raw: raw.cloned().unwrap_or_default(),
            meaning: field.map_or_else(String::new, |field| field.meaning.clone()),
            problem: field.map_or_else(String::new, |field| field.problem.clone()),
            refers_to: field.and_then(|field| field.refers_to),
            counts: described.structure.counts,
        }
    }
}

impl Copies {
    fn new(view: &mut View, copies: Vec<Described>) -> Result<Self, LookError> {
        let longest = copies.iter().max_by_key(|copy| copy.structure.fields.len());
        let fields = longest.map_or_else(Vec::new, |copy| copy.structure.fields.clone());
        let mut lines = Vec::new();
        for field in fields {
            let mut bytes = Vec::new();
            for copy in &copies {
                let page = copy.structure.page;
                bytes.push(view.look().bytes(page, field.offset, field.len)?);
            }
            bytes.dedup();
            lines.push(CopiesLine {
                cells: copies.iter().map(|copy| Cell::of(copy, &field)).collect(),
                name: field.name,
                offset: field.offset,
                len: field.len,
                differs: bytes.len() > 1,
            });
        }
        let name = copies.first().map(|copy| copy.structure.name.clone());
        Ok(Self {
            name: name.unwrap_or_default(),
            copies,
            lines,
        })
    }

    /// The fields that are shown at once: those that differ, and the first.
    fn shown(&self) -> Vec<&CopiesLine> {
        self.split().0
    }

    /// The others.
    fn folded(&self) -> Vec<&CopiesLine> {
        self.split().1
    }

    fn split(&self) -> (Vec<&CopiesLine>, Vec<&CopiesLine>) {
        let lines = self.lines.iter().enumerate();
        let (shown, folded): (Vec<_>, Vec<_>) =
            lines.partition(|(place, line)| line.differs || *place < SHOWN_FIRST);
        // For so few nobody wants to ask.
        if folded.len() <= SHOWN_FIRST / 2 {
            return (self.lines.iter().collect(), Vec::new());
        }
        let lines = |all: Vec<(usize, _)>| all.into_iter().map(|(_, line)| line).collect();
        (lines(shown), lines(folded))
    }

    fn differing(&self) -> usize {
        self.lines.iter().filter(|line| line.differs).count()
    }

    /// All of them by their letters: `A and B`; without letters, in a word.
    fn all(&self) -> String {
        let letters: Vec<&str> = self.copies.iter().map(Described::letter).collect();
        if letters.contains(&"") {
            "copies".to_owned()
        } else {
            letters.join(" and ")
        }
    }

    /// The first two, to be compared.
    fn two(&self) -> Option<(u64, u64)> {
        match self.copies.as_slice() {
            [one, other, ..] => Some((one.structure.page, other.structure.page)),
            _ => None,
        }
    }

    /// The one that counts and the other, where that is the story.
    fn story(&self) -> Option<(&Described, &Described)> {
        match self.copies.as_slice() {
            [a, b] if self.name == METADATA => match (a.structure.counts, b.structure.counts) {
                (true, false) => Some((a, b)),
                (false, true) => Some((b, a)),
                _ => None,
            },
            _ => None,
        }
    }
}

/// Fields of copies that are shown even where they are the same.
const SHOWN_FIRST: usize = 16;

/// What a verdict means for the two slots of a root record.
fn meaning_of_slots(verdict: &str, slots: &[Described]) -> String {
    let [a, b] = slots else {
        return String::new();
    };
    let (counts, other) = match (a.structure.counts, b.structure.counts) {
        (false, true) => (b, a),
        (true, _) => (a, b),
        (false, false) => return String::new(),
    };
    let (side, other_side) = (counts.letter(), other.letter());
    let generation = counts.value_of("generation");
    match verdict {
        "clean" => format!(
            "A commit writes what it changes to free pages, then one root record, and syncs once. \
             Only then is the record copied into the other slot. So two records that are equal \
             mean that the commit was acknowledged: generation {generation} is the state, and \
             nothing has to be verified."
        ),
        "rolled-back" if other.structure.valid == Some(false) => format!(
            "{other_side} holds no whole record. A commit that was cut off while it wrote {other_side} \
             looks like that: nobody was told that it is done, and it counts as not done. All that \
             {side} reaches is as it was committed, so {side} with generation {generation} is the state. \
             The next opening to write copies {side} to {other_side}."
        ),
        "rolled-back" => format!(
            "{other_side} is newer, with generation {}, but not all that it reaches is as that \
             commit wrote it. So the commit was not finished, nobody was told that it is done, and \
             it counts as not done: {side} with generation {generation} is the state. The next \
             opening to write copies {side} to {other_side}.",
            other.value_of("generation")
        ),
        "rolled-forward" => format!(
            "{side} is newer than {other_side}, and all that its commit wrote is there: the commit \
             counts as done, and generation {generation} is the state. Only the copy of its record \
             into {other_side} is missing; the next opening to write makes it."
        ),
        "damaged" => format!(
            "A crash can only lose what was not yet safe on the disk. Here something is wrong that \
             was safe. What is shown is what {side} with generation {generation} reaches, as far \
             as its checksums agree."
        ),
        _ => String::new(),
    }
}

/// One of two copies, as the drawing of the roots shows it.
struct Root<'a> {
    letter: &'a str,
    counts: bool,
    what: String,
    says: &'static str,
}

impl Root<'_> {
    fn class(&self) -> &'static str {
        if self.counts { "counts" } else { "waits" }
    }
}

/// What a verdict means, for those who have not read the rules. `counts` and
/// `waits` are the copies, with what their fields say of the generation.
fn meaning_of(verdict: &str, counts: &Described, waits: &Described) -> String {
    let (side, other) = (counts.letter(), waits.letter());
    let generation = counts.value_of("generation");
    match verdict {
        "clean" => format!(
            "Page 0 names {side}, {side} is whole, and {other} is not newer: {side} counts. \
             {other} holds a state before it, and is where the next commit will be written."
        ),
        "rolled-back" => {
            let written = if waits.structure.valid == Some(false) {
                "half written".to_owned()
            } else {
                format!("written, with generation {}", waits.value_of("generation"))
            };
            format!(
                "A commit was on its way when everything stopped: {other} was {written}, but page \
                 0 was not switched over to it. So nobody was told that the commit is done, and \
                 it counts as not done: {side} with generation {generation} is the state, and the \
                 next commit overwrites {other}. Nothing is lost."
            )
        }
        "rolled-forward" => format!(
            "Page 0 is written last, when all that it names is safe on the disk. It was cut off \
             in the middle, so the rest of the commit is there in full, and counts as done: \
             {side} with generation {generation} is the state. The next commit writes page 0 \
             anew. Nothing is lost."
        ),
        "damaged" => {
            let number = |copy: &Described| copy.value_of("generation").parse::<u64>().ok();
            let is_stale = waits.structure.valid == Some(true) && number(waits) > number(counts);
            let why = if is_stale {
                format!(
                    ", so the bytes of {side}, which page 0 names, do not prove the state alone. \
                     Going to {other} is no way out: it could hand out pages that are in use"
                )
            } else {
                String::new()
            };
            format!(
                "A crash can only lose what was not yet safe on the disk. Here something is wrong \
                 that was safe{why}. The file can be read as far as its bytes prove themselves; \
                 before it can be changed, a mended copy of it has to be made."
            )
        }
        _ => String::new(),
    }
}

impl MetadataView {
    /// The copies that there is a story for.
    fn told(&self) -> Option<&Copies> {
        self.copies.iter().find(|copies| copies.story().is_some())
    }

    /// Whether the story of the metadata is that of this file.
    fn keeps_metadata(&self) -> bool {
        let copies = self.copies.iter().flat_map(|copies| &copies.copies);
        let mut all = copies.chain(&self.single);
        self.state.keeps_pairs() || all.any(|one| one.structure.name == METADATA)
    }

    /// Both copies of what page 0 names, for the drawing; none where there are
    /// no such copies.
    fn roots(&self) -> Vec<Root<'_>> {
        let Some(told) = self.told() else {
            return Vec::new();
        };
        let generation = |copy: &Described| copy.value_of("generation").parse::<u64>().ok();
        let named = told.copies.iter().find(|copy| copy.structure.counts);
        let mut roots = Vec::new();
        for copy in &told.copies {
            let structure = &copy.structure;
            let newer = named.is_some_and(|named| generation(copy) > generation(named));
            roots.push(Root {
                letter: copy.letter(),
                counts: structure.counts,
                what: format!("generation {}", copy.value_of("generation")),
                says: match (structure.counts, structure.valid) {
                    (_, Some(false)) => "not valid",
                    (true, _) if self.state.can_be_changed() => "named by page 0: counts",
                    (true, _) => "named by page 0",
                    (false, _) if newer => "newer, but not named",
                    (false, _) if self.state.can_be_changed() => "not newer, written next",
                    (false, _) => "not newer",
                },
            });
        }
        roots
    }

    /// The two slots of the root record; none where a file has no such slots.
    fn slots(&self) -> Option<&Copies> {
        self.copies
            .iter()
            .find(|copies| copies.name == ROOT && copies.copies.len() == 2)
    }

    /// The same, for the drawing.
    fn drawn_slots(&self) -> Vec<Root<'_>> {
        let slots = self.slots().map_or(&[][..], |slots| &slots.copies);
        let generation = |slot: &Described| slot.value_of("generation").parse::<u64>().ok();
        let alike = slots.iter().all(|slot| slot.structure.counts);
        let counting = slots.iter().find(|slot| slot.structure.counts);
        let drawn = slots.iter().map(|slot| {
            let structure = &slot.structure;
            let order = counting.map(|counting| generation(slot).cmp(&generation(counting)));
            let can_be_changed = self.state.can_be_changed();
            Root {
                letter: slot.letter(),
                counts: structure.counts,
                what: match structure.valid {
                    Some(false) => "no whole record".to_owned(),
                    _ => format!("generation {}", slot.value_of("generation")),
                },
                says: match (structure.counts, structure.valid) {
                    (_, Some(false)) => "not valid",
                    (true, _) if !can_be_changed => "shown as far as it proves itself",
                    (true, _) if alike => "the same in both: counts",
                    (true, _) => "counts",
                    (false, _) if order == Some(Ordering::Equal) => "the same",
                    (false, _) if !can_be_changed => "does not count",
                    (false, _) if order == Some(Ordering::Greater) => "newer, but not finished",
                    (false, _) => "older",
                },
            }
        });
        drawn.collect()
    }

    /// Structures without a copy, but for the trees.
    fn alone(&self) -> impl Iterator<Item = &Described> {
        self.single.iter().filter(|single| !single.is_of_a_tree())
    }

    /// The topmost nodes of the trees.
    fn trees(&self) -> Vec<&Described> {
        let single = self.single.iter();
        single.filter(|single| single.is_of_a_tree()).collect()
    }

    /// Whether the copy at a place of the drawing is the one that is named.
    fn names(&self, place: usize) -> bool {
        let told = self.told().and_then(|told| told.copies.get(place));
        told.is_some_and(|copy| copy.structure.counts)
    }

    fn tone(&self) -> &'static str {
        tone_of(&self.state.verdict)
    }

    /// What there is to say of a copy beside its page and its checksum.
    fn role(&self, copies: &Copies, copy: &Described) -> &'static str {
        let counts = copy.structure.counts;
        if copies.name == ROOT && !counts && copies.differing() == 0 {
            return "the same";
        }
        if copies.name == ROOT && counts {
            return match self.state.can_be_changed() {
                false => "shown as far as it proves itself",
                true if copies.copies.iter().all(|copy| copy.structure.counts) => {
                    "the same in both"
                }
                true => "the state",
            };
        }
        if copies.story().is_none() {
            return if counts { "counts" } else { "does not count" };
        }
        match (counts, self.state.can_be_changed()) {
            (true, _) => "named by page 0",
            (false, true) => "the next commit writes here",
            (false, false) => "not named by page 0",
        }
    }
}

#[derive(Template)]
#[template(path = "metadata.html")]
struct MetadataPage<'a> {
    shell: &'a Shell,
    view: &'a MetadataView,
}

/// The roots of a file, and what recovery decides.
#[utoipa::path(get, path = "/f/{file}/metadata.json", tag = "file",
    params(("file" = String, Path, description = "The file's id")),
    responses((status = 200, body = MetadataView), (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| MetadataPage { shell, view }.render())
}

async fn view(asked: &Asked) -> Result<(Head, MetadataView), Error> {
    let file = FileName::from(asked.file()?);
    asked
        .look(move |view, head| {
            let recovery = &head.summary.recovery;
            let mut groups: Vec<Vec<Described>> = Vec::new();
            for structure in view.look().structures(0, 0)? {
                let described = Described::new(view, structure)?;
                let is_copy = |group: &&mut Vec<Described>| {
                    let first = group.first();
                    first.is_some_and(|first| are_copies(&first.structure, &described.structure))
                };
                match groups.iter_mut().find(is_copy) {
                    Some(group) => group.push(described),
                    None => groups.push(vec![described]),
                }
            }
            let (mut single, mut copies) = (Vec::new(), Vec::new());
            for mut group in groups {
                if group.len() == 1 {
                    single.append(&mut group);
                } else {
                    copies.push(Copies::new(view, group)?);
                }
            }
            let meaning = copies.iter().find_map(|copies| {
                if copies.name == ROOT {
                    return Some(meaning_of_slots(&head.verdict, &copies.copies));
                }
                let (counts, waits) = copies.story()?;
                Some(meaning_of(&head.verdict, counts, waits))
            });
            let (last_allocated, last_freed) = head
                .summary
                .last_commit
                .clone()
                .map(|last| (last.allocated, last.freed))
                .unzip();
            Ok(MetadataView {
                file: file.clone(),
                state: head.clone(),
                explanation: recovery.explanation.clone(),
                meaning: meaning.unwrap_or_default(),
                steps: recovery.steps.iter().cloned().map(Reason::from).collect(),
                single,
                copies,
                last_allocated,
                last_freed,
            })
        })
        .await
}
