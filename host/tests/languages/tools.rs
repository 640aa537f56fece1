//! The tools, and running them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

const NEEDED: &[&str] = &[
    "bash",
    "chromium",
    "clang",
    "componentize-py",
    "flock",
    "jco",
    "make",
    "mypy",
    "node",
    "npm",
    "tsc",
    "wac",
    "wasm-ld",
    "wit-bindgen",
];

/// Every format, as programs are told of it.
pub(crate) const FORMATS: [&str; 2] = ["0", "1"];

/// Where everything is.
pub(crate) struct Tools {
    /// A copy of `wit`, `host/examples` and the packages, in which all is built.
    copy: PathBuf,
    path: OsString,
}

static TOOLS: LazyLock<Option<Tools>> = LazyLock::new(|| {
    let tools = Tools::find();
    if let Err(missing) = &tools {
        let line = format!(
            "skipped: programs and hosts in other languages, for want of {missing}: \
             see .ci/install-languages"
        );
        assert!(env::var_os("PAGEBOX_REQUIRE_LANGUAGES").is_none(), "{line}");
        // Past the test harness, which would swallow it.
        writeln!(std::io::stderr(), "{line}").expect("standard error can be written");
    }
    tools.ok()
});

/// The tools, if they are there.
pub(crate) fn tools() -> Option<&'static Tools> {
    TOOLS.as_ref()
}

pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the host is in the workspace")
}

impl Tools {
    fn find() -> Result<Self, String> {
        if !cfg!(feature = "run") {
            return Err("`--features run`".into());
        }
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .parent()
            .expect("the folder for tests is in the target folder");
        let installed = target.join("languages");
        let program = Path::new(env!("CARGO_BIN_EXE_pagebox"));
        let mut folders = vec![
            program
                .parent()
                .expect("a program is in a folder")
                .to_owned(),
            installed.join("bin"),
            installed.join("venv/bin"),
            installed.join("node_modules/.bin"),
        ];
        folders.extend(env::split_paths(&env::var_os("PATH").unwrap_or_default()));
        let missing: Vec<_> = NEEDED
            .iter()
            .copied()
            .filter(|name| !folders.iter().any(|folder| folder.join(name).is_file()))
            .collect();
        if !missing.is_empty() {
            return Err(missing.join(", "));
        }
        let copy = installed.join("copy");
        let from = repository();
        // What is not there any more must not be found; nothing is built in these.
        for folder in ["host/examples/hosts", "host/javascript", "host/python"] {
            let _ = fs::remove_dir_all(copy.join(folder));
        }
        for folder in ["wit", "host/examples", "host/javascript", "host/python"] {
            copy_folder(&from.join(folder), &copy.join(folder));
        }
        for license in ["LICENSE-APACHE", "LICENSE-MIT"] {
            fs::copy(from.join(license), copy.join(license))
                .expect("the target folder can be written");
        }
        Ok(Self {
            copy,
            path: env::join_paths(folders).expect("folders have no colons"),
        })
    }

    /// The copy of `host/examples`.
    pub(crate) fn examples(&self) -> PathBuf {
        self.copy.join("host/examples")
    }

    /// A command of the tools, in the examples.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.examples())
            .env("PATH", &self.path)
            // All that is needed is here.
            .env("npm_config_offline", "true")
            // The examples have target folders of their own.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("RUSTFLAGS");
        command
    }
}

/// What a command printed, which has to succeed.
pub(crate) fn succeeded(command: &mut Command) -> String {
    let output = ran(command);
    assert!(output.status.success(), "{command:?}\n{}", told(&output));
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

pub(crate) fn ran(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// All that a command said.
pub(crate) fn told(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Brings a copy up to date. What is built in it stays, and so does the time of
/// what did not change.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    const BUILT: &[&str] = &["build", "node_modules", "pager", "target", "__pycache__"];
    fs::create_dir_all(to).expect("the target folder can be written");
    for entry in fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder can be read");
        let (name, from) = (entry.file_name(), entry.path());
        let built =
            BUILT.iter().any(|built| name == *built) || from.extension() == Some("wasm".as_ref());
        let to = to.join(&name);
        if built {
            continue;
        }
        if from.is_dir() {
            copy_folder(&from, &to);
        } else if fs::read(&from).ok() != fs::read(&to).ok() {
            fs::copy(&from, &to).expect("the target folder can be written");
        }
    }
}
