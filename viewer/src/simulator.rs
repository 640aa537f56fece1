//! [`Simulator`]: a trace that is replayed up to a moment at which the power
//! fails, what can be left then, and what recovery makes of it.

mod judge;

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use pagebox::{
    Engine,
    crash::{Choices, Disk, Length, Page, Survivors},
    trace::{self, Step, Trace},
};

use crate::{
    choice::{Choice, EXCEPTIONS_MAX, Exception, Keep},
    image::Image,
    look::{Look, LookError, Target},
    sandbox,
};

use judge::{Judged, Legal, judge, outcome_of};
pub(crate) use judge::{Outcome, State};

/// The most images of a moment that are tried; fewer of large files.
const IMAGES_MAX: u64 = 256;
const IMAGES_MIN: u64 = 8;

/// The most pages that all images of a moment together have.
const IMAGE_PAGES_MAX: u64 = 1 << 17;

/// The most moments of a trace that are tried.
pub(crate) const MOMENTS_MAX: usize = 12;

/// The most answers that are kept.
const KEPT_MAX: usize = 256;

/// A trace, and what was found out about it.
pub(crate) struct Simulator {
    engine: Engine,
    trace: Trace,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What is the state, and what may be, at moments of the trace.
    legal: HashMap<usize, Legal>,
    /// All states that the trace goes through, the first at its start.
    states: Option<Arc<Vec<State>>>,
    outcomes: HashMap<(usize, Option<usize>), Arc<Tried>>,
}

/// The images of a moment that were tried.
pub(crate) struct Tried {
    /// The step that was under way.
    pub(crate) at: usize,
    /// How many images there are; `u64::MAX` where they are more.
    pub(crate) possible: u64,
    /// How many were tried.
    pub(crate) count: u64,
    /// What they came to, in order.
    pub(crate) parts: Vec<Part>,
}

/// Images that came to the same.
pub(crate) struct Part {
    pub(crate) outcome: Outcome,
    pub(crate) count: u64,
    /// One of them; none where an address cannot name it.
    pub(crate) example: Option<Choice>,
    /// What is wrong with that; empty where nothing is.
    pub(crate) problem: String,
}

/// What is in doubt at a moment, and what is chosen of it.
pub(crate) struct Doubt {
    pub(crate) survivors: Survivors,
    /// What the versions are without exceptions.
    pub(crate) preset: Survivors,
    /// How long the file may be, in pages: as written, and as it was.
    pub(crate) lengths: Vec<u64>,
    /// How long it is.
    pub(crate) length: u64,
}

/// Whether a file begins as a trace does: [`crate::Builder::file`] then shows what a
/// crash can leave of it.
pub fn is_trace(path: &Path) -> bool {
    let mut start = [0; trace::MAGIC.len()];
    // What is no regular file may wait for somebody to write to it.
    let read =
        path.is_file() && File::open(path).is_ok_and(|mut it| it.read_exact(&mut start).is_ok());
    read && start == trace::MAGIC
}

impl Simulator {
    /// Reads a trace.
    ///
    /// # Errors
    /// As the file; [`io::ErrorKind::InvalidData`] where its bytes are no trace.
    pub(crate) fn load(engine: &Engine, path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let file = File::open(path)?;
        file.take(trace::BYTES_MAX + 1).read_to_end(&mut bytes)?;
        let trace = Trace::decode(&bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Self {
            engine: engine.clone(),
            trace,
            known: Mutex::default(),
        })
    }

    pub(crate) fn steps(&self) -> &[Step] {
        self.trace.steps()
    }

    /// What is shown first: the last barrier that makes anything durable, with all
    /// that is written there.
    pub(crate) fn first_choice(&self) -> Choice {
        let barriers = self.steps().iter().enumerate().rev();
        let mut barriers = barriers.filter(|(_, step)| step.is_barrier()).take(8);
        let at = barriers.find(|(at, _)| self.trace.disk_at(*at, None).image_count() > 1);
        Choice::all(at.map_or(self.steps().len(), |(at, _)| at))
    }

