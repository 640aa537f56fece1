//! Hostile decoders: a component (`hostile_decoder`) that is asked what a page is
//! and means harm. Whatever it does, the host answers with an error that names
//! it, or with what is within the bounds of the WIT, in bounded time and memory.

use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use pagebox::decode::{At, Decode, Decoded, Decoder, Target};
use pagebox::report::{Check, Found};
use pagebox::{Error, Limits, PageSize};
use pagebox_tests::guests;

use crate::{P, engine, folder};

/// Far more than any answer takes, far less than for ever.
const HANG: Duration = Duration::from_secs(20);

const AT: At = At {
    page: Some(7),
    protected: Some(3),
};

fn wasm() -> &'static [u8] {
    static WASM: OnceLock<Vec<u8>> = OnceLock::new();
    WASM.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/hostile_decoder");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hostile-decoder");
        fs::read(guests::build(&manifest, &target, "hostile_decoder")).expect("it was built")
    })
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.memory = 256 << 20;
    limits.time = Duration::from_secs(5);
    limits
}

fn decoder() -> &'static Decoder {
    static DECODER: OnceLock<Decoder> = OnceLock::new();
    DECODER.get_or_init(|| Decoder::new(wasm(), limits()).expect("it is a decoder"))
}

/// The same that is not waited for as long, for one that is to be ended.
fn impatient() -> &'static Decoder {
    static IMPATIENT: OnceLock<Decoder> = OnceLock::new();
    IMPATIENT.get_or_init(|| {
        let mut limits = limits();
        limits.time = Duration::from_millis(200);
        Decoder::new(wasm(), limits).expect("it is a decoder")
    })
}

/// A page that says what is to be done.
fn page(misdeed: &str) -> Vec<u8> {
    let mut bytes = vec![0; P];
    bytes[..misdeed.len()].copy_from_slice(misdeed.as_bytes());
    bytes
}

fn decode(misdeed: &str) -> Result<Option<Decoded>, Error> {
    let decoder = if misdeed == "spin" {
        impatient()
    } else {
        decoder()
    };
    let start = Instant::now();
    let answer = decoder.decode(&page(misdeed), AT);
    assert!(start.elapsed() < HANG, "{misdeed}");
    answer
}

#[track_caller]
fn decoded(misdeed: &str) -> Decoded {
    decode(misdeed)
        .expect("it answers")
        .expect("it knows the page")
}

#[test]
fn decoder_that_fails_is_an_error_that_names_it_and_the_page() {
    for (misdeed, cause) in [
        ("trap", "`unreachable` instruction executed"),
        ("spin", "it took too long"),
        ("recurse", "call stack exhausted"),
        ("eat memory", "it needs more memory than it may have"),
        ("a million fields", "it answers more than 4 MiB"),
        ("megabytes of text", "it answers more than 4 MiB"),
        (
            "one field too many",
            "it answers 4097 fields, 4096 are allowed",
        ),
        ("no kind", "the kind that it answers is empty"),
        (
            "long kind",
            "the kind that it answers has 65 bytes, 64 are allowed",
        ),
        (
            "letter that is a blank",
            "the letter that it answers cannot be shown",
        ),
        (
            "letter that is none",
            "the letter that it answers cannot be shown: \\u{202e}",
        ),
    ] {
        let error = decode(misdeed).expect_err(misdeed);
        assert!(
            matches!(&error, Error::Decoder { decoder, page: Some(7), .. } if decoder == "hostile"),
            "{misdeed}: {error:?}"
        );
        let text = error.to_string();
        assert!(
            text.starts_with("the decoder \"hostile\" failed at page 7: "),
            "{text}"
        );
        assert!(text.contains(cause), "{misdeed}: {text}");
        // It is asked again as if nothing had been.
        assert_eq!(decoded("a text").summary, "a text");
    }
}

#[test]
fn decoder_that_does_not_know_a_page_says_nothing_of_it() {
    assert_eq!(decode("know nothing").expect("it answers"), None);
}

#[test]
fn decoder_may_answer_as_many_fields_as_the_wit_allows() {
    assert_eq!(decoded("as many fields as allowed").fields.len(), 4096);
}

#[test]
fn field_past_the_end_of_the_page_ends_there_and_has_a_problem() {
    let fields = decoded("fields past the end").fields;
    let places: Vec<_> = fields
        .iter()
        .map(|it| (it.offset, it.len, &*it.problem))
        .collect();
    assert_eq!(
        places,
        [
            (
                4094,
                2,
                "the decoder puts it at bytes 4094 to 4097, past the end of the page"
            ),
            (
                4096,
                0,
                "the decoder puts it at bytes 4096 to 4096, past the end of the page"
            ),
            (
                4096,
                0,
                "the decoder puts it at bytes 4294967295 to 8589934589, past the end of the page"
            ),
            (4094, 2, ""),
        ]
    );
}

#[test]
fn texts_are_cut_and_have_no_control_characters() {
    let long = decoded("long texts");
    for text in [&long.title, &long.fields[0].problem] {
        assert!(
            text.len() < 1100 && text.ends_with("..."),
            "{} bytes",
            text.len()
        );
    }
    let markup = decoded("markup");
    let field = &markup.fields[0];
    for text in [
        &markup.kind,
        &markup.title,
        &field.name,
        &field.value,
        &field.problem,
    ] {
        assert!(!text.contains(char::is_control), "{text:?}");
        // To show it as text is up to who shows it.
        assert!(text.starts_with("<script>"), "{text:?}");
    }
}

#[test]
fn each_page_is_decoded_by_a_new_instance() {
    for _ in 0..3 {
        assert_eq!(decoded("remember").summary, "asked 0 times before");
    }
}

