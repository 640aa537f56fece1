//! The map: every page of a file by kind, pooled as far as it must be.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    checked::Checked,
    coloured::{Colours, coloured},
    decoded_map::AskedPages,
    error::Error,
    filters,
    head::{FileName, Head},
    inspect::Severity,
    legend::{Legend, LegendLine},
    params::{AsOfParams, Colour, number_or_none},
    plots::{MapRect, map_rects},
    respond::Asked,
    shell::Shell,
    tiles::{Run, runs_of},
};

/// How long a map may wait for the check, so that its marks are there.
const CHECK_BUDGET: Duration = Duration::from_millis(250);

/// Tiles in the drawing that needs no script, and in a row of it.
const DRAWN_TILES: u64 = 2048;
const DRAWN_COLUMNS: u64 = 64;
/// The edge of a tile in that drawing, in its own units.
const DRAWN_EDGE: u64 = 14;

/// The most lines in the table of runs, and flagged pages in a list.
const RUNS_MAX: usize = 200;
const FLAGGED_MAX: usize = 1000;
const FLAGGED_SHOWN: usize = 100;

/// Where on the map.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct MapParams {
    /// The first page to show.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    first: Option<u64>,
    /// Pages in a tile.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    per: Option<u64>,
    /// What colours say: `kind`, `age`: how long ago a page was written, or
    /// `decoder`: what the program's own decoder says that it is.
    colour: Colour,
    /// The kind to show alone, or the age.
    kind: Option<String>,
    /// The step of the zoom; for the script.
    z: Option<String>,
    /// The page under the cursor; for the script.
    sel: Option<String>,
}

/// Every page of a file, pooled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MapView {
    file: FileName,
    state: Head,
    /// What colours say: `kind`, `age` or `decoder`. By age, ages stand for kinds in
    /// all that follows, and by decoder, its kinds.
    colour: Colour,
    /// Whether there are too many protected pages to know the age of each.
    ages_truncated: bool,
    /// How far the decoder was asked; null by other colours.
    asked: Option<AskedPages>,
    /// The kinds of pages. Their counts sum to all pages.
    kinds: Vec<LegendLine>,
    /// All pages.
    pages: u64,
    /// Where the runs begin.
    first: u64,
    /// Pages in a tile: each is drawn as the kind that most of them have, or as the
    /// youngest of them.
    pages_per_tile: u64,
    /// Neighbouring tiles that look alike.
    runs: Vec<Run>,
    /// Where the next part begins.
    next: Option<u64>,
    /// Pages with warnings and errors, the first thousand.
    flagged: Vec<u64>,
    check: Checked,
    #[serde(skip)]
    legend: Legend,
    #[serde(skip)]
    has_decoder: bool,
    #[serde(skip)]
    kind: Option<String>,
    #[serde(skip)]
    z: String,
    #[serde(skip)]
    sel: String,
}

impl MapView {
    fn rects(&self) -> Vec<MapRect> {
        map_rects(self.runs.iter().map(|run| run.tiles), DRAWN_COLUMNS)
    }

