//! The geometry of the plots that templates draw as SVG. Pure: numbers in,
//! numbers out.

use crate::{pages::LegendLine, text};

/// The width of a plot in its own units.
pub(crate) const WIDTH: f64 = 1000.0;

/// The least width of a part that is there at all.
const PART_MIN: f64 = 3.0;

/// A bar whose parts fill it exactly.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) parts: Vec<Part>,
}

/// A part of a bar.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) x: f64,
    pub(crate) width: f64,
    pub(crate) class: &'static str,
    pub(crate) title: String,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a part of a plot is never drawn to more than a few digits"
)]
fn real(value: u64) -> f64 {
    value as f64
}

impl Bar {
    /// Parts as wide as their counts, none too thin to see.
    pub(crate) fn new(kinds: &[LegendLine]) -> Self {
        let present: Vec<&LegendLine> = kinds.iter().filter(|line| line.kind.count > 0).collect();
        let total: f64 = present.iter().map(|line| real(line.kind.count)).sum();
        let widened = |line: &LegendLine| (real(line.kind.count) / total * WIDTH).max(PART_MIN);
        let sum: f64 = present.iter().map(|line| widened(line)).sum();
        let mut x = 0.0;
        let parts = present
            .into_iter()
            .map(|line| {
                let width = widened(line) / sum * WIDTH;
                let part = Part {
                    x,
                    width,
                    class: line.class(),
                    title: format!(
                        "{}: {}, {}",
                        line.kind.name,
                        text::pages(line.kind.count),
                        line.percent
                    ),
                };
                x += width;
                part
            })
            .collect();
        Self { parts }
    }
}

/// How much of a limit is used.
#[derive(Debug)]
pub(crate) struct Gauge {
    pub(crate) name: &'static str,
    pub(crate) used: u64,
    pub(crate) limit: u64,
    pub(crate) left: u64,
    pub(crate) meaning: &'static str,
    pub(crate) width: f64,
    pub(crate) percent: String,
}

impl Gauge {
    pub(crate) fn new(name: &'static str, used: u64, limit: u64, meaning: &'static str) -> Self {
        let share = if limit == 0 {
            0.0
        } else {
            (real(used) / real(limit)).min(1.0)
        };
        Self {
            name,
            used,
            limit,
            left: limit.saturating_sub(used),
            meaning,
            width: share * WIDTH,
            percent: text::percent(used.min(limit), limit),
        }
    }
}

/// How many runs of free pages there are of each length.
#[derive(Debug)]
pub(crate) struct Histogram {
    pub(crate) columns: Vec<Column>,
    pub(crate) runs: u64,
    pub(crate) width: f64,
}

/// A column of a histogram.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) height: f64,
    pub(crate) label: String,
    pub(crate) count: u64,
}

impl Histogram {
    /// The height of the highest column.
    const HEIGHT: f64 = 100.0;
    /// From one column to the next.
    pub(crate) const STEP: f64 = 64.0;

    pub(crate) fn new(runs: &[u64]) -> Self {
        let highest = runs.iter().copied().max().unwrap_or(0).max(1);
        let used = runs
            .iter()
            .rposition(|count| *count > 0)
            .map_or(0, |last| last + 1);
        let mut x = 0.0;
        let columns = (0_u32..)
            .zip(runs.iter().take(used))
            .map(|(power, count)| {
                let height = if *count == 0 {
                    0.0
                } else {
                    (real(*count) / real(highest) * Self::HEIGHT).max(2.0)
                };
                let low = 1_u64.checked_shl(power).unwrap_or(u64::MAX);
                let high = low.saturating_mul(2).saturating_sub(1);
                let column = Column {
                    x,
                    y: Self::HEIGHT - height,
                    height,
                    label: if low == high {
                        text::number(low)
                    } else {
                        format!("{}\u{2013}{}", text::number(low), text::number(high))
                    },
                    count: *count,
                };
                x += Self::STEP;
                column
            })
            .collect();
        Self {
            columns,
            runs: runs.iter().sum(),
            width: x.max(Self::STEP),
        }
    }
}

/// A rectangle of a map: a run of like tiles, or the part of one that is in a
/// row.
#[derive(Debug, PartialEq)]
pub(crate) struct MapRect {
    pub(crate) x: u64,
    pub(crate) y: u64,
    pub(crate) width: u64,
    pub(crate) run: usize,
}

/// Lays runs of tiles, given by their lengths, out in rows of `columns` tiles.
pub(crate) fn map_rects(runs: impl IntoIterator<Item = u64>, columns: u64) -> Vec<MapRect> {
    let mut rects = Vec::new();
    let mut tile = 0;
    for (run, length) in runs.into_iter().enumerate() {
        let mut left = length;
        while left > 0 {
            let x = tile % columns;
            let width = left.min(columns - x);
            rects.push(MapRect {
                x,
                y: tile / columns,
                width,
                run,
            });
            tile += width;
            left -= width;
        }
    }
    rects
}

