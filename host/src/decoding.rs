//! Asking a page decoder about all pages of a file: what it finds wrong joins a
//! [`Check`].

use std::path::Path;

use crate::check::look;
use crate::decode::{At, Decode, Decoded, Target};
use crate::inspect::{Inspector, Severity};
use crate::report::{Check, DecodedKind, Decoding, Found};
use crate::steady::{Attempt, steadily};
use crate::{Engine, Error};

/// Pages that are decoded between two looks at whether the file changed.
const BATCH: u32 = 64;

/// How often a decoder may fail before it is asked no more: each time may take
/// all the time that a call may.
const FAILURES_MAX: u64 = 16;

/// Findings that are kept, and kinds that are told apart.
const FINDINGS_MAX: usize = 10_000;
const KINDS_MAX: usize = 64;

/// Bytes of a field that are shown as evidence.
const EVIDENCE_MAX: usize = 16;

/// Kinds of pages that are asked for at once.
const KINDS_READ: u32 = 4096;

/// What the names of all findings here begin with.
const FINDING: &str = "decoder-";

impl Check {
    /// Asks a decoder about every page of a file that a program can have bytes
    /// in: the protected ones, then the regular ones. Of a snapshot only its
    /// protected ones. Others may be writing to the file meanwhile.
    ///
    /// What it finds wrong becomes findings, warnings of the name
    /// `decoder-problem`: the pager's own structures are not damaged, and what is
    /// wrong in the program's own the pager cannot mend. So does a reference to a
    /// page that is not there. A page at which the decoder fails is a finding
    /// `decoder-failed`; after 16 of them it is asked no more.
    ///
    /// `progress` is told how many pages are done, and of about how many.
    ///
    /// # Errors
    /// As [`of_state`](Self::of_state). A decoder that fails is none.
    pub fn decode(
        &mut self,
        engine: &Engine,
        path: impl AsRef<Path>,
        snapshot: Option<&str>,
        decoder: &dyn Decode,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<(), Error> {
        let path = path.as_ref();
        let mut inspector = look(engine, path, snapshot)?;
        let codes = Codes::of(&mut inspector)?;
        let mut told = Decoding {
            decoder: decoder.name().to_owned(),
            ..Decoding::default()
        };
        let mut next = Some(Next::Protected(0));
        while let Some(from) = next {
            let mut batch = BATCH;
            let mut is_first = true;
            let part = steadily(|| {
                if !std::mem::take(&mut is_first) {
                    inspector = look(engine, path, snapshot)?;
                    // A file that changes often holds still for a shorter time.
                    batch = (batch / 4).max(1);
                }
                let mut part = Part::new(decoder, codes, FAILURES_MAX - told.failures);
                part.go_on(&mut inspector, from, batch)?;
                Ok(if inspector.is_current()? {
                    Attempt::Steady(part)
                } else {
                    Attempt::Changed
                })
            })?;
            next = part.next;
            let room = FINDINGS_MAX.saturating_sub(self.decoder_findings());
            self.findings.extend(part.findings.into_iter().take(room));
            told.add(part.told);
            progress(told.pages, self.pages.max(told.pages));
        }
        self.warnings += self.decoder_findings();
        self.decoded = Some(told);
        Ok(())
    }

    fn decoder_findings(&self) -> usize {
        let findings = self.findings.iter().rev();
        findings
            .take_while(|found| found.id.starts_with(FINDING))
            .count()
    }
}

impl Decoding {
    /// Adds what was told of further pages.
    fn add(&mut self, part: Self) {
        self.pages += part.pages;
        self.known += part.known;
        self.problems += part.problems;
        self.failures += part.failures;
        self.given_up |= part.given_up;
        for more in part.kinds {
            self.count(more);
        }
    }

    fn count(&mut self, more: DecodedKind) {
        match self.kinds.binary_search_by(|it| it.kind.cmp(&more.kind)) {
            Ok(place) => self.kinds[place].count += more.count,
            Err(place) if self.kinds.len() < KINDS_MAX => self.kinds.insert(place, more),
            Err(_) => {}
        }
    }
}

/// The codes of the kinds of pages that matter here.
#[derive(Clone, Copy)]
struct Codes {
    regular: Option<u8>,
    free: Option<u8>,
}

impl Codes {
    fn of(inspector: &mut Inspector) -> Result<Self, Error> {
        let kinds = inspector.page_kinds()?;
        let code = |name| {
            kinds
                .iter()
                .find(|kind| kind.name == name)
                .map(|kind| kind.code)
        };
        Ok(Self {
            regular: code("regular"),
            free: code("free"),
        })
    }
}

/// The page to go on from.
#[derive(Clone, Copy)]
enum Next {
    /// The protected page of this id, or the first after it.
    Protected(u64),
    /// This page, or the first regular one after it.
    Regular(u64),
}

/// What was told of some pages, and where it goes on; nowhere: that was all, or
/// the decoder failed too often.
struct Part<'d> {
    decoder: &'d dyn Decode,
    codes: Codes,
    failures_left: u64,
    told: Decoding,
    findings: Vec<Found>,
    next: Option<Next>,
}

impl<'d> Part<'d> {
    fn new(decoder: &'d dyn Decode, codes: Codes, failures_left: u64) -> Self {
        Self {
            decoder,
            codes,
            failures_left,
            told: Decoding::default(),
            findings: Vec::new(),
            next: None,
        }
    }

