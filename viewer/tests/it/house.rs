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

/// Which module imports which, in `src`: what stands behind `crate::`, up to
/// the name of a file.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let source = viewer().join("src");
    let mut modules = BTreeMap::new();
    for (folder, before) in [("", ""), ("pages", "pages::")] {
        for entry in fs::read_dir(source.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.file_stem().unwrap().to_str().unwrap();
                modules.insert(
                    format!("{before}{name}"),
                    fs::read_to_string(&path).unwrap(),
                );
            }
        }
    }
    let names: BTreeSet<String> = modules.keys().cloned().collect();
    let graph = modules.iter().map(|(module, text)| {
        // Tests may build what they test with whatever there is.
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let mut found = BTreeSet::new();
        for (start, _) in text.match_indices("crate::") {
            found.extend(paths(&text[start + "crate::".len()..]));
        }
        let found = found.into_iter().filter_map(|path| {
            let mut parts = path.split("::");
            let first = parts.next()?.to_owned();
            let second = format!("{first}::{}", parts.next().unwrap_or_default());
            if names.contains(&second) {
                Some(second)
            } else {
                names.contains(&first).then_some(first)
            }
        });
        (
            module.clone(),
            found.filter(|other| other != module).collect(),
        )
    });
    graph.collect()
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
fn modules_import_each_other_in_no_circle() {
    let graph = imports();
    assert!(graph["pages::map"].contains("legend"), "{graph:?}");
    // What imports only what is gone goes, until nothing does.
    let mut left = graph;
    loop {
        let free: BTreeSet<String> = left
            .iter()
            .filter(|(_, imports)| imports.is_empty())
            .map(|(module, _)| module.clone())
            .collect();
        if free.is_empty() {
            break;
        }
        left.retain(|module, _| !free.contains(module));
        for imports in left.values_mut() {
            imports.retain(|module| !free.contains(module));
        }
    }
    assert!(left.is_empty(), "in circles: {left:#?}");
}

#[test]
fn screen_imports_no_other_screen() {
    for (module, imports) in imports() {
        let screens: Vec<_> = imports
            .iter()
            .filter(|other| other.starts_with("pages::"))
            .collect();
        if module.starts_with("pages::") {
            assert!(screens.is_empty(), "{module} imports {screens:?}");
        }
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
