//! The WIT in prose, as it is published beside it.

use std::fs;

use crate::guide::built;
use crate::tools::{Tools, repository, succeeded, tools};

#[test]
fn the_prose_of_the_contract_is_up_to_date() {
    let Some(tools) = tools() else { return };
    let folder = tempfile::tempdir().expect("there is room for a folder");
    for world in ["pager-component", "application"] {
        let mut generate = tools.command("wit-bindgen");
        generate.args(["markdown", "-w", world, "--out-dir"]);
        succeeded(generate.arg(folder.path()).arg(repository().join("wit")));
        let name = format!("{world}.md");
        let generated = fs::read_to_string(folder.path().join(&name)).expect("it was made");
        let committed =
            fs::read_to_string(repository().join("wit").join(&name)).unwrap_or_default();
        assert!(
            generated == committed,
            "wit/{name} is out of date: \
             `wit-bindgen markdown wit -w {world} --out-dir wit && rm wit/*.html`"
        );
    }
}

#[test]
fn the_bindings_for_c_are_up_to_date() {
    let Some(tools) = tools() else { return };
    for example in ["c", "decoders/c"] {
        assert_bindings_are_up_to_date(tools, example);
    }
}

fn assert_bindings_are_up_to_date(tools: &Tools, example: &str) {
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let mut make = tools.command("make");
    make.args(["-C", example, "bindings"]);
    succeeded(make.arg(format!("BINDINGS={}", folder.path().display())));
    let mut generated = 0;
    for entry in fs::read_dir(folder.path()).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        let name = path.file_name().expect("it is a file").to_owned();
        let bindings = repository().join("host/examples").join(example);
        let bindings = bindings.join("bindings");
        let committed = fs::read(bindings.join(&name)).unwrap_or_default();
        assert!(
            fs::read(&path).expect("it was made") == committed,
            "{} is out of date: `make bindings` in host/examples/{example}",
            name.display()
        );
        generated += 1;
    }
    assert_eq!(
        generated, 3,
        "a header, a source and the type of the component"
    );
}

#[test]
fn a_program_composed_by_hand_needs_stores_and_nothing_else_of_ours() {
    let Some(tools) = built() else { return };
    let contract = succeeded(tools.command("jco").args(["wit", "composed.wasm"]));
    let ours: Vec<_> = contract
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("import pagebox:"))
        .collect();
    assert_eq!(
        ours,
        [
            "import pagebox:pager/page-store@0.2.0;",
            "import pagebox:pager/stores@0.2.0;"
        ]
    );
}
