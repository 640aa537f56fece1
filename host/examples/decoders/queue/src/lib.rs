//! Says what lies in the pages of the queue. The layout is in `../../README.md`.

wit_bindgen::generate!({ world: "page-decoder", path: "../../../../wit" });

use exports::pagebox::pager::decoder::{Decoded, Field, Guest, Place, Target};

struct Decoder;

export!(Decoder);

/// The protected page that holds the root.
const ROOT: u64 = 0;
const MAGIC: &[u8] = b"PBXQUEUE";
/// A message's bytes begin here; before them the next page and their length.
const TEXT: usize = 12;

impl Guest for Decoder {
    fn name() -> String {
        "queue".into()
    }

    fn decode(bytes: Vec<u8>, place: Place) -> Option<Decoded> {
        // The queue has no regular pages.
        match place.protected? {
            ROOT => Some(root(&bytes)),
            _ => Some(message(&bytes)),
        }
    }
}

fn root(bytes: &[u8]) -> Decoded {
    let [first, last, count] = [8, 16, 24].map(|offset| u64_at(bytes, offset));
    let page_of = |name: &str, offset, page: u64| {
        let value = if count == 0 {
            "none".into()
        } else {
            page.to_string()
        };
        let mut field = field(name, offset, 8, value);
        field.refers_to = (count > 0).then_some(Target::Protected(page));
        if count > 0 && page == ROOT {
            field.problem = "the root is no message".into();
        }
        field
    };
    let mut magic = field("magic", 0, 8, bytes[..8].escape_ascii().to_string());
    if !bytes.starts_with(MAGIC) {
        magic.problem = "a queue begins with PBXQUEUE".into();
    }
    let mut fields = vec![
        magic,
        page_of("first", 8, first),
        page_of("last", 16, last),
        field("count", 24, 8, count.to_string()),
    ];
    if count == 1 && first != last {
        fields[3].problem = "one message, and yet the first is not the last".into();
    }
    Decoded {
        kind: "root".into(),
        title: "Root of the queue".into(),
        letter: 'R',
        summary: format!("{count} messages"),
        fields,
    }
}

fn message(bytes: &[u8]) -> Decoded {
    let (next, len) = (u64_at(bytes, 0), u32_at(bytes, 8));
    let room = bytes.len() - TEXT;
    let mut length = field("length", 8, 4, len.to_string());
    if len as usize > room {
        length.problem = format!("there is room for {room} bytes");
    }
    let text = &bytes[TEXT..][..room.min(len as usize)];
    let mut words = field("text", TEXT as u32, text.len() as u32, shortened(text));
    if let Err(error) = std::str::from_utf8(text) {
        words.problem = format!("no UTF-8: {error}");
    }
    let mut after = field("next", 0, 8, next.to_string());
    if next == 0 {
        after.meaning = "none yet: it was pushed last".into();
    } else {
        after.meaning = "the message that is popped after it".into();
        after.refers_to = Some(Target::Protected(next));
    }
    Decoded {
        kind: "message".into(),
        title: "Message".into(),
        letter: 'M',
        summary: format!("{len} bytes of text: {}", shortened(text)),
        fields: vec![after, length, words],
    }
}

/// The first of a text, for people.
fn shortened(text: &[u8]) -> String {
    const MOST: usize = 60;
    let text = String::from_utf8_lossy(text);
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

fn field(name: &str, offset: u32, len: u32, value: String) -> Field {
    Field {
        name: name.into(),
        offset,
        len,
        value,
        meaning: String::new(),
        refers_to: None,
        problem: String::new(),
    }
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    bytes[offset..][..8]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes[offset..][..4]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}
