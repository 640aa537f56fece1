//! What recovery decided, in the words that are the same for every format: a
//! verdict, findings, and the reasoning.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use pagebox_store::PageStore;

use super::error::{Damage, Short};
use super::file::File;
use super::findings;
use super::header::{HEADER_LEN, HEADER_SUM, Header, HeaderFault, header_sum};
use super::record::RecordFault;
use super::recover::{self, Decision, Verified};
use super::shape::Shape;
use super::slot_faults::{self, EVIDENCE, Shown};
use super::slots;
use crate::codec::{part, u128_at, wide};
use crate::finding::{self, Finding};
use crate::flip::Flip;
use crate::ids::Side;
use crate::kinds::PageKind;
use crate::read::read_page;
use crate::reasoning::{Explain, Log, Step, Verdict};
use crate::verify::{FLIP_EVIDENCE, explained};

/// Groups of pages of which it is looked up what a file that was cut off has lost:
/// of each at most a leaf and the nodes above it are read.
const GROUPS_LOOKED_AT: u64 = 1024;

/// Bytes of a page that are shown where none of them is evidence more than others.
const FIRST_BYTES: usize = 16;

/// What recovery decided, and why.
pub(crate) struct Reasons {
    pub(crate) verdict: Verdict,
    pub(crate) file: File,
    pub(crate) findings: Vec<Finding>,
    pub(crate) steps: Vec<Step>,
}

/// Decides which state of a store counts.
pub(crate) fn recover<S: PageStore>(store: &S, explain: Explain) -> Result<Reasons, super::Error> {
    let mut decision = recover::recover(store, None)?;
    look_past_the_end(store, &mut decision);
    let mut log = Log::new(explain);
    let verdict = explain_decision(store, &decision, &mut log);
    Ok(Reasons {
        verdict,
        file: File::of(decision),
        findings: log.findings,
        steps: log.steps,
    })
}

/// Looks up what a file that was cut off has lost.
#[cold]
#[inline(never)]
fn look_past_the_end<S: PageStore>(store: &S, decision: &mut Decision) {
    let Some(Damage::Short(short)) = decision.damage else {
        return;
    };
    let layout = decision.layout;
    let last = short.page_count.saturating_sub(1);
    if layout.group_of(last) - layout.group_of(short.pages.min(last)) > GROUPS_LOOKED_AT {
        return;
    }
    let mut file = File::of(Decision {
        layout,
        chosen: decision.chosen.clone(),
        verified: Verified::default(),
        slots: decision.slots,
        ..*decision
    });
    let (mut free, mut used) = (0_u64, 0_u64);
    file.count_kinds(
        store,
        short.pages,
        short.page_count,
        &mut |kind, count| match kind {
            PageKind::FREE => free += count,
            PageKind::UNKNOWN => {}
            _ => used += count,
        },
    );
    decision.damage = Some(Damage::Short(Short {
        kinds: Some((free, used)),
        ..short
    }));
}

fn explain_decision<S: PageStore>(store: &S, decision: &Decision, log: &mut Log) -> Verdict {
    let verdict = match (&decision.damage, decision.verdict) {
        (Some(_), _) => Verdict::Damaged,
        (None, super::Verdict::Acknowledged) => Verdict::Clean,
        (None, super::Verdict::Complete) => Verdict::RolledForward,
        (None, super::Verdict::OneRoot | super::Verdict::RolledBack) => Verdict::RolledBack,
    };
    header(store, decision, log);
    for (side, slot) in Side::BOTH.into_iter().zip(&decision.slots) {
        root_slot(store, decision, side, *slot, log);
    }
    if let Some(damage) = decision.damage {
        log.find(damage.finding());
        unsound(store, damage, log, || damage.to_string());
    }
    if let Some(rejected) = decision.rejected {
        let side = decision.side.other();
        let page = first_page(decision.layout.shape(), side);
        let text = format!("the commit in root slot {side} was not finished: {rejected}");
        log.find(Finding::new(
            finding::UNFINISHED_COMMIT,
            Some(page),
            text.clone(),
        ));
        unsound(store, rejected, log, || text);
    }
    if verdict == Verdict::RolledForward {
        finished(store, decision, log);
    }
    log.step("verdict", None, || conclusion(decision));
    log.sort();
    verdict
}

/// What a root slot holds.
#[cold]
#[inline(never)]
fn root_slot<S: PageStore>(
    store: &S,
    decision: &Decision,
    side: Side,
    slot: Result<u64, RecordFault>,
    log: &mut Log,
) {
    let shape = decision.layout.shape();
    let shown = match slot {
        Ok(generation) => Shown {
            text: format!("root slot {side} holds a valid record of generation {generation}"),
            at: 0,
            len: EVIDENCE,
        },
        Err(fault) => {
            let shown = slot_faults::explain(store, shape, side, fault, &mut log.looks);
            Shown {
                text: format!("root slot {side} holds no valid record: {}", shown.text),
                ..shown
            }
        }
    };
    // A slot can be longer than a page.
    let page_len = shape.page_size.bytes();
    let page = first_page(shape, side) + wide(shown.at / page_len);
    let bytes = read_page(store, page).ok().flatten().unwrap_or_default();
    let (at, len) = (shown.at % page_len, shown.len);
    if slot.is_err() && decision.damage.is_none() {
        let finding = Finding::new(findings::ROOT_OTHER, Some(page), shown.text.clone());
        log.find(finding.with_evidence(&bytes, at, len));
    }
    log.step("slots", Some((page, &bytes, at, len)), || shown.text);
}

