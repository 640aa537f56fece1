//! The accept loop: what axum's own lacks. A bound on connections, on how long
//! a request's head may take, and on how long shutting down may.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tower::ServiceExt;

use crate::{security::HEADERS_BYTES_MAX, state::Viewer};

/// What a server allows its clients.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections may be open at a time. 64 unless changed.
    pub connections: usize,
    /// How long a client may take to send the head of a request, or be silent
    /// between two. 10 seconds unless changed.
    pub head: Duration,
    /// How long requests that are being answered may take once it is time to
    /// go. 2 seconds unless changed.
    pub shutdown: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            head: Duration::from_secs(10),
            shutdown: Duration::from_secs(2),
        }
    }
}

/// The most bytes of a request's head that are read. Those that are too many
/// for the viewer, and yet not more than this, are answered with what to do.
const HEAD_BYTES_MAX: usize = 8 * HEADERS_BYTES_MAX;

const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n\
    Content-Length: 26\r\nRetry-After: 2\r\nConnection: close\r\n\r\n\
    too many open connections\n";

/// Serves until `stop` is ready: then event streams end, requests that are
/// being answered get a little time, and it returns.
///
/// `app` is the viewer's router, or one that it is nested in.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    viewer: &Viewer,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let connections = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                stream
            } else {
                // Out of file handles, or a client that is gone already.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            },
            () = &mut stop => break,
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            tokio::spawn(refuse(stream));
            continue;
        };
        let app = app.clone();
        let answer = service_fn(move |request: Request<Incoming>| {
            let app = app.clone();
            async move {
                let request = request.map(Body::new);
                app.oneshot(request)
                    .await
                    .map_err(|never: Infallible| never)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), answer);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away in the middle is no failure.
            let _ = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    viewer.close();
    let _ = tokio::time::timeout(limits.shutdown, graceful.shutdown()).await;
}

async fn refuse(mut stream: TcpStream) {
    let told = async {
        let _ = stream.write_all(FULL).await;
        let _ = stream.shutdown().await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
}
