//! The viewer among the programs of a desktop: a double click on a page file
//! opens it. Three files of the user's own, as freedesktop.org has them.
//!
//! A page file is known by its first bytes. The ending `.pages` is that of
//! another program's documents too: where two types claim an ending, the bytes
//! decide.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{browser, places, say};

/// What desktops call a page file.
const TYPE: &str = "application/x-pagebox";

const ICON: &str = include_str!("../../../assets/icon.svg");

/// What page files begin with, by format.
const MAGICS: [&str; 2] = ["MPPG", "PBOX"];

/// A file that makes the viewer known, and what it holds.
struct Part {
    path: PathBuf,
    content: String,
}

/// Writes what makes the viewer known, or what has changed of it.
pub(crate) fn install() -> Result<(), String> {
    let data = data()?;
    let has_windows = browser::has_windows();
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let entry = entry(&program, has_windows)?;
    for part in parts(&data, entry) {
        let failed = |error: io::Error| format!("cannot write {}: {error}", part.path.display());
        if fs::read(&part.path).is_ok_and(|old| old == part.content.as_bytes()) {
            say::line(format_args!("As it should be: {}", part.path.display()));
            continue;
        }
        if let Some(folder) = part.path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        fs::write(&part.path, &part.content).map_err(failed)?;
        say::line(format_args!("Wrote {}", part.path.display()));
    }
    renew(&data);
    if !has_windows {
        say::line(
            "No browser of the Chromium family was found, so a terminal opens with the usual \
             browser: the viewer ends when it is closed.",
        );
    }
    Ok(())
}

/// Removes what [`install`] wrote, and nothing else.
pub(crate) fn remove() -> Result<(), String> {
    let data = data()?;
    for Part { path, .. } in parts(&data, String::new()) {
        match fs::remove_file(&path) {
            Ok(()) => say::line(format_args!("Removed {}", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                say::line(format_args!("Not there: {}", path.display()));
            }
            Err(error) => return Err(format!("cannot remove {}: {error}", path.display())),
        }
    }
    renew(&data);
    Ok(())
}

fn data() -> Result<PathBuf, String> {
    if cfg!(any(windows, target_os = "macos")) {
        return Err("this is for desktops that follow freedesktop.org".to_owned());
    }
    places::data().ok_or_else(|| "neither XDG_DATA_HOME nor HOME names a folder".to_owned())
}

fn parts(data: &Path, entry: String) -> [Part; 3] {
    let part = |path: &str, content| Part {
        path: data.join(path),
        content,
    };
    [
        part("applications/pagebox-viewer.desktop", entry),
        part(
            "icons/hicolor/scalable/apps/pagebox-viewer.svg",
            ICON.to_owned(),
        ),
        part("mime/packages/pagebox-viewer.xml", types()),
    ]
}

/// The entry in the menus. Without a window whose end can be seen the viewer
/// gets a terminal: else nobody could end it.
fn entry(program: &Path, has_windows: bool) -> Result<String, String> {
    let program = program
        .to_str()
        .filter(|path| !path.chars().any(char::is_control))
        .ok_or_else(|| format!("a menu cannot name {}", program.display()))?;
    let window = if has_windows { " --app" } else { "" };
    Ok(format!(
        "[Desktop Entry]\n\
         Type=Application\n\
         Version=1.5\n\
         Name=Pagebox viewer\n\
         Comment=See what is in a page file\n\
         TryExec={}\n\
         Exec={}{window} %F\n\
         Icon=pagebox-viewer\n\
         Terminal={}\n\
         Categories=Development;Database;\n\
         MimeType={TYPE};\n\
         Keywords=pagebox;page file;pager;\n",
        value(program),
        value(&argument(program)),
        !has_windows,
    ))
}

/// A value as entries have it.
fn value(text: &str) -> String {
    text.replace('\\', r"\\")
}

/// An argument of a command as entries have it, which are values besides.
fn argument(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '`' | '$' | '\\' => quoted.extend(['\\', letter]),
            '%' => quoted.push_str("%%"),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// The type of a page file, by its first bytes.
fn types() -> String {
    let magics = MAGICS
        .map(|magic| format!("      <match type=\"string\" offset=\"0\" value=\"{magic}\"/>\n"));
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<mime-info xmlns="http://www.freedesktop.org/standards/shared-mime-info">
  <mime-type type="{TYPE}">
    <comment>Page file</comment>
    <icon name="pagebox-viewer"/>
    <magic priority="60">
{}    </magic>
    <glob pattern="*.pages"/>
  </mime-type>
</mime-info>
"#,
        magics.concat()
    )
}

/// Has the desktop's lists made anew, where there is what makes them.
fn renew(data: &Path) {
    for (program, folder, without) in [
        (
            "update-mime-database",
            "mime",
            "its package is mostly called shared-mime-info",
        ),
        (
            "update-desktop-database",
            "applications",
            "its package is mostly called desktop-file-utils",
        ),
    ] {
        let folder = data.join(folder);
        match Command::new(program).arg(&folder).output() {
            Ok(output) if output.status.success() => {
                say::line(format_args!("Ran {program} {}", folder.display()));
            }
            Ok(output) => {
                let problem = String::from_utf8_lossy(&output.stderr);
                say::line(format_args!("{program} failed: {}", problem.trim()));
            }
            Err(_) => say::line(format_args!(
                "There is no {program}, so the desktop may not notice: {without}."
            )),
        }
    }
}
