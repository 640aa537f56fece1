//! The crash simulator: choose the moment at which the power fails, choose what
//! survives, and see what recovery decides.

use std::{collections::HashMap, sync::Arc};

use askama::Template;
use axum::response::Response;
use pagebox::trace::Step;
use serde::{Deserialize, Deserializer, Serialize, de};
use utoipa::{IntoParams, ToSchema};

use crate::{
    choice::{Choice, EXCEPTIONS_MAX, Exception, Keep},
    error::Error,
    filters,
    head::{FileName, Head, tone_of},
    inspect::Reason,
    legend::Legend,
    look::LookError,
    params::number_or_none,
    respond::Asked,
    schema,
    shell::Shell,
    simulator::{Doubt, Outcome, Part, Simulator, State, Tried},
    source::View,
    state::{File, Traced},
    text,
};

/// The most steps of a trace that are shown at once.
const STEPS_SHOWN_MAX: usize = 160;

/// The most sectors that can be switched one by one.
const SECTORS_SHOWN_MAX: usize = 1024;

/// What is chosen.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct CrashParams {
    /// The step that is under way when the power fails, from 1; one more than there
    /// are is the moment after them. The last sync that matters unless given.
    #[param(value_type = Option<u64>)]
    #[serde(deserialize_with = "number_or_none")]
    at: Option<u64>,
    /// A sync or an order that is left out, by its step.
    #[param(value_type = Option<u64>)]
    #[serde(deserialize_with = "number_or_none")]
    without: Option<u64>,
    /// What survives of what is not durable: `all`, `none` or `random`.
    keep: Option<String>,
    /// What `random` draws by; 1 unless given.
    #[param(value_type = Option<u64>)]
    #[serde(deserialize_with = "number_or_none")]
    seed: Option<u64>,
    /// How many pages the file has, where a growth or a cut is in doubt.
    #[param(value_type = Option<u64>)]
    #[serde(deserialize_with = "number_or_none")]
    length: Option<u64>,
    /// Sectors that are not as `keep` has them, as `page.sector.version`, parted by
    /// commas; version 0 is what is durable. At most 200.
    #[param(value_type = Option<String>)]
    #[serde(deserialize_with = "exceptions")]
    but: Vec<Exception>,
}

fn exceptions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Exception>, D::Error> {
    let all = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    let mut found = Vec::new();
    for text in all.split(',').filter(|text| !text.is_empty()) {
        let exception = Exception::of(text).ok_or_else(|| {
            let text = text::visible(text);
            de::Error::custom(format!(
                "'{text}' is no sector: 63.4.1 is version 1 of sector 4 of page 63"
            ))
        })?;
        found.push(exception);
    }
    if found.len() > EXCEPTIONS_MAX {
        let problem = format!("more than {EXCEPTIONS_MAX} sectors are named");
        return Err(de::Error::custom(problem));
    }
    Ok(found)
}

impl CrashParams {
    fn choice(self, first: &Choice) -> Result<Choice, Error> {
        let place = |step: u64| {
            let place = usize::try_from(step)
                .ok()
                .and_then(|step| step.checked_sub(1));
            place.ok_or_else(|| Error::Query("steps are counted from 1".to_owned()))
        };
        let keep = match self.keep.as_deref().unwrap_or_default() {
            "" | "all" => Keep::All,
            "none" => Keep::None,
            "random" => Keep::Random(self.seed.unwrap_or(1)),
            other => {
                let other = text::visible(other);
                return Err(Error::Query(format!(
                    "'{other}' is neither all nor none nor random"
                )));
            }
        };
        Ok(Choice {
            at: self.at.map_or(Ok(first.at), place)?,
            without: self.without.map(place).transpose()?,
            keep,
            length: self.length,
            but: self.but,
        })
    }
}

/// The crash simulator.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CrashView {
    /// The trace.
    file: FileName,
    /// The image, as all other screens show it: by its id.
    image: FileName,
    /// What recovery makes of the image.
    state: Head,
    /// The step that is under way, from 1.
    step: usize,
    /// How many steps the trace has.
    step_count: usize,
    /// The steps, at most 160 about this one.
    steps: Vec<StepLine>,
    /// The step that is left out.
    without: Option<usize>,
    /// What the image comes to: `before`, `between`, `after`, `lost` or `damage`.
    #[schema(value_type = String)]
    outcome: &'static str,
    /// What is wrong with it; empty where nothing is.
    problem: String,
    /// What recovery decides, in a sentence.
    explanation: String,
    /// Why, step by step.
    #[schema(value_type = Vec<schema::Reason>)]
    reasons: Vec<Reason>,
    /// The pages that are in doubt.
    pages: Vec<DoubtLine>,
    /// How many sectors are in doubt, and how many have something newer than what
    /// is durable.
    sectors: usize,
    kept: usize,
    /// How long the file may be, in pages.
    lengths: Vec<LengthLine>,
    /// All that a power loss can leave now.
    now: TriedLine,
    /// The same of each moment at which something becomes durable, and of the end:
    /// no other moment can leave anything else. The first 12.
    moments: Vec<TriedLine>,
    /// How many such moments there are.
    moment_count: usize,
    #[serde(skip)]
    links: Links,
}

