//! The package for JavaScript: packed to the same bytes each time, installed without a
//! network where nothing of the repository is, and used as its README says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::guide::built;
use crate::tools::{Tools, repository, succeeded};
use crate::views::program;

const PACKED: &str = "pagebox-0.1.0.tgz";

/// Where the package is installed, and nothing else.
struct Installed {
    tools: &'static Tools,
    folder: tempfile::TempDir,
}

static INSTALLED: LazyLock<Option<Installed>> = LazyLock::new(|| {
    let tools = built()?;
    let folder = tempfile::tempdir().expect("there is room for a folder");
    // The guide has it packed.
    let packed = source(tools).join(PACKED);
    fs::copy(packed, folder.path().join(PACKED)).expect("the guide packed it");
    let mut npm = tools.command("npm");
    npm.current_dir(folder.path());
    succeeded(
        npm.args(["install", "--offline"])
            .arg(format!("./{PACKED}")),
    );
    Some(Installed { tools, folder })
});

impl Installed {
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn package(&self) -> PathBuf {
        self.folder().join("node_modules/pagebox")
    }

    /// A program of the tools, where the package is installed.
    fn command(&self, program: &str) -> Command {
        let mut command = self.tools.command(program);
        command.current_dir(self.folder());
        command
    }
}

fn source(tools: &Tools) -> PathBuf {
    tools.examples().join("../javascript")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_javascript_package_works_where_nothing_of_the_repository_is() {
    let Some(installed) = INSTALLED.as_ref() else {
        return;
    };
    let readme = read(&installed.package().join("README.md"));
    let (_, example) = readme.split_once("```js\n").expect("it has an example");
    let (example, _) = example.split_once("```").expect("the example ends");
    let mut node = installed.command("node");
    node.args(["--input-type=module", "-e", example]);
    assert_eq!(succeeded(&mut node), "hello\n", "{example}");
    let mut check = installed.command("pagebox");
    succeeded(check.args(["check", "data.pages"]));
    let mut read = installed.command("pagebox");
    read.args(["read", "--protected", "--len", "5", "data.pages", "0"]);
    assert_eq!(succeeded(&mut read), "hello");

    // It alone was installed.
    let modules = fs::read_dir(installed.folder().join("node_modules")).expect("it is there");
    let names = modules.map(|entry| entry.expect("it can be read").file_name());
    let mut names: Vec<_> = names.filter(|name| name != ".package-lock.json").collect();
    names.sort();
    assert_eq!(names, ["pagebox"]);
}

#[test]
fn a_program_in_strict_typescript_finds_the_types_that_are_so() {
    let Some(installed) = INSTALLED.as_ref() else {
        return;
    };
    for name in ["types.mts", "browser-types.mts"] {
        let source = program(installed.tools, &format!("javascript/{name}"));
        fs::copy(source, installed.folder().join(name)).expect("there is room for a program");
    }
    let strict = ["--strict", "--target", "es2022"];
    let mut tsc = installed.command("tsc");
    succeeded(tsc.args(strict).args(["--module", "nodenext", "types.mts"]));
    let folder = tempfile::tempdir().expect("there is room for a folder");
    succeeded(
        installed
            .command("node")
            .arg("types.mjs")
            .arg(folder.path()),
    );
    // As bundlers find it that build for a browser.
    let mut tsc = installed.command("tsc");
    tsc.args(strict).args(["--module", "esnext", "--noEmit"]);
    tsc.args(["--moduleResolution", "bundler"]);
    tsc.args(["--customConditions", "browser"]);
    succeeded(tsc.arg("browser-types.mts"));
}

/// Everything that a module imports, and what that imports: a browser needs no bundler
/// for it, since each is a file beside it.
#[test]
fn what_the_browser_is_given_is_files_of_the_package_alone() {
    let Some(installed) = INSTALLED.as_ref() else {
        return;
    };
    let manifest = read(&installed.package().join("package.json"));
    assert!(manifest.contains(r#""default": "./src/browser.js""#));
    let mut found = vec![installed.package().join("src/browser.js")];
    let mut next = 0;
    while next < found.len() {
        let module = found[next].clone();
        next += 1;
        let text = read(&module);
        assert!(!text.contains("node:"), "{}", module.display());
        assert!(!text.contains("import("), "{}", module.display());
        for line in text.lines().filter(|line| line.ends_with("';")) {
            let named = line.split_once(" from '").map(|(_, name)| name);
            let Some(name) = named.or_else(|| line.strip_prefix("import '")) else {
                continue;
            };
            let name = name.trim_end_matches("';");
            assert!(name.starts_with("./") || name.starts_with("../"), "{line}");
            let folder = module.parent().expect("it is in a folder");
            let path = folder.join(name).canonicalize();
            let path = path.unwrap_or_else(|error| panic!("{line}: {error}"));
            if !found.contains(&path) {
                found.push(path);
            }
        }
    }
    assert!(found.len() > 10, "{found:?}");
    assert!(!found.iter().any(|path| path.ends_with("src/node.js")));
}

#[test]
fn the_javascript_package_is_the_same_bytes_each_time() {
    let Some(tools) = built() else { return };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let mut npm = tools.command("npm");
    npm.current_dir(source(tools));
    succeeded(npm.args(["pack", "--pack-destination"]).arg(folder.path()));
    let [first, second] = [&source(tools), folder.path()]
        .map(|folder: &Path| fs::read(folder.join(PACKED)).expect("it was packed"));
    assert!(first == second, "it is another one each time");
}

/// The examples build programs with the same tools as the package.
#[test]
fn tools_of_the_javascript_package_are_those_of_the_examples() {
    let manifest = read(&repository().join("host/javascript/package.json"));
    assert!(manifest.contains(&format!(r#""version": "{}""#, env!("CARGO_PKG_VERSION"))));
    let examples = read(&repository().join("host/examples/package.json"));
    for tool in ["@bytecodealliance/jco", "@bytecodealliance/preview2-shim"] {
        let [ours, theirs] = [&manifest, &examples].map(|text| {
            let line = text.lines().find(|line| line.contains(tool));
            line.expect(tool).trim().trim_end_matches(',').to_owned()
        });
        assert_eq!(ours, theirs);
    }
}
