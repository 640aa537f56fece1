//! Which module of a crate imports which, read from its sources, and whether
//! any two of them import each other in a circle.
//!
//! A path counts wherever it begins with `crate`, `super` or `self`, in a `use`
//! or in the middle of code; what a module takes from one that only passes it
//! on counts for the one that has it. Comments do not count, nor do tests,
//! which may build what they test with whatever there is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Modules by their paths (`store::map`; the crate itself is empty), and those
/// that each of them imports.
pub type Imports = BTreeMap<String, BTreeSet<String>>;

/// The imports of the crate whose sources are in a folder. `root` is its first
/// file: `lib.rs`.
pub fn imports(sources: &Path, root: &str) -> Imports {
    let mut texts = BTreeMap::new();
    texts.insert(String::new(), code(&sources.join(root)));
    add_children(sources, "", &mut texts);
    let modules = Modules {
        passed_on: texts
            .iter()
            .map(|(module, text)| (module.clone(), passed_on(text)))
            .collect(),
    };
    let graph = texts.iter().map(|(module, text)| {
        let paths = mentions(text).into_iter();
        let found = paths.filter_map(|path| modules.find(module, &path, 0));
        (
            module.clone(),
            found.filter(|other| other != module).collect(),
        )
    });
    graph.collect()
}

/// The modules right below one (`cli`; empty for those of the crate) as they
/// import each other, with all that lies below them.
///
/// What is below a module may name what is in it: that is not among these.
pub fn below(imports: &Imports, parent: &str) -> Imports {
    let child = |module: &str| {
        let rest = match parent {
            "" => module,
            _ => module.strip_prefix(parent)?.strip_prefix("::")?,
        };
        let name = rest.split("::").next()?;
        (!name.is_empty()).then(|| name.to_owned())
    };
    let mut graph = Imports::new();
    for (module, others) in imports {
        let Some(name) = child(module) else {
            continue;
        };
        let others = others.iter().filter_map(|other| child(other));
        let others: Vec<_> = others.filter(|other| *other != name).collect();
        graph.entry(name).or_default().extend(others);
    }
    graph
}

/// What is left of a graph when those that import nothing are taken away, until
/// there are no more of them: circles, and what imports them.
pub fn circles(mut graph: Imports) -> Imports {
    loop {
        let free: BTreeSet<String> = graph
            .iter()
            .filter(|(_, imports)| imports.is_empty())
            .map(|(module, _)| module.clone())
            .collect();
        if free.is_empty() {
            return graph;
        }
        graph.retain(|module, _| !free.contains(module));
        for imports in graph.values_mut() {
            imports.retain(|module| !free.contains(module));
        }
    }
}

/// The code of a file, without comments and tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines();
    let lines = lines.take_while(|line| !line.starts_with("mod tests {"));
    let lines = lines.filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Adds the modules in a folder, which are those of `parent`.