#[test]
fn what_is_no_decoder_is_refused_in_words() {
    for (wasm, cause) in [
        (
            &b"no wasm at all"[..],
            "it cannot be used as a page decoder",
        ),
        (b"\0asm\x01\0\0\0", "it cannot be used as a page decoder"),
        (pagebox::COMPONENT, "pagebox:pager/decoder"),
    ] {
        let error = Decoder::new(wasm, limits()).expect_err("it is none");
        assert!(matches!(error, Error::NotADecoder(_)), "{error:?}");
        assert!(error.is_caller_fault());
        assert!(error.to_string().contains(cause), "{error}");
    }
    let mut none = limits();
    none.time = Duration::ZERO;
    let error = Decoder::new(wasm(), none).expect_err("no call could be made");
    assert!(
        error.to_string().contains("the limit of time is zero"),
        "{error}"
    );
}

/// A decoder that needs more than it may have to start is refused, and does not
/// take down what loads it.
#[test]
fn decoder_without_room_to_start_is_refused() {
    let mut small = limits();
    small.memory = 1 << 10;
    let error = Decoder::new(wasm(), small).expect_err("it has a memory");
    assert!(
        error.to_string().contains("more memory than it may have"),
        "{error}"
    );
}

/// A file whose pages say what is to be done, and what a check with the decoder
/// comes to: protected pages first, then regular ones.
fn checked(protected: &[&str], regular: &[&str]) -> (Check, Vec<Found>) {
    checked_by(decoder(), protected, regular)
}

fn checked_by(decoder: &Decoder, protected: &[&str], regular: &[&str]) -> (Check, Vec<Found>) {
    let (_folder, path) = folder();
    let mut pager = engine().create(&path, PageSize::KIB_4).expect("a new file");
    let mut tx = pager.begin().expect("a transaction");
    for text in protected {
        let id = tx.alloc_protected().expect("a page");
        tx.write(id).expect("it is there")[..text.len()].copy_from_slice(text.as_bytes());
    }
    let pages = tx
        .alloc_many(u32::try_from(regular.len()).expect("a few"))
        .expect("pages");
    tx.commit().expect("a commit");
    for (id, text) in pages.into_iter().zip(regular) {
        pager.page_mut(id).expect("it is there")[..text.len()].copy_from_slice(text.as_bytes());
    }
    pager.sync().expect("a sync");
    drop(pager);
    let engine = engine();
    let mut check = Check::of_file(&engine, &path, |_, _| {}).expect("a check");
    assert!(check.is_sound() && check.findings.is_empty());
    check
        .decode(&engine, &path, None, decoder, |done, total| {
            assert!(done <= total);
        })
        .expect("the file can be read");
    let findings = check.findings.clone();
    (check, findings)
}

#[test]
fn check_counts_what_the_decoder_knows() {
    let (check, findings) = checked(&["one", "know nothing", "two"], &["three", "know nothing"]);
    assert!(findings.is_empty(), "{findings:?}");
    assert!(check.is_sound());
    let told = check.decoded.expect("a decoder was asked");
    assert_eq!((told.pages, told.known, &*told.decoder), (5, 3, "hostile"));
    let kinds: Vec<_> = told
        .kinds
        .iter()
        .map(|it| (&*it.kind, it.letter, it.count))
        .collect();
    assert_eq!(kinds, [("text", 'T', 3)]);
}

#[test]
fn trap_of_the_decoder_is_a_finding_and_the_check_goes_on() {
    let (check, findings) = checked(&["one", "trap"], &["two"]);
    let [found] = &findings[..] else {
        panic!("{findings:?}");
    };
    assert_eq!(
        (&*found.id, check.errors, check.warnings),
        ("decoder-failed", 0, 1)
    );
    assert!(found.page.is_some());
    assert!(
        found
            .message
            .starts_with("protected page 1: the decoder failed: wasm trap: "),
        "{}",
        found.message
    );
    assert!(!check.is_sound());
    let told = check.decoded.expect("a decoder was asked");
    assert_eq!((told.pages, told.known, told.failures), (3, 2, 1));
}

#[test]
fn decoder_that_fails_again_and_again_is_given_up() {
    let impatient = impatient();
    let start = Instant::now();
    let (check, findings) = checked_by(impatient, &["spin"; 40], &["a text"]);
    assert!(start.elapsed() < HANG);
    let told = check.decoded.expect("a decoder was asked");
    assert_eq!((told.pages, told.failures, told.given_up), (16, 16, true));
    assert_eq!(findings.len(), 16);
}

#[test]
fn references_to_what_is_not_there_are_findings() {
    let (check, findings) = checked(&["name what is not there"], &[]);
    let messages: Vec<_> = findings.iter().map(|found| &*found.message).collect();
    assert_eq!(
        messages,
        [
            "protected page 0: A text, part: it names protected page 999, which is not there",
            "protected page 0: A text, part: it names page 18446744073709551615, which is not there",
        ]
    );
    assert_eq!(findings[0].evidence, b"name wha");
    assert_eq!(
        (&*findings[0].id, findings[0].offset),
        ("decoder-problem", 0)
    );
    assert_eq!(check.decoded.expect("a decoder was asked").problems, 2);
    let targets: Vec<_> = decoded("name what is not there").fields;
    assert_eq!(targets[2].refers_to, Some(Target::Protected(0)));
}

#[test]
fn findings_of_a_decoder_are_bounded_and_all_counted() {
    // 3 in each.
    let pages = vec!["fields past the end"; 4000];
    let (check, findings) = checked(&pages, &[]);
    assert_eq!((findings.len(), check.warnings), (10_000, 10_000));
    assert_eq!(check.decoded.expect("a decoder was asked").problems, 12_000);
}
