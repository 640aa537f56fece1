//! A file to look at: one thread owns the sandbox that reads it, everybody
//! else sends that thread questions and gets owned answers.
//!
//! 1. A look is of the file *as it was when it was opened*. Before a question
//!    the pages that every commit changes are read raw; if they are not what
//!    they were, the file is opened anew.
//! 2. After the answer they are read again. If they changed, the answer may
//!    mix two states: it is thrown away and the question asked again. A
//!    commit writes nothing that the state before it reaches, so an answer
//!    between two equal readings is of one state.
//! 3. A sandbox that failed is dropped. The next question gets a new one.
//! 4. A snapshot is shown by a look of its own. No commit changes what it names,
//!    so an answer counts if there is such a snapshot still. For the next question
//!    the look is kept if the file is in the state in which it was found there:
//!    another state may have other snapshots.
//! 5. While nobody asks, the thread goes on with the full check of the file,
//!    a bounded step at a time, and with asking the decoder about pages for the map.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use pagebox::{DecodingRun, decode::Decode};
use tokio::sync::oneshot;

use crate::{
    births::Births,
    decoded_map::{DecodedMap, Shared},
    decoding::{Pages, finding},
    inspect::Finding,
    look::{Look, LookError, Target},
    past::{AsOf, Snapshot},
};

/// How many questions may wait for a file's thread.
const QUESTIONS_MAX: usize = 64;

/// How often a question is asked again when the file changes under it.
const ATTEMPTS: u32 = 12;

/// How long a question is asked again at most: people wait for the answer, and
/// on a busy machine each attempt may take long.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a file must have been quiet before its check goes on.
const QUIET: Duration = Duration::from_millis(300);

/// How far the full check of a file has come.
#[derive(Clone, Debug, Default)]
pub struct Check {
    /// What was found so far.
    pub findings: Vec<Finding>,
    /// Whether that is all.
    pub complete: bool,
    /// Steps of equal work done, and how many there are.
    pub done: u64,
    /// See `done`.
    pub total: u64,
    cursor: u64,
}

/// An open look, and what is kept beside it.
pub struct View {
    look: Box<dyn Look>,
    stamp: Stamp,
    /// The check of this look.
    pub check: Check,
    /// The snapshot that it shows, and by which name it was asked for.
    past: Option<(String, AsOf)>,
    births: Option<Births>,
    decoder: Option<Arc<dyn Decode>>,
    decoding: Option<DecodingRun>,
    /// Once somebody wanted to see it.
    decoded_map: Option<DecodedMap>,
    memory: Shared,
}

impl View {
    /// The look itself.
    pub fn look(&mut self) -> &mut dyn Look {
        &mut *self.look
    }

    /// What knows the pages of the program whose file it is.
    pub(crate) fn decoder(&self) -> Option<Arc<dyn Decode>> {
        self.decoder.clone()
    }

    /// The snapshot that it shows; none: the committed state.
    pub fn as_of(&self) -> Option<&AsOf> {
        self.past.as_ref().map(|(_, as_of)| as_of)
    }

    /// The snapshots of the file, oldest first.
    ///
    /// # Errors
    /// As the look.
    pub fn snapshots(&mut self) -> Result<Arc<Vec<Snapshot>>, LookError> {
        match &self.past {
            // What shows one of them does not know the others.
            Some((_, as_of)) => Ok(Arc::clone(&as_of.all)),
            None => self.look.snapshots().map(Arc::new),
        }
    }

    /// The same, or none and why they cannot be read.
    pub(crate) fn snapshots_or_why(&mut self) -> Result<(Arc<Vec<Snapshot>>, String), LookError> {
        match self.snapshots() {
            Ok(all) => Ok((all, String::new())),
            Err(LookError::File { message, .. }) => Ok((Arc::default(), message)),
            Err(error) => Err(error),
        }
    }

    /// When pages were written, before a generation or in it: that of the state.
    pub(crate) fn births(&mut self, generation: u64) -> Result<&Births, LookError> {
        let births = match self.births.take() {
            Some(known) => known,
            None => Births::of(&mut *self.look, generation)?,
        };
        Ok(self.births.insert(births))
    }

    /// What the pages that every commit changes held, as a number: equal
    /// stamps are equal states.
    pub fn stamp(&self) -> u64 {
        self.stamp.hash
    }

