//! The roots of a file: the superblock, both copies of the metadata side by
//! side, and what recovery decides and why.

use askama::Template;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    described::Described,
    error::Error,
    filters,
    head::{FileName, Head, tone_of},
    inspect::{Extent, Reason, Side},
    look::LookError,
    respond::Asked,
    schema,
    shell::Shell,
    source::View,
    text,
};

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
    /// Structures without a second copy.
    single: Vec<Described>,
    /// Structures of which there are two copies.
    pairs: Vec<Pair>,
    /// Pages that the last commit allocated; none where that is not known.
    #[schema(value_type = Option<Vec<schema::Extent>>)]
    last_allocated: Option<Vec<Extent>>,
    /// Pages that the last commit freed; none where that is not known.
    #[schema(value_type = Option<Vec<schema::Extent>>)]
    last_freed: Option<Vec<Extent>>,
    #[serde(skip)]
    can_be_changed: bool,
}

/// Two copies of a structure, field by field.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Pair {
    /// The structure's name.
    name: String,
    a: Described,
    b: Described,
    /// Each field's value on both sides.
    lines: Vec<PairLine>,
}

/// A field on both sides.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PairLine {
    /// The field's name.
    name: String,
    /// Where it is in its page, in bytes.
    offset: u32,
    /// Its length in bytes.
    len: u32,
    a: Cell,
    b: Cell,
    /// Whether the bytes differ.
    differs: bool,
    /// Which of the two counts.
    #[serde(skip)]
    counts: [bool; 2],
}

/// A field on one side, and whether that side counts.
struct SideCell<'a> {
    cell: &'a Cell,
    counts: bool,
}

impl PairLine {
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

    fn cells(&self) -> [SideCell<'_>; 2] {
        let [a, b] = self.counts;
        let cell = |cell, counts| SideCell { cell, counts };
        [cell(&self.a, a), cell(&self.b, b)]
    }
}

/// A field on one side.
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
}

impl Cell {
    /// The field at a place in a structure's list.
    fn of(described: &Described, place: usize) -> Self {
        let field = described.structure.fields.get(place);
        Self {
            value: field.map_or_else(String::new, |field| field.value.clone()),
            raw: described.raw.get(place).cloned().unwrap_or_default(),
            meaning: field.map_or_else(String::new, |field| field.meaning.clone()),
            problem: field.map_or_else(String::new, |field| field.problem.clone()),
        }
    }
}

impl Pair {
    fn new(view: &mut View, a: Described, b: Described) -> Result<Self, LookError> {
        let mut lines = Vec::new();
        let both = a.structure.fields.len().max(b.structure.fields.len());
        for place in 0..both {
            let Some(field) = a
                .structure
                .fields
                .get(place)
                .or(b.structure.fields.get(place))
            else {
                break;
            };
            let (offset, len) = (field.offset, field.len);
            let mut bytes = |page| view.look().bytes(page, offset, len);
            let differs = bytes(a.structure.page)? != bytes(b.structure.page)?;
            lines.push(PairLine {
                name: field.name.clone(),
                offset,
                len,
                a: Cell::of(&a, place),
                b: Cell::of(&b, place),
                differs,
                counts: [a.structure.active, b.structure.active],
            });
        }
        Ok(Self {
            name: a.structure.name.clone(),
            a,
            b,
            lines,
        })
    }

    fn sides(&self) -> [&Described; 2] {
        [&self.a, &self.b]
    }

    fn differing(&self) -> usize {
        self.lines.iter().filter(|line| line.differs).count()
    }
}

/// One of two copies, as the drawing of the roots shows it.
struct Root {
    side: &'static str,
    counts: bool,
    what: String,
    says: &'static str,
}

impl Root {
    fn class(&self) -> &'static str {
        if self.counts { "counts" } else { "waits" }
    }
}

