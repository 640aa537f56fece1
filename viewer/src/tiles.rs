//! Tiles of a map that look alike, joined: for a drawing and a table, and packed
//! for the script. Pure.

use serde::Serialize;
use utoipa::ToSchema;

use crate::inspect::{Finding, Severity, Tile};

/// Neighbouring tiles that look alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Run {
    /// The first page.
    pub(crate) first: u64,
    /// How many pages.
    pub(crate) count: u64,
    /// How many tiles.
    pub(crate) tiles: u64,
    /// The code of the kind that most of each tile's pages have.
    pub(crate) kind: u8,
    /// The worst finding in each tile: 0 none, 1 note, 2 warning, 3 error.
    pub(crate) worst: u8,
    /// Pages in it that are not free.
    pub(crate) used: u64,
}

impl Run {
    pub(crate) fn last(&self) -> u64 {
        self.first + self.count.saturating_sub(1)
    }
}

/// A severity as a number, for compact answers.
fn level(severity: Option<Severity>) -> u8 {
    match severity {
        None => 0,
        Some(Severity::Info) => 1,
        Some(Severity::Warning) => 2,
        Some(Severity::Error) => 3,
    }
}

/// Tiles that show the worst of what a check found in them, beside what is known
/// without one.
pub(crate) fn marked(mut tiles: Vec<Tile>, findings: &[Finding]) -> Vec<Tile> {
    let mut pages: Vec<(u64, Severity)> = findings
        .iter()
        .filter_map(|finding| Some((finding.page?, finding.severity)))
        .collect();
    pages.sort_unstable_by_key(|(page, _)| *page);
    for tile in &mut tiles {
        let end = tile.first.saturating_add(tile.count);
        let start = pages.partition_point(|(page, _)| *page < tile.first);
        let inside = pages.get(start..).unwrap_or_default().iter();
        let inside = inside.take_while(|(page, _)| *page < end);
        let found = inside.map(|(_, severity)| Some(*severity));
        tile.worst = found
            .chain([tile.worst])
            .max_by_key(|worst| level(*worst))
            .flatten();
    }
    tiles
}

/// Joins neighbouring tiles that look alike. A tile with a finding that
/// matters stands alone, so that it can be pointed at.
pub(crate) fn runs_of(tiles: &[Tile]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for tile in tiles {
        let worst = level(tile.worst);
        match runs.last_mut() {
            Some(run) if run.kind == tile.kind && run.worst == worst && worst < 2 => {
                run.count += tile.count;
                run.tiles += 1;
                run.used += tile.used;
            }
            _ => runs.push(Run {
                first: tile.first,
                count: tile.count,
                tiles: 1,
                kind: tile.kind,
                worst,
                used: tile.used,
            }),
        }
    }
    runs
}

/// How many like tiles, their kind, their worst finding and how many tenths of
/// them are not free.
pub(crate) type Packed = (u64, u8, u8, u8);

/// Joins neighbouring tiles that are drawn alike.
pub(crate) fn packed(tiles: &[Tile]) -> Vec<Packed> {
    let mut packed: Vec<Packed> = Vec::new();
    for tile in tiles {
        let tenths = (u128::from(tile.used) * 10).div_ceil(u128::from(tile.count.max(1)));
        let tenths = u8::try_from(tenths).unwrap_or(10);
        let look = (tile.kind, level(tile.worst), tenths);
        match packed.last_mut() {
            Some(run) if (run.1, run.2, run.3) == look => run.0 += 1,
            _ => packed.push((1, look.0, look.1, look.2)),
        }
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(first: u64, kind: u8, worst: Option<Severity>) -> Tile {
        Tile {
            first,
            count: 8,
            kind,
            worst,
            used: 4,
        }
    }

    #[test]
    fn runs_join_like_tiles_and_keep_a_bad_one_apart() {
        let bad = Some(Severity::Error);
        let tiles = [
            tile(0, 1, None),
            tile(8, 1, None),
            tile(16, 1, bad),
            tile(24, 1, bad),
            tile(32, 0, None),
        ];
        let lengths: Vec<(u64, u64, u8)> = runs_of(&tiles)
            .iter()
            .map(|run| (run.first, run.count, run.worst))
            .collect();
        assert_eq!(lengths, [(0, 16, 0), (16, 8, 3), (24, 8, 3), (32, 8, 0)]);
    }

    #[test]
    fn tile_is_marked_with_the_worst_that_was_found_in_it() {
        let found = |page, severity| Finding {
            id: String::new(),
            severity,
            page,
            offset: 0,
            evidence: Vec::new(),
            message: String::new(),
            meaning: String::new(),
            remedy: String::new(),
        };
        let findings = [
            found(Some(15), Severity::Warning),
            found(Some(16), Severity::Info),
            found(Some(8), Severity::Error),
            found(None, Severity::Error),
            found(Some(24), Severity::Warning),
        ];
        let tiles = vec![
            tile(0, 1, None),
            tile(8, 1, None),
            tile(16, 1, None),
            tile(24, 1, Some(Severity::Error)),
        ];
        let worst: Vec<u8> = marked(tiles, &findings)
            .iter()
            .map(|tile| level(tile.worst))
            .collect();
        assert_eq!(worst, [0, 3, 1, 3]);
    }

    #[test]
    fn packed_tiles_keep_the_one_that_is_bad() {
        let mut tiles: Vec<Tile> = (0..1_000_000)
            .map(|place| tile(place * 8, 0, None))
            .collect();
        tiles[765_432].worst = Some(Severity::Error);
        assert_eq!(
            packed(&tiles),
            [(765_432, 0, 0, 5), (1, 0, 3, 5), (234_567, 0, 0, 5)]
        );
    }
}