/// The step that says why a root does not count, or does and is damaged: at the
/// page that shows it.
#[cold]
#[inline(never)]
fn unsound<S: PageStore>(store: &S, damage: Damage, log: &mut Log, text: impl FnOnce() -> String) {
    let Some(page) = damage.page() else {
        return log.step("verify", None, text);
    };
    let bytes = read_page(store, page).ok().flatten().unwrap_or_default();
    log.step("verify", Some((page, &bytes, 0, FIRST_BYTES)), text);
}

/// That a commit counts whose record was not copied.
#[cold]
#[inline(never)]
fn finished<S: PageStore>(store: &S, decision: &Decision, log: &mut Log) {
    let (side, generation) = (decision.side, decision.chosen.record.generation);
    let page = first_page(decision.layout.shape(), side.other());
    let text = format!(
        "the record of generation {generation} stands in root slot {side} only, and all that its commit wrote is there; root slot {} is of the commit before",
        side.other()
    );
    let bytes = read_page(store, page).ok().flatten().unwrap_or_default();
    let finding = Finding::new(findings::FINISHED_COMMIT, Some(page), text);
    log.find(finding.with_evidence(&bytes, 0, EVIDENCE));
}

fn header<S: PageStore>(store: &S, decision: &Decision, log: &mut Log) {
    let bytes = read_page(store, 0).ok().flatten().unwrap_or_default();
    let shown = if decision.header_is_rotten {
        rotten_header(&bytes, &decision.chosen.record.header)
    } else {
        Shown {
            text: format!(
                "the header names format 1 and pages of {} bytes",
                decision.layout.shape().page_size
            ),
            at: 0,
            len: EVIDENCE,
        }
    };
    let Shown { text, at, len } = shown;
    if decision.header_is_rotten {
        let finding = Finding::new(findings::HEADER, Some(0), text.clone());
        log.find(finding.with_evidence(&bytes, at, len));
    }
    log.step("header", Some((0, &bytes, at, len)), || text);
}

/// What of a header is not as the root records repeat it.
#[cold]
#[inline(never)]
fn rotten_header(bytes: &[u8], header: &Header) -> Shown {
    let rotten = "the header is rotten, and the root records repeat what it says";
    if bytes.len() < HEADER_LEN {
        return Shown {
            text: rotten.to_string(),
            at: 0,
            len: EVIDENCE,
        };
    }
    let fault = match Header::decode(part(bytes, 0, HEADER_LEN)) {
        Err(HeaderFault::Checksum) => format!(
            ": its checksum is {:#034x}, not {:#034x} as it says",
            header_sum(bytes),
            u128_at(bytes, HEADER_SUM)
        ),
        Err(fault) => format!(": {fault}"),
        Ok(_) => String::new(),
    };
    let wanted = header.encode();
    let pairs = bytes.iter().zip(&wanted).enumerate();
    let mut wrong = pairs.filter(|(_, (found, wanted))| found != wanted);
    let first = wrong
        .next()
        .map(|(at, (found, wanted))| (at, found ^ wanted));
    let last = wrong.next_back().map(|(at, _)| at);
    let (at, end, which) = match (first, last) {
        (Some((at, bits)), None) if bits.is_power_of_two() => {
            let flip = Flip::Bytes {
                byte: wide(at),
                bit: u8::try_from(bits.trailing_zeros()).unwrap_or(0),
            };
            (at, at, explained(Some(flip)))
        }
        (Some((at, _)), last) => {
            let end = last.unwrap_or(at);
            let which = format!("; it differs from them from byte {at} to byte {end}");
            (at, end, which)
        }
        (None, _) => (0, 0, String::new()),
    };
    Shown {
        text: format!("{rotten}{fault}{which}"),
        at,
        len: (end + 1 - at).max(FLIP_EVIDENCE),
    }
}

fn conclusion(decision: &Decision) -> String {
    let side = decision.side;
    let generation = decision.chosen.record.generation;
    if let Some(Damage::Short(_)) = decision.damage {
        return format!(
            "the file was cut off; slot {side}, generation {generation}, is shown as far as the file goes"
        );
    }
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
    /// The page that shows it.
    fn page(self) -> Option<u64> {
        match self {
            // Of page 0: the root record says it of the whole file.
            Self::Unsound { page, .. } => Some(page).filter(|&page| page != 0),
            Self::Short(short) => Some(short.pages),
            Self::NoRoot | Self::TwoFiles | Self::TwoRecords | Self::Homes => None,
        }
    }

    /// It as a finding.
    pub(crate) fn finding(self) -> Finding {
        let kind = match self {
            Self::Short(short) if short.is_free() => finding::FILE_ENDS_IN_FREE_PAGES,
            Self::Short(_) => finding::FILE_TOO_SHORT,
            _ => findings::ROOTS,
        };
        Finding::new(kind, self.page(), self.to_string())
    }
}
