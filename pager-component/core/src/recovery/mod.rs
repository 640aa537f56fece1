//! Recovery: deciding at open which state counts. A function of the bytes
//! alone; writes nothing.
//!
//! *A crash is mended silently, damage never.* Page 0 names the state. What a
//! crash of ours or of the peer can leave is understood and decided; what none
//! can leave is damage: it is reported with its evidence, what the bytes still
//! prove can be read, and nothing may be written.
//!
//! - R1. Page 0's head is well-formed.
//! - R2. The named metadata passes its checksum and is of the generation that
//!   page 0's tag says.
//! - R3. The directory section is whole: empty, or its checksum holds and it is
//!   no mixture whose checksum happens to agree. Then page 0 is the state.
//! - R4. Torn by a commit of ours: all that page 0 announced is durable, so
//!   the commit counts.
//! - R5. Torn by the peer: the stored checksum decides.
//! - R6. Everything that is named is in range, allocated, owned once, valid.
//!
//! The rules and what fails without each are those of format 0's verified
//! protocol.

mod build;
mod torn;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use pagebox_store::{PageSize, PageStore, StoreError};

use crate::error::{Error, Operation};
use crate::finding::{Finding, FindingKind, Severity, evidence};
use crate::format::bytes::array_at;
use crate::format::directory::{self, DirectoryCopy};
use crate::format::metadata::{self, Metadata};
use crate::format::superblock::{self, BlockRef, Head, identify};
use crate::format::{computed_seal, is_sealed, stored_seal};
use crate::ids::Side;
use crate::state::State;

pub(crate) use torn::low32;
use torn::{Resolved, Torn};

/// What recovery decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Page 0 names the newest state there is.
    Clean,
    /// A commit was not finished; the state before it counts.
    RolledBack,
    /// A commit was torn in its last write; the state after it counts.
    RolledForward,
    /// No crash can have left this: to be read in part, not to be written.
    Damaged,
}

impl Verdict {
    /// `clean`, `rolled-back`, `rolled-forward` or `damaged`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clean => "clean",
            Self::RolledBack => "rolled-back",
            Self::RolledForward => "rolled-forward",
            Self::Damaged => "damaged",
        }
    }

    /// The verdict in a sentence.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Clean => "Page 0 names the newest state there is, and all of it agrees.",
            Self::RolledBack => {
                "A commit was not finished: page 0 still names the state before it, which counts."
            }
            Self::RolledForward => {
                "A crash tore page 0 while it was written; all that it announced is durable, so the commit counts."
            }
            Self::Damaged => {
                "The file holds what no crash can leave: it can be read as far as its bytes prove themselves, and must be repaired before it is changed."
            }
        }
    }
}

/// A step of the reasoning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// `R1` to `R6`.
    pub rule: &'static str,
    /// What was looked at and what follows.
    pub text: String,
    /// Where the evidence is.
    pub page: Option<u64>,
    /// Where in the page.
    pub offset: u32,
    /// What is there.
    pub evidence: Vec<u8>,
}

/// Whether the reasoning is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explain {
    /// Yes, for people.
    Yes,
    /// No, only the outcome.
    No,
}

/// What recovery decided, and why.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// The decision.
    pub verdict: Verdict,
    /// What counts; of a damaged file what is left of it.
    pub state: State,
    /// What was found, the damage first.
    pub findings: Vec<Finding>,
    /// The reasoning, where it was asked for.
    pub steps: Vec<Step>,
}

/// A page 0 that may be the right one.
struct Candidate {
    side: Side,
    tagged: bool,
    blocks: Vec<BlockRef>,
}

/// One of the two metadata pages as it was read.
struct MetadataRead {
    side: Side,
    bytes: Vec<u8>,
    parsed: Result<Metadata, Finding>,
}