    /// What the decoder told so far, once it was asked.
    pub(crate) fn decoding(&self) -> Option<&DecodingRun> {
        self.decoding.as_ref()
    }

    /// The kinds of all pages by the decoder, as far as it was asked: for `budget`
    /// now, and on while nobody asks for anything. None: there is no decoder.
    pub(crate) fn decoded_map(
        &mut self,
        budget: Duration,
    ) -> Result<Option<(&DecodedMap, &dyn Decode)>, LookError> {
        let Some(decoder) = self.decoder.as_deref() else {
            return Ok(None);
        };
        let start = Instant::now();
        let mut map = match self.decoded_map.take() {
            Some(map) => map,
            None => DecodedMap::of(&mut *self.look, &self.memory)?,
        };
        while start.elapsed() < budget && map.step(&mut *self.look, decoder)? {}
        Ok(Some((self.decoded_map.insert(map), decoder)))
    }

    /// Whether there is something left to find out.
    fn has_more(&self) -> bool {
        let map = self.decoded_map.as_ref();
        !self.check.complete || map.is_some_and(|map| !map.progress().complete)
    }

    /// Finds out a little more: first what somebody looks at.
    fn go_on(&mut self) -> Result<(), LookError> {
        if let (Some(map), Some(decoder)) = (&mut self.decoded_map, &self.decoder)
            && !map.progress().complete
        {
            map.step(&mut *self.look, &**decoder)?;
            return Ok(());
        }
        self.step().map(drop)
    }

    /// Does one step of the check: of the pager's own, and then, page by page, of the
    /// decoder's, which may take long at each. Returns whether there are more.
    fn step(&mut self) -> Result<bool, LookError> {
        if let (Some(run), Some(decoder)) = (&mut self.decoding, &self.decoder) {
            let found = run.step(&mut Pages(&mut *self.look), &**decoder, 1)?;
            self.check.findings.extend(found.into_iter().map(finding));
            self.check.complete = run.is_complete();
            return Ok(!self.check.complete);
        }
        let part = self.look.findings(self.check.cursor)?;
        self.check.findings.extend(part.findings);
        self.check.done = part.done;
        self.check.total = part.total;
        if let Some(next) = part.next {
            self.check.cursor = next;
        } else {
            self.decoding = self.decoder.as_deref().map(DecodingRun::new);
            self.check.complete = self.decoding.is_none();
        }
        Ok(!self.check.complete)
    }

    /// Goes on with the check until it is complete or `budget` is used up.
    ///
    /// # Errors
    /// As the look.
    pub fn check_for(&mut self, budget: Duration) -> Result<(), LookError> {
        let start = Instant::now();
        while !self.check.complete && start.elapsed() < budget {
            self.step()?;
        }
        Ok(())
    }
}

/// The pages that every commit changes, and what they held.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    pages: Vec<u64>,
    page_size: u32,
    hash: u64,
}

impl Stamp {
    /// Asks which pages they are, and reads them.
    fn of(target: &dyn Target, look: &mut dyn Look) -> Result<Self, LookError> {
        let described = look.structures(0, 0)?.into_iter().map(|found| found.page);
        let mut pages: Vec<u64> = described.chain([0]).collect();
        pages.sort_unstable();
        pages.dedup();
        let unread = Self {
            pages,
            page_size: look.summary()?.page_size,
            hash: 0,
        };
        unread.renewed(target, look)
    }

    /// Reads the pages again.
    fn renewed(&self, target: &dyn Target, look: &mut dyn Look) -> Result<Self, LookError> {
        let mut hasher = DefaultHasher::new();
        target.identity()?.hash(&mut hasher);
        for page in &self.pages {
            look.bytes(*page, 0, self.page_size)?.hash(&mut hasher);
        }
        Ok(Self {
            hash: hasher.finish(),
            ..self.clone()
        })
    }
}

/// Finds a snapshot and shows it.
fn shown(look: &mut dyn Look, name: &str) -> Result<AsOf, LookError> {
    let all = Arc::new(look.snapshots()?);
    let as_of = AsOf::find(&all, name);
    let as_of = as_of.ok_or_else(|| LookError::NoSnapshot(name.to_owned()))?;
    look.show_snapshot(&as_of.snapshot.name)?;
    Ok(as_of)
}

