//! Where a user's programs keep what is theirs, by the rules of each system.

use std::path::PathBuf;

/// What can be made again.
pub(crate) fn cache() -> Option<PathBuf> {
    place("XDG_CACHE_HOME", ".cache", "Library/Caches")
}

/// What is worth keeping until the next start, and no more.
pub(crate) fn state() -> Option<PathBuf> {
    place(
        "XDG_STATE_HOME",
        ".local/state",
        "Library/Application Support",
    )
}

/// What other programs look for: menus, icons, types of files.
pub(crate) fn data() -> Option<PathBuf> {
    place(
        "XDG_DATA_HOME",
        ".local/share",
        "Library/Application Support",
    )
}

/// A folder that a variable names, or one below the user's own. None where the
/// user has none.
fn place(variable: &str, usual: &str, on_macos: &str) -> Option<PathBuf> {
    let set = |name: &str| {
        // By the rules a path that is not absolute counts for nothing.
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if cfg!(windows) {
        return set("LOCALAPPDATA");
    }
    let home = || set("HOME");
    if cfg!(target_os = "macos") {
        home().map(|home| home.join(on_macos))
    } else {
        set(variable).or_else(|| home().map(|home| home.join(usual)))
    }
}
