//! [`RecordingStore`]: a store that notes what it is asked to do.

use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pagebox_store::trace::{Problem, Recorder, Step};
use pagebox_store::{Algorithm, Change, Checksum, Geometry, PageBuffer, PageStore, StoreError};

use super::Store;

/// A store that does what another one does, and records every write, growth,
/// cut, order and sync as a *trace*, for `pagebox-viewer` to show what a power
/// loss at any moment can leave: [`trace`](crate::trace) has the format.
///
/// The trace begins with what the store holds, zeros left out, and is written
/// step by step: it takes no memory, and a process that is killed leaves all
/// steps that were done. A store or a trace may be too large to be recorded
/// ([`trace::PAGES_MAX`](crate::trace::PAGES_MAX) and the bounds beside it). Then,
/// and where the trace cannot be written or the store itself fails, the recording
/// ends, which [`Recording::end`] tells; the store goes on as if nothing were.
///
/// Pages are not lent to be changed in place, where nobody would see what is
/// written: [`page_mut`](crate::Pager::page_mut) of a pager fails with
/// [`Error::NotLendable`](crate::Error::NotLendable),
/// [`write`](crate::Pager::write) works.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use pagebox::{Access, Engine, MemoryStore, PageSize, RecordingStore, trace::Trace};
///
/// let engine = Engine::new()?;
/// let mut pager = engine.create_store(MemoryStore::new(PageSize::KIB_4), 0)?;
/// let id = pager.alloc_protected()?;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("commit.trace");
/// let file = std::fs::File::create(&path).unwrap();
/// let (store, recording) = RecordingStore::new(pager.close(), file)?;
///
/// let mut pager = engine.open_store(store, Access::Write)?;
/// let mut tx = pager.begin()?;
/// tx.write(id)?[0] = 1;
/// tx.commit()?;
/// let steps = recording.end()?;
/// let trace = Trace::decode(&std::fs::read(&path).unwrap()).unwrap();
/// assert_eq!(trace.steps().len() as u64, steps);
/// # Ok(()) }
/// ```
pub struct RecordingStore {
    store: Box<dyn Store>,
    recording: Recording,
}

/// What a [`RecordingStore`] has recorded.
#[derive(Clone)]
pub struct Recording(Arc<Mutex<Tape>>);

struct Tape {
    recorder: Recorder,
    file: Box<dyn Write + Send>,
    /// Why it goes no further.
    ended: Option<StoreError>,
}

impl RecordingStore {
    /// Records what `store` is asked to do from now on to `trace`, which is
    /// written to at once: to a file, its bytes as they are.
    ///
    /// # Errors
    /// [`StoreError::Other`] for a store that is too large;
    /// [`StoreError::Io`] where it cannot be read, or the trace not be written.
    pub fn new(
        store: Box<dyn Store>,
        trace: impl Write + Send + 'static,
    ) -> Result<(Self, Recording), StoreError> {
        let geometry = store.geometry();
        let (recorder, start) =
            Recorder::begin(geometry.page_size, geometry.page_count).map_err(not_recorded)?;
        let mut tape = Tape {
            recorder,
            file: Box::new(trace),
            ended: None,
        };
        tape.write(&start)?;
        let mut bytes = PageBuffer::zeroed(geometry.page_size);
        for page in 0..geometry.page_count {
            store.read(page, 0, &mut bytes)?;
            if bytes.iter().any(|byte| *byte != 0) {
                let record = tape.recorder.base_page(page, &bytes);
                tape.write(&record.map_err(not_recorded)?)?;
            }
        }
        let recording = Recording(Arc::new(Mutex::new(tape)));
        let store = Self {
            store,
            recording: recording.clone(),
        };
        Ok((store, recording))
    }
}

