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
        let mut run = DecodingRun::new(decoder);
        while !run.is_complete() {
            let mut batch = BATCH;
            let mut is_first = true;
            let (after, findings) = steadily(|| {
                if !std::mem::take(&mut is_first) {
                    inspector = look(engine, path, snapshot)?;
                    // A file that changes often holds still for a shorter time.
                    batch = (batch / 4).max(1);
                }
                let mut run = run.clone();
                let findings = run.step(&mut inspector, decoder, batch)?;
                Ok(if inspector.is_current()? {
                    Attempt::Steady((run, findings))
                } else {
                    Attempt::Changed
                })
            })?;
            run = after;
            self.warnings += findings.len();
            self.findings.extend(findings);
            progress(run.told.pages, self.pages.max(run.told.pages));
        }
        self.decoded = Some(run.told);
        Ok(())
    }
}

/// What has to be known of a file for its pages to be decoded. An
/// [`Inspector`](crate::Inspector) knows it.
pub trait PagesToDecode {
    /// Why something could not be found out.
    type Error;

    /// Bytes in a page.
    ///
    /// # Errors
    /// As the kind of file has them; so of the others.
    fn page_size(&mut self) -> Result<usize, Self::Error>;

    /// The code of the kind of pages of this name.
    ///
    /// # Errors
    /// See above.
    fn code_of(&mut self, kind: &str) -> Result<Option<u8>, Self::Error>;

    /// The codes of the kinds of `count` pages from `first` on; fewer at the end.
    ///
    /// # Errors
    /// See above.
    fn kinds(&mut self, first: u64, count: u32) -> Result<Vec<u8>, Self::Error>;

    /// Protected pages by their ids, and where they are: at most `limit`, from
    /// `start` on.
    ///
    /// # Errors
    /// See above.
    fn protected(&mut self, start: u64, limit: u32)
    -> Result<Vec<(u64, Option<u64>)>, Self::Error>;

    /// The bytes of a whole page; none where the file does not have them.
    ///
    /// # Errors
    /// See above.
    fn bytes(&mut self, page: u64) -> Result<Option<Vec<u8>>, Self::Error>;
}

impl PagesToDecode for Inspector {
    type Error = Error;

    fn page_size(&mut self) -> Result<usize, Error> {
        Ok(self.geometry().page_size.bytes())
    }

    fn code_of(&mut self, kind: &str) -> Result<Option<u8>, Error> {
        let kinds = self.page_kinds()?;
        let found = kinds.iter().find(|each| each.name == kind);
        Ok(found.map(|found| found.code))
    }

    fn kinds(&mut self, first: u64, count: u32) -> Result<Vec<u8>, Error> {
        Self::kinds(self, first, count)
    }

    fn protected(&mut self, start: u64, limit: u32) -> Result<Vec<(u64, Option<u64>)>, Error> {
        let entries = self.directory(start, limit, false)?.into_iter();
        Ok(entries.map(|entry| (entry.id, entry.page)).collect())
    }

