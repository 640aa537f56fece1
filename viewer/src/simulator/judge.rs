//! What an image of a trace comes to.
//!
//! 1. An image is *good* if recovery finds a state in it that the trace itself, with
//!    every sync, has at that moment: one that is durable then, or one on its way.
//! 2. It is *lost* work if that state is older: somebody was told that more is
//!    durable.
//! 3. Everything else is *damage*: what recovery calls so, what the check finds
//!    errors in, and a state that never was.
//!
//! Two states are the same if their generation is, and every protected page holds
//! the same.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{
    inspect::Severity,
    look::{Look, LookError},
};

/// How many protected pages are asked for at once.
const ENTRIES: u32 = 1024;

/// A state that recovery finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    /// The commit counter; none where there is none.
    pub(crate) generation: Option<u64>,
    /// Of the contents.
    pub(super) hash: u64,
}

/// What recovery finds at a moment of a trace of which nothing is left out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Legal {
    /// If nothing survives that is not durable.
    pub(super) durable: State,
    /// If everything does.
    pub(super) written: State,
}

/// What recovery makes of an image.
pub(super) struct Judged {
    pub(super) state: State,
    /// What is wrong; empty where nothing is.
    pub(super) problem: String,
}

/// What an image comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// The state of the trace at this place of all that it goes through.
    State(usize),
    /// The same, where a later one was durable.
    Lost(usize),
    Damage,
}

/// What recovery makes of an image, and what the full check finds.
///
/// # Errors
/// As the look.
pub(super) fn judge(look: &mut dyn Look) -> Result<Judged, LookError> {
    let summary = look.summary()?;
    let verdict = &summary.recovery.verdict;
    let mut hasher = DefaultHasher::new();
    summary.generation.hash(&mut hasher);
    let mut problem = String::new();
    if matches!(verdict.as_str(), "clean" | "rolled-back" | "rolled-forward") {
        problem = first_error(look)?;
        summary.regular_pages.hash(&mut hasher);
        hash_protected(look, summary.page_size, &mut hasher)?;
    } else {
        verdict.hash(&mut hasher);
        problem.clone_from(&summary.recovery.explanation);
    }
    Ok(Judged {
        state: State {
            generation: summary.generation,
            hash: hasher.finish(),
        },
        problem,
    })
}

/// What the check finds first that is an error; empty where nothing is.
fn first_error(look: &mut dyn Look) -> Result<String, LookError> {
    let mut cursor = 0;
    loop {
        let part = look.findings(cursor)?;
        let mut findings = part.findings.into_iter();
        if let Some(error) = findings.find(|found| found.severity == Severity::Error) {
            return Ok(error.message);
        }
        match part.next {
            Some(next) => cursor = next,
            None => return Ok(String::new()),
        }
    }
}

fn hash_protected(
    look: &mut dyn Look,
    page_size: u32,
    hasher: &mut DefaultHasher,
) -> Result<(), LookError> {
    let mut start = 0;
    loop {
        let entries = look.directory(start, ENTRIES, false)?;
        let Some(last) = entries.last() else {
            return Ok(());
        };
        start = last.id.saturating_add(1);
        for entry in &entries {
            entry.id.hash(hasher);
            if let Some(page) = entry.page {
                look.bytes(page, 0, page_size)?.hash(hasher);
            }
        }
    }
}

/// What an image comes to, by what may be at its moment, and by all states that there are.
pub(super) fn outcome_of(judged: &Judged, legal: Legal, states: &[State]) -> Outcome {
    let place = |state: State| states.iter().position(|known| *known == state);
    let is_now = judged.state == legal.durable || judged.state == legal.written;
    // A file that is being made is none at first, and no worse for that.
    if !judged.problem.is_empty() && !is_now {
        return Outcome::Damage;
    }
    match (
        place(judged.state),
        place(legal.durable),
        place(legal.written),
    ) {
        (Some(found), Some(durable), _) if found < durable => Outcome::Lost(found),
        (Some(found), _, Some(written)) if found <= written => Outcome::State(found),
        _ => Outcome::Damage,
    }
}
