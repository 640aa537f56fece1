//! The viewer: see what is in a page file.
//!
//! A [`Viewer`] is made of files and settings by a [`Builder`]; [`router`] turns
//! it into an axum router, which a program serves as it is or merges with its
//! own.
//! [`serve::serve`] is an accept loop with the bounds that the viewer wants.
//!
//! What it knows of bytes comes from the sandbox's `inspect` interface. It
//! parses nothing, writes nothing, and locks nothing.

mod assets;
mod births;
mod checked;
mod choice;
mod clock;
mod coloured;
mod commits;
mod compare;
mod crash;
mod decoded;
mod decoded_map;
mod decoding;
mod described;
mod entries;
mod error;
mod error_page;
mod filters;
mod format;
mod gauge;
mod head;
mod hex;
mod history;
mod holders;
mod host_name;
mod image;
mod inspect;
mod legend;
mod line;
mod live;
mod look;
mod moment;
mod numbers;
mod openapi;
#[expect(
    unused_qualifications,
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    clippy::unused_self,
    reason = "utoipa writes paths in full; templates call methods, and pass by reference"
)]
mod pages;
mod params;
mod past;
mod plots;
mod recent;
mod respond;
mod sandbox;
mod schema;
mod security;
pub mod serve;
mod shell;
mod simulator;
mod source;
mod space;
mod state;
mod text;
mod tiles;
mod timeline;
mod token;
mod tree;

use axum::{
    Extension, Router,
    extract::Request,
    http::Uri,
    middleware,
    response::{IntoResponse, Redirect, Response},
    routing::{MethodRouter, any, get},
};
use tower::ServiceExt;
use tower_http::{catch_panic::CatchPanicLayer, compression::CompressionLayer};

pub use self::{
    host_name::{HostName, NoHostName},
    look::{Look, LookError, Owner, Target},
    recent::Recent,
    simulator::is_trace,
    source::{Check, Source, View},
    state::{Builder, EVENT_STREAMS_MAX, Viewer},
    token::Token,
};
/// What a look tells: the records of the `inspect` interface.
pub mod records {
    pub use crate::{
        inspect::*,
        past::{AsOf, Change, Located, Snapshot},
    };
}

use crate::{error::Error, pages::about::Routes, respond::Asked};

/// The viewer's routes, behind its checks: those of the `Host` header, the
/// method and the token are made on every request that gets here.
///
/// To have it below a path of another program, tell the builder which, and
/// merge it: see [`Builder::base`]. A proxy in front passes the path on as it
/// is. Requests by other names than this machine's own are refused unless
/// [`Builder::allow_host`] has them.
///
/// ```no_run
/// use axum::{Router, routing::get};
/// use pagebox_viewer::{Builder, router, serve::{self, Limits}};
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// let viewer = Builder::new()
///     .base("/pages")
///     .file("data.pages".as_ref(), "what the program works on")?
///     .build();
/// let app = Router::new()
///     .route("/", get(|| async { "the program's own page" }))
///     .merge(router(viewer.clone()));
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let stop = async {
///     let _ = tokio::signal::ctrl_c().await;
/// };
/// // Any other accept loop does too, if it calls `viewer.close()` before it
/// // waits for open connections: event streams end only then.
/// serve::serve(listener, app, &viewer, Limits::default(), stop).await;
/// # Ok(())
/// # }
/// ```
pub fn router(viewer: Viewer) -> Router {
    let mut router = Router::new();
    for (path, answer) in routes() {
        router = router.route(path, answer);
    }
    let base = viewer.base().to_owned();
    let viewers = guarded(router, viewer);
    if base.is_empty() {
        return viewers;
    }
    // axum's nesting has the path itself and what is below it, and nothing
    // with no more than a slash behind it.
    let start = viewers.clone();
    let with_slash = any(async move |mut request: Request| {
        let query = request.uri().query();
        let path = query.map_or_else(|| "/".to_owned(), |query| format!("/?{query}"));
        *request.uri_mut() = path.parse().unwrap_or_else(|_| Uri::from_static("/"));
        start.oneshot(request).await
    });
    Router::new()
        .nest(&base, viewers)
        .route(&format!("{base}/"), with_slash)
}

/// Routes behind everything that is checked and said on each of them.
fn guarded(router: Router<Viewer>, viewer: Viewer) -> Router {
    let panicked = {
        let viewer = viewer.clone();
        move |_| {
            let (parts, ()) = Request::new(()).into_parts();
            error_page::refusal(&Error::Panic, &viewer, &parts)
        }
    };
    router
        .fallback(nothing_here)
        .layer(Extension(Routes::new(openapi::summaries())))
        .layer(middleware::from_fn_with_state(
            viewer.clone(),
            respond::finish,
        ))
        .layer(CompressionLayer::new())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(
            viewer.clone(),
            security::guard,
        ))
        .layer(middleware::from_fn(security::headers))
        .with_state(viewer)
}

