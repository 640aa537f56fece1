//! [`Legal`]: a state that a file may be in after a crash, and whether it is.

use std::collections::BTreeMap;
use std::fmt::Display;

use pagebox_core::check;
use pagebox_core::finding::Severity;
use pagebox_core::recovery::{Explain, Verdict, recover};
use pagebox_core::{Access, Error, Format, Pager, ProtectedId};
use pagebox_store::{Algorithm, Checksum, PageStore, StoreError};

use crate::crash::CrashStore;
use crate::model::regular_pages;
use crate::shown::{Shown, ShownPage};

/// A state that a file may be in.
#[derive(Clone, Debug)]
pub struct Legal {
    /// What the independent reader says of it.
    pub shown: Shown,
    /// The CRC-32 of regular pages that were durable then.
    settled: BTreeMap<u64, u32>,
}

impl Legal {
    /// The state that a medium shows, which is that of a finished commit.
    ///
    /// # Panics
    /// Where it is none.
    pub fn of(store: &CrashStore) -> Self {
        let shown = Shown::of(&*store.pages()).expect("a medium without doubts can be read");
        Self::with(shown, store)
    }

    /// As [`Legal::of`], of a state that was decoded before.
    pub fn with(shown: Shown, store: &CrashStore) -> Self {
        let settled = shown
            .regular
            .iter()
            .filter_map(|&page| Some((page, store.settled_crc32(page)?)))
            .collect();
        Self { shown, settled }
    }

    /// What of this state, to which a commit led from `before`, must be there
    /// while the commit is not acknowledged. Format 1 makes the commit durable
    /// with one sync, and with it what callers wrote to regular pages before:
    /// one may be there without the other.
    #[must_use]
    pub fn until_acknowledged(&self, before: &Self) -> Self {
        let mut legal = self.clone();
        if legal.shown.format == Format::One {
            legal.settled.retain(|page, crc| {
                !before.shown.regular.contains(page) || before.settled.get(page) == Some(crc)
            });
        }
        legal
    }

    /// Whether a pager that has just been opened shows this state, with all
    /// bytes that were durable. What the peer allocated and never synced may
    /// be unproven.
    pub fn is_shown_by<S: PageStore>(&self, pager: &mut Pager<S>) -> Result<(), String> {
        let stats = pager.stats();
        let figures = [stats.generation, stats.page_count, stats.free_pages];
        let Shown {
            generation,
            page_count,
            free,
            ..
        } = self.shown;
        let expected = [generation, page_count, free].map(Some);
        if figures != expected {
            return Err(format!(
                "generation, pages, free are {figures:?}, not {expected:?}"
            ));
        }
        let regular = regular_pages(pager, usize::MAX)?;
        if !regular.iter().eq(&self.shown.regular) {
            return Err(format!(
                "regular pages are {regular:?}, not {:?}",
                self.shown.regular
            ));
        }
        let protected = pager.protected(ProtectedId(0), usize::MAX).map_err(text)?;
        let listed: BTreeMap<u64, ShownPage> = protected
            .iter()
            .map(|it| {
                let page = ShownPage {
                    page: it.location.page,
                    next: it.next,
                    generation: it.location.generation,
                    checksum: it.location.checksum,
                };
                (it.id.0, page)
            })
            .collect();
        if listed != self.shown.protected {
            return Err(format!(
                "protected pages are {listed:?}, not {:?}",
                self.shown.protected
            ));
        }
        for it in protected {
            match pager.verify_protected(it.id) {
                Ok(location) if location.page == it.location.page => {}
                Err(Error::ChecksumMismatch { unproven: true, .. })
                    if it.location.is_unproven() => {}
                found => return Err(format!("protected page {}: {found:?}", it.id)),
            }
        }
        for (&page, &crc) in &self.settled {
            let found = pager.store().checksum(page, Algorithm::Crc32);
            if found != Ok(Checksum::crc32(crc)) {
                return Err(format!(
                    "regular page {page} was durable, and is lost: {found:?}"
                ));
            }
        }
        Ok(())
    }
}

/// Opens what a crash left, to read, and looks at everything. Returns which of
/// the legal states it is.
pub fn find<'a>(store: &CrashStore, legal: &[&'a Legal]) -> Result<&'a Legal, String> {
    let mut pager = Pager::open(store.clone(), Access::Read).map_err(text)?;
    if pager.verdict() == Verdict::Damaged {
        let recovery = recover(store, Explain::Yes).map_err(text)?;
        return Err(format!("taken for damaged: {:#?}", recovery.steps));
    }
    let shown: Vec<_> = legal
        .iter()
        .map(|legal| legal.is_shown_by(&mut pager))
        .collect();
    match shown.iter().position(Result::is_ok) {
        Some(index) => check_is_clean(store).map(|()| legal[index]),
        None => Err(shown
            .into_iter()
            .filter_map(Result::err)
            .collect::<Vec<_>>()
            .join("; or ")),
    }
}

/// Fails where the check finds an error.
pub fn check_is_clean<S: PageStore>(store: &S) -> Result<(), String> {
    let mut outcome = recover(store, Explain::No);
    let mut next = Some(0);
    while let Some(cursor) = next {
        let part = check::part(store, &mut outcome, cursor);
        next = part.next;
        if let Some(error) = part
            .findings
            .iter()
            .find(|it| it.kind.severity() == Severity::Error)
        {
            return Err(format!("the check finds {error:?}"));
        }
    }
    Ok(())
}

/// Whether a pager refuses everything, as it must once it is not known what is
/// durable.
pub fn is_poisoned<S: PageStore>(pager: &mut Pager<S>) -> bool {
    let refused = [
        pager.begin().map(drop),
        pager.sync(),
        pager.locate(3).map(drop),
        pager.locate_protected(ProtectedId(0)).map(drop),
        pager.verify_protected(ProtectedId(0)).map(drop),
        pager.allocated(0, 1).map(drop),
        pager.protected(ProtectedId(0), 1).map(drop),
    ];
    refused.iter().all(|result| *result == Err(Error::Poisoned))
}

/// Whether an error is an I/O failure of the store.
pub fn is_io(error: &Error) -> bool {
    matches!(
        error,
        Error::Store {
            source: StoreError::Io(_),
            ..
        }
    )
}

fn text(error: impl Display) -> String {
    error.to_string()
}