/// Decides which state of a store counts.
///
/// # Errors
/// [`Error::Identity`] and [`Error::PageSizeMismatch`]: not a page file that
/// we can read. [`Error::Corrupt`]: a superblock of which nothing follows.
/// [`Error::Store`]: it could not be read.
pub fn recover<S: PageStore>(store: &S, explain: Explain) -> Result<Recovery, Error> {
    let page_size = store.geometry().page_size;
    let page0 = read_page0(store)?;
    let mut log = Log {
        explain,
        steps: Vec::new(),
        findings: Vec::new(),
    };
    let head = read_head(&page0, &mut log)?;

    let mut named = read_metadata(store, page_size, head.side)?;
    let other = read_metadata(store, page_size, head.side.other())?;
    judge_named(&head, &mut named, &mut log);

    let decision = decide(store, page_size, &page0, &head, &named, &other, &mut log)?;
    let valid = [&named, &other].map(|read| read.parsed.as_ref().ok());
    let highest_generation = valid
        .into_iter()
        .flatten()
        .map(|found| found.generation)
        .max();
    let (verdict, candidate) = decision;
    let counts = if candidate.side == named.side {
        &named
    } else {
        &other
    };
    let state = build::build(
        store,
        build::Inputs {
            page_size,
            identity: head.identity,
            candidate,
            metadata: counts.parsed.as_ref().ok(),
            highest_generation: highest_generation.unwrap_or(0),
        },
        &mut log,
    )?;
    let damaged = log
        .findings
        .iter()
        .any(|finding| finding.kind.severity() == Severity::Error);
    log.findings
        .sort_by_key(|finding| core::cmp::Reverse(finding.kind.severity()));
    Ok(Recovery {
        verdict: if damaged { Verdict::Damaged } else { verdict },
        state,
        findings: log.findings,
        steps: log.steps,
    })
}

fn read_page0<S: PageStore>(store: &S) -> Result<Vec<u8>, Error> {
    let geometry = store.geometry();
    let Some(page0) = read_page(store, 0)? else {
        let found = usize::try_from(geometry.tail).unwrap_or(usize::MAX);
        return Err(Error::Identity(superblock::IdentityFault::Short(found)));
    };
    let file = identify(&page0).map_err(Error::Identity)?;
    if file != geometry.page_size {
        return Err(Error::PageSizeMismatch {
            file,
            store: geometry.page_size,
        });
    }
    Ok(page0)
}

/// R1. A head that cannot be believed is damage; what its fields would say is
/// taken as far as it makes sense, so that something can be read.
fn read_head(page0: &[u8], log: &mut Log) -> Result<Head, Error> {
    let fault =
        match Head::parse(page0) {
            Ok(head) => {
                log.step("R1", Some((0, page0, superblock::offset::SIDE, 8)), || match head.tag {
                Some(tag) => format!(
                    "page 0 names metadata {} and is tagged with a generation ending in {tag}",
                    head.side
                ),
                None => format!("page 0 names metadata {} and has no tag", head.side),
            });
                return Ok(head);
            }
            Err(fault) => fault,
        };
    let (offset, len) = fault.range();
    log.step("R1", Some((0, page0, offset, len)), || {
        format!("{fault}: damage")
    });
    log.find(
        Finding::new(
            FindingKind::SuperblockHead,
            Some(0),
            format!("the superblock cannot be believed: {fault}"),
        )
        .with_evidence(page0, offset, len),
    );
    let side = match fault {
        superblock::HeadFault::Side(_) => {
            return Err(Error::Corrupt {
                page: 0,
                detail: fault.to_string(),
            });
        }
        _ => array_at::<1>(page0, superblock::offset::SIDE),
    };
    let [side] = side;
    Ok(Head {
        identity: array_at(page0, 0),
        side: Side::from_byte(side).ok_or_else(|| Error::Corrupt {
            page: 0,
            detail: fault.to_string(),
        })?,
        tag: None,
    })
}

/// R2. The named metadata must be valid and of the tag's generation.
fn judge_named(head: &Head, named: &mut MetadataRead, log: &mut Log) {
    let page = metadata::page_of(named.side);
    let found = match &named.parsed {
        Ok(found) => found,
        Err(finding) => {
            log.step(
                "R2",
                Some((page, &named.bytes, usize_of(finding.offset), 8)),
                || format!("{}: damage", finding.message),
            );
            let finding = finding.clone();
            log.find(finding);
            return;
        }
    };
    let generation = found.generation;
    if let Some(tag) = head.tag
        && tag != superblock::low15(generation)
    {
        let message = format!(
            "metadata {} is of generation {generation}, but page 0 was written with a generation ending in {tag}",
            named.side
        );
        let finding = Finding::new(FindingKind::MetadataTag, Some(page), message).with_evidence(
            &named.bytes,
            metadata::offset::GENERATION,
            8,
        );
        log.step(
            "R2",
            Some((page, &named.bytes, metadata::offset::GENERATION, 8)),
            || format!("{}: damage", finding.message),
        );
        log.find(finding.clone());
        named.parsed = Err(finding);
        return;
    }
    log.step(
        "R2",
        Some((page, &named.bytes, metadata::offset::GENERATION, 8)),
        || {
            format!(
                "metadata {} is valid, of generation {generation}",
                named.side
            )
        },
    );
}

