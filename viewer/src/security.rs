//! What is checked on every request, and said on every answer.
//!
//! 1. A browser on this machine can be made to send requests here by any web
//!    page: by name (DNS rebinding) or directly. The name is checked in the
//!    `Host` header, the origin in `Sec-Fetch-Site`.
//! 2. Nothing here changes a page file: `GET` and `HEAD` only, no bodies. One
//!    `POST` forgets which files were looked at, where such a list is kept; it
//!    has to name a secret that only the start page holds.
//! 3. With a token, only who has it sees anything but the static files.
//! 4. No answer may be framed, sniffed, read by another origin, or run code
//!    that is not a file of ours.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

use crate::{
    error::Error,
    error_page,
    host_name::{self, HostName},
    state::Viewer,
    token::Token,
};

/// The longest request target, in bytes.
pub(crate) const URI_BYTES_MAX: usize = 4096;

/// The most bytes of all headers of a request. Cookies are most of them: a
/// browser sends those of every program of this machine to all of them.
pub(crate) const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// What pages may do: run and load files of ours, nothing else.
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// Checks a request before anything else sees it.
pub(crate) async fn guard(State(viewer): State<Viewer>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // A one-time link is the only thing that works without the token.
    let refusal = match entrance(&viewer, &parts) {
        Some(answer) => return answer,
        None => refuse(&viewer, &parts),
    };
    match refusal {
        Some(error) => error_page::refusal(&error, &viewer, &parts),
        None => next.run(Request::from_parts(parts, body)).await,
    }
}

/// Puts the headers on every answer, refusals and panics included.
pub(crate) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refuse(viewer: &Viewer, parts: &Parts) -> Option<Error> {
    if parts.uri.to_string().len() > URI_BYTES_MAX {
        return Some(Error::UriTooLong);
    }
    if !host_allowed(&parts.uri, &parts.headers, viewer.allowed_hosts()) {
        return Some(Error::Host);
    }
    let path = parts.uri.path();
    let forgets = parts.method == Method::POST && path.starts_with("/recent/forget/");
    match viewer.recent() {
        Some(recent) if forgets && !recent.is_forgotten_at(path) => {
            return Some(Error::StaleButton);
        }
        Some(_) if forgets => {}
        _ if parts.method == Method::GET || parts.method == Method::HEAD => {}
        _ => return Some(Error::Method),
    }
    if has_body(&parts.headers) {
        return Some(Error::Body);
    }
    if bytes_of(&parts.headers) > HEADERS_BYTES_MAX {
        return Some(Error::HeadersTooLarge);
    }
    if let Some(token) = viewer.token()
        && !path.starts_with("/assets/")
        && !presented(token, &parts.headers)
    {
        return Some(Error::Token);
    }
    if (forgets || guarded_from_other_sites(path)) && from_another_site(&parts.headers) {
        return Some(Error::OtherSite);
    }
    None
}

/// The answer to a one-time link: a cookie, and on to a clean address.
fn entrance(viewer: &Viewer, parts: &Parts) -> Option<Response> {
    if parts.method != Method::GET
        || !host_allowed(&parts.uri, &parts.headers, viewer.allowed_hosts())
    {
        return None;
    }
    let code = parts.uri.path().strip_prefix("/enter/")?;
    let token = viewer.token()?;
    // The link is for whoever follows it, not for a browser that may.
    if is_ahead_of_time(&parts.headers) {
        return Some(error_page::refusal(&Error::AheadOfTime, viewer, parts));
    }
    if !token.spend(code) {
        return Some(error_page::refusal(&Error::SpentLink, viewer, parts));
    }
    let mut response = Redirect::to(&viewer.href("/")).into_response();
    if let Ok(cookie) = HeaderValue::from_str(&token.set_cookie()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Some(response)
}

fn bytes_of(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

/// Whether a browser asks before anybody wants to see the answer, to have it
/// at hand if somebody does.
fn is_ahead_of_time(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"]
        .into_iter()
        .flat_map(|name| headers.get_all(name))
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split([',', ';']))
        .any(|word| {
            let word = word.trim();
            ["prefetch", "prerender", "preview"]
                .iter()
                .any(|ahead| word.eq_ignore_ascii_case(ahead))
        })
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || headers
            .get_all(header::CONTENT_LENGTH)
            .iter()
            .any(|length| length != "0")
}

fn presented(token: &Token, headers: &HeaderMap) -> bool {
    let bearer = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == token.cookie_name())
        .map(|(_, value)| value);
    // All are compared: how long this takes says nothing of which one agreed.
    bearer
        .into_iter()
        .chain(cookies)
        .fold(false, |found, secret| token.agrees(secret) | found)
}