/// What a verdict means, for those who have not read the rules. `counts` and
/// `waits` are the sides, with what their fields say of the generation.
fn meaning_of(verdict: &str, counts: &Described, waits: &Described) -> String {
    let (side, other) = (counts.side(), waits.side());
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
        "damaged" => format!(
            "A crash can only lose what was not yet safe on the disk. Here something is wrong \
             that was safe, so the bytes of {side}, which page 0 names, do not prove the state \
             alone. Going back to {other} is no way out: it would hand out pages that are in use. \
             The file can be read as far as its bytes prove themselves; before it can be changed, \
             a mended copy of it has to be made."
        ),
        _ => String::new(),
    }
}

impl MetadataView {
    /// Both copies of what page 0 names, for the drawing; none where there are
    /// no such copies.
    fn roots(&self) -> Vec<Root> {
        let Some(pair) = self.pairs.first() else {
            return Vec::new();
        };
        let generation = |side: &Described| side.value_of("generation").parse::<u64>().ok();
        let named = pair.sides().into_iter().find(|side| side.structure.active);
        let draw = |side: &Described| {
            let newer = named.is_some_and(|named| generation(side) > generation(named));
            Root {
                side: side.side(),
                counts: side.structure.active,
                what: format!("generation {}", side.value_of("generation")),
                says: match (side.structure.active, side.structure.valid) {
                    (_, Some(false)) => "not valid",
                    (true, _) if self.can_be_changed => "named by page 0: counts",
                    (true, _) => "named by page 0",
                    (false, _) if newer => "newer, but not named",
                    (false, _) if self.can_be_changed => "not newer, written next",
                    (false, _) => "not newer",
                },
            }
        };
        pair.sides().map(draw).into()
    }

    /// Whether page 0 names this side.
    fn names(&self, side: &str) -> bool {
        let roots = self.roots();
        roots.iter().any(|root| root.counts && root.side == side)
    }

    fn tone(&self) -> &'static str {
        tone_of(&self.state.verdict)
    }

    /// A value of a field; one that is a number with its thousands apart.
    fn grouped(&self, value: &str) -> String {
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        if is_number {
            text::grouped(value)
        } else {
            value.to_owned()
        }
    }

    /// What there is to say of a side beside its page and its checksum.
    fn role(&self, side: &Described) -> &'static str {
        match (side.structure.active, self.can_be_changed) {
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
            let facts = head.facts.clone();
            let summary = view.look().summary()?;
            let (mut single, mut pairs) = (Vec::new(), Vec::new());
            let mut waiting: Vec<Described> = Vec::new();
            for structure in view.look().structures(0, 0)? {
                let described = Described::new(view, structure)?;
                let other = waiting.iter().position(|other| {
                    other.structure.name == described.structure.name
                        && other.structure.side != described.structure.side
                });
                match (described.structure.side, other) {
                    (None, _) => single.push(described),
                    (Some(_), None) => waiting.push(described),
                    (Some(Side::B), Some(place)) => {
                        pairs.push(Pair::new(view, waiting.remove(place), described)?);
                    }
                    (Some(Side::A), Some(place)) => {
                        pairs.push(Pair::new(view, described, waiting.remove(place))?);
                    }
                }
            }
            single.append(&mut waiting);
            let meaning = match pairs.first().map(Pair::sides) {
                Some([a, b]) if a.structure.active => meaning_of(&head.verdict, a, b),
                Some([a, b]) if b.structure.active => meaning_of(&head.verdict, b, a),
                _ => String::new(),
            };
            Ok(MetadataView {
                file: file.clone(),
                state: head.clone(),
                explanation: summary.recovery.explanation,
                meaning,
                steps: summary
                    .recovery
                    .steps
                    .into_iter()
                    .map(Reason::from)
                    .collect(),
                single,
                pairs,
                last_allocated: facts.last_allocated,
                last_freed: facts.last_freed,
                can_be_changed: facts.can_be_changed,
            })
        })
        .await
}
