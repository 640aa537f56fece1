//! What can be found wrong with a file: a table of kinds, and [`Finding`], one
//! of them with its page and its evidence.

use alloc::string::String;
use alloc::vec::Vec;

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

macro_rules! finding_kinds {
    ($($variant:ident $severity:ident $id:literal $meaning:literal $remedy:literal)*) => {
        /// What was found. Each has a stable id, a meaning and a remedy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FindingKind {
            $(#[doc = $meaning] $variant,)*
        }

        impl FindingKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its stable name.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity,)* }
            }

            /// What it means.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }

            /// What would mend it.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$variant => $remedy,)* }
            }
        }
    };
}

finding_kinds! {
    NotAPageFile Error "not-a-page-file"
        "This is not a page file, or its first bytes are lost."
        "Check the name; restore the first page from a backup."
    UnsupportedVersion Error "unsupported-version"
        "The file was made by a newer or foreign program."
        "Open it with the program that made it."
    PageSize Error "page-size"
        "The file and its reader disagree on the size of a page."
        "Open it with the file's own page size."
    Unreadable Error "unreadable"
        "The medium did not give the bytes."
        "Copy the file to a sound medium."
    SuperblockHead Error "superblock-head"
        "The superblock's head holds a value that no pager writes: no crash can cause this."
        "Repair makes a copy with a superblock rebuilt from what can be proven."
    DirectorySection Error "directory-section"
        "The list of directory blocks in page 0 is neither an old nor a new one, nor a mixture that a crash can leave."
        "Repair keeps the blocks that prove themselves."
    BlockCount Error "block-count"
        "Page 0 announces more directory blocks than it has room for."
        "Repair keeps the blocks that prove themselves."
    BlockReference Error "block-reference"
        "A directory block lies where none can be, or where something else is."
        "Repair frees the block; the protected pages in it are lost."
    MetadataNamed Error "metadata"
        "The metadata that page 0 names cannot be believed, so it is not known which pages are in use."
        "Repair keeps every page that could be in use."
    MetadataTag Error "metadata-tag"
        "The metadata is not of the generation that page 0 was written with: a write was lost, or a selector has rotted."
        "Repair keeps every page that could be in use."
    FileTooShort Error "file-too-short"
        "The file ends before its last pages: it was cut off."
        "Restore the missing pages from a backup; repair gives up what is missing."
    DirectoryCopy Error "directory-copy"
        "The copy of a directory block that counts cannot be believed."
        "Repair goes back to the other copy where that proves itself."
    DirectoryNewer Error "directory-newer"
        "The copy of a directory block that counts is of a later commit than page 0, which no crash can cause: the file was copied while a writer was at work."
        "Copy the file again with `pagebox copy`, which waits for a pause between commits, or while nobody writes to it. Repair keeps what proves itself, of more than one commit."
    Slot Error "slot"
        "A slot of the directory names pages that cannot be its own."
        "Repair frees the slot; its protected page is lost."
    ProtectedChecksum Error "protected-checksum"
        "The bytes of a protected page are not the ones that were committed: they have rotted, or were overwritten from outside."
        "Write the whole page again, from a backup; repair gives it up."
    ProtectedUnproven Warning "protected-unproven"
        "A protected page was never written since another program allocated it, and its first bytes were not made durable before a crash."
        "Write the page once, or free it."
    SelectorUnproven Warning "selector-unproven"
        "The other copy of the metadata is newer: an unfinished commit, or a selector that has rotted. In a file without tags the two cannot be told apart."
        "The next commit through this pager ends the doubt."
    FreeCount Warning "free-count"
        "The stored number of free pages is not the bitmap's. The bitmap counts."
        "The next commit writes the right number."
    Tail Warning "tail"
        "The file ends in a part of a page, which belongs to nothing."
        "None needed; the next growth overwrites it."
    MetadataOther Info "metadata-other"
        "The copy of the metadata that does not count is not valid: a commit was not finished there."
        "None needed; the next commit writes it."
    DirectoryOther Info "directory-other"
        "The copy of a directory block that does not count is not valid: it was never written, or a commit was not finished there."
        "None needed; the next change of the block writes it."
    UnfinishedCommit Info "unfinished-commit"
        "A commit was not finished. What it would have changed is as it was before."
        "None needed; the next commit goes on from here."
    FinishedCommit Info "finished-commit"
        "A commit was torn while page 0 was written. All that it announced is durable, so it counts."
        "None needed; the next commit writes page 0 whole."
    Slack Info "slack"
        "The file is longer than its page count: growth that no commit named."
        "None needed; later growth uses these pages."
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
        self.offset = u32::try_from(offset).unwrap_or(u32::MAX);
        self.evidence = evidence(page, offset, len);
        self
    }
}

/// At most [`Finding::EVIDENCE_MAX`] bytes of a page; fewer at its end.
pub fn evidence(page: &[u8], offset: usize, len: usize) -> Vec<u8> {
    page.iter()
        .skip(offset)
        .take(len.min(Finding::EVIDENCE_MAX))
        .copied()
        .collect()
}
