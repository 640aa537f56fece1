//! Traces: what is replayed is what was done, and what is no trace is an error.

use pagebox_core::Format;
use pagebox_store::PageSize;
use pagebox_store::crash::Page;
use pagebox_store::trace::{
    BYTES_MAX, Bound, PAGES_MAX, Problem, Recorder, STEPS_MAX, Step, Trace,
};
use pagebox_tests::crash::{Moment, Record};
use pagebox_tests::rng::Rng;

use super::{Scene, Start};

/// Images of a moment that are compared.
const IMAGES: u64 = 300;

/// A trace of a store that has these bytes.
fn trace_of(page_size: PageSize, base: &[u8], steps: &[Step]) -> Vec<u8> {
    let count = base.len() / page_size.bytes();
    let (mut recorder, mut trace) = Recorder::begin(page_size, count as u64).unwrap();
    for (page, bytes) in (0..).zip(base.chunks(page_size.bytes())) {
        if bytes.iter().any(|byte| *byte != 0) {
            trace.extend(recorder.base_page(page, bytes).unwrap());
        }
    }
    for step in steps {
        trace.extend(recorder.step(step).unwrap());
    }
    assert_eq!(recorder.steps(), steps.len() as u64);
    trace
}

/// Every image that a power loss can leave at a moment, or so many of them.
fn images_of(moment: &Moment) -> Vec<Vec<u8>> {
    let mut images = Vec::new();
    moment.images(IMAGES, &mut Rng::new(1), |image, _| {
        images.push(image.bytes());
    });
    images
}

/// What is replayed loses at each step what the store lost that the tests crash.
#[test]
fn replayed_trace_leaves_what_the_crash_store_left() {
    for format in [Format::Zero, Format::One] {
        for seed in 0..4 {
            let start = Start {
                format,
                page_size: PageSize::KIB_1,
                keeps_order: false,
                seed,
            };
            let mut scene = Scene::new(start);
            let base = scene.store().bytes();
            let (done, moments) = scene.moments(Record::Writes, |scene| {
                (0..12).try_for_each(|_| scene.commit())
            });
            done.unwrap();
            let store = scene.store();
            let steps = store.take_steps();
            let bytes = trace_of(PageSize::KIB_1, &base, &steps);
            let trace = Trace::decode(&bytes).unwrap();
            assert_eq!(trace.steps(), steps);

            let whole = moments.iter().filter(|it| it.during != "half a write");
            let whole: Vec<_> = whole.collect();
            assert_eq!(whole.len(), steps.len());
            assert!(steps.len() > 30, "{}", steps.len());
            for (at, moment) in whole.iter().enumerate() {
                let disk = trace.disk_at(at, None);
                assert_eq!(disk.image_count(), moment.image_count(), "step {at}");
                let mut rng = Rng::new(1);
                let mut images = Vec::new();
                disk.images(IMAGES, &mut |end| rng.below(end), |pages, _| {
                    images.push(pages.concat());
                });
                assert!(images == images_of(moment), "step {at}: {:?}", steps[at]);
            }
            let end = trace.disk_at(steps.len(), None);
            assert_eq!(end.pages().concat(), store.bytes());
            assert_eq!(end.durable().concat(), store.now().durable().bytes());
        }
    }
}

/// A trace with one of each.
fn sample() -> Vec<u8> {
    let page: Page = vec![7; 1024].into();
    let base = [[0; 1024], [5; 1024], [0; 1024], [6; 1024]].concat();
    let steps = [
        Step::Write {
            page: 2,
            bytes: page,
        },
        Step::Order,
        Step::Grow { page_count: 6 },
        Step::Zero { first: 0, count: 6 },
        Step::Sync,
        Step::Truncate { page_count: 1 },
    ];
    trace_of(PageSize::KIB_1, &base, &steps)
}

/// Where its records begin, and its end.
const RECORDS: [usize; 9] = {
    let page = 1 + 8 + 1024 + 4;
    let start = 28;
    let steps = start + 2 * page;
    [
        start,
        start + page,
        steps,
        steps + page,
        steps + page + 5,
        steps + page + 5 + 13,
        steps + page + 5 + 13 + 21,
        steps + page + 5 + 13 + 21 + 5,
        steps + page + 5 + 13 + 21 + 5 + 13,
    ]
};

#[test]
fn trace_is_read_as_it_was_written() {
    let bytes = sample();
    assert_eq!(bytes.len(), RECORDS[8]);
    let trace = Trace::decode(&bytes).unwrap();
    assert_eq!(trace.page_size(), PageSize::KIB_1);
    let first: Vec<u8> = trace.base().iter().map(|page| page[1023]).collect();
    assert_eq!(first, [0, 5, 0, 6]);
    assert_eq!(trace.steps().len(), 6);
    assert_eq!(&bytes[..8], b"PBXTRACE");
    assert_eq!(
        bytes[8..28],
        [
            &[1, 0, 0, 0, 0, 4, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0][..],
            &crc32fast::hash(&bytes[..24]).to_le_bytes()
        ]
        .concat()
    );
    let tags = RECORDS.map(|at| bytes.get(at).copied().unwrap_or(b'.'));
    assert_eq!(&tags, b"BBWOGZST.");
}

/// A sync that is left out leaves in doubt what it made durable, and nothing else.
#[test]
fn step_that_is_left_out_was_not_done() {
    let trace = Trace::decode(&sample()).unwrap();
    let count = |at, left_out| trace.disk_at(at, left_out).image_count();
    // One write, of two sectors; and the moments about the order behind it.
    assert_eq!([0, 1, 2].map(|at| count(at, None)), [4, 4, 2]);
    assert_eq!(count(2, Some(1)), 8);
    // All of six pages, of which three hold something.
    assert_eq!(count(4, None), 64);
    assert_eq!(count(5, None), 2);
    // The sectors of page 2 have three versions then, and a cut forgets them.
    assert_eq!(count(4, Some(1)), 4 * 4 * 9);
    assert_eq!(count(5, Some(4)), 2);
}

