//! Opening the browser, or a window of its own.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
};

use tempfile::NamedTempFile;

use crate::say;

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

/// Opens the browser that the user prefers, `$BROWSER` respected; or a window
/// of its own. Says so where that is not possible.
pub(crate) fn show(address: &str, window: bool) {
    if !has_screen() {
        say::line("No browser could be opened, for want of a display: open the address yourself.");
        return;
    }
    if window {
        if open_window(address) {
            return;
        }
        say::line("There is no browser with windows of its own; opening the usual one.");
    }
    if webbrowser::open(address).is_err() {
        say::line("No browser could be opened: open the address yourself.");
    }
}

/// Whether a browser has a screen to appear on. Where there is none, some are
/// found that take over the terminal instead, which is nobody's wish.
fn has_screen() -> bool {
    cfg!(not(all(unix, not(target_os = "macos"))))
        || ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

fn open_window(address: &str) -> bool {
    WITH_WINDOWS.iter().any(|browser| {
        Command::new(browser)
            .arg(format!("--app={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .is_ok()
    })
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
