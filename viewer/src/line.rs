//! A line on which snapshots, the states that were seen, and now have their places.
//! Pure: numbers in, numbers out.

use crate::{
    plots::{WIDTH, real},
    text,
};

/// What the line goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum By {
    #[default]
    Generation,
    Time,
}

/// A moment that has a place: its generation, and its time in nanoseconds since
/// 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) generation: u64,
    pub(crate) time: u64,
}

impl When {
    fn by(self, by: By) -> u64 {
        match by {
            By::Generation => self.generation,
            By::Time => self.time,
        }
    }
}

/// A snapshot on the line.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(crate) x: f64,
    /// Which one it is.
    pub(crate) index: usize,
    /// What is written beside it, if there is room.
    pub(crate) label: Option<String>,
    /// Whether that ends at the mark, since the line ends soon after.
    pub(crate) ends: bool,
}

/// The line, from left to right.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) snapshots: Vec<Mark>,
    /// The states that were seen.
    pub(crate) seen: Vec<f64>,
    pub(crate) now: f64,
    /// The earliest of all.
    pub(crate) first: When,
}

/// The most characters of a name that are written on the line.
const LABEL_MAX: usize = 16;

/// How wide a character is, in the units of the line, and the least gap.
const CHARACTER: f64 = 8.0;
const GAP: f64 = 12.0;

impl Line {
    /// None where there is nothing but now.
    pub(crate) fn new(
        by: By,
        snapshots: &[(String, When)],
        seen: &[When],
        now: When,
    ) -> Option<Self> {
        let all = || snapshots.iter().map(|(_, when)| when).chain(seen);
        let first = *all().min_by_key(|when| when.by(by))?;
        let low = first.by(by).min(now.by(by));
        let high = all().map(|when| when.by(by)).max()?.max(now.by(by));
        let span = real(high - low).max(1.0);
        let x = |when: &When| real(when.by(by) - low) / span * WIDTH;
        let mut places: Vec<(f64, usize)> = (0..)
            .zip(snapshots)
            .map(|(index, (_, when))| (x(when), index))
            .collect();
        places.sort_by(|one, next| one.0.total_cmp(&next.0));
        let mut taken = -GAP;
        let marks = places.into_iter().map(|(x, index)| {
            let name = snapshots.get(index).map_or("", |(name, _)| name);
            let label = shortened(&text::visible(name));
            let width = real(label.chars().count() as u64) * CHARACTER;
            let ends = x + width > WIDTH;
            let start = if ends { x - width } else { x };
            let has_room = start >= taken + GAP;
            if has_room {
                taken = start + width;
            }
            Mark {
                x,
                index,
                label: has_room.then_some(label),
                ends,
            }
        });
        Some(Self {
            snapshots: marks.collect(),
            seen: seen.iter().map(x).collect(),
            now: x(&now),
            first,
        })
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= LABEL_MAX {
        return name.to_owned();
    }
    let start: String = name.chars().take(LABEL_MAX - 1).collect();
    format!("{start}\u{2026}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn when(generation: u64, time: u64) -> When {
        When { generation, time }
    }

    fn places(line: &Line) -> Vec<f64> {
        line.snapshots.iter().map(|mark| mark.x).collect()
    }

    #[test]
    fn line_goes_from_the_first_to_now_by_generation_or_by_time() -> Result<(), &'static str> {
        let snapshots = [
            ("monday".to_owned(), when(10, 1000)),
            ("tuesday".to_owned(), when(15, 1100)),
        ];
        let (seen, now) = ([when(20, 1900), when(30, 2000)], when(30, 2000));
        let line = Line::new(By::Generation, &snapshots, &seen, now).ok_or("none")?;
        assert_eq!(places(&line), [0.0, 250.0]);
        assert_eq!((line.seen, line.now), (vec![500.0, 1000.0], 1000.0));
        let line = Line::new(By::Time, &snapshots, &seen, now).ok_or("none")?;
        assert_eq!(places(&line), [0.0, 100.0]);
        assert_eq!(
            (line.seen, line.first),
            (vec![900.0, 1000.0], when(10, 1000))
        );
        assert!(Line::new(By::Time, &[], &[], now).is_none());
        Ok(())
    }

    /// Who takes a snapshot says when it was: no clock need be right.
    #[test]
    fn clock_that_runs_ahead_leaves_all_on_the_line() -> Result<(), &'static str> {
        let ahead = [
            ("ahead".to_owned(), when(1, u64::MAX)),
            ("past".to_owned(), when(2, 0)),
        ];
        let line = Line::new(By::Time, &ahead, &[], when(3, 5)).ok_or("none")?;
        assert_eq!(places(&line), [0.0, 1000.0]);
        assert!(line.now < 1.0);
        let line = Line::new(By::Generation, &[], &[when(3, 5)], when(2, 5)).ok_or("none")?;
        assert_eq!((line.seen, line.now), (vec![1000.0], 0.0));
        Ok(())
    }

    #[test]
    fn name_is_written_where_there_is_room_and_is_cut() -> Result<(), &'static str> {
        let named = |name: &str, generation| (name.to_owned(), when(generation, 0));
        let snapshots = [
            named("a", 0),
            named("close to a", 1),
            named("a name of many letters", 500),
            named("at the end", 1000),
        ];
        let line = Line::new(By::Generation, &snapshots, &[], when(1000, 0)).ok_or("none")?;
        let labels: Vec<_> = line
            .snapshots
            .iter()
            .map(|mark| (mark.label.as_deref(), mark.ends))
            .collect();
        let cut = "a name of many …";
        assert_eq!(
            labels,
            [
                (Some("a"), false),
                (None, false),
                (Some(cut), false),
                (Some("at the end"), true)
            ]
        );
        let crowded = [
            named("a name of many letters", 800),
            named("at the end", 1000),
            named("at the start", 0),
        ];
        let line = Line::new(By::Generation, &crowded, &[], when(1000, 0)).ok_or("none")?;
        let last = line.snapshots.last().ok_or("none")?;
        assert_eq!(
            (last.index, &last.label),
            (1, &None),
            "{:?}",
            line.snapshots
        );
        Ok(())
    }
}
