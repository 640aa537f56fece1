//! The tiles that the map's script draws. No screen shows them.

use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    coloured::coloured,
    error::Error,
    head::Head,
    params::{AsOfParams, Colour, number_or_none},
    respond::Asked,
    text,
    tiles::packed,
};

/// The most tiles in an answer.
const TILES_MAX: u32 = 65_536;

/// Which tiles.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct TileParams {
    /// The first page; 0 if not given.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    first: Option<u64>,
    /// Pages in a tile; 1 if not given.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    per: Option<u64>,
    /// How many tiles, at most 65,536; that many if not given.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    count: Option<u64>,
    /// What colours say: `kind`, `age`: how long ago a page was written, or
    /// `decoder`: what the program's own decoder says that it is.
    colour: Colour,
}

/// Tiles, packed for drawing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TilesView {
    /// The commit counter of the state that this shows; none where it is not
    /// known.
    generation: Option<u64>,
    /// All pages.
    pages: u64,
    /// The first page.
    first: u64,
    /// Pages in a tile.
    per: u64,
    /// Runs of like tiles, in order: how many tiles, the code of the kind
    /// that most of their pages have, or of the youngest age, the worst finding (0 none, 1 note,
    /// 2 warning, 3 error), and how many tenths of them are not free.
    tiles: Vec<(u64, u8, u8, u8)>,
}

/// Tiles of the map, packed for drawing.
#[utoipa::path(get, path = "/f/{file}/tiles.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), AsOfParams, TileParams),
    responses((status = 200, body = TilesView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |_, _| Ok(String::new()))
}

async fn view(asked: &Asked) -> Result<(Head, TilesView), Error> {
    let params: TileParams = asked.query()?;
    asked.can_colour_by(params.colour)?;
    let (first, per) = (params.first.unwrap_or(0), params.per.unwrap_or(1));
    let count = params.count.map_or(Ok(TILES_MAX), u32::try_from);
    let Some(count) = count.ok().filter(|count| per > 0 && *count <= TILES_MAX) else {
        return Err(Error::Query(format!(
            "a tile has at least 1 page, and an answer at most {} tiles",
            text::number(u64::from(TILES_MAX))
        )));
    };
    asked
        .look_as_of(move |view, head| {
            let tiles = view.look().tiles(first, per, count)?;
            let tiles = coloured(view, params.colour, head.generation.unwrap_or(0), tiles)?;
            Ok(TilesView {
                generation: head.generation,
                pages: head.pages,
                first,
                per,
                tiles: packed(&tiles),
            })
        })
        .await
}
