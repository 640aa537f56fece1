//! [`Trace`]: what a store was asked to do, one step after the other, to be
//! replayed on a [`Disk`] that loses its power at any of them.
//!
//! As a file, numbers are little-endian. It begins with
//!
//! | Bytes | What |
//! |---|---|
//! | 8 | `PBXTRACE` |
//! | 4 | the version, 1 |
//! | 4 | bytes in a page |
//! | 8 | pages at the start |
//! | 4 | the CRC-32 of the bytes before |
//!
//! Records follow to the end: first those of the pages at the start that are not
//! zeros, in ascending order, then the steps. Each ends in the CRC-32 of its own
//! bytes.
//!
//! | Begins with | Then | What |
//! |---|---|---|
//! | `B` | page: 8, its bytes | a page at the start |
//! | `W` | page: 8, its bytes | a page is written |
//! | `Z` | first page: 8, count: 8 | pages are written with zeros |
//! | `G` | page count: 8 | the store grows |
//! | `T` | page count: 8 | it is cut |
//! | `O` | | an order: a barrier |
//! | `S` | | a sync |
//!
//! A trace is bounded, by [`PAGES_MAX`], [`STEPS_MAX`], [`BYTES_MAX`] and
//! [`WORK_MAX`], so that a hostile one costs no more than a large one. It knows
//! nothing of what is in the pages.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::crash::{Disk, Page};
use crate::{Change, PageBuffer, PageSize, seal};

/// What a trace begins with.
pub const MAGIC: [u8; 8] = *b"PBXTRACE";

/// The version that is written and read.
pub const VERSION: u32 = 1;

/// The most pages that the store of a trace has at any time.
pub const PAGES_MAX: u64 = 1 << 18;

/// The most steps of a trace.
pub const STEPS_MAX: u64 = 1 << 16;

/// The most bytes of a trace.
pub const BYTES_MAX: u64 = 1 << 28;

/// The most pages that all steps together write, add and cut off.
pub const WORK_MAX: u64 = 1 << 20;

/// A store at the start, and what it was asked to do.
#[derive(Clone, Debug)]
pub struct Trace {
    page_size: PageSize,
    base: Vec<Page>,
    steps: Vec<Step>,
}

/// One thing that a store was asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A whole page is written.
    Write {
        /// Which.
        page: u64,
        /// Its bytes.
        bytes: Page,
    },
    /// Pages are written with zeros.
    Zero {
        /// The first of them.
        first: u64,
        /// How many.
        count: u64,
    },
    /// The store grows; durable when that has returned.
    Grow {
        /// To so many pages.
        page_count: u64,
    },
    /// The store is cut.
    Truncate {
        /// To so many pages.
        page_count: u64,
    },
    /// Nothing after it is durable before all that was before it.
    Order,
    /// All before it is durable.
    Sync,
}

impl Step {
    /// What a change asks for.
    pub fn of(change: &Change<'_, PageBuffer>) -> Self {
        match *change {
            Change::Sealed { page, bytes, start } => {
                let bytes = [bytes, &seal(bytes, start)].concat().into();
                Self::Write { page, bytes }
            }
            Change::Staged { page, buffer } => {
                let bytes = Page::from(&**buffer);
                Self::Write { page, bytes }
            }
            Change::Bytes { page, bytes } => {
                let bytes = Page::from(bytes);
                Self::Write { page, bytes }
            }
            Change::Zero { first, count } => Self::Zero { first, count },
            Change::Order => Self::Order,
            Change::Sync => Self::Sync,
        }
    }

    /// Whether it makes what was before it durable.
    pub fn is_barrier(&self) -> bool {
        matches!(self, Self::Order | Self::Sync)
    }

    /// The byte that its record begins with.
    fn tag(&self) -> u8 {
        match self {
            Self::Write { .. } => b'W',
            Self::Zero { .. } => b'Z',
            Self::Grow { .. } => b'G',
            Self::Truncate { .. } => b'T',
            Self::Order => b'O',
            Self::Sync => b'S',
        }
    }
}

