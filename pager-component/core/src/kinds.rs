//! What a page can be: an open list of kinds, each with a small stable code.

/// A kind of page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageKind(pub u8);

/// What is said of a kind.
#[derive(Clone, Copy, Debug)]
pub struct KindText {
    /// `protected-active`.
    pub name: &'static str,
    /// One character for maps in text.
    pub letter: char,
    /// What it is, in a sentence.
    pub description: &'static str,
}

impl PageKind {
    /// Nobody's page.
    pub const FREE: Self = Self(0);
    /// A caller's regular page.
    pub const REGULAR: Self = Self(1);
    /// Holds the bytes of a protected page: of two copies the one that counts.
    pub const PROTECTED_ACTIVE: Self = Self(2);
    /// The copy of a protected page that the next write goes to.
    pub const PROTECTED_SHADOW: Self = Self(3);
    /// A copy of a directory block.
    pub const DIRECTORY: Self = Self(4);
    /// Page 0.
    pub const SUPERBLOCK: Self = Self(5);
    /// Pages 1 and 2.
    pub const METADATA: Self = Self(6);
    /// In the file, past the page count.
    pub const SLACK: Self = Self(7);
    /// In the page count, past the end of the file.
    pub const MISSING: Self = Self(8);
    /// In a file whose bytes do not say.
    pub const UNKNOWN: Self = Self(9);
    /// The header.
    pub const HEADER: Self = Self(10);
    /// A root slot.
    pub const ROOT: Self = Self(11);
    /// A node of the tree from protected ids to pages.
    pub const MAP_NODE: Self = Self(12);
    /// A home of the tree that says what each page is.
    pub const SPACE: Self = Self(13);

    /// A page of the table of snapshots.
    pub const SNAPSHOTS: Self = Self(14);

    /// Not of the snapshot that is shown.
    pub const OTHER: Self = Self(15);

    /// Every kind, in the order of the codes.
    pub const ALL: [Self; 16] = [
        Self::FREE,
        Self::REGULAR,
        Self::PROTECTED_ACTIVE,
        Self::PROTECTED_SHADOW,
        Self::DIRECTORY,
        Self::SUPERBLOCK,
        Self::METADATA,
        Self::SLACK,
        Self::MISSING,
        Self::UNKNOWN,
        Self::HEADER,
        Self::ROOT,
        Self::MAP_NODE,
        Self::SPACE,
        Self::SNAPSHOTS,
        Self::OTHER,
    ];

    /// What is said of it.
    pub const fn text(self) -> KindText {
        let (name, letter, description) = match self {
            Self::FREE => ("free", '.', "nobody's: the next allocation may take it"),
            Self::REGULAR => ("regular", 'R', "a caller's page, written in place"),
            Self::PROTECTED_ACTIVE => (
                "protected-active",
                'P',
                "holds the bytes of a protected page",
            ),
            Self::PROTECTED_SHADOW => (
                "protected-shadow",
                'p',
                "the copy of a protected page that the next write goes to",
            ),
            Self::DIRECTORY => (
                "directory",
                'D',
                "a copy of a directory block, which says where protected pages are",
            ),
            Self::SUPERBLOCK => (
                "superblock",
                'S',
                "page 0, the root: it says which copies count",
            ),
            Self::METADATA => (
                "metadata",
                'M',
                "a copy of the metadata: page count, generation, allocation bitmap",
            ),
            Self::SLACK => (
                "slack",
                '~',
                "in the file, but past its page count: not used",
            ),
            Self::MISSING => (
                "missing",
                '!',
                "in the page count, but past the end of the file",
            ),
            Self::HEADER => (
                "header",
                'H',
                "says what file this is, and is never written again",
            ),
            Self::ROOT => (
                "root-slot",
                'O',
                "one of the two places of a root record, which says which state this is",
            ),
            Self::MAP_NODE => (
                "map-node",
                'N',
                "a node of MAP, which says where protected pages are",
            ),
            Self::SPACE => (
                "space-home",
                'B',
                "a place of SPACE, which says what each page is",
            ),
            Self::SNAPSHOTS => (
                "snapshot-table",
                'T',
                "a page of the table of snapshots, which says what they are called",
            ),
            Self::OTHER => (
                "other",
                '-',
                "free, or in use by another state than the one that is shown",
            ),
            _ => ("unknown", '?', "the file's bytes do not say what it is"),
        };
        KindText {
            name,
            letter,
            description,
        }
    }
}
