//! From a request to its file and parameters, and from a view to the answer:
//! HTML or JSON, the same view behind both.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use axum::{
    Json,
    body::{Body, Bytes, to_bytes},
    extract::{FromRequestParts, Query, RawPathParams, Request, State},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    middleware::Next,
    response::{Html, IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    error::Error,
    error_page,
    format::Format,
    head::Head,
    look::LookError,
    params::{AsOfParams, Colour},
    shell::Shell,
    source::View,
    state::{File, Viewer},
    text,
};

/// The most bytes of an answer that is not a stream.
pub(crate) const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A request, as handlers see it.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) viewer: Viewer,
    pub(crate) format: Format,
    parts: Parts,
    file_id: Option<String>,
    /// What the address names, where that is an image of a trace.
    image: Option<Result<Arc<File>, LookError>>,
}

impl FromRequestParts<Viewer> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        viewer: &Viewer,
    ) -> Result<Self, Self::Rejection> {
        let file_id = match RawPathParams::from_request_parts(parts, viewer).await {
            Ok(params) => params
                .iter()
                .find(|(name, _)| *name == "file")
                .map(|(_, id)| id.to_owned()),
            Err(_) => None,
        };
        // What has no route may be below a file all the same.
        let below = parts.uri.path().strip_prefix("/f/");
        let file_id = file_id.or(below.and_then(|path| Some(path.split('/').next()?.to_owned())));
        Ok(Self {
            viewer: viewer.clone(),
            format: Format::of(parts.uri.path(), &parts.headers),
            parts: parts.clone(),
            image: file_id.as_deref().and_then(|id| viewer.image(id)),
            file_id,
        })
    }
}

impl Asked {
    /// The file that the address names.
    pub(crate) fn file(&self) -> Result<&File, Error> {
        match &self.image {
            Some(Ok(image)) => return Ok(image),
            Some(Err(error)) => return Err(error.clone().into()),
            None => {}
        }
        let id = self.file_id.as_deref().ok_or(Error::NotFound)?;
        self.named(id)
    }

    /// The file of an id.
    pub(crate) fn named(&self, id: &str) -> Result<&File, Error> {
        let file = self.viewer.file(id);
        file.ok_or_else(|| Error::NoFile(text::visible(id)))
    }

    /// The parameters of the address.
    pub(crate) fn query<P: DeserializeOwned>(&self) -> Result<P, Error> {
        let Query(params) = Query::try_from_uri(&self.parts.uri).map_err(|error| {
            // Its own words say first that some text could not be deserialized.
            let mut cause: &dyn std::error::Error = &error;
            while let Some(source) = cause.source() {
                cause = source;
            }
            let cause = cause.to_string();
            let twice = cause
                .strip_prefix("duplicate field `")
                .and_then(|rest| rest.strip_suffix('`'));
            Error::Query(match twice {
                Some(name) => format!("the address cannot be read: {name} is given twice"),
                None => format!("the address cannot be read: {cause}"),
            })
        })?;
        Ok(params)
    }

    /// Whether the colours of the file's map can say this.
    pub(crate) fn can_colour_by(&self, colour: Colour) -> Result<(), Error> {
        if colour == Colour::Decoder && !self.file()?.source.has_decoder() {
            let why = "there is no decoder to colour by: `pagebox-viewer --decoder` takes one";
            return Err(Error::Query(why.to_owned()));
        }
        Ok(())
    }