/// Where a trace is not one, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of the trace: {problem}")]
pub struct TraceError {
    /// The byte, counted from 0, of the file.
    pub at: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// What can be wrong with a trace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It begins otherwise.
    #[error("it does not begin as a trace does")]
    NotATrace,
    /// Of another version.
    #[error("it is of version {0}, and only version {VERSION} is known")]
    Version(u32),
    /// No page size.
    #[error("{0} is no page size")]
    PageSize(u32),
    /// It ends within a header or a record.
    #[error("the trace ends within what begins here")]
    CutOff,
    /// A byte that no record begins with.
    #[error("no record begins with {0:#04x}")]
    Tag(u8),
    /// The bytes before are not those that were written.
    #[error("the checksum is not that of the bytes before it")]
    Checksum,
    /// A page that the store does not have then.
    #[error("{0} is past the end of the store, which has {1} pages then")]
    NoPage(u64, u64),
    /// A page at the start that comes too late, or twice.
    #[error("a page at the start stands where none may")]
    Base,
    /// A growth that does not lengthen, or a cut that does not shorten.
    #[error("the length of {0} pages does not change one of {1}")]
    Length(u64, u64),
    /// Past one of the bounds.
    #[error("it is larger than a trace may be: {0}")]
    TooLarge(Bound),
}

/// A bound of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bound {
    /// [`PAGES_MAX`].
    Pages,
    /// [`STEPS_MAX`].
    Steps,
    /// [`BYTES_MAX`].
    Bytes,
    /// [`WORK_MAX`].
    Work,
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pages => write!(f, "a store of {PAGES_MAX} pages at most"),
            Self::Steps => write!(f, "{STEPS_MAX} steps at most"),
            Self::Bytes => write!(f, "{BYTES_MAX} bytes at most"),
            Self::Work => write!(f, "{WORK_MAX} pages written at most"),
        }
    }
}

/// What is known of a trace so far, and may come next: the same for who writes
/// one and for who reads one.
#[derive(Clone, Debug)]
struct Progress {
    page_size: PageSize,
    page_count: u64,
    steps: u64,
    work: u64,
    bytes: u64,
    /// The first page that may come yet; none: a step was there.
    base: Option<u64>,
}

const HEADER_LEN: u64 = 28;
const CHECKSUM_LEN: usize = 4;

impl Progress {
    fn new(page_size: PageSize, page_count: u64) -> Result<Self, Problem> {
        if page_count > PAGES_MAX {
            return Err(Problem::TooLarge(Bound::Pages));
        }
        Ok(Self {
            page_size,
            page_count,
            steps: 0,
            work: 0,
            bytes: HEADER_LEN,
            base: Some(0),
        })
    }

    /// A record with so many bytes between its first and its checksum.
    fn record(&mut self, len: u64) -> Result<(), Problem> {
        self.bytes += 1 + len + CHECKSUM_LEN as u64;
        if self.bytes > BYTES_MAX {
            return Err(Problem::TooLarge(Bound::Bytes));
        }
        Ok(())
    }

    fn base_page(&mut self, page: u64) -> Result<(), Problem> {
        self.record(8 + u64::from(self.page_size.bytes_u32()))?;
        if self.base.is_none_or(|first| page < first) {
            return Err(Problem::Base);
        }
        if page >= self.page_count {
            return Err(Problem::NoPage(page, self.page_count));
        }
        self.base = Some(page + 1);
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), Problem> {
        let now = self.page_count;
        let (len, work) = match *step {
            Step::Write { page, .. } => {
                if page >= now {
                    return Err(Problem::NoPage(page, now));
                }
                (8 + u64::from(self.page_size.bytes_u32()), 1)
            }
            Step::Zero { first, count } => {
                let end = first.checked_add(count);
                if end.is_none_or(|end| end > now) {
                    return Err(Problem::NoPage(first, now));
                }
                (16, count)
            }
            Step::Grow { page_count } => {
                if page_count <= now {
                    return Err(Problem::Length(page_count, now));
                }
                if page_count > PAGES_MAX {
                    return Err(Problem::TooLarge(Bound::Pages));
                }
                self.page_count = page_count;
                (8, page_count - now)
            }
            Step::Truncate { page_count } => {
                if page_count >= now {
                    return Err(Problem::Length(page_count, now));
                }
                self.page_count = page_count;
                (8, now - page_count)
            }
            Step::Order | Step::Sync => (0, 0),
        };
        self.base = None;
        self.record(len)?;
        self.steps += 1;
        self.work = self.work.saturating_add(work);
        match () {
            () if self.steps > STEPS_MAX => Err(Problem::TooLarge(Bound::Steps)),
            () if self.work > WORK_MAX => Err(Problem::TooLarge(Bound::Work)),
            () => Ok(()),
        }
    }
}

