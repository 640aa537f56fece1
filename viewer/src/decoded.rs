//! What the decoder of a program makes of a page: a structure like those of the
//! pager, and what the page is as a whole. Whatever a decoder says is shown with
//! nothing invisible in it.

use pagebox::{
    decode::{At, Field as Said, Target},
    report::Decoding,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    described::Described,
    inspect::{Field, Structure},
    look::LookError,
    source::View,
    text,
};

/// What a decoder says of a page.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Decoded {
    /// What the decoder calls itself.
    pub(crate) decoder: String,
    /// What the page is; null where the decoder does not know it, or failed. Its
    /// fields are the last of the structures.
    pub(crate) page: Option<DecodedPage>,
    /// What happened to the decoder; empty where it did not fail.
    pub(crate) failure: String,
}

/// What a page is, by a decoder.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct DecodedPage {
    /// A short name of what it is.
    pub(crate) kind: String,
    /// What stands for the kind in maps.
    pub(crate) letter: char,
    /// A title for people.
    pub(crate) title: String,
    /// What is in it, in a sentence.
    pub(crate) summary: String,
}

impl Decoded {
    /// Asks the decoder about a page that a program has bytes in, and adds what it
    /// makes out to the structures. None: there is no decoder, or the page is not
    /// such a page.
    pub(crate) fn of(
        view: &mut View,
        page: u64,
        protected: Option<u64>,
        kind: &str,
        structures: &mut Vec<Described>,
    ) -> Result<Option<Self>, LookError> {
        let Some((decoded, structure)) = Self::ask(view, page, protected, kind)? else {
            return Ok(None);
        };
        if let Some(structure) = structure {
            structures.push(Described::by(&decoded.decoder, view, structure)?);
        }
        Ok(Some(decoded))
    }

    /// The same, with what it makes out.
    pub(crate) fn ask(
        view: &mut View,
        page: u64,
        protected: Option<u64>,
        kind: &str,
    ) -> Result<Option<(Self, Option<Structure>)>, LookError> {
        let Some(decoder) = view.decoder() else {
            return Ok(None);
        };
        if protected.is_none() && kind != "regular" {
            return Ok(None);
        }
        let page_size = view.look().summary()?.page_size;
        let bytes = view.look().bytes(page, 0, page_size)?;
        // The file ends within the page.
        if u32::try_from(bytes.len()) != Ok(page_size) {
            return Ok(None);
        }
        let at = At {
            page: Some(page),
            protected,
        };
        let name = text::visible(decoder.name());
        let decoded = match decoder.decode(&bytes, at) {
            Ok(Some(decoded)) => decoded,
            Ok(None) => {
                let unknown = Self {
                    decoder: name,
                    page: None,
                    failure: String::new(),
                };
                return Ok(Some((unknown, None)));
            }
            Err(error) => {
                let failure = match error {
                    pagebox::Error::Decoder { cause, .. } => cause,
                    error => error.to_string(),
                };
                let failed = Self {
                    decoder: name,
                    page: None,
                    failure: text::visible(&failure),
                };
                return Ok(Some((failed, None)));
            }
        };
        let known = DecodedPage {
            kind: text::visible(&decoded.kind),
            letter: decoded.letter,
            title: text::visible(&decoded.title),
            summary: text::visible(&decoded.summary),
        };
        let mut fields = Vec::with_capacity(decoded.fields.len());
        for said in &decoded.fields {
            fields.push(field(view, said)?);
        }
        let structure = Structure {
            name: known.kind.clone(),
            title: known.title.clone(),
            page,
            counts: true,
            valid: None,
            fields,
        };
        let decoded = Self {
            decoder: name,
            page: Some(known),
            failure: String::new(),
        };
        Ok(Some((decoded, Some(structure))))
    }
}

/// A field as those of the pager are: it names the page that holds the bytes of a
/// protected page.
fn field(view: &mut View, said: &Said) -> Result<Field, LookError> {
    let mut problem = text::visible(&said.problem);
    let mut missing = |what: String| {
        let between = if problem.is_empty() { "" } else { "; " };
        problem = format!("{problem}{between}it names {what}, which is not there");
        None
    };
    let refers_to = match said.refers_to {
        None => None,
        Some(Target::Page(page)) if view.look().kinds(page, 1)?.is_empty() => {
            missing(format!("page {page}"))
        }
        Some(Target::Page(page)) => Some(page),
        Some(Target::Protected(id)) => match view.look().directory(id, 1, false)?.first() {
            // Of one whose bytes are zeros there is no page to show.
            Some(entry) if entry.id == id => entry.page,
            _ => missing(format!("protected page {id}")),
        },
    };
    Ok(Field {
        name: text::visible(&said.name),
        offset: said.offset,
        len: said.len,
        value: text::visible(&said.value),
        meaning: text::visible(&said.meaning),
        refers_to,
        problem,
    })
}

/// What a decoder told of a file.
pub(crate) fn visible(told: &Decoding) -> Decoding {
    let mut shown = told.clone();
    shown.decoder = text::visible(&shown.decoder);
    for each in &mut shown.kinds {
        each.kind = text::visible(&each.kind);
    }
    shown
}