/// R3 to R5: which page 0 counts.
fn decide<S: PageStore>(
    store: &S,
    page_size: PageSize,
    page0: &[u8],
    head: &Head,
    named: &MetadataRead,
    other: &MetadataRead,
    log: &mut Log,
) -> Result<(Verdict, Candidate), Error> {
    let copies = Copies { store, page_size };
    let pair = (named.parsed.as_ref().ok(), other.parsed.as_ref().ok());
    let section_holds =
        superblock::section_is_empty(page0) || is_sealed(page0, superblock::offset::SECTION);
    let mixture = section_holds && is_hidden_mixture(&copies, page0, page_size, head, pair)?;
    if section_holds && !mixture {
        if let Some(candidate) = whole(page0, page_size, head, log) {
            let verdict = judge_other(head, named, other, log);
            return Ok((verdict, candidate));
        }
        return Ok((Verdict::Damaged, nothing(head)));
    }
    log.step("R3", Some((0, page0, page0.len() - 4, 4)), || {
        if mixture {
            "the directory section is a mixture of two versions whose checksum happens to agree"
                .to_string()
        } else {
            format!(
                "the directory section fails its checksum: stored {:#010x}, computed {:#010x}",
                stored_seal(page0),
                computed_seal(page0, superblock::offset::SECTION)
            )
        }
    });
    if let (Some(named), other) = pair {
        let mut failure = None;
        let mut torn = Torn {
            page_size,
            page0,
            head: *head,
            named,
            other,
            copy_at: |page| match copies.read(page) {
                Ok(copy) => copy,
                Err(error) => {
                    failure.get_or_insert(error);
                    None
                }
            },
        };
        let ours = torn.ours();
        let is_ours = ours.is_some();
        let resolved = ours.or_else(|| torn.peers());
        if let Some(error) = failure {
            return Err(error);
        }
        if let Some(resolved) = resolved {
            return Ok(log_resolved(resolved, is_ours, log));
        }
    }
    log.step("R4", None, || {
        "no commit, of ours or of the peer, can leave this: damage".to_string()
    });
    log.find(
        Finding::new(
            FindingKind::DirectorySection,
            Some(0),
            "the directory section of page 0 fails its checksum, and no crash can have torn it so"
                .to_string(),
        )
        .with_evidence(page0, page0.len() - 4, 4),
    );
    Ok((Verdict::Damaged, nothing(head)))
}

/// No block can be believed; the finding beside it says so.
fn nothing(head: &Head) -> Candidate {
    Candidate {
        side: head.side,
        tagged: head.tag.is_some(),
        blocks: Vec::new(),
    }
}

fn log_resolved(resolved: Resolved, is_ours: bool, log: &mut Log) -> (Verdict, Candidate) {
    let rule = if is_ours { "R4" } else { "R5" };
    let who = if is_ours {
        "a commit"
    } else {
        "a commit of mappedpages"
    };
    match resolved {
        Resolved::Forward(candidate) => {
            log.step(rule, None, || {
                format!("every sector of page 0 is the old or the new one of {who}, and the new is durable: forward")
            });
            log.find(Finding::new(
                FindingKind::FinishedCommit,
                Some(0),
                format!("page 0 was torn in {who}, which is complete all the same"),
            ));
            (Verdict::RolledForward, candidate)
        }
        Resolved::Back(candidate) => {
            log.step(rule, None, || {
                format!("every sector of page 0 is the old or the new one of {who}, and the old counts: back")
            });
            log.find(Finding::new(
                FindingKind::UnfinishedCommit,
                Some(0),
                format!("page 0 was torn in {who}, which is undone"),
            ));
            (Verdict::RolledBack, candidate)
        }
    }
}

