//! The package for Python: built without a network, installed where nothing of the
//! repository is, and used as its README says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guide::built;
use crate::tools::{Tools, repository, succeeded};
use crate::views::program;

const WHEEL: &str = "pagebox-0.1.0-py3-none-any.whl";

/// Builds the wheel out of a folder, or of a source archive.
fn wheel(tools: &Tools, source: &Path, into: &Path) -> PathBuf {
    let mut pip = tools.command("python");
    pip.args([
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-index",
        "--wheel-dir",
    ]);
    succeeded(pip.arg(into).arg(source));
    into.join(WHEEL)
}

/// An environment in which the wheel is installed, and what it needs found in that of
/// the tools: its Python.
fn installed(tools: &Tools, wheel: &Path, folder: &Path) -> PathBuf {
    let python = folder.join("venv/bin/python");
    let mut venv = tools.command("python");
    succeeded(
        venv.args(["-m", "venv", "--without-pip"])
            .arg(folder.join("venv")),
    );
    let mut pip = tools.command("python");
    pip.args(["-m", "pip", "--python"]).arg(&python);
    succeeded(pip.args(["install", "--no-deps", "--no-index"]).arg(wheel));
    let site = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let theirs = succeeded(tools.command("python").args(["-c", site]));
    let ours = succeeded(Command::new(&python).args(["-c", site]));
    let linked = Path::new(ours.trim()).join("tools.pth");
    fs::write(linked, theirs).expect("the environment can be written");
    python
}

#[test]
fn the_python_package_works_where_nothing_of_the_repository_is() {
    let Some(tools) = built() else { return };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let source = tools.examples().join("../python");
    let wheel = wheel(tools, &source, folder.path());
    let python = installed(tools, &wheel, folder.path());

    let readme = fs::read_to_string(source.join("README.md")).expect("it is there");
    let (_, example) = readme.split_once("```python\n").expect("it has an example");
    let (example, _) = example.split_once("```").expect("the example ends");
    let python = || {
        let mut python = Command::new(&python);
        python.current_dir(folder.path()).env_remove("PYTHONPATH");
        python
    };
    assert_eq!(
        succeeded(python().args(["-c", example])),
        "b'hello'\n",
        "{example}"
    );
    let file = folder.path().join("data.pages");
    succeeded(tools.command("pagebox").arg("check").arg(&file));
    let mut read = tools.command("pagebox");
    read.args(["read", "--protected", "--len", "5"]);
    assert_eq!(succeeded(read.arg(&file).arg("0")), "hello");

    let described = succeeded(python().args([
        "-c",
        "from importlib.metadata import requires, version\n\
         print(version('pagebox'), *requires('pagebox'), sep='\\n')",
    ]));
    let [version, wasmtime, xxhash] = described.lines().collect::<Vec<_>>()[..] else {
        panic!("{described}");
    };
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let pinned = fs::read_to_string(repository().join("host/examples/requirements.txt"));
    let pinned = pinned.expect("what is installed is written down");
    assert!(pinned.lines().any(|line| line == wasmtime), "{wasmtime}");
    assert_eq!(xxhash, "xxhash>=3,<5");

    // Its types are found too.
    let mut mypy = tools.command("mypy");
    mypy.current_dir(folder.path())
        .env_remove("MYPYPATH")
        .arg("--strict");
    mypy.arg("--cache-dir").arg(folder.path().join("cache"));
    mypy.arg("--python-executable").arg(python().get_program());
    succeeded(mypy.arg(program(tools, "python/typed.py")));
}

#[test]
fn the_python_package_is_the_same_bytes_each_time_also_of_its_source_archive() {
    let Some(tools) = built() else { return };
    let source = tools.examples().join("../python");
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("there is room for a folder"));
    let [first, second, third] = folders.each_ref().map(tempfile::TempDir::path);
    let mut archive = tools.command("python");
    archive.args([
        "-c",
        "import backend, sys; print(backend.build_sdist(sys.argv[1]))",
    ]);
    archive.env("PYTHONPATH", &source).arg(third);
    let archive = third.join(succeeded(&mut archive).trim());
    let built = [
        wheel(tools, &source, first),
        wheel(tools, &source, second),
        wheel(tools, &archive, third),
    ];
    let [one, two, three] = built.map(|wheel| fs::read(wheel).expect("it was built"));
    assert!(one == two, "it is another one each time");
    assert!(one == three, "it is another one of the source archive");
}