    fn class(&self, run: &Run) -> &'static str {
        self.legend.class(run.kind)
    }

    fn name(&self, run: &Run) -> String {
        self.legend.name(run.kind).to_owned()
    }

    fn dimmed(&self, run: &Run) -> bool {
        self.kind
            .as_ref()
            .is_some_and(|kind| *kind != self.name(run))
    }

    fn height(&self) -> u64 {
        let tiles: u64 = self.runs.iter().map(|run| run.tiles).sum();
        tiles.div_ceil(DRAWN_COLUMNS).max(1) * DRAWN_EDGE
    }

    fn width(&self) -> u64 {
        DRAWN_COLUMNS * DRAWN_EDGE
    }

    fn edge(&self) -> u64 {
        DRAWN_EDGE
    }

    fn table(&self) -> &[Run] {
        self.runs.get(..RUNS_MAX).unwrap_or(&self.runs)
    }

    fn run(&self, index: &usize) -> Run {
        self.runs.get(*index).cloned().unwrap_or_default()
    }

    fn kind_name(&self) -> &str {
        self.kind.as_deref().unwrap_or_default()
    }

    fn is_by_age(&self) -> bool {
        self.colour == Colour::Age
    }

    fn is_by_decoder(&self) -> bool {
        self.colour == Colour::Decoder
    }

    fn is_by_kind(&self) -> bool {
        self.colour == Colour::Kind
    }

    /// The part of an address that keeps what colours say.
    fn kept(&self) -> &'static str {
        self.colour.kept()
    }

    /// What colours say, as addresses have it.
    fn colour_name(&self) -> &'static str {
        match self.colour {
            Colour::Kind => "",
            Colour::Age => "age",
            Colour::Decoder => "decoder",
        }
    }

    /// Whether more will be known a moment later.
    fn is_unfinished(&self) -> bool {
        !self.check.complete || self.is_asking()
    }

    /// Whether the decoder is not done.
    fn is_asking(&self) -> bool {
        self.asked.is_some_and(|asked| !asked.complete)
    }

    /// The letter on a run of pages whose drawing is not its own.
    fn letter(&self, run: &Run) -> Option<&str> {
        self.legend.letter(run.kind)
    }

    fn is_kind(&self, name: &str) -> bool {
        self.kind.as_deref() == Some(name)
    }

    /// The flagged pages as the script reads them.
    fn flagged_list(&self) -> String {
        let pages: Vec<String> = self.flagged.iter().map(u64::to_string).collect();
        pages.join(" ")
    }

    fn flagged_shown(&self) -> &[u64] {
        self.flagged.get(..FLAGGED_SHOWN).unwrap_or(&self.flagged)
    }

    /// What the script needs to know of the kinds, as JSON.
    fn kinds_json(&self) -> String {
        let kinds: Vec<_> = self
            .kinds
            .iter()
            .map(|line| {
                let letter = line.is_lettered().then_some(&line.kind.letter);
                (line.kind.code, &line.kind.name, line.class, letter)
            })
            .collect();
        serde_json::to_string(&kinds).unwrap_or_default()
    }

    /// The kinds that some page has.
    fn present(&self) -> impl Iterator<Item = &LegendLine> {
        self.kinds.iter().filter(|line| line.kind.count > 0)
    }
}

#[derive(Template)]
#[template(path = "map.html")]
struct MapPage<'a> {
    shell: &'a Shell,
    view: &'a MapView,
}

/// The map of a file: pooled so that it fits, or as far as was asked for.
#[utoipa::path(get, path = "/f/{file}/map.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), AsOfParams, MapParams),
    responses((status = 200, body = MapView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| MapPage { shell, view }.render())
}

async fn view(asked: &Asked) -> Result<(Head, MapView), Error> {
    let file = FileName::from(asked.file()?);
    let params: MapParams = asked.query()?;
    asked.can_colour_by(params.colour)?;
    let has_decoder = asked.file()?.source.has_decoder();
    asked
        .look_as_of(move |view, head| {
            view.check_for(CHECK_BUDGET)?;
            let mut flagged: Vec<u64> = view
                .check
                .findings
                .iter()
                .filter(|finding| finding.severity != Severity::Info)
                .filter_map(|finding| finding.page)
                .collect();
            flagged.sort_unstable();
            flagged.dedup();
            flagged.truncate(FLAGGED_MAX);
            let check = Checked::of(&view.check);
            let by_kind = Legend::new(view.look().page_kinds()?);
            let pages = by_kind.total;
            let first = params.first.unwrap_or(0);
            let pages_per_tile = params
                .per
                .filter(|per| *per > 0)
                .unwrap_or_else(|| pages.div_ceil(DRAWN_TILES).next_power_of_two());
            let tiles = view.look().tiles(
                first,
                pages_per_tile,
                u32::try_from(DRAWN_TILES).unwrap_or(u32::MAX),
            )?;
            let generation = head.generation.unwrap_or(0);
            let tiles = coloured(view, params.colour, generation, tiles)?;
            let colours = Colours::of(view, params.colour, generation, by_kind)?;
            let runs = runs_of(&tiles);
            let next = runs
                .last()
                .map(|run| run.last() + 1)
                .filter(|next| *next < pages);
            Ok(MapView {
                file: file.clone(),
                state: head.clone(),
                colour: params.colour,
                ages_truncated: colours.ages_truncated,
                asked: colours.asked,
                kinds: colours.legend.kinds.clone(),
                legend: colours.legend,
                has_decoder,
                pages,
                first,
                pages_per_tile,
                runs,
                next,
                flagged,
                check,
                kind: params.kind.clone().filter(|kind| !kind.is_empty()),
                z: params.z.clone().unwrap_or_default(),
                sel: params.sel.clone().unwrap_or_default(),
            })
        })
        .await
}
