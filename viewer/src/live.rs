//! A file as it changes: polled while somebody watches, one state at a time.
//!
//! The kernel's notifications never fire for writes through a memory map, so
//! the pages that every commit changes are read again and again. What is seen
//! is what the page cache holds: no proof that it is durable.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::{
    head::{Head, tone_of},
    inspect::{Extent, Side},
    schema,
    source::{LookError, Source, View},
};

/// From one reading to the next.
const INTERVAL: Duration = Duration::from_millis(150);

/// How long watching goes on when nobody does, so that a screen that is loaded
/// again finds its history.
const LINGER: Duration = Duration::from_secs(5);

/// The states that are remembered.
const HISTORY: usize = 240;

/// The most pages and slots that are compared one by one. Of larger files
/// only what the last commit did is shown.
const COMPARED_PAGES_MAX: u64 = 1 << 20;
const COMPARED_SLOTS_MAX: u32 = 4096;

/// The most runs of changed pages in an event.
const CHANGED_MAX: usize = 500;

/// One state of a file that is watched.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Snapshot {
    /// Counts the states seen since watching began.
    pub(crate) sequence: u64,
    /// Milliseconds since watching began.
    pub(crate) at: u64,
    pub(crate) state: Head,
    /// The pages that the file accounts for; none where that is not known, as
    /// for the counts that follow.
    pub(crate) page_count: Option<u64>,
    /// Free pages.
    pub(crate) free_pages: Option<u64>,
    /// Allocated regular pages.
    pub(crate) regular_pages: Option<u64>,
    /// Protected pages; each takes two.
    pub(crate) protected_pages: Option<u64>,
    /// Pages that are not as they were in the state before: of another kind,
    /// or the other copy of a protected page. At most 500 runs.
    #[schema(value_type = Vec<schema::Extent>)]
    pub(crate) changed: Vec<Extent>,
    /// Whether no other page is of another kind than in the state before.
    pub(crate) changes_complete: bool,
}

/// A state that is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Milliseconds since watching began.
    pub(crate) at: u64,
    pub(crate) generation: Option<u64>,
    /// How good the state was.
    pub(crate) tone: &'static str,
    /// What changed with it: see [`Snapshot::changed`].
    pub(crate) changed: Vec<Extent>,
}

/// The states that are remembered, and the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Oldest first.
    pub(crate) samples: Vec<Sample>,
    /// Milliseconds since watching began.
    pub(crate) now: u64,
}

/// How far back a rate looks, in milliseconds.
const RECENT: u64 = 10_000;

impl History {
    /// The commits of the last ten seconds, and how many milliseconds of those
    /// there were; none before there is any time to speak of.
    pub(crate) fn recent(&self) -> Option<(u64, u64)> {
        let since = self.now.saturating_sub(RECENT);
        let known = |sample: &Sample| Some((sample.at, sample.generation?));
        let last = self.samples.iter().rev().find_map(known)?;
        // The state of the time looked back to, or else the first.
        let before = self
            .samples
            .iter()
            .rev()
            .filter(|sample| sample.at <= since);
        let first = before
            .clone()
            .find_map(known)
            .or(self.samples.iter().find_map(known))?;
        let span = self.now.saturating_sub(first.0.max(since));
        (span >= 500).then(|| (last.1.saturating_sub(first.1), span))
    }
}

/// What is known of a file that is watched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// The state that was seen last.
    pub(crate) last: Option<Arc<Snapshot>>,
    /// Why there is no newer one.
    pub(crate) problem: Option<String>,
}

/// What was seen of a file, and the watching of it.
pub(crate) struct Live {
    source: Source,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    began: Option<Instant>,
    history: VecDeque<Sample>,
    watching: Option<watch::Receiver<Watched>>,
}

impl Live {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            shared: Arc::default(),
        }
    }

    /// The states that were seen.
    pub(crate) fn history(&self) -> History {
        let shared = lock(&self.shared);
        History {
            samples: shared.history.iter().cloned().collect(),
            now: shared.began.map_or(0, milliseconds_since),
        }
    }

    /// Watches the file for as long as somebody holds what this returns.
    pub(crate) fn watch(&self) -> watch::Receiver<Watched> {
        let mut shared = lock(&self.shared);
        if let Some(watched) = &shared.watching
            && watched.has_changed().is_ok()
        {
            return watched.clone();
        }
        let (sender, watched) = watch::channel(Watched::default());
        shared.history.clear();
        shared.began = Some(Instant::now());
        shared.watching = Some(watched.clone());
        tokio::spawn(poll(self.source.clone(), sender, Arc::clone(&self.shared)));
        watched
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Live")
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    // What is in there is whole at all times.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn milliseconds_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX)
}

