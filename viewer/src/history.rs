//! The states of a file that were seen while somebody watched, and how fast they
//! followed each other.

use crate::inspect::Extent;

/// A state that is remembered.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Milliseconds since watching began.
    pub(crate) at: u64,
    pub(crate) generation: Option<u64>,
    /// How good the state was.
    pub(crate) tone: &'static str,
    /// What changed with it: see [`Moment::changed`].
    pub(crate) changed: Vec<Extent>,
}

/// The states that are remembered, and the time.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    /// Oldest first.
    pub(crate) samples: Vec<Sample>,
    /// Milliseconds since watching began.
    pub(crate) now: u64,
}

/// How far back a rate looks, in milliseconds.
const RECENT: u64 = 10_000;

impl History {
    /// The commits of the last ten seconds, and how many milliseconds of those
    /// there were; none before there is any time to speak of.
    pub(crate) fn recent(&self) -> Option<(u64, u64)> {
        let since = self.now.saturating_sub(RECENT);
        let known = |sample: &Sample| Some((sample.at, sample.generation?));
        let last = self.samples.iter().rev().find_map(known)?;
        // The state of the time looked back to, or else the first.
        let before = self
            .samples
            .iter()
            .rev()
            .filter(|sample| sample.at <= since);
        let first = before
            .clone()
            .find_map(known)
            .or(self.samples.iter().find_map(known))?;
        let span = self.now.saturating_sub(first.0.max(since));
        (span >= 500).then(|| (last.1.saturating_sub(first.1), span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(samples: &[(u64, u64)], now: u64) -> History {
        let samples = samples.iter().map(|(at, generation)| Sample {
            at: *at,
            generation: Some(*generation),
            tone: "good",
            changed: Vec::new(),
        });
        History {
            samples: samples.collect(),
            now,
        }
    }

    /// The rate was that of the time in which there were commits, for ever.
    #[test]
    fn rate_falls_to_nought_when_the_writer_stops() {
        let samples = [(0, 10), (1000, 14), (2000, 18)];
        assert_eq!(history(&samples, 2000).recent(), Some((8, 2000)));
        assert_eq!(history(&samples, 8000).recent(), Some((8, 8000)));
        assert_eq!(history(&samples, 11_500).recent(), Some((4, 10_000)));
        assert_eq!(history(&samples, 60_000).recent(), Some((0, 10_000)));
        assert_eq!(history(&samples[..1], 100).recent(), None);
        assert_eq!(History::default().recent(), None);
    }
}
