//! What lies in a page and who names it, for people: structures as lists of named
//! fields with byte ranges. Data only; the formats fill it.

use alloc::string::String;
use alloc::vec::Vec;

use crate::codec;
use crate::facts::Location;
use crate::ids::{Extent, ProtectedId};
use crate::kinds::PageKind;

/// A part of a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// What it is called.
    pub name: String,
    /// Where it is in the page.
    pub offset: u32,
    /// How many bytes it has.
    pub len: u32,
    /// The value, for people.
    pub value: String,
    /// What it means; empty where the name says it.
    pub meaning: String,
    /// The page that it names.
    pub refers_to: Option<u64>,
    /// What is wrong with it; empty where nothing is.
    pub problem: String,
}

impl Field {
    pub(crate) fn new(
        name: impl Into<String>,
        offset: usize,
        len: usize,
        value: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            offset: codec::offset(offset),
            len: codec::offset(len),
            value: value.into(),
            meaning: String::new(),
            refers_to: None,
            problem: String::new(),
        }
    }

    pub(crate) fn meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = meaning.into();
        self
    }

    pub(crate) fn refers_to(mut self, page: u64) -> Self {
        self.refers_to = Some(page);
        self
    }

    pub(crate) fn problem(mut self, problem: Option<String>) -> Self {
        self.problem = problem.unwrap_or_default();
        self
    }
}

/// Bytes as text: what is no ASCII letter, digit or sign is a dot.
pub(crate) fn ascii(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|&byte| {
            if byte.is_ascii_graphic() {
                char::from(byte)
            } else {
                '.'
            }
        })
        .collect()
}

/// Something that lies in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// `superblock`, `metadata`, `map-node`.
    pub name: &'static str,
    /// For people.
    pub title: String,
    /// Where it is.
    pub page: u64,
    /// Whether it counts: of several copies one does.
    pub counts: bool,
    /// Whether its checksum agrees; none where it has none.
    pub valid: Option<bool>,
    /// Its parts, by offset.
    pub fields: Vec<Field>,
}

/// A reference to a page.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The page that holds it.
    pub page: u64,
    /// Where in the page.
    pub offset: u32,
    /// What refers, for people.
    pub text: String,
}

/// What the last commit changed, as far as the file tells.
#[derive(Clone, Debug)]
pub struct LastCommit {
    /// Pages that it allocated.
    pub allocated: Vec<Extent>,
    /// Pages that it freed.
    pub freed: Vec<Extent>,
}

/// A protected page in the directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its id.
    pub id: ProtectedId,
    /// Where its bytes are.
    pub location: Location,
    /// The physical pages that are its own, and what each of them is.
    pub pages: Vec<(u64, PageKind)>,
    /// Where the directory names it, for people.
    pub place: String,
}
