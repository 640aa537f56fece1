//! What recovery decided, in the words that are the same for every format: a
//! verdict, findings, and the reasoning.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_store::PageStore;

use super::error::Damage;
use super::file::File;
use super::findings;
use super::recover::{self, Decision};
use super::shape::Shape;
use super::slots;
use crate::finding::{self, Finding};
use crate::ids::Side;
use crate::read::read_page;
use crate::reasoning::{Explain, Log, Step, Verdict};

/// Bytes of a root slot that show whose it is: magic, length, checksum and
/// generation.
const EVIDENCE: usize = 40;

/// What recovery decided, and why.
pub(crate) struct Reasons {
    pub(crate) verdict: Verdict,
    pub(crate) file: File,
    pub(crate) findings: Vec<Finding>,
    pub(crate) steps: Vec<Step>,
}

/// Decides which state of a store counts.
pub(crate) fn recover<S: PageStore>(store: &S, explain: Explain) -> Result<Reasons, super::Error> {
    let decision = recover::recover(store, None)?;
    let mut log = Log {
        explain,
        steps: Vec::new(),
        findings: Vec::new(),
    };
    let verdict = explain_decision(store, &decision, &mut log);
    Ok(Reasons {
        verdict,
        file: File::of(decision),
        findings: log.findings,
        steps: log.steps,
    })
}

fn explain_decision<S: PageStore>(store: &S, decision: &Decision, log: &mut Log) -> Verdict {
    let shape = decision.layout.shape();
    let verdict = match (&decision.damage, decision.verdict) {
        (Some(_), _) => Verdict::Damaged,
        (None, super::Verdict::Acknowledged) => Verdict::Clean,
        (None, super::Verdict::Complete) => Verdict::RolledForward,
        (None, super::Verdict::OneRoot | super::Verdict::RolledBack) => Verdict::RolledBack,
    };
    if let Some(damage) = &decision.damage {
        log.find(damage.finding());
    }
    header(store, decision, log);
    for (side, slot) in Side::BOTH.into_iter().zip(&decision.slots) {
        let page = first_page(shape, side);
        let bytes = read_page(store, page).ok().flatten().unwrap_or_default();
        let text = match slot {
            Ok(generation) => {
                format!("root slot {side} holds a valid record of generation {generation}")
            }
            Err(fault) => format!("root slot {side} holds no valid record: {fault}"),
        };
        if slot.is_err() && decision.damage.is_none() {
            let finding = Finding::new(findings::ROOT_OTHER, Some(page), text.clone());
            log.find(finding.with_evidence(&bytes, 0, EVIDENCE));
        }
        log.step("slots", Some((page, &bytes, 0, EVIDENCE)), || text);
    }
    if let Some(rejected) = &decision.rejected {
        let side = decision.side.other();
        let page = first_page(shape, side);
        let text = format!("the commit in root slot {side} was not finished: {rejected}");
        log.find(Finding::new(
            finding::UNFINISHED_COMMIT,
            Some(page),
            text.clone(),
        ));
        log.step("verify", None, || text);
    }
    log.step("verdict", None, || conclusion(decision));
    verdict
}

fn header<S: PageStore>(store: &S, decision: &Decision, log: &mut Log) {
    let bytes = read_page(store, 0).ok().flatten().unwrap_or_default();
    let text = if decision.header_is_rotten {
        "the header is rotten; the root records repeat what it says".to_string()
    } else {
        format!(
            "the header names format 1 and pages of {} bytes",
            decision.layout.shape().page_size
        )
    };
    if decision.header_is_rotten {
        let finding = Finding::new(findings::HEADER, Some(0), text.clone());
        log.find(finding.with_evidence(&bytes, 0, EVIDENCE));
    }
    log.step("header", Some((0, &bytes, 0, EVIDENCE)), || text);
}

fn conclusion(decision: &Decision) -> String {
    let side = decision.side;
    let generation = decision.chosen.record.generation;
    if decision.damage.is_some() {
        return format!(
            "nothing counts for certain; slot {side}, generation {generation}, is shown as far as it proves itself"
        );
    }
    match decision.verdict {
        super::Verdict::Acknowledged => {
            format!(
                "both records are equal, so generation {generation} was acknowledged: it counts"
            )
        }
        super::Verdict::Complete => format!(
            "slot {side} is newer, and all that its commit wrote is there: generation {generation} counts"
        ),
        super::Verdict::OneRoot => format!(
            "only slot {side} holds a record, and what it reaches is as committed: generation {generation} counts"
        ),
        super::Verdict::RolledBack => {
            format!("the older record, slot {side}, generation {generation}, counts")
        }
    }
}

/// The page that a root slot begins in.
pub(super) fn first_page(shape: Shape, side: Side) -> u64 {
    slots::position(shape.unit(), side) >> shape.page_size.log2()
}

impl Damage {
    /// It as a finding.
    pub(crate) fn finding(self) -> Finding {
        let page = match self {
            // Of page 0: the root record says it of the whole file.
            Self::Unsound { page, .. } => Some(page).filter(|&page| page != 0),
            Self::NoRoot | Self::TwoFiles | Self::TwoRecords | Self::Homes => None,
        };
        let kind = match self {
            Self::Unsound { fault, .. } if fault == super::check::TOO_SHORT => {
                finding::FILE_TOO_SHORT
            }
            _ => findings::ROOTS,
        };
        Finding::new(kind, page, self.to_string())
    }
}
