//! Tiles of a map that look alike, joined: for a drawing and a table, and packed
//! for the script. Pure.

use serde::Serialize;
use utoipa::ToSchema;

use crate::inspect::{Severity, Tile};

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
