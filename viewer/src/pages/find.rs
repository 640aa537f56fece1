//! Bytes looked for in pages: from one page and byte on, as far as a moment's work
//! goes.

use std::time::{Duration, Instant};

use askama::Template;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    error::Error,
    filters,
    head::{FileName, Head},
    params::{AsOfParams, number_or_none},
    respond::Asked,
    shell::Shell,
    text,
};

/// How long a search may take: from where it ended it goes on.
const BUDGET: Duration = Duration::from_secs(1);

/// The most bytes that can be looked for, and places in an answer.
const WANTED_MAX: usize = 256;
const PLACES_MAX: usize = 100;

/// What to look for, and from where on.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct FindParams {
    /// A text, or after `0x` bytes in hex, with or without blanks. Without them nothing
    /// is looked for.
    bytes: String,
    /// The page to begin in; 0 if not given.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    n: Option<u64>,
    /// The byte of it to begin at; 0 if not given.
    #[serde(deserialize_with = "number_or_none")]
    #[param(value_type = Option<u64>)]
    at: Option<u64>,
}

/// Where bytes are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FindView {
    file: FileName,
    state: Head,
    /// What was looked for, in hex.
    wanted: String,
    /// Where it begins, in the order of the file, the first hundred.
    places: Vec<FoundAt>,
    /// The page that the search began in.
    first: u64,
    /// Pages that were searched to their end.
    searched: u64,
    /// Where to go on; null: that was the end of the file.
    next: Option<FoundAt>,
    #[serde(skip)]
    bytes: String,
}

/// A byte of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct FoundAt {
    page: u64,
    offset: u32,
}

impl FindView {
    /// What leads on, where the search ended.
    fn on(&self, shell: &Shell, from: &FoundAt) -> String {
        let bytes = text::in_address(&self.bytes);
        let (page, at) = (from.page, from.offset);
        format!("{}bytes={bytes}&n={page}&at={at}", shell.ask("find"))
    }
}

#[derive(Template)]
#[template(path = "find.html")]
struct FindPage<'a> {
    shell: &'a Shell,
    view: &'a FindView,
}

/// Bytes looked for in pages. Bytes that begin in one page and end in the next are
/// not found.
#[utoipa::path(get, path = "/f/{file}/find.json", tag = "file",
    params(("file" = String, Path, description = "The file's id"), AsOfParams, FindParams),
    responses((status = 200, body = FindView), (status = 400, body = crate::error_page::Said),
        (status = 404, body = crate::error_page::Said)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = view(&asked).await;
    asked.answer(view, |shell, view| FindPage { shell, view }.render())
}

async fn view(asked: &Asked) -> Result<(Head, FindView), Error> {
    let file = FileName::from(asked.file()?);
    let params: FindParams = asked.query()?;
    let wanted = wanted(&params.bytes)?;
    let first = params.n.unwrap_or(0);
    let (head, found) = asked
        .look_as_of(move |view, head| {
            // Of a file without a page there is nothing to look for, and that is no error.
            if first >= head.pages && first > 0 {
                return Ok(None);
            }
            let summary = &head.summary;
            let end = summary.file_pages + u64::from(summary.tail > 0);
            let until = Instant::now() + BUDGET;
            let mut from = u32::try_from(params.at.unwrap_or(0)).unwrap_or(u32::MAX);
            let mut places = Vec::new();
            let mut page = first;
            let next = loop {
                if page >= end || wanted.is_empty() {
                    break None;
                }
                if page > first && Instant::now() > until {
                    break Some(FoundAt { page, offset: 0 });
                }
                let bytes = view.look().bytes(page, 0, head.page_size)?;
                let found = places_of(&bytes, &wanted, from).map(|offset| FoundAt { page, offset });
                places.extend(found.take(PLACES_MAX + 1 - places.len()));
                if places.len() > PLACES_MAX {
                    break places.pop();
                }
                page += 1;
                from = 0;
            };
            Ok(Some(FindView {
                file: file.clone(),
                state: head.clone(),
                wanted: text::hex(&wanted),
                places,
                first,
                searched: page - first,
                next,
                bytes: params.bytes.clone(),
            }))
        })
        .await?;
    match found {
        Some(view) => Ok((head, view)),
        None => Err(Error::no_page(first, head.pages)),
    }
}

/// The bytes that a text stands for.
fn wanted(said: &str) -> Result<Vec<u8>, Error> {
    let bytes = match said.strip_prefix("0x") {
        None => said.as_bytes().to_vec(),
        Some(digits) => of_hex(digits).ok_or_else(|| {
            Error::Query("after 0x two hexadecimal digits are expected for each byte".to_owned())
        })?,
    };
    if bytes.len() > WANTED_MAX {
        return Err(Error::Query(format!(
            "at most {WANTED_MAX} bytes can be looked for"
        )));
    }
    Ok(bytes)
}

fn of_hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b' ').collect();
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => {
            let pair = [*high, *low];
            let text = std::str::from_utf8(&pair).ok()?;
            let is_hex = pair.iter().all(u8::is_ascii_hexdigit);
            u8::from_str_radix(text, 16).ok().filter(|_| is_hex)
        }
        _ => None,
    });
    pairs.collect()
}

/// Where bytes begin in others, from a place on.
fn places_of<'b>(bytes: &'b [u8], wanted: &'b [u8], from: u32) -> impl Iterator<Item = u32> + 'b {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    let windows = bytes.windows(wanted.len()).enumerate().skip(from);
    let found = windows.filter(move |(_, window)| *window == wanted);
    found.filter_map(|(offset, _)| u32::try_from(offset).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_or_hex_is_what_is_looked_for() {
        let bytes = |said: &str| wanted(said).ok();
        assert_eq!(bytes("PBOX"), Some(b"PBOX".to_vec()));
        assert_eq!(bytes("0x00 ffA0"), Some(vec![0, 255, 160]));
        assert_eq!(bytes(""), Some(Vec::new()));
        for said in ["0x0", "0xgg", "0x+1", &"a".repeat(257)] {
            assert_eq!(bytes(said), None, "{said}");
        }
    }

    #[test]
    fn every_place_is_found_from_a_byte_on() {
        let places = |from| places_of(b"aXaXXaX", b"aX", from).collect::<Vec<_>>();
        assert_eq!(places(0), [0, 2, 5]);
        assert_eq!(places(1), [2, 5]);
        assert_eq!(places(6), [0_u32; 0]);
        assert_eq!(places_of(b"a", b"aX", 0).count(), 0);
    }
}