/// A step of the trace.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StepLine {
    /// Its number, from 1.
    step: usize,
    /// `write`, `zeros`, `growth`, `cut`, `order` or `sync`.
    #[schema(value_type = String)]
    kind: &'static str,
    /// The page, the first of the pages, or how many there are then.
    number: Option<u64>,
    /// How many pages are written with zeros.
    count: Option<u64>,
    /// What the page is in the end; empty where that says nothing.
    page_kind: String,
    /// `durable`, `in-doubt`, `under-way`, `to-come` or `left-out`.
    #[schema(value_type = String)]
    status: &'static str,
    #[serde(skip)]
    href: String,
    /// The same moment without it.
    #[serde(skip)]
    without: String,
}

/// A page in doubt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DoubtLine {
    page: u64,
    /// What it is once all is written.
    kind: String,
    sectors: Vec<SectorLine>,
    #[serde(skip)]
    all: String,
    #[serde(skip)]
    none: String,
}

/// A sector in doubt.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SectorLine {
    /// Its place in the page, in sectors of 512 bytes.
    sector: usize,
    /// The version that it has: 0 is the durable one.
    version: usize,
    /// How many there are besides.
    versions: usize,
    /// What leads to the next version.
    #[serde(skip)]
    href: String,
}

/// A length that the file may have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LengthLine {
    /// In pages.
    pages: u64,
    chosen: bool,
    #[serde(skip)]
    href: String,
}

/// The images of a moment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TriedLine {
    /// The step that is under way.
    step: usize,
    /// How many images there are; null where they are more than 2^64.
    possible: Option<u64>,
    /// How many were tried: all of them, or so many drawn by chance.
    tried: u64,
    /// What they came to.
    outcomes: Vec<OutcomeLine>,
    #[serde(skip)]
    href: String,
}

/// Images that came to the same.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutcomeLine {
    /// `before`, `between`, `after`, `lost` or `damage`.
    #[schema(value_type = String)]
    outcome: &'static str,
    /// Of the state that recovery finds; null where there is none.
    generation: Option<u64>,
    count: u64,
    /// What is wrong with the first of them; empty where nothing is.
    problem: String,
    #[serde(skip)]
    percent: String,
    /// In thousandths, for the drawing.
    #[serde(skip)]
    x: u64,
    #[serde(skip)]
    width: u64,
    #[serde(skip)]
    href: Option<String>,
}

/// Where to go from here.
#[derive(Debug, Default)]
struct Links {
    first: Option<String>,
    previous: Option<String>,
    next: Option<String>,
    last: Option<String>,
    all: String,
    none: String,
    /// With every sync.
    whole: String,
    keep: &'static str,
    seed: u64,
    /// What another draw would be by.
    other_seed: String,
}

impl OutcomeLine {
    /// What there is to say of it, for people.
    fn said(&self) -> &'static str {
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
    fn is_whole(&self) -> bool {
        self.possible == Some(self.tried)
    }

    /// How many images there are, in words.
    fn possible_said(&self) -> String {
        match self.possible {
            Some(possible) => text::number(possible),
            None => "more than 2^64".to_owned(),
        }
    }

    fn of(&self, outcome: &str) -> u64 {
        let lines = self.outcomes.iter();
        let lines = lines.filter(|line| line.outcome == outcome);
        lines.map(|line| line.count).sum()
    }

    fn bad(&self) -> u64 {
        self.of("lost") + self.of("damage")
    }
}

impl StepLine {
    fn is_bar(&self) -> bool {
        matches!(self.kind, "sync" | "order")
    }

