//! Files to look at: one that changes all the time, and one for each way in
//! which a page file is found damaged; and traces of a commit, to be broken by hand.
//!
//! The damage is done to bytes of good files, at places that the inspector
//! tells of: of the formats nothing here knows more than the names of their
//! structures.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use pagebox::{
    Access, Engine, Error, Format, MemoryStore, NewFile, PageId, PageSize, Pager, ProtectedId,
    RecordingStore,
};
use tempfile::TempDir;

use crate::say;

/// From one commit of the changing file to the next.
const INTERVAL: Duration = Duration::from_millis(700);

/// What a disk writes at once, in bytes: a write that is cut off ends at a
/// multiple of it.
const SECTOR: usize = 512;

const PAGE_SIZE: PageSize = PageSize::KIB_4;

/// Where the header of format 1 has bytes of which each bit may be any: those
/// that were drawn at random.
const UUID: usize = 20;

/// Where the second entry of one of its nodes says when it was written.
const BIRTH: usize = 40;

/// The files, and the work on one of them. Both end when it is dropped.
pub(crate) struct Demo {
    folder: TempDir,
    files: Vec<(PathBuf, &'static str)>,
    stop: Option<Sender<()>>,
    work: Option<JoinHandle<()>>,
}

impl Demo {
    /// Makes the files and starts the work.
    pub(crate) fn start(engine: &Engine) -> Result<Self, String> {
        let folder = TempDir::with_prefix("pagebox-demo-").map_err(|error| error.to_string())?;
        let mut demo = Self {
            folder,
            files: Vec::new(),
            stop: None,
            work: None,
        };
        demo.make(engine)
            .map_err(|error| format!("the demo could not be made: {error}"))?;
        Ok(demo)
    }

    /// The files, and what each is there to show.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&Path, &'static str)> {
        self.files.iter().map(|(path, about)| (&**path, *about))
    }

    fn make(&mut self, engine: &Engine) -> Result<(), Problem> {
        let live = self.add(
            "live.pages",
            "Changes all the time: open its map and watch. Changed pages are outlined. It has snapshots.",
        );
        let mut pager = grown(engine, &live, Format::One, 24)?;
        give_past(&mut pager)?;
        let (stop, stopped) = channel();
        self.stop = Some(stop);
        self.work = Some(
            thread::Builder::new()
                .name("demo".to_owned())
                .spawn(move || work(pager, &stopped))?,
        );

        let sound = self.add(
            "sound.pages",
            "A sound file at rest, to compare the others with: two root slots, and two trees below \
             them.",
        );
        let pager = grown(engine, &sound, Format::One, 140)?;
        let (before, after) = around_a_commit(pager, &sound, Format::One)?;
        self.damage(engine, &sound, &before, &after)?;
        self.record(engine, "commit.trace", &before, Format::One)?;

        let sound = self.add(
            "format 0.pages",
            "A sound file of format 0, that of mappedpages: what changes atomically is there twice.",
        );
        let pager = grown(engine, &sound, Format::Zero, 24)?;
        let (before, after) = around_a_commit(pager, &sound, Format::Zero)?;
        self.damage_format_0(engine, &sound, &before, &after)?;
        self.record(engine, "format 0 commit.trace", &before, Format::Zero)
    }

    /// A trace of a commit to a file.
    fn record(
        &mut self,
        engine: &Engine,
        name: &str,
        before: &[u8],
        format: Format,
    ) -> Result<(), Problem> {
        let path = self.add(
            name,
            "What one commit wrote. Let the power fail at any moment, choose what survives, and try \
             to break it.",
        );
        let store = MemoryStore::from_bytes(PAGE_SIZE, before.to_vec());
        let (store, recording) = RecordingStore::new(Box::new(store), fs::File::create(path)?)?;
        let mut pager = engine.open_store(store, Access::Write)?;
        commit(&mut pager, format)?;
        recording.end()?;
        Ok(())
    }

