//! The sandbox's records as `OpenAPI` describes them. They are serialised from
//! the types that the WIT generates; a test compares the two.
#![expect(
    dead_code,
    reason = "only described: the values are of the generated types"
)]

use utoipa::ToSchema;

/// A run of pages.
#[derive(ToSchema)]
pub(crate) struct Extent {
    /// The first page.
    first: u64,
    /// How many.
    count: u64,
}

/// How bad a finding is.
#[derive(ToSchema)]
pub(crate) enum Severity {
    /// Worth knowing.
    Info,
    /// Unproven, or wasteful; nothing is lost.
    Warning,
    /// Damage: the file cannot be changed before it is repaired.
    Error,
}

/// A kind of page. Codes are small and stable; the list may grow.
#[derive(ToSchema)]
pub(crate) struct PageKind {
    code: u8,
    /// `protected-active`.
    name: String,
    /// One character for maps in text: `P`.
    letter: String,
    /// What it is, in a sentence.
    description: String,
    /// How many pages of it the file has.
    count: u64,
}

/// A part of a structure.
#[derive(ToSchema)]
pub(crate) struct Field {
    name: String,
    /// Where it is in the page, in bytes.
    offset: u32,
    len: u32,
    /// The value, decoded, for people.
    value: String,
    /// What it means; empty where the name says it.
    meaning: String,
    /// The page that the value names.
    refers_to: Option<u64>,
    /// What is wrong with it; empty where nothing is.
    problem: String,
}

/// Something that lies in a page.
#[derive(ToSchema)]
pub(crate) struct Structure {
    /// `superblock`, `metadata`, `directory-block`; of format 1 `header`, `root`,
    /// `map-node`, `space-node`, `space-leaf`.
    name: String,
    /// A title for people: `Metadata A`, `Root B`.
    title: String,
    page: u64,
    /// Whether it counts: of several copies one does, or all that are alike.
    counts: bool,
    /// Whether its checksum agrees; null where it has none, or nothing names it
    /// that would say what it must be.
    valid: Option<bool>,
    fields: Vec<Field>,
}

/// A reference to a page.
#[derive(ToSchema)]
pub(crate) struct Reference {
    /// The page that holds the reference.
    page: u64,
    offset: u32,
    /// What refers to it, for people: `slot 5 of directory block 0, copy A`,
    /// `MAP names it as protected page 5`.
    text: String,
}

/// A page that belongs to a protected page, and the code of its kind.
#[derive(ToSchema)]
pub(crate) struct OwnedPage {
    page: u64,
    kind: u8,
}

/// A protected page in the directory.
#[derive(ToSchema)]
pub(crate) struct Entry {
    id: u64,
    /// The page that holds its bytes; null: they are zeros.
    page: Option<u64>,
    /// All pages that are its own: two in format 0; in format 1 one, or none
    /// where all of its bytes are zeros.
    pages: Vec<OwnedPage>,
    generation: u64,
    /// Of its bytes, as committed: `0x1234abcd` in format 0, 32 digits in format
    /// 1.
    checksum: String,
    /// Of its bytes, where it was asked for and they could be read.
    actual: Option<String>,
    /// What is wrong with it; empty where nothing is.
    problem: String,
    /// Where the directory names it, for people: `directory block 0, slot 5`,
    /// `MAP, node 0, entry 5`.
    place: String,
}

/// Figures of a file, as `pagebox info` tells them. In pages unless said
/// otherwise; null is what is not known.
#[derive(ToSchema)]
pub(crate) struct Info {
    /// `0.2`, `1.0`; empty where it is not known.
    format: String,
    /// What can be done with the file besides what every format can.
    capabilities: Vec<String>,
    /// Bytes in a page.
    page_size: u32,
    /// Pages that the file accounts for.
    page_count: Option<u64>,
    /// Whole pages in the file.
    file_pages: u64,
    /// Bytes past the last whole page.
    tail: u32,
    /// Pages that can be allocated without growth.
    free_pages: Option<u64>,
    /// Runs of free pages, the neighbours of which are in use.
    free_runs: Option<u64>,
    /// Pages in the longest of them.
    longest_free_run: Option<u64>,
    /// Allocated regular pages.
    regular_pages: Option<u64>,
    /// Protected pages.
    protected_pages: Option<u64>,
    /// Pages that are neither free nor regular.
    internal_pages: Option<u64>,
    /// The commit counter.
    generation: Option<u64>,
    /// The roots that count: `Metadata A`, `Root B`.
    roots: Vec<String>,
    /// The most pages that the format can account for.
    page_limit: u64,
    /// The most protected pages that the format can name.
    protected_limit: u64,
    /// Protected pages that there is room for without growth.
    protected_capacity: Option<u64>,
    /// Snapshots.
    snapshots: Option<u64>,
    /// `clean`, or what was found: `rolled-back`, `rolled-forward`, `damaged`,
    /// `not-a-page-file`.
    recovery: String,
    /// The same in a sentence.
    explanation: String,
    /// The reasoning.
    steps: Vec<Reason>,
    /// Pages that the last commit allocated, at most 256 runs; null in format 1,
    /// which does not tell.
    last_allocated: Option<Vec<Extent>>,
    /// Pages that the last commit freed, at most 256 runs; null in format 1.
    last_freed: Option<Vec<Extent>>,
}

/// A step of the reasoning at open.
#[derive(ToSchema)]
pub(crate) struct Reason {
    /// The rule that was applied: `R1` to `R6` in format 0; `header`, `slots`,
    /// `verify`, `verdict` in format 1.
    rule: String,
    /// What was looked at and what follows.
    text: String,
    /// The page that was looked at.
    page: Option<u64>,
    /// Where in the page, in bytes.
    offset: u32,
    /// The bytes found there; in JSON in hexadecimal.
    evidence: String,
}

/// What a page decoder made of the pages of a file.
#[derive(ToSchema)]
pub(crate) struct Decoding {
    /// What it calls itself.
    decoder: String,
    /// Pages that it was asked about: the protected ones and the regular ones.
    pages: u64,
    /// Pages that it knew.
    known: u64,
    /// What is wrong with pages, as it says; the first 10,000 are among the
    /// findings.
    problems: u64,
    /// Pages at which it failed.
    failures: u64,
    /// Whether it was not asked about the rest, since it failed too often.
    given_up: bool,
    /// The kinds of pages that it knew, by name: the first 64 of them.
    kinds: Vec<DecodedKind>,
}

/// A kind of pages, by a decoder.
#[derive(ToSchema)]
pub(crate) struct DecodedKind {
    /// What the decoder calls it.
    kind: String,
    /// What stands for it in maps.
    letter: char,
    /// How many pages are of it.
    count: u64,
}

/// One finding of a `Check`.
#[derive(ToSchema)]
pub(crate) struct Found {
    /// A stable name of what was found.
    id: String,
    /// `error`, `warning` or `info`.
    severity: String,
    /// The page that shows it, where there is one.
    page: Option<u64>,
    /// Where in the page, in bytes.
    offset: u32,
    /// The bytes found there; in JSON in hexadecimal.
    evidence: String,
    /// What is wrong, with its numbers.
    message: String,
    /// What it means.
    meaning: String,
    /// What would mend it.
    remedy: String,
}
