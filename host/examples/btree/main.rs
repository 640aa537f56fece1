//! A store of keys and values in a page file: the exercise of the guide
//! [*Put your engine on Pagebox*](../ENGINE.md).
//!
//! ```text
//! cargo run --example btree -- FILE put KEY VALUE
//! cargo run --example btree -- FILE get KEY
//! cargo run --example btree -- FILE remove KEY
//! cargo run --example btree -- FILE list [FROM]
//! cargo run --example btree -- FILE check
//! ```

#![expect(unreachable_pub, reason = "the modules are as in a library")]

mod node;
#[cfg(test)]
mod tests;
mod tree;

use std::error::Error;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use pagebox::{Engine, PageSize, Pager, ProtectedId};

use tree::Tree;

/// The first protected page of a file.
const ROOT: ProtectedId = ProtectedId::new(0);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("btree: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<(), Box<dyn Error>> {
    let engine = Engine::new()?;
    match *args {
        [file, "put", key, value] => {
            let (mut pager, tree) = open(&engine, Path::new(file))?;
            let mut tx = pager.begin()?;
            tree.put(&mut tx, key.as_bytes(), value.as_bytes())?;
            tx.commit()?;
        }
        [file, "remove", key] => {
            let (mut pager, tree) = open(&engine, Path::new(file))?;
            let mut tx = pager.begin()?;
            if !tree.remove(&mut tx, key.as_bytes())? {
                return Err(format!("there is no {key:?}").into());
            }
            tx.commit()?;
        }
        [file, "get", key] => {
            // Read without a lock, beside a writer.
            let value =
                engine.read_with(file, |pager| Ok(Tree(ROOT).get(pager, key.as_bytes())))??;
            let value = value.ok_or_else(|| format!("there is no {key:?}"))?;
            io::stdout().write_all(&value)?;
            println!();
        }
        [file, "list", ref from @ ..] if from.len() < 2 => {
            let from = from.first().copied().unwrap_or_default();
            let lines = engine.read_with(file, |pager| {
                let mut lines = Vec::new();
                let listed = Tree(ROOT).walk(pager, from.as_bytes(), &mut |key, value| {
                    lines.extend([key, b"\t", value, b"\n"].concat());
                    ControlFlow::Continue(())
                });
                Ok(listed.map(|()| lines))
            })??;
            io::stdout().write_all(&lines)?;
        }
        [file, "check"] => {
            let pager = engine.open(file)?;
            let reached = Tree(ROOT).check(&pager)?;
            for page in pager.protected_pages() {
                let id = page?.id;
                if !reached.contains(&id) {
                    return Err(format!("protected page {id} is in no tree").into());
                }
            }
            println!("{} nodes, and nothing else", reached.len());
        }
        _ => {
            return Err(
                "usage: FILE put KEY VALUE | get KEY | remove KEY | list [FROM] | check".into(),
            );
        }
    }
    Ok(())
}

/// Opens a file, or makes it, with its tree.
fn open(engine: &Engine, path: &Path) -> Result<(Pager, Tree), Box<dyn Error>> {
    if path.exists() {
        return Ok((engine.open(path)?, Tree(ROOT)));
    }
    let mut pager = engine.create(path, PageSize::KIB_4)?;
    let mut tx = pager.begin()?;
    let tree = Tree::create(&mut tx)?;
    tx.commit()?;
    Ok((pager, tree))
}
