//! [`PageFile`]: a locked file of pages, written by position: what the stores
//! that change files have in common.
//!
//! Private buffers are written whole: one cannot reach the medium half copied.
//! Those of a batch that are neighbours in the file are written in one call.
//!
//! A page is in `blank` where the file holds zeros that the next sync makes
//! durable, if they are not durable yet: growth or a reset put them there, or
//! there is a hole, and nobody wrote since. Such a page need not be zeroed when
//! it is handed out. After a failed sync nothing is known of any page.

use std::io::{self, IoSlice};
use std::sync::Arc;

use pagebox_store::{
    Change, Geometry, IoError, PageBuffer, PageSize, SEAL_LEN, StoreError, bounds, check_changes,
    seal,
};

use super::ahead::Ahead;
use super::page_set::PageSet;
use crate::Error;
use crate::os::{self, Locked};

/// A locked file of pages.
#[derive(Debug)]
pub(super) struct PageFile {
    /// Shared with what views read.
    file: Arc<Locked>,
    page_size: PageSize,
    /// Whole pages.
    page_count: u64,
    /// Bytes past the last of them.
    tail: u32,
    blank: PageSet,
    ahead: Ahead,
    zeros: Box<[u8]>,
}

/// What a change is to a file.
#[derive(PartialEq, Eq)]
enum Kind {
    /// A page with other bytes than zeros.
    Page,
    Zero,
    Barrier,
}

impl Kind {
    fn of(change: &Change<'_, PageBuffer>) -> Self {
        match change {
            Change::Sealed { .. } | Change::Staged { .. } | Change::Bytes { .. } => Self::Page,
            Change::Zero { .. } => Self::Zero,
            Change::Order | Change::Sync => Self::Barrier,
        }
    }
}

impl PageFile {
    pub(super) fn new(file: Locked, page_size: PageSize) -> io::Result<Self> {
        let len = file.file().metadata()?.len();
        let bytes = page_size.bytes() as u64;
        #[expect(clippy::cast_possible_truncation, reason = "less than a page")]
        let tail = (len % bytes) as u32;
        Ok(Self {
            file: Arc::new(file),
            page_size,
            page_count: len / bytes,
            tail,
            blank: PageSet::default(),
            ahead: Ahead::default(),
            zeros: vec![0; page_size.bytes()].into_boxed_slice(),
        })
    }

    pub(super) fn geometry(&self) -> Geometry {
        Geometry {
            page_size: self.page_size,
            page_count: self.page_count,
            tail: self.tail,
        }
    }

    pub(super) fn locked(&self) -> &Arc<Locked> {
        &self.file
    }

    /// How many views read it.
    pub(super) fn viewers(&self) -> usize {
        Arc::strong_count(&self.file) - 1
    }

    /// A page of zeros.
    pub(super) fn zeros(&self) -> &[u8] {
        &self.zeros
    }

    /// Whether this is the process that opened the file, and not one that was
    /// forked from it.
    #[inline]
    pub(super) fn is_own(&self) -> bool {
        self.file.owner().is_here()
    }

    /// The error of a forked child.
    pub(super) fn expect_own(&self) -> Result<(), StoreError> {
        if self.is_own() {
            Ok(())
        } else {
            Err(StoreError::Other(Some(Error::Forked.to_string())))
        }
    }

    /// Fills `bytes` from a page.
    pub(super) fn read(&self, page: u64, offset: u32, bytes: &mut [u8]) -> Result<(), StoreError> {
        let position = bounds(self.geometry(), page, offset, bytes.len())?;
        os::read_at(self.file.file(), bytes, position).map_err(io_error)
    }

