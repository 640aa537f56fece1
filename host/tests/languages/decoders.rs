//! Page decoders in two languages: what they say of the same bytes.

use pagebox::Limits;
use pagebox::decode::{At, Decode as _, Decoded, Decoder};
use pagebox_tests::guests;
use pagebox_tests::rng::Rng;

use crate::tools::{Tools, repository, succeeded, tools};

const PAGE: usize = 1024;

/// The decoders of the queue, in C and in Rust.
fn built(tools: &Tools) -> [Decoder; 2] {
    succeeded(tools.command("make").args(["-C", "decoders/c"]));
    let c = tools.examples().join("decoders/c/queue_decoder.wasm");
    let manifest = repository().join("host/examples/decoders/queue");
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("queue-decoder");
    let rust = guests::build(&manifest, &target, "queue_decoder");
    [c, rust].map(|path| {
        let bytes = std::fs::read(path).expect("it was built");
        Decoder::new(&bytes, Limits::default()).expect("a decoder")
    })
}

fn page(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = parts.concat();
    bytes.resize(PAGE, 0);
    bytes
}

fn root(first: u64, last: u64, count: u64) -> Vec<u8> {
    let [first, last, count] = [first, last, count].map(u64::to_le_bytes);
    page(&[b"PBXQUEUE", &first, &last, &count])
}

fn message(next: u64, len: usize, text: &[u8]) -> Vec<u8> {
    let len = u32::try_from(len).expect("it is short");
    page(&[&next.to_le_bytes(), &len.to_le_bytes(), text])
}

fn byte(rng: &mut Rng) -> u8 {
    u8::try_from(rng.below(256)).expect("a byte")
}

/// What has no words of the decoder's own: how each language shows bytes that are no
/// text is its business.
fn without_words(mut decoded: Decoded) -> Decoded {
    decoded.summary.clear();
    for field in &mut decoded.fields {
        if ["magic", "text"].contains(&field.name.as_str()) {
            field.value.clear();
        }
        if field.problem.starts_with("no UTF-8") {
            field.problem.truncate("no UTF-8".len());
        }
    }
    decoded
}

#[test]
fn decoders_in_c_and_in_rust_say_the_same() {
    let Some(tools) = tools() else { return };
    let [c, rust] = built(tools);
    assert_eq!((c.name(), rust.name()), ("queue", "queue"));
    let long = "Tränen, 涙, 😢 ".repeat(9);
    let at = |protected: u64| At {
        page: Some(20 + protected),
        protected: Some(protected),
    };
    let whole = [
        (0, root(1, 3, 3)),
        (0, root(0, 0, 0)),
        (0, root(7, 8, 1)),
        (0, root(0, u64::MAX, 2)),
        (1, message(2, 5, b"hello")),
        (2, message(0, 0, b"")),
        (3, message(u64::MAX, long.len(), long.as_bytes())),
        (4, message(1, 60, &[b'a'; 60])),
        (5, message(1, 61, &[b'a'; 61])),
        (6, message(9, 9000, &[b'z'; PAGE - 12])),
    ];
    for (id, bytes) in &whole {
        let [said, expected] = [&c, &rust].map(|it| it.decode(bytes, at(*id)).expect("it answers"));
        assert_eq!(said, expected, "of protected page {id}");
        assert!(said.is_some());
    }
    let mut rng = Rng::new(0);
    for round in 0..300 {
        let mut bytes: Vec<_> = (0..PAGE).map(|_| byte(&mut rng)).collect();
        if rng.chance(1, 2) {
            // Mostly text, of a length that is there.
            bytes = message(rng.below(4), 300, long.as_bytes());
            let hit = rng.below(PAGE as u64);
            bytes[usize::try_from(hit).expect("a page")] = byte(&mut rng);
        }
        let id = rng.below(3);
        let [said, expected] = [&c, &rust].map(|it| it.decode(&bytes, at(id)).expect("it answers"));
        let [said, expected] = [said, expected].map(|it| it.map(without_words));
        assert_eq!(said, expected, "round {round}");
    }
    let regular = At {
        page: Some(9),
        protected: None,
    };
    for decoder in [&c, &rust] {
        let said = decoder.decode(&whole[0].1, regular);
        assert_eq!(said.expect("it answers"), None);
    }
}
