//! What the screen of the simulator says, in JSON and in words.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    head::{FileName, Head, tone_of},
    inspect::Reason,
    schema, text,
};

/// The crash simulator.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CrashView {
    /// The trace.
    pub(crate) file: FileName,
    /// The image, as all other screens show it: by its id.
    pub(crate) image: FileName,
    /// What recovery makes of the image.
    pub(crate) state: Head,
    /// The step that is under way, from 1.
    pub(crate) step: usize,
    /// How many steps the trace has.
    pub(crate) step_count: usize,
    /// The steps, at most 160 about this one.
    pub(crate) steps: Vec<StepLine>,
    /// The step that is left out.
    pub(crate) without: Option<usize>,
    /// What the image comes to: `before`, `between`, `after`, `lost` or `damage`.
    #[schema(value_type = String)]
    pub(crate) outcome: &'static str,
    /// What is wrong with it; empty where nothing is.
    pub(crate) problem: String,
    /// What recovery decides, in a sentence.
    pub(crate) explanation: String,
    /// Why, step by step.
    #[schema(value_type = Vec<schema::Reason>)]
    pub(crate) reasons: Vec<Reason>,
    /// The pages that are in doubt.
    pub(crate) pages: Vec<DoubtLine>,
    /// How many sectors are in doubt, and how many have something newer than what
    /// is durable.
    pub(crate) sectors: usize,
    pub(crate) kept: usize,
    /// How long the file may be, in pages.
    pub(crate) lengths: Vec<LengthLine>,
    /// All that a power loss can leave now.
    pub(crate) now: TriedLine,
    /// The same of each moment at which something becomes durable, and of the end:
    /// no other moment can leave anything else. The first 12.
    pub(crate) moments: Vec<TriedLine>,
    /// How many such moments there are.
    pub(crate) moment_count: usize,
    #[serde(skip)]
    pub(crate) links: Links,
}

/// A step of the trace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepLine {
    /// Its number, from 1.
    pub(crate) step: usize,
    /// `write`, `zeros`, `growth`, `cut`, `order` or `sync`.
    #[schema(value_type = String)]
    pub(crate) kind: &'static str,
    /// The page, the first of the pages, or how many there are then.
    pub(crate) number: Option<u64>,
    /// How many pages are written with zeros.
    pub(crate) count: Option<u64>,
    /// What the page is in the end; empty where that says nothing.
    pub(crate) page_kind: String,
    /// `durable`, `in-doubt`, `under-way`, `to-come` or `left-out`.
    #[schema(value_type = String)]
    pub(crate) status: &'static str,
    #[serde(skip)]
    pub(crate) href: String,
    /// The same moment without it.
    #[serde(skip)]
    pub(crate) without: String,
}

/// A page in doubt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DoubtLine {
    pub(crate) page: u64,
    /// What it is once all is written.
    pub(crate) kind: String,
    pub(crate) sectors: Vec<SectorLine>,
    #[serde(skip)]
    pub(crate) all: String,
    #[serde(skip)]
    pub(crate) none: String,
}

/// A sector in doubt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SectorLine {
    /// Its place in the page, in sectors of 512 bytes.
    pub(crate) sector: usize,
    /// The version that it has: 0 is the durable one.
    pub(crate) version: usize,
    /// How many there are besides.
    pub(crate) versions: usize,
    /// What leads to the next version.
    #[serde(skip)]
    pub(crate) href: String,
}

/// A length that the file may have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LengthLine {
    /// In pages.
    pub(crate) pages: u64,
    pub(crate) chosen: bool,
    #[serde(skip)]
    pub(crate) href: String,
}

/// The images of a moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriedLine {
    /// The step that is under way.
    pub(crate) step: usize,
    /// How many images there are; null where they are more than 2^64.
    pub(crate) possible: Option<u64>,
    /// How many were tried: all of them, or so many drawn by chance.
    pub(crate) tried: u64,
    /// What they came to.
    pub(crate) outcomes: Vec<OutcomeLine>,
    #[serde(skip)]
    pub(crate) href: String,
}

/// Images that came to the same.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutcomeLine {
    /// `before`, `between`, `after`, `lost` or `damage`.
    #[schema(value_type = String)]
    pub(crate) outcome: &'static str,
    /// Of the state that recovery finds; null where there is none.
    pub(crate) generation: Option<u64>,
    pub(crate) count: u64,
    /// What is wrong with the first of them; empty where nothing is.
    pub(crate) problem: String,
    #[serde(skip)]
    pub(crate) percent: String,
    /// In thousandths, for the drawing.
    #[serde(skip)]
    pub(crate) x: u64,
    #[serde(skip)]
    pub(crate) width: u64,
    #[serde(skip)]
    pub(crate) href: Option<String>,
}

