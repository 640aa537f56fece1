//! `pagebox-viewer`: opens page files to look at, in the browser.

mod answers;
mod browser;
mod decoder;
mod demo;
mod desktop;
mod folder;
mod places;
mod say;
mod signals;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::{CommandFactory, Parser, error::ErrorKind};
use pagebox::{Engine, Error};
use pagebox_viewer::{
    Builder, HostName, Recent, Token, Viewer, router,
    serve::{self, Limits},
};
use tokio::{net::TcpListener, sync::Notify};

use crate::{browser::Shown, demo::Demo};

/// The environment variable that holds a token of your own.
const TOKEN_VARIABLE: &str = "PAGEBOX_VIEWER_TOKEN";

/// The environment variable that does what `--no-recent` does.
const NO_RECENT_VARIABLE: &str = "PAGEBOX_VIEWER_NO_RECENT";

/// See what is in a page file: starts a web server on this machine and opens
/// the browser.
///
/// Files are only ever read: not locked, not changed. Without a file the demo
/// runs.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch")]
#[command(
    version,
    after_help = "\
Examples:
  pagebox-viewer data.pages
  pagebox-viewer --demo data.pages
  pagebox-viewer --decoder queue_decoder.wasm messages.pages
  pagebox-viewer commit.trace
  pagebox-viewer --bind 192.0.2.7 --port 8080 --token --allow-host lab.example data.pages

A token is made when the program starts. To bring your own, put it in the
environment variable PAGEBOX_VIEWER_TOKEN (32 letters or digits at least); on
the command line every user of the machine could read it. PAGEBOX_VIEWER_NO_RECENT
does what --no-recent does, whatever it holds."
)]
struct Options {
    /// The page files to look at, or traces that `pagebox write --record` made; of
    /// a folder those that are in it now, up to 200
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Make a page file that changes all the time, and damaged ones beside it;
    /// what happens when no file is named
    #[arg(long)]
    demo: bool,
    /// Only print the address
    #[arg(long)]
    no_open: bool,
    /// Open a window without the browser's frame, where there is a browser of
    /// the Chromium family, and end when it is closed
    #[arg(long, conflicts_with = "no_open")]
    app: bool,
    /// The port to listen on; any free one unless given
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// The address to listen on; others than 127.0.0.1 need --token and
    /// --allow-host
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Answer only those who have the token
    #[arg(long)]
    token: bool,
    /// Answer requests that go by this name or address too, at any port; may be
    /// given several times
    #[arg(long, value_name = "NAME[:PORT]")]
    allow_host: Vec<HostName>,
    /// Show what this page decoder makes of pages, a WebAssembly component of the
    /// world `page-decoder`
    #[arg(long, value_name = "DECODER.wasm")]
    decoder: Option<PathBuf>,
    /// Neither show which files were looked at before nor keep which are now:
    /// without --token every user of this machine can read it here
    #[arg(long)]
    no_recent: bool,
    /// Make a double click on a page file open it, for this user, and end
    #[arg(long, exclusive = true)]
    install_desktop: bool,
    /// Undo --install-desktop, and end
    #[arg(long, exclusive = true)]
    remove_desktop: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if let Err(problem) = options.checked() {
        Options::command()
            .error(ErrorKind::ArgumentConflict, problem)
            .exit();
    }
    let done = if options.install_desktop {
        desktop::install()
    } else if options.remove_desktop {
        desktop::remove()
    } else {
        run(&options)
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            say::problem(problem);
            ExitCode::FAILURE
        }
    }
}

impl Options {
    fn checked(&self) -> Result<(), &'static str> {
        if !self.is_own() && (!self.token || self.allow_host.is_empty()) {
            return Err(
                "an address that others can reach needs --token, so that not everybody can look, \
                 and --allow-host with the name that they will use",
            );
        }
        Ok(())
    }

    /// Whether nobody but this machine is answered.
    fn is_own(&self) -> bool {
        self.bind == IpAddr::V4(Ipv4Addr::LOCALHOST)
    }

    /// The list of what was looked at, with what is looked at now on top. None
    /// where it is not wanted, or there is no place for it.
    fn recent(&self, now: &[PathBuf]) -> Option<Recent> {
        if self.no_recent || std::env::var_os(NO_RECENT_VARIABLE).is_some() {
            return None;
        }
        let list = places::state()?.join("pagebox").join("recent");
        let recent = Recent::new(&list).ok()?;
        if let Err(error) = recent.remember(now) {
            say::problem(format_args!(
                "what was looked at cannot be kept in {}: {error}; --no-recent does without",
                list.display()
            ));
        }
        // Who names files wants to see these. Others see no more than that: they
        // come by another address, or through a program that passes them on.
        let has_room = self.files.iter().all(|path| path.is_dir());
        let is_for_others = !self.is_own() || !self.allow_host.is_empty();
        (has_room && !is_for_others).then(|| recent.without(now.to_vec()))
    }

    fn token(&self) -> Result<Option<Token>, String> {
        if !self.token {
            return Ok(None);
        }
        let token = match std::env::var(TOKEN_VARIABLE) {
            Ok(secret) => {
                Token::agreed(&secret).map_err(|problem| format!("{TOKEN_VARIABLE}: {problem}"))?
            }
            Err(_) => Token::random().map_err(|error| error.to_string())?,
        };
        Ok(Some(token))
    }
}

