//! `pagebox check --decoder` and `pagebox read --decoder`.

use crate::run::{Folder, run};

/// Without a compiler it says how to have one.
#[cfg(not(feature = "compile"))]
#[test]
fn decoder_without_a_compiler_says_how_to_build_one_in() {
    let folder = Folder::new();
    let file = folder.pages("new.pages");
    for command in [&["check", &*file][..], &["read", &*file, "0"]] {
        let arguments = [command, &["--decoder", "queue.wasm"]].concat();
        let said = run(arguments).failed(1);
        assert!(said.contains("--features run"), "{said}");
    }
}

#[cfg(feature = "compile")]
mod with_a_compiler {
    use std::path::Path;
    use std::sync::OnceLock;

    use pagebox_tests::guests;

    use super::{Folder, run};
    use crate::run::run_with;

    /// The decoder of the guide.
    fn queue_decoder() -> &'static str {
        static BUILT: OnceLock<String> = OnceLock::new();
        BUILT.get_or_init(|| {
            let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/decoders/queue");
            let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("queue-decoder");
            let built = guests::build(&manifest, &target, "queue_decoder");
            built.to_str().expect("its path is text").to_owned()
        })
    }

    /// The layout is in the guide: a root, and messages that name the next.
    fn root(first: u64, last: u64, count: u64) -> Vec<u8> {
        [
            *b"PBXQUEUE",
            first.to_le_bytes(),
            last.to_le_bytes(),
            count.to_le_bytes(),
        ]
        .concat()
    }

    fn message(next: u64, text: &str) -> Vec<u8> {
        let len = u32::try_from(text.len()).expect("it is short");
        [&next.to_le_bytes()[..], &len.to_le_bytes(), text.as_bytes()].concat()
    }

    fn queue(folder: &Folder, pages: &[Vec<u8>]) -> String {
        let file = folder.pages("messages.pages");
        for (id, bytes) in pages.iter().enumerate() {
            run(["alloc", &file, "--protected"]).done();
            let id = id.to_string();
            run_with(["write", &file, &id, "--protected"], bytes).done();
        }
        file
    }

    #[test]
    fn queue_that_is_sound_is_counted_by_kind() {
        let folder = Folder::new();
        let pages = [root(1, 2, 2), message(2, "hello"), message(0, "world")];
        let file = queue(&folder, &pages);
        let said = run(["check", &file, "--decoder", queue_decoder()])
            .done()
            .text();
        let first = said.lines().next().expect("it says something");
        assert_eq!(
            first,
            "decoder queue: knows 3 of 3 pages: 2 message, 1 root"
        );
        let told = run(["check", &file, "--decoder", queue_decoder(), "--json"])
            .done()
            .json();
        assert_eq!(
            told["decoded"],
            serde_json::json!({
                "decoder": "queue", "pages": 3, "known": 3, "problems": 0, "failures": 0,
                "given_up": false,
                "kinds": [
                    {"kind": "message", "letter": "M", "count": 2},
                    {"kind": "root", "letter": "R", "count": 1},
                ],
            })
        );
        // Nobody asked a decoder: nothing is said of one.
        let told = run(["check", &file, "--json"]).done().json();
        assert_eq!(told.get("decoded"), None);
    }

    #[test]
    fn queue_that_is_broken_is_told_of_with_page_and_byte() {
        let folder = Folder::new();
        let mut long = message(9, "hello");
        long[8..12].copy_from_slice(&5000_u32.to_le_bytes());
        let file = queue(&folder, &[root(1, 1, 1), long]);
        let answer = run(["check", &file, "--decoder", queue_decoder()]);
        assert_eq!((answer.code, answer.errors.as_str()), (3, ""));
        let said = answer.text();
        for part in [
            "warning decoder-problem\n",
            ", offset 0: protected page 1: Message, next: it names protected page 9, which is not there",
            "bytes   09 00 00 00 00 00 00 00",
            ", offset 8: protected page 1: Message, length: there is room for 4084 bytes",
            "NOT OK",
            "2 warnings",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let told = run(["check", &file, "--decoder", queue_decoder(), "--json"]);
        assert_eq!(told.code, 3);
        let told = told.json();
        assert_eq!((&told["errors"], &told["warnings"]), (&0.into(), &2.into()));
        assert_eq!(told["findings"][0]["id"], "decoder-problem");
        assert_eq!(told["findings"][0]["evidence"], "0900000000000000");
        // The file itself is sound.
        run(["check", &file]).done();
    }

    #[test]
    fn page_is_read_as_the_program_means_it() {
        let folder = Folder::new();
        let pages = [
            root(1, 2, 2),
            message(2, "hello\u{1b}[31m"),
            message(9, "world"),
        ];
        let file = queue(&folder, &pages);
        let read = |id: &str, more: &[&str]| {
            let decoder = ["--decoder", queue_decoder()];
            run([&["read", &file, id][..], &decoder, more].concat())
        };
        let said = read("0", &["--protected"]).done().text();
        assert_eq!(
            said,
            "Root of the queue (root)\n2 messages\n         \
             0 + 8  magic  PBXQUEUE\n         \
             8 + 8  first  1 -> protected page 1\n        \
             16 + 8  last   2 -> protected page 2\n        \
             24 + 8  count  2\n"
        );
        // Nothing that a terminal would act on.
        let said = read("1", &["--protected"]).done().text();
        assert!(
            said.contains("hello") && !said.contains('\u{1b}'),
            "{said:?}"
        );
        let told = read("1", &["--protected", "--json"]).done().json();
        assert_eq!(
            (&told["kind"], &told["letter"]),
            (&"message".into(), &"M".into())
        );
        assert_eq!(
            told["fields"][0]["refers_to"],
            serde_json::json!({"protected": 2})
        );
        // A page that is not the program's.
        let regular = run(["alloc", &file]).done().text();
        let said = read(regular.trim(), &[]).done().text();
        assert_eq!(said, "none of the pages that the decoder queue knows\n");
        assert_eq!(
            read(regular.trim(), &["--json"]).done().text().trim(),
            "null"
        );
        for refused in ["--hex", "--len=8", "--offset=8"] {
            let answer = read("0", &["--protected", refused]);
            assert_eq!(answer.code, 2, "{refused}");
            assert!(answer.errors.contains("--decoder"), "{}", answer.errors);
        }
        assert_eq!(run(["read", &file, "0", "--json"]).code, 2);
    }

    #[test]
    fn what_is_no_decoder_is_refused_before_the_file_is_looked_at() {
        let folder = Folder::new();
        let file = folder.pages("new.pages");
        let text = folder.with("text.wasm", b"a text");
        let said = run(["check", &file, "--decoder", &text]).failed(1);
        assert!(
            said.contains("text.wasm: it cannot be used as a page decoder: "),
            "{said}"
        );
        let said = run(["check", &file, "--decoder", "nothing.wasm"]).failed(1);
        assert!(said.contains("nothing.wasm: no such file"), "{said}");
    }
}