type Question = Box<dyn FnOnce(&mut Worker) + Send>;

/// A handle to a file's thread. Dropping the last one ends the thread.
#[derive(Clone, Debug)]
pub struct Source {
    questions: SyncSender<Question>,
    has_decoder: bool,
}

impl Source {
    /// Starts the thread. The target is opened when it is first asked for.
    ///
    /// # Errors
    /// Where the system has no thread to give.
    pub fn start(target: impl Target) -> std::io::Result<Self> {
        Self::start_with(target, None)
    }

    /// The same with what knows the pages of the program whose file it is.
    pub(crate) fn start_with(
        target: impl Target,
        decoder: Option<Arc<dyn Decode>>,
    ) -> std::io::Result<Self> {
        let (questions, waiting) = sync_channel(QUESTIONS_MAX);
        let has_decoder = decoder.is_some();
        thread::Builder::new()
            .name("pagebox-look".to_owned())
            .spawn(move || Worker::new(Box::new(target), decoder).run(&waiting))?;
        Ok(Self {
            questions,
            has_decoder,
        })
    }

    /// Whether there is something that knows the pages of the program whose file it
    /// is.
    pub(crate) fn has_decoder(&self) -> bool {
        self.has_decoder
    }

    /// Asks one question, of one state of the file: `ask` may be called
    /// several times, and its last answer counts.
    ///
    /// # Errors
    /// As [`Look`], [`LookError::Changing`] where the file never held still,
    /// [`LookError::Busy`] and [`LookError::Gone`].
    pub async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnMut(&mut View) -> Result<T, LookError> + Send + 'static,
    ) -> Result<T, LookError> {
        self.ask_as_of(None, ask).await
    }

    /// Asks one question of a snapshot; without a name, of the committed state.
    ///
    /// # Errors
    /// As [`Source::ask`]; [`LookError::NoSnapshot`].
    pub async fn ask_as_of<T: Send + 'static>(
        &self,
        snapshot: Option<String>,
        mut ask: impl FnMut(&mut View) -> Result<T, LookError> + Send + 'static,
    ) -> Result<T, LookError> {
        let (answer, answered) = oneshot::channel();
        let question: Question = Box::new(move |worker| {
            // Whoever asked may have gone away.
            let _ = answer.send(worker.consistent(snapshot.as_deref(), &mut ask));
        });
        match self.questions.try_send(question) {
            Ok(()) => answered.await.map_err(|_| LookError::Gone)?,
            Err(TrySendError::Full(_)) => Err(LookError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(LookError::Gone),
        }
    }
}

struct Worker {
    target: Box<dyn Target>,
    view: Option<View>,
    /// The snapshot that was shown last.
    past: Option<View>,
    changed: Instant,
    decoder: Option<Arc<dyn Decode>>,
    memory: Shared,
}

impl Worker {
    fn new(target: Box<dyn Target>, decoder: Option<Arc<dyn Decode>>) -> Self {
        Self {
            decoder,
            target,
            view: None,
            past: None,
            changed: Instant::now(),
            memory: Shared::default(),
        }
    }

