//! Checking all of a file, part by part: the doors of [`Check`].

use std::path::Path;

use crate::inspect::{CHECKING, FindingsPart, Inspector};
use crate::report::{Check, Found};
use crate::steady::{Attempt, steadily};
use crate::{Engine, Error};

/// How often the check of a file starts over that becomes longer each time.
const RESTARTS_MAX: u32 = 20;

impl Check {
    /// Checks all of a file. `progress` is told what is done, and of how much,
    /// as it goes.
    ///
    /// # Errors
    /// [`Error::Sandbox`].
    pub fn of(
        inspector: &mut Inspector,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Self, Error> {
        let mut run = Run::new(inspector);
        while let Some(at) = run.cursor {
            let part = inspector.findings(at)?;
            run.add(inspector, part, &mut progress)?;
        }
        let summary = inspector.summary()?;
        Ok(Self::new(&summary, run.findings))
    }

    /// Checks all of a file that others may be writing to. What is found is
    /// damage of a state that the file was in; what seems to be damage, but was
    /// read while the file changed, is looked at again.
    ///
    /// # Errors
    /// As [`Engine::inspect`]; [`Error::Busy`], where the file changed each
    /// time that a part of it was looked at.
    pub fn of_file(
        engine: &Engine,
        path: impl AsRef<Path>,
        progress: impl FnMut(u64, u64),
    ) -> Result<Self, Error> {
        Self::of_state(engine, path, None, progress)
    }

    /// The same of a snapshot: its protected pages, and what names them.
    ///
    /// # Errors
    /// As [`of_file`](Self::of_file); [`Error::NoSnapshot`].
    pub fn of_state(
        engine: &Engine,
        path: impl AsRef<Path>,
        snapshot: Option<&str>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Self, Error> {
        let path = path.as_ref();
        for _ in 0..RESTARTS_MAX {
            if let Some(check) = Self::of_shape(engine, path, snapshot, &mut progress)? {
                return Ok(check);
            }
        }
        Err(Error::Busy)
    }

    /// The same; none: the file became longer, so that it has other steps.
    fn of_shape(
        engine: &Engine,
        path: &Path,
        snapshot: Option<&str>,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<Option<Self>, Error> {
        let look = || look(engine, path, snapshot);
        let mut inspector = look()?;
        let mut run = Run::new(&mut inspector);
        while let Some(at) = run.cursor {
            let mut is_first = true;
            let part = steadily(|| {
                if !std::mem::take(&mut is_first) {
                    inspector = look()?;
                }
                let part = inspector.findings(at)?;
                // Bytes that agree with their checksum need no second look.
                let counts = part.findings.is_empty() || inspector.is_current()?;
                Ok(if counts {
                    Attempt::Steady(part)
                } else {
                    Attempt::Changed
                })
            })?;
            if run.total.is_some_and(|total| total != part.total) {
                return Ok(None);
            }
            run.add(&mut inspector, part, progress)?;
        }
        Ok(Some(Self::new(&inspector.summary()?, run.findings)))
    }
}

/// A look at the committed state of a file, or at a snapshot.
pub(crate) fn look(
    engine: &Engine,
    path: &Path,
    snapshot: Option<&str>,
) -> Result<Inspector, Error> {
    match snapshot {
        None => engine.inspect(path),
        Some(name) => engine
            .inspect_with(path, |inspector| inspector.show_snapshot(name))
            .map(|(inspector, ())| inspector),
    }
}

/// A check that is under way.
struct Run {
    /// What comes next; none: it is complete.
    cursor: Option<u64>,
    /// How many steps there are, once one is done.
    total: Option<u64>,
    findings: Vec<Found>,
    /// Parts that it may still take: far more than any check has, and yet not
    /// without end.
    left: u64,
}

impl Run {
    fn new(inspector: &mut Inspector) -> Self {
        Self {
            cursor: Some(0),
            total: None,
            findings: Vec::new(),
            left: inspector.geometry().byte_count().saturating_mul(64).max(64),
        }
    }

    fn add(
        &mut self,
        inspector: &mut Inspector,
        part: FindingsPart,
        progress: &mut impl FnMut(u64, u64),
    ) -> Result<(), Error> {
        self.left = self
            .left
            .checked_sub(1)
            .ok_or_else(|| inspector.distrust(CHECKING, "it does not come to an end"))?;
        progress(part.done, part.total);
        self.findings
            .extend(part.findings.into_iter().map(Found::from));
        self.total = Some(part.total);
        self.cursor = part.next;
        Ok(())
    }
}
