//! From what the simulator found to what the screen says of it, with the ways on.

use std::{collections::HashMap, sync::Arc};

use pagebox::trace::Step;

use super::lines::{
    CrashView, DoubtLine, LengthLine, Links, OutcomeLine, SectorLine, StepLine, TriedLine,
};
use crate::{
    choice::{Choice, Exception, Keep},
    head::{FileName, Head},
    inspect::Reason,
    look::LookError,
    simulator::{Doubt, Outcome, Part, Simulator, State, Tried},
    state::{File, Traced},
    text,
};

/// The most steps of a trace that are shown at once.
const STEPS_SHOWN_MAX: usize = 160;

/// The most sectors that can be switched one by one.
const SECTORS_SHOWN_MAX: usize = 1024;

/// What the image's own source tells of it.
pub(crate) struct Told {
    pub(crate) head: Head,
    pub(crate) explanation: String,
    pub(crate) reasons: Vec<Reason>,
}

/// What the simulator tells.
pub(crate) struct Found {
    pub(crate) doubt: Doubt,
    pub(crate) outcome: Outcome,
    pub(crate) problem: String,
    pub(crate) states: Arc<Vec<State>>,
    pub(crate) now: Arc<Tried>,
    pub(crate) moments: Vec<Arc<Tried>>,
    pub(crate) moment_count: usize,
}

impl Found {
    /// Asks the simulator.
    ///
    /// # Errors
    /// As [`Simulator::outcome`].
    pub(crate) fn of(simulator: &Simulator, choice: &Choice) -> Result<Self, LookError> {
        let doubt = simulator.doubt(choice)?;
        let (outcome, problem) = simulator.outcome(choice)?;
        let (moments, moment_count) = simulator.all_tried(choice.without)?;
        Ok(Self {
            doubt,
            outcome,
            problem,
            states: simulator.states()?,
            now: simulator.tried(choice.at, choice.without)?,
            moments,
            moment_count,
        })
    }
}

/// What a view is made with.
pub(crate) struct Making<'a> {
    pub(crate) base: &'a str,
    pub(crate) choice: &'a Choice,
    pub(crate) kinds: &'a HashMap<u64, String>,
    pub(crate) traced: &'a Traced,
}

