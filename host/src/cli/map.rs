//! `pagebox map`: what each page is, as text.

use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use clap::Args;
use pagebox::inspect::{PageKind, Severity, Summary, Tile};
use pagebox::{Error, Inspector};

use super::output::{ERROR, QUIET, STRONG, number, percent, plural, shown};
use super::{File, Outcome, Output, Shown, inspect};

/// Files of more pages than this are pooled unless told otherwise.
const PAGES_UNPOOLED_MAX: u64 = 1 << 16;
/// Characters that a pooled map has at most.
const CHARACTERS_MAX: u64 = 1 << 12;
/// Tiles that are asked for at once.
const BATCH: u32 = 1 << 12;
/// What a page with a problem looks like.
const PROBLEM: &str = "X";

/// Draw what each page is, one character a page
///
/// Takes no lock, and works on damaged files as far as their bytes allow. Of
/// more than 65,536 pages several share a character: it shows what most of
/// them are, and X where any of them has a problem.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  pagebox map data.pages
  NO_COLOR=1 pagebox map data.pages
  CLICOLOR_FORCE=1 pagebox map data.pages | less -R")]
pub(crate) struct Map {
    #[command(flatten)]
    file: File,
    #[command(flatten)]
    shown: Shown,
    /// One character for so many pages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pool: Option<u64>,
}

impl Map {
    pub(crate) fn run(&self, output: &mut Output) -> Outcome {
        let path = &self.file.path;
        let (summary, drawing) = inspect(path, &self.shown, |inspector| {
            Drawing::of(inspector, self.pool)
        })?;
        print(output, path, &summary, &drawing)?;
        Ok(())
    }
}

/// What a map shows of a file.
pub(crate) struct Drawing {
    kinds: Vec<PageKind>,
    /// How many pages there are.
    pages: u64,
    /// How many of them share a character.
    pool: u64,
    tiles: Vec<Tile>,
}

impl Drawing {
    /// What an inspector says; with so many pages a character.
    pub(crate) fn of(inspector: &mut Inspector, pool: Option<u64>) -> Result<Self, Error> {
        let kinds = inspector.page_kinds()?;
        let pages = kinds.iter().map(|kind| kind.count).sum::<u64>();
        let pool = pool.unwrap_or_else(|| pool_for(pages));
        let tiles = tiles(inspector, pages, pool)?;
        Ok(Self {
            kinds,
            pages,
            pool,
            tiles,
        })
    }
}

/// Draws a file.
pub(crate) fn print(
    output: &mut Output,
    path: &Path,
    summary: &Summary,
    drawing: &Drawing,
) -> io::Result<()> {
    let Drawing {
        kinds,
        pages,
        pool,
        tiles,
    } = drawing;
    let (pages, pool) = (*pages, *pool);
    let strong = output.style(STRONG);
    let bytes = plural(summary.page_size.into(), "byte");
    write!(
        output,
        "{strong}{}{strong:#}: {} of {bytes}",
        shown(path),
        plural(pages, "page")
    )?;
    if pool > 1 {
        write!(output, ", a character stands for {}", number(pool))?;
    }
    writeln!(output, "\n")?;
    draw(output, tiles, kinds, pages)?;
    legend(output, tiles, kinds, pages)
}

/// Pages a character: a power of two.
fn pool_for(pages: u64) -> u64 {
    if pages <= PAGES_UNPOOLED_MAX {
        1
    } else {
        pages.div_ceil(CHARACTERS_MAX).next_power_of_two()
    }
}

fn tiles(inspector: &mut Inspector, pages: u64, pool: u64) -> Result<Vec<Tile>, Error> {
    let mut tiles: Vec<Tile> = Vec::new();
    loop {
        let first = tiles.last().map_or(0, |tile| tile.first + tile.count);
        if first >= pages {
            return Ok(tiles);
        }
        let part = inspector.tiles(first, pool, BATCH)?;
        if part.is_empty() {
            return Ok(tiles);
        }
        tiles.extend(part);
    }
}

/// Rows of characters, each led by the number of its first page.
fn draw(output: &mut Output, tiles: &[Tile], kinds: &[PageKind], pages: u64) -> io::Result<()> {
    let digits = pages.saturating_sub(1).to_string().len();
    let columns = columns(Output::width().saturating_sub(digits + 3));
    let quiet = output.style(QUIET);
    for row in tiles.chunks(columns) {
        write!(output, " {quiet}{:>digits$}{quiet:#}  ", row[0].first)?;
        for alike in row.chunk_by(|tile, next| look(tile, kinds) == look(next, kinds)) {
            let (letter, style) = look(&alike[0], kinds);
            let style = output.style(style);
            write!(output, "{style}{}{style:#}", letter.repeat(alike.len()))?;
        }
        writeln!(output)?;
    }
    writeln!(output)
}

/// Characters in a row: a multiple of 16, so that numbers are easy to find.
fn columns(room: usize) -> usize {
    match room {
        0..16 => 8,
        16..128 => room / 16 * 16,
        _ => 128,
    }
}

/// What a tile looks like.
fn look<'a>(tile: &Tile, kinds: &'a [PageKind]) -> (&'a str, Style) {
    if tile.worst == Some(Severity::Error) {
        return (PROBLEM, ERROR);
    }
    kinds
        .iter()
        .find(|kind| kind.code == tile.kind)
        .map_or((" ", Style::new()), |kind| {
            (&kind.letter, colour(&kind.name))
        })
}

/// The colour of a kind. Letters carry the kind too, and the list may grow.
fn colour(kind: &str) -> Style {
    match kind {
        "regular" => AnsiColor::Blue.on_default().bold(),
        "protected-active" => AnsiColor::Green.on_default().bold(),
        "protected-shadow" => AnsiColor::Green.on_default(),
        "directory" => AnsiColor::Yellow.on_default(),
        "superblock" | "metadata" => STRONG,
        "free" | "slack" => QUIET,
        "missing" | "unknown" => AnsiColor::Red.on_default(),
        _ => Style::new(),
    }
}

/// The kinds that the file has, with how many pages they are.
fn legend(output: &mut Output, tiles: &[Tile], kinds: &[PageKind], pages: u64) -> io::Result<()> {
    let quiet = output.style(QUIET);
    for kind in kinds.iter().filter(|kind| kind.count > 0) {
        let style = output.style(colour(&kind.name));
        writeln!(
            output,
            " {style}{}{style:#} {:>11} {:>8}  {:<16}  {quiet}{}{quiet:#}",
            kind.letter,
            number(kind.count),
            percent(kind.count, pages),
            kind.name,
            kind.description,
        )?;
    }
    if tiles.iter().any(|tile| tile.worst == Some(Severity::Error)) {
        let style = output.style(ERROR);
        writeln!(
            output,
            " {style}{PROBLEM}{style:#}  a problem: `pagebox check` shows what it is"
        )?;
    }
    Ok(())
}