fn add_children(folder: &Path, parent: &str, texts: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let module = join(parent, name);
        if path.is_dir() && name != "bin" {
            add_children(&path, &module, texts);
            if path.join("mod.rs").is_file() {
                texts.insert(module, code(&path.join("mod.rs")));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !["lib", "main", "mod", "tests"].contains(&name)
        {
            texts.insert(module, code(&path));
        }
    }
}

fn join(parent: &str, name: &str) -> String {
    match parent {
        "" => name.to_owned(),
        _ => format!("{parent}::{name}"),
    }
}

struct Modules {
    /// Names of a module that stand for something elsewhere: a path each.
    passed_on: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Modules {
    /// The module that a path ends in, as `from` writes it; none: it is none of
    /// these.
    fn find(&self, from: &str, path: &[String], depth: usize) -> Option<String> {
        // Names that are passed on in a circle are the compiler's affair.
        if depth > 8 {
            return None;
        }
        let mut module = from.to_owned();
        for (index, part) in path.iter().enumerate() {
            match part.as_str() {
                "crate" => module.clear(),
                "self" => {}
                "super" => module.truncate(module.rfind("::").unwrap_or(0)),
                name => {
                    let child = join(&module, name);
                    if self.passed_on.contains_key(&child) {
                        module = child;
                        continue;
                    }
                    let elsewhere = self.passed_on.get(&module)?.get(name);
                    let found = elsewhere.and_then(|elsewhere| {
                        let rest = [elsewhere, &path[index + 1..]].concat();
                        self.find(&module, &rest, depth + 1)
                    });
                    // What it has itself, or the name of another crate.
                    return found.or((index > 0).then_some(module));
                }
            }
        }
        Some(module)
    }
}

/// The names that the `use`s of a text bring, and what they stand for.
fn passed_on(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut names = BTreeMap::new();
    for (start, _) in text.match_indices("use ") {
        if text[..start].ends_with(is_of_a_word) {
            continue;
        }
        // A module is found by its own name.
        let paths = paths(&text[start + "use ".len()..]).into_iter();
        names.extend(paths.filter(|(_, path)| path.len() > 1));
    }
    names
}

/// The paths in a text that name something of its own crate.
fn mentions(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for base in ["crate::", "super::", "self::"] {
        for (start, _) in text.match_indices(base) {
            // Neither the middle of another path nor the end of another word.
            if !text[..start].ends_with(|it: char| is_of_a_word(it) || [':', '$'].contains(&it)) {
                let paths = paths(&text[start..]).into_iter();
                found.extend(paths.map(|(_, path)| path));
            }
        }
    }
    found
}

fn is_of_a_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The paths that a text begins with, groups taken apart, and the name that
/// each of them brings: two of `crate::{a, b::C as D}`.
fn paths(text: &str) -> Vec<(String, Vec<String>)> {
    let mut done = Vec::new();
    read_path(text, "", &mut done);
    done
}

/// Reads a path behind the one that its group belongs to, and returns what
/// follows it.
fn read_path<'t>(text: &'t str, before: &str, done: &mut Vec<(String, Vec<String>)>) -> &'t str {
    let word_end = |text: &str, also| {
        let end = text.find(|letter| !is_of_a_word(letter) && letter != also);
        end.unwrap_or(text.len())
    };
    let text = text.trim_start();
    let (path, mut rest) = text.split_at(word_end(text, ':'));
    let path = format!("{before}{path}");
    if let Some(group) = rest.strip_prefix('{').filter(|_| path.ends_with("::")) {
        rest = group.trim_start();
        while !rest.is_empty() && !rest.starts_with('}') {
            rest = read_path(rest, &path, done).trim_start();
            rest = rest.strip_prefix([',', '*']).unwrap_or(rest).trim_start();
        }
        return rest.strip_prefix('}').unwrap_or(rest);
    }
    let parts: Vec<String> = path
        .split("::")
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    let mut name = parts.last().cloned().unwrap_or_default();
    if let Some(alias) = rest.strip_prefix(" as ") {
        let (alias, after) = alias.split_at(word_end(alias, '_'));
        (name, rest) = (alias.to_owned(), after);
    }
    done.push((name, parts));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_groups_are_taken_apart() {
        let said = |text| {
            let paths = paths(text).into_iter();
            let said = paths.map(|(name, path)| format!("{name}: {}", path.join("::")));
            said.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(said("crate::Error;"), "Error: crate::Error");
        assert_eq!(said("super::super::a::B<u8>"), "B: super::super::a::B");
        assert_eq!(said("crate::a::f(x, y)"), "f: crate::a::f");
        assert_eq!(said("self::a::b as c;"), "c: self::a::b");
        assert_eq!(said("super::*;"), "super: super");
        assert_eq!(
            said("crate::{\n    a::{self, B, C as D},\n    e,\n};"),
            "self: crate::a::self, B: crate::a::B, D: crate::a::C, e: crate::e"
        );
    }

    #[test]
    fn what_is_passed_on_counts_for_the_module_that_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(
            "lib.rs",
            "mod a;\nmod b;\nmod c;\npub use b::inner::Thing;\n",
        );
        write("a.rs", "// crate::c::F\nuse crate::Thing;\nuse std::fmt;\n");
        write(
            "b.rs",
            "pub(crate) mod inner;\nuse self::inner::Thing as T;\n",
        );
        write("b/inner.rs", "use super::T;\nfn f() { crate::c::f(); }\n");
        write("c.rs", "fn f() {}\nmod tests {\n    use crate::a;\n}\n");
        let graph = imports(folder.path(), "lib.rs");
        assert_eq!(graph["a"], ["b::inner".to_owned()].into());
        assert_eq!(graph["b"], ["b::inner".to_owned()].into());
        assert_eq!(graph["b::inner"], ["c".to_owned()].into());
        assert!(graph["c"].is_empty());
        let top = below(&graph, "");
        assert_eq!(top["a"], ["b".to_owned()].into());
        assert!(circles(top).is_empty());
        write("c.rs", "use crate::a::X;\n");
        let left = circles(below(&imports(folder.path(), "lib.rs"), ""));
        assert_eq!(left.len(), 3, "{left:?}");
    }
}
