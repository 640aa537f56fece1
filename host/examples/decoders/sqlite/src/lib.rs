//! Says what lies in the pages of a database that `host/sqlite` keeps: page n of
//! SQLite is protected page n - 1.

wit_bindgen::generate!({ world: "page-decoder", path: "../../../../wit" });

mod pages;

use exports::pagebox::pager::decoder::{Decoded, Field, Guest, Place, Target};
use pages::{Page, Part};

struct Decoder;

export!(Decoder);

impl Guest for Decoder {
    fn name() -> String {
        pages::NAME.into()
    }

    fn decode(bytes: Vec<u8>, place: Place) -> Option<Decoded> {
        // A database has no regular pages.
        pages::decode(&bytes, place.protected?).map(Decoded::from)
    }
}

impl From<Page> for Decoded {
    fn from(page: Page) -> Self {
        Self {
            kind: page.kind.into(),
            title: page.title,
            letter: page.letter,
            summary: page.summary,
            fields: page.parts.into_iter().map(Field::from).collect(),
        }
    }
}

impl From<Part> for Field {
    fn from(part: Part) -> Self {
        Self {
            name: part.name,
            offset: part.offset as u32,
            len: part.len as u32,
            value: part.value,
            meaning: part.meaning.into(),
            refers_to: part.names.map(Target::Protected),
            problem: part.problem,
        }
    }
}