    /// Decodes at most `batch` pages.
    fn go_on(&mut self, inspector: &mut Inspector, from: Next, batch: u32) -> Result<(), Error> {
        let pages = match from {
            Next::Protected(start) => {
                let entries = inspector.directory(start, batch, false)?;
                let after = entries.last().and_then(|last| last.id.checked_add(1));
                self.next = Some(after.map_or(Next::Regular(0), Next::Protected));
                let places = entries.into_iter().map(|entry| At {
                    page: entry.page,
                    protected: Some(entry.id),
                });
                places.collect()
            }
            Next::Regular(first) => self.regular(inspector, first, batch)?,
        };
        for at in pages {
            self.page(inspector, at)?;
            if self.told.failures >= self.failures_left {
                self.told.given_up = true;
                self.next = None;
                break;
            }
        }
        Ok(())
    }

    fn regular(
        &mut self,
        inspector: &mut Inspector,
        first: u64,
        batch: u32,
    ) -> Result<Vec<At>, Error> {
        let kinds = inspector.kinds(first, KINDS_READ)?;
        let mut pages = Vec::new();
        for (page, kind) in (first..).zip(kinds) {
            // What is not in the file has no bytes.
            if page >= inspector.geometry().page_count {
                break;
            }
            if pages.len() == batch as usize {
                self.next = Some(Next::Regular(page));
                return Ok(pages);
            }
            if Some(kind) == self.codes.regular {
                pages.push(At {
                    page: Some(page),
                    protected: None,
                });
            }
        }
        let after = first.saturating_add(KINDS_READ.into());
        self.next = (after < inspector.geometry().page_count).then_some(Next::Regular(after));
        Ok(pages)
    }

    fn page(&mut self, inspector: &mut Inspector, at: At) -> Result<(), Error> {
        let mut bytes = vec![0; inspector.geometry().page_size.bytes()];
        match at
            .page
            .map_or(Ok(()), |page| inspector.read(page, 0, &mut bytes))
        {
            Ok(()) => {}
            // That the page is not there the check has said.
            Err(Error::Store { .. }) => return Ok(()),
            Err(error) => return Err(error),
        }
        self.told.pages += 1;
        match self.decoder.decode(&bytes, at) {
            Ok(None) => {}
            Ok(Some(decoded)) => self.known(inspector, at, &bytes, decoded)?,
            Err(Error::Decoder { cause, .. }) => {
                self.told.failures += 1;
                self.findings.push(failure(self.decoder, at, &cause));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn known(
        &mut self,
        inspector: &mut Inspector,
        at: At,
        bytes: &[u8],
        decoded: Decoded,
    ) -> Result<(), Error> {
        for field in &decoded.fields {
            let why = match field.refers_to {
                Some(target) => self.dangling(inspector, target)?,
                None => None,
            };
            let said = Some(&field.problem).filter(|text| !text.is_empty());
            for problem in said.cloned().into_iter().chain(why) {
                self.told.problems += 1;
                if self.findings.len() < FINDINGS_MAX {
                    let title = &decoded.title;
                    let text = format!("{title}, {}: {problem}", field.name);
                    let part = bytes.get(field.offset as usize..).unwrap_or_default();
                    let len = (field.len as usize).min(EVIDENCE_MAX).min(part.len());
                    let mut found = problem_of(self.decoder, at, &text);
                    found.offset = field.offset;
                    found.evidence = part[..len].to_vec();
                    self.findings.push(found);
                }
            }
        }
        self.told.known += 1;
        self.told.count(DecodedKind {
            kind: decoded.kind,
            letter: decoded.letter,
            count: 1,
        });
        Ok(())
    }

    /// What is wrong with a reference to a page, if anything is.
    fn dangling(&self, inspector: &mut Inspector, target: Target) -> Result<Option<String>, Error> {
        Ok(match target {
            Target::Protected(id) => {
                let entries = inspector.directory(id, 1, false)?;
                let is_there = entries.first().is_some_and(|entry| entry.id == id);
                (!is_there).then(|| format!("it names protected page {id}, which is not there"))
            }
            Target::Page(page) => match inspector.kinds(page, 1)?.first().copied() {
                None => Some(format!("it names page {page}, which is not there")),
                kind if kind == self.codes.free => {
                    Some(format!("it names page {page}, which is free"))
                }
                Some(_) => None,
            },
        })
    }
}

fn problem_of(decoder: &dyn Decode, at: At, text: &str) -> Found {
    let name = decoder.name();
    Found {
        id: format!("{FINDING}problem"),
        severity: Severity::Warning,
        page: at.page,
        offset: 0,
        evidence: Vec::new(),
        message: format!("{}{text}", owner(at)),
        meaning: format!(
            "The decoder {name:?} says so. The pager has kept the page as it was given it, and \
             does not know what it means."
        ),
        remedy: "The program whose page it is has to mend it: `pagebox repair` does not change \
                 what programs wrote."
            .to_owned(),
    }
}

fn failure(decoder: &dyn Decode, at: At, cause: &str) -> Found {
    let name = decoder.name();
    Found {
        id: format!("{FINDING}failed"),
        severity: Severity::Warning,
        page: at.page,
        offset: 0,
        evidence: Vec::new(),
        message: format!("{}the decoder failed: {cause}", owner(at)),
        meaning: format!("The decoder {name:?} could not say what the page is."),
        remedy: "Correct the decoder: it has to answer for any bytes.".to_owned(),
    }
}

/// Whose bytes they are, where the number of the page does not say it.
fn owner(at: At) -> String {
    at.protected
        .map_or_else(String::new, |id| format!("protected page {id}: "))
}
