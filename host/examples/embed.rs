//! A page file in a program of one's own, by the typed interface.
//!
//! `cargo run --example embed [FILE]`: makes the file, or adds to it.

use std::path::PathBuf;

use pagebox::{Engine, Error, PageSize};

fn main() -> Result<(), Error> {
    let path = std::env::args_os().nth(1).map_or_else(
        || std::env::temp_dir().join(format!("embed-{}.pages", std::process::id())),
        PathBuf::from,
    );
    let engine = Engine::new()?;
    let mut pager = if path.exists() {
        engine.open(&path)?
    } else {
        engine.create(&path, PageSize::KIB_4)?
    };

    // A regular page is a slice of the file: written in place, durable after a
    // sync.
    let regular = pager.alloc()?;
    pager.page_mut(regular)?.fill(0xAB);
    pager.sync()?;

    // Protected pages change together, or not at all.
    let mut tx = pager.begin()?;
    let ids = tx.alloc_protected_many(2)?;
    for id in &ids {
        tx.write(*id)?[..5].copy_from_slice(b"hello");
    }
    let info = tx.commit()?;
    println!(
        "commit {} is durable: {} pages",
        info.generation, info.page_count
    );

    // Dropped without a commit, a transaction never happened.
    let mut tx = pager.begin()?;
    tx.write(ids[0])?.fill(0);
    drop(tx);

    // Reading is a shared borrow: many at once, from any thread.
    let first = pager.protected_page(ids[0])?;
    let second = pager.protected_page(ids[1])?;
    assert_eq!(first, second);
    println!(
        "protected page {}: {:?}",
        ids[0],
        String::from_utf8_lossy(&first[..5])
    );

    for page in pager.protected_pages() {
        let page = page?;
        match page.page {
            Some(at) => println!("protected page {} lies in page {at}", page.id),
            None => println!("protected page {} is zeros", page.id),
        }
    }
    println!("{:#?}", pager.stats()?);
    println!("{} can be looked at with `pagebox info`", path.display());
    Ok(())
}
