//! Opening the browser, or a window of its own.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
};

use tempfile::NamedTempFile;

/// Browsers that open a window without a frame when asked with `--app`.
const WITH_WINDOWS: [&str; 8] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "brave-browser",
    "vivaldi",
];

/// Opens the browser that the user prefers; `$BROWSER` is respected.
pub(crate) fn open(address: &str) {
    if webbrowser::open(address).is_err() {
        println!("No browser could be opened: open the address yourself.");
    }
}

/// Opens a window of its own, or else the browser.
pub(crate) fn open_window(address: &str) {
    let opened = WITH_WINDOWS.iter().any(|browser| {
        Command::new(browser)
            .arg(format!("--app={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .is_ok()
    });
    if !opened {
        println!("There is no browser with windows of its own; opening the usual one.");
        open(address);
    }
}

/// A file that sends the browser on to an address that is to be kept secret,
/// readable for this user only. It is gone when it is dropped.
pub(crate) fn hidden(address: &str) -> io::Result<(String, NamedTempFile)> {
    let mut file = tempfile::Builder::new()
        .prefix("pagebox-viewer-")
        .suffix(".html")
        .tempfile()?;
    write!(
        file,
        "<!doctype html><meta charset=utf-8><meta name=referrer content=no-referrer>\
         <meta http-equiv=refresh content=\"0;url={address}\"><title>Pagebox viewer</title>"
    )?;
    file.flush()?;
    Ok((format!("file://{}", file.path().display()), file))
}
