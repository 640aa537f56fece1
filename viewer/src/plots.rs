//! The geometry of the plots that templates draw as SVG. Pure: numbers in,
//! numbers out.

use crate::{legend::LegendLine, space::FreeSpace, text};

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
pub(crate) fn real(value: u64) -> f64 {
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
                    class: line.class,
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

/// How many runs of free pages there are of each length.
#[derive(Debug)]
pub(crate) struct Histogram {
    pub(crate) lines: Vec<Column>,
    pub(crate) runs: u64,
}

/// A line of a histogram.
#[derive(Debug)]
pub(crate) struct Column {
    pub(crate) label: String,
    pub(crate) count: u64,
    /// How many pages lie in those runs, where that is known.
    pub(crate) pages: Option<u64>,
    pub(crate) width: f64,
}

impl Histogram {
    pub(crate) fn new(space: &FreeSpace) -> Self {
        let runs: &[u64] = space.runs.as_deref().unwrap_or_default();
        let highest = runs.iter().copied().max().unwrap_or(0).max(1);
        let used = runs
            .iter()
            .rposition(|count| *count > 0)
            .map_or(0, |last| last + 1);
        let pages = |place: usize| space.pages_by_run.as_ref()?.get(place).copied();
        let lines = (0_u32..)
            .zip(runs.iter().take(used))
            .enumerate()
            .map(|(place, (power, count))| {
                let width = if *count == 0 {
                    0.0
                } else {
                    (real(*count) / real(highest) * WIDTH).max(PART_MIN)
                };
                let low = 1_u64.checked_shl(power).unwrap_or(u64::MAX);
                let high = low.saturating_mul(2).saturating_sub(1);
                Column {
                    label: if low == high {
                        text::number(low)
                    } else {
                        format!("{}\u{2013}{}", text::number(low), text::number(high))
                    },
                    count: *count,
                    pages: pages(place),
                    width,
                }
            })
            .collect();
        Self {
            lines,
            runs: space.count(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{inspect::PageKind, legend::Legend};

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

    /// From the tenth column on it was cut off, and the last is the one with
    /// the longest run.
    #[test]
    fn histogram_has_a_line_for_every_length_up_to_the_longest() {
        let mut runs = vec![0; 20];
        (runs[0], runs[2], runs[15]) = (4, 1, 1);
        let histogram = Histogram::new(&FreeSpace {
            runs: Some(runs),
            pages_by_run: Some(vec![4, 0, 5]),
            ..FreeSpace::default()
        });
        let lines = &histogram.lines;
        let labels: Vec<&str> = lines.iter().map(|line| &*line.label).collect();
        assert_eq!(labels.len(), 16);
        assert_eq!(&labels[..3], ["1", "2–3", "4–7"]);
        assert_eq!(labels[15], "32,768–65,535");
        assert_eq!(histogram.runs, 6);
        assert!(lines.iter().all(|line| line.width <= WIDTH));
        assert!((lines[0].width - WIDTH).abs() < 1e-9 && lines[1].width.abs() < 1e-9);
        assert_eq!((lines[2].pages, lines[15].pages), (Some(5), None));
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
}
