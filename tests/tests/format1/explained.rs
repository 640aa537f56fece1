//! What is said of damaged files: the cause, the byte that shows it, and what
//! helps; and that a page's own findings are those of the check.

use pagebox_core::finding::Finding;
use pagebox_core::inspect::Inspector;
use pagebox_core::kinds::PageKind;
use pagebox_core::structure::Field;
use pagebox_core::{Format, NewFile, Pager, ProtectedId};
use pagebox_store::{MemoryStore, PageSize};

const SIZE: PageSize = PageSize::KIB_4;
const P: usize = SIZE.bytes();

/// Root slots A and B.
const ROOTS: [usize; 2] = [1, 2];

/// A file before and after its last commit, which wrote protected page 0: 60
/// regular pages, 140 protected ones, and much that is free.
struct Sample {
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Sample {
    fn new() -> Self {
        let new = NewFile {
            format: Format::One,
            page_count: 444,
            uuid: *b"drawn at random.",
        };
        let mut pager = Pager::create_as(MemoryStore::new(SIZE), &new).unwrap();
        let mut tx = pager.begin().unwrap();
        pager.alloc(&mut tx, 60).unwrap();
        for id in pager.alloc_protected(&mut tx, 140).unwrap() {
            let byte = u8::try_from(id.0).unwrap();
            pager.stage(&mut tx, id).unwrap().fill(byte);
        }
        pager.commit(tx).unwrap();
        pager.sync().unwrap();
        let before = pager.store().bytes().to_vec();
        let mut tx = pager.begin().unwrap();
        pager.stage(&mut tx, ProtectedId(0)).unwrap().fill(b'!');
        pager.commit(tx).unwrap();
        pager.sync().unwrap();
        let after = pager.close().bytes().to_vec();
        Self { before, after }
    }

    /// A part of the file after the commit as it was before.
    fn with_old(&self, at: usize, len: usize) -> Vec<u8> {
        let mut bytes = self.after.clone();
        bytes[at..at + len].copy_from_slice(&self.before[at..at + len]);
        bytes
    }

    /// One bit is another one.
    fn flipped(&self, at: usize, bit: u8) -> Vec<u8> {
        let mut bytes = self.after.clone();
        bytes[at] ^= 1 << bit;
        bytes
    }
}

fn inspect(bytes: &[u8]) -> Inspector<MemoryStore> {
    Inspector::open(MemoryStore::from_bytes(SIZE, bytes.to_vec()))
}

/// What the check finds; what names a page is found on that page, too.
fn check(bytes: &[u8]) -> Vec<Finding> {
    let mut inspector = inspect(bytes);
    let (mut next, mut found) = (Some(0), Vec::new());
    while let Some(cursor) = next {
        let part = inspector.findings(cursor);
        next = part.next;
        found.extend(part.findings);
    }
    for finding in &found {
        let Some(page) = finding.page else { continue };
        let of_page = inspector.page(page).unwrap().findings;
        assert!(of_page.contains(finding), "{finding:?}: {of_page:?}");
    }
    found
}

/// The only thing that the check finds.
fn one(bytes: &[u8]) -> Finding {
    let mut found = check(bytes);
    assert_eq!(found.len(), 1, "{found:?}");
    found.pop().unwrap()
}

fn fields(bytes: &[u8], page: u64) -> Vec<Field> {
    let mut structures = inspect(bytes).page(page).unwrap().structures;
    structures.pop().unwrap().fields
}

fn field(bytes: &[u8], page: u64, name: &str) -> Field {
    let mut fields = fields(bytes, page).into_iter();
    fields.find(|field| field.name == name).unwrap()
}

/// A page that a kind of pages has, the last one.
fn last_of(bytes: &[u8], kind: PageKind) -> usize {
    let kinds = inspect(bytes).kinds(0, 1000);
    kinds.iter().rposition(|&of| of == kind).unwrap()
}

fn page_of(bytes: &[u8], id: u64) -> usize {
    let entry = inspect(bytes)
        .directory(ProtectedId(id), 1, false)
        .remove(0);
    usize::try_from(entry.entry.location.page.unwrap()).unwrap()
}

#[test]
fn one_rotten_bit_of_a_protected_page_is_named() {
    let sample = Sample::new();
    let page = page_of(&sample.after, 5);
    let found = one(&sample.flipped(page * P + 2048, 6));
    assert_eq!(found.kind.id(), "protected-checksum");
    assert!(
        found
            .message
            .ends_with("; one flipped bit explains it: byte 2048, bit 6"),
        "{found:?}"
    );
    assert_eq!((found.page, found.offset), (Some(page as u64), 2048));
    assert_eq!(found.evidence[0], 5 ^ 0x40);
    assert!(found.kind.remedy().contains("pagebox write --protected"));
}

#[test]
fn a_check_explains_so_many_pages_and_names_the_others() {
    let sample = Sample::new();
    let mut bytes = sample.after.clone();
    for id in 0..140 {
        bytes[page_of(&sample.after, id) * P] ^= 1;
    }
    let found = check_only(&bytes);
    assert_eq!(found.len(), 140);
    let explained = found
        .iter()
        .filter(|it| it.message.contains("one flipped bit"));
    assert_eq!(explained.count(), 64);
}

fn check_only(bytes: &[u8]) -> Vec<Finding> {
    let mut inspector = inspect(bytes);
    let (mut next, mut found) = (Some(0), Vec::new());
    while let Some(cursor) = next {
        let part = inspector.findings(cursor);
        next = part.next;
        found.extend(part.findings);
    }
    found
}

#[test]
fn rotten_node_names_its_bit_what_it_hides_and_the_entry_that_shows_it() {
    let sample = Sample::new();
    let structures = inspect(&sample.after).structures(0, 9);
    let node = structures.iter().rfind(|it| it.name == "map-node").unwrap();
    assert_eq!(node.title, "MAP, level 1, ids 128 to 255");
    let page = node.page;
    // The birth of the second entry.
    let bytes = sample.flipped(usize::try_from(page).unwrap() * P + 40, 6);
    let found = one(&bytes);
    assert_eq!(
        (found.kind.id(), found.page, found.offset),
        ("node", Some(page), 40)
    );
    let words = "; one flipped bit explains it: byte 40, bit 6; those of the protected pages 128 to 255 that it names cannot be found";
    assert!(found.message.ends_with(words), "{}", found.message);
    assert!(
        found
            .kind
            .remedy()
            .contains("gives up the protected pages that cannot be found")
    );
    let entry = field(&bytes, page, "id 129");
    assert!(
        entry.problem.contains("comes after generation"),
        "{entry:?}"
    );
    assert_eq!(field(&bytes, page, "id 130").problem, "");
    let sound = fields(&sample.after, page);
    assert!(
        sound.iter().all(|field| field.problem.is_empty()),
        "{sound:?}"
    );
}

#[test]
fn rotten_leaf_of_space_and_table_of_snapshots_name_their_bit() {
    let sample = Sample::new();
    let structures = inspect(&sample.after).structures(0, 9);
    let leaf = structures
        .iter()
        .find(|it| it.name == "space-leaf" && it.counts)
        .unwrap();
    let bytes = sample.flipped(usize::try_from(leaf.page).unwrap() * P + 9, 0);
    let found = check_only(&bytes);
    let found = found.iter().find(|it| it.kind.id() == "node").unwrap();
    assert_eq!((found.page, found.offset), (Some(leaf.page), 9));
    let words = "byte 9, bit 0; what the pages 0 to 443 are is not known";
    assert!(found.message.ends_with(words), "{}", found.message);
    let of_page = inspect(&bytes).page(leaf.page).unwrap().findings;
    assert!(of_page.contains(found) || leaf.page == 0, "{of_page:?}");

    let store = MemoryStore::from_bytes(SIZE, sample.after);
    let mut pager = Pager::open(store, pagebox_core::Access::Write).unwrap();
    pager.create_snapshot("kept", 7).unwrap();
    let mut tx = pager.begin().unwrap();
    pager.stage(&mut tx, ProtectedId(9)).unwrap().fill(1);
    pager.commit(tx).unwrap();
    pager.sync().unwrap();
    let mut bytes = pager.close().bytes().to_vec();
    let table = last_of(&bytes, PageKind::SNAPSHOTS);
    bytes[table * P + 130] ^= 4;
    let found = one(&bytes);
    assert_eq!((found.kind.id(), found.offset), ("snapshots", 130));
    assert!(
        found.message.ends_with("byte 130, bit 2"),
        "{}",
        found.message
    );
}

#[test]
fn rotten_page_that_only_a_snapshot_holds_is_found_on_that_page() {
    let sample = Sample::new();
    let store = MemoryStore::from_bytes(SIZE, sample.after);
    let mut pager = Pager::open(store, pagebox_core::Access::Write).unwrap();
    pager.create_snapshot("kept", 7).unwrap();
    let page = page_of(pager.store().bytes(), 9);
    let mut tx = pager.begin().unwrap();
    pager.stage(&mut tx, ProtectedId(9)).unwrap().fill(1);
    pager.commit(tx).unwrap();
    pager.sync().unwrap();
    let mut bytes = pager.close().bytes().to_vec();
    bytes[page * P + 77] ^= 4;
    let found = one(&bytes);
    assert!(
        found
            .message
            .starts_with("in snapshot kept: protected page 9"),
        "{found:?}"
    );
    assert_eq!((found.page, found.offset), (Some(page as u64), 77));
}

#[test]
fn rotten_header_shows_at_its_bit_and_at_its_checksum() {
    let sample = Sample::new();
    let bytes = sample.flipped(20, 6);
    let found = one(&bytes);
    assert_eq!(
        (found.kind.id(), found.page, found.offset),
        ("header", Some(0), 20)
    );
    assert!(
        found.message.ends_with("byte 20, bit 6"),
        "{}",
        found.message
    );
    assert_eq!(found.evidence[0], bytes[20]);
    let steps = inspect(&bytes).summary().steps;
    assert_eq!((steps[0].rule, steps[0].offset), ("header", 20));
    assert_eq!(field(&bytes, 0, "magic").problem, "");
    let sum = field(&bytes, 0, "checksum").problem;
    assert!(sum.starts_with("the computed XXH3-128 is 0x"), "{sum}");
    assert!(
        field(&bytes, 0, "uuid")
            .problem
            .starts_with("the root records say")
    );
    assert_eq!(field(&bytes, 0, "homes").problem, "");
    // The roots are right, and not as in the header.
    let uuid = field(&bytes, 1, "uuid");
    assert!(
        uuid.meaning.starts_with("the header has rotted, and says"),
        "{uuid:?}"
    );
    assert_eq!(field(&bytes, 1, "homes").meaning, "as in the header");
    assert_eq!(field(&sample.after, 1, "uuid").meaning, "as in the header");

    let mut bytes = sample.after.clone();
    bytes[20..24].copy_from_slice(b"\0\0\0\0");
    let found = one(&bytes);
    assert!(
        found.message.ends_with("from byte 20 to byte 23"),
        "{}",
        found.message
    );
}

#[test]
fn torn_root_names_the_sectors_and_their_stamps() {
    let sample = Sample::new();
    let mut bytes = sample.with_old(ROOTS[0] * P, P);
    bytes[ROOTS[1] * P + 512..][..512].fill(0);
    let found = one(&bytes);
    assert_eq!(
        (found.kind.id(), found.page, found.offset),
        ("root-other", Some(2), 1016)
    );
    assert_eq!(found.evidence, [0; 8]);
    let words =
        "its sectors are of several generations: bytes 512 to 1023 have stamp 0, the others 3";
    assert!(found.message.ends_with(words), "{}", found.message);
    let stamps: Vec<Field> = fields(&bytes, 2)
        .into_iter()
        .filter(|field| field.name.starts_with("stamp"))
        .collect();
    let places: Vec<u32> = stamps.iter().map(|stamp| stamp.offset).collect();
    assert_eq!(places, [504, 1016, 1528, 2040, 2552, 3064, 3576, 4088]);
    for (sector, stamp) in stamps.iter().enumerate() {
        let (value, problem) = match sector {
            1 => ("0", "most others are 3"),
            _ => ("3", ""),
        };
        assert_eq!(
            (&*stamp.value, &*stamp.problem),
            (value, problem),
            "{sector}"
        );
    }
    assert_eq!(field(&bytes, 2, "magic").problem, "");
}

#[test]
fn root_with_a_rotten_bit_names_it() {
    let sample = Sample::new();
    // Behind the first stamp, so that payload and slot differ.
    let bytes = sample.flipped(ROOTS[1] * P + 700, 3);
    let found = one(&bytes);
    assert_eq!(
        (found.kind.id(), found.page, found.offset),
        ("root-other", Some(2), 700)
    );
    assert!(
        found.message.ends_with("byte 700, bit 3"),
        "{}",
        found.message
    );
    let sum = field(&bytes, 2, "checksum").problem;
    assert!(sum.starts_with("the computed XXH3-128 is 0x"), "{sum}");
    assert_eq!(field(&bytes, 2, "magic").problem, "");
}

#[test]
fn unfinished_commit_leads_to_the_page_that_lacks() {
    let sample = Sample::new();
    let written = page_of(&sample.after, 0);
    let mut bytes = sample.with_old(ROOTS[0] * P, P);
    bytes[written * P..][..P].copy_from_slice(&sample.before[written * P..][..P]);
    let found = one(&bytes);
    assert_eq!(
        (found.kind.id(), found.page),
        ("unfinished-commit", Some(2))
    );
    let mut inspector = inspect(&bytes);
    let steps = inspector.summary().steps;
    let verify = steps.iter().find(|step| step.rule == "verify").unwrap();
    assert_eq!(verify.page, Some(written as u64));
    assert_eq!(verify.evidence, sample.before[written * P..][..16]);
    let references = inspector.page(written as u64).unwrap().referenced_by;
    let texts: Vec<&str> = references.iter().map(|it| &*it.text).collect();
    assert_eq!(
        texts,
        ["root B, whose commit was not finished, names it as protected page 0"]
    );
    let reference = &references[0];
    let at = 2 * P + reference.offset as usize;
    assert_eq!(reference.page, 2);
    assert_eq!(
        bytes[at..at + 2],
        u16::try_from(written).unwrap().to_le_bytes()
    );
}

#[test]
fn finished_commit_is_told_of() {
    let sample = Sample::new();
    let found = one(&sample.with_old(ROOTS[0] * P, P));
    assert_eq!((found.kind.id(), found.page), ("finished-commit", Some(1)));
    assert!(found.kind.remedy().starts_with("Nothing needs mending"));
}

#[test]
fn cut_off_file_names_where_it_ends_and_what_is_missing() {
    let sample = Sample::new();
    let bytes = &sample.after[..333 * P];
    let mut found = check_only(bytes);
    let found = found.remove(0);
    assert_eq!((found.kind.id(), found.page), ("file-too-short", Some(333)));
    assert_eq!(
        found.message,
        "the file ends at byte 1363968, after page 332 of 444: 111 pages are missing, from page 333 on, all of them free"
    );
    assert_eq!(
        found.kind.remedy(),
        "Repair makes a copy that ends where this file does."
    );
    let mut inspector = inspect(bytes);
    assert!(inspector.page(333).unwrap().findings.contains(&found));
    let steps = inspector.summary().steps;
    let verify = steps.iter().find(|step| step.rule == "verify").unwrap();
    assert_eq!((verify.page, &verify.text), (Some(333), &found.message));
    // What is missing is no place to allocate, and nobody's.
    let tile = inspector.tiles(333, 111, 1).remove(0);
    assert_eq!((tile.tile.kind, tile.tile.used), (PageKind::MISSING, 0));
    assert!(tile.worst.is_some());
    let kinds = inspector.kinds(0, 444);
    let runs = kinds.split(|&kind| kind != PageKind::FREE);
    let longest = runs.map(<[PageKind]>::len).max().unwrap();
    assert_eq!(inspector.free_space().longest, Some(longest as u64));

    // Without deltas what is missing is known, though nodes are missing too.
    let last = last_of(&sample.before, PageKind::PROTECTED_ACTIVE);
    let found = check_only(&sample.before[..(last - 1) * P]).remove(0);
    assert_eq!(found.page, Some(last as u64 - 1));
    assert!(
        found.message.contains(" of them free and "),
        "{}",
        found.message
    );
    assert!(found.kind.remedy().contains("gives up what is missing"));

    let last = last_of(&sample.after, PageKind::PROTECTED_ACTIVE);
    let found = check_only(&sample.after[..(last - 1) * P]).remove(0);
    let words = "and which of them are free is not known";
    assert!(found.message.ends_with(words), "{}", found.message);
}