/// Where to go from here.
#[derive(Debug, Default)]
pub(crate) struct Links {
    pub(crate) first: Option<String>,
    pub(crate) previous: Option<String>,
    pub(crate) next: Option<String>,
    pub(crate) last: Option<String>,
    pub(crate) all: String,
    pub(crate) none: String,
    /// With every sync.
    pub(crate) whole: String,
    pub(crate) keep: &'static str,
    pub(crate) seed: u64,
    /// What another draw would be by.
    pub(crate) other_seed: String,
}

impl OutcomeLine {
    /// What there is to say of it, for people.
    pub(crate) fn said(&self) -> &'static str {
        match self.outcome {
            "before" => "the state before",
            "after" => "the state after",
            "between" => "a state in between",
            "lost" => "a state that is too old: what was durable is lost",
            _ => "damage",
        }
    }
}

impl TriedLine {
    pub(crate) fn is_whole(&self) -> bool {
        self.possible == Some(self.tried)
    }

    /// How many images there are, in words.
    pub(crate) fn possible_said(&self) -> String {
        match self.possible {
            Some(possible) => text::number(possible),
            None => "more than 2^64".to_owned(),
        }
    }

    pub(crate) fn of(&self, outcome: &str) -> u64 {
        let lines = self.outcomes.iter();
        let lines = lines.filter(|line| line.outcome == outcome);
        lines.map(|line| line.count).sum()
    }

    pub(crate) fn bad(&self) -> u64 {
        self.of("lost") + self.of("damage")
    }
}

impl StepLine {
    pub(crate) fn is_bar(&self) -> bool {
        matches!(self.kind, "sync" | "order")
    }

    /// What it does, in words.
    pub(crate) fn said(&self) -> String {
        let number = self.number.map(text::number).unwrap_or_default();
        match (self.kind, self.count) {
            ("write", _) => format!("write page {number}"),
            ("zeros", Some(count)) => format!("zeros in {} from {number}", text::pages(count)),
            ("growth", _) => format!("grow to {number} pages"),
            ("cut", _) => format!("cut to {number} pages"),
            (kind, _) => kind.to_owned(),
        }
    }

    /// The same, as short as can be.
    pub(crate) fn short(&self) -> String {
        let number = self.number.map(text::number).unwrap_or_default();
        match self.kind {
            "zeros" => format!("zero {number}"),
            "growth" => format!("+ {number}"),
            "cut" => format!("\u{2212} {number}"),
            "write" => number,
            kind => kind.to_owned(),
        }
    }
}

impl SectorLine {
    pub(crate) fn is_new(&self) -> bool {
        self.version > 0
    }

    pub(crate) fn said(&self) -> String {
        match (self.version, self.versions) {
            (0, _) => "old".to_owned(),
            (_, 1) => "new".to_owned(),
            (version, versions) => format!("{version} of {versions}"),
        }
    }
}

impl CrashView {
    pub(crate) fn tone(&self) -> &'static str {
        match self.outcome {
            "lost" | "damage" => "bad",
            _ => match tone_of(&self.state.verdict) {
                // A file that is being made is none yet.
                "bad" => "note",
                tone => tone,
            },
        }
    }

    pub(crate) fn is_end(&self) -> bool {
        self.step > self.step_count
    }

    pub(crate) fn under_way(&self) -> Option<&StepLine> {
        self.steps.iter().find(|line| line.step == self.step)
    }

    pub(crate) fn bars(&self) -> impl Iterator<Item = &StepLine> {
        self.steps.iter().filter(|line| line.is_bar())
    }

    /// Of all images that were tried, those that are not as they may be.
    pub(crate) fn bad(&self) -> u64 {
        self.moments.iter().map(TriedLine::bad).sum()
    }

    pub(crate) fn tried(&self) -> u64 {
        self.moments.iter().map(|moment| moment.tried).sum()
    }

    /// Whether every image of every moment was tried.
    pub(crate) fn is_whole(&self) -> bool {
        self.moments.len() == self.moment_count && self.moments.iter().all(TriedLine::is_whole)
    }

    /// Sectors in doubt that are not shown.
    pub(crate) fn hidden(&self) -> usize {
        let shown: usize = self.pages.iter().map(|line| line.sectors.len()).sum();
        self.sectors - shown
    }
}