    /// The samples, from the bytes of a file before and after a
    /// commit.
    fn damage(
        &mut self,
        engine: &Engine,
        sound: &Path,
        before: &[u8],
        after: &[u8],
    ) -> Result<(), Problem> {
        let places = Places::of(engine, sound)?;
        let size = PAGE_SIZE.bytes();

        let mut bytes = after.to_vec();
        flip(&mut bytes, places.protected * size + size / 2);
        self.write(
            "rotten page.pages",
            "One bit of a protected page is not the one that was committed. Find it.",
            &bytes,
        )?;

        // One record old, the other new: whole, and then cut off.
        let mut bytes = after.to_vec();
        overwrite(&mut bytes, before, places.roots[0] * size, size);
        let finished = bytes.clone();
        self.write(
            "finished commit.pages",
            "The power failed just after a commit, before its root record was copied. It counts.",
            &bytes,
        )?;
        zero(&mut bytes, places.roots[1] * size + SECTOR, SECTOR);
        self.write(
            "torn root.pages",
            "The power failed while a commit wrote its root record. It counts as not done.",
            &bytes,
        )?;

        // The same, but what the disk had not written yet is a page that the new
        // record reaches.
        let mut bytes = finished;
        overwrite(&mut bytes, before, places.written * size, size);
        self.write(
            "unfinished commit.pages",
            "The power failed when the root record was written, but not all that it reaches.",
            &bytes,
        )?;

        let mut bytes = after.to_vec();
        flip(&mut bytes, UUID);
        self.write(
            "rotten header.pages",
            "One bit of the header has rotted. Nothing is lost: the root records repeat it.",
            &bytes,
        )?;

        let mut bytes = after.to_vec();
        flip(&mut bytes, places.node * size + BIRTH);
        self.write(
            "rotten node.pages",
            "One bit has rotted in a node of the tree that says where protected pages are.",
            &bytes,
        )?;

        let cut = after.get(..after.len() / 4 * 3).unwrap_or(after);
        self.write("truncated.pages", "The end of the file is missing.", cut)?;

        self.write(
            "not a page file.pages",
            "Something else altogether, with a misleading name.",
            b"<html><body><script>alert('not a page file')</script></body></html>\n",
        )?;
        Ok(())
    }

    /// The samples of format 0, from the bytes of a file before and after a commit.
    fn damage_format_0(
        &mut self,
        engine: &Engine,
        sound: &Path,
        before: &[u8],
        after: &[u8],
    ) -> Result<(), Problem> {
        let places = PlacesOfFormat0::of(engine, sound)?;
        let size = PAGE_SIZE.bytes();

        let mut bytes = after.to_vec();
        flip(&mut bytes, places.protected * size + size / 2);
        self.write(
            "format 0 rotten page.pages",
            "One bit of a protected page is not the one that was committed.",
            &bytes,
        )?;

        // Everything of the commit but its last step, which writes page 0.
        let mut bytes = after.to_vec();
        overwrite(&mut bytes, before, 0, size);
        self.write(
            "format 0 unfinished commit.pages",
            "The power failed just before a commit's last step. It counts as not done.",
            &bytes,
        )?;

        // The last step itself, cut off: the first sector new, the rest old.
        overwrite(&mut bytes, after, 0, SECTOR);
        self.write(
            "format 0 torn page 0.pages",
            "The power failed in the middle of a commit's last step: page 0 is half new, half old.",
            &bytes,
        )?;

        // A disk that said it had written the metadata, and had not.
        let mut bytes = after.to_vec();
        overwrite(&mut bytes, before, places.metadata * size, size);
        self.write(
            "format 0 stale side.pages",
            "A disk lost a write: page 0 names a copy of the metadata that is out of date.",
            &bytes,
        )?;

        let cut = after.get(..after.len() / 4 * 3).unwrap_or(after);
        self.write(
            "format 0 truncated.pages",
            "The end of the file is missing.",
            cut,
        )?;
        Ok(())
    }

