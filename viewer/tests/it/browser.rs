//! The screens in a real browser: `tests/browser` under `node --test`, with
//! the demo as its file.

use std::{fs, path::Path, process::Command};

use crate::program::Program;

/// Where a browser must be there, as in continuous integration.
const REQUIRED: &str = "PAGEBOX_REQUIRE_BROWSER";

#[test]
fn screens_work_in_a_browser() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let required = std::env::var_os(REQUIRED).is_some_and(|value| value == "1");
    let missing = missing(&folder);
    if let Some(missing) = missing {
        assert!(
            !required,
            "the browser tests are required, but there is no {missing}"
        );
        eprintln!("skipped: the browser tests need {missing}");
        return;
    }
    // Something that was looked at before, and something that is gone.
    let state = tempfile::tempdir().unwrap();
    let list = state.path().join("pagebox/recent");
    fs::create_dir(state.path().join("pagebox")).unwrap();
    let [there, gone] = ["there.pages", "gone.pages"].map(|name| state.path().join(name));
    fs::write(&there, "").unwrap();
    fs::write(&list, format!("{}\n{}\n", there.display(), gone.display())).unwrap();
    let program = Program::start(
        |command| {
            command
                .env_remove("PAGEBOX_VIEWER_NO_RECENT")
                .env("XDG_STATE_HOME", state.path())
                .args(["--demo", "--no-open"])
        },
        1,
    );
    let status = Command::new("node")
        // Two files, on as many cores.
        .args(["--test", "--test-reporter=spec", "--test-concurrency=2"])
        .args(["layout.test.mjs", "screens.test.mjs"])
        .current_dir(&folder)
        .env("PAGEBOX_VIEWER", format!("http://{}", program.address))
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// What is missing to run them.
fn missing(folder: &Path) -> Option<&'static str> {
    let runs = |program: &str| {
        let output = Command::new(program).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    if !runs("node") {
        return Some("node");
    }
    if !runs("chromium") {
        return Some("chromium");
    }
    if !folder.join("node_modules/playwright-core").is_dir() {
        return Some("playwright-core: run `npm ci` in viewer/tests/browser");
    }
    None
}
