//! The one page of all errors: in the frame of the screens, with the ways on
//! that its advice speaks of.

use askama::Template;
use axum::{
    Json,
    http::{HeaderValue, header, request::Parts},
    response::{Html, IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    error::{Error, Way},
    filters,
    format::Format,
    look::LookError,
    shell::{Link, Shell},
    state::{File, Viewer},
    text,
};

/// An error as JSON, and what its page shows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Said {
    /// The HTTP status.
    pub(crate) status: u16,
    /// What it is called, in two or three words.
    #[schema(value_type = String)]
    pub(crate) title: &'static str,
    /// What went wrong.
    pub(crate) error: String,
    /// The way onward.
    #[schema(value_type = String)]
    pub(crate) advice: &'static str,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    shell: &'a Shell,
    said: &'a Said,
    ways: Vec<Link>,
}

/// The answer to a request of somebody who may look, about a file or none.
pub(crate) fn answer(
    error: &Error,
    viewer: &Viewer,
    parts: &Parts,
    file: Option<&File>,
) -> Response {
    let address = parts.uri.path_and_query();
    let address = address.map_or("/", |address| address.as_str());
    let shell = Shell::new(viewer, address, file, None);
    let ways = error.ways();
    respond(error, parts, &shell, links(&ways, viewer, address, file))
}

/// The answer to somebody who may not: it says nothing of any file.
pub(crate) fn refusal(error: &Error, viewer: &Viewer, parts: &Parts) -> Response {
    respond(error, parts, &Shell::outside(viewer), Vec::new())
}

fn links(ways: &[Way], viewer: &Viewer, address: &str, file: Option<&File>) -> Vec<Link> {
    let mut links = Vec::new();
    let mut add = |href, text: &str| {
        links.push(Link {
            href,
            text: text.to_owned(),
            current: false,
        });
    };
    for way in ways {
        match (way, file) {
            (Way::Again, _) => add(viewer.href(address), "Load again"),
            (Way::Screen(screen, text), Some(file)) => {
                add(viewer.href(&format!("/f/{}/{screen}", file.id)), text);
            }
            (Way::Screen(..), None) => {}
        }
    }
    add(viewer.href("/"), "To the files");
    links
}

fn respond(error: &Error, parts: &Parts, shell: &Shell, ways: Vec<Link>) -> Response {
    let said = Said {
        status: error.status().as_u16(),
        title: error.title(),
        error: text::visible(&error.to_string()),
        advice: error.advice(),
    };
    let body = if Format::of(parts.uri.path(), &parts.headers) == Format::Html {
        let page = ErrorPage {
            shell,
            said: &said,
            ways,
        };
        match page.render() {
            Ok(html) => Html(html).into_response(),
            Err(_) => said.title.into_response(),
        }
    } else {
        Json(&said).into_response()
    };
    let mut response = (error.status(), body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let (name, value) = match error {
        Error::Method => (header::ALLOW, "GET, HEAD"),
        Error::Token => (header::WWW_AUTHENTICATE, "Bearer"),
        Error::EventStreams | Error::Look(LookError::Changing | LookError::Busy) => {
            (header::RETRY_AFTER, "2")
        }
        _ => return response,
    };
    headers.insert(name, HeaderValue::from_static(value));
    response
}