impl Recording {
    /// Ends the recording. Returns how many steps the trace has.
    ///
    /// # Errors
    /// Why it ended before: [`StoreError::Other`] where the trace is as large as
    /// one may be, [`StoreError::Io`] where it could not be written, and what the
    /// store failed with. What was recorded until then is a trace, unless its writer
    /// took a part of what it failed to take whole.
    pub fn end(&self) -> Result<u64, StoreError> {
        let mut tape = self.tape();
        let ended = tape.ended.replace(StoreError::Other(Some(
            "the recording has ended already".to_owned(),
        )));
        if let Some(why) = ended {
            return Err(why);
        }
        tape.file.flush().map_err(not_written)?;
        Ok(tape.recorder.steps())
    }

    fn tape(&self) -> MutexGuard<'_, Tape> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes steps that the store has done; or that it failed, so that what it
    /// holds is not known any more.
    fn note<R>(&self, steps: impl IntoIterator<Item = Step>, done: &Result<R, StoreError>) {
        let mut tape = self.tape();
        if tape.ended.is_some() {
            return;
        }
        let noted = match done {
            Ok(_) => tape.note(steps),
            // What a store may fail with after it has changed.
            Err(error @ (StoreError::Io(_) | StoreError::Other(_))) => Err(error.clone()),
            Err(_) => Ok(()),
        };
        tape.ended = noted.err();
    }
}

impl Tape {
    fn note(&mut self, steps: impl IntoIterator<Item = Step>) -> Result<(), StoreError> {
        let mut records = Vec::new();
        let mut too_large = None;
        for step in steps {
            match self.recorder.step(&step) {
                Ok(record) => records.extend(record),
                Err(problem) => {
                    too_large = Some(not_recorded(problem));
                    break;
                }
            }
        }
        // In one call: who is killed leaves whole records.
        self.write(&records)?;
        too_large.map_or(Ok(()), Err)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.file.write_all(bytes).map_err(not_written)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "of `map_err`")]
fn not_recorded(problem: Problem) -> StoreError {
    StoreError::Other(Some(format!("not recorded: {problem}")))
}

#[expect(clippy::needless_pass_by_value, reason = "of `map_err`")]
fn not_written(error: std::io::Error) -> StoreError {
    StoreError::io(format!("the trace cannot be written: {error}"))
}

impl PageStore for RecordingStore {
    type Buffer = PageBuffer;

    fn geometry(&self) -> Geometry {
        self.store.geometry()
    }

    fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        self.store.read(page, offset, bytes)
    }

    fn checksum(&self, page: u64, algorithm: Algorithm) -> Result<Checksum, StoreError> {
        self.store.checksum(page, algorithm)
    }

    fn stage(&self, source: Option<u64>) -> Result<PageBuffer, StoreError> {
        self.store.stage(source)
    }

    fn write(&mut self, changes: &[Change<'_, PageBuffer>]) -> Result<(), StoreError> {
        let done = self.store.write(changes);
        self.recording.note(changes.iter().map(Step::of), &done);
        done
    }

    fn grow(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let before = self.store.geometry().page_count;
        let done = self.store.grow(page_count);
        let page_count = self.store.geometry().page_count;
        let grown = (page_count > before).then_some(Step::Grow { page_count });
        self.recording.note(grown, &done);
        done
    }

    fn truncate(&mut self, page_count: u64) -> Result<Geometry, StoreError> {
        let before = self.store.geometry().page_count;
        let done = self.store.truncate(page_count);
        let page_count = self.store.geometry().page_count;
        let cut = (page_count < before).then_some(Step::Truncate { page_count });
        self.recording.note(cut, &done);
        done
    }
}

impl Store for RecordingStore {
    fn page(&self, page: u64) -> Option<&[u8]> {
        self.store.page(page)
    }

    fn reader(&self) -> Option<Box<dyn Store>> {
        self.store.reader()
    }

    fn viewer(&self) -> Option<Box<dyn Store>> {
        self.store.viewer()
    }

    fn viewers(&self) -> usize {
        self.store.viewers()
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        self.store.reopen()
    }
}

impl std::fmt::Debug for RecordingStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordingStore")
            .field("geometry", &self.geometry())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording")
            .field("steps", &self.tape().recorder.steps())
            .finish_non_exhaustive()
    }
}