/// R3. The section as it is; none where it holds what nobody writes.
fn whole(page0: &[u8], page_size: PageSize, head: &Head, log: &mut Log) -> Option<Candidate> {
    let count = match superblock::block_count(page0, page_size) {
        Ok(count) => count,
        Err(count) => {
            let message =
                format!("page 0 announces {count} directory blocks, more than it has room for");
            log.step(
                "R3",
                Some((0, page0, superblock::offset::SECTION, 4)),
                || format!("{message}: damage"),
            );
            log.find(
                Finding::new(FindingKind::BlockCount, Some(0), message).with_evidence(
                    page0,
                    superblock::offset::SECTION,
                    4,
                ),
            );
            return None;
        }
    };
    let mut blocks = Vec::with_capacity(count);
    for index in 0..count {
        let pages = superblock::block_pages(page0, index);
        match superblock::block_side(page0, index) {
            Ok(active) => blocks.push(BlockRef { pages, active }),
            Err(byte) => {
                let message = format!("directory block {index} has side {byte}, neither 0 nor 1");
                log.step(
                    "R3",
                    Some((0, page0, superblock::block_offset(index), 17)),
                    || format!("{message}: damage"),
                );
                log.find(
                    Finding::new(FindingKind::BlockReference, Some(0), message).with_evidence(
                        page0,
                        superblock::block_offset(index),
                        17,
                    ),
                );
                return None;
            }
        }
    }
    log.step(
        "R3",
        Some((0, page0, superblock::offset::SECTION, 4)),
        || format!("the directory section is whole and names {count} blocks"),
    );
    Some(Candidate {
        side: head.side,
        tagged: head.tag.is_some(),
        blocks,
    })
}

/// The other metadata: was a commit left unfinished?
fn judge_other(head: &Head, named: &MetadataRead, other: &MetadataRead, log: &mut Log) -> Verdict {
    let page = metadata::page_of(other.side);
    let Ok(named) = &named.parsed else {
        return Verdict::Damaged;
    };
    let newer = match &other.parsed {
        Ok(found) if found.generation <= named.generation => {
            log.step(
                "R3",
                Some((page, &other.bytes, metadata::offset::GENERATION, 8)),
                || {
                    format!(
                        "metadata {} is of generation {}, not newer: clean",
                        other.side, found.generation
                    )
                },
            );
            return Verdict::Clean;
        }
        Ok(found) => found,
        Err(finding) => {
            log.step(
                "R3",
                Some((page, &other.bytes, usize_of(finding.offset), 8)),
                || {
                    format!(
                        "metadata {} is not valid: a commit was not finished, back",
                        other.side
                    )
                },
            );
            log.find(Finding {
                kind: FindingKind::MetadataOther,
                ..finding.clone()
            });
            return Verdict::RolledBack;
        }
    };
    log.step(
        "R3",
        Some((page, &other.bytes, metadata::offset::GENERATION, 8)),
        || {
            format!(
                "metadata {} is of generation {}, newer than what page 0 names: back",
                other.side, newer.generation
            )
        },
    );
    let kind = if head.tag.is_some() {
        FindingKind::UnfinishedCommit
    } else {
        FindingKind::SelectorUnproven
    };
    let message = format!(
        "metadata {} is of generation {}, page 0 names generation {}",
        other.side, newer.generation, named.generation
    );
    log.find(Finding::new(kind, Some(page), message).with_evidence(
        &other.bytes,
        metadata::offset::GENERATION,
        8,
    ));
    Verdict::RolledBack
}

