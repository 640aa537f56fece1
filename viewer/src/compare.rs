//! Two pages beside each other: their fields as values, their bytes in rows.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    described::{Described, spans},
    hex::{self, ROW, Row},
};

/// Rows that are the same on both sides are shown as far as this from a
/// difference; longer runs of them are folded.
const CONTEXT: usize = 2;

/// A field that is not the same on both sides.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldDifference {
    pub(crate) name: String,
    /// Where it is in the page, in bytes.
    pub(crate) offset: u32,
    /// Its value on the left; none where it is not there.
    pub(crate) left: Option<String>,
    /// Its value on the right; none where it is not there.
    pub(crate) right: Option<String>,
}

/// A line of the bytes: a row of both pages, or how many rows are the same.
#[derive(Debug)]
pub(crate) enum Line {
    Rows(Option<Row>, Option<Row>),
    Same(usize),
}

/// A page, as far as it is compared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compared<'a> {
    pub(crate) structures: &'a [Described],
    pub(crate) bytes: &'a [u8],
}

/// The lines of both pages, of `len` bytes from `at` on.
pub(crate) fn lines(left: Compared<'_>, right: Compared<'_>, at: usize, len: usize) -> Vec<Line> {
    folded(rows(left, right, at, len))
}

/// The rows of both pages, beside each other.
fn rows(
    left: Compared<'_>,
    right: Compared<'_>,
    at: usize,
    len: usize,
) -> Vec<(Option<Row>, Option<Row>)> {
    let lay = |side: Compared<'_>, other: Compared<'_>| -> Vec<Row> {
        let end = (at + len).min(side.bytes.len());
        let mut all = Vec::new();
        for start in (at..end).step_by(ROW) {
            let row = side
                .bytes
                .get(start..(start + ROW).min(end))
                .unwrap_or_default();
            // Row by row, so that none are folded and the two stay level.
            all.extend(hex::rows(row, start, &spans(side.structures), |offset| {
                side.bytes.get(offset) != other.bytes.get(offset)
            }));
        }
        all
    };
    let (mut ours, mut theirs) = (lay(left, right).into_iter(), lay(right, left).into_iter());
    let mut rows = Vec::new();
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return rows,
            pair => rows.push(pair),
        }
    }
}

/// Folds what is the same on both sides and far from every difference.
fn folded(rows: Vec<(Option<Row>, Option<Row>)>) -> Vec<Line> {
    let differs = |row: &Option<Row>| match row {
        Some(row) => row.segments.iter().any(|segment| segment.differs),
        None => true,
    };
    let marked: Vec<bool> = rows
        .iter()
        .map(|(left, right)| differs(left) || differs(right))
        .collect();
    let near = |place: usize| {
        let first = place.saturating_sub(CONTEXT);
        let last = (place + CONTEXT).min(marked.len() - 1);
        marked[first..=last].contains(&true)
    };
    let mut lines = Vec::new();
    for (place, (left, right)) in rows.into_iter().enumerate() {
        match lines.last_mut() {
            _ if near(place) => lines.push(Line::Rows(left, right)),
            Some(Line::Same(count)) => *count += 1,
            _ => lines.push(Line::Same(1)),
        }
    }
    lines
}

/// Fields of one name at one place whose values differ, and those that one side
/// alone has, by their place.
pub(crate) fn field_differences(left: &[Described], right: &[Described]) -> Vec<FieldDifference> {
    let flat = |side: &[Described]| -> Vec<(String, u32, String)> {
        side.iter()
            .flat_map(|described| &described.structure.fields)
            .map(|field| (field.name.clone(), field.offset, field.value.clone()))
            .collect()
    };
    let (left, right) = (flat(left), flat(right));
    let value = |side: &[(String, u32, String)], name: &str, offset: u32| {
        side.iter()
            .find(|field| field.0 == name && field.1 == offset)
            .map(|field| field.2.clone())
    };
    let mut found = Vec::new();
    for (name, offset, ours) in &left {
        let theirs = value(&right, name, *offset);
        if theirs.as_ref() != Some(ours) {
            found.push(FieldDifference {
                name: name.clone(),
                offset: *offset,
                left: Some(ours.clone()),
                right: theirs,
            });
        }
    }
    for (name, offset, theirs) in &right {
        if value(&left, name, *offset).is_none() {
            found.push(FieldDifference {
                name: name.clone(),
                offset: *offset,
                left: None,
                right: Some(theirs.clone()),
            });
        }
    }
    found.sort_by_key(|difference| difference.offset);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_far_from_a_difference_are_folded() {
        let rows = |bytes: &[u8]| {
            let parts = bytes.chunks(ROW).zip((0..).step_by(ROW));
            parts
                .flat_map(|(part, start)| hex::rows(part, start, &[], |at| at == 160))
                .map(Some)
                .collect::<Vec<_>>()
        };
        let pairs = rows(&[0; 480]).into_iter().zip(rows(&[0; 480])).collect();
        let shape: Vec<String> = folded(pairs)
            .iter()
            .map(|line| match line {
                Line::Rows(left, _) => left
                    .as_ref()
                    .map_or_else(String::new, |row| row.offset.to_string()),
                Line::Same(count) => format!("{count} same"),
            })
            .collect();
        assert_eq!(
            shape,
            ["8 same", "128", "144", "160", "176", "192", "17 same"]
        );
        assert!(folded(Vec::new()).is_empty());
    }
}