/// Writes a trace, piece by piece. After an error it is of no more use: what was
/// written before is a trace.
///
/// ```
/// use pagebox_store::PageSize;
/// use pagebox_store::trace::{Recorder, Step, Trace};
///
/// let (mut recorder, mut file) = Recorder::begin(PageSize::KIB_1, 2)?;
/// file.extend(recorder.base_page(1, &[7; 1024])?);
/// file.extend(recorder.step(&Step::Sync)?);
/// let trace = Trace::decode(&file).unwrap();
/// assert_eq!(trace.base()[1][..], [7; 1024]);
/// assert_eq!(trace.steps(), [Step::Sync]);
/// # Ok::<(), pagebox_store::trace::Problem>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recorder(Progress);

impl Recorder {
    /// Begins a trace of a store of so many pages; returns its first bytes.
    ///
    /// # Errors
    /// [`Problem::TooLarge`].
    pub fn begin(page_size: PageSize, page_count: u64) -> Result<(Self, Vec<u8>), Problem> {
        let progress = Progress::new(page_size, page_count)?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(page_size.bytes_u32().to_le_bytes());
        bytes.extend(page_count.to_le_bytes());
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        Ok((Self(progress), bytes))
    }

    /// The bytes that say what is in a page at the start. Pages that are zeros
    /// may be left out; the others come in ascending order, before any step.
    ///
    /// # Errors
    /// [`Problem::TooLarge`], [`Problem::Base`], [`Problem::NoPage`].
    pub fn base_page(&mut self, page: u64, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
        self.0.base_page(page)?;
        Ok(record(b'B', &[page], bytes))
    }

    /// The bytes that say what was asked for.
    ///
    /// # Errors
    /// [`Problem::TooLarge`]; [`Problem::NoPage`] and [`Problem::Length`] for what
    /// no such store could do.
    pub fn step(&mut self, step: &Step) -> Result<Vec<u8>, Problem> {
        self.0.step(step)?;
        let tag = step.tag();
        Ok(match step {
            Step::Write { page, bytes } => record(tag, &[*page], bytes),
            Step::Zero { first, count } => record(tag, &[*first, *count], &[]),
            Step::Grow { page_count } | Step::Truncate { page_count } => {
                record(tag, &[*page_count], &[])
            }
            Step::Order | Step::Sync => record(tag, &[], &[]),
        })
    }

    /// How many steps there are so far.
    pub fn steps(&self) -> u64 {
        self.0.steps
    }
}

fn record(tag: u8, numbers: &[u64], bytes: &[u8]) -> Vec<u8> {
    let mut record = vec![tag];
    for number in numbers {
        record.extend(number.to_le_bytes());
    }
    record.extend(bytes);
    let checksum = crc32fast::hash(&record);
    record.extend(checksum.to_le_bytes());
    record
}

impl Trace {
    /// Reads the bytes of a trace, whatever they are.
    ///
    /// # Errors
    /// [`TraceError`], which names the byte.
    pub fn decode(bytes: &[u8]) -> Result<Self, TraceError> {
        if bytes.len() as u64 > BYTES_MAX {
            return Err(TraceError {
                at: BYTES_MAX,
                problem: Problem::TooLarge(Bound::Bytes),
            });
        }
        let mut reader = Reader { bytes, at: 0 };
        let (page_size, page_count) = reader.header()?;
        let progress = Progress::new(page_size, page_count);
        let mut progress = progress.map_err(|problem| reader.wrong(8 + CHECKSUM_LEN, problem))?;
        let zero = Page::from(vec![0; page_size.bytes()]);
        let mut base = vec![zero; usize::try_from(page_count).unwrap_or_default()];
        let mut steps = Vec::new();
        while reader.at < bytes.len() {
            let start = reader.at;
            // What is wrong with a record is wrong with the number behind its tag.
            let located = |problem| TraceError {
                at: start as u64 + 1,
                problem,
            };
            match reader.record(page_size)? {
                Record::Base { page, bytes } => {
                    progress.base_page(page).map_err(located)?;
                    let page = usize::try_from(page).ok();
                    if let Some(at) = page.and_then(|page| base.get_mut(page)) {
                        *at = bytes;
                    }
                }
                Record::Step(step) => {
                    progress.step(&step).map_err(located)?;
                    steps.push(step);
                }
            }
        }
        Ok(Self {
            page_size,
            base,
            steps,
        })
    }

    /// Bytes in a page.
    pub fn page_size(&self) -> PageSize {
        self.page_size
    }

    /// The pages at the start, all of them durable.
    pub fn base(&self) -> &[Page] {
        &self.base
    }

