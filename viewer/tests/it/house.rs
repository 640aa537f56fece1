//! How the viewer's rooms lie: what a look says below what screens show of it,
//! screens beside each other, and nothing in a circle.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn viewer() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Where a tree of modules begins.
const ROOTS: [&str; 2] = ["lib", "main"];

/// Which module uses which, below a folder of sources: what stands behind
/// `crate::`, `super::` or the name of a folder, up to the name of a file.
fn imports(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut modules = BTreeMap::new();
    for path in files(source) {
        if path.is_dir() {
            let folder = name_of(&path);
            // Those of the programs are beside the library's.
            if folder == "bin" {
                continue;
            }
            for path in files(&path) {
                assert!(path.is_file(), "{}: look deeper", path.display());
                modules.insert(format!("{folder}::{}", name_of(&path)), text_of(&path));
            }
        } else {
            modules.insert(name_of(&path), text_of(&path));
        }
    }
    let names: BTreeSet<String> = modules.keys().cloned().collect();
    let folders: BTreeSet<&str> = names
        .iter()
        .filter_map(|name| Some(name.split_once("::")?.0))
        .collect();
    let graph = modules.iter().map(|(module, text)| {
        let mut found = BTreeSet::new();
        for start in after(text, "crate::") {
            found.extend(paths(start));
        }
        let around = module.rsplit_once("::").map(|(around, _)| around);
        for start in after(text, "super::") {
            let relative = paths(start).into_iter();
            found.extend(relative.map(|path| match around {
                Some(around) => format!("{around}::{path}"),
                None => path,
            }));
        }
        for folder in &folders {
            let folder = format!("{folder}::");
            for start in after(text, &folder) {
                found.extend(
                    paths(start)
                        .into_iter()
                        .map(|path| format!("{folder}{path}")),
                );
            }
        }
        let found = found.into_iter().filter_map(|path| {
            let mut parts = path.split("::");
            let first = parts.next()?.to_owned();
            let second = format!("{first}::{}", parts.next().unwrap_or_default());
            if names.contains(&second) {
                Some(second)
            } else if names.contains(&first) {
                Some(first)
            } else {
                // It stands in the root, which uses the others.
                ROOTS
                    .iter()
                    .map(|root| (*root).to_owned())
                    .find(|root| names.contains(root))
            }
        });
        (
            module.clone(),
            found.filter(|other| other != module).collect(),
        )
    });
    graph.collect()
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

/// A file without its tests, which may build what they test with whatever there
/// is, and without its comments.
fn text_of(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// What stands behind each occurrence of a word that is not the end of another.
fn after<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    text.match_indices(word).filter_map(move |(start, _)| {
        let before = text[..start].chars().next_back();
        let is_own =
            !before.is_some_and(|letter| letter.is_alphanumeric() || "_:".contains(letter));
        is_own.then(|| &text[start + word.len()..])
    })
}

/// Nothing, if no modules use each other in a circle; else those that do, and
/// what leads there.
fn circles(graph: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    // What uses only what is gone goes, until nothing does.
    let mut left = graph;
    loop {
        let free: BTreeSet<String> = left
            .iter()
            .filter(|(_, imports)| imports.is_empty())
            .map(|(module, _)| module.clone())
            .collect();
        if free.is_empty() {
            return left;
        }
        left.retain(|module, _| !free.contains(module));
        for imports in left.values_mut() {
            imports.retain(|module| !free.contains(module));
        }
    }
}

/// The paths that a `use` names, groups taken apart.
fn paths(text: &str) -> Vec<String> {
    if let Some(group) = text.strip_prefix('{') {
        let mut depth = 1;
        let mut parts = vec![String::new()];
        for letter in group.chars() {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => parts.push(String::new()),
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if !(letter.is_whitespace() || letter == ',' && depth == 1) {
                parts.last_mut().unwrap().push(letter);
            }
        }
        return parts
            .iter()
            .filter(|part| !part.is_empty())
            .flat_map(|part| match part.split_once("::{") {
                Some((before, group)) => paths(&format!("{{{group}"))
                    .into_iter()
                    .map(|inner| format!("{before}::{inner}"))
                    .collect(),
                None => vec![part.clone()],
            })
            .collect();
    }
    let path: String = text
        .chars()
        .take_while(|letter| {
            letter.is_alphanumeric() || matches!(letter, '_' | ':' | '{' | ' ' | '\n' | ',' | '}')
        })
        .collect();
    match path.split_once("::{") {
        Some((before, _)) if !before.contains([' ', '\n', ',']) => {
            let group = &text[before.len() + 2..];
            paths(group)
                .into_iter()
                .map(|inner| format!("{before}::{inner}"))
                .collect()
        }
        _ => {
            let path: String = text
                .chars()
                .take_while(|letter| letter.is_alphanumeric() || matches!(letter, '_' | ':'))
                .collect();
            vec![path]
        }
    }
}

#[test]
fn modules_use_each_other_in_no_circle() {
    let source = viewer().join("src");
    let graph = imports(&source);
    // All ways in which one is named are seen.
    for (module, other) in [
        ("pages::map", "legend"),
        ("openapi", "pages::about"),
        ("openapi", "respond"),
        ("lib", "pages::about"),
        ("pages::diff", "compare"),
    ] {
        assert!(
            graph[module].contains(other),
            "{module}: {:?}",
            graph[module]
        );
    }
    let left = circles(graph);
    assert!(left.is_empty(), "in circles: {left:#?}");
    let program = imports(&source.join("bin/pagebox-viewer"));
    assert!(program["main"].contains("browser") && program["browser"].contains("places"));
    let left = circles(program);
    assert!(left.is_empty(), "in circles: {left:#?}");
}

#[test]
fn screen_uses_no_other_screen() {
    let is_screen = |module: &str| module.starts_with("pages::");
    for (module, imports) in imports(&viewer().join("src")) {
        let screens: Vec<_> = imports.iter().filter(|other| is_screen(other)).collect();
        // What lists them all stands above them.
        let above = ["lib", "pages", "openapi"].contains(&&*module);
        assert!(above || screens.is_empty(), "{module} uses {screens:?}");
    }
}

/// Lines that no difference of two versions can be read in.
#[test]
fn templates_and_scripts_have_lines_that_can_be_read() {
    for folder in ["templates", "assets"] {
        for path in files(&viewer().join(folder)) {
            // One line a rule, as style sheets are written.
            if path
                .extension()
                .is_some_and(|extension| extension == "css" || extension == "svg")
            {
                continue;
            }
            for (line, text) in (1..).zip(fs::read_to_string(&path).unwrap().lines()) {
                let len = text.chars().count();
                assert!(len <= 160, "{}:{line} has {len} characters", path.display());
            }
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}