    fn add(&mut self, name: &str, about: &'static str) -> PathBuf {
        let path = self.folder.path().join(name);
        self.files.push((path.clone(), about));
        path
    }

    fn write(&mut self, name: &str, about: &'static str, bytes: &[u8]) -> io::Result<()> {
        fs::write(self.add(name, about), bytes)
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(work) = self.work.take() {
            // Whatever it came to, there is nothing left to do.
            let _ = work.join();
        }
    }
}

/// Where the bytes to be damaged are, in pages.
struct Places {
    /// Root slots A and B.
    roots: [usize; 2],
    /// A page that the last commit wrote.
    written: usize,
    /// The page of a protected one that it did not write.
    protected: usize,
    /// The last node of the tree that names protected pages.
    node: usize,
}

impl Places {
    fn of(engine: &Engine, path: &Path) -> Result<Self, Problem> {
        let mut inspector = engine.inspect(path)?;
        let structures = inspector.structures(0, 9)?;
        let named = |name: &str| {
            let pages = structures.iter().filter(|found| found.name == name);
            pages.map(|found| found.page).collect::<Vec<_>>()
        };
        let roots = named("root");
        let entry = |id: u64, inspector: &mut pagebox::Inspector| -> Result<_, Problem> {
            let entry = inspector.directory(id, 1, false)?.into_iter().next();
            Ok(entry.and_then(|entry| entry.page))
        };
        Ok(Self {
            roots: [
                place(roots.first().copied())?,
                place(roots.get(1).copied())?,
            ],
            written: place(entry(0, &mut inspector)?)?,
            protected: place(entry(5, &mut inspector)?)?,
            node: place(named("map-node").last().copied())?,
        })
    }
}

/// Where the bytes to be damaged are in a file of format 0, in pages.
struct PlacesOfFormat0 {
    /// The copy of the metadata that counts.
    metadata: usize,
    /// The active copy of a protected page.
    protected: usize,
}

impl PlacesOfFormat0 {
    fn of(engine: &Engine, path: &Path) -> Result<Self, Problem> {
        let mut inspector = engine.inspect(path)?;
        let metadata = inspector
            .structures(0, 0)?
            .into_iter()
            .find(|structure| structure.counts && structure.name == "metadata")
            .map(|structure| structure.page);
        let protected = inspector
            .directory(5, 1, false)?
            .first()
            .and_then(|entry| entry.page);
        Ok(Self {
            metadata: place(metadata)?,
            protected: place(protected)?,
        })
    }
}

/// A page as a place in memory.
fn place(page: Option<u64>) -> Result<usize, Problem> {
    page.and_then(|page| usize::try_from(page).ok())
        .ok_or_else(|| Problem("the file lacks what was to be damaged".to_owned()))
}

/// The bytes of a file before and after its last commit.
fn around_a_commit(
    mut pager: Pager,
    path: &Path,
    format: Format,
) -> Result<(Vec<u8>, Vec<u8>), Problem> {
    pager.sync()?;
    let before = fs::read(path)?;
    commit(&mut pager, format)?;
    drop(pager);
    Ok((before, fs::read(path)?))
}

/// The commit that the samples are about.
fn commit(pager: &mut Pager, format: Format) -> Result<(), Error> {
    let first = pager.protected_pages().next().transpose()?;
    if let Some(page) = first {
        let mut tx = pager.begin()?;
        tx.write(page.id)?.fill(b'!');
        // In format 1 the zeros of such pages would be durable before the record,
        // and all else with them.
        if format == Format::Zero {
            tx.alloc_many(3)?;
        }
        tx.commit()?;
    }
    Ok(())
}

fn zero(bytes: &mut [u8], at: usize, len: usize) {
    if let Some(part) = bytes.get_mut(at..at + len) {
        part.fill(0);
    }
}

fn flip(bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 0x40;
    }
}

