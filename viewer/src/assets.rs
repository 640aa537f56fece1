//! The files that pages load, embedded in the program.

use axum::{
    extract::Path,
    http::header,
    response::{IntoResponse, Response},
};

use crate::{error::Error, respond::Asked};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! assets {
    ($($name:literal $kind:expr;)*) => {
        [$(($name, $kind, include_str!(concat!("../assets/", $name)))),*]
    };
}

const ASSETS: [(&str, &str, &str); 14] = assets! {
    "style.css" "text/css; charset=utf-8";
    "theme.js" JAVASCRIPT;
    "viewer.js" JAVASCRIPT;
    "page-map.js" JAVASCRIPT;
    "map-layout.js" JAVASCRIPT;
    "map-paint.js" JAVASCRIPT;
    "hex-view.js" JAVASCRIPT;
    "screen.js" JAVASCRIPT;
    "live-source.js" JAVASCRIPT;
    "live-status.js" JAVASCRIPT;
    "live-worker.js" JAVASCRIPT;
    "icon.svg" "image/svg+xml";
    "icon-note.svg" "image/svg+xml";
    "icon-bad.svg" "image/svg+xml";
};

/// A static file.
pub(crate) async fn show(asked: Asked, Path(name): Path<String>) -> Response {
    let found = ASSETS
        .iter()
        .find(|(known, _, _)| *known == name)
        .map(|(_, kind, text)| ([(header::CONTENT_TYPE, *kind)], *text).into_response());
    asked.or_error(found.ok_or(Error::NotFound))
}