/// A line through samples, left to right.
#[derive(Debug)]
pub(crate) struct Timeline {
    /// `points` of an SVG polyline.
    pub(crate) points: String,
    pub(crate) marks: Vec<Mark>,
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) seconds: u64,
    /// Commits a second, to a tenth; none before there are two states.
    pub(crate) rate: Option<String>,
}

/// A sample on a line.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) title: String,
    pub(crate) tone: &'static str,
}

/// A value at a time, and how good the state was.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// Milliseconds since watching began.
    pub(crate) at: u64,
    pub(crate) value: u64,
    pub(crate) tone: &'static str,
}

impl Timeline {
    /// The height of the plot.
    pub(crate) const HEIGHT: f64 = 160.0;

    /// None where there is nothing to draw a line through.
    pub(crate) fn new(samples: &[Sample]) -> Option<Self> {
        let (first, last) = (samples.first()?, samples.last()?);
        let span = real(last.at.saturating_sub(first.at)).max(1.0);
        let low = samples.iter().map(|sample| sample.value).min()?;
        let high = samples.iter().map(|sample| sample.value).max()?;
        let range = real(high - low).max(1.0);
        let marks: Vec<Mark> = samples
            .iter()
            .map(|sample| Mark {
                x: real(sample.at.saturating_sub(first.at)) / span * WIDTH,
                y: Self::HEIGHT - real(sample.value - low) / range * Self::HEIGHT,
                title: format!(
                    "generation {} after {} s",
                    text::number(sample.value),
                    sample.at / 1000
                ),
                tone: sample.tone,
            })
            .collect();
        let points: Vec<String> = marks
            .iter()
            .map(|mark| format!("{:.1},{:.1}", mark.x, mark.y))
            .collect();
        Some(Self {
            points: points.join(" "),
            marks,
            first: low,
            last: high,
            seconds: last.at.saturating_sub(first.at) / 1000,
            rate: (samples.len() > 1).then(|| format!("{:.1}", real(high - low) / span * 1000.0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{inspect::PageKind, pages::Legend};

    fn kind(name: &str, count: u64) -> PageKind {
        PageKind {
            code: 0,
            name: name.to_owned(),
            letter: "x".to_owned(),
            description: String::new(),
            count,
        }
    }

    #[test]
    fn bar_is_filled_exactly_and_shows_one_page_in_eight_million() {
        let kinds = vec![
            kind("free", 8_388_383),
            kind("regular", 1),
            kind("slack", 0),
        ];
        let bar = Bar::new(&Legend::new(kinds).kinds);
        assert_eq!(bar.parts.len(), 2);
        let sum: f64 = bar.parts.iter().map(|part| part.width).sum();
        assert!((sum - WIDTH).abs() < 1e-6);
        assert!(bar.parts.iter().all(|part| part.width > 2.9));
    }

    #[test]
    fn bar_of_nothing_is_empty() {
        assert!(Bar::new(&[]).parts.is_empty());
    }

    #[test]
    fn histogram_names_the_lengths_of_its_columns() {
        let histogram = Histogram::new(&[4, 0, 1, 0]);
        let labels: Vec<&str> = histogram
            .columns
            .iter()
            .map(|column| &*column.label)
            .collect();
        assert_eq!(labels, ["1", "2–3", "4–7"]);
        assert_eq!(histogram.runs, 5);
        assert!((histogram.columns[0].height - 100.0).abs() < 1e-9);
        assert!(histogram.columns[1].height.abs() < 1e-9);
    }

    #[test]
    fn map_run_that_is_longer_than_a_row_goes_on_in_the_next() {
        let rect = |x, y, width, run| MapRect { x, y, width, run };
        assert_eq!(
            map_rects([3, 6, 1], 4),
            [
                rect(0, 0, 3, 0),
                rect(3, 0, 1, 1),
                rect(0, 1, 4, 1),
                rect(0, 2, 1, 1),
                rect(1, 2, 1, 2),
            ]
        );
    }

    #[test]
    fn timeline_spans_its_samples() -> Result<(), &'static str> {
        let sample = |at, value| Sample {
            at,
            value,
            tone: "good",
        };
        let line = Timeline::new(&[sample(0, 5), sample(500, 5), sample(1000, 7)]).ok_or("none")?;
        assert_eq!(line.points, "0.0,160.0 500.0,160.0 1000.0,0.0");
        assert_eq!((line.first, line.last, line.seconds), (5, 7, 1));
        assert_eq!(line.rate.as_deref(), Some("2.0"));
        assert!(Timeline::new(&[]).is_none());
        Ok(())
    }

    #[test]
    fn gauge_of_a_limit_that_is_not_known_is_empty() {
        let gauge = Gauge::new("pages", 5, 0, "");
        assert!(gauge.width.abs() < 1e-9);
        assert_eq!(gauge.left, 0);
    }
}