    /// What was asked for.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The disk when the power fails while a step is under way: all before it are
    /// done, and what it does is in doubt. Past the last step all are done.
    ///
    /// `left_out` is a step that is not done: leave out a sync, and see what it
    /// is for.
    pub fn disk_at(&self, step: usize, left_out: Option<usize>) -> Disk {
        let mut disk = Disk::new(self.page_size, self.base.clone());
        for (place, done) in self.steps.iter().take(step).enumerate() {
            if Some(place) != left_out {
                begin(&mut disk, done);
                finish(&mut disk, done);
            }
        }
        if let Some(under_way) = self.steps.get(step)
            && Some(step) != left_out
        {
            begin(&mut disk, under_way);
        }
        disk
    }
}

/// What a step does before it returns.
fn begin(disk: &mut Disk, step: &Step) {
    match step {
        Step::Write { page, bytes } => disk.write(*page, 0, bytes),
        &Step::Zero { first, count } => disk.apply(&Change::Zero { first, count }, |_| {}),
        Step::Grow { page_count } => disk.begin_growth(*page_count),
        Step::Truncate { page_count } => disk.truncate(*page_count),
        Step::Order | Step::Sync => {}
    }
}

/// What is true once it has returned.
fn finish(disk: &mut Disk, step: &Step) {
    match step {
        Step::Grow { .. } => disk.finish_growth(),
        Step::Order => disk.order(),
        Step::Sync => {
            disk.sync(0..u64::MAX);
        }
        Step::Write { .. } | Step::Zero { .. } | Step::Truncate { .. } => {}
    }
}

/// A record, as it stands in the file.
enum Record {
    Base { page: u64, bytes: Page },
    Step(Step),
}

/// The bytes of a trace, and how far they are read.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self, back: usize, problem: Problem) -> TraceError {
        TraceError {
            at: self.at.saturating_sub(back) as u64,
            problem,
        }
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(len)?;
        let taken = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TraceError> {
        let taken = self.take(N).and_then(|taken| taken.try_into().ok());
        taken.ok_or_else(|| self.wrong(0, Problem::CutOff))
    }

    fn number(&mut self) -> Result<u64, TraceError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn header(&mut self) -> Result<(PageSize, u64), TraceError> {
        match self.take(MAGIC.len()) {
            Some(magic) if *magic == MAGIC => {}
            _ => return Err(self.wrong(self.at, Problem::NotATrace)),
        }
        let version = u32::from_le_bytes(self.array()?);
        if version != VERSION {
            return Err(self.wrong(4, Problem::Version(version)));
        }
        let bytes = u32::from_le_bytes(self.array()?);
        let page_size = PageSize::from_bytes(bytes);
        let page_size = page_size.map_err(|_| self.wrong(4, Problem::PageSize(bytes)))?;
        let page_count = self.number()?;
        self.checksum(0)?;
        Ok((page_size, page_count))
    }

    /// The checksum of what stands between `start` and here.
    fn checksum(&mut self, start: usize) -> Result<(), TraceError> {
        let own = self.bytes.get(start..self.at).unwrap_or_default();
        let stored = u32::from_le_bytes(self.array()?);
        if stored != crc32fast::hash(own) {
            return Err(self.wrong(CHECKSUM_LEN, Problem::Checksum));
        }
        Ok(())
    }

    fn record(&mut self, page_size: PageSize) -> Result<Record, TraceError> {
        let start = self.at;
        let [tag] = self.array()?;
        let record = match tag {
            b'B' => Record::Base {
                page: self.number()?,
                bytes: self.page(page_size)?,
            },
            b'W' => Record::Step(Step::Write {
                page: self.number()?,
                bytes: self.page(page_size)?,
            }),
            b'Z' => Record::Step(Step::Zero {
                first: self.number()?,
                count: self.number()?,
            }),
            b'G' => Record::Step(Step::Grow {
                page_count: self.number()?,
            }),
            b'T' => Record::Step(Step::Truncate {
                page_count: self.number()?,
            }),
            b'O' => Record::Step(Step::Order),
            b'S' => Record::Step(Step::Sync),
            _ => return Err(self.wrong(1, Problem::Tag(tag))),
        };
        self.checksum(start)?;
        Ok(record)
    }

    fn page(&mut self, page_size: PageSize) -> Result<Page, TraceError> {
        let taken = self.take(page_size.bytes()).map(Page::from);
        taken.ok_or_else(|| self.wrong(0, Problem::CutOff))
    }
}