    /// That the trace has such steps.
    ///
    /// # Errors
    /// [`LookError::NoImage`].
    pub(crate) fn fits(&self, choice: &Choice) -> Result<(), LookError> {
        let count = self.steps().len();
        if choice.at > count {
            return Err(LookError::NoImage(format!(
                "there is no step {}: the trace has {count}, and {} is the moment after them",
                choice.at.saturating_add(1),
                count + 1
            )));
        }
        let left_out = choice.without.map(|step| (step, self.steps().get(step)));
        match left_out {
            Some((step, None)) => Err(LookError::NoImage(format!(
                "step {} cannot be left out: the trace has {count}",
                step.saturating_add(1)
            ))),
            Some((step, Some(kind))) if !kind.is_barrier() => Err(LookError::NoImage(format!(
                "step {} cannot be left out: it is neither a sync nor an order",
                step + 1
            ))),
            _ => Ok(()),
        }
    }

    /// What is in doubt, and what is chosen.
    ///
    /// # Errors
    /// [`LookError::NoImage`].
    pub(crate) fn doubt(&self, choice: &Choice) -> Result<Doubt, LookError> {
        self.fits(choice)?;
        let disk = self.trace.disk_at(choice.at, choice.without);
        let choices = newest(&disk);
        let (preset, survivors) = chosen(&choices, choice)?;
        let lengths = choices.lengths().iter();
        Ok(Doubt {
            lengths: lengths.map(|it| pages_of(&disk, *it)).collect(),
            length: pages_of(&disk, survivors.length),
            survivors,
            preset,
        })
    }

    /// The image that is chosen.
    ///
    /// # Errors
    /// [`LookError::NoImage`].
    pub(crate) fn image(&self, choice: &Choice) -> Result<Image, LookError> {
        self.fits(choice)?;
        let disk = self.trace.disk_at(choice.at, choice.without);
        let choices = newest(&disk);
        let (_, survivors) = chosen(&choices, choice)?;
        Ok(self.held(choices.image(&survivors)))
    }

    fn held(&self, pages: Vec<Page>) -> Image {
        Image::new(self.trace.page_size(), pages)
    }

    /// All states that the trace goes through, in order; the first is that at its
    /// start.
    ///
    /// # Errors
    /// As the sandbox.
    pub(crate) fn states(&self) -> Result<Arc<Vec<State>>, LookError> {
        self.states_of(&mut self.known())
    }

    /// What the image that is chosen comes to, and what is wrong with it.
    ///
    /// # Errors
    /// As [`image`](Self::image) and the sandbox.
    pub(crate) fn outcome(&self, choice: &Choice) -> Result<(Outcome, String), LookError> {
        let image = self.image(choice)?;
        let mut known = self.known();
        let states = self.states_of(&mut known)?;
        let legal = self.legal(&mut known, choice.at)?;
        let judged = self.judge(image)?;
        Ok((outcome_of(&judged, legal, &states), judged.problem))
    }

    /// The images of a moment, tried: all of them where they are few.
    ///
    /// # Errors
    /// As the sandbox.
    pub(crate) fn tried(&self, at: usize, without: Option<usize>) -> Result<Arc<Tried>, LookError> {
        let mut known = self.known();
        self.tried_of(&mut known, at, without)
    }

    /// The same of every moment at which something becomes durable, and of the end:
    /// what any power loss can leave is among that. At most [`MOMENTS_MAX`] of
    /// them, and how many there are.
    ///
    /// # Errors
    /// As the sandbox.
    pub(crate) fn all_tried(
        &self,
        without: Option<usize>,
    ) -> Result<(Vec<Arc<Tried>>, usize), LookError> {
        let mut known = self.known();
        let moments = self.moments();
        let tried = moments.iter().take(MOMENTS_MAX);
        let tried = tried.map(|at| self.tried_of(&mut known, *at, without));
        Ok((tried.collect::<Result<_, _>>()?, moments.len()))
    }

