//! Opening the browser, or a window of its own.

use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;

use crate::{places, say};

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

/// A window that somebody saw was open for longer than this.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The most windows with a profile of their own at a time.
const WINDOWS_MAX: usize = 16;

/// What became of a browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It goes its own ways.
    Elsewhere,
    /// It had a window of its own, which somebody closed.
    Closed,
}

/// Opens the browser that the user prefers, `$BROWSER` respected; or a window
/// of its own, and then waits until that is closed. Says so where that is not
/// possible.
pub(crate) fn show(address: &str, window: bool) -> Shown {
    if !has_screen() {
        say::line("No browser could be opened, for want of a display: open the address yourself.");
        return Shown::Elsewhere;
    }
    if window {
        if let Some(shown) = show_window(address) {
            return shown;
        }
        say::line("No browser could open a window of its own; opening the usual one.");
    }
    if webbrowser::open(address).is_err() {
        say::line("No browser could be opened: open the address yourself.");
    }
    Shown::Elsewhere
}

/// Whether a browser has a screen to appear on. Where there is none, some are
/// found that take over the terminal instead, which is nobody's wish.
fn has_screen() -> bool {
    cfg!(not(all(unix, not(target_os = "macos"))))
        || ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// Whether there is a browser that opens windows of its own.
pub(crate) fn has_windows() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .any(|folder| WITH_WINDOWS.iter().any(|name| folder.join(name).is_file()))
}

/// A window without a frame; none where no browser opens one.
fn show_window(address: &str) -> Option<Shown> {
    let (profile, _lock) = profile().unzip();
    WITH_WINDOWS
        .iter()
        .find_map(|browser| show_window_of(browser, address, profile.as_deref()))
}

/// With a profile of its own the browser is a process of its own too: it ends
/// when its window is closed.
fn show_window_of(browser: &str, address: &str, profile: Option<&Path>) -> Option<Shown> {
    let mut command = Command::new(browser);
    command
        .arg(format!("--app={address}"))
        .args(["--no-first-run", "--no-default-browser-check"]);
    if let Some(profile) = profile {
        let mut own = OsString::from("--user-data-dir=");
        own.push(profile);
        command.arg(own);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let began = Instant::now();
    let status = child.wait().ok()?;
    if !status.success() {
        return None;
    }
    // One that is gone at once handed the window to a browser that runs
    // already; without a profile of its own it may have, at any time.
    let handed_over = began.elapsed() < AT_ONCE || profile.is_none();
    Some(if handed_over {
        Shown::Elsewhere
    } else {
        Shown::Closed
    })
}

/// The folder where the window's browser keeps its size and place, and what
/// keeps it ours. None where the user has no place for such things.
///
/// A browser whose folder is in use hands its window over to the one that uses
/// it, and nobody could tell when that window is closed: each viewer that runs
/// has a folder of its own.
fn profile() -> Option<(PathBuf, fs::File)> {
    let folder = places::cache()?.join("pagebox-viewer");
    fs::create_dir_all(&folder).ok()?;
    (1..=WINDOWS_MAX).find_map(|number| {
        let profile = match number {
            1 => folder.join("window"),
            _ => folder.join(format!("window-{number}")),
        };
        let lock = fs::File::create(profile.with_extension("lock")).ok()?;
        lock.try_lock().ok()?;
        fs::create_dir_all(&profile).ok()?;
        Some((profile, lock))
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
