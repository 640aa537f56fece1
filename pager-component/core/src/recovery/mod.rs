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
//! - R6. Everything that is named is in range, allocated, owned once, valid;
//!   and no copy of a directory block that a tagged page 0 names was written by
//!   a later commit than page 0.
//!
//! The last of these tells a copy of the file that was read, from its first page
//! to its last, while a writer was at work: a directory that is as page 0 named
//! it is of that commit, as a whole, and what it names proves itself by its
//! checksum. What cannot be told, since nothing in the bytes differs from what a
//! crash leaves: a copy whose first pages are *newer* than the rest, as a
//! program may take it that reads backwards or here and there; one of a file
//! that `mappedpages` wrote last, which has no tags; one that was read during
//! 2^31 commits, or its first two pages during exactly a multiple of 2^15; and
//! what callers wrote to regular pages in place.
//!
//! The rules and what fails without each are those of format 0's verified
//! protocol.

mod build;
mod decide;
mod read;
mod steady;
mod torn;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_store::PageStore;

use crate::error::Error;
use crate::finding::{Finding, FindingKind, Severity, evidence};
use crate::format::bytes::array_at;
use crate::format::metadata;
use crate::format::superblock::{self, BlockRef, Head, identify};
use crate::ids::Side;
use crate::state::State;

pub(crate) use read::read_page;
use read::{MetadataRead, read_metadata, usize_of};
pub use steady::{TRIES, Witness, recover_steadily};
pub(crate) use torn::{is_newer, low32};

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

    let decision = decide::decide(store, page_size, &page0, &head, &named, &other, &mut log)?;
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