/// Data rather than pages: nobody else's page has business with it, not even
/// as a link.
fn guarded_from_other_sites(path: &str) -> bool {
    let last = path.rsplit('/').next().unwrap_or(path);
    path.starts_with("/api/")
        || last.contains('.') && !path.starts_with("/assets/")
        || last == "events"
}

/// A request that a page of another origin caused. Old browsers and programs
/// do not say; the `Host` header and the token stand on their own.
fn from_another_site(headers: &HeaderMap) -> bool {
    headers
        .get_all("sec-fetch-site")
        .iter()
        .any(|site| site != "same-origin" && site != "none")
}

/// Whether a request is addressed to a name that this viewer goes by: exactly
/// one `Host` header, and the same in the request target if that has a host.
fn host_allowed(uri: &Uri, headers: &HeaderMap, allowed: &[HostName]) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(host) = host.to_str() else {
        return false;
    };
    let target = uri.authority().map(axum::http::uri::Authority::as_str);
    name_allowed(host, allowed) && target.is_none_or(|target| name_allowed(target, allowed))
}

/// Whether an authority, `name` or `name:port`, is one of ours.
fn name_allowed(authority: &str, allowed: &[HostName]) -> bool {
    let Some((name, _)) = host_name::split(authority) else {
        return false;
    };
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|ours| name.eq_ignore_ascii_case(ours))
        || allowed.iter().any(|ours| ours.is_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_of_this_machine_is_allowed_with_any_port() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost:65535",
            "LOCALHOST",
            "[::1]",
            "[::1]:7",
        ] {
            assert!(name_allowed(host, &[]), "{host}");
        }
    }

    #[test]
    fn host_that_only_looks_like_ours_is_refused() {
        for host in [
            "",
            "127.evil.test",
            "localhost.evil.com",
            "127.0.0.1.evil.test",
            "localhost.",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "127.0.0.1:80:80",
            "127.0.0.1:+8",
            "evil.test:127.0.0.1",
            "user@127.0.0.1",
            "127.0.0.1@evil.test",
            "[::1].evil.test",
            "[::1",
            "::1",
            "127.0.0.1 ",
            "127.1",
            "0.0.0.0",
            "example.test",
        ] {
            assert!(!name_allowed(host, &[]), "{host}");
        }
    }

    #[test]
    fn host_that_was_allowed_by_name_is_allowed() -> Result<(), host_name::NoHostName> {
        let allowed = ["lab.example:80".parse()?, "fe80::1".parse()?];
        assert!(name_allowed("lab.example:8080", &allowed));
        assert!(name_allowed("[fe80::1]:8080", &allowed));
        assert!(!name_allowed("a.lab.example", &allowed));
        Ok(())
    }

    #[test]
    fn data_is_guarded_and_pages_are_not() {
        for path in [
            "/api/openapi.json",
            "/f/1/map.json",
            "/f/1/directory.csv",
            "/f/1/page.bin",
            "/f/1/events",
        ] {
            assert!(guarded_from_other_sites(path), "{path}");
        }
        for path in ["/", "/f/1/map", "/about", "/assets/style.css"] {
            assert!(!guarded_from_other_sites(path), "{path}");
        }
    }
}
