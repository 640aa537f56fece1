//! A look that says what a test wants: hostile strings, failures, panics.
//! Everything else is tested with real files.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use pagebox_viewer::{
    Look, LookError, Target,
    records::{
        Algorithm, Checksum, Entry, Field, Finding, FindingsPart, FreeSpace, OwnedPage, PageInfo,
        PageKind, Recovery, Severity, Structure, Summary, Tile,
    },
};

/// How a fake file behaves.
#[derive(Clone, Debug)]
pub(crate) struct Fake {
    /// Put wherever the sandbox could put a string.
    pub(crate) text: String,
    /// The bytes of every page.
    pub(crate) bytes: Vec<u8>,
    /// What goes wrong.
    pub(crate) failure: Failure,
    /// Bytes in a page.
    pub(crate) page_size: u32,
    /// How many protected pages there are. The bytes of none are those that
    /// were committed.
    pub(crate) protected: u64,
    /// Whether the file does not say how many.
    pub(crate) protected_is_unknown: bool,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            text: String::new(),
            bytes: Vec::new(),
            failure: Failure::None,
            page_size: 1024,
            protected: 1,
            protected_is_unknown: false,
        }
    }
}

/// What goes wrong: with the file, or when a page of it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Failure {
    #[default]
    None,
    Sandbox,
    Panic,
    /// The answer takes longer than anybody waits.
    Endless,
    /// The system does not give the bytes.
    Permission,
    /// The file changes all the time.
    Changing,
}

static CHANGES: AtomicU64 = AtomicU64::new(0);

const PAGES: u64 = 8;

impl Target for Fake {
    fn open(&self) -> Result<Box<dyn Look>, LookError> {
        if self.failure == Failure::Permission {
            return Err(LookError::File {
                kind: std::io::ErrorKind::PermissionDenied,
                message: "cannot open the file: permission denied".to_owned(),
            });
        }
        Ok(Box::new(self.clone()))
    }

    fn identity(&self) -> Result<u64, LookError> {
        Ok(match self.failure {
            Failure::Changing => CHANGES.fetch_add(1, Ordering::Relaxed),
            _ => 0,
        })
    }
}

impl Fake {
    fn field(&self) -> Field {
        Field {
            name: self.text.clone(),
            offset: 0,
            len: 4,
            value: self.text.clone(),
            meaning: self.text.clone(),
            refers_to: Some(1),
            problem: self.text.clone(),
        }
    }

    fn structure(&self, page: u64, counts: bool) -> Structure {
        Structure {
            name: "metadata".to_owned(),
            title: self.text.clone(),
            page,
            counts,
            valid: Some(true),
            fields: vec![self.field()],
        }
    }

    fn finding(&self) -> Finding {
        Finding {
            id: self.text.clone(),
            severity: Severity::Error,
            page: Some(1),
            offset: 0,
            evidence: vec![0],
            message: self.text.clone(),
            meaning: self.text.clone(),
            remedy: self.text.clone(),
        }
    }
}

impl Look for Fake {
    fn summary(&mut self) -> Result<Summary, LookError> {
        Ok(Summary {
            format: self.text.clone(),
            page_size: self.page_size,
            capabilities: vec![self.text.clone()],
            page_count: Some(PAGES),
            file_pages: PAGES,
            tail: 0,
            free_pages: Some(4),
            regular_pages: Some(1),
            protected_pages: (!self.protected_is_unknown).then_some(self.protected),
            internal_pages: Some(3),
            generation: Some(7),
            page_limit: 100,
            protected_limit: 10,
            protected_capacity: Some(5),
            snapshots: Some(0),
            recovery: Recovery {
                verdict: self.text.clone(),
                explanation: self.text.clone(),
                steps: Vec::new(),
            },
            last_commit: None,
        })
    }

    fn page_kinds(&mut self) -> Result<Vec<PageKind>, LookError> {
        Ok(vec![PageKind {
            code: 1,
            name: self.text.clone(),
            letter: "R".to_owned(),
            description: self.text.clone(),
            count: PAGES,
        }])
    }

    fn kinds(&mut self, first: u64, count: u32) -> Result<Vec<u8>, LookError> {
        let left = PAGES.saturating_sub(first).min(u64::from(count));
        Ok((0..left).map(|_| 1).collect())
    }

    fn tiles(&mut self, first: u64, per: u64, count: u32) -> Result<Vec<Tile>, LookError> {
        let tiles = (0..u64::from(count)).map(|tile| first + tile * per);
        Ok(tiles
            .take_while(|first| *first < PAGES)
            .map(|first| Tile {
                first,
                count: per.min(PAGES - first),
                kind: 1,
                worst: None,
                used: 1,
            })
            .collect())
    }

    fn free_space(&mut self) -> Result<FreeSpace, LookError> {
        Ok(FreeSpace {
            runs: vec![1],
            longest: Some(1),
        })
    }

    fn structures(&mut self, _: u32, _: u32) -> Result<Vec<Structure>, LookError> {
        Ok(vec![
            self.structure(0, true),
            self.structure(1, true),
            self.structure(2, false),
        ])
    }

    fn directory(&mut self, start: u64, limit: u32, verify: bool) -> Result<Vec<Entry>, LookError> {
        let crc = |low| Checksum {
            algorithm: Algorithm::Crc32,
            low,
            high: 0,
        };
        let own = |page| OwnedPage { page, kind: 1 };
        let ids = start..self.protected.min(start.saturating_add(limit.into()));
        Ok(ids
            .map(|id| Entry {
                id,
                page: Some(3),
                pages: vec![own(3), own(4)],
                generation: 1,
                checksum: crc(0),
                actual: verify.then(|| crc(1)),
                problem: self.text.clone(),
                place: self.text.clone(),
            })
            .collect())
    }

    fn page(&mut self, page: u64) -> Result<Option<PageInfo>, LookError> {
        match self.failure {
            Failure::Sandbox => return Err(LookError::Sandbox("out of memory".to_owned())),
            Failure::Panic => panic!("the secret of the panic"),
            Failure::Endless => std::thread::sleep(Duration::from_mins(1)),
            _ => {}
        }
        Ok((page < PAGES).then(|| PageInfo {
            page,
            kind: 1,
            protected: Some(0),
            structures: vec![self.structure(page, true)],
            referenced_by: Vec::new(),
            findings: vec![self.finding()],
        }))
    }

    fn findings(&mut self, _: u64) -> Result<FindingsPart, LookError> {
        Ok(FindingsPart {
            findings: vec![self.finding()],
            next: None,
            done: 1,
            total: 1,
        })
    }

    fn bytes(&mut self, _: u64, offset: u32, len: u32) -> Result<Vec<u8>, LookError> {
        let bytes = self.bytes.iter().skip(offset as usize).take(len as usize);
        Ok(bytes.copied().collect())
    }
}
