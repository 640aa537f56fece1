//! What the colours of a map say: kinds of pages, their ages, or what the program's
//! own decoder says that they are. In what a map shows, each of them stands for kinds.

use std::time::Duration;

use crate::{
    decoded_map::AskedPages, inspect::Tile, legend::Legend, look::LookError, params::Colour,
    source::View, tiles::marked,
};

/// How long an answer may wait for the decoder. It is asked on in the background.
const DECODER_BUDGET: Duration = Duration::from_millis(250);

/// What is to be said of the colours of a map.
#[derive(Debug)]
pub(crate) struct Colours {
    pub(crate) legend: Legend,
    /// Whether there are too many protected pages to know the age of each.
    pub(crate) ages_truncated: bool,
    /// How far the decoder was asked; none by other colours, and where there is no
    /// decoder.
    pub(crate) asked: Option<AskedPages>,
}

impl Colours {
    /// Those of the state that is shown, of this generation, whose kinds of pages
    /// are those of `by_kind`.
    pub(crate) fn of(
        view: &mut View,
        colour: Colour,
        generation: u64,
        by_kind: Legend,
    ) -> Result<Self, LookError> {
        let mut colours = Self {
            ages_truncated: false,
            asked: None,
            legend: by_kind,
        };
        match colour {
            Colour::Kind => {}
            Colour::Age => {
                let births = view.births(generation)?;
                colours.ages_truncated = births.truncated;
                colours.legend = births.legend(colours.legend.total);
            }
            Colour::Decoder => {
                // The tiles have waited for it.
                if let Some((map, decoder)) = view.decoded_map(Duration::ZERO)? {
                    colours.asked = Some(map.progress());
                    colours.legend = map.legend(decoder.name());
                }
            }
        }
        Ok(colours)
    }
}

/// Tiles in these colours, with a mark where the check found something.
pub(crate) fn coloured(
    view: &mut View,
    colour: Colour,
    generation: u64,
    tiles: Vec<Tile>,
) -> Result<Vec<Tile>, LookError> {
    let tiles = marked(tiles, &view.check.findings);
    Ok(match colour {
        Colour::Kind => tiles,
        Colour::Age => view.births(generation)?.recoded(tiles),
        Colour::Decoder => match view.decoded_map(DECODER_BUDGET)? {
            Some((map, _)) => map.recoded(tiles),
            None => tiles,
        },
    })
}
