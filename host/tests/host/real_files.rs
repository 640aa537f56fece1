//! Real files, and other processes: writers that are killed, disks that fill,
//! folders that cannot be written, races for the lock, files that go by several
//! names or lose theirs, processes that fork, pages that were somebody else's.

mod forked;
mod growth;
mod holes;
mod journal;
mod killed;
mod live;
mod many;
mod names;
mod race;
mod recycled;
mod space;
mod stress;

use std::path::{Path, PathBuf};
use std::process::Command;

use pagebox_tests::figures;

/// Tells this binary, started again, which file to work on.
const PATH: &str = "PAGEBOX_TEST_PATH";

/// The file that this process is to work on, if it was started for that.
fn path() -> PathBuf {
    std::env::var_os(PATH).unwrap().into()
}

/// This binary, to be started again, in a process of its own, to do what one of
/// its ignored tests says with a file. `wrapper` is a command that starts
/// commands.
fn child(wrapper: &[&str], role: &str, path: &Path) -> Command {
    let exe = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(exe),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(exe);
            command
        }
    };
    command
        .args(["--exact", role, "--ignored", "--nocapture"])
        .env(PATH, path);
    command
}

/// A command that gives the commands that it starts mounts of their own, if
/// there is one here, and small disks can be mounted in it.
fn mounting(folder: &Path) -> Option<&'static [&'static str]> {
    let spaces: [&[&str]; 2] = [
        &["unshare", "--mount", "--map-root-user"],
        &["unshare", "--mount"],
    ];
    let disk = folder.to_str().unwrap();
    let mounts = |space: &&[&str]| {
        let mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", disk];
        works(&[space, &mount[..]].concat())
    };
    spaces.into_iter().find(mounts)
}

/// Says that something cannot be tried here.
fn skip(what: &str) {
    figures::print(&format!("skipped: {what}"));
}

/// Whether a command can be run here, and succeeds.
fn works(command: &[&str]) -> bool {
    let output = Command::new(command[0]).args(&command[1..]).output();
    output.is_ok_and(|output| output.status.success())
}

/// Runs a child to its end, which has to be a good one.
#[track_caller]
fn succeed(command: &mut Command) {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && told.contains("1 passed"),
        "{command:?}: {}\n{told}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}