    fn bytes(&mut self, page: u64) -> Result<Option<Vec<u8>>, Error> {
        let mut bytes = vec![0; self.geometry().page_size.bytes()];
        match self.read(page, 0, &mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            // That the page is not there the check has said.
            Err(Error::Store { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Decoding {
    fn count(&mut self, more: DecodedKind) {
        match self.kinds.binary_search_by(|it| it.kind.cmp(&more.kind)) {
            Ok(place) => self.kinds[place].count += more.count,
            Err(place) if self.kinds.len() < KINDS_MAX => self.kinds.insert(place, more),
            Err(_) => {}
        }
    }
}

/// The codes of the kinds of pages that matter here.
#[derive(Clone, Copy, Debug)]
struct Codes {
    regular: Option<u8>,
    free: Option<u8>,
}

/// A walk over all pages of a file that a program can have bytes in, by which a
/// decoder is asked about each of them: the protected ones by their ids, then the
/// regular ones.
#[derive(Clone, Debug)]
pub struct DecodingRun {
    told: Decoding,
    codes: Option<Codes>,
    /// Nothing: that was all, or the decoder failed too often.
    next: Option<Next>,
    /// Findings so far.
    listed: usize,
}

impl DecodingRun {
    /// Before the first page.
    pub fn new(decoder: &dyn Decode) -> Self {
        Self {
            told: Decoding {
                decoder: decoder.name().to_owned(),
                ..Decoding::default()
            },
            codes: None,
            next: Some(Next::Protected(0)),
            listed: 0,
        }
    }

    /// Whether there are no more pages, or the decoder failed so often that it is
    /// asked no more.
    pub fn is_complete(&self) -> bool {
        self.next.is_none()
    }

    /// What was told so far.
    pub fn told(&self) -> &Decoding {
        &self.told
    }

    /// Asks about the next pages, `batch` at most, and returns what is wrong.
    ///
    /// # Errors
    /// Those of `pages`. The walk is then where it was, or some pages further: it
    /// is not to be gone on with.
    pub fn step<P: PagesToDecode>(
        &mut self,
        pages: &mut P,
        decoder: &dyn Decode,
        batch: u32,
    ) -> Result<Vec<Found>, P::Error> {
        let codes = match self.codes {
            Some(codes) => codes,
            None => *self.codes.insert(Codes {
                regular: pages.code_of("regular")?,
                free: pages.code_of("free")?,
            }),
        };
        let mut step = Step {
            run: self,
            pages,
            decoder,
            codes,
            findings: Vec::new(),
        };
        step.go_on(batch.max(1))?;
        let findings = step.findings;
        self.listed += findings.len();
        Ok(findings)
    }
}

/// The page to go on from.
#[derive(Clone, Copy, Debug)]
enum Next {
    /// The protected page of this id, or the first after it.
    Protected(u64),
    /// This page, or the first regular one after it.
    Regular(u64),
}

/// Some pages of a walk.
struct Step<'s, P> {
    run: &'s mut DecodingRun,
    pages: &'s mut P,
    decoder: &'s dyn Decode,
    codes: Codes,
    findings: Vec<Found>,
}

impl<P: PagesToDecode> Step<'_, P> {
    fn go_on(&mut self, batch: u32) -> Result<(), P::Error> {
        let places = match self.run.next {
            None => Vec::new(),
            Some(Next::Protected(start)) => self.protected(start, batch)?,
            Some(Next::Regular(first)) => self.regular(first, batch)?,
        };
        for at in places {
            self.page(at)?;
            if self.run.told.failures >= FAILURES_MAX {
                self.run.told.given_up = true;
                self.run.next = None;
                break;
            }
        }
        Ok(())
    }

    fn protected(&mut self, start: u64, batch: u32) -> Result<Vec<At>, P::Error> {
        let pages = self.pages.protected(start, batch)?;
        let after = pages.last().and_then(|(last, _)| last.checked_add(1));
        self.run.next = Some(after.map_or(Next::Regular(0), Next::Protected));
        let places = pages.into_iter().map(|(id, page)| At {
            page,
            protected: Some(id),
        });
        Ok(places.collect())
    }

    fn regular(&mut self, first: u64, batch: u32) -> Result<Vec<At>, P::Error> {
        let kinds = self.pages.kinds(first, KINDS_READ)?;
        let after = first + kinds.len() as u64;
        self.run.next = (!kinds.is_empty()).then_some(Next::Regular(after));
        let mut places = Vec::new();
        for (page, kind) in (first..).zip(kinds) {
            if places.len() == batch as usize {
                self.run.next = Some(Next::Regular(page));
                break;
            }
            if Some(kind) == self.codes.regular {
                places.push(At {
                    page: Some(page),
                    protected: None,
                });
            }
        }
        Ok(places)
    }

    fn page(&mut self, at: At) -> Result<(), P::Error> {
        let bytes = match at.page {
            None => Some(vec![0; self.pages.page_size()?]),
            Some(page) => self.pages.bytes(page)?,
        };
        let Some(bytes) = bytes else {
            return Ok(());
        };
        self.run.told.pages += 1;
        let cause = match self.decoder.decode(&bytes, at) {
            Ok(None) => return Ok(()),
            Ok(Some(decoded)) => return self.known(at, &bytes, decoded),
            Err(Error::Decoder { cause, .. }) => cause,
            Err(error) => error.to_string(),
        };
        self.run.told.failures += 1;
        self.findings.push(failure(self.decoder, at, &cause));
        Ok(())
    }

    fn known(&mut self, at: At, bytes: &[u8], decoded: Decoded) -> Result<(), P::Error> {
        for field in &decoded.fields {
            let why = match field.refers_to {
                Some(target) => self.dangling(target)?,
                None => None,
            };
            let said = Some(&field.problem).filter(|text| !text.is_empty());
            for problem in said.cloned().into_iter().chain(why) {
                self.run.told.problems += 1;
                if self.run.listed + self.findings.len() < FINDINGS_MAX {
                    let text = format!("{}, {}: {problem}", decoded.title, field.name);
                    let part = bytes.get(field.offset as usize..).unwrap_or_default();
                    let len = (field.len as usize).min(EVIDENCE_MAX).min(part.len());
                    let mut found = problem_of(self.decoder, at, &text);
                    found.offset = field.offset;
                    found.evidence = part[..len].to_vec();
                    self.findings.push(found);
                }
            }
        }
        self.run.told.known += 1;
        self.run.told.count(DecodedKind {
            kind: decoded.kind,
            letter: decoded.letter,
            count: 1,
        });
        Ok(())
    }

    /// What is wrong with a reference to a page, if anything is.
    fn dangling(&mut self, target: Target) -> Result<Option<String>, P::Error> {
        Ok(match target {
            Target::Protected(id) => {
                let found = self.pages.protected(id, 1)?;
                let is_there = found.first().is_some_and(|(found, _)| *found == id);
                (!is_there).then(|| format!("it names protected page {id}, which is not there"))
            }
            Target::Page(page) => match self.pages.kinds(page, 1)?.first().copied() {
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
    let meaning = format!(
        "The decoder {:?} says so. The pager has kept the page as it was given it, and does not \
         know what it means.",
        decoder.name()
    );
    let remedy = "The program whose page it is has to mend it: `pagebox repair` does not change \
                  what programs wrote.";
    found("problem", at, text, meaning, remedy)
}

fn failure(decoder: &dyn Decode, at: At, cause: &str) -> Found {
    let text = format!("the decoder failed: {cause}");
    let meaning = format!(
        "The decoder {:?} could not say what the page is.",
        decoder.name()
    );
    let remedy = "Correct the decoder: it has to answer for any bytes.";
    found("failed", at, &text, meaning, remedy)
}

/// A finding of which no bytes are known.
fn found(what: &str, at: At, text: &str, meaning: String, remedy: &str) -> Found {
    Found {
        id: format!("{FINDING}{what}"),
        severity: Severity::Warning,
        page: at.page,
        offset: 0,
        evidence: Vec::new(),
        message: format!("{}{text}", owner(at)),
        meaning,
        remedy: remedy.to_owned(),
    }
}

/// Whose bytes they are, where the number of the page does not say it.
fn owner(at: At) -> String {
    at.protected
        .map_or_else(String::new, |id| format!("protected page {id}: "))
}