    fn run(mut self, waiting: &Receiver<Question>) {
        loop {
            let question = if self.has_check_to_do() {
                match waiting.recv_timeout(self.time_to_quiet()) {
                    Ok(question) => Some(question),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            } else {
                match waiting.recv() {
                    Ok(question) => Some(question),
                    Err(_) => return,
                }
            };
            // A panic ends the question and the sandbox, not the thread.
            let done = catch_unwind(AssertUnwindSafe(|| match question {
                Some(question) => question(&mut self),
                None => self.check_on(),
            }));
            if done.is_err() {
                self.view = None;
                self.past = None;
            }
        }
    }

    fn has_check_to_do(&self) -> bool {
        let mut views = [&self.view, &self.past].into_iter().flatten();
        views.any(View::has_more)
    }

    fn time_to_quiet(&self) -> Duration {
        QUIET.saturating_sub(self.changed.elapsed())
    }

    fn check_on(&mut self) {
        for view in [&mut self.view, &mut self.past] {
            if let Some(open) = view
                && open.has_more()
            {
                if open.go_on().is_err() {
                    *view = None;
                }
                return;
            }
        }
    }

    /// Attempts to answer until the file holds still meanwhile.
    fn consistent<T>(
        &mut self,
        snapshot: Option<&str>,
        ask: &mut dyn FnMut(&mut View) -> Result<T, LookError>,
    ) -> Result<T, LookError> {
        let began = Instant::now();
        for attempt in 0..ATTEMPTS {
            let answer = match snapshot {
                None => self.attempt(began, ask)?,
                Some(name) => self.attempt_as_of(name, ask)?,
            };
            if let Some(answer) = answer {
                return Ok(answer);
            }
            self.changed = Instant::now();
            if began.elapsed() > PATIENCE {
                break;
            }
            // Writers that commit in bursts get the time to finish one.
            thread::sleep(Duration::from_millis(u64::from(attempt)));
        }
        Err(LookError::Changing)
    }

    /// Rules 1 to 3. None: the file changed. On every error the view is dropped
    /// with its sandbox.
    fn attempt<T>(
        &mut self,
        began: Instant,
        ask: &mut dyn FnMut(&mut View) -> Result<T, LookError>,
    ) -> Result<Option<T>, LookError> {
        let mut view = self.current(began)?;
        let answer = ask(&mut view)?;
        let stamp = view.stamp.renewed(&*self.target, &mut *view.look)?;
        if stamp != view.stamp {
            return Ok(None);
        }
        self.view = Some(view);
        Ok(Some(answer))
    }

    /// Rule 4. None: the file changed, and it matters.
    fn attempt_as_of<T>(
        &mut self,
        name: &str,
        ask: &mut dyn FnMut(&mut View) -> Result<T, LookError>,
    ) -> Result<Option<T>, LookError> {
        let Some(mut view) = self.past(name)? else {
            return Ok(None);
        };
        let answer = ask(&mut view)?;
        if !view.look.is_current()? {
            return Ok(None);
        }
        self.past = Some(view);
        Ok(Some(answer))
    }

    /// The view of a snapshot. None: the file changed meanwhile.
    fn past(&mut self, name: &str) -> Result<Option<View>, LookError> {
        if let Some(mut known) = self.past.take()
            && known.past.as_ref().is_some_and(|(asked, _)| asked == name)
        {
            let stamp = known.stamp.renewed(&*self.target, &mut *known.look)?;
            if stamp == known.stamp {
                return Ok(Some(known));
            }
        }
        let mut look = self.target.open()?;
        let stamp = Stamp::of(&*self.target, &mut *look)?;
        // Else the stamp may be of a later state, which has other snapshots.
        if !look.is_current()? {
            return Ok(None);
        }
        match shown(&mut *look, name) {
            Ok(as_of) => Ok(Some(View {
                look,
                stamp,
                check: Check::default(),
                past: Some((name.to_owned(), as_of)),
                births: None,
                decoder: self.decoder.clone(),
                decoding: None,
                decoded_map: None,
                memory: Arc::clone(&self.memory),
            })),
            // What was overwritten meanwhile tells nothing.
            Err(_) if !look.is_current()? => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The view of the file as it is now: opened between two equal readings
    /// of the pages that it rests on.
    fn current(&mut self, began: Instant) -> Result<View, LookError> {
        let mut stamp = match self.view.take() {
            Some(mut view) => {
                let stamp = view.stamp.renewed(&*self.target, &mut *view.look)?;
                if stamp == view.stamp {
                    return Ok(view);
                }
                self.changed = Instant::now();
                stamp
            }
            None => Stamp::of(&*self.target, &mut *self.target.open()?)?,
        };
        for attempt in 0..ATTEMPTS {
            let mut look = self.target.open()?;
            let after = Stamp::of(&*self.target, &mut *look)?;
            if after == stamp {
                return Ok(View {
                    look,
                    stamp,
                    check: Check::default(),
                    past: None,
                    births: None,
                    decoder: self.decoder.clone(),
                    decoding: None,
                    decoded_map: None,
                    memory: Arc::clone(&self.memory),
                });
            }
            stamp = after;
            if began.elapsed() > PATIENCE {
                break;
            }
            thread::sleep(Duration::from_millis(u64::from(attempt)));
        }
        Err(LookError::Changing)
    }
}
