//! The viewer inside another axum program, below `/pages`.
//!
//! `cargo run -p pagebox-viewer --example mount data.pages`

use axum::{Router, routing::get};
use pagebox_viewer::{
    Builder, router,
    serve::{self, Limits},
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let path = std::env::args_os()
        .nth(1)
        .ok_or_else(|| std::io::Error::other("name a page file"))?;
    let viewer = Builder::new()
        .base("/pages")
        .file(path.as_ref(), "the file that this program works on")?
        .build();
    let app = Router::new()
        .route(
            "/",
            get(|| async { "The program's own page. The viewer is at /pages/." }),
        )
        .merge(router(viewer.clone()));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/pages/", listener.local_addr()?);
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    serve::serve(listener, app, &viewer, Limits::default(), stop).await;
    Ok(())
}
