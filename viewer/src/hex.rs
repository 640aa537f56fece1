//! Bytes laid out for reading: rows of sixteen, cut where a field begins or
//! ends. Pure.

use crate::text;

/// Bytes in a row.
pub(crate) const ROW: usize = 16;

/// How many rows of one repeated byte are worth folding.
const FOLD_MIN: usize = 4;

/// Bytes that belong to the same field, in one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The field's place in the list; none between fields.
    pub(crate) field: Option<usize>,
    /// Whether the field begins here.
    pub(crate) starts: bool,
    pub(crate) hex: String,
    pub(crate) ascii: String,
    /// Whether these bytes differ from those that they are compared with.
    pub(crate) differs: bool,
}

/// A row, or several that are all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Where it begins, in bytes from the start of the page.
    pub(crate) offset: usize,
    /// Bytes in it: more than sixteen where rows are folded.
    pub(crate) len: usize,
    /// The byte that all of a folded row's bytes are.
    pub(crate) folded: Option<u8>,
    pub(crate) segments: Vec<Segment>,
    /// What the last row lacks to sixteen bytes, as blanks.
    pub(crate) padding: String,
}

/// A field's place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) offset: usize,
    pub(crate) len: usize,
}

/// Lays out `bytes`, which begin at `start` (a multiple of sixteen) in their
/// page. Where fields overlap the shorter one shows. `differs` tells whether
/// the byte at an offset is marked.
pub(crate) fn rows(
    bytes: &[u8],
    start: usize,
    fields: &[Span],
    differs: impl Fn(usize) -> bool,
) -> Vec<Row> {
    let owners = owners(bytes.len(), start, fields);
    let mut rows = Vec::new();
    let mut place = 0;
    while place < bytes.len() {
        let same = alike(&bytes[place..], &owners[place..], |at| {
            differs(start + place + at)
        });
        let folded = same / ROW;
        // The first of the rows is shown, so that its fields can be seen.
        if folded > FOLD_MIN {
            rows.push(row(bytes, &owners, start, place, fields, &differs));
            let len = (folded - 1) * ROW;
            rows.push(Row {
                offset: start + place + ROW,
                len,
                folded: Some(bytes[place]),
                segments: Vec::new(),
                padding: String::new(),
            });
            place += folded * ROW;
        } else {
            rows.push(row(bytes, &owners, start, place, fields, &differs));
            place += ROW;
        }
    }
    rows
}

/// Which field each byte belongs to.
fn owners(len: usize, start: usize, fields: &[Span]) -> Vec<Option<usize>> {
    let mut owners: Vec<Option<usize>> = vec![None; len];
    for (index, field) in fields.iter().enumerate() {
        let first = field.offset.saturating_sub(start).min(len);
        let end = field
            .offset
            .saturating_add(field.len)
            .saturating_sub(start)
            .min(len);
        for owner in owners.get_mut(first..end).unwrap_or_default() {
            let shorter = owner
                .and_then(|other| fields.get(other))
                .is_none_or(|other: &Span| field.len < other.len);
            if shorter {
                *owner = Some(index);
            }
        }
    }
    owners
}

/// How many bytes from the first on are the same in every way, unmarked.
fn alike(bytes: &[u8], owners: &[Option<usize>], differs: impl Fn(usize) -> bool) -> usize {
    let mut same = 0;
    while same < bytes.len()
        && bytes[same] == bytes[0]
        && owners[same] == owners[0]
        && !differs(same)
    {
        same += 1;
    }
    same
}

fn row(
    bytes: &[u8],
    owners: &[Option<usize>],
    start: usize,
    place: usize,
    fields: &[Span],
    differs: &impl Fn(usize) -> bool,
) -> Row {
    let end = (place + ROW).min(bytes.len());
    let mut segments = Vec::new();
    let mut first = place;
    while first < end {
        let key = |at: usize| (owners[at], differs(start + at));
        let mut last = first + 1;
        while last < end && key(last) == key(first) {
            last += 1;
        }
        let field = owners[first];
        segments.push(Segment {
            field,
            starts: field
                .and_then(|index| fields.get(index))
                .is_some_and(|span| span.offset == start + first),
            hex: text::hex(&bytes[first..last]),
            ascii: text::ascii(&bytes[first..last]),
            differs: differs(start + first),
        });
        first = last;
    }
    Row {
        offset: start + place,
        len: end - place,
        folded: None,
        segments,
        padding: "   ".repeat(ROW - (end - place)),
    }
}

/// A run of bytes that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub(crate) struct Difference {
    /// Where it begins, in bytes from the start of the page.
    pub(crate) offset: usize,
    /// How many bytes.
    pub(crate) len: usize,
}

/// Where two pages differ. Bytes that only one of them has differ.
pub(crate) fn differences(left: &[u8], right: &[u8]) -> Vec<Difference> {
    let mut found: Vec<Difference> = Vec::new();
    for offset in 0..left.len().max(right.len()) {
        if left.get(offset) == right.get(offset) {
            continue;
        }
        match found.last_mut() {
            Some(run) if run.offset + run.len == offset => run.len += 1,
            _ => found.push(Difference { offset, len: 1 }),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(rows: &[Row]) -> Vec<(usize, usize, Option<u8>)> {
        rows.iter()
            .map(|row| (row.offset, row.len, row.folded))
            .collect()
    }

    #[test]
    fn row_is_cut_where_a_field_begins_and_ends() {
        let fields = [Span { offset: 2, len: 4 }, Span { offset: 6, len: 20 }];
        let rows = rows(&[7; 20], 0, &fields, |_| false);
        let cut: Vec<(Option<usize>, &str, bool)> = rows[0]
            .segments
            .iter()
            .map(|segment| (segment.field, &*segment.hex, segment.starts))
            .collect();
        assert_eq!(cut[0], (None, "07 07", false));
        assert_eq!(cut[1], (Some(0), "07 07 07 07", true));
        assert_eq!(cut[2].0, Some(1));
        assert_eq!(rows[1].segments[0].field, Some(1));
        assert!(!rows[1].segments[0].starts);
        assert_eq!(rows[1].padding.len(), 3 * 12);
    }

    #[test]
    fn field_within_a_field_shows() {
        let fields = [Span { offset: 0, len: 16 }, Span { offset: 4, len: 2 }];
        let owners: Vec<Option<usize>> = rows(&[0; 16], 0, &fields, |_| false)[0]
            .segments
            .iter()
            .map(|segment| segment.field)
            .collect();
        assert_eq!(owners, [Some(0), Some(1), Some(0)]);
    }

    #[test]
    fn rows_of_one_byte_are_folded_after_the_first() {
        let mut bytes = vec![0; 160];
        bytes.extend([1; 8]);
        assert_eq!(
            shape(&rows(&bytes, 32, &[], |_| false)),
            [(32, 16, None), (48, 144, Some(0)), (192, 8, None)]
        );
    }

    #[test]
    fn rows_that_hold_a_difference_are_not_folded() {
        let laid = rows(&[0; 160], 0, &[], |offset| offset == 100);
        assert!(
            laid.iter()
                .any(|row| row.segments.iter().any(|segment| segment.differs))
        );
    }

    #[test]
    fn differences_are_runs_and_a_shorter_page_differs_to_the_end() {
        assert_eq!(
            differences(b"abcdef", b"abXXe"),
            [
                Difference { offset: 2, len: 2 },
                Difference { offset: 5, len: 1 }
            ]
        );
        assert!(differences(b"same", b"same").is_empty());
    }
}