async fn poll(source: Source, sender: watch::Sender<Watched>, shared: Arc<Mutex<Shared>>) {
    let began = lock(&shared).began.unwrap_or_else(Instant::now);
    let mut seen = Seen::default();
    let mut watched_at = Instant::now();
    while watched_at.elapsed() < LINGER {
        // One receiver is kept in `shared`, so that others can join.
        if sender.receiver_count() > 1 {
            watched_at = Instant::now();
        }
        let known = seen.clone();
        let at = milliseconds_since(began);
        let answer = source
            .ask(move |view| {
                if known.stamp == Some(view.stamp()) {
                    return Ok(None);
                }
                known.next(view, at).map(Some)
            })
            .await;
        match answer {
            Ok(Some((snapshot, now))) => {
                seen = now;
                remember(&shared, &snapshot);
                sender.send_replace(Watched {
                    last: Some(Arc::new(snapshot)),
                    problem: None,
                });
            }
            Ok(None) => {
                sender.send_if_modified(|watched| watched.problem.take().is_some());
            }
            Err(error) => {
                let problem = Some(crate::text::visible(&error.to_string()));
                sender.send_if_modified(|watched| {
                    let differs = watched.problem != problem;
                    watched.problem = problem;
                    differs
                });
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

fn remember(shared: &Mutex<Shared>, snapshot: &Snapshot) {
    let mut shared = lock(shared);
    if shared.history.len() == HISTORY {
        shared.history.pop_front();
    }
    shared.history.push_back(Sample {
        at: snapshot.at,
        generation: snapshot.state.generation,
        tone: tone_of(&snapshot.state.verdict),
        changed: snapshot.changed.clone(),
    });
}

/// What the next state is compared with.
#[derive(Clone, Default)]
struct Seen {
    stamp: Option<u64>,
    sequence: u64,
    kinds: Arc<Vec<u8>>,
    slots: Arc<HashMap<u64, (u64, u64)>>,
}

impl Seen {
    /// The state that a look shows, and what to compare the one after with.
    fn next(&self, view: &mut View, at: u64) -> Result<(Snapshot, Self), LookError> {
        let state = Head::of(view)?;
        let look = view.look();
        let summary = look.summary()?;
        let mut kinds = Vec::new();
        let mut slots = HashMap::new();
        if state.pages <= COMPARED_PAGES_MAX {
            kinds = look.kinds(0, u32::try_from(state.pages).unwrap_or(u32::MAX))?;
            for slot in look.directory(0, COMPARED_SLOTS_MAX, false)? {
                let active = match slot.active {
                    Side::A => slot.page_a,
                    Side::B => slot.page_b,
                };
                slots.insert(slot.id, (active, slot.generation));
            }
        }
        let all = self.stamp.is_some() && !kinds.is_empty();
        let changed = match (self.stamp, kinds.is_empty()) {
            // There is nothing to compare the first state with.
            (None, _) => Vec::new(),
            (Some(_), false) => self.changed(&kinds, &slots),
            (Some(_), true) => [summary.last_allocated, summary.last_freed].concat(),
        };
        let sequence = self.sequence + 1;
        let snapshot = Snapshot {
            sequence,
            at,
            page_count: state.facts.page_count,
            free_pages: state.facts.free_pages,
            regular_pages: state.facts.regular_pages,
            protected_pages: state.facts.protected_pages,
            changes_complete: all && changed.len() < CHANGED_MAX,
            changed,
            state,
        };
        let now = Self {
            stamp: Some(view.stamp()),
            sequence,
            kinds: Arc::new(kinds),
            slots: Arc::new(slots),
        };
        Ok((snapshot, now))
    }

    fn changed(&self, kinds: &[u8], slots: &HashMap<u64, (u64, u64)>) -> Vec<Extent> {
        let mut pages: Vec<u64> = (0..)
            .zip(kinds)
            .zip(self.kinds.iter().map(Some).chain(std::iter::repeat(None)))
            .filter(|((_, now), before)| Some(*now) != *before)
            .map(|((page, _), _)| page)
            .collect();
        pages.extend(
            slots
                .iter()
                .filter(|(id, now)| self.slots.get(id) != Some(now))
                .map(|(_, (page, _))| *page),
        );
        pages.sort_unstable();
        pages.dedup();
        let mut runs: Vec<Extent> = Vec::new();
        for page in pages {
            match runs.last_mut() {
                Some(run) if run.first + run.count == page => run.count += 1,
                _ => runs.push(Extent {
                    first: page,
                    count: 1,
                }),
            }
        }
        runs.truncate(CHANGED_MAX);
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(samples: &[(u64, u64)], now: u64) -> History {
        let samples = samples.iter().map(|(at, generation)| Sample {
            at: *at,
            generation: Some(*generation),
            tone: "good",
            changed: Vec::new(),
        });
        History {
            samples: samples.collect(),
            now,
        }
    }

    /// The rate was that of the time in which there were commits, for ever.
    #[test]
    fn rate_falls_to_nought_when_the_writer_stops() {
        let samples = [(0, 10), (1000, 14), (2000, 18)];
        assert_eq!(history(&samples, 2000).recent(), Some((8, 2000)));
        assert_eq!(history(&samples, 8000).recent(), Some((8, 8000)));
        assert_eq!(history(&samples, 11_500).recent(), Some((4, 10_000)));
        assert_eq!(history(&samples, 60_000).recent(), Some((0, 10_000)));
        assert_eq!(history(&samples[..1], 100).recent(), None);
        assert_eq!(History::default().recent(), None);
    }
}