#[tokio::main]
async fn run(options: &Options) -> Result<(), String> {
    // First of all: who interrupts it early is not to be left with the demo's
    // files.
    let stop = signals::end().map_err(|error| error.to_string())?;
    signals::survive_limits().map_err(|error| error.to_string())?;
    let engine = Engine::new().map_err(|error| error.to_string())?;
    let mut builder = Builder::new().engine(&engine);
    if let Some(path) = &options.decoder {
        builder = decoder::load(path, builder)?;
    }
    let mut named = Vec::new();
    for path in &options.files {
        if path.is_dir() {
            for path in folder::page_files(&engine, path)? {
                builder = added(builder, &path)?;
            }
            named.extend(std::path::absolute(path));
            continue;
        }
        match engine.inspect(path) {
            // A file that may not be read is shown with what to do about it.
            Err(error @ (Error::NotFound { .. } | Error::NotAFile { .. })) => {
                return Err(error.to_string());
            }
            _ => builder = added(builder, path)?,
        }
        // A store's address is no path, and may say more than a list should keep.
        if !pagebox::is_address(path) {
            named.extend(std::path::absolute(path));
        }
    }
    // Who names no file wants to see what there is to see: `cargo run` ends
    // up here.
    let demo = if options.demo || options.files.is_empty() {
        let demo = Demo::start(&engine)?;
        for (path, about) in demo.files() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            builder = builder
                .file(path, about)
                .map_err(|error| error.to_string())?
                .answer(answers::answer(&name));
        }
        builder = builder.demo();
        Some(demo)
    } else {
        None
    };
    for host in &options.allow_host {
        builder = builder.allow_host(host.clone());
    }
    if let Some(token) = options.token()? {
        builder = builder.token(token);
    }
    if let Some(recent) = options.recent(&named) {
        builder = builder.recent(recent);
    }
    let viewer = builder.build();

    let wanted = SocketAddr::new(options.bind, options.port);
    let listener = TcpListener::bind(wanted)
        .await
        .map_err(|error| format!("cannot listen on {wanted}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (start, _redirect) = announce(options, &viewer, address)?;
    if options.files.is_empty() && !options.demo {
        say::line("No file was named: this is the demo. To look at yours: pagebox-viewer FILE");
    }
    let closed = Arc::new(Notify::new());
    if !options.no_open {
        let (window, closed) = (options.app, Arc::clone(&closed));
        // Whatever a browser does, the viewer answers meanwhile.
        std::thread::spawn(move || {
            if browser::show(&start, window) == Shown::Closed {
                closed.notify_one();
            }
        });
    }
    let app = router(viewer.clone());
    let end = async {
        tokio::select! {
            () = stop => {}
            () = closed.notified() => {}
        }
    };
    serve::serve(listener, app, &viewer, Limits::default(), end).await;
    drop(demo);
    Ok(())
}

/// A viewer with one more file.
fn added(builder: Builder, path: &Path) -> Result<Builder, String> {
    let added = builder.file(path, "");
    added.map_err(|error| format!("{}: {error}", path.display()))
}

/// Prints where the viewer is. Returns the address for the browser, and what
/// must be kept for as long as the browser may want it.
fn announce(
    options: &Options,
    viewer: &Viewer,
    address: SocketAddr,
) -> Result<(String, Option<tempfile::NamedTempFile>), String> {
    let host = match options.allow_host.first() {
        Some(name) if !options.is_own() => name.authority(address.port()),
        _ => address.to_string(),
    };
    let Some(token) = viewer.token() else {
        let start = format!("http://{host}/");
        say::line(format_args!("Looking at {start}  (Ctrl-C ends it)"));
        return Ok((start, None));
    };
    let link = format!("http://{host}{}", token.entrance());
    say::line(format_args!(
        "Listening on http://{host}/  (Ctrl-C ends it)"
    ));
    say::line(format_args!("Open this link, which works once: {link}"));
    if options.no_open {
        return Ok((link, None));
    }
    // The browser's command line can be read by every user of the machine, a
    // file of one's own cannot.
    let (start, file) = browser::hidden(&link).map_err(|error| error.to_string())?;
    Ok((start, Some(file)))
}