/// Every route. The `OpenAPI` description is tested against this list.
fn routes() -> Vec<(&'static str, MethodRouter<Viewer>)> {
    use pages::{
        about, changes, compare_files, crash, diff, directory, files, find, health, live, map,
        metadata, overview, page, tiles, time, tree,
    };
    vec![
        ("/", get(files::show)),
        ("/files.json", get(files::show)),
        ("/f/{file}", get(to_overview)),
        ("/f/{file}/overview", get(overview::show)),
        ("/f/{file}/overview.json", get(overview::show)),
        ("/f/{file}/free.csv", get(overview::free)),
        ("/f/{file}/map", get(map::show)),
        ("/f/{file}/map.json", get(map::show)),
        ("/f/{file}/tiles.json", get(tiles::show)),
        ("/f/{file}/metadata", get(metadata::show)),
        ("/f/{file}/metadata.json", get(metadata::show)),
        ("/f/{file}/directory", get(directory::show)),
        ("/f/{file}/directory.json", get(directory::show)),
        ("/f/{file}/directory.csv", get(directory::csv)),
        ("/f/{file}/page", get(page::show)),
        ("/f/{file}/page.json", get(page::show)),
        ("/f/{file}/page.bin", get(page::raw)),
        ("/f/{file}/diff", get(diff::show)),
        ("/f/{file}/diff.json", get(diff::show)),
        ("/f/{file}/compare", get(compare_files::show)),
        ("/f/{file}/compare.json", get(compare_files::show)),
        ("/f/{file}/find", get(find::show)),
        ("/f/{file}/find.json", get(find::show)),
        ("/f/{file}/health", get(health::show)),
        ("/f/{file}/health.json", get(health::show)),
        ("/f/{file}/live", get(live::show)),
        ("/f/{file}/live.json", get(live::show)),
        ("/f/{file}/events", get(live::events)),
        ("/f/{file}/crash", get(crash::show)),
        ("/f/{file}/crash.json", get(crash::show)),
        ("/f/{file}/tree", get(tree::show)),
        ("/f/{file}/tree.json", get(tree::show)),
        ("/f/{file}/time", get(time::show)),
        ("/f/{file}/time.json", get(time::show)),
        ("/f/{file}/changes", get(changes::show)),
        ("/f/{file}/changes.json", get(changes::show)),
        ("/about", get(about::show)),
        ("/about.json", get(about::show)),
        ("/api/openapi.json", get(openapi::show)),
        ("/assets/{name}", get(assets::show)),
        // Its work is done before routing; what gets here came without need.
        ("/enter/{code}", get(to_start)),
        ("/recent/forget/{code}", get(to_start).post(files::forget)),
    ]
}

/// The same address without its last slash, if that could be one of ours.
async fn nothing_here(asked: Asked) -> Response {
    let path = asked.path();
    let without = path.strip_suffix('/').filter(|path| {
        // One that begins with two slashes would be another host's.
        path.starts_with("/f/") || path.starts_with("/about") || path.starts_with("/api/")
    });
    asked.or_error(match without {
        Some(path) => {
            let query = asked.question();
            Ok(Redirect::to(&asked.viewer.href(&format!("{path}{query}"))).into_response())
        }
        None => Err(Error::NotFound),
    })
}

async fn to_start(asked: Asked) -> Response {
    Redirect::to(&asked.viewer.href("/")).into_response()
}

async fn to_overview(asked: Asked) -> Response {
    let answer = asked.file().map(|file| {
        let screen = file.first_screen();
        let first = asked.viewer.href(&format!("/f/{}/{screen}", file.id));
        Redirect::to(&first).into_response()
    });
    asked.or_error(answer)
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode, routing::get};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn panic_in_a_handler_becomes_an_error_page() -> Result<(), axum::Error> {
        async fn panics() -> &'static str {
            panic!("its words are not for everybody")
        }
        let routes = Router::new().route("/panics", get(panics));
        let request = Request::get("/panics")
            .header("host", "localhost")
            .body(Body::empty())
            .map_err(axum::Error::new)?;
        let viewer = Builder::new().build();
        let Ok(answer) = guarded(routes, viewer).oneshot(request).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert!(answer.headers().contains_key("content-security-policy"));
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await?;
        let text = String::from_utf8_lossy(&body);
        assert!(text.contains("The viewer failed") && !text.contains("its words"));
        Ok(())
    }
}
