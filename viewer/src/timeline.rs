//! The plot of a file's generations over time. Pure: numbers in, numbers out.

use crate::{
    history::Sample,
    plots::{WIDTH, real},
    text,
};

/// A line through samples, left to right, up to now.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// `points` of an SVG polyline.
    pub(crate) points: String,
    pub(crate) marks: Vec<Mark>,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) seconds: u64,
    /// Whether there are marks of states that were not clean.
    pub(crate) has_others: bool,
}

/// A sample on a line.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) title: String,
    pub(crate) tone: &'static str,
}

impl Timeline {
    /// The height of the plot.
    pub(crate) const HEIGHT: f64 = 160.0;

    /// None where there is nothing to draw a line through. `now` is in
    /// milliseconds since watching began, as the samples' times are.
    pub(crate) fn new(samples: &[Sample], now: u64) -> Option<Self> {
        let known: Vec<(&Sample, u64)> = samples
            .iter()
            .filter_map(|sample| Some((sample, sample.generation?)))
            .collect();
        let start = known.first()?.0.at;
        let (latest, last) = *known.last()?;
        let now = now.max(latest.at);
        let span = real(now.saturating_sub(start)).max(1.0);
        let low = known.iter().map(|(_, generation)| *generation).min()?;
        let high = known.iter().map(|(_, generation)| *generation).max()?;
        let range = real(high - low).max(1.0);
        let x = |at: u64| real(at.saturating_sub(start)) / span * WIDTH;
        let y = |generation: u64| Self::HEIGHT - real(generation - low) / range * Self::HEIGHT;
        let marks: Vec<Mark> = known
            .iter()
            .map(|(sample, generation)| Mark {
                x: x(sample.at),
                y: y(*generation),
                title: format!(
                    "generation {}, {}",
                    text::number(*generation),
                    text::ago(now.saturating_sub(sample.at))
                ),
                tone: sample.tone,
            })
            .collect();
        let ends = [(x(now), y(last))];
        let points: Vec<String> = marks
            .iter()
            .map(|mark| (mark.x, mark.y))
            .chain(ends)
            .map(|(x, y)| format!("{x:.1},{y:.1}"))
            .collect();
        Some(Self {
            points: points.join(" "),
            has_others: marks.iter().any(|mark| mark.tone != "good"),
            marks,
            first: low,
            last: high,
            seconds: now.saturating_sub(start) / 1000,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that had stopped went on for ever in the plot, which ended with
    /// its last commit.
    #[test]
    fn timeline_spans_its_samples_and_goes_on_to_now() -> Result<(), &'static str> {
        let sample = |at, generation| Sample {
            at,
            generation: Some(generation),
            tone: "good",
            changed: Vec::new(),
        };
        let samples = [sample(0, 5), sample(500, 5), sample(1000, 7)];
        let line = Timeline::new(&samples, 1000).ok_or("none")?;
        assert_eq!(line.points, "0.0,160.0 500.0,160.0 1000.0,0.0 1000.0,0.0");
        assert_eq!((line.first, line.last, line.seconds), (5, 7, 1));
        let later = Timeline::new(&samples, 4000).ok_or("none")?;
        assert_eq!(later.points, "0.0,160.0 125.0,160.0 250.0,0.0 1000.0,0.0");
        assert_eq!(later.seconds, 4);
        assert!(Timeline::new(&[], 9).is_none());
        Ok(())
    }
}
