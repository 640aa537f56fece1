//! What can be found wrong with a file: a table of kinds, and [`Finding`], one
//! of them with its page and its evidence.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::codec;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Unproven or wasteful; nothing is lost.
    Warning,
    /// Damage, or bytes that are lost.
    Error,
}

/// What is said of a kind of finding.
#[derive(Debug, PartialEq, Eq)]
pub struct FindingText {
    id: &'static str,
    severity: Severity,
    meaning: &'static str,
    remedy: &'static str,
}

/// What was found. The kinds are an open list: those here are of every format,
/// and each format has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FindingKind(&'static FindingText);

impl FindingKind {
    pub(crate) const fn new(text: &'static FindingText) -> Self {
        Self(text)
    }

    /// Its stable name.
    pub const fn id(self) -> &'static str {
        self.0.id
    }

    /// How bad it is.
    pub const fn severity(self) -> Severity {
        self.0.severity
    }

    /// What it means.
    pub const fn meaning(self) -> &'static str {
        self.0.meaning
    }

    /// What would mend it.
    pub const fn remedy(self) -> &'static str {
        self.0.remedy
    }
}

impl FindingText {
    pub(crate) const fn new(
        severity: Severity,
        id: &'static str,
        meaning: &'static str,
        remedy: &'static str,
    ) -> Self {
        Self {
            id,
            severity,
            meaning,
            remedy,
        }
    }
}

/// A table of kinds: name, severity, id, meaning, remedy.
macro_rules! finding_kinds {
    ($($name:ident $severity:ident $id:literal $meaning:literal $remedy:literal)*) => {
        $(
            #[doc = $meaning]
            pub const $name: $crate::finding::FindingKind =
                $crate::finding::FindingKind::new(&$crate::finding::FindingText::new(
                    $crate::finding::Severity::$severity,
                    $id,
                    $meaning,
                    $remedy,
                ));
        )*
    };
}
pub(crate) use finding_kinds;

finding_kinds! {
    NOT_A_PAGE_FILE Error "not-a-page-file"
        "This is not a page file, or its first bytes are lost."
        "Check the name; restore the first page from a backup."
    UNSUPPORTED_VERSION Error "unsupported-version"
        "The file was made by a newer or foreign program."
        "Open it with the program that made it."
    PAGE_SIZE Error "page-size"
        "The file and its reader disagree on the size of a page."
        "Open it with the file's own page size."
    UNREADABLE Error "unreadable"
        "The medium did not give the bytes."
        "Copy the file to a sound medium."
    FILE_TOO_SHORT Error "file-too-short"
        "The file ends before its last pages: it was cut off."
        "Restore the missing pages from a backup; repair gives up what is missing."
    FILE_ENDS_IN_FREE_PAGES Error "file-too-short"
        "The file ends before its last pages: it was cut off. All that is missing is free, so nothing is lost."
        "Repair makes a copy that ends where this file does."
    PROTECTED_CHECKSUM Error "protected-checksum"
        "The bytes of a protected page are not the ones that were committed: they have rotted, or were overwritten from outside."
        "Write the whole page again, from a backup or by what your program knows: pagebox write --protected FILE ID takes all its bytes. Repair gives the page up: it is gone then."
    SUPERBLOCK_HEAD Error "superblock-head"
        "The superblock's head holds a value that no pager writes: no crash can cause this."
        "Repair makes a copy with a superblock rebuilt from what can be proven."
    PROTECTED_UNPROVEN Warning "protected-unproven"
        "A protected page was never written since another program allocated it, and its first bytes were not made durable before a crash."
        "Write the page once, or free it."
    TAIL Warning "tail"
        "The file ends in a part of a page, which belongs to nothing."
        "Nothing needs mending; the next growth overwrites it."
    UNFINISHED_COMMIT Info "unfinished-commit"
        "A commit was not finished. What it would have changed is as it was before."
        "Nothing needs mending; the next commit goes on from here."
    SLACK Info "slack"
        "The file is longer than its page count: growth that no commit named."
        "Nothing needs mending; later growth uses these pages."
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// The page that shows it.
    pub page: Option<u64>,
    /// Where in the page, in bytes.
    pub offset: u32,
    /// The bytes found there, at most [`Finding::EVIDENCE_MAX`].
    pub evidence: Vec<u8>,
    /// What is wrong, with its numbers.
    pub message: String,
}

impl Finding {
    /// The most bytes of evidence.
    pub const EVIDENCE_MAX: usize = 64;

    /// A finding that no bytes show.
    pub fn new(kind: FindingKind, page: Option<u64>, message: String) -> Self {
        Self {
            kind,
            page,
            offset: 0,
            evidence: Vec::new(),
            message,
        }
    }

    /// Adds `len` bytes of a page as evidence.
    #[must_use]
    pub fn with_evidence(mut self, page: &[u8], offset: usize, len: usize) -> Self {
        self.offset = codec::offset(offset);
        self.evidence = evidence(page, offset, len);
        self
    }
}

/// That a file was cut off: where it ends in bytes, its whole pages, and those that
/// it accounts for; of those that are missing, how many are known to be free, and
/// how many not to be.
#[cold]
#[inline(never)]
pub(crate) fn cut_off(bytes: u64, pages: u64, page_count: u64, (free, used): (u64, u64)) -> String {
    let missing = page_count.saturating_sub(pages);
    let unknown = missing.saturating_sub(free).saturating_sub(used);
    let ends = format!(
        "the file ends at byte {bytes}, after page {} of {page_count}",
        pages.saturating_sub(1)
    );
    if missing == 1 {
        let which = match (free, used) {
            (1, _) => "and was free",
            (_, 1) => "and was not free",
            _ => "and whether it was free is not known",
        };
        return format!("{ends}: page {pages} is missing, {which}");
    }
    let which = match (free, used, unknown) {
        (_, 0, 0) => String::from("all of them free"),
        (0, _, 0) => String::from("none of them free"),
        (0, 0, _) => String::from("and which of them are free is not known"),
        (_, _, 0) => format!("{free} of them free and {used} not"),
        _ => format!("{free} of them free, {used} not, and of {unknown} it is not known"),
    };
    format!("{ends}: {missing} pages are missing, from page {pages} on, {which}")
}

/// At most [`Finding::EVIDENCE_MAX`] bytes of a page; fewer at its end.
pub fn evidence(page: &[u8], offset: usize, len: usize) -> Vec<u8> {
    page.iter()
        .skip(offset)
        .take(len.min(Finding::EVIDENCE_MAX))
        .copied()
        .collect()
}