    /// What it does, in words.
    fn said(&self) -> String {
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
    fn short(&self) -> String {
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
    fn is_new(&self) -> bool {
        self.version > 0
    }

    fn said(&self) -> String {
        match (self.version, self.versions) {
            (0, _) => "old".to_owned(),
            (_, 1) => "new".to_owned(),
            (version, versions) => format!("{version} of {versions}"),
        }
    }
}

impl CrashView {
    fn tone(&self) -> &'static str {
        match self.outcome {
            "lost" | "damage" => "bad",
            _ => match tone_of(&self.state.verdict) {
                // A file that is being made is none yet.
                "bad" => "note",
                tone => tone,
            },
        }
    }

    fn is_end(&self) -> bool {
        self.step > self.step_count
    }

    fn under_way(&self) -> Option<&StepLine> {
        self.steps.iter().find(|line| line.step == self.step)
    }

    fn bars(&self) -> impl Iterator<Item = &StepLine> {
        self.steps.iter().filter(|line| line.is_bar())
    }

    /// Of all images that were tried, those that are not as they may be.
    fn bad(&self) -> u64 {
        self.moments.iter().map(TriedLine::bad).sum()
    }

    fn tried(&self) -> u64 {
        self.moments.iter().map(|moment| moment.tried).sum()
    }

    /// Whether every image of every moment was tried.
    fn is_whole(&self) -> bool {
        self.moments.len() == self.moment_count && self.moments.iter().all(TriedLine::is_whole)
    }

    /// Sectors in doubt that are not shown.
    fn hidden(&self) -> usize {
        let shown: usize = self.pages.iter().map(|line| line.sectors.len()).sum();
        self.sectors - shown
    }
}

#[derive(Template)]
#[template(path = "crash.html")]
struct CrashPage<'a> {
    shell: &'a Shell,
    view: &'a CrashView,
}

/// What a crash at a moment of a trace can leave, and what recovery makes of it.
#[utoipa::path(get, path = "/f/{file}/crash.json", tag = "file",
    params(("file" = String, Path, description = "The trace's id"), CrashParams),
    responses((status = 200, body = CrashView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer_of(view, |shell, view| CrashPage { shell, view }.render())
}

/// What the image's own source tells of it.
struct Told {
    head: Head,
    explanation: String,
    reasons: Vec<Reason>,
}

async fn view(asked: &Asked) -> Result<(Arc<File>, Head, CrashView), Error> {
    let file = asked.file()?;
    let traced = file.traced.as_ref().ok_or(Error::NoTrace)?;
    let params: CrashParams = asked.query()?;
    let choice = params.choice(&traced.choice)?;
    let image = asked.viewer.image_of(traced, choice.clone())?;
    // Before the image is asked: it is what says what is wrong with a choice.
    let (simulator, wanted) = (Arc::clone(&traced.simulator), choice.clone());
    let found = tokio::task::spawn_blocking(move || Found::of(&simulator, &wanted)).await;
    let found = found.map_err(|_| Error::Panic)??;
    let told = image.source.ask(told).await?;
    let end = Choice::all(traced.simulator.steps().len());
    let end = asked.viewer.image_of(traced, end)?;
    let kinds = kinds(&end, &traced.simulator, &found.doubt).await?;
    let view = Making {
        base: &asked.viewer.href(&format!("/f/{}/crash", traced.id)),
        choice: &choice,
        kinds: &kinds,
        traced,
    }
    .view(&image, told, &found);
    Ok((Arc::clone(&image), view.state.clone(), view))
}

fn told(view: &mut View) -> Result<Told, LookError> {
    let head = Head::of(view)?;
    let recovery = &head.summary.recovery;
    Ok(Told {
        explanation: recovery.explanation.clone(),
        reasons: recovery.steps.iter().cloned().map(Reason::from).collect(),
        head: head.checked(view),
    })
}

/// What pages are once all is written, of those that are written.
async fn kinds(
    end: &File,
    simulator: &Simulator,
    doubt: &Doubt,
) -> Result<HashMap<u64, String>, LookError> {
    let written = simulator.steps().iter().filter_map(|step| match step {
        Step::Write { page, .. } => Some(*page),
        Step::Zero { first, .. } => Some(*first),
        _ => None,
    });
    let doubtful = doubt.survivors.sectors.iter().map(|it| it.page);
    let mut pages: Vec<u64> = written.chain(doubtful).collect();
    pages.sort_unstable();
    pages.dedup();
    end.source
        .ask(move |view| {
            let legend = Legend::new(view.look().page_kinds()?);
            let mut kinds = HashMap::new();
            for &page in &pages {
                // Past the end there is none.
                if let Some(&code) = view.look().kinds(page, 1)?.first() {
                    kinds.insert(page, legend.name(code).to_owned());
                }
            }
            Ok(kinds)
        })
        .await
}

/// What the simulator tells.
struct Found {
    doubt: Doubt,
    outcome: Outcome,
    problem: String,
    states: Arc<Vec<State>>,
    now: Arc<Tried>,
    moments: Vec<Arc<Tried>>,
    moment_count: usize,
}

impl Found {
    fn of(simulator: &Simulator, choice: &Choice) -> Result<Self, LookError> {
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
struct Making<'a> {
    base: &'a str,
    choice: &'a Choice,
    kinds: &'a HashMap<u64, String>,
    traced: &'a Traced,
}

impl Making<'_> {
    fn href(&self, choice: &Choice) -> String {
        format!("{}?{}", self.base, choice.query())
    }

    /// The same, at the part of the screen where sectors are switched.
    fn switch(&self, choice: &Choice) -> String {
        format!("{}#doubt", self.href(choice))
    }

    fn view(&self, image: &File, told: Told, found: &Found) -> CrashView {
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