    /// The steps that make something durable, and the end.
    fn moments(&self) -> Vec<usize> {
        let steps = self.steps().iter().enumerate();
        let ends =
            steps.filter(|(_, step)| !matches!(step, Step::Write { .. } | Step::Zero { .. }));
        let mut moments: Vec<usize> = ends.map(|(at, _)| at).collect();
        moments.push(self.steps().len());
        moments
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // What is known is put in whole.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn legal(&self, known: &mut Known, at: usize) -> Result<Legal, LookError> {
        if let Some(legal) = known.legal.get(&at) {
            return Ok(*legal);
        }
        let disk = self.trace.disk_at(at, None);
        let legal = Legal {
            durable: self.judge(self.held(disk.durable()))?.state,
            written: self.judge(self.held(disk.pages().to_vec()))?.state,
        };
        if known.legal.len() >= KEPT_MAX {
            known.legal.clear();
        }
        known.legal.insert(at, legal);
        Ok(legal)
    }

    fn states_of(&self, known: &mut Known) -> Result<Arc<Vec<State>>, LookError> {
        if let Some(states) = &known.states {
            return Ok(Arc::clone(states));
        }
        let mut states: Vec<State> = Vec::new();
        for at in [0].into_iter().chain(self.moments()) {
            let legal = self.legal(known, at)?;
            for state in [legal.durable, legal.written] {
                if !states.contains(&state) {
                    states.push(state);
                }
            }
        }
        let states = Arc::new(states);
        known.states = Some(Arc::clone(&states));
        Ok(states)
    }