#[test]
fn trace_that_is_cut_off_is_an_error_but_for_whole_records() {
    let bytes = sample();
    for len in 0..bytes.len() {
        match Trace::decode(&bytes[..len]) {
            Ok(_) => assert!(RECORDS.contains(&len), "{len}"),
            Err(error) => {
                assert!(!RECORDS.contains(&len), "{len}: {error}");
                assert!(error.at <= len as u64, "{len}: {error}");
                let expected = if len < 8 {
                    Problem::NotATrace
                } else {
                    Problem::CutOff
                };
                assert_eq!(error.problem, expected, "{len}");
            }
        }
    }
}

#[test]
fn trace_with_a_flipped_bit_is_an_error() {
    let bytes = sample();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            let error = Trace::decode(&bytes).unwrap_err();
            assert!(error.at <= bytes.len() as u64, "byte {at}: {error}");
        }
    }
}

/// A record, whatever is in it, with its checksum.
fn record(tag: u8, numbers: &[u64]) -> Vec<u8> {
    let mut record = vec![tag];
    for number in numbers {
        record.extend(number.to_le_bytes());
    }
    let checksum = crc32fast::hash(&record).to_le_bytes();
    [&record[..], &checksum].concat()
}

fn header(version: u32, page_size: u32, pages: u64) -> Vec<u8> {
    let mut header = b"PBXTRACE".to_vec();
    header.extend(version.to_le_bytes());
    header.extend(page_size.to_le_bytes());
    header.extend(pages.to_le_bytes());
    let checksum = crc32fast::hash(&header).to_le_bytes();
    [&header[..], &checksum].concat()
}

/// Hostile: its checksums are right, and what it says is not.
#[test]
fn hostile_trace_is_an_error_that_names_the_byte() {
    let with = |records: &[Vec<u8>]| [header(1, 1024, 4), records.concat()].concat();
    let base = |page: u64| {
        let mut record = [&[b'B'][..], &page.to_le_bytes(), &[1; 1024]].concat();
        record.extend(crc32fast::hash(&record).to_le_bytes());
        record
    };
    let too_large = |bound| Problem::TooLarge(bound);
    let cases = [
        (b"PBXTRACK".to_vec(), 0, Problem::NotATrace),
        (header(2, 1024, 4), 8, Problem::Version(2)),
        (header(1, 1000, 4), 12, Problem::PageSize(1000)),
        (header(1, 0, 4), 12, Problem::PageSize(0)),
        (header(1, 1024, PAGES_MAX + 1), 16, too_large(Bound::Pages)),
        (header(1, 1024, u64::MAX), 16, too_large(Bound::Pages)),
        (with(&[record(b'X', &[])]), 28, Problem::Tag(b'X')),
        (with(&[base(4)]), 29, Problem::NoPage(4, 4)),
        (with(&[base(1), base(1)]), 1066, Problem::Base),
        (with(&[record(b'S', &[]), base(1)]), 34, Problem::Base),
        (with(&[record(b'Z', &[3, 2])]), 29, Problem::NoPage(3, 4)),
        (
            with(&[record(b'Z', &[1, u64::MAX])]),
            29,
            Problem::NoPage(1, 4),
        ),
        (with(&[record(b'G', &[4])]), 29, Problem::Length(4, 4)),
        (with(&[record(b'T', &[4])]), 29, Problem::Length(4, 4)),
        (
            with(&[record(b'G', &[u64::MAX])]),
            29,
            too_large(Bound::Pages),
        ),
        (
            with(&[record(b'T', &[0]), record(b'Z', &[0, 1])]),
            42,
            Problem::NoPage(0, 0),
        ),
        (
            with(&vec![record(b'O', &[]); STEPS_MAX as usize + 1]),
            28 + 5 * STEPS_MAX + 1,
            too_large(Bound::Steps),
        ),
    ];
    for (bytes, at, problem) in cases {
        let error = Trace::decode(&bytes).unwrap_err();
        assert_eq!((error.at, &error.problem), (at, &problem), "{error}");
        assert!(
            error
                .to_string()
                .starts_with(&format!("byte {at} of the trace: ")),
            "{error}"
        );
    }
    // Growing and cutting are work, too; nothing larger is read at all.
    let to_and_fro = [record(b'G', &[PAGES_MAX]), record(b'T', &[1])]
        .concat()
        .repeat(3);
    let error = Trace::decode(&with(&[to_and_fro])).unwrap_err();
    assert_eq!(error.problem, too_large(Bound::Work));
    let error = Trace::decode(&vec![0; BYTES_MAX as usize + 1]).unwrap_err();
    assert_eq!(error.problem, too_large(Bound::Bytes));
}

#[test]
fn trace_of_random_bytes_is_read_without_a_panic() {
    let mut rng = Rng::new(5);
    let sample = sample();
    for _ in 0..20_000 {
        let mut bytes = sample.clone();
        for _ in 0..rng.between(1, 6) {
            let at = *rng.pick(&RECORDS[..8]) + rng.below(30) as usize;
            if let Some(byte) = bytes.get_mut(at) {
                *byte = rng.next_u64() as u8;
            }
        }
        // With a sum that is right again, where that is easily found.
        let sum = crc32fast::hash(&bytes[..24]).to_le_bytes();
        bytes[24..28].copy_from_slice(&sum);
        bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
        if let Ok(trace) = Trace::decode(&bytes) {
            for at in 0..=trace.steps().len() {
                trace.disk_at(at, Some(1)).image_count();
            }
        }
    }
}
