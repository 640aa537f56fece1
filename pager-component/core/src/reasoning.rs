//! What recovery says of a file: a verdict, and the reasoning that led to it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::codec;
use crate::finding::{Finding, evidence};
use crate::verify::Looks;

/// What recovery decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The newest state there is counts.
    Clean,
    /// A commit was not finished; the state before it counts.
    RolledBack,
    /// A crash fell into the last write of a commit; the state after it counts.
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
            Self::Clean => "The newest state there is counts, and all that decides it agrees.",
            Self::RolledBack => "A commit was not finished: the state before it counts.",
            Self::RolledForward => {
                "A crash fell into the last write of a commit; all that it announced is there, so the commit counts."
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
    /// `R1` to `R6` of format 0; `header`, `slots`, `verify` and `verdict` of
    /// format 1.
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

/// What is found and why, as recovery goes on.
pub(crate) struct Log {
    pub(crate) explain: Explain,
    pub(crate) steps: Vec<Step>,
    pub(crate) findings: Vec<Finding>,
    /// How many failing checksums are explained still: none where nobody looks.
    pub(crate) looks: Looks,
}

impl Log {
    pub(crate) fn new(explain: Explain) -> Self {
        Self {
            explain,
            steps: Vec::new(),
            findings: Vec::new(),
            looks: match explain {
                Explain::Yes => Looks::recovery(),
                Explain::No => Looks::none(),
            },
        }
    }

    /// The damage first, and else as it was found.
    pub(crate) fn sort(&mut self) {
        self.findings
            .sort_by_key(|finding| core::cmp::Reverse(finding.kind.severity()));
    }

    pub(crate) fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Notes a step; `place` is a page, its bytes, and where the evidence is.
    pub(crate) fn step(
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
                    codec::offset(offset),
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
