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
//! Why each condition is there stands beside it; what fails without it is in the
//! table of `tests/mutants`, and was found on 38.7 million crash images.

mod build;
mod decide;
mod torn;

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use pagebox_store::PageStore;

use super::findings;
use super::metadata;
use super::read::{MetadataRead, metadata_page};
use super::state::State;
use super::superblock::{self, BlockRef, Head, identify};
use crate::codec::array_at;
use crate::error::Error;
use crate::finding::{self, Finding, Severity};
use crate::identity::IdentityFault;
use crate::ids::Side;
use crate::read::read_page;
use crate::reasoning::{Explain, Log, Step, Verdict};

pub(super) use torn::{is_newer, low32};

/// What recovery decided, and why.
#[derive(Clone, Debug)]
pub struct Decision {
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
pub fn recover<S: PageStore>(store: &S, explain: Explain) -> Result<Decision, Error> {
    let page_size = store.geometry().page_size;
    let page0 = read_page0(store)?;
    let mut log = Log::new(explain);
    let head = read_head(&page0, &mut log)?;

    let mut named = metadata_page(store, head.side)?;
    let other = metadata_page(store, head.side.other())?;
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
    log.sort();
    Ok(Decision {
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
        return Err(Error::Identity(IdentityFault::Short(found)));
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
            finding::SUPERBLOCK_HEAD,
            Some(0),
            format!("the superblock cannot be believed: {fault}"),
        )
        .with_evidence(page0, offset, len),
    );
    let [side] = array_at(page0, superblock::offset::SIDE);
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
        let finding = Finding::new(findings::METADATA_TAG, Some(page), message).with_evidence(
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

fn usize_of(offset: u32) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