    /// Asks the file for what a screen shows, with what its frame shows.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        ask: impl FnMut(&mut View, &Head) -> Result<T, LookError> + Send + 'static,
    ) -> Result<(Head, T), Error> {
        self.look_at(None, ask).await
    }

    /// The same of the snapshot that the address names, if it names one.
    pub(crate) async fn look_as_of<T: Send + 'static>(
        &self,
        ask: impl FnMut(&mut View, &Head) -> Result<T, LookError> + Send + 'static,
    ) -> Result<(Head, T), Error> {
        let params: AsOfParams = self.query()?;
        self.look_at(params.snapshot(), ask).await
    }

    async fn look_at<T: Send + 'static>(
        &self,
        snapshot: Option<String>,
        mut ask: impl FnMut(&mut View, &Head) -> Result<T, LookError> + Send + 'static,
    ) -> Result<(Head, T), Error> {
        let source = self.file()?.source.clone();
        let answer = source.ask_as_of(snapshot, move |view| {
            let head = Head::of(view)?;
            let answer = ask(view, &head)?;
            Ok((head.checked(view), answer))
        });
        Ok(answer.await?)
    }

    /// A screen or its twin, or the page of an error.
    pub(crate) fn answer<V: Serialize>(
        &self,
        view: Result<(Head, V), Error>,
        html: impl FnOnce(&Shell, &V) -> askama::Result<String>,
    ) -> Response {
        let answer = view.and_then(|(head, view)| match self.format {
            Format::Html => {
                let shell = self.shell(self.file().ok(), Some(head));
                let html = html(&shell, &view).map_err(|_| Error::Render)?;
                Ok(Html(html).into_response())
            }
            Format::Json | Format::Csv => Ok(Json(&view).into_response()),
        });
        self.or_error(answer)
    }

    /// The same in the frame of an image, whatever the address names.
    pub(crate) fn answer_of<V: Serialize>(
        &self,
        view: Result<(Arc<File>, Head, V), Error>,
        html: impl FnOnce(&Shell, &V) -> askama::Result<String>,
    ) -> Response {
        let answer = view.and_then(|(image, head, view)| match self.format {
            Format::Html => {
                let shell = self.shell(Some(&image), Some(head));
                let html = html(&shell, &view).map_err(|_| Error::Render)?;
                Ok(Html(html).into_response())
            }
            Format::Json | Format::Csv => Ok(Json(&view).into_response()),
        });
        self.or_error(answer)
    }

    /// The same for screens that are about no file.
    pub(crate) fn answer_without_file<V: Serialize>(
        &self,
        view: &V,
        html: impl FnOnce(&Shell, &V) -> askama::Result<String>,
    ) -> Response {
        let answer = match self.format {
            Format::Html => html(&self.shell(None, None), view)
                .map(|html| Html(html).into_response())
                .map_err(|_| Error::Render),
            Format::Json | Format::Csv => Ok(Json(view).into_response()),
        };
        self.or_error(answer)
    }

    /// An answer, or the page of an error.
    pub(crate) fn or_error(&self, answer: Result<Response, Error>) -> Response {
        answer.unwrap_or_else(|error| {
            error_page::answer(&error, &self.viewer, &self.parts, self.file().ok())
        })
    }

    fn shell(&self, file: Option<&File>, head: Option<Head>) -> Shell {
        Shell::new(&self.viewer, &self.address(), file, head)
    }

    /// The path and query of the request, within the viewer.
    pub(crate) fn address(&self) -> String {
        self.parts
            .uri
            .path_and_query()
            .map_or_else(String::new, ToString::to_string)
    }

    /// The query of the request with its question mark; empty where there is
    /// none.
    pub(crate) fn question(&self) -> String {
        let query = self.parts.uri.query();
        query.map_or_else(String::new, |query| format!("?{query}"))
    }

    /// The path of the request within the viewer.
    pub(crate) fn path(&self) -> &str {
        self.parts.uri.path()
    }
}

/// Holds an answer to its size, and names its content so that a browser need
/// not fetch it twice. Event streams pass.
pub(crate) async fn finish(State(viewer): State<Viewer>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let response = next.run(Request::from_parts(parts.clone(), body)).await;
    let is_stream = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    if is_stream {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, ANSWER_BYTES_MAX).await else {
        return error_page::answer(&Error::TooLarge, &viewer, &parts, None);
    };
    head.headers
        .append(header::VARY, HeaderValue::from_static("accept"));
    // There is no body to name for who asks for the head alone.
    if head.status != StatusCode::OK || parts.method == Method::HEAD {
        return Response::from_parts(head, Body::from(bytes));
    }
    head.headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("private, no-cache"));
    let tag = entity_tag(&bytes);
    let same = parts
        .headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|known| known.trim() == tag || known.trim() == "*");
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        head.headers.insert(header::ETAG, tag);
    }
    if same {
        head.status = StatusCode::NOT_MODIFIED;
        head.headers.remove(header::CONTENT_LENGTH);
        head.headers.remove(header::CONTENT_TYPE);
        return Response::from_parts(head, Body::empty());
    }
    Response::from_parts(head, Body::from(bytes))
}

/// Weak, since the same content may be sent compressed or not.
fn entity_tag(bytes: &Bytes) -> String {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    format!("W/\"{:016x}\"", hasher.finish())
}