    /// What is kept of pages takes so many bytes, about.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.blank.memory()
    }

    /// Notes that these pages hold zeros, durably.
    pub(super) fn add_blank(&mut self, first: u64, count: u64) {
        self.blank.insert_run(first, count);
    }

    /// Notes that a page is written to by another way.
    pub(super) fn written(&mut self, page: u64) {
        self.blank.remove(page);
    }

    /// As [`PageStore::write`](pagebox_store::PageStore::write). `before_sync`
    /// hands the system what only this process has so far.
    pub(super) fn write(
        &mut self,
        changes: &[Change<'_, PageBuffer>],
        mut before_sync: impl FnMut() -> io::Result<()>,
    ) -> Result<(), StoreError> {
        self.expect_own()?;
        check_changes(self.geometry(), changes)?;
        let page_size = self.page_size.bytes();
        let fits = |change: &Change<'_, PageBuffer>| match change {
            Change::Staged { buffer, .. } => buffer.len() == page_size,
            _ => true,
        };
        if !changes.iter().all(fits) {
            return Err(StoreError::OutOfBounds);
        }
        for part in changes.chunk_by(|one, next| Kind::of(one) == Kind::of(next)) {
            match Kind::of(&part[0]) {
                // In the order in which they came: they may overlap.
                Kind::Zero => part.iter().try_for_each(|it| self.zero(it)),
                Kind::Page => self.write_pages(part),
                // A file keeps order by no less than a sync.
                Kind::Barrier => {
                    before_sync()
                        .and_then(|()| os::sync(self.file.file()))
                        .map_err(|error| self.failed_sync(error))?;
                    Ok(())
                }
            }
            .map_err(io_error)?;
        }
        Ok(())
    }

    fn failed_sync(&mut self, error: io::Error) -> StoreError {
        // Zeros may have been given up with all else: reads show them, and the
        // medium does not have them.
        self.blank.clear();
        io_error(error)
    }

    /// Writes pages, those that are neighbours in one call.
    fn write_pages(&mut self, changes: &[Change<'_, PageBuffer>]) -> io::Result<()> {
        let page = |change: &Change<'_, PageBuffer>| change.pages().0;
        let mut pages: Vec<_> = changes.iter().collect();
        // Of those of one page the last one stays the last.
        pages.sort_by_key(|change| page(change));
        for run in pages.chunk_by(|one, next| page(one) + 1 == page(next)) {
            // Each is two slices at most.
            for run in run.chunks(os::SLICES_MAX / 2) {
                self.write_run(page(run[0]), run)?;
            }
        }
        Ok(())
    }

    /// Writes pages that follow each other.
    fn write_run(&mut self, first: u64, run: &[&Change<'_, PageBuffer>]) -> io::Result<()> {
        let sealed = run.iter().map(|change| match change {
            Change::Sealed { bytes, start, .. } => seal(bytes, *start),
            _ => [0; SEAL_LEN],
        });
        let seals: Vec<_> = sealed.collect();
        let mut slices = Vec::with_capacity(2 * run.len());
        for (change, seal) in run.iter().zip(&seals) {
            match change {
                Change::Sealed { bytes, .. } => {
                    slices.extend([IoSlice::new(bytes), IoSlice::new(seal)]);
                }
                Change::Staged { buffer, .. } => slices.push(IoSlice::new(buffer)),
                Change::Bytes { bytes, .. } => slices.push(IoSlice::new(bytes)),
                // They are not among the pages of a run.
                Change::Zero { .. } | Change::Order | Change::Sync => {}
            }
        }
        for page in (first..).take(run.len()) {
            self.blank.remove(page);
        }
        os::write_slices_at(self.file.file(), &mut slices, self.position(first))
    }

    /// Lets pages read as zeros, to whoever looks, as durably as what is
    /// written. Those that do already are left alone.
    fn zero(&mut self, change: &Change<'_, PageBuffer>) -> io::Result<()> {
        let (mut next, count) = change.pages();
        let end = next + count;
        while next < end {
            let start = next;
            while next < end && !self.blank.contains(next) {
                next += 1;
            }
            if next > start {
                let len = self.position(next - start);
                os::zero(self.file.file(), self.position(start), len)?;
                self.blank.insert_run(start, next - start);
            }
            next += 1;
        }
        Ok(())
    }

    fn position(&self, page: u64) -> u64 {
        page * self.page_size.bytes() as u64
    }

    /// Makes the file longer, durably, with the space for its new pages
    /// reserved, and does something (`map`) with the longer file. Whatever
    /// fails, it is as long as it was before.
    pub(super) fn extend(
        &mut self,
        page_count: u64,
        map: impl FnOnce(&Locked, u64) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        self.expect_own()?;
        let page_size = self.page_size.bytes() as u64;
        let len = page_count
            .checked_mul(page_size)
            .ok_or(StoreError::InsufficientSpace)?;
        let whole = self.position(self.page_count);
        let mut tail = vec![0; self.tail as usize];
        os::read_at(self.file.file(), &mut tail, whole).map_err(io_error)?;
        match self.lengthen(whole, len, map) {
            Ok(()) => {
                self.blank
                    .insert_run(self.page_count, page_count - self.page_count);
                // What was just made may never grow.
                if self.page_count > 0 {
                    self.ahead.start(self.file.file(), len);
                }
                self.page_count = page_count;
                self.tail = 0;
                Ok(())
            }
            Err(error) => {
                // What was added so far is of no use to anybody.
                self.ahead.lose();
                let file = self.file.file();
                file.set_len(whole + tail.len() as u64)
                    .and_then(|()| os::write_at(file, &tail, whole))
                    .map_err(|stays| {
                        let text = format!("{error}; and the file stays longer: {stays}");
                        StoreError::Io(IoError {
                            code: stays.raw_os_error(),
                            text: Some(text),
                        })
                    })?;
                Err(error)
            }
        }
    }

    /// Makes the file shorter. Whatever fails, it is as long as it was.
    pub(super) fn shorten(&mut self, page_count: u64) -> Result<(), StoreError> {
        self.expect_own()?;
        // It goes with what is cut off.
        self.ahead.lose();
        let len = self.position(page_count);
        self.file.file().set_len(len).map_err(io_error)?;
        (self.page_count, self.tail) = (page_count, 0);
        self.blank.truncate(page_count);
        Ok(())
    }

    fn lengthen(
        &mut self,
        whole: u64,
        len: u64,
        map: impl FnOnce(&Locked, u64) -> io::Result<()>,
    ) -> Result<(), StoreError> {
        let file = self.file.file();
        let old_len = whole + u64::from(self.tail);
        if self.ahead.end() >= len {
            file.set_len(len)
        } else {
            os::reserve(file, old_len, len - old_len)
        }
        .map_err(space_error)?;
        // What lay past the last whole page becomes part of a new one.
        os::write_zeros(file, whole, u64::from(self.tail)).map_err(io_error)?;
        file.sync_all().map_err(|error| self.failed_sync(error))?;
        // Last: what fails before it shortens the file again.
        map(&self.file, len).map_err(|error| {
            let text = format!("{len} bytes find no place in the address space: {error}");
            StoreError::Io(IoError {
                code: error.raw_os_error(),
                text: Some(text),
            })
        })
    }
}

impl Drop for PageFile {
    fn drop(&mut self) {
        if !self.file.owner().is_surely_here() {
            self.ahead.forget();
            return;
        }
        if self.ahead.stop() {
            let _ = os::trim(self.file.file());
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as `map_err` calls it")]
pub(super) fn io_error(error: io::Error) -> StoreError {
    StoreError::Io(IoError {
        code: error.raw_os_error(),
        text: Some(error.to_string()),
    })
}

/// What a failure to reserve space is.
pub(super) fn space_error(error: io::Error) -> StoreError {
    if os::is_no_space(&error) {
        StoreError::InsufficientSpace
    } else {
        io_error(error)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn file(path: &std::path::Path) -> PageFile {
        let locked = Locked::open(path, true).unwrap();
        PageFile::new(locked, PageSize::KIB_1).unwrap()
    }

    #[test]
    fn growth_that_fails_after_it_is_reserved_leaves_length_and_tail() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes = [vec![7; 2048], vec![6; 100]].concat();
        std::fs::write(&path, &bytes).unwrap();
        let mut file = file(&path);
        let mut longest = 0;
        let error = file
            .extend(40, |locked, len| {
                longest = locked.file().metadata()?.len();
                assert_eq!(len, 40 * 1024);
                Err(io::Error::from_raw_os_error(12))
            })
            .unwrap_err();
        let code = match &error {
            StoreError::Io(failure) => failure.code,
            error => panic!("{error}"),
        };
        assert_eq!(code, Some(12));
        assert_eq!(longest, 40 * 1024);
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
        assert_eq!((file.page_count, file.tail), (2, 100));
        file.extend(3, |_, _| Ok(())).unwrap();
        let grown = std::fs::read(&path).unwrap();
        assert_eq!(grown, [vec![7; 2048], vec![0; 1024]].concat());
    }

    /// Whatever their order, and where a page is in it twice.
    #[test]
    fn batch_leaves_what_its_changes_one_by_one_leave() {
        use std::collections::BTreeMap;

        const PAGES: u64 = 40;
        let folder = tempfile::tempdir().unwrap();
        let page_size = PageSize::KIB_1.bytes();
        let mut rng = 1_u64;
        let mut below = |end: u64| {
            rng = rng.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (rng >> 33) % end
        };
        for round in 0..60 {
            let path = folder.path().join(format!("file {round}"));
            std::fs::write(&path, vec![9; 40 * page_size]).unwrap();
            let bodies: Vec<_> = (0..13_u8)
                .map(|n| {
                    let mut buffer = PageBuffer::zeroed(PageSize::KIB_1);
                    buffer.fill(n + 10);
                    buffer
                })
                .collect();
            let mut changes = Vec::new();
            let mut model: BTreeMap<u64, Vec<u8>> =
                (0..PAGES).map(|page| (page, vec![9; page_size])).collect();
            for buffer in &bodies {
                let page = below(12);
                changes.push(match below(8) {
                    0 => Change::Zero {
                        first: page,
                        count: 3,
                    },
                    1 => Change::Zero {
                        first: page,
                        count: 1,
                    },
                    2 | 3 => Change::Sealed {
                        page,
                        bytes: &buffer[SEAL_LEN..],
                        start: 7,
                    },
                    _ => Change::Staged { page, buffer },
                });
                let bytes = match changes.last().unwrap() {
                    Change::Sealed { bytes, start, .. } => [*bytes, &seal(bytes, *start)].concat(),
                    Change::Staged { buffer, .. } => buffer.to_vec(),
                    _ => vec![0; page_size],
                };
                let (first, count) = changes.last().unwrap().pages();
                for page in first..first + count {
                    model.insert(page, bytes.clone());
                }
            }
            let mut file = file(&path);
            file.write(&changes, || Ok(())).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            for (page, expected) in bytes.chunks(page_size).zip(model.into_values()) {
                assert!(page == expected, "round {round}");
            }
        }
    }

    /// Sixty neighbours in any order took sixty calls.
    #[test]
    fn neighbours_of_a_batch_are_written_in_one_call() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![0; 3000 << 10]).unwrap();
        let mut file = file(&path);
        let bytes = vec![5; 1020];
        let mut calls = |pages: &mut dyn Iterator<Item = u64>| {
            let changes: Vec<_> = pages
                .map(|page| Change::Sealed {
                    page,
                    bytes: &bytes,
                    start: 0,
                })
                .collect();
            let before = os::writes();
            file.write(&changes, || Ok(())).unwrap();
            os::writes() - before
        };
        assert_eq!(calls(&mut (100..160).rev()), 1);
        assert_eq!(calls(&mut (0..60).map(|n| 2 * n)), 60);
        assert_eq!(calls(&mut (10..20).chain(5..10).chain(30..40)), 2);
        // A page twice: both are written, in order.
        assert_eq!(calls(&mut [7, 8, 8, 9].into_iter()), 2);
        // The system takes so many slices at once.
        assert_eq!(calls(&mut (0..2000)), 4);
        assert_eq!(calls(&mut std::iter::empty()), 0);
    }

    /// The next growth finds its blocks reserved, and what is left of them when
    /// the file is closed goes back.
    #[cfg(target_os = "linux")]
    #[test]
    fn growth_is_prepared_and_what_is_not_used_goes_back() {
        use std::os::unix::fs::MetadataExt;

        const MIB: u64 = 1 << 20;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 1 << 20]).unwrap();
        let size = || {
            let metadata = std::fs::metadata(&path).unwrap();
            (metadata.len(), metadata.blocks() * 512)
        };
        let mut file = file(&path);
        if os::reserve_past_end(file.file.file(), MIB, 1).is_err() {
            return; // a file system that cannot
        }
        file.extend(2048, |_, _| Ok(())).unwrap();
        assert_eq!(file.ahead.end(), 4 * MIB);
        let (len, blocks) = size();
        assert!(len == 2 * MIB && blocks >= 4 * MIB, "{len}, {blocks}");
        file.extend(3072, |_, _| Ok(())).unwrap();
        assert_eq!(file.ahead.end(), 6 * MIB);
        // One that fails gives back what was reserved for it, too.
        file.extend(4096, |_, _| Err(io::ErrorKind::OutOfMemory.into()))
            .unwrap_err();
        assert_eq!((file.ahead.end(), size().0), (0, 3 * MIB));
        file.extend(4096, |_, _| Ok(())).unwrap();
        assert!(size().1 >= 4 * MIB, "the blocks are there");
        assert_eq!(file.ahead.end(), 8 * MIB);
        drop(file);
        let (len, blocks) = size();
        // The file system may use some for itself.
        assert!(len == 4 * MIB && blocks < 5 * MIB, "{len}, {blocks}");
    }

    /// A sync failed, and the system gave the zeros up: reads showed them, so
    /// that the page was not zeroed again, and a power loss brought its old
    /// bytes back.
    #[test]
    fn page_that_was_zeroed_before_a_sync_failed_is_zeroed_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, vec![7; 4096]).unwrap();
        let mut file = file(&path);
        let reset = || Change::Zero { first: 1, count: 2 };
        file.write(&[reset()], || Ok(())).unwrap();
        assert!(file.blank.contains(1) && file.blank.contains(2));
        file.write(&[Change::Sync], || Err(io::ErrorKind::Other.into()))
            .unwrap_err();
        // What the medium still holds is what is read, once it is read again.
        std::fs::write(&path, vec![7; 4096]).unwrap();
        file.write(&[reset(), Change::Sync], || Ok(())).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(
            bytes,
            [vec![7; 1024], vec![0; 2048], vec![7; 1024]].concat()
        );
    }
}
