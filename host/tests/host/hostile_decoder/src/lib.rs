//! A page decoder that does what decoders should not. A page says what, as text;
//! of any other page it says something plausible.
#![cfg(target_family = "wasm")]
#![no_std]

extern crate alloc;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::hint::black_box;
use core::sync::atomic::{AtomicU32, Ordering};

#[path = "../../../../../pager-component/src/runtime.rs"]
mod runtime;

mod wit {
    wit_bindgen::generate!({ world: "page-decoder", path: "../../../../wit" });

    use super::Decoder;
    export!(Decoder);
}

use runtime::{Local, trap};
use wit::exports::pagebox::pager::decoder::{Decoded, Field, Guest, Place, Target};

struct Decoder;

/// How often this instance was asked.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// What it never gives back.
static KEPT: Local<Vec<Vec<u8>>> = Local::new(Vec::new());

/// What a browser and a terminal would act on.
const MARKUP: &str = "<script>alert(1)</script>\u{1b}[2J\"'&\u{202e}";

impl Guest for Decoder {
    fn name() -> String {
        "hostile".to_string()
    }

    fn decode(bytes: Vec<u8>, place: Place) -> Option<Decoded> {
        let asked = ASKED.fetch_add(1, Ordering::Relaxed);
        let end = bytes.iter().position(|byte| *byte == 0);
        let name = String::from_utf8_lossy(&bytes[..end.unwrap_or(bytes.len())]).into_owned();
        let mut page = plausible(&name);
        match name.as_str() {
            "know nothing" => return None,
            "trap" => trap(),
            "spin" => loop {
                black_box(());
            },
            "recurse" => drop(black_box(recurse(1))),
            "eat memory" => loop {
                KEPT.with(|kept| kept.push(vec![1; 1 << 20]));
            },
            "a million fields" => page.fields = vec![field(0, 1); 1_000_000],
            "one field too many" => page.fields = vec![field(0, 1); 4097],
            "as many fields as allowed" => page.fields = vec![field(0, 1); 4096],
            "fields past the end" => {
                let size = place.page_size;
                page.fields = vec![
                    field(size - 2, 4),
                    field(size, 1),
                    field(u32::MAX, u32::MAX),
                    field(size - 2, 2),
                ];
            }
            "megabytes of text" => page.summary = "x".repeat(5 << 20),
            "long texts" => {
                let long = "y".repeat(100_000);
                page.title.clone_from(&long);
                page.fields[0].problem = long;
            }
            "markup" => {
                page.kind = MARKUP.to_string();
                page.title = MARKUP.to_string();
                page.summary = MARKUP.to_string();
                page.letter = '<';
                page.fields = vec![Field {
                    name: MARKUP.to_string(),
                    value: MARKUP.to_string(),
                    meaning: MARKUP.to_string(),
                    problem: MARKUP.to_string(),
                    ..field(0, 4)
                }];
            }
            "no kind" => page.kind.clear(),
            "long kind" => page.kind = "k".repeat(65),
            "letter that is a blank" => page.letter = ' ',
            "letter that is none" => page.letter = '\u{202e}',
            "remember" => page.summary = format!("asked {asked} times before"),
            "name what is not there" => {
                page.fields = vec![
                    to(Target::Protected(999)),
                    to(Target::Page(u64::MAX)),
                    to(Target::Protected(0)),
                    to(Target::Page(0)),
                ];
            }
            _ => {}
        }
        Some(page)
    }
}

fn plausible(name: &str) -> Decoded {
    Decoded {
        kind: "text".to_string(),
        title: "A text".to_string(),
        letter: 'T',
        summary: name.to_string(),
        fields: vec![field(0, 4)],
    }
}

fn field(offset: u32, len: u32) -> Field {
    Field {
        name: "part".to_string(),
        offset,
        len,
        value: String::new(),
        meaning: String::new(),
        refers_to: None,
        problem: String::new(),
    }
}

fn to(target: Target) -> Field {
    Field {
        refers_to: Some(target),
        ..field(0, 8)
    }
}

#[expect(unconditional_recursion, reason = "it is to use the stack up")]
fn recurse(depth: u64) -> u64 {
    black_box(recurse(black_box(depth + 1))) + 1
}
