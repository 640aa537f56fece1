//! A file as it changes: polled while somebody watches, one state at a time.
//!
//! The kernel's notifications never fire for writes through a memory map, so
//! the pages that every commit changes are read again and again. What is seen
//! is what the page cache holds: no proof that it is durable.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::{
    head::tone_of,
    history::{History, Sample},
    moment::{Moment, Seen},
    source::Source,
};

/// From one reading to the next.
const INTERVAL: Duration = Duration::from_millis(150);

/// How long watching goes on when nobody does, so that a screen that is loaded
/// again finds its history.
const LINGER: Duration = Duration::from_secs(5);

/// The states that are remembered.
const HISTORY: usize = 240;

/// What is known of a file that is watched.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// The state that was seen last.
    pub(crate) last: Option<Arc<Moment>>,
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
                if known.is_of(view) {
                    return Ok(None);
                }
                known.next(view, at).map(Some)
            })
            .await;
        match answer {
            Ok(Some((moment, now))) => {
                seen = now;
                remember(&shared, &moment);
                sender.send_replace(Watched {
                    last: Some(Arc::new(moment)),
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

fn remember(shared: &Mutex<Shared>, moment: &Moment) {
    let mut shared = lock(shared);
    if shared.history.len() == HISTORY {
        shared.history.pop_front();
    }
    shared.history.push_back(Sample {
        at: moment.at,
        generation: moment.state.generation,
        tone: tone_of(&moment.state.verdict),
        changed: moment.changed.clone(),
    });
}
