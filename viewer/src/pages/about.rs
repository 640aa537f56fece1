//! What the viewer is, what its words mean, and how other programs use it.

use askama::Template;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{openapi, respond::Asked, shell::Shell};

/// What the viewer is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AboutView {
    /// The viewer's version.
    #[schema(value_type = String)]
    version: &'static str,
    /// The address of the `OpenAPI` description.
    openapi: String,
    #[serde(skip)]
    routes: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "about.html")]
struct AboutPage<'a> {
    shell: &'a Shell,
    view: &'a AboutView,
}

/// What the viewer is.
#[utoipa::path(get, path = "/about.json", tag = "viewer",
    responses((status = 200, body = AboutView)))]
pub(crate) async fn show(asked: Asked) -> Response {
    let view = AboutView {
        version: env!("CARGO_PKG_VERSION"),
        openapi: asked.viewer.href("/api/openapi.json"),
        routes: openapi::summaries(),
    };
    asked.answer_without_file(&view, |shell, view| AboutPage { shell, view }.render())
}