    fn tried_of(
        &self,
        known: &mut Known,
        at: usize,
        without: Option<usize>,
    ) -> Result<Arc<Tried>, LookError> {
        if let Some(tried) = known.outcomes.get(&(at, without)) {
            return Ok(Arc::clone(tried));
        }
        let states = self.states_of(known)?;
        let legal = self.legal(known, at)?;
        let disk = self.trace.disk_at(at, without);
        let pages = disk.geometry().page_count.max(1);
        let limit = (IMAGE_PAGES_MAX / pages).clamp(IMAGES_MIN, IMAGES_MAX);
        let shown = (newest(&disk).lengths().len() > 1).then_some(disk.geometry().page_count);
        let mut parts: Vec<Part> = Vec::new();
        let mut failed = None;
        // The same images whenever somebody asks.
        let mut below = drawing(0);
        let count = disk.images(limit, &mut below, |pages, survivors| {
            let judged = match self.judge(self.held(pages)) {
                Ok(judged) => judged,
                Err(error) => {
                    failed = Some(error);
                    return;
                }
            };
            let outcome = outcome_of(&judged, legal, &states);
            match parts.iter_mut().find(|part| part.outcome == outcome) {
                Some(part) => part.count += 1,
                None => parts.push(Part {
                    outcome,
                    count: 1,
                    example: choice_of(at, without, shown, survivors),
                    problem: judged.problem,
                }),
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        parts.sort_by_key(|part| part.outcome);
        let tried = Arc::new(Tried {
            at,
            possible: disk.image_count(),
            count,
            parts,
        });
        if known.outcomes.len() >= KEPT_MAX {
            known.outcomes.clear();
        }
        known.outcomes.insert((at, without), Arc::clone(&tried));
        Ok(tried)
    }

    /// What recovery makes of an image, and what the full check finds.
    fn judge(&self, image: Image) -> Result<Judged, LookError> {
        let mut look = sandbox::look_at(&self.engine, image, "the image")?;
        let judged = judge(&mut *look);
        match judged {
            // No image may have the sandbox stop: that is found, too.
            Err(LookError::Sandbox(problem)) => Ok(Judged {
                state: State {
                    generation: None,
                    hash: 0,
                },
                problem: format!("the sandbox stopped: {problem}"),
            }),
            judged => judged,
        }
    }
}

/// What is chosen by all that reached the medium up to the last barrier. A disk
/// for which an order is a sync has no other choices.
fn newest(disk: &Disk) -> Choices<'_> {
    let mut choices = disk.choices();
    choices.swap_remove(choices.len() - 1)
}

fn pages_of(disk: &Disk, length: Length) -> u64 {
    match length {
        Length::Shown => disk.geometry().page_count,
        Length::NotGrown(pages) | Length::NotCut(pages) => pages,
    }
}

/// What survives without exceptions, and with them.
fn chosen(choices: &Choices<'_>, choice: &Choice) -> Result<(Survivors, Survivors), LookError> {
    let preset = match choice.keep {
        Keep::All => choices.all(),
        Keep::None => choices.none(),
        Keep::Random(seed) => choices.sample(&mut drawing(seed)),
    };
    let mut survivors = preset.clone();
    for exception in &choice.but {
        let found = survivors
            .sectors
            .iter_mut()
            .find(|each| (each.page, each.sector) == (exception.page, exception.sector));
        let Some(found) = found else {
            return Err(LookError::NoImage(format!(
                "sector {} of page {} is not in doubt at step {}",
                exception.sector,
                exception.page,
                choice.at + 1
            )));
        };
        if exception.version > found.versions {
            return Err(LookError::NoImage(format!(
                "sector {} of page {} has no version {}: the last is {}",
                exception.sector, exception.page, exception.version, found.versions
            )));
        }
        found.version = exception.version;
    }
    if let Some(length) = choice.length {
        let shown = choices.all().length;
        let mut lengths = choices.lengths().iter();
        let found = lengths.find(|it| match it {
            Length::Shown => false,
            Length::NotGrown(pages) | Length::NotCut(pages) => *pages == length,
        });
        survivors.length = *found.unwrap_or(&shown);
        if found.is_none() && choices.image(&survivors).len() as u64 != length {
            return Err(LookError::NoImage(format!(
                "the file cannot have {length} pages at step {}",
                choice.at + 1
            )));
        }
    }
    Ok((preset, survivors))
}

/// The shortest choice by which an address names an image; none: it has too many
/// exceptions from all and from nothing. `shown` is the length that reads show, where
/// another is possible.
fn choice_of(
    at: usize,
    without: Option<usize>,
    shown: Option<u64>,
    survivors: &Survivors,
) -> Option<Choice> {
    let sectors = || survivors.sectors.iter();
    let but = |preset: fn(usize) -> usize| -> Vec<Exception> {
        let exceptions = sectors().filter(|it| it.version != preset(it.versions));
        let exceptions = exceptions.map(|it| Exception {
            page: it.page,
            sector: it.sector,
            version: it.version,
        });
        exceptions.collect()
    };
    let (from_all, from_none) = (but(|versions| versions), but(|_| 0));
    let (keep, but) = if from_none.len() < from_all.len() {
        (Keep::None, from_none)
    } else {
        (Keep::All, from_all)
    };
    let length = match survivors.length {
        // What survives nothing is the shortest of its lengths, or the longest.
        Length::Shown => shown.filter(|_| keep == Keep::None),
        Length::NotGrown(pages) | Length::NotCut(pages) => Some(pages),
    };
    (but.len() <= EXCEPTIONS_MAX).then_some(Choice {
        at,
        without,
        keep,
        length,
        but,
    })
}

/// Numbers below what is asked for, the same from the same seed for ever: seeds
/// are in addresses that people keep.
fn drawing(seed: u64) -> impl FnMut(u64) -> u64 {
    // SplitMix64.
    let mut state = seed;
    move |end| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).checked_rem(end).unwrap_or_default()
    }
}

/// The image of a choice, to be looked at like any file.
pub(crate) struct Chosen {
    pub(crate) simulator: Arc<Simulator>,
    pub(crate) choice: Choice,
}

impl Target for Chosen {
    fn open(&self) -> Result<Box<dyn Look>, LookError> {
        let image = self.simulator.image(&self.choice)?;
        sandbox::look_at(&self.simulator.engine, image, "the image")
    }

    fn identity(&self) -> Result<u64, LookError> {
        // Nobody writes to it.
        Ok(0)
    }
}

impl std::fmt::Debug for Simulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulator")
            .field("steps", &self.steps().len())
            .finish_non_exhaustive()
    }
}
