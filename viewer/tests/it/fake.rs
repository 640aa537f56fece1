//! A look that says what a test wants: hostile strings, failures, panics.
//! Everything else is tested with real files.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use pagebox_viewer::{
    Look, LookError, Target,
    records::{
        Field, Finding, FindingsPart, PageInfo, PageKind, Recovery, Severity, Side, Slot,
        Structure, Summary, Tile,
    },
};

/// How a fake file behaves.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fake {
    /// Put wherever the sandbox could put a string.
    pub(crate) text: String,
    /// The bytes of every page.
    pub(crate) bytes: Vec<u8>,
    /// What goes wrong.
    pub(crate) failure: Failure,
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
const PAGE_SIZE: u32 = 1024;

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

    fn structure(&self, page: u64, side: Option<Side>) -> Structure {
        Structure {
            name: "metadata".to_owned(),
            title: self.text.clone(),
            page,
            side,
            active: true,
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
            page_size: PAGE_SIZE,
            page_count: PAGES,
            file_pages: PAGES,
            tail: 0,
            free_pages: 4,
            regular_pages: 1,
            protected_pages: 1,
            internal_pages: 3,
            generation: 7,
            active_side: Some(Side::A),
            page_limit: 100,
            protected_limit: 10,
            protected_capacity: 5,
            recovery: Recovery {
                verdict: self.text.clone(),
                explanation: self.text.clone(),
                steps: Vec::new(),
            },
            last_allocated: Vec::new(),
            last_freed: Vec::new(),
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

    fn free_runs(&mut self) -> Result<Vec<u64>, LookError> {
        Ok(vec![1])
    }

    fn structures(&mut self, _: u32, _: u32) -> Result<Vec<Structure>, LookError> {
        Ok(vec![
            self.structure(0, None),
            self.structure(1, Some(Side::A)),
            self.structure(2, Some(Side::B)),
        ])
    }

    fn directory(&mut self, start: u64, _: u32, _: bool) -> Result<Vec<Slot>, LookError> {
        if start > 0 {
            return Ok(Vec::new());
        }
        Ok(vec![Slot {
            id: 0,
            block: 0,
            index: 0,
            active: Side::A,
            page_a: 3,
            page_b: 4,
            generation: 1,
            checksum: 0,
            actual: Some(1),
            problem: self.text.clone(),
        }])
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
            structures: vec![self.structure(page, None)],
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