/// Whether a section whose checksum holds is a mixture all the same: a CRC is
/// linear, and enough flipped selectors cancel.
fn is_hidden_mixture<S: PageStore>(
    copies: &Copies<'_, S>,
    page0: &[u8],
    page_size: PageSize,
    head: &Head,
    (named, other): (Option<&Metadata>, Option<&Metadata>),
) -> Result<bool, Error> {
    let (Some(named), Ok(count)) = (named, superblock::block_count(page0, page_size)) else {
        return Ok(false);
    };
    let written_by = head.tag.map(|_| low32(named.generation));
    let newer = other
        .map(|other| other.generation)
        .filter(|&other| other > named.generation);
    if written_by.is_none() && newer.is_none() {
        return Ok(false);
    }
    for index in 0..count {
        let Ok(active) = superblock::block_side(page0, index) else {
            continue;
        };
        let pages = superblock::block_pages(page0, index);
        let counts = active.of(pages);
        // Page 0 is new, but this selector is not.
        if let Some(tag) = written_by
            && raw_tag(copies.store, active.other().of(pages))? == Some(tag)
            && raw_tag(copies.store, counts)? != Some(0)
            && copies.read(active.other().of(pages))?.is_some()
        {
            return Ok(true);
        }
        // Page 0 is old, but this selector is not.
        if let Some(newer) = newer
            && raw_tag(copies.store, counts)? == Some(low32(newer))
            && copies.read(counts)?.is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Copies of directory blocks in a store.
struct Copies<'a, S> {
    store: &'a S,
    page_size: PageSize,
}

impl<S: PageStore> Copies<'_, S> {
    /// A page as a copy; none where it is not one.
    fn read(&self, page: u64) -> Result<Option<DirectoryCopy>, Error> {
        let found = read_page(self.store, page)?;
        Ok(found.and_then(|page| DirectoryCopy::parse(page, self.page_size).ok()))
    }
}

/// A page's tag, taken as a copy of a directory block, whatever the page is;
/// none past the end.
fn raw_tag<S: PageStore>(store: &S, page: u64) -> Result<Option<u32>, Error> {
    let mut tag = [0; 4];
    #[expect(clippy::cast_possible_truncation, reason = "a constant of 4")]
    let offset = directory::offset::TAG as u32;
    match store.read(page, offset, &mut tag) {
        Ok(()) => Ok(Some(u32::from_le_bytes(tag))),
        Err(StoreError::OutOfBounds) => Ok(None),
        Err(source) => Err(Error::store(Operation::Read { page })(source)),
    }
}

fn read_metadata<S: PageStore>(
    store: &S,
    page_size: PageSize,
    side: Side,
) -> Result<MetadataRead, Error> {
    let page = metadata::page_of(side);
    let Some(bytes) = read_page(store, page)? else {
        let message = format!("the file ends before metadata {side}, in page {page}");
        let finding = Finding::new(FindingKind::FileTooShort, Some(page), message);
        return Ok(MetadataRead {
            side,
            bytes: Vec::new(),
            parsed: Err(finding),
        });
    };
    let parsed = Metadata::parse(&bytes, page_size).map_err(|fault| {
        let message = format!("metadata {side} cannot be believed: {fault}");
        Finding::new(FindingKind::MetadataNamed, Some(page), message).with_evidence(
            &bytes,
            fault.offset(page_size),
            8,
        )
    });
    Ok(MetadataRead {
        side,
        bytes,
        parsed,
    })
}

/// A whole page; none past the end of the store.
pub(crate) fn read_page<S: PageStore>(store: &S, page: u64) -> Result<Option<Vec<u8>>, Error> {
    let geometry = store.geometry();
    if page >= geometry.page_count {
        return Ok(None);
    }
    let mut bytes = vec![0; geometry.page_size.bytes()];
    match store.read(page, 0, &mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        // The medium was cut off since.
        Err(StoreError::OutOfBounds) => Ok(None),
        Err(source) => Err(Error::store(Operation::Read { page })(source)),
    }
}

fn usize_of(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// What is found and why, as recovery goes on.
struct Log {
    explain: Explain,
    steps: Vec<Step>,
    findings: Vec<Finding>,
}

impl Log {
    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Notes a step; `place` is a page, its bytes, and where the evidence is.
    fn step(
        &mut self,
        rule: &'static str,
        place: Option<(u64, &[u8], usize, usize)>,
        text: impl FnOnce() -> String,
    ) {
        if self.explain == Explain::No {
            return;
        }
        let (page, offset, evidence) =
            place.map_or((None, 0, Vec::new()), |(page, bytes, offset, len)| {
                (
                    Some(page),
                    u32::try_from(offset).unwrap_or(u32::MAX),
                    evidence(bytes, offset, len),
                )
            });
        self.steps.push(Step {
            rule,
            text: text(),
            page,
            offset,
            evidence,
        });
    }
}