fn overwrite(bytes: &mut [u8], with: &[u8], at: usize, len: usize) {
    if let (Some(old), Some(new)) = (bytes.get_mut(at..at + len), with.get(at..at + len)) {
        old.copy_from_slice(new);
    }
}

/// A file with some of everything in it.
fn grown(engine: &Engine, path: &Path, format: Format, protected: u32) -> Result<Pager, Error> {
    let new = NewFile {
        format,
        ..NewFile::default()
    };
    let mut pager = engine.create_with(path, PAGE_SIZE, new)?;
    let mut tx = pager.begin()?;
    let regular = tx.alloc_many(60)?;
    let protected = tx.alloc_protected_many(protected)?;
    // One that was never written has no page in format 1.
    let zeros = usize::from(format == Format::One) * 2;
    for id in protected.iter().rev().skip(zeros) {
        write_text(
            tx.write(*id)?,
            &format!("protected page {id}, first edition"),
        );
    }
    tx.commit()?;
    for id in &regular {
        write_text(pager.page_mut(*id)?, &format!("regular page {id}"));
    }
    // Holes, so that there are runs of free pages to look at.
    let mut tx = pager.begin()?;
    let freed: Vec<PageId> = regular
        .iter()
        .copied()
        .filter(|id| id.get() % 7 < 2 || id.get() % 16 == 5)
        .collect();
    tx.free_many(&freed)?;
    for id in protected.iter().step_by(3).take(30) {
        write_text(
            tx.write(*id)?,
            &format!("protected page {id}, second edition"),
        );
    }
    tx.commit()?;
    pager.sync()?;
    Ok(pager)
}

/// Two snapshots, and what changed between them and since.
fn give_past(pager: &mut Pager) -> Result<(), Error> {
    pager.create_snapshot("monday")?;
    for round in 1..=6 {
        change(pager, round)?;
    }
    pager.create_snapshot("tuesday")?;
    for round in 7..=9 {
        change(pager, round)?;
    }
    Ok(())
}

fn write_text(page: &mut [u8], text: &str) {
    if let Some(start) = page.get_mut(..text.len()) {
        start.copy_from_slice(text.as_bytes());
    }
}

/// Commits small changes until it is told to stop.
fn work(mut pager: Pager, stopped: &Receiver<()>) {
    let mut round = 0;
    while stopped.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
        round += 1;
        if let Err(error) = change(&mut pager, round) {
            say::problem(format_args!("the demo's changes stopped: {error}"));
            return;
        }
    }
}

/// One commit: what programs do to page files, in small.
fn change(pager: &mut Pager, round: u64) -> Result<(), Error> {
    let regular: Vec<PageId> = pager.regular_pages().collect::<Result<_, _>>()?;
    let protected: Vec<ProtectedId> = pager
        .protected_pages()
        .map(|page| page.map(|page| page.id))
        .collect::<Result<_, _>>()?;
    let mut tx = pager.begin()?;
    if let Some(id) = nth(&protected, round * 5) {
        write_text(
            tx.write(id)?,
            &format!("protected page {id}, round {round}"),
        );
    }
    match round % 4 {
        0 if regular.len() > 30 => {
            let freed: Vec<PageId> = (0..3)
                .filter_map(|n| nth(&regular, round * 11 + n))
                .collect();
            tx.free_many(&freed)?;
        }
        1 if regular.len() < 120 => {
            tx.alloc_many(4)?;
        }
        2 if protected.len() < 40 => {
            tx.alloc_protected()?;
        }
        3 if protected.len() > 16 => {
            if let Some(id) = nth(&protected, round * 5 + 2) {
                tx.free_protected(id)?;
            }
        }
        _ => {}
    }
    tx.commit()?;
    Ok(())
}

/// One of them, which changes with `n`.
fn nth<I: Copy>(ids: &[I], n: u64) -> Option<I> {
    let index = n.checked_rem(ids.len() as u64)?;
    ids.get(usize::try_from(index).ok()?).copied()
}

/// Why the files could not be made.
struct Problem(String);

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Problem {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}
