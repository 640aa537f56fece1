//! The queue: messages that are pushed at one end and popped at the other, and
//! survive a restart. The layout is in `../README.md`.

use pagebox::pager::page_store::{PageView, StoreError};
use pagebox::pager::pager::{self, Access, Durability, Error, Pager};
use pagebox::pager::stores::{self, GrantError};

wit_bindgen::generate!({ world: "application", path: "../../../wit" });

struct Program;

export!(Program);

impl Guest for Program {
    fn run(args: Vec<String>) -> Result<(), String> {
        let store = stores::take("queue").map_err(why_not_granted)?;
        let queue = Queue(pager::open(store, Access::Write).map_err(in_words)?);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        match args[..] {
            ["push", _, ..] => queue.push(&args[1..]),
            ["pop"] => queue.pop(),
            ["list"] => queue.list(),
            _ => Err("usage: push TEXT..., pop, list".into()),
        }
    }
}

/// The protected page that holds the root.
const ROOT: u64 = 0;
const MAGIC: &[u8; 8] = b"PBXQUEUE";
/// A message's bytes begin here; before them the next page and their length.
const TEXT: u32 = 12;

/// What the root page says.
struct Root {
    first: u64,
    last: u64,
    count: u64,
}

struct Queue(Pager);

impl Queue {
    fn push(&self, texts: &[&str]) -> Result<(), String> {
        let mut root = self.root()?;
        let tx = self.0.begin().map_err(in_words)?;
        if self.0.stats().protected_pages == Some(0) {
            tx.alloc_protected(1).map_err(in_words)?; // of an empty file it is page 0
        }
        let count = u32::try_from(texts.len()).map_err(|error| error.to_string())?;
        let pages = tx.alloc_protected(count).map_err(in_words)?;
        for (text, page) in texts.iter().zip(pages) {
            let room = self.0.stats().page_size - TEXT;
            if text.len() > room as usize {
                let len = text.len();
                return Err(format!(
                    "a message of {len} bytes: there is room for {room}"
                ));
            }
            let view = tx.stage(page).map_err(in_words)?;
            write(&view, 8, &(text.len() as u32).to_le_bytes())?;
            write(&view, TEXT, text.as_bytes())?;
            if root.count == 0 {
                root.first = page;
            } else {
                let before = tx.stage(root.last).map_err(in_words)?;
                write(&before, 0, &page.to_le_bytes())?;
            }
            root.last = page;
            root.count += 1;
        }
        write(&tx.stage(ROOT).map_err(in_words)?, 0, &root.to_bytes())?;
        pager::commit(tx, Durability::Durable).map_err(in_words)?;
        Ok(())
    }

    /// Durably removes the first message, then prints it.
    fn pop(&self) -> Result<(), String> {
        let mut root = self.root()?;
        if root.count == 0 {
            return Err("the queue is empty".into());
        }
        let (next, text) = self.message(root.first)?;
        let tx = self.0.begin().map_err(in_words)?;
        tx.free_protected(&[root.first]).map_err(in_words)?;
        root.first = next;
        root.count -= 1;
        write(&tx.stage(ROOT).map_err(in_words)?, 0, &root.to_bytes())?;
        pager::commit(tx, Durability::Durable).map_err(in_words)?;
        println!("{text}");
        Ok(())
    }

    fn list(&self) -> Result<(), String> {
        let root = self.root()?;
        let mut page = root.first;
        for _ in 0..root.count {
            let (next, text) = self.message(page)?;
            println!("{text}");
            page = next;
        }
        Ok(())
    }

    fn root(&self) -> Result<Root, String> {
        if self.0.stats().protected_pages == Some(0) {
            return Ok(Root {
                first: 0,
                last: 0,
                count: 0,
            });
        }
        let bytes = read(&self.0.view_protected(ROOT).map_err(in_words)?, 0, 32)?;
        if &bytes[..8] != MAGIC {
            return Err("the page file holds something else than a queue".into());
        }
        Ok(Root {
            first: u64_at(&bytes, 8),
            last: u64_at(&bytes, 16),
            count: u64_at(&bytes, 24),
        })
    }

    /// A message, and the page of the next.
    fn message(&self, page: u64) -> Result<(u64, String), String> {
        let view = self.0.view_protected(page).map_err(in_words)?;
        let head = read(&view, 0, TEXT)?;
        let len = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        let text = read(&view, TEXT, len)?;
        Ok((
            u64_at(&head, 0),
            String::from_utf8_lossy(&text).into_owned(),
        ))
    }
}

impl Root {
    fn to_bytes(&self) -> Vec<u8> {
        let [first, last, count] = [self.first, self.last, self.count].map(u64::to_le_bytes);
        [*MAGIC, first, last, count].concat()
    }
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes[offset..offset + 8]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn read(view: &PageView, offset: u32, len: u32) -> Result<Vec<u8>, String> {
    view.read(offset, len).map_err(page_failed)
}

fn write(view: &PageView, offset: u32, bytes: &[u8]) -> Result<(), String> {
    view.write(offset, bytes).map_err(page_failed)
}

fn page_failed(cause: StoreError) -> String {
    let why = match cause {
        StoreError::Io(Some(text)) | StoreError::Other(Some(text)) => text,
        cause => cause.to_string(),
    };
    format!("a page cannot be used: {why}")
}

/// Right after a call: then the pager still knows all of it.
fn in_words(error: Error) -> String {
    pager::describe(error)
}

fn why_not_granted(error: GrantError) -> String {
    match error {
        GrantError::NotGranted(text)
        | GrantError::Taken(text)
        | GrantError::Unavailable(text)
        | GrantError::Other(text) => text,
    }
}
