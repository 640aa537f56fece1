//! What the viewer is, what its words mean, and how other programs use it.

use std::sync::Arc;

use askama::Template;
use axum::{Extension, response::Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{filters, respond::Asked, shell::Shell};

/// Every route that a program may want, and what it answers.
#[derive(Clone, Debug)]
pub(crate) struct Routes(Arc<Vec<(String, String)>>);

impl Routes {
    pub(crate) fn new(summaries: Vec<(String, String)>) -> Self {
        Self(Arc::new(summaries))
    }
}

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
pub(crate) async fn show(asked: Asked, Extension(routes): Extension<Routes>) -> Response {
    let view = AboutView {
        version: env!("CARGO_PKG_VERSION"),
        openapi: asked.viewer.href("/api/openapi.json"),
        routes: routes.0.to_vec(),
    };
    asked.answer_without_file(&view, |shell, view| AboutPage { shell, view }.render())
}
