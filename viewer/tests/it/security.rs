//! The security list, line by line. Each test was seen to fail with its
//! defence taken out.

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use pagebox_viewer::{Builder, EVENT_STREAMS_MAX, Token, Viewer, serve};

use crate::{
    fake::{Failure, Fake},
    server::{Answer, Server},
};

/// One of each sort of route, and some that are none.
const ROUTES: [&str; 14] = [
    "/",
    "/files.json",
    "/f/1/overview",
    "/f/1/map.json",
    "/f/1/tiles.json?per=1&count=4",
    "/f/1/page.bin?n=1",
    "/f/1/directory.csv",
    "/f/1/live",
    "/about",
    "/api/openapi.json",
    "/assets/style.css",
    "/assets/none.css",
    "/f/9/overview",
    "/nothing/here",
];

fn plain() -> Viewer {
    of(Fake::default())
}

fn of(fake: Fake) -> Viewer {
    Builder::new().look_at("plain", "", fake).unwrap().build()
}

fn failing(failure: Failure) -> Viewer {
    of(Fake {
        failure,
        ..Fake::default()
    })
}

// Line 1, binding, is in `program`.

/// Line 2.
#[test]
fn host_that_is_not_ours_is_refused_on_every_route() {
    let server = Server::start(plain());
    let hosts = [
        "127.evil.test",
        "localhost.evil.com",
        "127.0.0.1.evil.test",
        "evil.test",
        "evil.test:80",
        "",
        "127.0.0.1:80, evil.test",
    ];
    for route in ROUTES.iter().chain(&["/f/1/events"]) {
        for host in hosts {
            let answer = server.raw(&format!(
                "GET {route} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            ));
            assert_eq!(answer.status, 403, "{route} for {host}");
        }
        let doubled = "Host: 127.0.0.1\r\nHost: 127.0.0.1";
        for lines in [doubled, "Accept: */*"] {
            let answer = server.raw(&format!(
                "GET {route} HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n"
            ));
            assert_eq!(answer.status, 403, "{route} with {lines}");
        }
        let old = server.raw(&format!("GET {route} HTTP/1.0\r\n\r\n"));
        assert_eq!(old.status, 403, "{route} of an old client without Host");
        let elsewhere = server.raw(&format!(
            "GET http://evil.test{route} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        ));
        assert_eq!(elsewhere.status, 403, "{route} at another authority");
    }
}

/// Line 2.
#[test]
fn host_that_is_ours_is_answered_with_any_port() {
    let server = Server::start(plain());
    for host in [
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost",
        "LocalHost:65535",
        "[::1]",
        "[::1]:8080",
    ] {
        let answer = server.raw(&format!(
            "GET /about HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ));
        assert_eq!(answer.status, 200, "{host}");
    }
}

/// Line 3.
#[test]
fn token_is_needed_everywhere_but_for_static_files() {
    let token = Token::random().unwrap();
    let bearer = format!("Authorization: Bearer {}\r\n", token.secret());
    let server = Server::start(
        Builder::new()
            .look_at("locked", "", Fake::default())
            .unwrap()
            .token(token)
            .build(),
    );
    for route in ROUTES.iter().chain(&["/f/1/events", "/enter/0"]) {
        let answer = server.get(route, "");
        let open = route.starts_with("/assets/") || route.starts_with("/enter/");
        assert_eq!(answer.status == 401, !open, "{route}: {}", answer.status);
        assert!(
            !answer.text().contains("locked"),
            "{route} tells the file's name"
        );
    }
    assert_eq!(server.get("/", &bearer).status, 200);
    for wrong in ["Bearer 0", "Bearer ", "Basic xyz", "bearer"] {
        let headers = format!("Authorization: {wrong}\r\n");
        assert_eq!(server.get("/", &headers).status, 401, "{wrong}");
    }
    let longer = bearer.replace("\r\n", "0\r\n");
    assert_eq!(server.get("/", &longer).status, 401);
}

/// Line 3.
#[test]
fn one_time_link_sets_a_cookie_and_lands_on_a_clean_address_once() {
    let token = Token::random().unwrap();
    let (link, secret) = (token.entrance(), token.secret().to_owned());
    assert_eq!(secret.len() * 4, 128, "bits, in hex digits");
    let server = Server::start(
        Builder::new()
            .look_at("locked", "", Fake::default())
            .unwrap()
            .token(token)
            .build(),
    );
    // Neither a preview that asks for the head alone nor a stranger spends it.
    assert_eq!(server.ask("HEAD", &link, "").status, 401);
    let rebound = format!("GET {link} HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n");
    assert_eq!(server.raw(&rebound).status, 403);

    let answer = server.get(&link, "");
    assert_eq!(answer.status, 303);
    assert_eq!(answer.header("location"), Some("/"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    let cookie = answer.header("set-cookie").unwrap();
    assert!(
        cookie.contains("httponly") && cookie.contains("samesite=lax"),
        "{cookie}"
    );
    let pair = cookie.split(';').next().unwrap();
    let cookie = format!("Cookie: other=1; {pair}\r\n");
    assert_eq!(server.get("/f/1/overview", &cookie).status, 200);
    assert_eq!(server.get("/f/1/map.json", &cookie).status, 200);

    assert_eq!(server.get(&link, "").status, 410);
    assert!(!server.get("/", &cookie).text().contains(&secret));
}

/// Chromium fetches the address that is being typed or pointed at before
/// anybody goes there: the link was spent, and "used already" when it was
/// followed.
#[test]
fn one_time_link_is_not_spent_by_a_browser_that_looks_ahead() {
    let token = Token::random().unwrap();
    let link = token.entrance();
    let viewer = Builder::new().token(token).build();
    let server = Server::start(viewer);
    for ahead in [
        "Sec-Purpose: prefetch",
        "Sec-Purpose: prefetch;prerender",
        "Sec-Purpose: prefetch;anonymous-client-ip",
        "Purpose: prefetch",
        "Purpose: Preview",
        "X-Moz: prefetch",
    ] {
        let answer = server.get(&link, &format!("{ahead}\r\n"));
        assert_eq!(answer.status, 503, "{ahead}");
        assert_eq!(answer.header("set-cookie"), None, "{ahead}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{ahead}");
    }
    assert_eq!(
        server.get(&link, "Sec-Fetch-Dest: document\r\n").status,
        303
    );
}

/// Line 4.
#[test]
fn method_that_is_neither_get_nor_head_is_refused_on_every_route() {
    let server = Server::start(plain());
    for route in ROUTES.iter().chain(&["/f/1/events"]) {
        for method in [
            "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MADEUP",
        ] {
            let answer = server.ask(method, route, "");
            assert_eq!(answer.status, 405, "{method} {route}");
            assert_eq!(answer.header("allow"), Some("get, head"));
        }
    }
}

#[test]
fn head_is_answered_like_get_without_a_body() {
    let server = Server::start(plain());
    for route in ROUTES.iter().chain(&["/f/1/events"]) {
        let head = server.ask("HEAD", route, "");
        let expected = match *route {
            "/f/1/events" => 200,
            route => server.get(route, "").status,
        };
        assert_eq!(head.status, expected, "{route}");
        assert!(head.body.is_empty(), "{route}: {}", head.text());
        assert!(head.header("content-security-policy").is_some(), "{route}");
        assert!(head.header("etag").is_none(), "{route}");
    }
}

/// Line 4.
#[test]
fn request_that_another_site_caused_gets_no_data() {
    let server = Server::start(plain());
    let data = [
        "/files.json",
        "/f/1/overview.json",
        "/f/1/tiles.json?per=1&count=4",
        "/f/1/directory.csv",
        "/f/1/page.bin?n=1",
        "/f/1/events",
        "/api/openapi.json",
    ];
    for route in data {
        for site in ["cross-site", "same-site", "none, cross-site"] {
            let answer = server.get(route, &format!("Sec-Fetch-Site: {site}\r\n"));
            assert_eq!(answer.status, 403, "{route} from {site}");
        }
    }
    for site in ["same-origin", "none"] {
        let answer = server.get("/files.json", &format!("Sec-Fetch-Site: {site}\r\n"));
        assert_eq!(answer.status, 200, "{site}");
    }
    let link = server.get("/f/1/overview", "Sec-Fetch-Site: cross-site\r\n");
    assert_eq!(link.status, 200, "a link to a screen works");
}

/// Line 5.
#[test]
fn headers_are_on_every_answer_and_none_opens_it_to_others() {
    let server = Server::start(plain());
    let mut answers: Vec<Answer> = ROUTES.iter().map(|route| server.get(route, "")).collect();
    answers.push(server.ask("POST", "/", ""));
    answers.push(server.raw("GET / HTTP/1.1\r\nHost: evil.test\r\nConnection: close\r\n\r\n"));
    answers.push(server.get("/", "Origin: http://evil.test\r\n"));
    let broken = Server::start(failing(Failure::Panic));
    answers.push(broken.get("/f/1/page?n=1", ""));
    for answer in answers {
        let head = &answer.head;
        let policy = answer.header("content-security-policy").unwrap_or_default();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{part} is not in: {head}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(
            answer.header("cross-origin-resource-policy"),
            Some("same-origin")
        );
        assert_eq!(
            answer.header("cross-origin-opener-policy"),
            Some("same-origin")
        );
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(!head.contains("access-control-"), "{head}");
    }
}

/// Line 5: no code or style outside of files.
#[test]
fn screens_hold_no_inline_code_or_style() {
    let server = Server::start(plain());
    for screen in [
        "/",
        "/about",
        "/f/1/overview",
        "/f/1/map",
        "/f/1/metadata",
        "/f/1/directory",
        "/f/1/page?n=1",
        "/f/1/diff",
        "/f/1/health",
        "/f/1/live",
        "/nothing",
    ] {
        let html = server.get(screen, "").text();
        assert!(html.contains("</html>"), "{screen}: {html}");
        for inline in [
            "<style",
            " style=",
            " onclick=",
            " onload=",
            "javascript:",
            "<script>",
        ] {
            assert!(!html.contains(inline), "{screen} has {inline}");
        }
        assert!(
            !html.contains("//cdn") && !html.contains("https://"),
            "{screen} fetches"
        );
    }
}

// Line 6, hostile content, is in `hostile`; lines 7 and 8, files, in
// `program` and `files`.

/// Line 9.
#[test]
fn request_with_a_body_is_refused() {
    let server = Server::start(plain());
    assert_eq!(server.get("/", "Content-Length: 5\r\n").status, 413);
    assert_eq!(
        server.get("/", "Transfer-Encoding: chunked\r\n").status,
        413
    );
    assert_eq!(server.get("/", "Content-Length: 0\r\n").status, 200);
}

/// Line 9.
#[test]
fn address_longer_than_four_kibibytes_is_refused() {
    let server = Server::start(plain());
    let fits = format!("/about?{}", "x".repeat(4096 - 7));
    assert_eq!(server.get(&fits, "").status, 200);
    assert_eq!(server.get(&format!("{fits}x"), "").status, 414);
}

/// All programs of a machine share its cookies, whatever their ports: others'
/// large ones made every screen a blank page.
#[test]
fn cookies_of_other_programs_are_borne_or_answered_with_what_to_do() {
    let server = Server::start(plain());
    let cookies = |len: usize| format!("Cookie: other={}\r\n", "x".repeat(len));
    assert_eq!(server.get("/about", &cookies(40_000)).status, 200);
    let answer = server.get("/about", &cookies(80_000));
    assert_eq!(answer.status, 431);
    let text = answer.text();
    assert!(
        text.contains("cookies") && text.contains("localhost"),
        "{text}"
    );
    assert!(answer.header("content-security-policy").is_some());
    // What is past all bounds is not even read.
    assert_eq!(server.get("/about", &cookies(2_000_000)).status, 431);
}

/// Proxies gather answers, and compress them, until there is enough: events
/// came in heaps, or never.
#[test]
fn event_is_not_held_back_by_what_lies_between() {
    let server = Server::start(plain());
    let head = server.ask("HEAD", "/f/1/events", "Accept-Encoding: gzip\r\n");
    assert_eq!(head.header("x-accel-buffering"), Some("no"));
    assert_eq!(head.header("cache-control"), Some("no-store, no-transform"));
    assert_eq!(head.header("content-encoding"), None);
}

/// Line 9.
#[test]
fn answer_larger_than_a_mebibyte_is_not_sent() {
    let server = Server::start(of(Fake {
        text: "x".repeat(3 << 19),
        ..Fake::default()
    }));
    let answer = server.get("/f/1/overview.json", "");
    assert_eq!(answer.status, 500);
    assert!(answer.body.len() < 4096);
}

/// Line 9.
#[test]
fn connections_past_the_sixty_fourth_are_told_so() {
    let server = Server::start(plain());
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = server.connect();
        stream.write_all(b"GET /about HTTP/1.1\r\n").unwrap();
        held.push(stream);
    }
    // Until the last of them is accepted a further one may be the 64th.
    let refused = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        server.get("/about", "").status == 503
    });
    assert!(refused);
    held.clear();
    let again = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        server.get("/about", "").status == 200
    });
    assert!(again, "places that became free can be taken");
}

/// Line 9.
#[test]
fn event_streams_past_the_eighth_are_refused() {
    let server = Server::start(plain());
    let mut held: Vec<_> = (0..EVENT_STREAMS_MAX)
        .map(|_| server.events("/f/1/events"))
        .collect();
    assert_eq!(EVENT_STREAMS_MAX, 8);
    // The head alone: a stream that is not refused has no end to wait for.
    let refused = server.ask("HEAD", "/f/1/events", "");
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    held.pop();
    let again = (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let mut stream = server.connect();
        let request = format!(
            "GET /f/1/events HTTP/1.1\r\nHost: {}\r\n\r\n",
            server.address
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        &first == b"HTTP/1.1 200"
    });
    assert!(again, "a place that became free can be taken");
}

/// Line 9.
#[test]
fn client_that_sends_its_head_slowly_is_dropped() {
    let mut limits = serve::Limits::default();
    assert!(limits.head <= Duration::from_secs(30));
    limits.head = Duration::from_millis(300);
    let server = Server::with_limits(plain(), limits);
    for start in ["", "GET /about HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "] {
        let mut stream = server.connect();
        stream.write_all(start.as_bytes()).unwrap();
        let began = Instant::now();
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(began.elapsed() < Duration::from_secs(5), "after {start:?}");
    }
}

/// Line 10.
#[test]
fn sandbox_that_stops_becomes_an_error_page_and_the_server_lives() {
    let server = Server::start(failing(Failure::Sandbox));
    let answer = server.get("/f/1/page?n=1", "");
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("out of memory"));
    assert_eq!(server.get("/f/1/overview", "").status, 200);
}

/// Line 10, with a real sandbox that has less memory than it needs.
#[test]
fn sandbox_without_memory_becomes_an_error_page_and_the_server_lives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.pages");
    pagebox::Engine::new()
        .unwrap()
        .create(&path, pagebox::PageSize::KIB_4)
        .unwrap();
    let mut limits = pagebox::Limits::default();
    limits.memory = 1 << 16;
    let starved = pagebox::Engine::with_limits(limits).unwrap();
    let viewer = Builder::new()
        .engine(&starved)
        .file(&path, "")
        .unwrap()
        .build();
    let server = Server::start(viewer);
    assert_eq!(server.get("/f/1/overview", "").status, 502);
    assert_eq!(server.get("/about", "").status, 200);
}

/// Line 10.
#[test]
fn panic_becomes_an_error_page_without_its_words_and_the_server_lives() {
    let server = Server::start(failing(Failure::Panic));
    for _ in 0..2 {
        let answer = server.get("/f/1/page?n=1", "");
        assert_eq!(answer.status, 502);
        let text = answer.text();
        assert!(!text.contains("secret") && !text.contains(".rs"), "{text}");
    }
    assert_eq!(server.get("/f/1/overview", "").status, 200);
}

/// Line 11. That streams end is not left to the limit on shutting down.
#[test]
fn server_with_an_open_event_stream_stops_within_three_seconds() {
    let mut limits = serve::Limits::default();
    limits.shutdown = Duration::from_mins(1);
    let mut server = Server::with_limits(plain(), limits);
    let mut stream = server.events("/f/1/events");
    let began = Instant::now();
    server.stop();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}

/// Line 11.
#[test]
fn server_does_not_wait_for_an_answer_that_never_comes() {
    let mut server = Server::start(failing(Failure::Endless));
    let mut stream = server.connect();
    let host = server.address;
    let request = format!("GET /f/1/page?n=1 HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    // Until it is asked for there is nothing to wait for.
    std::thread::sleep(Duration::from_millis(200));
    let began = Instant::now();
    server.stop();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}