impl Making<'_> {
    fn href(&self, choice: &Choice) -> String {
        format!("{}?{}", self.base, choice.query())
    }

    /// The same, at the part of the screen where sectors are switched.
    fn switch(&self, choice: &Choice) -> String {
        format!("{}#doubt", self.href(choice))
    }

    pub(crate) fn view(&self, image: &File, told: Told, found: &Found) -> CrashView {
        let survivors = &found.doubt.survivors.sectors;
        CrashView {
            file: FileName {
                id: self.traced.id.clone(),
                name: self.traced.name.clone(),
            },
            image: image.into(),
            state: told.head,
            step: self.choice.at + 1,
            step_count: self.traced.simulator.steps().len(),
            steps: self.steps(),
            without: self.choice.without.map(|step| step + 1),
            outcome: name_of(found.outcome, &found.states),
            problem: text::visible(&found.problem),
            explanation: told.explanation,
            reasons: told.reasons,
            pages: self.pages(&found.doubt),
            sectors: survivors.len(),
            kept: survivors.iter().filter(|it| it.version > 0).count(),
            lengths: self.lengths(&found.doubt),
            now: self.tried(&found.now, &found.states),
            moments: found
                .moments
                .iter()
                .map(|tried| self.tried(tried, &found.states))
                .collect(),
            moment_count: found.moment_count,
            links: self.links(),
        }
    }

    fn steps(&self) -> Vec<StepLine> {
        let steps = self.traced.simulator.steps();
        let choice = self.choice;
        let first = choice.at.saturating_sub(STEPS_SHOWN_MAX / 2);
        let first = first.min(steps.len().saturating_sub(STEPS_SHOWN_MAX));
        // What is before the last barrier that was done is durable.
        let done = steps.iter().enumerate().take(choice.at);
        let mut barriers =
            done.filter(|(at, step)| step.is_barrier() && choice.without != Some(*at));
        let durable = barriers.next_back().map_or(0, |(at, _)| at + 1);
        let shown = steps.iter().enumerate().skip(first).take(STEPS_SHOWN_MAX);
        shown
            .map(|(at, step)| {
                let (kind, number, count) = match *step {
                    Step::Write { page, .. } => ("write", Some(page), None),
                    Step::Zero { first, count } => ("zeros", Some(first), Some(count)),
                    Step::Grow { page_count } => ("growth", Some(page_count), None),
                    Step::Truncate { page_count } => ("cut", Some(page_count), None),
                    Step::Order => ("order", None, None),
                    Step::Sync => ("sync", None, None),
                };
                let is_page = matches!(step, Step::Write { .. } | Step::Zero { .. });
                let page = number.filter(|_| is_page);
                StepLine {
                    step: at + 1,
                    kind,
                    number,
                    count,
                    page_kind: page
                        .and_then(|page| self.kinds.get(&page).cloned())
                        .unwrap_or_default(),
                    status: match () {
                        () if choice.without == Some(at) => "left-out",
                        () if at == choice.at => "under-way",
                        () if at > choice.at => "to-come",
                        () if at < durable => "durable",
                        // A growth is durable when it has returned.
                        () if matches!(step, Step::Grow { .. }) => "durable",
                        () => "in-doubt",
                    },
                    href: self.href(&choice.moved(at)),
                    without: format!("{}#syncs", self.href(&choice.leaving_out(Some(at)))),
                }
            })
            .collect()
    }

    fn pages(&self, doubt: &Doubt) -> Vec<DoubtLine> {
        let mut lines: Vec<DoubtLine> = Vec::new();
        let all = doubt.survivors.sectors.iter().zip(&doubt.preset.sectors);
        for (own, preset) in all.take(SECTORS_SHOWN_MAX) {
            if lines.last().is_none_or(|line| line.page != own.page) {
                lines.push(DoubtLine {
                    page: own.page,
                    kind: self.kinds.get(&own.page).cloned().unwrap_or_default(),
                    sectors: Vec::new(),
                    all: self.page_as(doubt, own.page, |versions| versions),
                    none: self.page_as(doubt, own.page, |_| 0),
                });
            }
            let next = Exception {
                page: own.page,
                sector: own.sector,
                version: (own.version + 1) % (own.versions + 1),
            };
            if let Some(line) = lines.last_mut() {
                line.sectors.push(SectorLine {
                    sector: own.sector,
                    version: own.version,
                    versions: own.versions,
                    href: self.switch(&self.choice.with(next, preset.version)),
                });
            }
        }
        lines
    }

    /// What leads to the same with all sectors of a page of some version.
    fn page_as(&self, doubt: &Doubt, page: u64, version: fn(usize) -> usize) -> String {
        let sectors = doubt.preset.sectors.iter().filter(|it| it.page == page);
        let choice = sectors.fold(self.choice.clone(), |choice, preset| {
            let exception = Exception {
                page,
                sector: preset.sector,
                version: version(preset.versions),
            };
            choice.with(exception, preset.version)
        });
        self.switch(&choice)
    }

    fn lengths(&self, doubt: &Doubt) -> Vec<LengthLine> {
        let lengths = doubt.lengths.iter();
        let lines = lengths.map(|&pages| LengthLine {
            pages,
            chosen: pages == doubt.length,
            href: self.switch(&Choice {
                length: Some(pages),
                ..self.choice.clone()
            }),
        });
        lines.collect()
    }

    fn tried(&self, tried: &Tried, states: &[State]) -> TriedLine {
        let counts: Vec<u64> = tried.parts.iter().map(|part| part.count).collect();
        let mut x = 0;
        let parts = tried.parts.iter().zip(text::percents(&counts));
        let outcomes = parts.map(|(part, percent)| {
            let line = self.outcome(part, percent, states, x, tried.count.max(1));
            x += line.width;
            line
        });
        TriedLine {
            step: tried.at + 1,
            possible: Some(tried.possible).filter(|possible| *possible < u64::MAX),
            tried: tried.count,
            outcomes: outcomes.collect(),
            href: self.href(&self.choice.moved(tried.at)),
        }
    }

    fn outcome(
        &self,
        part: &Part,
        percent: String,
        states: &[State],
        x: u64,
        tried: u64,
    ) -> OutcomeLine {
        let state = match part.outcome {
            Outcome::State(place) | Outcome::Lost(place) => states.get(place),
            Outcome::Damage => None,
        };
        OutcomeLine {
            outcome: name_of(part.outcome, states),
            generation: state.and_then(|state| state.generation),
            count: part.count,
            problem: text::visible(&part.problem),
            percent,
            x,
            width: part.count * 1000 / tried,
            href: part.example.as_ref().map(|example| self.href(example)),
        }
    }

    fn links(&self) -> Links {
        let (at, end) = (self.choice.at, self.traced.simulator.steps().len());
        let to = |at: usize| self.href(&self.choice.moved(at));
        let (keep, seed) = match self.choice.keep {
            Keep::All => ("all", 1),
            Keep::None => ("none", 1),
            Keep::Random(seed) => ("random", seed),
        };
        let is_plain = self.choice.but.is_empty() && self.choice.length.is_none();
        let keeping = |keep: Keep| self.switch(&self.choice.keeping(keep));
        let other = if keep == "random" {
            seed.wrapping_add(1)
        } else {
            seed
        };
        Links {
            first: (at > 0).then(|| to(0)),
            previous: at.checked_sub(1).map(to),
            next: (at < end).then(|| to(at + 1)),
            last: (at < end).then(|| to(end)),
            all: keeping(Keep::All),
            none: keeping(Keep::None),
            whole: self.href(&self.choice.leaving_out(None)),
            keep: if is_plain { keep } else { "" },
            seed,
            other_seed: keeping(Keep::Random(other)),
        }
    }
}

/// An outcome by its stable name.
fn name_of(outcome: Outcome, states: &[State]) -> &'static str {
    match outcome {
        Outcome::State(0) => "before",
        Outcome::State(place) if place + 1 == states.len() => "after",
        Outcome::State(_) => "between",
        Outcome::Lost(_) => "lost",
        Outcome::Damage => "damage",
    }
}
