//! The viewer's interface for programs, as `OpenAPI` 3.1.

use axum::{Json, response::IntoResponse, response::Response};
use utoipa::{
    OpenApi,
    openapi::{
        ContentBuilder, HttpMethod, PathItem, ResponseBuilder, Server,
        path::{Operation, OperationBuilder},
        tag::TagBuilder,
    },
};

use crate::{pages, respond::Asked};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Pagebox viewer",
        description = "What is in a page file. Page files are only read: GET and HEAD. \
            What the answers say is as in the page cache; it proves nothing of durability. \
            Keys are only ever added."
    ),
    paths(
        pages::files::show,
        pages::overview::show,
        pages::overview::free,
        pages::map::show,
        pages::tiles::show,
        pages::metadata::show,
        pages::directory::show,
        pages::directory::csv,
        pages::page::show,
        pages::page::raw,
        pages::diff::show,
        pages::tree::show,
        pages::find::show,
        pages::compare_files::show,
        pages::health::show,
        pages::live::show,
        pages::live::events,
        pages::time::show,
        pages::changes::show,
        pages::crash::show,
        pages::about::show,
        show,
    )
)]
struct Described;

/// The screens of people beside the twins of programs.
const SCREENS: [(&str, &str); 16] = [
    ("/", "/files.json"),
    ("/f/{file}/overview", "/f/{file}/overview.json"),
    ("/f/{file}/map", "/f/{file}/map.json"),
    ("/f/{file}/metadata", "/f/{file}/metadata.json"),
    ("/f/{file}/directory", "/f/{file}/directory.json"),
    ("/f/{file}/page", "/f/{file}/page.json"),
    ("/f/{file}/diff", "/f/{file}/diff.json"),
    ("/f/{file}/compare", "/f/{file}/compare.json"),
    ("/f/{file}/find", "/f/{file}/find.json"),
    ("/f/{file}/tree", "/f/{file}/tree.json"),
    ("/f/{file}/health", "/f/{file}/health.json"),
    ("/f/{file}/live", "/f/{file}/live.json"),
    ("/f/{file}/time", "/f/{file}/time.json"),
    ("/f/{file}/changes", "/f/{file}/changes.json"),
    ("/f/{file}/crash", "/f/{file}/crash.json"),
    ("/about", "/about.json"),
];

/// The one request that changes something.
const FORGET: &str = "Forgets what was looked at before, where the program keeps such a list: \
    the button of the start page, which alone knows the code.";

/// A status, what it means, and what is said with it.
type Answer = (&'static str, &'static str, Option<&'static str>);

/// What only people and the screens need: what it is, and its answers.
const REST: [(&str, &str, &[Answer]); 3] = [
    (
        "/f/{file}",
        "On to the file's overview.",
        &[
            ("303", "To the overview.", None),
            ("404", "There is no such file.", Some("text/html")),
        ],
    ),
    (
        "/enter/{code}",
        "The one-time link: sets the token's cookie and goes on to the start.",
        &[
            ("303", "To the start.", None),
            (
                "410",
                "The link was used already, or never was one.",
                Some("text/html"),
            ),
            (
                "503",
                "Not ahead of time: the link works once, for who follows it.",
                Some("text/html"),
            ),
        ],
    ),
    (
        "/assets/{name}",
        "A file that the screens load.",
        &[
            ("200", "The file.", Some("text/plain")),
            ("404", "There is no such file.", Some("text/html")),
        ],
    ),
];

/// The description of every route.
pub(crate) fn description() -> utoipa::openapi::OpenApi {
    let mut described = Described::openapi();
    for (screen, twin) in SCREENS {
        let Some(item) = described.paths.paths.get(twin).cloned() else {
            continue;
        };
        let Some(mut get) = item.get else { continue };
        get.operation_id = None;
        get.responses.responses.clear();
        let html = ContentBuilder::new().build();
        let answer = ResponseBuilder::new()
            .description("The same for people; with `Accept: application/json` the twin.")
            .content("text/html", html)
            .build();
        get.responses
            .responses
            .insert("200".to_owned(), answer.into());
        insert(&mut described, screen, get);
    }
    for (path, summary, answers) in REST {
        let mut get = OperationBuilder::new().summary(Some(summary)).tag("viewer");
        for (status, what, kind) in answers {
            let mut answer = ResponseBuilder::new().description(*what);
            if let Some(kind) = kind {
                answer = answer.content(*kind, ContentBuilder::new().build());
            }
            get = get.response(*status, answer);
        }
        insert(&mut described, path, get.build());
    }
    let forget = OperationBuilder::new()
        .summary(Some(FORGET))
        .tag("files")
        .response("303", ResponseBuilder::new().description("To the start."))
        .build();
    described.paths.paths.insert(
        "/recent/forget/{code}".to_owned(),
        PathItem::new(HttpMethod::Post, forget),
    );
    described.tags = Some(vec![
        TagBuilder::new()
            .name("files")
            .description(Some("Which files there are."))
            .build(),
        TagBuilder::new()
            .name("file")
            .description(Some("What is in a file."))
            .build(),
        TagBuilder::new()
            .name("viewer")
            .description(Some("The viewer itself."))
            .build(),
    ]);
    described
}

fn insert(described: &mut utoipa::openapi::OpenApi, path: &str, get: Operation) {
    described
        .paths
        .paths
        .insert(path.to_owned(), PathItem::new(HttpMethod::Get, get));
}

/// Every route that a program may want, and what it answers: the first
/// sentences of its documentation, without the marks of its notation.
pub(crate) fn summaries() -> Vec<(String, String)> {
    Described::openapi()
        .paths
        .paths
        .into_iter()
        .filter_map(|(path, item)| {
            let summary = item.get?.summary.unwrap_or_default();
            Some((path, summary.replace('\n', " ").replace('`', "")))
        })
        .collect()
}

/// This description.
#[utoipa::path(get, path = "/api/openapi.json", tag = "viewer",
    responses((status = 200, body = Object, content_type = "application/json")))]
pub(crate) async fn show(asked: Asked) -> Response {
    let mut described = description();
    let base = asked.viewer.href("");
    if !base.is_empty() {
        described.servers = Some(vec![Server::new(base)]);
    }
    Json(described).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_described_and_everything_described_is_a_route() {
        let described: BTreeSet<String> = super::description().paths.paths.into_keys().collect();
        let routed: BTreeSet<String> = crate::routes()
            .into_iter()
            .map(|(path, _)| path.to_owned())
            .collect();
        assert_eq!(described, routed);
    }
}
